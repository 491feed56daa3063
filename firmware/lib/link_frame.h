#ifndef BROWNOUT_LIB_LINK_FRAME_H
#define BROWNOUT_LIB_LINK_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link_state.h"

/* Frames of the byte stream, outgoing side (PROTOCOL.md section 1). One frame is under way at a time. */

enum link_frame_type {
    LINK_FRAME_HANDSHAKE_1 = 0x01,
    LINK_FRAME_HANDSHAKE_2 = 0x02,
    LINK_FRAME_TRANSPORT = 0x03,
    LINK_FRAME_RESET = 0x04,
};

/* Bytes of a frame behind its type. */
#define LINK_FRAME_BODY_MAX (LINK_FRAME_MAX - 1u)

/* Where the body of the next frame is built. Overwrites a frame that has not left yet. */
uint8_t *link_frame_body(struct link *link);

/* Encodes the body built there and hands it to transmit(); when that takes nothing, the frame waits for
 * link_frame_retry(). */
void link_frame_send(struct link *link, enum link_frame_type type, size_t body_length);

/* Whether no frame waits. */
bool link_frame_is_free(const struct link *link);

/* Offers a waiting frame to transmit() again. */
void link_frame_retry(struct link *link);

#endif
