#ifndef BROWNOUT_LIB_SHA512_H
#define BROWNOUT_LIB_SHA512_H

#include <stddef.h>
#include <stdint.h>

/* SHA-512 (FIPS 180-4). Only Ed25519 needs it; module digests are BLAKE2b (digest.h). */

#define SHA512_SIZE       64u
#define SHA512_BLOCK_SIZE 128u

struct sha512 {
    uint64_t state[8];
    uint64_t length; /* bytes so far; messages of 2^61 bytes and more are not supported */
    uint8_t block[SHA512_BLOCK_SIZE];
};

void sha512_init(struct sha512 *hash);
void sha512_update(struct sha512 *hash, const uint8_t *data, size_t length);

/* Writes the digest and wipes the state. */
void sha512_finish(struct sha512 *hash, uint8_t digest[SHA512_SIZE]);

#endif
