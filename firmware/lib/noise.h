#ifndef BROWNOUT_LIB_NOISE_H
#define BROWNOUT_LIB_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

/* Noise protocol framework, revision 34: Noise_{IK,KK}_25519_ChaChaPoly_BLAKE2b, both roles. No transport, no
 * random numbers: the caller hands in ephemeral private keys, 32 fresh random bytes a handshake. */

#define NOISE_KEY_SIZE  32u
#define NOISE_HASH_SIZE 64u
#define NOISE_TAG_SIZE  16u

/* Bytes that message 1 and 2 of a pattern add to their payload. */
#define NOISE_IK_1_OVERHEAD 96u /* e, encrypted s with tag, tag */
#define NOISE_IK_2_OVERHEAD 48u /* e, tag */
#define NOISE_KK_1_OVERHEAD 48u
#define NOISE_KK_2_OVERHEAD 48u

enum noise_pattern {
    NOISE_IK,
    NOISE_KK,
};

enum noise_role {
    NOISE_INITIATOR,
    NOISE_RESPONDER,
};

/* One direction of a finished handshake. */
struct noise_cipher {
    uint8_t key[NOISE_KEY_SIZE];
    uint64_t nonce; /* of the next message; 2^64 - 1 is never used */
};

/* Encrypts `length` bytes into length + NOISE_TAG_SIZE bytes; `out` may be `plain`. STATUS_OUT_OF_RANGE when
 * the nonces are used up. */
MUST_USE status_t noise_cipher_seal(struct noise_cipher *cipher, const uint8_t *ad, size_t ad_length,
                                    const uint8_t *plain, size_t length, uint8_t *out);

/* Decrypts `length` bytes, tag included, into length - NOISE_TAG_SIZE bytes; `out` may be `sealed`.
 * STATUS_AUTHENTICATION: nothing was written and the nonce stays. STATUS_OUT_OF_RANGE as above. */
MUST_USE status_t noise_cipher_open(struct noise_cipher *cipher, const uint8_t *ad, size_t ad_length,
                                    const uint8_t *sealed, size_t length, uint8_t *out);

struct noise_config {
    enum noise_pattern pattern;
    enum noise_role role;
    const uint8_t *prologue;
    size_t prologue_length;
    const uint8_t *local_private; /* 32 bytes, X25519 static */
    const uint8_t *remote_public; /* 32 bytes; NULL for the responder of IK, who learns it from message 1 */
};

/* A handshake under way. Holds secrets: ends with noise_handshake_split() or noise_handshake_wipe(). */
struct noise_handshake {
    enum noise_pattern pattern;
    enum noise_role role;
    uint8_t message; /* messages done: 0, 1, 2; NOISE_FAILED after an error */
    bool keyed;      /* the cipher has a key */
    struct noise_cipher cipher;
    uint8_t chaining_key[NOISE_HASH_SIZE];
    uint8_t hash[NOISE_HASH_SIZE];
    uint8_t local_private[NOISE_KEY_SIZE];
    uint8_t local_public[NOISE_KEY_SIZE];
    uint8_t ephemeral_private[NOISE_KEY_SIZE];
    uint8_t ephemeral_public[NOISE_KEY_SIZE];
    uint8_t remote_public[NOISE_KEY_SIZE]; /* static; IK's responder reads it here after message 1, before
                                              split */
    uint8_t remote_ephemeral[NOISE_KEY_SIZE];
};

#define NOISE_FAILED 0xFFu

/* STATUS_INVALID_ARGUMENT when remote_public is missing where the pattern needs it. */
MUST_USE status_t noise_handshake_start(struct noise_handshake *handshake, const struct noise_config *config);

/* Writes the next message with an encrypted payload. `*length` is its size. STATUS_NO_SPACE when it does not
 * fit `capacity`, STATUS_WRONG_STATE when it is the peer's turn, STATUS_AUTHENTICATION when a Diffie-Hellman
 * result is zero (the peer's key has low order). Any error but WRONG_STATE and NO_SPACE ends the handshake.
 * `message` must not overlap `payload`. */
MUST_USE status_t noise_handshake_write(struct noise_handshake *handshake,
                                        const uint8_t ephemeral_private[32], const uint8_t *payload,
                                        size_t payload_length, uint8_t *message, size_t capacity,
                                        size_t *length);

/* Reads the peer's next message. STATUS_MALFORMED: too short; STATUS_NO_SPACE: the payload is longer than
 * `capacity`; STATUS_AUTHENTICATION: it was not made by the peer for this handshake; STATUS_WRONG_STATE: not
 * the peer's turn. Any error but WRONG_STATE ends the handshake. `payload` must not overlap `message`. */
MUST_USE status_t noise_handshake_read(struct noise_handshake *handshake, const uint8_t *message,
                                       size_t length, uint8_t *payload, size_t capacity,
                                       size_t *payload_length);

bool noise_handshake_is_complete(const struct noise_handshake *handshake);

/* The transport ciphers, and with `hash` (may be NULL) the handshake hash for channel binding. Wipes the
 * handshake. STATUS_WRONG_STATE when it is not complete. */
MUST_USE status_t noise_handshake_split(struct noise_handshake *handshake, struct noise_cipher *send,
                                        struct noise_cipher *receive, uint8_t *hash);

void noise_handshake_wipe(struct noise_handshake *handshake);

#endif
