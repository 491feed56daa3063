#include "manifest.h"

#include "bytes.h"

#define REGION_MAGIC       0x464E414Du /* "MANF" */
#define REGION_HEADER_SIZE 8u

status_t manifest_region_find(const struct flash *flash, struct flash_region region, const uint8_t **envelope,
                              uint32_t *length)
{
    const uint8_t *header = &flash->array[region.offset];
    uint32_t found_length = bytes_load_le32(&header[4]);

    if (bytes_load_le32(header) != REGION_MAGIC || found_length == 0 ||
        found_length > MANIFEST_ENVELOPE_MAX) {
        return STATUS_NOT_FOUND;
    }
    *envelope = &header[REGION_HEADER_SIZE];
    *length = found_length;
    return STATUS_OK;
}

status_t manifest_region_write(const struct flash *flash, struct flash_region region, const uint8_t *envelope,
                               uint32_t length)
{
    uint8_t header[REGION_HEADER_SIZE];

    if (length == 0 || length > MANIFEST_ENVELOPE_MAX) {
        return STATUS_OUT_OF_RANGE;
    }
    bytes_store_le32(&header[0], REGION_MAGIC);
    bytes_store_le32(&header[4], length);
    RETURN_IF_ERROR(flash_region_erase(flash, region));
    RETURN_IF_ERROR(flash_write(flash, region.offset, header, REGION_HEADER_SIZE));
    return flash_write(flash, region.offset + REGION_HEADER_SIZE, envelope, length);
}
