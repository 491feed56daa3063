#ifndef BROWNOUT_LIB_COBS_H
#define BROWNOUT_LIB_COBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Consistent Overhead Byte Stuffing: frames on a byte stream, ended by a zero byte. */

/* Bytes that encoding adds to `length` bytes, without the zero at the end. */
#define COBS_OVERHEAD(length) (1u + (length) / 254u)

/* Longest encoding of `length` bytes, with the zero at the end. */
#define COBS_ENCODED_MAX(length) ((length) + COBS_OVERHEAD(length) + 1u)

/* Encodes `length` bytes and ends them with a zero; returns the number of bytes written, at most
 * COBS_ENCODED_MAX(length). Works in place when `in` lies COBS_OVERHEAD(length) or more bytes behind `out`.
 */
size_t cobs_encode(uint8_t *out, const uint8_t *in, size_t length);

enum cobs_event {
    COBS_MORE,  /* the frame goes on */
    COBS_FRAME, /* a frame is complete: decoder->length bytes in decoder->buffer, until the next push */
    COBS_ERROR, /* malformed or longer than the buffer; reported once, bytes up to the next zero are dropped
                 */
};

/* Decodes a stream byte by byte. Empty frames (zeros in a row) are skipped. */
struct cobs_decoder {
    uint8_t *buffer;
    size_t capacity;   /* bytes in buffer: the longest frame accepted */
    size_t length;     /* bytes decoded so far */
    uint8_t remaining; /* data bytes left in the block */
    bool zero_due;     /* the block stands for a zero behind it, if another block follows */
    bool started;      /* a byte of this frame was seen */
    bool complete;     /* the last push completed a frame */
    bool skipping;     /* after an error, until the next zero */
};

/* `buffer` stays with the decoder. */
void cobs_decoder_init(struct cobs_decoder *decoder, uint8_t *buffer, size_t capacity);

enum cobs_event cobs_decoder_push(struct cobs_decoder *decoder, uint8_t byte);

#endif
