/* Cuts the power at every operation of an upgrade, in every phase, under many seeds, also again during the
 * recovery, and checks after every boot what SPEC.md section 8 promises. The world (a flash image with an old
 * set installed and a new one staged) comes from Python, with real signatures.
 *
 *   policy_sweep WORLD MASK EXPECT SEEDS NESTED_SEEDS RANDOM_LIVES
 *
 * MASK: modules that were staged. EXPECT: "new" (the upgrade ends with the new set) or "old" (it is refused).
 * Prints the replay line of the first violation and exits with 1. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "flash_sim.h"
#include "identity.h"
#include "layout.h"
#include "policy.h"
#include "record_log.h"
#include "upgrade_flag.h"

#define CUTS_MAX    6u
#define BOOTS_MAX   40u
#define AFTER_BOOTS 3u /* power-ons after the upgrade ended: what is in place has to persist */

struct cut {
    uint32_t operation;
    enum cut_phase phase;
};

/* What is cut in one life, and what the kernel does. */
struct plan {
    uint64_t seed;
    uint32_t count;
    struct cut cuts[CUTS_MAX];
    bool scribble; /* a started kernel whose flag is clear begins another download */
    bool fail;     /* one operation of the first session reports an error instead */
    uint32_t fail_operation;
};

enum outcome {
    SET_OLD,
    SET_NEW,
    SET_MIXED,
};

static struct flash_sim initial, sim;
static struct {
    uint8_t old_set[BOARD_FLASH_SIZE];
    uint8_t new_set[BOARD_FLASH_SIZE];
    uint32_t mask;
    bool expect_new;
    const uint8_t *public_key;
} world;

/* Of the current life. */
static struct {
    struct plan plan;
    uint32_t next_cut;
    uint32_t cuts_fired;
    uint32_t sessions;
    uint32_t sequence; /* highest that an installed set had */
    bool scribbled;
    uint32_t first_session_operations;
} life;

static uint64_t lives, boots;

__attribute__((noreturn, format(printf, 1, 2))) static void violation(const char *format, ...)
{
    va_list arguments;

    printf("violation: ");
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("; replay: seed %llu scribble %d cuts", (unsigned long long)life.plan.seed, life.plan.scribble);
    for (uint32_t i = 0; i < life.plan.count; i++) {
        printf(" %u/%s", life.plan.cuts[i].operation,
               (const char *[]){"before", "torn", "after"}[life.plan.cuts[i].phase]);
    }
    printf("%s, session %u\n", life.plan.fail ? ", failing operation" : "", life.sessions);
    exit(1);
}

static void event_ignore(void *context, enum policy_event event, uint32_t value)
{
    (void)context;
    (void)event;
    (void)value;
}

static bool region_is(struct flash_region region, const uint8_t *set)
{
    return memcmp(&sim.value[region.offset], &set[region.offset], region.size) == 0;
}

/* Compares whole regions byte for byte; the manifest region included. */
static enum outcome installed_set(void)
{
    bool old_set = region_is(layout_manifest, world.old_set);
    bool new_set = region_is(layout_manifest, world.new_set);

    for (uint32_t id = MODULE_KERNEL; id < MODULE_COUNT; id++) {
        old_set = old_set && region_is(layout_module_installed(id), world.old_set);
        new_set = new_set && region_is(layout_module_installed(id), world.new_set);
    }
    return old_set ? SET_OLD : new_set ? SET_NEW : SET_MIXED;
}

static void booted_check(const struct manifest *installed)
{
    struct record_log log;
    struct upgrade_flag flag;

    record_log_init(&log, &sim.flash, layout_flag);
    upgrade_flag_read(&log, &flag);
    /* A flag that could not be cleared because the flash failed keeps nobody from a complete set. */
    if (flag.state != UPGRADE_CLEAR && !life.plan.fail) {
        violation("kernel started with flag state %#x", flag.state);
    }
    if (installed_set() == SET_MIXED) {
        violation("the installed set is neither old nor new");
    }
    if (installed->sequence < life.sequence) {
        violation("security counter fell from %u to %u", life.sequence, installed->sequence);
    }
    life.sequence = installed->sequence;
}

/* What the kernel does after a download: request the upgrade, unless boot dropped this set. Returns true when
 * it resets. */
