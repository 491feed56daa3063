#include <string.h>

#include "commands.h"
#include "e2e.h"
#include "link.h"

/* Ends of end-to-end channels of one device, each in a slot: SLOT is 0 or 1. */
#define SLOTS 2u

static struct e2e_session sessions[SLOTS];
static uint8_t device_id[16];
static uint8_t private_key[32];
static uint8_t fleet_public_key[32];
static uint8_t manifest_digest[32];
static struct random the_random;
static uint8_t output[LINK_PAYLOAD_MAX + E2E_OVERHEAD];

static const struct e2e_identity identity = {
    .device_id = device_id,
    .private_key = private_key,
    .fleet_public_key = fleet_public_key,
    .manifest_digest = manifest_digest,
};

static struct e2e_session *session_of(const struct argument *argument)
{
    return &sessions[argument->number % SLOTS];
}

/* tokenopen FLEET_PUBLIC DEVICE_ID(16) NOW TOKEN: client's key, permissions, expiry and serial */
static void token_command(struct argument *arguments)
{
    struct token token;
    status_t status = token_open(arguments[3].bytes, arguments[3].length, arguments[0].bytes,
                                 arguments[1].bytes, arguments[2].number, &token);
    if (status == STATUS_OK) {
        commands_put_bytes(token.client_public_key, sizeof(token.client_public_key));
        commands_put_number(token.permissions);
        commands_put_number(token.expires);
        commands_put_number(token.serial);
    }
    commands_put_status(status);
}

/* e2einit DEVICE_ID(16) PRIVATE FLEET_PUBLIC MANIFEST_DIGEST SEED: a device without sessions */
static void init(struct argument *arguments)
{
    memcpy(device_id, arguments[0].bytes, sizeof(device_id));
    memcpy(private_key, arguments[1].bytes, sizeof(private_key));
    memcpy(fleet_public_key, arguments[2].bytes, sizeof(fleet_public_key));
    memcpy(manifest_digest, arguments[3].bytes, sizeof(manifest_digest));
    random_seed(&the_random, arguments[4].bytes);
    memset(sessions, 0, sizeof(sessions));
    commands_put_status(STATUS_OK);
}

/* e2eopen SLOT SESSION_ID NOW TOKEN */
static void open(struct argument *arguments)
{
    commands_put_status(e2e_open(session_of(arguments), &identity, arguments[1].bytes, arguments[3].bytes,
                                 arguments[3].length, arguments[2].number));
}

/* e2ereceive SLOT FRAME: answer and plaintext */
static void receive(struct argument *arguments)
{
    uint8_t answer[E2E_HANDSHAKE_MAX];
    size_t answer_length = 0;
    size_t plain_length = 0;
    status_t status = e2e_receive(session_of(arguments), &the_random, arguments[1].bytes, arguments[1].length,
                                  answer, &answer_length, output, &plain_length);
    commands_put_bytes(answer, answer_length);
    commands_put_bytes(output, plain_length);
    commands_put_status(status);
}

/* e2eseal SLOT PLAIN: frame */
static void seal(struct argument *arguments)
{
    status_t status = e2e_seal(session_of(arguments), arguments[1].bytes, arguments[1].length, output);
    commands_put_bytes(output, status == STATUS_OK ? arguments[1].length + E2E_OVERHEAD : 0);
    commands_put_status(status);
}

/* e2eclose SLOT */
static void close(struct argument *arguments)
{
    e2e_close(session_of(arguments));
    commands_put_status(STATUS_OK);
}

static uint32_t bytes_that_are_set(const void *start, size_t length)
{
    const uint8_t *bytes = start;
    uint32_t count = 0;
    for (size_t i = 0; i < length; i++) {
        count += bytes[i] != 0;
    }
    return count;
}

/* e2estate SLOT: phase, and the bytes that are not zero in the handshake's keys and the two ciphers */
static void state(struct argument *arguments)
{
    const struct e2e_session *session = session_of(arguments);
    const struct noise_handshake *handshake = &session->handshake;
    const uint8_t *secrets = (const uint8_t *)&handshake->cipher;
    commands_put_number((uint32_t)session->phase);
    commands_put_number(bytes_that_are_set(secrets, (size_t)((const uint8_t *)(handshake + 1) - secrets)) +
                        bytes_that_are_set(&session->send, sizeof(session->send)) +
                        bytes_that_are_set(&session->receive, sizeof(session->receive)));
    commands_put_status(STATUS_OK);
}

const struct command e2e_commands[] = {
    {"tokenopen", 4, token_command}, {"e2einit", 5, init}, {"e2eopen", 4, open},
    {"e2ereceive", 2, receive},      {"e2eseal", 2, seal}, {"e2eclose", 1, close},
    {"e2estate", 1, state},          {NULL, 0, NULL},
};
