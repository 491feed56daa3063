#ifndef BROWNOUT_LIB_KEY_WRAP_H
#define BROWNOUT_LIB_KEY_WRAP_H

#include <stdint.h>

#include "status.h"

/* Content keys: server/PROTOCOL.md section 5. */

#define KEY_WRAP_SIZE 80u

/* Unwraps a release's content key. STATUS_AUTHENTICATION when it was not made for this device, sequence and
 * key id. */
MUST_USE status_t key_unwrap(uint8_t content_key[32], const uint8_t wrapped[KEY_WRAP_SIZE],
                             const uint8_t wrap_private_key[32], const uint8_t device_id[16],
                             uint32_t sequence, const uint8_t key_id[16]);

/* Opens encrypted chunk `chunk` of `module_id` in place: `length` plaintext bytes followed by the tag. */
MUST_USE status_t chunk_open(uint8_t *buffer, uint32_t length, const uint8_t content_key[32],
                             uint32_t sequence, uint32_t module_id, uint32_t chunk, uint32_t image_size);

#endif
