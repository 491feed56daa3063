#ifndef BROWNOUT_KERNEL_DEBUG_CHANNEL_H
#define BROWNOUT_KERNEL_DEBUG_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "debug_agent.h"
#include "e2e.h"
#include "identity.h"
#include "link.h"
#include "random.h"

/* The debug channel of the link: sessions with their end-to-end channels on one side, the debug agent on the
 * other (server/PROTOCOL.md sections 6 and 7). */

/* Requests that wait for the agent: as many bytes as the channel's credit lets a client send. */
#define DEBUG_CHANNEL_QUEUE_SIZE  2048u
#define DEBUG_CHANNEL_OUTBOX_SIZE 4u
#define DEBUG_CHANNEL_SMALL_MAX   80u

struct debug_channel;

struct debug_channel_slot {
    struct debug_channel *channel;
    bool open;
    bool attached;        /* the client has proved itself: the agent knows the session */
    uint32_t session;     /* the server's number of it */
    uint32_t expires_ms;  /* when the token ends, in the kernel's clock */
    uint32_t prove_by_ms; /* when the session ends unless the client has proved itself */
    struct e2e_session e2e;
};

struct debug_channel_small {
    uint8_t length;
    uint8_t bytes[DEBUG_CHANNEL_SMALL_MAX];
};

struct debug_channel {
    struct link *link;
    struct random *random;
    struct debug_agent *agent;
    struct e2e_identity identity;
    struct debug_channel_slot slots[DEBUG_SESSIONS];
    struct debug_channel_small
        outbox[DEBUG_CHANNEL_OUTBOX_SIZE]; /* answers to handshakes, ends of sessions */
    uint32_t outbox_count;
    bool outbox_overflowed;                  /* the link has to end */
    uint8_t queue[DEBUG_CHANNEL_QUEUE_SIZE]; /* requests: struct queue_head, then the plaintext */
    uint32_t queue_length;
    uint8_t sealed[LINK_PAYLOAD_MAX];
    uint8_t message[LINK_PAYLOAD_MAX];
    uint32_t now_ms;
};

/* `manifest_digest` (32 bytes, kept) is that of the installed envelope. */
void debug_channel_init(struct debug_channel *channel, struct link *link, struct random *random,
                        struct debug_agent *agent, const struct identity *identity,
                        const uint8_t *manifest_digest);

/* A message of the channel; gives its credit back when it has been dealt with. Any error ends the link. */
MUST_USE status_t debug_channel_receive(struct debug_channel *channel, const uint8_t *message, size_t length,
                                        uint32_t now_ms);

/* The link is gone: all sessions end, the app runs on. */
void debug_channel_link_down(struct debug_channel *channel);

/* Requests that wait, messages that could not be sent, tokens that expire. Any error ends the link. */
MUST_USE status_t debug_channel_poll(struct debug_channel *channel, uint32_t now_ms);

#endif
