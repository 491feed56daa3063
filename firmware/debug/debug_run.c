#include "debug_run.h"

#include <string.h>

#include "bytes.h"

void debug_run_init(struct debug_run *run, const struct debug_target *target)
{
    memset(run, 0, sizeof(*run));
    run->target = target;
    debug_points_init(&run->points, target);
    run->memory = (struct debug_memory){.context = &run->points, .read = debug_points_read};
}

static void step_end_clear(struct debug_run *run)
{
    debug_points_lower(&run->points);
    if (run->has_step_end) {
        debug_points_break_clear(&run->points, run->step_end, DEBUG_OWNER_STEP);
        run->has_step_end = false;
    }
}

static bool stop(struct debug_run *run, enum debug_stop_reason reason, uint32_t address)
{
    run->target->app_hold(run->target->context);
    step_end_clear(run);
    run->state = DEBUG_RUN_STOPPED;
    run->reason = reason;
    run->address = address;
    return true;
}

static bool stop_at_watch(struct debug_run *run, const struct debug_watch *watch, uint32_t pc)
{
    enum debug_stop_reason reason = watch->kind == DEBUG_WATCH_WRITE  ? DEBUG_STOP_WATCH_WRITE
                                    : watch->kind == DEBUG_WATCH_READ ? DEBUG_STOP_WATCH_READ
                                                                      : DEBUG_STOP_WATCH_ACCESS;

    run->watch_is_told = true;
    run->told_pc = pc;
    return stop(run, reason, watch->address);
}

void debug_run_exclusive_forget(struct debug_run *run)
{
    run->exclusive.length = 0;
}

/* To be called before a free app is looked at again: what was stepped before has no meaning any more. */
static void free_run_end(struct debug_run *run)
{
    if (run->state == DEBUG_RUN_FREE) {
        debug_run_exclusive_forget(run);
    }
}

void debug_run_halt(struct debug_run *run)
{
    free_run_end(run);
    (void)stop(run, DEBUG_STOP_HALTED, 0);
}

static void run_free(struct debug_run *run)
{
    run->state = DEBUG_RUN_FREE;
    run->watch_is_told = false;
    debug_points_watch_arm(&run->points);
    run->target->app_release(run->target->context);
}

/* The instruction at pc, seen before it is executed. */
struct prospect {
    uint32_t registers[DEBUG_REGISTER_COUNT];
    struct debug_instruction instruction;
    struct debug_access access;
    bool is_readable;
    bool has_access;
};

static void prospect_take(struct debug_run *run, struct prospect *prospect)
{
    memset(prospect, 0, sizeof(*prospect));
    run->target->registers_get(run->target->context, prospect->registers);
    prospect->is_readable =
        debug_instruction_fetch(&run->memory, prospect->registers, &prospect->instruction) == STATUS_OK;
    prospect->has_access =
        prospect->is_readable &&
        debug_instruction_access(&prospect->instruction, prospect->registers, &prospect->access);
}

static const struct debug_watch *prospect_watch(const struct debug_run *run, const struct prospect *prospect)
{
    uint32_t pc = prospect->registers[DEBUG_PC];

    if (!prospect->has_access || (run->watch_is_told && run->told_pc == pc)) {
        return NULL;
    }
    return debug_points_watch_find(&run->points, &prospect->access);
}

/* An instruction that needs no execution: the app's own BKPT is passed over, and a branch to itself (where no
 * temporary breakpoint can be placed) changes at most lr. */
static bool instruction_imitate(struct debug_run *run, struct prospect *prospect, uint32_t next)
{
    const struct debug_instruction *instruction = &prospect->instruction;
    uint32_t *registers = prospect->registers;

    if (debug_instruction_is_breakpoint(instruction)) {
        registers[DEBUG_PC] += instruction->size;
        registers[DEBUG_XPSR] = debug_instruction_it_advance(registers[DEBUG_XPSR]);
    } else if (next == instruction->address) {
        registers[DEBUG_XPSR] &= ~DEBUG_XPSR_IT;
        if (debug_instruction_is_call(instruction)) {
            registers[DEBUG_LR] = (instruction->address + instruction->size) | 1u;
        }
    } else {
        return false;
    }
    (void)run->target->registers_set(run->target->context, registers);
    return true;
}

