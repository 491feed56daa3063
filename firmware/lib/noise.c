#include "noise.h"

#include <string.h>

#include "aead.h"
#include "bytes.h"
#include "monocypher.h"

#define HASH_BLOCK_SIZE 128u
#define MESSAGES        2u
#define TOKENS_MAX      5u

enum token {
    TOKEN_END = 0,
    TOKEN_E,
    TOKEN_S,
    TOKEN_EE,
    TOKEN_ES,
    TOKEN_SE,
    TOKEN_SS,
};

/* Both patterns have the responder's static key as a pre-message; KK has the initiator's too. */
struct pattern {
    char name[NOISE_HASH_SIZE]; /* padded with NUL: Noise's initial hash for names up to the hash's size */
    bool initiator_known;
    uint8_t tokens[MESSAGES][TOKENS_MAX];
};

static const struct pattern patterns[] = {
    [NOISE_IK] =
        {
            .name = "Noise_IK_25519_ChaChaPoly_BLAKE2b",
            .initiator_known = false,
            .tokens = {{TOKEN_E, TOKEN_ES, TOKEN_S, TOKEN_SS}, {TOKEN_E, TOKEN_EE, TOKEN_SE}},
        },
    [NOISE_KK] =
        {
            .name = "Noise_KK_25519_ChaChaPoly_BLAKE2b",
            .initiator_known = true,
            .tokens = {{TOKEN_E, TOKEN_ES, TOKEN_SS}, {TOKEN_E, TOKEN_EE, TOKEN_SE}},
        },
};

/* CipherState */

static void cipher_nonce(const struct noise_cipher *cipher, uint8_t nonce[AEAD_NONCE_SIZE])
{
    bytes_store_le32(nonce, 0);
    bytes_store_le64(nonce + 4, cipher->nonce);
}

status_t noise_cipher_seal(struct noise_cipher *cipher, const uint8_t *ad, size_t ad_length,
                           const uint8_t *plain, size_t length, uint8_t *out)
{
    if (cipher->nonce == UINT64_MAX) {
        return STATUS_OUT_OF_RANGE;
    }
    uint8_t nonce[AEAD_NONCE_SIZE];
    cipher_nonce(cipher, nonce);
    aead_seal(out, cipher->key, nonce, ad, ad_length, plain, length);
    cipher->nonce++;
    return STATUS_OK;
}

status_t noise_cipher_open(struct noise_cipher *cipher, const uint8_t *ad, size_t ad_length,
                           const uint8_t *sealed, size_t length, uint8_t *out)
{
    if (cipher->nonce == UINT64_MAX) {
        return STATUS_OUT_OF_RANGE;
    }
    if (length < NOISE_TAG_SIZE) {
        return STATUS_AUTHENTICATION;
    }
    uint8_t nonce[AEAD_NONCE_SIZE];
    cipher_nonce(cipher, nonce);
    RETURN_IF_ERROR(aead_open(out, cipher->key, nonce, ad, ad_length, sealed, length - NOISE_TAG_SIZE));
    cipher->nonce++;
    return STATUS_OK;
}

/* HMAC and HKDF (Noise section 4.3; RFC 2104 with BLAKE2b-512). Keys are at most one hash long. */

static void hmac(uint8_t out[NOISE_HASH_SIZE], const uint8_t key[NOISE_HASH_SIZE], const uint8_t *data,
                 size_t length)
{
    uint8_t pad[HASH_BLOCK_SIZE];
    crypto_blake2b_ctx hash;

    memset(pad, 0x36, sizeof pad);
    for (size_t i = 0; i < NOISE_HASH_SIZE; i++) {
        pad[i] ^= key[i];
    }
    crypto_blake2b_init(&hash, NOISE_HASH_SIZE);
    crypto_blake2b_update(&hash, pad, sizeof pad);
    crypto_blake2b_update(&hash, data, length);
    crypto_blake2b_final(&hash, out);

    for (size_t i = 0; i < sizeof pad; i++) {
        pad[i] ^= 0x36 ^ 0x5c;
    }
    crypto_blake2b_init(&hash, NOISE_HASH_SIZE);
    crypto_blake2b_update(&hash, pad, sizeof pad);
    crypto_blake2b_update(&hash, out, NOISE_HASH_SIZE);
    crypto_blake2b_final(&hash, out);
    crypto_wipe(pad, sizeof pad);
}

