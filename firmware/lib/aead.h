#ifndef BROWNOUT_LIB_AEAD_H
#define BROWNOUT_LIB_AEAD_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

/* ChaCha20-Poly1305 (RFC 8439). Ciphertext and tag are adjacent: `length` bytes, then AEAD_TAG_SIZE. */

#define AEAD_KEY_SIZE   32u
#define AEAD_NONCE_SIZE 12u
#define AEAD_TAG_SIZE   16u

/* `out` has length + AEAD_TAG_SIZE bytes and may be the same buffer as `plain`. */
void aead_seal(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], const uint8_t *ad,
               size_t ad_length, const uint8_t *plain, size_t length);

/* `length` counts the plaintext; `sealed` has length + AEAD_TAG_SIZE bytes; `out` may be the same buffer.
 * STATUS_AUTHENTICATION leaves `out` undefined when it overlaps, untouched otherwise. */
MUST_USE status_t aead_open(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], const uint8_t *ad,
                            size_t ad_length, const uint8_t *sealed, size_t length);

#endif
