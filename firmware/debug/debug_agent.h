#ifndef BROWNOUT_DEBUG_DEBUG_AGENT_H
#define BROWNOUT_DEBUG_DEBUG_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

/* Monitor-mode debugging of the app (server/PROTOCOL.md section 8): executes requests, keeps breakpoints and
 * watchpoints, reports stops. Knows the machine only through struct debug_target, sessions only through their
 * callbacks: no device header, no keys, no link. Everything is called from the kernel thread. */

enum debug_permission {
    DEBUG_PERMISSION_READ = 1,
    DEBUG_PERMISSION_WRITE = 2,
    DEBUG_PERMISSION_CONTROL = 4,
    DEBUG_PERMISSION_RESET = 8,
};

enum debug_stop_reason {
    DEBUG_STOP_HALTED = 1,
    DEBUG_STOP_BREAKPOINT = 2,
    DEBUG_STOP_STEP = 3,
    DEBUG_STOP_WATCH_WRITE = 4,
    DEBUG_STOP_WATCH_READ = 5,
    DEBUG_STOP_WATCH_ACCESS = 6,
    DEBUG_STOP_MEMORY_FAULT = 7,
    DEBUG_STOP_BUS_FAULT = 8,
    DEBUG_STOP_USAGE_FAULT = 9,
    DEBUG_STOP_HARD_FAULT = 10,
    DEBUG_STOP_STACK_OVERFLOW = 11,
    DEBUG_STOP_EXITED = 12,
};

#define DEBUG_REGISTER_COUNT 17u /* r0-r12, sp, lr, pc, xpsr */
#define DEBUG_SESSIONS       2u  /* the last one is not for tokens that only read */
#define DEBUG_MESSAGE_MAX    960u

/* What the agent needs of the machine. Addresses are the app's. */
struct debug_target {
    void *context;
    /* Memory that a debugger may read (write): STATUS_OUT_OF_RANGE for anything else, with nothing done. */
    status_t (*read)(void *context, uint32_t address, uint8_t *out, uint32_t length);
    status_t (*write)(void *context, uint32_t address, const uint8_t *bytes, uint32_t length);
    /* The stopped app's registers. */
    void (*registers_get)(void *context, uint32_t registers[DEBUG_REGISTER_COUNT]);
    status_t (*registers_set)(void *context, const uint32_t registers[DEBUG_REGISTER_COUNT]);
    /* Keeps the app from running, lets it run (also one that sleeps in a system call: it goes on sleeping).
     */
    void (*app_hold)(void *context);
    void (*app_release)(void *context);
    /* Hardware watch areas (MPU): `size` is a power of two from 32, `base` aligned to it; no_access also
     * stops reads. */
    uint32_t watch_areas;
    status_t (*watch_set)(void *context, uint32_t index, uint32_t base, uint32_t size, bool no_access);
    void (*watch_clear)(void *context, uint32_t index);
    /* Where the app lives, for `hello`. */
    uint32_t code_base, code_size, data_base, data_size;
    /* Where its stack is (size 0: unknown). The core pushes exception frames with the app's rights, so no
     * watch area may come near: watchpoints there are served by stepping the app. */
    uint32_t stack_base, stack_size;
    /* Restarts the app (and calls debug_agent_app_reloaded), or the device (returns; it happens once answers
     * have left). */
    void (*reset)(void *context, bool device);
};

/* One session's way out. */
struct debug_session_callbacks {
    void *context;
    /* Sends one debug-response; false when there is no room now: the agent keeps it and tries again in
     * debug_agent_poll. */
    bool (*send)(void *context, const uint8_t *message, size_t length);
};

struct debug_agent; /* in debug_agent_state.h, so that callers can place it */

void debug_agent_init(struct debug_agent *agent, const struct debug_target *target);

/* Opens session `index` (0..DEBUG_SESSIONS-1). STATUS_WRONG_STATE when it is open, or when another session
 * has more than read permission and so would this one. */
MUST_USE status_t debug_agent_attach(struct debug_agent *agent, uint32_t index, uint32_t permissions,
                                     const struct debug_session_callbacks *callbacks);

/* Ends a session; the last one with control permission leaves the app unpatched, unwatched and running. */
void debug_agent_detach(struct debug_agent *agent, uint32_t index);

/* One debug-request. STATUS_MALFORMED: the caller ends the session. STATUS_WOULD_BLOCK: the answer to an
 * earlier one has not left: the caller offers it again. */
MUST_USE status_t debug_agent_request(struct debug_agent *agent, uint32_t index, const uint8_t *message,
                                      size_t length);

/* The app trapped. False: not the agent's (no session controls the app): the supervisor handles it. `reason`
 * is DEBUG_STOP_BREAKPOINT for BKPT, DEBUG_STOP_MEMORY_FAULT with the faulting address for a possible
 * watchpoint, or another fault; the agent finds out what it really was. */
bool debug_agent_app_trapped(struct debug_agent *agent, enum debug_stop_reason reason, uint32_t address);

/* The app's code and data were loaded anew; it is about to start. Breakpoints are put into the new code. */
void debug_agent_app_reloaded(struct debug_agent *agent);

/* The app's console output; dropped when a session has no room. */
void debug_agent_output(struct debug_agent *agent, const uint8_t *bytes, size_t length);

/* Sends what could not be sent. */
void debug_agent_poll(struct debug_agent *agent);

/* True while a session has control permission: an upgrade waits. */
bool debug_agent_is_controlling(const struct debug_agent *agent);

/* Tells the controlling session that an upgrade waits (notice 1, once). */
void debug_agent_notice_upgrade(struct debug_agent *agent);

#endif