/* `out1` may be `chaining_key`. */
static void hkdf2(uint8_t out1[NOISE_HASH_SIZE], uint8_t out2[NOISE_HASH_SIZE],
                  const uint8_t chaining_key[NOISE_HASH_SIZE], const uint8_t *input, size_t length)
{
    uint8_t temporary_key[NOISE_HASH_SIZE];
    uint8_t expand[NOISE_HASH_SIZE + 1u];
    hmac(temporary_key, chaining_key, input, length);
    expand[0] = 1;
    hmac(out1, temporary_key, expand, 1);
    memcpy(expand, out1, NOISE_HASH_SIZE);
    expand[NOISE_HASH_SIZE] = 2;
    hmac(out2, temporary_key, expand, sizeof expand);
    crypto_wipe(temporary_key, sizeof temporary_key);
    crypto_wipe(expand, sizeof expand);
}

/* SymmetricState */

static void mix_hash(struct noise_handshake *hs, const uint8_t *data, size_t length)
{
    crypto_blake2b_ctx hash;
    crypto_blake2b_init(&hash, NOISE_HASH_SIZE);
    crypto_blake2b_update(&hash, hs->hash, NOISE_HASH_SIZE);
    crypto_blake2b_update(&hash, data, length);
    crypto_blake2b_final(&hash, hs->hash);
}

static void mix_key(struct noise_handshake *hs, const uint8_t *input, size_t length)
{
    uint8_t key[NOISE_HASH_SIZE];
    hkdf2(hs->chaining_key, key, hs->chaining_key, input, length);
    memcpy(hs->cipher.key, key, NOISE_KEY_SIZE);
    hs->cipher.nonce = 0;
    hs->keyed = true;
    crypto_wipe(key, sizeof key);
}

/* Both patterns have mixed a key before the first static key or payload, so nothing is ever sent in the clear
 * here. */
static status_t encrypt_and_hash(struct noise_handshake *hs, const uint8_t *plain, size_t length,
                                 uint8_t *out)
{
    if (!hs->keyed) {
        return STATUS_WRONG_STATE;
    }
    RETURN_IF_ERROR(noise_cipher_seal(&hs->cipher, hs->hash, NOISE_HASH_SIZE, plain, length, out));
    mix_hash(hs, out, length + NOISE_TAG_SIZE);
    return STATUS_OK;
}

static status_t decrypt_and_hash(struct noise_handshake *hs, const uint8_t *sealed, size_t length,
                                 uint8_t *out)
{
    if (!hs->keyed) {
        return STATUS_WRONG_STATE;
    }
    RETURN_IF_ERROR(noise_cipher_open(&hs->cipher, hs->hash, NOISE_HASH_SIZE, sealed, length, out));
    mix_hash(hs, sealed, length);
    return STATUS_OK;
}

/* HandshakeState */

static status_t mix_dh(struct noise_handshake *hs, const uint8_t private_key[32],
                       const uint8_t public_key[32])
{
    static const uint8_t zero[NOISE_KEY_SIZE];
    uint8_t shared[NOISE_KEY_SIZE];
    crypto_x25519(shared, private_key, public_key);
    if (crypto_verify32(shared, zero) == 0) { /* a key of low order: the peer contributed nothing */
        return STATUS_AUTHENTICATION;
    }
    mix_key(hs, shared, sizeof shared);
    crypto_wipe(shared, sizeof shared);
    return STATUS_OK;
}

