#ifndef BROWNOUT_LIB_LINK_MUX_H
#define BROWNOUT_LIB_LINK_MUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link_state.h"

/* Virtual channels, credit and control messages inside a session (PROTOCOL.md section 3). */

/* Full credit both ways, nothing pending. */
void link_mux_reset(struct link *link);

/* Takes one decrypted message: channel byte and payload. An error ends the session: STATUS_PROTOCOL for an
 * unknown channel or a credit overrun, STATUS_MALFORMED for a control message that cannot be decoded,
 * STATUS_NOT_FOUND when the peer closed the session. */
MUST_USE status_t link_mux_receive(struct link *link, const uint8_t *message, size_t length);

/* Puts one message into its channel's slot. STATUS_INVALID_ARGUMENT for a channel outside 1..3 or a payload
 * over LINK_PAYLOAD_MAX, STATUS_WOULD_BLOCK when the slot is taken or the credit too small. */
MUST_USE status_t link_mux_enqueue(struct link *link, uint32_t channel, const uint8_t *payload,
                                   size_t length);

/* Sends what may be sent, control first, then the channels in turn, until the output is taken. Ends the
 * session when the nonces are used up. */
MUST_USE status_t link_mux_output(struct link *link);

/* Whether link_mux_output() has something to send. */
bool link_mux_is_pending(const struct link *link);

#endif
