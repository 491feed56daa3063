#ifndef EXAMPLE_COMMON_CORTEX_H
#define EXAMPLE_COMMON_CORTEX_H

#include <stdint.h>

/* Resets the core (AIRCR.SYSRESETREQ). */
__attribute__((noreturn)) void cortex_reset(void);

/* Stays here; only a power cycle or the reset pin ends it. */
__attribute__((noreturn)) void cortex_halt(void);

/* Makes `vectors` the vector table, its first word the main stack pointer, and jumps to its reset handler. */
__attribute__((noreturn)) void cortex_image_start(const uint32_t *vectors);

/* Fills the stack below the caller's frame, so that nothing that earlier calls left there can be read: what
 * is done from here on depends on the flash alone, not on how often the power was lost on the way. */
void cortex_stack_wipe(void);

#endif