static status_t mix_dh_token(struct noise_handshake *hs, uint8_t token)
{
    bool initiator = hs->role == NOISE_INITIATOR;
    /* "es" is the initiator's ephemeral with the responder's static key, "se" the reverse. */
    bool local_ephemeral = token == TOKEN_EE || token == (initiator ? TOKEN_ES : TOKEN_SE);
    bool remote_ephemeral = token == TOKEN_EE || token == (initiator ? TOKEN_SE : TOKEN_ES);
    return mix_dh(hs, local_ephemeral ? hs->ephemeral_private : hs->local_private,
                  remote_ephemeral ? hs->remote_ephemeral : hs->remote_public);
}

static const uint8_t *message_tokens(const struct noise_handshake *hs)
{
    return patterns[hs->pattern].tokens[hs->message];
}

/* The initiator writes messages 0, 2, ..; the responder the others. */
static bool is_writers_turn(const struct noise_handshake *hs)
{
    return (hs->message % 2u == 0) == (hs->role == NOISE_INITIATOR);
}

static size_t message_overhead(const struct noise_handshake *hs)
{
    size_t overhead = NOISE_TAG_SIZE;
    const uint8_t *tokens = message_tokens(hs);
    for (size_t i = 0; i < TOKENS_MAX && tokens[i] != TOKEN_END; i++) {
        if (tokens[i] == TOKEN_E) {
            overhead += NOISE_KEY_SIZE;
        } else if (tokens[i] == TOKEN_S) {
            overhead += NOISE_KEY_SIZE + NOISE_TAG_SIZE;
        }
    }
    return overhead;
}

static status_t fail(struct noise_handshake *hs, status_t status)
{
    noise_handshake_wipe(hs);
    return status;
}

status_t noise_handshake_start(struct noise_handshake *hs, const struct noise_config *config)
{
    const struct pattern *pattern = &patterns[config->pattern];
    bool initiator = config->role == NOISE_INITIATOR;
    noise_handshake_wipe(hs);
    if (config->remote_public == NULL && (initiator || pattern->initiator_known)) {
        return STATUS_INVALID_ARGUMENT;
    }
    hs->pattern = config->pattern;
    hs->role = config->role;
    hs->message = 0;
    memcpy(hs->local_private, config->local_private, NOISE_KEY_SIZE);
    crypto_x25519_public_key(hs->local_public, hs->local_private);
    if (config->remote_public != NULL) {
        memcpy(hs->remote_public, config->remote_public, NOISE_KEY_SIZE);
    }

    memcpy(hs->hash, pattern->name, NOISE_HASH_SIZE);
    memcpy(hs->chaining_key, hs->hash, NOISE_HASH_SIZE);
    mix_hash(hs, config->prologue, config->prologue_length);
    if (pattern->initiator_known) {
        mix_hash(hs, initiator ? hs->local_public : hs->remote_public, NOISE_KEY_SIZE);
    }
    mix_hash(hs, initiator ? hs->remote_public : hs->local_public, NOISE_KEY_SIZE);
    return STATUS_OK;
}

static status_t write_token(struct noise_handshake *hs, uint8_t token, const uint8_t ephemeral_private[32],
                            uint8_t **out)
{
    if (token == TOKEN_E) {
        memcpy(hs->ephemeral_private, ephemeral_private, NOISE_KEY_SIZE);
        crypto_x25519_public_key(hs->ephemeral_public, hs->ephemeral_private);
        memcpy(*out, hs->ephemeral_public, NOISE_KEY_SIZE);
        mix_hash(hs, hs->ephemeral_public, NOISE_KEY_SIZE);
        *out += NOISE_KEY_SIZE;
        return STATUS_OK;
    }
    if (token == TOKEN_S) {
        RETURN_IF_ERROR(encrypt_and_hash(hs, hs->local_public, NOISE_KEY_SIZE, *out));
        *out += NOISE_KEY_SIZE + NOISE_TAG_SIZE;
        return STATUS_OK;
    }
    return mix_dh_token(hs, token);
}

