#ifndef BROWNOUT_LIB_LINK_H
#define BROWNOUT_LIB_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "random.h"
#include "status.h"

/* The device's end of the P2P link (server/PROTOCOL.md sections 1 to 3): COBS framing, Noise_IK initiator,
 * virtual channels with credit, liveness and back-off. Sans-IO: bytes and the time go in, bytes come out
 * through callbacks. */

#define LINK_PAYLOAD_MAX 1024u
#define LINK_FRAME_MAX   1060u

enum link_channel {
    LINK_CONTROL = 0,
    LINK_APPLICATION = 1,
    LINK_UPGRADE = 2,
    LINK_DEBUG = 3,
    LINK_CHANNELS = 4,
};

struct link_callbacks {
    void *context;
    /* Queues bytes of the stream for the UART. All of `length` is taken or nothing (false): the link keeps
     * the frame and tries again at the next link_poll(). Called only with whole encoded frames. */
    bool (*transmit)(void *context, const uint8_t *bytes, size_t length);
    /* A message arrived on channel 1..3. The receiver calls link_consume() when it has dealt with it. */
    void (*receive)(void *context, enum link_channel channel, const uint8_t *payload, size_t length);
    /* The session came up (true) or ended (false). */
    void (*session)(void *context, bool up);
};

struct link_keys {
    const uint8_t *local_private; /* 32 bytes */
    const uint8_t *remote_public; /* 32 bytes */
    const uint8_t *device_id;     /* 16 bytes, NUL padded */
};

struct link; /* the full struct is in link.c's companion link_state.h so that callers can place it */

void link_init(struct link *link, const struct link_callbacks *callbacks, const struct link_keys *keys,
               struct random *random, uint32_t now_ms);

/* Bytes from the UART. */
void link_input(struct link *link, const uint8_t *bytes, size_t length, uint32_t now_ms);

/* Timers and pending output; call after link_input() and when link_deadline_ms() has passed. */
void link_poll(struct link *link, uint32_t now_ms);

/* When link_poll() wants to be called again, in the same clock as now_ms. */
uint32_t link_deadline_ms(const struct link *link);

bool link_is_up(const struct link *link);

/* Unix time in seconds: the largest that the server has told since link_init(), and the time since then by
 * the caller's clock; 0 before the first session. */
uint32_t link_server_time(const struct link *link);

/* True while a message or an encoded frame still waits to be handed to transmit(). */
bool link_has_output(const struct link *link);

/* Bytes that may be sent on the channel now, with one message (0 when the session is down or the slot is
 * taken). */
size_t link_send_room(const struct link *link, enum link_channel channel);

/* Sends one message. STATUS_WOULD_BLOCK: no credit or the previous message has not left yet;
 * STATUS_WRONG_STATE: no session. */
MUST_USE status_t link_send(struct link *link, enum link_channel channel, const uint8_t *payload,
                            size_t length, uint32_t now_ms);

/* Gives `length` received bytes of a channel back to the peer as credit. */
void link_consume(struct link *link, enum link_channel channel, size_t length);

/* Ends the session after an error that the user of a channel found; a new handshake follows after the
 * back-off. */
void link_fail(struct link *link, uint32_t now_ms);

#endif
