#ifndef BROWNOUT_DEBUG_DEBUG_POINTS_H
#define BROWNOUT_DEBUG_DEBUG_POINTS_H

#include <stdbool.h>
#include <stdint.h>

#include "debug_instruction.h"

/* Breakpoints (BKPT patched over an instruction's first halfword) and watchpoints (MPU areas), and the app's
 * memory as it is without the patches. */

#define DEBUG_BREAKPOINTS_MAX 32u
#define DEBUG_WATCHPOINTS_MAX 8u

/* Who wants a breakpoint: it is in memory while anybody does. */
enum debug_patch_owner {
    DEBUG_OWNER_SOFTWARE = 1, /* the client, as a software breakpoint */
    DEBUG_OWNER_HARDWARE = 2, /* the client, as a hardware breakpoint */
    DEBUG_OWNER_STEP = 4,     /* the end of a step */
};

#define DEBUG_OWNER_CLIENT ((uint32_t)DEBUG_OWNER_SOFTWARE | DEBUG_OWNER_HARDWARE)

/* As GDB numbers them. */
enum debug_watch_kind {
    DEBUG_WATCH_WRITE = 2,
    DEBUG_WATCH_READ = 3,
    DEBUG_WATCH_ACCESS = 4,
};

struct debug_patch {
    uint32_t address;
    uint16_t original;
    uint8_t owners; /* 0: unused */
    bool is_lifted; /* the original is in memory for now */
};

struct debug_watch {
    uint32_t kind; /* 0: unused */
    uint32_t address, length;
    uint32_t area_base, area_size;
    uint32_t area;       /* hardware area */
    bool is_by_stepping; /* too close to the stack for the hardware */
};

struct debug_points {
    const struct debug_target *target;
    struct debug_patch patches[DEBUG_BREAKPOINTS_MAX + 1u]; /* one is kept for the end of a step */
    struct debug_watch watches[DEBUG_WATCHPOINTS_MAX];
};

void debug_points_init(struct debug_points *points, const struct debug_target *target);

/* Removes everything. */
void debug_points_clear(struct debug_points *points);

/* The app's code was loaded anew: patches it again. */
void debug_points_reload(struct debug_points *points);

/* Memory without patches. STATUS_OUT_OF_RANGE as the target's. `scratch` takes `length` bytes. */
MUST_USE status_t debug_points_read(void *points, uint32_t address, uint8_t *out, uint32_t length);
MUST_USE status_t debug_points_write(struct debug_points *points, uint32_t address, const uint8_t *bytes,
                                     uint32_t length, uint8_t *scratch);

/* Setting twice and removing what is not there are no errors. STATUS_NO_SPACE, STATUS_OUT_OF_RANGE. */
MUST_USE status_t debug_points_break_set(struct debug_points *points, uint32_t address,
                                         enum debug_patch_owner owner);
void debug_points_break_clear(struct debug_points *points, uint32_t address, enum debug_patch_owner owner);
bool debug_points_break_is_at(const struct debug_points *points, uint32_t address);
uint32_t debug_points_break_count(const struct debug_points *points);

/* Takes the patches out of an instruction that is about to be executed, puts all back. */
void debug_points_lift(struct debug_points *points, uint32_t address, uint32_t size);
void debug_points_lower(struct debug_points *points);

MUST_USE status_t debug_points_watch_set(struct debug_points *points, uint32_t kind, uint32_t address,
                                         uint32_t length);
void debug_points_watch_clear(struct debug_points *points, uint32_t kind, uint32_t address, uint32_t length);
uint32_t debug_points_watch_count(const struct debug_points *points);

/* The watchpoint that an access concerns, NULL when there is none. */
const struct debug_watch *debug_points_watch_find(const struct debug_points *points,
                                                  const struct debug_access *access);

/* True when an armed area lies in the way of the access. */
bool debug_points_watch_is_near(const struct debug_points *points, const struct debug_access *access);

/* True when a watchpoint can only be served by stepping. */
bool debug_points_watch_needs_steps(const struct debug_points *points);

void debug_points_watch_arm(struct debug_points *points);
void debug_points_watch_disarm(struct debug_points *points);

#endif
