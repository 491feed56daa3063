#include "debug_channel.h"

#include <string.h>

#include "clock.h"
#include "debug_decode.h"
#include "debug_encode.h"
#include "log.h"

/* Bytes that a relay frame adds to its payload: array, type, session, head of the byte string. */
#define RELAY_OVERHEAD 10u

/* Longest time that the kernel's clock can measure by difference. */
#define EXPIRY_MAX_S 2000000u

/* From `open-device` to the client's first transport message: a token is no secret, so without its client's
 * key it must not hold one of the few sessions. */
#define PROOF_TIMEOUT_MS 10000u

/* Reasons of `ended`, server/PROTOCOL.md section 6. */
enum end_reason {
    END_BUSY = 3,
    END_NOT_AUTHORISED = 4,
    END_EXPIRED = 5,
    END_CHANNEL_FAILED = 6,
};

struct queue_head {
    uint16_t slot;
    uint16_t credit; /* bytes of the message on the link */
    uint16_t length; /* of the request that follows */
};

void debug_channel_init(struct debug_channel *channel, struct link *link, struct random *random,
                        struct debug_agent *agent, const struct identity *identity,
                        const uint8_t *manifest_digest)
{
    memset(channel, 0, sizeof(*channel));
    channel->link = link;
    channel->random = random;
    channel->agent = agent;
    channel->identity = (struct e2e_identity){
        .device_id = identity->device_id,
        .private_key = identity->debug_private_key,
        .fleet_public_key = identity->fleet_public_key,
        .manifest_digest = manifest_digest,
    };
    for (uint32_t i = 0; i < DEBUG_SESSIONS; i++) {
        channel->slots[i].channel = channel;
    }
}

/* Small messages: kept until the link takes them. When one does not fit any more the server has not read for
 * long, and would not hear of a session's end: that ends the link instead. */

static void outbox_flush(struct debug_channel *channel)
{
    while (channel->outbox_count > 0) {
        const struct debug_channel_small *first = &channel->outbox[0];

        if (link_send(channel->link, LINK_DEBUG, first->bytes, first->length, channel->now_ms) != STATUS_OK) {
            return;
        }
        channel->outbox_count--;
        memmove(&channel->outbox[0], &channel->outbox[1], channel->outbox_count * sizeof(channel->outbox[0]));
    }
}

static void outbox_add(struct debug_channel *channel, const struct debug_frame_r *frame)
{
    struct debug_channel_small *small = &channel->outbox[channel->outbox_count];
    size_t length = 0;

    if (channel->outbox_count == DEBUG_CHANNEL_OUTBOX_SIZE ||
        cbor_encode_debug_frame(small->bytes, sizeof(small->bytes), frame, &length) != 0) {
        channel->outbox_overflowed = true;
        return;
    }
    small->length = (uint8_t)length;
    channel->outbox_count++;
    outbox_flush(channel);
}

static void ended_send(struct debug_channel *channel, uint32_t session, enum end_reason reason)
{
    struct debug_frame_r frame = {.debug_frame_choice = debug_frame_ended_m_c};

    frame.debug_frame_ended_m.ended_session = session;
    frame.debug_frame_ended_m.ended_reason = (uint32_t)reason;
    outbox_add(channel, &frame);
}

/* Requests that wait */

static void queue_drop(struct debug_channel *channel, uint32_t offset, const struct queue_head *head)
{
    uint32_t size = (uint32_t)sizeof(*head) + head->length;

    link_consume(channel->link, LINK_DEBUG, head->credit);
    channel->queue_length -= size;
    memmove(&channel->queue[offset], &channel->queue[offset + size], channel->queue_length - offset);
}

static void queue_forget_slot(struct debug_channel *channel, uint32_t slot)
{
    uint32_t offset = 0;

    while (offset < channel->queue_length) {
        struct queue_head head;

        memcpy(&head, &channel->queue[offset], sizeof(head));
        if (head.slot == slot) {
            queue_drop(channel, offset, &head);
        } else {
            offset += (uint32_t)sizeof(head) + head.length;
        }
    }
}

static void slot_close(struct debug_channel *channel, uint32_t index)
{
    struct debug_channel_slot *slot = &channel->slots[index];

    if (!slot->open) {
        return;
    }
    slot->open = false;
    e2e_close(&slot->e2e);
    queue_forget_slot(channel, index);
    if (slot->attached) {
        slot->attached = false;
        debug_agent_detach(channel->agent, index);
        log_line("kernel: debug session ended");
    }
}

static void slot_fail(struct debug_channel *channel, uint32_t index, enum end_reason reason)
{
    uint32_t session = channel->slots[index].session;

    slot_close(channel, index);
    ended_send(channel, session, reason);
}

