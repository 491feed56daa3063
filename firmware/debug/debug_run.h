#ifndef BROWNOUT_DEBUG_DEBUG_RUN_H
#define BROWNOUT_DEBUG_DEBUG_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "debug_points.h"

/* Halts, resumes and steps the app. A step is a temporary breakpoint where the decoded instruction goes on.
 * Whoever lets the app run from a breakpoint or a watchpoint first executes that one instruction without
 * them. */

enum debug_run_state {
    DEBUG_RUN_FREE = 0, /* also while nobody controls the app */
    DEBUG_RUN_STEP,     /* one instruction, then a stop */
    DEBUG_RUN_PASS,     /* one instruction, then it goes on */
    DEBUG_RUN_STOPPED,
};

struct debug_run {
    const struct debug_target *target;
    struct debug_points points;
    struct debug_memory memory; /* without patches */
    enum debug_run_state state;
    uint32_t step_end; /* address of the temporary breakpoint */
    bool has_step_end;
    bool watch_is_told; /* the access of the instruction at told_pc was reported: the next run passes it */
    uint32_t told_pc;
    struct debug_access exclusive; /* of the LDREX that was stepped; length 0: none */
    bool is_dead;                  /* exited, or its stack is lost: only a restart helps */
    enum debug_stop_reason reason;
    uint32_t address;
};

void debug_run_init(struct debug_run *run, const struct debug_target *target);

/* Stops the app, whatever it does. */
void debug_run_halt(struct debug_run *run);

/* Both need a stopped app that is not dead; true when it has stopped again at once (`reason`, `address`). */
bool debug_run_resume(struct debug_run *run);
bool debug_run_step(struct debug_run *run);

/* The app trapped. True when that is a stop; false when it runs on. */
bool debug_run_trapped(struct debug_run *run, enum debug_stop_reason reason, uint32_t address);

/* Watchpoints were added or removed: what they need of a running app. True when that stopped it. */
bool debug_run_points_changed(struct debug_run *run);

/* Somebody else wrote to the app's memory: an exclusive store that follows fails. */
void debug_run_exclusive_forget(struct debug_run *run);

/* The app starts over; a stopped one stays stopped. True when it has stopped because of that. */
bool debug_run_reloaded(struct debug_run *run);

/* Removes all breakpoints and watchpoints and lets the app run. */
void debug_run_release(struct debug_run *run);

#endif