static bool kernel_request(void)
{
    struct record_log log;
    struct upgrade_flag flag;
    struct upgrade_flag request = {.state = UPGRADE_REQUESTED, .module_mask = world.mask};
    const uint8_t *envelope;
    uint32_t length;

    record_log_init(&log, &sim.flash, layout_flag);
    upgrade_flag_read(&log, &flag);
    if (installed_set() == SET_NEW || flag.drop_reason != 0 || life.scribbled ||
        manifest_region_find(&sim.flash, layout_staged_manifest, &envelope, &length) != STATUS_OK) {
        return false;
    }
    digest_compute(request.manifest_digest, envelope, length);
    if (upgrade_flag_write(&log, &request) == STATUS_OK) {
        return true;
    }
    if (!life.plan.fail) {
        violation("the kernel could not write the flag");
    }
    return false;
}

/* Another download begins: the staged set is gone while the flag log may still hold ghosts of it. */
static void kernel_scribble(void)
{
    static const uint8_t zeros[256];
    struct flash_region kernel = layout_module_staged(MODULE_KERNEL);

    life.scribbled = true;
    if (flash_region_erase(&sim.flash, layout_staged_manifest) != STATUS_OK ||
        flash_region_erase(&sim.flash, kernel) != STATUS_OK ||
        flash_write(&sim.flash, kernel.offset, zeros, sizeof(zeros)) != STATUS_OK) {
        violation("the kernel could not write its staging area");
    }
}

/* From reset until the kernel has nothing more to do. */
static void session_body(void)
{
    struct policy policy = {
        .flash = &sim.flash, .release_public_key = world.public_key, .report = event_ignore};
    struct manifest installed;
    status_t status;

    do {
        if (++boots > 0 && ++life.sessions > BOOTS_MAX) {
            violation("no end of boots");
        }
        status = policy_run(&policy, &installed);
        if (status != STATUS_OK) {
            violation("boot halted: %s", status_text(status));
        }
        booted_check(&installed);
        if (life.plan.scribble && !life.scribbled && life.cuts_fired > 0) {
            kernel_scribble();
        }
    } while (kernel_request());
}

/* One power-on to the next power loss or rest. False when it was cut. */
static bool session_run(void)
{
    flash_sim_power_on(&sim);
    if (life.next_cut < life.plan.count) {
        flash_sim_arm(&sim, life.plan.cuts[life.next_cut].operation, life.plan.cuts[life.next_cut].phase);
    }
    if (life.plan.fail && life.next_cut == 0) {
        sim.fail_operation = life.plan.fail_operation;
    }
    life.next_cut++;
    if (setjmp(sim.power_off) != 0) {
        life.cuts_fired++;
        return false;
    }
    session_body();
    return true;
}

/* Runs a life; returns how many operations its first session had. */
static uint32_t life_run(const struct plan *plan)
{
    uint32_t rest = 0;

    lives++;
    memset(&life, 0, sizeof(life));
    life.plan = *plan;
    sim = initial;
    sim.flash.array = sim.value;
    sim.flash.context = &sim;
    flash_sim_seed(&sim, plan->seed);
    while (rest <= AFTER_BOOTS) {
        bool ended = session_run();

        if (life.next_cut == 1) {
            life.first_session_operations = sim.operations;
        }
        rest = ended && life.next_cut >= plan->count ? rest + 1u : 0;
    }
    if (sim.illegal != 0) {
        violation("%u illegal flash operations", sim.illegal);
    }
    if (!world.expect_new && installed_set() != SET_OLD) {
        violation("a set that has to be refused was installed");
    }
    if (world.expect_new && !plan->scribble && installed_set() != SET_NEW) {
        violation("the upgrade did not end with the new set");
    }
    return life.first_session_operations;
}

static void cut_must_have_fired(uint32_t count)
{
    if (life.cuts_fired < count) {
        violation("%u cuts fired, expected %u", life.cuts_fired, count);
    }
}

static void sweep_single(uint32_t operations, uint32_t seeds)
{
    for (uint32_t operation = 0; operation < operations; operation++) {
        for (uint32_t phase = 0; phase < CUT_PHASES; phase++) {
            for (uint32_t seed = 0; seed < (phase == CUT_TORN ? seeds : 1u); seed++) {
                for (uint32_t scribble = 0; scribble < 2; scribble++) {
                    struct plan plan = {.seed = seed, .count = 1, .scribble = scribble != 0};

                    plan.cuts[0] = (struct cut){operation, (enum cut_phase)phase};

                    (void)life_run(&plan);
                    cut_must_have_fired(1);
                }
            }
        }
    }
}

/* Every operation reports an error once, and the power is cut somewhere afterwards. */
static void sweep_errors(uint32_t operations, uint32_t seeds)
{
    for (uint32_t operation = 0; operation < operations; operation++) {
        for (uint32_t seed = 0; seed < seeds; seed++) {
            struct plan plan = {.seed = seed, .fail = true, .fail_operation = operation};

            if (seed > 0) {
                plan.count = 1;
                plan.cuts[0] = (struct cut){operation + 1u + seed % operations, CUT_TORN};
            }
            (void)life_run(&plan);
        }
    }
}