/* The agent's way out: one response in one relay frame, sealed only when the link takes it now. */
static bool response_send(void *context, const uint8_t *response, size_t length)
{
    struct debug_channel_slot *slot = context;
    struct debug_channel *channel = slot->channel;
    struct debug_frame_r frame = {.debug_frame_choice = debug_frame_relay_m_c};
    size_t message_length = 0;

    /* Everything that could fail is checked first: sealing spends a nonce, and the client must see each of
     * them. */
    if (length > DEBUG_MESSAGE_MAX || channel->outbox_count > 0 ||
        link_send_room(channel->link, LINK_DEBUG) < length + E2E_OVERHEAD + RELAY_OVERHEAD ||
        e2e_seal(&slot->e2e, response, length, channel->sealed) != STATUS_OK) {
        return false;
    }
    frame.debug_frame_relay_m.relay_session = slot->session;
    frame.debug_frame_relay_m.relay_payload.value = channel->sealed;
    frame.debug_frame_relay_m.relay_payload.len = length + E2E_OVERHEAD;
    if (cbor_encode_debug_frame(channel->message, sizeof(channel->message), &frame, &message_length) != 0) {
        return false;
    }
    return link_send(channel->link, LINK_DEBUG, channel->message, message_length, channel->now_ms) ==
           STATUS_OK;
}

/* Messages of the server */

static struct debug_channel_slot *slot_find(struct debug_channel *channel, uint32_t session, uint32_t *index)
{
    for (uint32_t i = 0; i < DEBUG_SESSIONS; i++) {
        if (channel->slots[i].open && channel->slots[i].session == session) {
            *index = i;
            return &channel->slots[i];
        }
    }
    return NULL;
}

static bool token_only_reads(const struct token *token)
{
    return (token->permissions & ~(uint32_t)DEBUG_PERMISSION_READ) == 0;
}

/* One place is kept for a session that may do more than read: whoever may only look must not lock out the one
 * who may stop the app. */
static bool slot_is_reserved(const struct debug_channel *channel, uint32_t index)
{
    uint32_t readers = 0;

    for (uint32_t i = 0; i < DEBUG_SESSIONS; i++) {
        readers += i != index && channel->slots[i].open && token_only_reads(&channel->slots[i].e2e.token);
    }
    return token_only_reads(&channel->slots[index].e2e.token) && readers == DEBUG_SESSIONS - 1u;
}

static status_t session_open(struct debug_channel *channel, const struct open_device *request)
{
    uint32_t session = request->open_device_device_session;
    uint32_t now = link_server_time(channel->link);
    uint32_t index = 0;
    uint32_t left;
    status_t status;

    if (slot_find(channel, session, &index) != NULL) {
        return STATUS_PROTOCOL; /* one number for two sessions: frames would reach the wrong one */
    }
    index = 0;
    while (index < DEBUG_SESSIONS && channel->slots[index].open) {
        index++;
    }
    if (index == DEBUG_SESSIONS) {
        ended_send(channel, session, END_BUSY);
        return STATUS_OK;
    }
    status =
        e2e_open(&channel->slots[index].e2e, &channel->identity, request->open_device_device_session_id.value,
                 request->open_device_device_token.value, request->open_device_device_token.len, now);
    if (status != STATUS_OK) {
        log_status("kernel: debug session refused", status);
        ended_send(channel, session, status == STATUS_TIMEOUT ? END_EXPIRED : END_NOT_AUTHORISED);
        return STATUS_OK;
    }
    if (slot_is_reserved(channel, index)) {
        e2e_close(&channel->slots[index].e2e);
        ended_send(channel, session, END_BUSY);
        return STATUS_OK;
    }
    left = channel->slots[index].e2e.token.expires - now;
    channel->slots[index].expires_ms = channel->now_ms + (left < EXPIRY_MAX_S ? left : EXPIRY_MAX_S) * 1000u;
    channel->slots[index].prove_by_ms = channel->now_ms + PROOF_TIMEOUT_MS;
    channel->slots[index].session = session;
    channel->slots[index].attached = false;
    channel->slots[index].open = true;
    return STATUS_OK;
}

/* The client has proved itself: from here on its requests are executed. */
static bool slot_attach(struct debug_channel *channel, uint32_t index)
{
    struct debug_channel_slot *slot = &channel->slots[index];
    const struct debug_session_callbacks callbacks = {.context = slot, .send = response_send};

    if (debug_agent_attach(channel->agent, index, slot->e2e.token.permissions, &callbacks) != STATUS_OK) {
        slot_fail(channel, index, END_BUSY);
        return false;
    }
    slot->attached = true;
    log_line("kernel: debug session ready");
    return true;
}

