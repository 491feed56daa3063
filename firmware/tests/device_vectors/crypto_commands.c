#include "aead.h"
#include "cobs.h"
#include "commands.h"
#include "digest.h"
#include "ed25519.h"
#include "key_wrap.h"
#include "monocypher.h"
#include "random.h"
#include "sha512.h"

#include <string.h>

#define SPANS_MAX 64u

static uint8_t scratch[COMMANDS_LINE_MAX];

/* ed25519 SIGNATURE KEY SPAN MESSAGE: the message goes in as spans of SPAN bytes (the last takes what is
 * left). */
static void ed25519(struct argument *arguments)
{
    struct ed25519_span spans[SPANS_MAX];
    size_t count = 0;
    size_t span = arguments[2].number;
    const uint8_t *at = arguments[3].bytes;
    size_t left = arguments[3].length;
    while (left > 0 || count == 0) {
        size_t length = left < span || count + 1u == SPANS_MAX ? left : span;
        spans[count++] = (struct ed25519_span){.bytes = length == 0 ? NULL : at, .length = length};
        at += length;
        left -= length;
    }
    commands_put_status(ed25519_verify(arguments[0].bytes, arguments[1].bytes, spans, count));
}

/* sha512 STEP MESSAGE: updated with STEP bytes at a time. */
static void sha512(struct argument *arguments)
{
    struct sha512 hash;
    uint8_t digest[SHA512_SIZE];
    size_t step = arguments[0].number;
    sha512_init(&hash);
    for (size_t at = 0; at < arguments[1].length; at += step) {
        size_t left = arguments[1].length - at;
        sha512_update(&hash, arguments[1].bytes + at, left < step ? left : step);
    }
    sha512_finish(&hash, digest);
    commands_put_bytes(digest, sizeof digest);
    commands_put_status(STATUS_OK);
}

static void digest(struct argument *arguments)
{
    uint8_t out[DIGEST_SIZE];
    digest_compute(out, arguments[0].bytes, arguments[0].length);
    commands_put_bytes(out, sizeof out);
    commands_put_status(STATUS_OK);
}

static void digests_equal(struct argument *arguments)
{
    commands_put_number(digest_equal(arguments[0].bytes, arguments[1].bytes));
    commands_put_status(STATUS_OK);
}

/* blake2b SIZE KEY MESSAGE */
static void blake2b(struct argument *arguments)
{
    uint8_t out[64];
    crypto_blake2b_keyed(out, arguments[0].number, arguments[1].bytes, arguments[1].length,
                         arguments[2].bytes, arguments[2].length);
    commands_put_bytes(out, arguments[0].number);
    commands_put_status(STATUS_OK);
}

static void x25519(struct argument *arguments)
{
    uint8_t shared[32];
    crypto_x25519(shared, arguments[0].bytes, arguments[1].bytes);
    commands_put_bytes(shared, sizeof shared);
    commands_put_status(STATUS_OK);
}

/* x25519iterate COUNT: the iterated test of RFC 7748 section 5.2, from k = u = 9. */
static void x25519_iterate(struct argument *arguments)
{
    uint8_t k[32] = {9};
    uint8_t u[32] = {9};
    for (uint32_t i = 0; i < arguments[0].number; i++) {
        uint8_t next[32];
        crypto_x25519(next, k, u);
        memcpy(u, k, sizeof u);
        memcpy(k, next, sizeof k);
    }
    commands_put_bytes(k, sizeof k);
    commands_put_status(STATUS_OK);
}

static void x25519_public(struct argument *arguments)
{
    uint8_t key[32];
    crypto_x25519_public_key(key, arguments[0].bytes);
    commands_put_bytes(key, sizeof key);
    commands_put_status(STATUS_OK);
}

