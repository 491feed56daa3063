#include "debug_port.h"

#include <string.h>

#include "board.h"
#include "clock.h"
#include "debug_agent_state.h"
#include "log.h"
#include "mpu.h"
#include "thread.h"

#define OUTPUT_RING_SIZE  512u
#define RESET_PATIENCE_MS 500u

#define CORE_DEMCR   (*(volatile uint32_t *)0xE000EDFCu)
#define DEMCR_MON_EN (1u << 16)

#define XPSR_ALIGNED 0x00000200u /* the core skipped a word to align the frame */
#define XPSR_THUMB   0x01000000u
#define XPSR_FLAGS   0xF8000000u

#define BKPT_MASK   0xFF00u
#define BKPT_OPCODE 0xBE00u

static struct debug_agent agent;
static uint8_t output_ring[OUTPUT_RING_SIZE];
static volatile uint32_t output_head; /* written in SVC; the app does not run while the kernel thread does */
static uint32_t output_tail;
static bool reset_wanted;
static uint32_t reset_asked_ms;

static bool range_is_inside(uint32_t address, uint32_t length, uint32_t base, uint32_t size)
{
    return address >= base && length <= size && address - base <= size - length;
}

static bool is_data(uint32_t address, uint32_t length)
{
    return range_is_inside(address, length, BOARD_MEMORY_APP_DATA_BASE, BOARD_MEMORY_APP_DATA_SIZE);
}

static bool is_code(uint32_t address, uint32_t length)
{
    return range_is_inside(address, length, BOARD_MEMORY_APP_CODE_BASE, BOARD_MEMORY_APP_CODE_SIZE);
}

/* ---- struct debug_target */

static status_t memory_read(void *context, uint32_t address, uint8_t *out, uint32_t length)
{
    (void)context;
    if (!is_data(address, length) && !is_code(address, length) &&
        !range_is_inside(address, length, BOARD_FLASH_BASE + BOARD_REGION_APP_OFFSET,
                         BOARD_REGION_APP_SIZE) &&
        !range_is_inside(address, length, BOARD_FLASH_BASE + BOARD_REGION_ASSETS_OFFSET,
                         BOARD_REGION_ASSETS_SIZE)) {
        return STATUS_OUT_OF_RANGE;
    }
    memcpy(out, (const void *)address, length);
    return STATUS_OK;
}

static status_t memory_write(void *context, uint32_t address, const uint8_t *bytes, uint32_t length)
{
    (void)context;
    if (!is_data(address, length) && !is_code(address, length)) {
        return STATUS_OUT_OF_RANGE;
    }
    memcpy((void *)address, bytes, length);
    __asm volatile("dsb\n isb" : : : "memory"); /* it may be code */
    return STATUS_OK;
}

/* The frame of the stopped app; NULL when its stack pointer is lost. */
static struct thread_frame *app_frame(void)
{
    uint32_t psp = thread_app()->psp;

    return is_data(psp, sizeof(struct thread_frame)) ? (struct thread_frame *)psp : NULL;
}

static void registers_get(void *context, uint32_t registers[DEBUG_REGISTER_COUNT])
{
    const struct thread *app = thread_app();
    const struct thread_frame *frame = app_frame();

    (void)context;
    memset(registers, 0, DEBUG_REGISTER_COUNT * sizeof(registers[0]));
    memcpy(&registers[4], app->registers, sizeof(app->registers));
    registers[DEBUG_SP] = app->psp;
    if (frame == NULL) {
        return;
    }
    memcpy(&registers[0], &frame->r0, 4 * sizeof(frame->r0));
    registers[12] = frame->r12;
    registers[DEBUG_SP] += (uint32_t)sizeof(*frame) + ((frame->xpsr & XPSR_ALIGNED) != 0 ? 4u : 0u);
    registers[DEBUG_LR] = frame->lr;
    registers[DEBUG_PC] = frame->pc;
    registers[DEBUG_XPSR] = frame->xpsr & ~XPSR_ALIGNED;
}

/* Setting sp moves the frame: the core takes it from there when the app goes on. */
static status_t registers_set(void *context, const uint32_t registers[DEBUG_REGISTER_COUNT])
{
    struct thread *app = thread_app();
    uint32_t sp = registers[DEBUG_SP];
    uint32_t psp = (sp - (uint32_t)sizeof(struct thread_frame)) & ~7u;
    struct thread_frame *frame = (struct thread_frame *)psp;

    (void)context;
    if (sp % 4u != 0 || (registers[DEBUG_PC] & 1u) != 0 || !is_data(psp, sizeof(*frame))) {
        return STATUS_OUT_OF_RANGE;
    }
    *frame = (struct thread_frame){
        .r12 = registers[12],
        .lr = registers[DEBUG_LR],
        .pc = registers[DEBUG_PC],
        .xpsr = (registers[DEBUG_XPSR] & (XPSR_FLAGS | DEBUG_XPSR_IT)) | XPSR_THUMB |
                (sp % 8u != 0 ? XPSR_ALIGNED : 0u),
    };
    memcpy(&frame->r0, &registers[0], 4 * sizeof(frame->r0));
    memcpy(app->registers, &registers[4], sizeof(app->registers));
    app->psp = psp;
    return STATUS_OK;
}

