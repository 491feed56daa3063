#include "cobs.h"

#define BLOCK_MAX 0xFFu /* code of a block of 254 bytes that stands for no zero */

size_t cobs_encode(uint8_t *out, const uint8_t *in, size_t length)
{
    size_t code_at = 0;
    size_t next = 1;
    uint8_t code = 1;
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = in[i];
        if (code == BLOCK_MAX) {
            out[code_at] = code;
            code_at = next++;
            code = 1;
        }
        if (byte == 0) {
            out[code_at] = code;
            code_at = next++;
            code = 1;
        } else {
            out[next++] = byte;
            code++;
        }
    }
    out[code_at] = code;
    out[next++] = 0;
    return next;
}

static void restart(struct cobs_decoder *decoder)
{
    decoder->length = 0;
    decoder->remaining = 0;
    decoder->zero_due = false;
    decoder->started = false;
    decoder->complete = false;
    decoder->skipping = false;
}

void cobs_decoder_init(struct cobs_decoder *decoder, uint8_t *buffer, size_t capacity)
{
    decoder->buffer = buffer;
    decoder->capacity = capacity;
    restart(decoder);
}

static bool append(struct cobs_decoder *decoder, uint8_t byte)
{
    if (decoder->length == decoder->capacity) {
        decoder->skipping = true;
        return false;
    }
    decoder->buffer[decoder->length++] = byte;
    return true;
}

static enum cobs_event end_of_frame(struct cobs_decoder *decoder)
{
    if (decoder->skipping || !decoder->started) {
        restart(decoder);
        return COBS_MORE;
    }
    if (decoder->remaining > 0) { /* the zero came inside a block */
        restart(decoder);
        return COBS_ERROR;
    }
    if (decoder->length == 0) { /* the encoding of nothing */
        restart(decoder);
        return COBS_MORE;
    }
    decoder->complete = true;
    return COBS_FRAME;
}

enum cobs_event cobs_decoder_push(struct cobs_decoder *decoder, uint8_t byte)
{
    if (decoder->complete) {
        restart(decoder);
    }
    if (byte == 0) {
        return end_of_frame(decoder);
    }
    if (decoder->skipping) {
        return COBS_MORE;
    }
    if (decoder->remaining > 0) {
        decoder->remaining--;
        return append(decoder, byte) ? COBS_MORE : COBS_ERROR;
    }
    /* A code byte. The zero of the block before is only real when another block follows it. */
    if (decoder->zero_due && !append(decoder, 0)) {
        return COBS_ERROR;
    }
    decoder->started = true;
    decoder->remaining = (uint8_t)(byte - 1u);
    decoder->zero_due = byte != BLOCK_MAX;
    return COBS_MORE;
}
