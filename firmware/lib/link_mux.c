#include "link_mux.h"

#include <string.h>

#include "link_frame.h"
#include "wire_decode.h"
#include "wire_encode.h"

#define CONTROL_SIZE_MAX 16u /* an array of three 32-bit integers */

/* Payload bytes that may be outstanding. What the device sends it need not keep; what it receives it must. */
static const uint32_t credit_up[LINK_CHANNELS] = {
    [LINK_APPLICATION] = 2048,
    [LINK_UPGRADE] = 4096,
    [LINK_DEBUG] = 8192,
};
static const uint32_t credit_down[LINK_CHANNELS] = {
    [LINK_APPLICATION] = 2048,
    [LINK_UPGRADE] = 4096,
    [LINK_DEBUG] = 2048,
};

/* Channels 1..3 have a lane. */
static bool channel_has_lane(uint32_t channel)
{
    return channel >= LINK_APPLICATION && channel < LINK_CHANNELS;
}

static struct link_lane *lane_of(struct link *link, uint32_t channel)
{
    return &link->lanes[channel - LINK_APPLICATION];
}

static const struct link_lane *lane_of_const(const struct link *link, uint32_t channel)
{
    return &link->lanes[channel - LINK_APPLICATION];
}

void link_mux_reset(struct link *link)
{
    for (uint32_t channel = LINK_APPLICATION; channel < LINK_CHANNELS; channel++) {
        struct link_lane *lane = lane_of(link, channel);
        lane->send_credit = credit_up[channel];
        lane->receive_credit = credit_down[channel];
        lane->consumed = 0;
        lane->pending = false;
    }
    link->ping_pending = false;
    link->pong_pending = false;
    link->turn = LINK_APPLICATION;
}

/* Receiving */

static status_t credit_received(struct link *link, uint32_t channel, uint32_t amount)
{
    if (!channel_has_lane(channel)) {
        return STATUS_PROTOCOL;
    }
    struct link_lane *lane = lane_of(link, channel);
    if (amount > credit_up[channel] - lane->send_credit) { /* more than was spent */
        return STATUS_PROTOCOL;
    }
    lane->send_credit += amount;
    return STATUS_OK;
}

static status_t receive_control(struct link *link, const uint8_t *payload, size_t length)
{
    struct control_r control;
    size_t used = 0;
    if (cbor_decode_control(payload, length, &control, &used) != 0 || used != length) {
        return STATUS_MALFORMED;
    }
    switch (control.control_choice) {
    case control_credit_m_c:
        return credit_received(link, control.control_credit_m.credit_channel,
                               control.control_credit_m.credit_amount);
    case control_ping_m_c: /* of several pings only the last is answered: one pong proves as much */
        link->pong_nonce = control.control_ping_m.ping_nonce;
        link->pong_pending = true;
        return STATUS_OK;
    case control_pong_m_c: /* being heard was all that the ping asked for */
        return STATUS_OK;
    case control_close_m_c:
        return STATUS_NOT_FOUND;
    default:
        return STATUS_MALFORMED;
    }
}

status_t link_mux_receive(struct link *link, const uint8_t *message, size_t length)
{
    if (length == 0 || length > 1u + LINK_PAYLOAD_MAX) {
        return STATUS_PROTOCOL;
    }
    uint8_t channel = message[0];
    const uint8_t *payload = message + 1;
    size_t payload_length = length - 1u;
    if (channel == LINK_CONTROL) {
        return receive_control(link, payload, payload_length);
    }
    if (!channel_has_lane(channel)) {
        return STATUS_PROTOCOL;
    }
    struct link_lane *lane = lane_of(link, channel);
    if (payload_length > lane->receive_credit) {
        return STATUS_PROTOCOL;
    }
    lane->receive_credit -= (uint32_t)payload_length;
    link->callbacks.receive(link->callbacks.context, (enum link_channel)channel, payload, payload_length);
    return STATUS_OK;
}

void link_consume(struct link *link, enum link_channel channel, size_t length)
{
    if (!channel_has_lane(channel) || link->phase != LINK_PHASE_UP) {
        return;
    }
    struct link_lane *lane = lane_of(link, channel);
    /* What an earlier session delivered may be consumed in this one: never give back more than is
     * outstanding. */
    uint32_t outstanding = credit_down[channel] - lane->receive_credit - lane->consumed;
    lane->consumed += length < outstanding ? (uint32_t)length : outstanding;
}

/* Sending */

