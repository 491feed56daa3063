#include "ed25519.h"

#include <stdbool.h>
#include <string.h>

#include "monocypher.h"
#include "sha512.h"

/* Monocypher takes any encoding of a point; RFC 8032 section 5.1.3 refuses y >= p and "minus zero" for x. Two
 * encodings of one key or signature would be two names for the same thing. */
static bool point_is_canonical(const uint8_t point[32])
{
    static const uint8_t one[32] = {1};
    static const uint8_t p_minus_1_low = 0xec; /* p = 2^255 - 19 = 0x7fff..ffed */

    uint8_t y[32];
    memcpy(y, point, sizeof y);
    bool negative = (y[31] & 0x80u) != 0;
    y[31] &= 0x7fu;

    bool high_bytes_full = y[31] == 0x7fu;
    for (unsigned i = 1; i < 31u; i++) {
        high_bytes_full = high_bytes_full && y[i] == 0xffu;
    }
    if (high_bytes_full && y[0] > p_minus_1_low) {
        return false;
    }
    /* x is zero exactly for y = 1 and y = p - 1. */
    bool x_is_zero = memcmp(y, one, sizeof y) == 0 || (high_bytes_full && y[0] == p_minus_1_low);
    return !(negative && x_is_zero);
}

status_t ed25519_verify(const uint8_t signature[64], const uint8_t public_key[32],
                        const struct ed25519_span *spans, size_t count)
{
    if (!point_is_canonical(signature) || !point_is_canonical(public_key)) {
        return STATUS_BAD_SIGNATURE;
    }
    struct sha512 hash;
    uint8_t digest[SHA512_SIZE];
    uint8_t reduced[32];
    sha512_init(&hash);
    sha512_update(&hash, signature, 32);
    sha512_update(&hash, public_key, 32);
    for (size_t i = 0; i < count; i++) {
        sha512_update(&hash, spans[i].bytes, spans[i].length);
    }
    sha512_finish(&hash, digest);
    crypto_eddsa_reduce(reduced, digest);
    /* Also refuses S >= L, the malleable twin of a signature. */
    return crypto_eddsa_check_equation(signature, public_key, reduced) == 0 ? STATUS_OK
                                                                            : STATUS_BAD_SIGNATURE;
}