static status_t read_token(struct noise_handshake *hs, uint8_t token, const uint8_t **in)
{
    if (token == TOKEN_E) {
        memcpy(hs->remote_ephemeral, *in, NOISE_KEY_SIZE);
        mix_hash(hs, hs->remote_ephemeral, NOISE_KEY_SIZE);
        *in += NOISE_KEY_SIZE;
        return STATUS_OK;
    }
    if (token == TOKEN_S) {
        RETURN_IF_ERROR(decrypt_and_hash(hs, *in, NOISE_KEY_SIZE + NOISE_TAG_SIZE, hs->remote_public));
        *in += NOISE_KEY_SIZE + NOISE_TAG_SIZE;
        return STATUS_OK;
    }
    return mix_dh_token(hs, token);
}

status_t noise_handshake_write(struct noise_handshake *hs, const uint8_t ephemeral_private[32],
                               const uint8_t *payload, size_t payload_length, uint8_t *message,
                               size_t capacity, size_t *length)
{
    if (hs->message >= MESSAGES || !is_writers_turn(hs)) {
        return STATUS_WRONG_STATE;
    }
    size_t overhead = message_overhead(hs);
    if (capacity < overhead || capacity - overhead < payload_length) {
        return STATUS_NO_SPACE;
    }
    uint8_t *out = message;
    const uint8_t *tokens = message_tokens(hs);
    status_t status = STATUS_OK;
    for (size_t i = 0; i < TOKENS_MAX && tokens[i] != TOKEN_END && status == STATUS_OK; i++) {
        status = write_token(hs, tokens[i], ephemeral_private, &out);
    }
    if (status == STATUS_OK) {
        status = encrypt_and_hash(hs, payload, payload_length, out);
    }
    if (status != STATUS_OK) {
        return fail(hs, status);
    }
    hs->message++;
    *length = overhead + payload_length;
    return STATUS_OK;
}

status_t noise_handshake_read(struct noise_handshake *hs, const uint8_t *message, size_t length,
                              uint8_t *payload, size_t capacity, size_t *payload_length)
{
    if (hs->message >= MESSAGES || is_writers_turn(hs)) {
        return STATUS_WRONG_STATE;
    }
    size_t overhead = message_overhead(hs);
    if (length < overhead) {
        return fail(hs, STATUS_MALFORMED);
    }
    if (capacity < length - overhead) {
        return fail(hs, STATUS_NO_SPACE);
    }
    const uint8_t *in = message;
    const uint8_t *tokens = message_tokens(hs);
    status_t status = STATUS_OK;
    for (size_t i = 0; i < TOKENS_MAX && tokens[i] != TOKEN_END && status == STATUS_OK; i++) {
        status = read_token(hs, tokens[i], &in);
    }
    if (status == STATUS_OK) {
        status = decrypt_and_hash(hs, in, length - overhead + NOISE_TAG_SIZE, payload);
    }
    if (status != STATUS_OK) {
        return fail(hs, status);
    }
    hs->message++;
    *payload_length = length - overhead;
    return STATUS_OK;
}

bool noise_handshake_is_complete(const struct noise_handshake *hs)
{
    return hs->message == MESSAGES;
}

status_t noise_handshake_split(struct noise_handshake *hs, struct noise_cipher *send,
                               struct noise_cipher *receive, uint8_t *hash)
{
    if (!noise_handshake_is_complete(hs)) {
        return STATUS_WRONG_STATE;
    }
    uint8_t key1[NOISE_HASH_SIZE];
    uint8_t key2[NOISE_HASH_SIZE];
    hkdf2(key1, key2, hs->chaining_key, NULL, 0);
    bool initiator = hs->role == NOISE_INITIATOR;
    memcpy(send->key, initiator ? key1 : key2, NOISE_KEY_SIZE);
    memcpy(receive->key, initiator ? key2 : key1, NOISE_KEY_SIZE);
    send->nonce = 0;
    receive->nonce = 0;
    if (hash != NULL) {
        memcpy(hash, hs->hash, NOISE_HASH_SIZE);
    }
    crypto_wipe(key1, sizeof key1);
    crypto_wipe(key2, sizeof key2);
    noise_handshake_wipe(hs);
    return STATUS_OK;
}

void noise_handshake_wipe(struct noise_handshake *hs)
{
    crypto_wipe(hs, sizeof *hs);
    hs->message = NOISE_FAILED;
}
