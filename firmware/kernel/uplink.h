#ifndef BROWNOUT_KERNEL_UPLINK_H
#define BROWNOUT_KERNEL_UPLINK_H

#include <stdbool.h>
#include <stdint.h>

#include "identity.h"
#include "upgrade.h"

/* Joins the uplink UART, the link and its channels: telemetry out, upgrade messages both ways. */

/* Opens the UART and starts the link; `upgrade` is initialised here. */
MUST_USE status_t uplink_init(const struct flash *flash, const struct identity *identity,
                              uint32_t boot_version, uint32_t now_ms);

/* Moves bytes and messages; called by the kernel thread whenever it was woken. True when it wants to be
 * called again at once. */
bool uplink_poll(uint32_t now_ms);

/* True when an upgrade waits for the device to reset. */
bool uplink_wants_reset(uint32_t now_ms);

/* From the UART's interrupt handlers; true when bytes arrived. */
bool uplink_interrupt(void);

#endif
