#include "e2e.h"

#include <string.h>

#include "bytes.h"
#include "monocypher.h"

enum frame_type {
    FRAME_KK_1 = 1,
    FRAME_KK_2 = 2,
    FRAME_TRANSPORT = 3,
};

static const char label[] = "fieldlink-e2e-1";

#define LABEL_SIZE    (sizeof(label) - 1u)
#define PROLOGUE_SIZE (LABEL_SIZE + 16u + E2E_SESSION_ID_SIZE + 4u + 32u)

static void prologue_build(uint8_t prologue[PROLOGUE_SIZE], const struct e2e_identity *identity,
                           const uint8_t *session_id, uint32_t permissions)
{
    uint8_t *to = prologue;

    memcpy(to, label, LABEL_SIZE);
    to += LABEL_SIZE;
    memcpy(to, identity->device_id, 16);
    to += 16;
    memcpy(to, session_id, E2E_SESSION_ID_SIZE);
    to += E2E_SESSION_ID_SIZE;
    bytes_store_le32(to, permissions);
    memcpy(to + 4, identity->manifest_digest, 32);
}

status_t e2e_open(struct e2e_session *session, const struct e2e_identity *identity,
                  const uint8_t session_id[E2E_SESSION_ID_SIZE], const uint8_t *token, size_t length,
                  uint32_t now)
{
    uint8_t prologue[PROLOGUE_SIZE];
    struct noise_config config = {
        .pattern = NOISE_KK,
        .role = NOISE_RESPONDER,
        .prologue = prologue,
        .prologue_length = sizeof(prologue),
        .local_private = identity->private_key,
        .remote_public = session->token.client_public_key,
    };

    e2e_close(session);
    RETURN_IF_ERROR(
        token_open(token, length, identity->fleet_public_key, identity->device_id, now, &session->token));
    prologue_build(prologue, identity, session_id, session->token.permissions);
    RETURN_IF_ERROR(noise_handshake_start(&session->handshake, &config));
    session->phase = E2E_HANDSHAKE;
    return STATUS_OK;
}

/* KK message 1 in, message 2 out; both carry nothing. */
static status_t handshake_answer(struct e2e_session *session, struct random *random, const uint8_t *message,
                                 size_t length, uint8_t answer[E2E_HANDSHAKE_MAX], size_t *answer_length)
{
    uint8_t ephemeral[32];
    uint8_t nothing[1];
    size_t nothing_length;
    status_t status = noise_handshake_read(&session->handshake, message, length, nothing, 0, &nothing_length);

    RETURN_IF_ERROR(status);
    random_bytes(random, ephemeral, sizeof(ephemeral));
    answer[0] = FRAME_KK_2;
    status = noise_handshake_write(&session->handshake, ephemeral, nothing, 0, &answer[1],
                                   E2E_HANDSHAKE_MAX - 1u, answer_length);
    crypto_wipe(ephemeral, sizeof(ephemeral));
    RETURN_IF_ERROR(status);
    *answer_length += 1u;
    RETURN_IF_ERROR(noise_handshake_split(&session->handshake, &session->send, &session->receive, NULL));
    session->phase = E2E_UNPROVEN;
    return STATUS_OK;
}

static status_t transport_open(struct e2e_session *session, const uint8_t *frame, size_t length,
                               uint8_t *plain, size_t *plain_length)
{
    if (session->phase != E2E_UNPROVEN && session->phase != E2E_READY) {
        return STATUS_PROTOCOL;
    }
    RETURN_IF_ERROR(noise_cipher_open(&session->receive, NULL, 0, &frame[1], length - 1u, plain));
    session->phase = E2E_READY;
    *plain_length = length - E2E_OVERHEAD;
    return STATUS_OK;
}

status_t e2e_receive(struct e2e_session *session, struct random *random, const uint8_t *frame, size_t length,
                     uint8_t answer[E2E_HANDSHAKE_MAX], size_t *answer_length, uint8_t *plain,
                     size_t *plain_length)
{
    status_t status = STATUS_PROTOCOL;

    *answer_length = 0;
    *plain_length = 0;
    if (session->phase == E2E_CLOSED) {
        return STATUS_WRONG_STATE;
    }
    if (length < E2E_OVERHEAD) {
        status = STATUS_MALFORMED;
    } else if (frame[0] == FRAME_KK_1 && session->phase == E2E_HANDSHAKE) {
        status = handshake_answer(session, random, &frame[1], length - 1u, answer, answer_length);
    } else if (frame[0] == FRAME_TRANSPORT) {
        status = transport_open(session, frame, length, plain, plain_length);
    }
    if (status != STATUS_OK) {
        e2e_close(session);
    }
    return status;
}

status_t e2e_seal(struct e2e_session *session, const uint8_t *plain, size_t length, uint8_t *frame)
{
    if (session->phase != E2E_READY) {
        return STATUS_WRONG_STATE;
    }
    frame[0] = FRAME_TRANSPORT;
    return noise_cipher_seal(&session->send, NULL, 0, plain, length, &frame[1]);
}

void e2e_close(struct e2e_session *session)
{
    session->phase = E2E_CLOSED;
    noise_handshake_wipe(&session->handshake);
    crypto_wipe(&session->send, sizeof(session->send));
    crypto_wipe(&session->receive, sizeof(session->receive));
}
