#ifndef BROWNOUT_LIB_COSE_H
#define BROWNOUT_LIB_COSE_H

#include <stddef.h>
#include <stdint.h>

#include "ed25519.h"
#include "status.h"

/* COSE_Sign1 (RFC 9052) with EdDSA over Ed25519, the only algorithm here: protected header {1: -8}, no
 * external_aad. */

/* STATUS_MALFORMED for another protected header, STATUS_BAD_SIGNATURE when the signature does not hold. */
MUST_USE status_t cose_sign1_verify(struct ed25519_span header, struct ed25519_span payload,
                                    const uint8_t signature[64], const uint8_t public_key[32]);

#endif