/* seal KEY NONCE AD PLAIN, in place */
static void seal(struct argument *arguments)
{
    size_t length = arguments[3].length;
    memcpy(scratch, arguments[3].bytes, length);
    aead_seal(scratch, arguments[0].bytes, arguments[1].bytes, arguments[2].bytes, arguments[2].length,
              scratch, length);
    commands_put_bytes(scratch, length + AEAD_TAG_SIZE);
    commands_put_status(STATUS_OK);
}

/* open KEY NONCE AD SEALED: into a buffer of 0xa5, which is shown after a failure too */
static void open(struct argument *arguments)
{
    size_t length = arguments[3].length - AEAD_TAG_SIZE;
    memset(scratch, 0xa5, length);
    status_t status = aead_open(scratch, arguments[0].bytes, arguments[1].bytes, arguments[2].bytes,
                                arguments[2].length, arguments[3].bytes, length);
    commands_put_bytes(scratch, length);
    commands_put_status(status);
}

/* unwrap WRAPPED PRIVATE DEVICE_ID SEQUENCE KEY_ID */
static void unwrap(struct argument *arguments)
{
    uint8_t key[32] = {0};
    status_t status = key_unwrap(key, arguments[0].bytes, arguments[1].bytes, arguments[2].bytes,
                                 arguments[3].number, arguments[4].bytes);
    commands_put_bytes(key, sizeof key);
    commands_put_status(status);
}

/* chunk KEY SEQUENCE MODULE CHUNK IMAGE_SIZE SEALED */
static void chunk(struct argument *arguments)
{
    uint32_t length = (uint32_t)(arguments[5].length - AEAD_TAG_SIZE);
    status_t status = chunk_open(arguments[5].bytes, length, arguments[0].bytes, arguments[1].number,
                                 arguments[2].number, arguments[3].number, arguments[4].number);
    commands_put_bytes(arguments[5].bytes, length);
    commands_put_status(status);
}

/* random SEED FIRST SECOND: two draws of that many bytes */
static void random_draws(struct argument *arguments)
{
    struct random random;
    random_seed(&random, arguments[0].bytes);
    for (unsigned i = 1; i <= 2; i++) {
        random_bytes(&random, scratch, arguments[i].number);
        commands_put_bytes(scratch, arguments[i].number);
    }
    commands_put_status(STATUS_OK);
}

/* cobs BYTES: encoded with room for exactly the longest result, in place */
static void cobs(struct argument *arguments)
{
    size_t length = arguments[0].length;
    uint8_t *in = scratch + COBS_OVERHEAD(length);
    memcpy(in, arguments[0].bytes, length);
    commands_put_bytes(scratch, cobs_encode(scratch, in, length));
    commands_put_status(STATUS_OK);
}

/* uncobs CAPACITY STREAM: every frame as bytes, every error as "!" */
static void uncobs(struct argument *arguments)
{
    struct cobs_decoder decoder;
    cobs_decoder_init(&decoder, scratch, arguments[0].number);
    for (size_t i = 0; i < arguments[1].length; i++) {
        enum cobs_event event = cobs_decoder_push(&decoder, arguments[1].bytes[i]);
        if (event == COBS_FRAME) {
            commands_put_bytes(decoder.buffer, decoder.length);
        } else if (event == COBS_ERROR) {
            commands_put_text("! ");
        }
    }
    commands_put_status(STATUS_OK);
}

const struct command crypto_commands[] = {
    {"ed25519", 4, ed25519},
    {"sha512", 2, sha512},
    {"digest", 1, digest},
    {"digestsequal", 2, digests_equal},
    {"blake2b", 3, blake2b},
    {"x25519", 2, x25519},
    {"x25519public", 1, x25519_public},
    {"x25519iterate", 1, x25519_iterate},
    {"seal", 4, seal},
    {"open", 4, open},
    {"unwrap", 5, unwrap},
    {"chunk", 6, chunk},
    {"random", 3, random_draws},
    {"cobs", 1, cobs},
    {"uncobs", 2, uncobs},
    {NULL, 0, NULL},
};