/* Every operation, then every operation of what follows: both torn, and in the other phases. */
static void sweep_nested(uint32_t operations, uint32_t seeds)
{
    for (uint32_t first = 0; first < operations; first++) {
        for (uint32_t second = 0; second < operations; second++) {
            for (uint32_t phases = 0; phases < CUT_PHASES * CUT_PHASES; phases++) {
                enum cut_phase phase_1 = (enum cut_phase)(phases / CUT_PHASES);
                enum cut_phase phase_2 = (enum cut_phase)(phases % CUT_PHASES);
                uint32_t rounds = seeds > 1 && !(phase_1 == CUT_TORN && phase_2 == CUT_TORN) ? 1u : seeds;

                for (uint32_t seed = 0; seed < rounds; seed++) {
                    struct plan plan = {.seed = seed * 1000003u + first * 1009u + second, .count = 2};

                    plan.cuts[0] = (struct cut){first, phase_1};
                    plan.cuts[1] = (struct cut){second, phase_2};
                    plan.scribble = plan.seed % 4u == 3u;
                    (void)life_run(&plan);
                    cut_must_have_fired(1);
                }
            }
        }
    }
}

/* Up to CUTS_MAX cuts in a row, half of them at the operations where the flag is written. */
static void sweep_random(uint32_t operations, uint32_t count)
{
    struct flash_sim dice;

    flash_sim_init(&dice, 42);
    for (uint32_t i = 0; i < count; i++) {
        struct plan plan = {.seed = 7000000u + i, .scribble = flash_sim_random(&dice, 4) == 0};

        plan.count = 1u + flash_sim_random(&dice, CUTS_MAX);
        for (uint32_t j = 0; j < plan.count; j++) {
            uint32_t limit = flash_sim_random(&dice, 2) == 0 ? 8 : operations;

            plan.cuts[j].operation = flash_sim_random(&dice, limit < operations ? limit : operations);
            plan.cuts[j].phase = flash_sim_random(&dice, 4) == 0
                                     ? (enum cut_phase)flash_sim_random(&dice, CUT_PHASES)
                                     : CUT_TORN;
        }
        (void)life_run(&plan);
    }
}

/* A complete, stable copy of the staged set as it has to look in place. */
static void expected_make(void)
{
    struct flash_region from = layout_staged_manifest;

    memcpy(world.old_set, initial.value, sizeof(world.old_set));
    memcpy(world.new_set, initial.value, sizeof(world.new_set));
    memcpy(&world.new_set[layout_manifest.offset], &initial.value[from.offset], from.size);
    for (uint32_t id = MODULE_KERNEL; id < MODULE_COUNT; id++) {
        if ((world.mask & (1u << id)) != 0) {
            memcpy(&world.new_set[layout_module_installed(id).offset],
                   &initial.value[layout_module_staged(id).offset], layout_module_staged(id).size);
        }
    }
}

static bool world_load(const char *path)
{
    FILE *file = fopen(path, "rb");
    const struct identity *identity;
    size_t count = 0;

    flash_sim_init(&initial, 0);
    if (file != NULL) {
        count = fread(initial.value, 1, BOARD_FLASH_SIZE, file);
        (void)fclose(file);
    }
    if (count != BOARD_FLASH_SIZE ||
        identity_open(&initial.value[layout_identity.offset], &identity) != STATUS_OK) {
        return false;
    }
    world.public_key = identity->release_public_key;
    return true;
}

int main(int argc, char **argv)
{
    struct plan no_cut = {.seed = 1};
    uint32_t operations;

    if (argc != 7 || !world_load(argv[1])) {
        fprintf(stderr, "usage: policy_sweep WORLD MASK EXPECT SEEDS NESTED_SEEDS RANDOM_LIVES\n");
        return 2;
    }
    world.mask = (uint32_t)strtoul(argv[2], NULL, 0);
    world.expect_new = strcmp(argv[3], "new") == 0;
    expected_make();
    operations = life_run(&no_cut);
    sweep_single(operations, (uint32_t)strtoul(argv[4], NULL, 0));
    sweep_errors(operations, (uint32_t)strtoul(argv[4], NULL, 0));
    sweep_nested(operations, (uint32_t)strtoul(argv[5], NULL, 0));
    sweep_random(operations, (uint32_t)strtoul(argv[6], NULL, 0));
    printf("%u operations, %llu lives, %llu boots held\n", operations, (unsigned long long)lives,
           (unsigned long long)boots);
    return 0;
}
