#include "flash.h"

#include <string.h>

/* Most bytes this module hands over in one operation; bounds the stack needed for a padded tail. */
#define FLASH_OPERATION_MAX 256u

status_t flash_region_erase(const struct flash *flash, struct flash_region region)
{
    if (region.offset % flash->sector_size != 0 || region.size % flash->sector_size != 0 ||
        region.offset > flash->size || region.size > flash->size - region.offset) {
        return STATUS_OUT_OF_RANGE;
    }
    for (uint32_t done = 0; done < region.size; done += flash->sector_size) {
        RETURN_IF_ERROR(flash->erase_sector(flash->context, region.offset + done));
    }
    return STATUS_OK;
}

/* One operation; `length` may be no multiple of the write unit. */
static status_t page_program(const struct flash *flash, uint32_t offset, const uint8_t *data, uint32_t length)
{
    uint8_t padded[FLASH_OPERATION_MAX];
    uint32_t tail = length % flash->write_unit;

    if (tail == 0) {
        return flash->program(flash->context, offset, data, length);
    }
    memcpy(padded, data, length);
    memset(&padded[length], 0xFF, flash->write_unit - tail);
    return flash->program(flash->context, offset, padded, length + flash->write_unit - tail);
}

status_t flash_write(const struct flash *flash, uint32_t offset, const uint8_t *data, uint32_t length)
{
    uint32_t page = flash->program_buffer < FLASH_OPERATION_MAX ? flash->program_buffer : FLASH_OPERATION_MAX;

    if (offset % flash->write_unit != 0 || page % flash->write_unit != 0 || page == 0) {
        return STATUS_INVALID_ARGUMENT;
    }
    if (offset > flash->size || length > flash->size - offset) {
        return STATUS_OUT_OF_RANGE;
    }
    while (length > 0) {
        uint32_t room = page - offset % page;
        uint32_t count = length < room ? length : room;

        RETURN_IF_ERROR(page_program(flash, offset, data, count));
        offset += count;
        data += count;
        length -= count;
    }
    return STATUS_OK;
}
