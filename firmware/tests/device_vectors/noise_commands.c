#include "commands.h"
#include "monocypher.h"
#include "noise.h"

/* Two handshakes, so that both ends can run here; NUMBER is 0 or 1 in every command. */
#define SLOTS       2u
#define MESSAGE_MAX 1024u

struct slot {
    struct noise_handshake handshake;
    struct noise_cipher send;
    struct noise_cipher receive;
};

static struct slot slots[SLOTS];
static uint8_t message[MESSAGE_MAX];

static struct slot *slot_of(const struct argument *argument)
{
    return &slots[argument->number % SLOTS];
}

/* noisestart NUMBER PATTERN(0 IK, 1 KK) ROLE(0 initiator) PROLOGUE PRIVATE REMOTE_PUBLIC(- when not known) */
static void start(struct argument *arguments)
{
    const struct noise_config config = {
        .pattern = arguments[1].number == 0 ? NOISE_IK : NOISE_KK,
        .role = arguments[2].number == 0 ? NOISE_INITIATOR : NOISE_RESPONDER,
        .prologue = arguments[3].bytes,
        .prologue_length = arguments[3].length,
        .local_private = arguments[4].bytes,
        .remote_public = arguments[5].length == 0 ? NULL : arguments[5].bytes,
    };
    commands_put_status(noise_handshake_start(&slot_of(arguments)->handshake, &config));
}

/* noisewrite NUMBER EPHEMERAL CAPACITY PAYLOAD */
static void write(struct argument *arguments)
{
    size_t length = 0;
    status_t status =
        noise_handshake_write(&slot_of(arguments)->handshake, arguments[1].bytes, arguments[3].bytes,
                              arguments[3].length, message, arguments[2].number, &length);
    commands_put_bytes(message, length);
    commands_put_status(status);
}

/* noiseread NUMBER CAPACITY MESSAGE: payload and the peer's static key as known then */
static void read(struct argument *arguments)
{
    struct noise_handshake *handshake = &slot_of(arguments)->handshake;
    size_t length = 0;
    status_t status = noise_handshake_read(handshake, arguments[2].bytes, arguments[2].length, message,
                                           arguments[1].number, &length);
    commands_put_bytes(message, length);
    commands_put_bytes(handshake->remote_public, NOISE_KEY_SIZE);
    commands_put_status(status);
}

/* noisesplit NUMBER: the handshake hash */
static void split(struct argument *arguments)
{
    struct slot *slot = slot_of(arguments);
    uint8_t hash[NOISE_HASH_SIZE] = {0};
    status_t status = noise_handshake_split(&slot->handshake, &slot->send, &slot->receive, hash);
    commands_put_bytes(hash, sizeof hash);
    commands_put_status(status);
}

/* noisesecrets NUMBER: the bytes of the handshake that are not zero, without its fixed part */
static void secrets(struct argument *arguments)
{
    const struct noise_handshake *handshake = &slot_of(arguments)->handshake;
    const uint8_t *bytes = (const uint8_t *)&handshake->cipher;
    const uint8_t *end = (const uint8_t *)(handshake + 1);
    uint32_t left = 0;
    for (; bytes < end; bytes++) {
        left += *bytes != 0;
    }
    commands_put_number(left);
    commands_put_status(STATUS_OK);
}

/* noiseseal NUMBER AD PLAIN, in place */
static void seal(struct argument *arguments)
{
    size_t length = arguments[2].length;
    for (size_t i = 0; i < length; i++) {
        message[i] = arguments[2].bytes[i];
    }
    status_t status = noise_cipher_seal(&slot_of(arguments)->send, arguments[1].bytes, arguments[1].length,
                                        message, length, message);
    commands_put_bytes(message, status == STATUS_OK ? length + NOISE_TAG_SIZE : 0);
    commands_put_status(status);
}

/* noiseopen NUMBER AD SEALED */
static void open(struct argument *arguments)
{
    size_t length = arguments[2].length;
    status_t status = noise_cipher_open(&slot_of(arguments)->receive, arguments[1].bytes, arguments[1].length,
                                        arguments[2].bytes, length, message);
    commands_put_bytes(message, status == STATUS_OK ? length - NOISE_TAG_SIZE : 0);
    commands_put_status(status);
}

/* noisenonce NUMBER LEFT: moves both ciphers to LEFT messages before the reserved nonce */
static void nonce(struct argument *arguments)
{
    struct slot *slot = slot_of(arguments);
    slot->send.nonce = UINT64_MAX - arguments[1].number;
    slot->receive.nonce = slot->send.nonce;
    commands_put_status(STATUS_OK);
}

const struct command noise_commands[] = {
    {"noisestart", 6, start}, {"noisewrite", 4, write},     {"noiseread", 3, read},
    {"noisesplit", 1, split}, {"noisesecrets", 1, secrets}, {"noiseseal", 3, seal},
    {"noiseopen", 3, open},   {"noisenonce", 2, nonce},     {NULL, 0, NULL},
};
