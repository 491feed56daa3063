#include "link_session.h"

#include <string.h>

#include "bytes.h"
#include "link_frame.h"
#include "link_mux.h"
#include "monocypher.h"
#include "wire_decode.h"
#include "wire_encode.h"

#define BACK_OFF_FIRST_MS    100u
#define BACK_OFF_MAX_MS      5000u
#define HANDSHAKE_TIMEOUT_MS 1000u
#define PING_AFTER_MS        2000u
#define SILENCE_MAX_MS       6000u
#define HELLO_SIZE_MAX       24u /* array, version, and a byte string of 16 */
#define DEVICE_ID_SIZE       16u

static const uint8_t prologue[15] = {'f', 'i', 'e', 'l', 'd', 'l', 'i', 'n',
                                     'k', '-', 'p', '2', 'p', '-', '1'};

bool link_session_is_due(const struct link *link, uint32_t deadline_ms)
{
    return (int32_t)(link->now_ms - deadline_ms) >= 0;
}

/* Handshake */

static size_t encode_hello(const struct link *link, uint8_t hello[HELLO_SIZE_MAX])
{
    const uint8_t *id = link->keys.device_id;
    struct device_hello message = {.device_hello_device_id = {.value = id, .len = 0}};
    while (message.device_hello_device_id.len < DEVICE_ID_SIZE &&
           id[message.device_hello_device_id.len] != 0) {
        message.device_hello_device_id.len++;
    }
    size_t length = 0;
    return cbor_encode_device_hello(hello, HELLO_SIZE_MAX, &message, &length) == 0 ? length : 0;
}

/* The server's time goes on between two sessions and in a long one. */
static void server_time_advance(struct link *link)
{
    int32_t passed_ms = (int32_t)(link->now_ms - link->server_time_ms);
    uint32_t passed = passed_ms > 0 ? (uint32_t)passed_ms / 1000u : 0;

    link->server_time_ms += passed * 1000u;
    if (link->server_time > 0) {
        link->server_time +=
            passed < UINT32_MAX - link->server_time ? passed : UINT32_MAX - link->server_time;
    }
}

static bool take_server_hello(struct link *link, const uint8_t *payload, size_t length)
{
    struct server_hello hello;
    size_t used = 0;
    if (cbor_decode_server_hello(payload, length, &hello, &used) != 0 || used != length) {
        return false;
    }
    server_time_advance(link);
    if (hello.server_hello_server_time > link->server_time) {
        link->server_time = hello.server_hello_server_time;
        link->server_time_ms = link->now_ms;
    }
    return true;
}

static status_t write_handshake(struct link *link, size_t *length)
{
    const struct noise_config config = {
        .pattern = NOISE_IK,
        .role = NOISE_INITIATOR,
        .prologue = prologue,
        .prologue_length = sizeof prologue,
        .local_private = link->keys.local_private,
        .remote_public = link->keys.remote_public,
    };
    uint8_t hello[HELLO_SIZE_MAX];
    size_t hello_length = encode_hello(link, hello);
    if (hello_length == 0) {
        return STATUS_INVALID_ARGUMENT;
    }
    RETURN_IF_ERROR(noise_handshake_start(&link->handshake, &config));
    uint8_t ephemeral[NOISE_KEY_SIZE];
    random_bytes(link->random, ephemeral, sizeof ephemeral);
    status_t status = noise_handshake_write(&link->handshake, ephemeral, hello, hello_length,
                                            link_frame_body(link), LINK_FRAME_BODY_MAX, length);
    crypto_wipe(ephemeral, sizeof ephemeral);
    return status;
}

void link_session_connect(struct link *link)
{
    size_t length = 0;
    link->phase = LINK_PHASE_HANDSHAKE;
    link->deadline_ms = link->now_ms + HANDSHAKE_TIMEOUT_MS;
    if (write_handshake(link, &length) == STATUS_OK) {
        link_frame_send(link, LINK_FRAME_HANDSHAKE_1, length);
    } else { /* keys that cannot work, or no device id: try again later, they may be provisioned anew */
        link_session_end(link);
    }
}

