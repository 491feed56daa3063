#include "image.h"

#include <stddef.h>

#include "memory_map.h"

_Static_assert(sizeof(struct image_header) == 192, "header layout");
_Static_assert(offsetof(struct image_header, signature) == IMAGE_SIGNED_SIZE, "header layout");

const struct image_header *image_header_at(uint32_t slot)
{
    return (const struct image_header *)(uintptr_t)slot;
}

bool image_is_present(uint32_t slot)
{
    const struct image_header *header = image_header_at(slot);

    return header->magic == IMAGE_MAGIC && header->size > 0 && header->size % 4u == 0 &&
           header->size <= SLOT_SIZE - IMAGE_HEADER_SIZE;
}

uint32_t image_pages(uint32_t slot)
{
    if (!image_is_present(slot)) {
        return SLOT_PAGES;
    }
    return (IMAGE_HEADER_SIZE + image_header_at(slot)->size + FLASH_PAGE_SIZE - 1u) / FLASH_PAGE_SIZE;
}

bool image_has_id(uint32_t slot, const uint32_t id[IMAGE_ID_WORDS])
{
    const struct image_header *header = image_header_at(slot);

    for (uint32_t i = 0; i < IMAGE_ID_WORDS; i++) {
        if (header->digest[i] != id[i]) {
            return false;
        }
    }
    return true;
}