static void handshake_answer_send(struct debug_channel *channel, uint32_t session, const uint8_t *answer,
                                  size_t length)
{
    struct debug_frame_r frame = {.debug_frame_choice = debug_frame_relay_m_c};

    frame.debug_frame_relay_m.relay_session = session;
    frame.debug_frame_relay_m.relay_payload.value = answer;
    frame.debug_frame_relay_m.relay_payload.len = length;
    outbox_add(channel, &frame);
}

/* True when the request waits in the queue: its credit is given back later. */
static bool relay_receive(struct debug_channel *channel, const struct relay *relay, size_t credit)
{
    const struct zcbor_string *payload = &relay->relay_payload;
    uint8_t answer[E2E_HANDSHAKE_MAX];
    uint8_t *slot_in_queue = &channel->queue[channel->queue_length];
    struct queue_head head = {.credit = (uint16_t)credit};
    size_t answer_length = 0;
    size_t length = 0;
    uint32_t index = 0;
    struct debug_channel_slot *slot = slot_find(channel, relay->relay_session, &index);

    if (slot == NULL) {
        return false; /* it ended meanwhile */
    }
    /* Credit keeps what waits below the queue's size: a frame is larger than its entry here. */
    if (sizeof(channel->queue) - channel->queue_length < sizeof(head) + payload->len ||
        e2e_receive(&slot->e2e, channel->random, payload->value, payload->len, answer, &answer_length,
                    slot_in_queue + sizeof(head), &length) != STATUS_OK) {
        slot_fail(channel, index, END_CHANNEL_FAILED);
        return false;
    }
    if (answer_length > 0) {
        handshake_answer_send(channel, slot->session, answer, answer_length);
        return false;
    }
    if (!slot->attached && !slot_attach(channel, index)) {
        return false;
    }
    head.slot = (uint16_t)index;
    head.length = (uint16_t)length;
    memcpy(slot_in_queue, &head, sizeof(head));
    channel->queue_length += (uint32_t)(sizeof(head) + length);
    return true;
}

static void queue_run(struct debug_channel *channel)
{
    while (channel->queue_length > 0) {
        struct queue_head head;
        status_t status;

        memcpy(&head, channel->queue, sizeof(head));
        status = debug_agent_request(channel->agent, head.slot, &channel->queue[sizeof(head)], head.length);
        if (status == STATUS_WOULD_BLOCK) {
            return;
        }
        queue_drop(channel, 0, &head);
        if (status != STATUS_OK) {
            slot_fail(channel, head.slot, END_CHANNEL_FAILED);
        }
    }
}

status_t debug_channel_receive(struct debug_channel *channel, const uint8_t *message, size_t length,
                               uint32_t now_ms)
{
    struct debug_frame_r frame;
    size_t used = 0;
    uint32_t index = 0;
    bool waits = false;

    channel->now_ms = now_ms;
    if (cbor_decode_debug_frame(message, length, &frame, &used) != 0 || used != length) {
        return STATUS_MALFORMED;
    }
    switch (frame.debug_frame_choice) {
    case debug_frame_open_device_m_c:
        RETURN_IF_ERROR(session_open(channel, &frame.debug_frame_open_device_m));
        break;
    case debug_frame_relay_m_c:
        waits = relay_receive(channel, &frame.debug_frame_relay_m, length);
        break;
    case debug_frame_ended_m_c:
        if (slot_find(channel, frame.debug_frame_ended_m.ended_session, &index) != NULL) {
            slot_close(channel, index);
        }
        break;
    default:
        return STATUS_PROTOCOL;
    }
    if (!waits) {
        link_consume(channel->link, LINK_DEBUG, length);
    }
    queue_run(channel);
    return channel->outbox_overflowed ? STATUS_NO_SPACE : STATUS_OK;
}

void debug_channel_link_down(struct debug_channel *channel)
{
    for (uint32_t i = 0; i < DEBUG_SESSIONS; i++) {
        slot_close(channel, i);
    }
    channel->outbox_count = 0;
    channel->outbox_overflowed = false;
    channel->queue_length = 0;
}

status_t debug_channel_poll(struct debug_channel *channel, uint32_t now_ms)
{
    channel->now_ms = now_ms;
    for (uint32_t i = 0; i < DEBUG_SESSIONS; i++) {
        const struct debug_channel_slot *slot = &channel->slots[i];

        if (slot->open && clock_reached(now_ms, slot->expires_ms)) {
            slot_fail(channel, i, END_EXPIRED);
        } else if (slot->open && !slot->attached && clock_reached(now_ms, slot->prove_by_ms)) {
            slot_fail(channel, i, END_CHANNEL_FAILED);
        }
    }
    outbox_flush(channel);
    debug_agent_poll(channel->agent);
    queue_run(channel);
    return channel->outbox_overflowed ? STATUS_NO_SPACE : STATUS_OK;
}
