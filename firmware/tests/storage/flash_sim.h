#ifndef BROWNOUT_TESTS_FLASH_SIM_H
#define BROWNOUT_TESTS_FLASH_SIM_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "board.h"
#include "flash.h"

/* NOR flash on the host with the fault model of docs/fault-model.md: an operation can be cut before, torn or
 * after; what a torn operation leaves half-way is unstable and reads anew at each power-on. A cut leaves the
 * code under test by longjmp to `power_off`. Everything random comes from the seed. */

enum cut_phase {
    CUT_BEFORE,
    CUT_TORN,
    CUT_AFTER,
    CUT_PHASES,
};

#define FLASH_SIM_NO_CUT UINT32_MAX

struct flash_sim {
    struct flash flash;
    uint8_t value[BOARD_FLASH_SIZE];    /* what reads */
    uint8_t unstable[BOARD_FLASH_SIZE]; /* bits that the next power-on draws anew */
    uint64_t random;
    uint32_t operations;    /* since power-on */
    uint32_t cut_operation; /* counted since power-on, from 0 */
    enum cut_phase cut_phase;
    bool cut_fired;
    uint32_t fail_operation; /* this operation since power-on is done in part or not at all, and reports
                                STATUS_FLASH */
    uint32_t illegal;        /* programs of 1 over 0, bad addresses */
    jmp_buf power_off;
};

/* An erased array. */
void flash_sim_init(struct flash_sim *sim, uint64_t seed);

/* Draws the unstable bits and starts counting operations; the cut is disarmed. */
void flash_sim_power_on(struct flash_sim *sim);

/* Cuts the power at operation `operation` (from 0) of this power-on. */
void flash_sim_arm(struct flash_sim *sim, uint32_t operation, enum cut_phase phase);

/* Changes the seed of everything that is drawn from now on. */
void flash_sim_seed(struct flash_sim *sim, uint64_t seed);

/* 0 <= n < limit */
uint32_t flash_sim_random(struct flash_sim *sim, uint32_t limit);

#endif
