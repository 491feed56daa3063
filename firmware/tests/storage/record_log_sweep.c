/* Random lives of a record log under power cuts. A read must give the value of the last write that returned,
 * or of a write that was interrupted since; "no record" only before the first write that returned. Prints the
 * seed of the first life that breaks this. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flash_sim.h"
#include "layout.h"
#include "record_log.h"

#define SESSIONS       14u
#define CANDIDATES_MAX (SESSIONS + 1u)

struct life {
    struct flash_sim sim;
    struct record_log log;
    uint32_t candidates[CANDIDATES_MAX]; /* values that a read may give; 0 is "no record" */
    uint32_t candidate_count;
    uint32_t next_value;
    volatile uint32_t pending; /* the value being written */
};

static struct life life;

static uint32_t value_read(void)
{
    uint8_t payload[RECORD_LOG_PAYLOAD_SIZE];
    uint32_t value = 0;

    if (record_log_read(&life.log, payload) == STATUS_OK) {
        memcpy(&value, payload, sizeof(value));
    }
    return value;
}

static bool read_is_allowed(void)
{
    uint32_t value = value_read();

    for (uint32_t i = 0; i < life.candidate_count; i++) {
        if (life.candidates[i] == value) {
            return true;
        }
    }
    return false;
}

static bool value_write(void)
{
    uint8_t payload[RECORD_LOG_PAYLOAD_SIZE];
    uint32_t value = ++life.next_value;

    memset(payload, (int)(value * 37u), sizeof(payload));
    memcpy(payload, &value, sizeof(value));
    life.pending = value;
    if (record_log_write(&life.log, payload) != STATUS_OK) {
        life.candidates[life.candidate_count++] = value;
        return read_is_allowed();
    }
    life.pending = 0;
    life.candidates[0] = value;
    life.candidate_count = 1;
    return value_read() == value;
}

/* One session: some writes, usually ended by a cut. False when a read broke the rule. */
static bool session_run(void)
{
    uint32_t writes = 1u + flash_sim_random(&life.sim, flash_sim_random(&life.sim, 32) == 0 ? 140 : 3);

    flash_sim_power_on(&life.sim);
    record_log_init(&life.log, &life.sim.flash, layout_flag);
    if (!read_is_allowed()) {
        return false;
    }
    if (flash_sim_random(&life.sim, 8) != 0) {
        flash_sim_arm(&life.sim, flash_sim_random(&life.sim, writes + 2u),
                      (enum cut_phase)flash_sim_random(&life.sim, CUT_PHASES));
    } else if (flash_sim_random(&life.sim, 2) != 0) {
        life.sim.fail_operation = flash_sim_random(&life.sim, writes + 2u);
    }
    life.pending = 0;
    if (setjmp(life.sim.power_off) != 0) {
        if (life.pending != 0) {
            life.candidates[life.candidate_count++] = life.pending;
        }
        return true;
    }
    for (uint32_t i = 0; i < writes; i++) {
        if (!value_write()) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000;

    for (uint64_t seed = first; seed < first + count; seed++) {
        flash_sim_init(&life.sim, seed);
        life.candidates[0] = 0;
        life.candidate_count = 1;
        life.next_value = 0;
        for (uint32_t session = 0; session < SESSIONS; session++) {
            bool held = session_run();

            if (!held || life.sim.illegal != 0) {
                printf("seed %llu: session %u read value %u, illegal operations %u\n",
                       (unsigned long long)seed, session, value_read(), life.sim.illegal);
                return 1;
            }
        }
    }
    printf("%llu lives of %u sessions held\n", (unsigned long long)count, SESSIONS);
    return 0;
}
