#ifndef BROWNOUT_LIB_E2E_H
#define BROWNOUT_LIB_E2E_H

#include <stddef.h>
#include <stdint.h>

#include "noise.h"
#include "random.h"
#include "status.h"
#include "token.h"

/* The device's end of an end-to-end channel (server/PROTOCOL.md section 7): Noise_KK responder. Frames go in
 * and come out; the server between the two ends has no key. */

#define E2E_SESSION_ID_SIZE 16u
#define E2E_OVERHEAD        17u /* type byte and tag of a transport frame */
#define E2E_HANDSHAKE_MAX   64u /* bytes of the answer to a handshake message */

enum e2e_phase {
    E2E_CLOSED,
    E2E_HANDSHAKE, /* the token is good; KK message 1 is awaited */
    E2E_UNPROVEN,  /* message 2 went out; nothing is executed before a transport message */
    E2E_READY,
};

/* What every session of the device is bound to. */
struct e2e_identity {
    const uint8_t *device_id;        /* 16 bytes, NUL padded */
    const uint8_t *private_key;      /* 32 bytes, the debug key */
    const uint8_t *fleet_public_key; /* 32 bytes */
    const uint8_t *manifest_digest;  /* 32 bytes: BLAKE2b-256 of the installed envelope */
};

struct e2e_session {
    enum e2e_phase phase;
    struct token token;
    struct noise_handshake handshake;
    struct noise_cipher send;
    struct noise_cipher receive;
};

/* Starts a session for the holder of `token`. Errors as token_open(); the session is closed then. */
MUST_USE status_t e2e_open(struct e2e_session *session, const struct e2e_identity *identity,
                           const uint8_t session_id[E2E_SESSION_ID_SIZE], const uint8_t *token, size_t length,
                           uint32_t now);

/* Takes a frame from the client. A handshake frame leaves the answer's length in `*answer_length` and no
 * plaintext; a transport frame leaves its plaintext in `plain`, which has room for length - E2E_OVERHEAD
 * bytes. Any error but STATUS_WRONG_STATE closes the session. */
MUST_USE status_t e2e_receive(struct e2e_session *session, struct random *random, const uint8_t *frame,
                              size_t length, uint8_t answer[E2E_HANDSHAKE_MAX], size_t *answer_length,
                              uint8_t *plain, size_t *plain_length);

/* Makes a transport frame of length + E2E_OVERHEAD bytes. STATUS_WRONG_STATE before the client has proved
 * itself. */
MUST_USE status_t e2e_seal(struct e2e_session *session, const uint8_t *plain, size_t length, uint8_t *frame);

/* Forgets all keys. */
void e2e_close(struct e2e_session *session);

#endif
