#include "link_frame.h"

_Static_assert(LINK_FRAME_MAX >= 1u + 1u + LINK_PAYLOAD_MAX + NOISE_TAG_SIZE, "a full message fits a frame");

uint8_t *link_frame_body(struct link *link)
{
    link->output_length = 0;
    return link->output + LINK_FRAME_OFFSET + 1u;
}

void link_frame_send(struct link *link, enum link_frame_type type, size_t body_length)
{
    uint8_t *frame = link->output + LINK_FRAME_OFFSET;
    frame[0] = (uint8_t)type;
    size_t start = 0;
    if (type == LINK_FRAME_HANDSHAKE_1) {
        link->output[start++] = 0; /* flushes what a reset may have left half sent */
    }
    link->output_length = start + cobs_encode(link->output + start, frame, 1u + body_length);
    link_frame_retry(link);
}

bool link_frame_is_free(const struct link *link)
{
    return link->output_length == 0;
}

void link_frame_retry(struct link *link)
{
    const struct link_callbacks *callbacks = &link->callbacks;
    if (link->output_length > 0 &&
        callbacks->transmit(callbacks->context, link->output, link->output_length)) {
        link->output_length = 0;
    }
}