/* The trap that ends a step clears the core's exclusive monitor, so a STREX whose LDREX was stepped would
 * always fail, and the app would try again for ever. Nothing else has run since: the store succeeds, and is
 * done here. Where the app may not write it is left to the core, which faults. */
static bool exclusive_imitate(struct debug_run *run, struct prospect *prospect)
{
    const struct debug_target *target = run->target;
    const struct debug_access loaded = run->exclusive;
    const struct debug_access *access = &prospect->access;
    uint32_t *registers = prospect->registers;
    uint32_t value = 0;
    uint32_t result = 0;
    uint8_t bytes[4];
    uint8_t scratch[4];
    enum debug_exclusive kind = prospect->is_readable
                                    ? debug_instruction_exclusive(&prospect->instruction, &value, &result)
                                    : DEBUG_EXCLUSIVE_NONE;

    if (kind == DEBUG_EXCLUSIVE_NONE) {
        return false;
    }
    debug_run_exclusive_forget(run);
    if (kind == DEBUG_EXCLUSIVE_LOAD && access->address % access->length == 0) {
        run->exclusive = *access;
    }
    if (kind != DEBUG_EXCLUSIVE_STORE || loaded.length == 0 || loaded.length != access->length ||
        loaded.address != access->address || access->address - target->data_base >= target->data_size) {
        return false;
    }
    bytes_store_le32(bytes, registers[value]);
    if (debug_points_write(&run->points, access->address, bytes, access->length, scratch) != STATUS_OK) {
        return false;
    }
    registers[result] = 0;
    registers[DEBUG_PC] += prospect->instruction.size;
    registers[DEBUG_XPSR] = debug_instruction_it_advance(registers[DEBUG_XPSR]);
    (void)target->registers_set(target->context, registers);
    return true;
}

/* Lets the app execute the one instruction at pc, without the breakpoints in it and without watch areas. True
 * when that is done already. Where the end of the instruction cannot be known or patched it will fault, and
 * that ends the step. */
static bool one_start(struct debug_run *run, struct prospect *prospect, enum debug_run_state state)
{
    uint32_t next = 0;
    bool has_next = prospect->is_readable && debug_instruction_next(&prospect->instruction, &run->memory,
                                                                    prospect->registers, &next) == STATUS_OK;

    run->watch_is_told = false;
    if (exclusive_imitate(run, prospect)) {
        return true;
    }
    if (has_next && instruction_imitate(run, prospect, next)) {
        return true;
    }
    debug_points_watch_disarm(&run->points);
    debug_points_lift(&run->points, prospect->registers[DEBUG_PC], prospect->instruction.size);
    run->has_step_end = has_next && debug_points_break_set(&run->points, next, DEBUG_OWNER_STEP) == STATUS_OK;
    run->step_end = next;
    run->state = state;
    run->target->app_release(run->target->context);
    return false;
}

/* After an instruction: stops the app where somebody waits for it, or lets it go on. */
static bool go_on(struct debug_run *run)
{
    struct prospect prospect;
    const struct debug_watch *watch;
    uint32_t pc;
    uint32_t before;

    do { /* again behind a STREX that was done here: at most once, since the next one has no LDREX */
        prospect_take(run, &prospect);
        pc = prospect.registers[DEBUG_PC];
        if (debug_points_break_is_at(&run->points, pc) ||
            (prospect.is_readable && debug_instruction_is_breakpoint(&prospect.instruction))) {
            return stop(run, DEBUG_STOP_BREAKPOINT, pc);
        }
        watch = prospect_watch(run, &prospect);
        if (watch != NULL) {
            return stop_at_watch(run, watch, pc);
        }
        before = pc;
        if (debug_points_watch_needs_steps(&run->points) && !one_start(run, &prospect, DEBUG_RUN_PASS)) {
            return false;
        }
    } while (prospect.registers[DEBUG_PC] != before);
    run_free(
        run); /* what needs no execution here is a loop that only an interrupt can end: it needs no watch */
    return false;
}

bool debug_run_resume(struct debug_run *run)
{
    struct prospect prospect;
    const struct debug_watch *watch;
    bool is_passed;

    prospect_take(run, &prospect);
    watch = prospect_watch(run, &prospect);
    if (watch != NULL) {
        return stop_at_watch(run, watch, prospect.registers[DEBUG_PC]);
    }
    is_passed = debug_points_break_is_at(&run->points, prospect.registers[DEBUG_PC]) || run->watch_is_told ||
                debug_points_watch_needs_steps(&run->points) ||
                (prospect.is_readable && debug_instruction_is_breakpoint(&prospect.instruction));
    if (!is_passed) {
        run_free(run);
        return false;
    }
    return one_start(run, &prospect, DEBUG_RUN_PASS) && go_on(run);
}

