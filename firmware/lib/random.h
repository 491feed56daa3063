#ifndef BROWNOUT_LIB_RANDOM_H
#define BROWNOUT_LIB_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Deterministic random bit generator: ChaCha20 with fast key erasure, seeded from the entropy of a power-on.
 */
struct random {
    uint8_t key[32];
};

void random_seed(struct random *random, const uint8_t entropy[32]);
void random_bytes(struct random *random, uint8_t *out, size_t length);

#endif
