#include "link.h"

#include <string.h>

#include "link_frame.h"
#include "link_mux.h"
#include "link_session.h"
#include "link_state.h"

#define BACK_OFF_FIRST_MS 100u
#define OUTPUT_RETRY_MS   5u

_Static_assert(sizeof(struct link) <= 8192u, "the link's RAM budget");

void link_init(struct link *link, const struct link_callbacks *callbacks, const struct link_keys *keys,
               struct random *random, uint32_t now_ms)
{
    memset(link, 0, sizeof *link);
    link->callbacks = *callbacks;
    link->keys = *keys;
    link->random = random;
    link->now_ms = now_ms;
    link->server_time_ms = now_ms;
    link->phase = LINK_PHASE_BACK_OFF;
    link->deadline_ms = now_ms; /* the first handshake needs no wait */
    link->back_off_ms = BACK_OFF_FIRST_MS;
    noise_handshake_wipe(&link->handshake);
    cobs_decoder_init(&link->decoder, link->input, sizeof link->input);
}

/* Without a session the stream may carry anything: what an old session left, or noise while the modem
 * connects. The handshake's own deadline deals with that. */
static void frame_during_handshake(struct link *link, uint8_t type, const uint8_t *body, size_t length)
{
    if (type == LINK_FRAME_HANDSHAKE_2) {
        link_session_answer(link, body, length);
    } else if (type == LINK_FRAME_RESET) {
        link_session_end(link);
    }
}

static void frame_during_session(struct link *link, uint8_t type, uint8_t *body, size_t length)
{
    if (type == LINK_FRAME_TRANSPORT) {
        link_session_transport(link, body, length);
    } else if (type !=
               LINK_FRAME_HANDSHAKE_2) { /* a late second answer is harmless, and anybody could replay one */
        link_session_end(link);
    }
}

static void frame_received(struct link *link)
{
    uint8_t type = link->input[0];
    uint8_t *body = link->input + 1;
    size_t length = link->decoder.length - 1u;
    if (link->phase == LINK_PHASE_UP) {
        frame_during_session(link, type, body, length);
    } else if (link->phase == LINK_PHASE_HANDSHAKE) {
        frame_during_handshake(link, type, body, length);
    }
}

void link_input(struct link *link, const uint8_t *bytes, size_t length, uint32_t now_ms)
{
    link->now_ms = now_ms;
    for (size_t i = 0; i < length; i++) {
        switch (cobs_decoder_push(&link->decoder, bytes[i])) {
        case COBS_FRAME:
            frame_received(link);
            break;
        case COBS_ERROR: /* the frame is lost, and with it the nonce of whatever it was */
            if (link->phase == LINK_PHASE_UP) {
                link_session_end(link);
            }
            break;
        case COBS_MORE:
            break;
        }
    }
    link_session_output(link);
}

void link_poll(struct link *link, uint32_t now_ms)
{
    link->now_ms = now_ms;
    link_frame_retry(link);
    link_session_tick(link);
    link_session_output(link);
}

uint32_t link_deadline_ms(const struct link *link)
{
    if (link->phase == LINK_PHASE_UP && link_frame_is_free(link) && link_mux_is_pending(link)) {
        return link->now_ms;
    }
    uint32_t deadline = link_session_deadline_ms(link);
    uint32_t retry = link->now_ms + OUTPUT_RETRY_MS;
    return !link_frame_is_free(link) && (int32_t)(retry - deadline) < 0 ? retry : deadline;
}

bool link_is_up(const struct link *link)
{
    return link->phase == LINK_PHASE_UP;
}

uint32_t link_server_time(const struct link *link)
{
    return link->server_time;
}

bool link_has_output(const struct link *link)
{
    return !link_frame_is_free(link) || (link->phase == LINK_PHASE_UP && link_mux_is_pending(link));
}

status_t link_send(struct link *link, enum link_channel channel, const uint8_t *payload, size_t length,
                   uint32_t now_ms)
{
    link->now_ms = now_ms;
    if (link->phase != LINK_PHASE_UP) {
        return STATUS_WRONG_STATE;
    }
    RETURN_IF_ERROR(link_mux_enqueue(link, channel, payload, length));
    link_session_output(link);
    return STATUS_OK;
}

void link_fail(struct link *link, uint32_t now_ms)
{
    link->now_ms = now_ms;
    if (link->phase == LINK_PHASE_UP) {
        link_session_end(link);
    }
}