bool debug_run_step(struct debug_run *run)
{
    struct prospect prospect;
    const struct debug_watch *watch;

    prospect_take(run, &prospect);
    watch = prospect_watch(run, &prospect);
    if (watch != NULL) {
        return stop_at_watch(run, watch, prospect.registers[DEBUG_PC]);
    }
    return one_start(run, &prospect, DEBUG_RUN_STEP) &&
           stop(run, DEBUG_STOP_STEP, prospect.registers[DEBUG_PC]);
}

static bool trapped_at_breakpoint(struct debug_run *run)
{
    uint32_t registers[DEBUG_REGISTER_COUNT];
    bool is_end;

    run->target->registers_get(run->target->context, registers);
    is_end = run->has_step_end && registers[DEBUG_PC] == run->step_end;
    step_end_clear(run);
    if (!is_end) {
        return stop(run, DEBUG_STOP_BREAKPOINT, registers[DEBUG_PC]);
    }
    if (run->state == DEBUG_RUN_STEP) {
        return stop(run, DEBUG_STOP_STEP, registers[DEBUG_PC]);
    }
    return go_on(run);
}

/* A memory fault of an app that runs free: a watchpoint, an innocent access beside one, or really a fault. */
static bool trapped_at_memory(struct debug_run *run, uint32_t address)
{
    struct prospect prospect;
    struct debug_access fetch;
    const struct debug_watch *watch;

    prospect_take(run, &prospect);
    watch = prospect_watch(run, &prospect);
    if (watch != NULL) {
        return stop_at_watch(run, watch, prospect.registers[DEBUG_PC]);
    }
    fetch =
        (struct debug_access){.address = prospect.registers[DEBUG_PC], .length = prospect.instruction.size};
    if (prospect.is_readable &&
        (debug_points_watch_is_near(&run->points, &fetch) ||
         (prospect.has_access && debug_points_watch_is_near(&run->points, &prospect.access)))) {
        return one_start(run, &prospect, DEBUG_RUN_PASS) && go_on(run);
    }
    return stop(run, DEBUG_STOP_MEMORY_FAULT, address);
}

bool debug_run_trapped(struct debug_run *run, enum debug_stop_reason reason, uint32_t address)
{
    run->target->app_hold(run->target->context);
    free_run_end(run);
    if (reason == DEBUG_STOP_BREAKPOINT) {
        return trapped_at_breakpoint(run);
    }
    if (reason == DEBUG_STOP_MEMORY_FAULT && run->state == DEBUG_RUN_FREE) {
        return trapped_at_memory(run, address);
    }
    debug_run_exclusive_forget(run);
    run->is_dead = reason == DEBUG_STOP_EXITED || reason == DEBUG_STOP_STACK_OVERFLOW;
    return stop(run, reason, address);
}

bool debug_run_points_changed(struct debug_run *run)
{
    if (run->state != DEBUG_RUN_FREE ||
        debug_points_break_count(&run->points) + debug_points_watch_count(&run->points) == 0) {
        return false; /* in the other states they are looked at when the app goes on */
    }
    run->target->app_hold(run->target->context);
    free_run_end(run);
    debug_points_watch_disarm(&run->points);
    return go_on(run);
}

bool debug_run_reloaded(struct debug_run *run)
{
    enum debug_run_state before = run->state;

    run->is_dead = false;
    run->watch_is_told = false;
    debug_run_exclusive_forget(run);
    debug_points_reload(&run->points);
    step_end_clear(run);
    switch (before) {
    case DEBUG_RUN_STOPPED:
        return false;
    case DEBUG_RUN_STEP:
        return stop(run, DEBUG_STOP_HALTED, 0);
    default:
        run->state = DEBUG_RUN_FREE;
        return debug_run_points_changed(run);
    }
}

void debug_run_release(struct debug_run *run)
{
    step_end_clear(run);
    debug_points_clear(&run->points);
    run->state = DEBUG_RUN_FREE;
    run->watch_is_told = false;
    if (run->is_dead) {
        run->is_dead = false;
        run->target->reset(run->target->context, false);
    }
    run->target->app_release(run->target->context);
}
