#ifndef BROWNOUT_KERNEL_DEBUG_PORT_H
#define BROWNOUT_KERNEL_DEBUG_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "debug_agent.h"
#include "supervisor.h"

/* The debug agent on this kernel: the app's saved context, its memory, MPU areas. Kernel thread, unless it
 * says so. */

/* Before anything else here, and before the app starts. */
void debug_port_init(void);

struct debug_agent *debug_port_agent(void);

/* Hands collected console output to the agent. */
void debug_port_poll(void);

/* The app stopped. True: a debugger deals with it. */
bool debug_port_app_trapped(enum supervisor_fault fault, uint32_t address);

/* The app was loaded anew. */
void debug_port_app_reloaded(void);

/* From SVC: the app's console output. What does not fit until the next poll is dropped. */
void debug_port_output(const uint8_t *bytes, size_t length);

/* True when a debugger asked for a reset of the device, and `drained` (all output has left) or it waited long
 * enough. */
bool debug_port_wants_reset(bool drained, uint32_t now_ms);

#endif
