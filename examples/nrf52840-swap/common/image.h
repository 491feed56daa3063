#ifndef EXAMPLE_COMMON_IMAGE_H
#define EXAMPLE_COMMON_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "status.h"

#define IMAGE_MAGIC       0x474D4945u /* "EIMG" */
#define IMAGE_HEADER_SIZE 256u        /* then the payload, which starts with its vector table */
#define IMAGE_SIGNED_SIZE 128u
#define IMAGE_ID_WORDS    2u

/* What a slot starts with; tools/make_images.py makes it. */
struct image_header {
    uint32_t magic;
    uint32_t size; /* of the payload, bytes; a multiple of 4 */
    uint32_t version;
    uint32_t counter; /* security counter: never falls in a device's life */
    uint32_t reserved[4];
    uint32_t digest[8]; /* BLAKE2b-256 of the payload */
    uint32_t padding[16];
    uint8_t signature[64]; /* Ed25519 of the 128 bytes before */
};

/* The header at the start of `slot`, whatever lies there. */
const struct image_header *image_header_at(uint32_t slot);

/* Whether it is a header at all, and the image fits a slot. Says nothing about who made it. */
bool image_is_present(uint32_t slot);

/* Pages that the image in `slot` takes; all when there is none. */
uint32_t image_pages(uint32_t slot);

/* Whether the image's digest starts with `id`. */
bool image_has_id(uint32_t slot, const uint32_t id[IMAGE_ID_WORDS]);

#endif