static status_t send_message(struct link *link, enum link_channel channel, const uint8_t *payload,
                             size_t length)
{
    uint8_t *body = link_frame_body(link);
    body[0] = (uint8_t)channel;
    if (length > 0) {
        memcpy(body + 1, payload, length);
    }
    RETURN_IF_ERROR(noise_cipher_seal(&link->send, NULL, 0, body, 1u + length, body));
    link_frame_send(link, LINK_FRAME_TRANSPORT, 1u + length + NOISE_TAG_SIZE);
    return STATUS_OK;
}

static status_t send_control(struct link *link, const struct control_r *control)
{
    uint8_t payload[CONTROL_SIZE_MAX];
    size_t length = 0;
    if (cbor_encode_control(payload, sizeof payload, control, &length) != 0) {
        return STATUS_NO_SPACE; /* the buffer holds any control message: not reached */
    }
    return send_message(link, LINK_CONTROL, payload, length);
}

/* The channel that has earned a credit message (half of its initial credit consumed), LINK_CONTROL when none
 * has. */
static uint32_t channel_to_credit(const struct link *link)
{
    for (uint32_t channel = LINK_APPLICATION; channel < LINK_CHANNELS; channel++) {
        if (lane_of_const(link, channel)->consumed >= credit_down[channel] / 2u) {
            return channel;
        }
    }
    return LINK_CONTROL;
}

static bool control_is_pending(const struct link *link)
{
    return link->pong_pending || link->ping_pending || channel_to_credit(link) != LINK_CONTROL;
}

static status_t send_next_control(struct link *link)
{
    struct control_r control;
    memset(&control, 0, sizeof control);
    uint32_t channel = channel_to_credit(link);
    if (link->pong_pending) {
        link->pong_pending = false;
        control.control_choice = control_pong_m_c;
        control.control_pong_m.pong_nonce = link->pong_nonce;
    } else if (link->ping_pending) {
        link->ping_pending = false;
        control.control_choice = control_ping_m_c;
        control.control_ping_m.ping_nonce = link->ping_nonce++;
    } else {
        struct link_lane *lane = lane_of(link, channel);
        control.control_choice = control_credit_m_c;
        control.control_credit_m.credit_channel = channel;
        control.control_credit_m.credit_amount = lane->consumed;
        lane->receive_credit += lane->consumed;
        lane->consumed = 0;
    }
    return send_control(link, &control);
}

/* The next channel in turn with a pending message, LINK_CONTROL when there is none. Credit was spent at
 * link_send(). */
static uint32_t next_in_turn(const struct link *link)
{
    uint32_t channel = link->turn;
    for (uint32_t i = LINK_APPLICATION; i < LINK_CHANNELS; i++) {
        if (lane_of_const(link, channel)->pending) {
            return channel;
        }
        channel = channel + 1u < LINK_CHANNELS ? channel + 1u : LINK_APPLICATION;
    }
    return LINK_CONTROL;
}

bool link_mux_is_pending(const struct link *link)
{
    return control_is_pending(link) || next_in_turn(link) != LINK_CONTROL;
}

status_t link_mux_output(struct link *link)
{
    /* Bounded: every pass takes one of the few pending things away, and nothing adds any. */
    while (link_frame_is_free(link) && link_mux_is_pending(link)) {
        if (control_is_pending(link)) {
            RETURN_IF_ERROR(send_next_control(link));
            continue;
        }
        uint32_t channel = next_in_turn(link);
        struct link_lane *lane = lane_of(link, channel);
        lane->pending = false;
        link->turn = (uint8_t)(channel + 1u < LINK_CHANNELS ? channel + 1u : LINK_APPLICATION);
        RETURN_IF_ERROR(send_message(link, (enum link_channel)channel, lane->payload, lane->length));
    }
    return STATUS_OK;
}

size_t link_send_room(const struct link *link, enum link_channel channel)
{
    if (link->phase != LINK_PHASE_UP || !channel_has_lane(channel)) {
        return 0;
    }
    const struct link_lane *lane = lane_of_const(link, channel);
    if (lane->pending) {
        return 0;
    }
    return lane->send_credit < LINK_PAYLOAD_MAX ? lane->send_credit : LINK_PAYLOAD_MAX;
}

status_t link_mux_enqueue(struct link *link, uint32_t channel, const uint8_t *payload, size_t length)
{
    if (!channel_has_lane(channel) || length > LINK_PAYLOAD_MAX) {
        return STATUS_INVALID_ARGUMENT;
    }
    struct link_lane *lane = lane_of(link, channel);
    if (lane->pending || length > lane->send_credit) {
        return STATUS_WOULD_BLOCK;
    }
    if (length > 0) {
        memcpy(lane->payload, payload, length);
    }
    lane->length = (uint16_t)length;
    lane->send_credit -= (uint32_t)length;
    lane->pending = true;
    return STATUS_OK;
}