static void app_hold(void *context)
{
    (void)context;
    supervisor_app_hold(true);
}

static void app_release(void *context)
{
    (void)context;
    supervisor_app_hold(false);
}

static status_t watch_set(void *context, uint32_t index, uint32_t base, uint32_t size, bool no_access)
{
    (void)context;
    if (!is_data(base, size) && !is_code(base, size)) {
        return STATUS_OUT_OF_RANGE;
    }
    mpu_region_set(SUPERVISOR_MPU_REGIONS + index, base, size, no_access ? MPU_NONE : MPU_READ,
                   is_code(base, size));
    return STATUS_OK;
}

static void watch_clear(void *context, uint32_t index)
{
    (void)context;
    mpu_region_clear(SUPERVISOR_MPU_REGIONS + index);
}

static void reset(void *context, bool device)
{
    (void)context;
    if (device) {
        reset_wanted = true;
        reset_asked_ms = clock_now_ms();
    } else if (supervisor_app_restart() != STATUS_OK) {
        log_line("kernel: app image is damaged");
    }
}

/* ---- */

void debug_port_init(void)
{
    static struct debug_target target = {
        .read = memory_read,
        .write = memory_write,
        .registers_get = registers_get,
        .registers_set = registers_set,
        .app_hold = app_hold,
        .app_release = app_release,
        .watch_areas = BOARD_CPU_MPU_REGIONS - SUPERVISOR_MPU_REGIONS,
        .watch_set = watch_set,
        .watch_clear = watch_clear,
        .code_base = BOARD_MEMORY_APP_CODE_BASE,
        .code_size = BOARD_MEMORY_APP_CODE_SIZE,
        .data_base = BOARD_MEMORY_APP_DATA_BASE,
        .data_size = BOARD_MEMORY_APP_DATA_SIZE,
        .stack_base = BOARD_MEMORY_APP_DATA_BASE,
        .reset = reset,
    };

    target.stack_size = supervisor_app_stack_size();
    /* With the debug monitor BKPT raises its exception; cores without one ignore this, and BKPT is a hard
     * fault. */
    CORE_DEMCR |= DEMCR_MON_EN;
    debug_agent_init(&agent, &target);
}

struct debug_agent *debug_port_agent(void)
{
    return &agent;
}

void debug_port_output(const uint8_t *bytes, size_t length)
{
    uint32_t head = output_head;

    for (size_t i = 0; i < length && head - output_tail < OUTPUT_RING_SIZE; i++) {
        output_ring[head % OUTPUT_RING_SIZE] = bytes[i];
        head++;
    }
    output_head = head;
    thread_kernel_wake();
}

void debug_port_poll(void)
{
    while (output_tail != output_head) {
        uint32_t start = output_tail % OUTPUT_RING_SIZE;
        uint32_t length = output_head - output_tail;

        length = length < OUTPUT_RING_SIZE - start ? length : OUTPUT_RING_SIZE - start;
        debug_agent_output(&agent, &output_ring[start], length);
        output_tail += length;
    }
}

static enum debug_stop_reason reason_of(enum supervisor_fault fault)
{
    switch (fault) {
    case SUPERVISOR_FAULT_BREAKPOINT:
        return DEBUG_STOP_BREAKPOINT;
    case SUPERVISOR_FAULT_MEMORY:
        return DEBUG_STOP_MEMORY_FAULT;
    case SUPERVISOR_FAULT_BUS:
        return DEBUG_STOP_BUS_FAULT;
    case SUPERVISOR_FAULT_USAGE:
        return DEBUG_STOP_USAGE_FAULT;
    case SUPERVISOR_FAULT_STACK:
        return DEBUG_STOP_STACK_OVERFLOW;
    case SUPERVISOR_FAULT_EXIT:
        return DEBUG_STOP_EXITED;
    default:
        return DEBUG_STOP_HARD_FAULT;
    }
}

static bool is_breakpoint(uint32_t address)
{
    return is_code(address, 2) && (*(const uint16_t *)address & BKPT_MASK) == BKPT_OPCODE;
}

/* Some debug monitors return behind the BKPT. */
static void breakpoint_pc_correct(void)
{
    struct thread_frame *frame = app_frame();

    if (frame != NULL && !is_breakpoint(frame->pc) && is_breakpoint(frame->pc - 2u)) {
        frame->pc -= 2u;
    }
}

bool debug_port_app_trapped(enum supervisor_fault fault, uint32_t address)
{
    const struct thread_frame *frame = app_frame();

    /* QEMU 7.2 escalates BKPT with HFSR.FORCED alone, without DEBUGEVT: the instruction tells. */
    if (fault == SUPERVISOR_FAULT_HARD && frame != NULL && is_breakpoint(frame->pc)) {
        fault = SUPERVISOR_FAULT_BREAKPOINT;
    }
    if (fault == SUPERVISOR_FAULT_BREAKPOINT) {
        breakpoint_pc_correct();
    }
    return debug_agent_app_trapped(&agent, reason_of(fault), address);
}

void debug_port_app_reloaded(void)
{
    debug_agent_app_reloaded(&agent);
}

bool debug_port_wants_reset(bool drained, uint32_t now_ms)
{
    return reset_wanted && (drained || clock_reached(now_ms, reset_asked_ms + RESET_PATIENCE_MS));
}
