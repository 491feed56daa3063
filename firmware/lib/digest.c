#include "digest.h"

#include "monocypher.h"

void digest_compute(uint8_t digest[DIGEST_SIZE], const uint8_t *data, size_t length)
{
    crypto_blake2b(digest, DIGEST_SIZE, data, length);
}

bool digest_equal(const uint8_t a[DIGEST_SIZE], const uint8_t b[DIGEST_SIZE])
{
    return crypto_verify32(a, b) == 0;
}
