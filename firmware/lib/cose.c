#include "cose.h"

#include <string.h>

/* The encoded protected header {1: -8}: algorithm EdDSA, nothing else. */
static const uint8_t protected_header[] = {0xA1, 0x01, 0x27};

/* Start of the Sig_structure of RFC 9052 section 4.4: an array of four, "Signature1", the protected header
 * and an empty external_aad; the payload follows as a byte string. */
static const uint8_t signed_prefix[] = {
    0x84, 0x6A, 'S', 'i', 'g', 'n', 'a', 't', 'u', 'r', 'e', '1', 0x43, 0xA1, 0x01, 0x27, 0x40,
};

/* Encodes the head of a byte string of 0..65535 bytes; returns its length. */
static size_t bstr_head_encode(uint8_t head[3], size_t length)
{
    if (length < 24) {
        head[0] = (uint8_t)(0x40u | length);
        return 1;
    }
    if (length < 256) {
        head[0] = 0x58;
        head[1] = (uint8_t)length;
        return 2;
    }
    head[0] = 0x59;
    head[1] = (uint8_t)(length >> 8);
    head[2] = (uint8_t)length;
    return 3;
}

status_t cose_sign1_verify(struct ed25519_span header, struct ed25519_span payload,
                           const uint8_t signature[64], const uint8_t public_key[32])
{
    uint8_t head[3];
    const struct ed25519_span spans[] = {
        {signed_prefix, sizeof(signed_prefix)},
        {head, bstr_head_encode(head, payload.length)},
        payload,
    };

    if (header.length != sizeof(protected_header) ||
        memcmp(header.bytes, protected_header, sizeof(protected_header)) != 0) {
        return STATUS_MALFORMED;
    }
    return ed25519_verify(signature, public_key, spans, sizeof(spans) / sizeof(spans[0]));
}
