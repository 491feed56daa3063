#ifndef BROWNOUT_KERNEL_TELEMETRY_H
#define BROWNOUT_KERNEL_TELEMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Messages of the app on their way to the application channel. When the link cannot keep up, new messages are
 * dropped and counted: the app is never blocked. Filled in SVC, emptied by the kernel thread. */

bool telemetry_push(const uint8_t *message, size_t length);

/* The oldest message; 0 when there is none. `*message` stays valid until telemetry_pop(). */
size_t telemetry_peek(const uint8_t **message);
void telemetry_pop(void);

uint32_t telemetry_dropped(void);

#endif