void link_session_answer(struct link *link, const uint8_t *body, size_t length)
{
    uint8_t payload[HELLO_SIZE_MAX];
    size_t payload_length = 0;
    status_t status =
        noise_handshake_read(&link->handshake, body, length, payload, sizeof payload, &payload_length);
    if (status == STATUS_OK && !take_server_hello(link, payload, payload_length)) {
        status = STATUS_MALFORMED;
    }
    if (status == STATUS_OK) {
        status = noise_handshake_split(&link->handshake, &link->send, &link->receive, NULL);
    }
    if (status != STATUS_OK) {
        link_session_end(link);
        return;
    }
    link->phase = LINK_PHASE_UP;
    link->heard_ms = link->now_ms;
    link->pinged_ms = link->now_ms;
    link_mux_reset(link);
    link->ping_pending = true; /* the server takes us as online after the first TRANSPORT frame */
    link->callbacks.session(link->callbacks.context, true);
}

/* Session */

void link_session_transport(struct link *link, uint8_t *body, size_t length)
{
    if (noise_cipher_open(&link->receive, NULL, 0, body, length, body) != STATUS_OK) {
        link_session_end(link);
        return;
    }
    link->heard_ms = link->now_ms;
    link->pinged_ms = link->now_ms;
    link->back_off_ms = BACK_OFF_FIRST_MS;
    if (link_mux_receive(link, body, length - NOISE_TAG_SIZE) != STATUS_OK) {
        link_session_end(link);
    }
}

void link_session_output(struct link *link)
{
    if (link->phase == LINK_PHASE_UP && link_mux_output(link) != STATUS_OK) {
        link_session_end(link);
    }
}

static uint32_t jitter_ms(struct link *link, uint32_t limit_ms)
{
    uint8_t raw[4];
    random_bytes(link->random, raw, sizeof raw);
    return bytes_load_le32(raw) % (limit_ms + 1u);
}

void link_session_end(struct link *link)
{
    if (link->phase == LINK_PHASE_BACK_OFF) {
        return;
    }
    bool was_up = link->phase == LINK_PHASE_UP;
    link->output_length = 0; /* what waits belongs to what just ended */
    link->phase = LINK_PHASE_BACK_OFF;
    link->deadline_ms = link->now_ms + link->back_off_ms + jitter_ms(link, link->back_off_ms / 4u);
    link->back_off_ms = link->back_off_ms < BACK_OFF_MAX_MS / 2u ? link->back_off_ms * 2u : BACK_OFF_MAX_MS;
    noise_handshake_wipe(&link->handshake);
    crypto_wipe(&link->send, sizeof link->send);
    crypto_wipe(&link->receive, sizeof link->receive);
    if (was_up) {
        link->callbacks.session(link->callbacks.context, false);
    }
}

/* Time */

void link_session_tick(struct link *link)
{
    server_time_advance(link);
    switch (link->phase) {
    case LINK_PHASE_BACK_OFF:
        if (link_session_is_due(link, link->deadline_ms)) {
            link_session_connect(link);
        }
        break;
    case LINK_PHASE_HANDSHAKE:
        if (link_session_is_due(link, link->deadline_ms)) {
            link_session_end(link);
        }
        break;
    case LINK_PHASE_UP:
        if (link_session_is_due(link, link->heard_ms + SILENCE_MAX_MS)) {
            link_session_end(link);
        } else if (link_session_is_due(link, link->pinged_ms + PING_AFTER_MS)) {
            link->pinged_ms = link->now_ms;
            link->ping_pending = true;
        }
        break;
    }
}

uint32_t link_session_deadline_ms(const struct link *link)
{
    if (link->phase != LINK_PHASE_UP) {
        return link->deadline_ms;
    }
    uint32_t silence = link->heard_ms + SILENCE_MAX_MS;
    uint32_t ping = link->pinged_ms + PING_AFTER_MS;
    return (int32_t)(ping - silence) < 0 ? ping : silence;
}
