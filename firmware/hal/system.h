#ifndef BROWNOUT_HAL_SYSTEM_H
#define BROWNOUT_HAL_SYSTEM_H

#include <stdint.h>

/* What a stack word holds until it is used: startup code fills the stacks, and a debugger or the harness
 * reads the high-water mark from RAM. */
#define SYSTEM_STACK_FILL 0xA5A5A5A5u

/* Requests a reset of the core (AIRCR.SYSRESETREQ) and never returns. */
__attribute__((noreturn)) void system_reset(void);

/* Copies the 32 bytes of entropy that this power-on provided. The same bytes until the next power-on: seed a
 * generator with them once. */
void system_entropy_read(uint8_t entropy[32]);

/* Sleeps until an interrupt is pending. */
void system_wait_for_interrupt(void);

/* Sleeps for good; only a power cycle ends it. */
__attribute__((noreturn)) void system_halt(void);

/* Makes `vectors` the vector table, its first word the main stack pointer, and jumps to its reset handler. */
__attribute__((noreturn)) void system_start_image(const uint32_t *vectors);

#endif
