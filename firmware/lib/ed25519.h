#ifndef BROWNOUT_LIB_ED25519_H
#define BROWNOUT_LIB_ED25519_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

/* Ed25519 signature check of RFC 8032 (PureEdDSA, SHA-512), with the strict rules: S below the group order, R
 * and the public key in their one canonical encoding. */

/* A piece of the signed message; `bytes` may be NULL when `length` is 0. */
struct ed25519_span {
    const uint8_t *bytes;
    size_t length;
};

/* Checks `signature` over the concatenation of `count` spans. STATUS_BAD_SIGNATURE when it does not hold.
 * Not constant time: everything here is public. */
MUST_USE status_t ed25519_verify(const uint8_t signature[64], const uint8_t public_key[32],
                                 const struct ed25519_span *spans, size_t count);

#endif
