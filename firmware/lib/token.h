#ifndef BROWNOUT_LIB_TOKEN_H
#define BROWNOUT_LIB_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

/* Authorisation of a debug client: server/cddl/debug.cddl, server/PROTOCOL.md section 7. */

struct token {
    uint8_t client_public_key[32];
    uint32_t permissions; /* bit mask of enum debug_permission */
    uint32_t expires;     /* Unix time, seconds */
    uint32_t serial;
};

/* Checks the signature, that the token is for this device (16 bytes of id, NUL padded) and that it has not
 * expired at `now`. STATUS_MALFORMED, _BAD_SIGNATURE, _AUTHENTICATION (another device) or _TIMEOUT (expired).
 */
MUST_USE status_t token_open(const uint8_t *envelope, size_t length, const uint8_t fleet_public_key[32],
                             const uint8_t device_id[16], uint32_t now, struct token *token);

#endif
