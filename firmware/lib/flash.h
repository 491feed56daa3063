#ifndef BROWNOUT_LIB_FLASH_H
#define BROWNOUT_LIB_FLASH_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

/* A NOR flash array that reads directly and is changed by operations. Implemented by hal/ on a device and by
 * a simulator on the host. */
struct flash {
    const uint8_t *array; /* first byte of the array, readable at any time */
    uint32_t size;        /* bytes */
    uint32_t sector_size; /* bytes, power of two */
    uint32_t write_unit;  /* bytes, power of two */
    uint32_t
        program_buffer; /* most bytes of one program operation; operations do not cross a multiple of it */
    void *context;      /* handed to the functions */

    /* One program operation: `length` bytes at byte `offset`, both multiples of write_unit, inside one
     * program page. */
    status_t (*program)(void *context, uint32_t offset, const uint8_t *data, uint32_t length);
    /* One erase operation of the sector that starts at `offset`. */
    status_t (*erase_sector)(void *context, uint32_t offset);
};

/* A part of the array, in bytes from its start. */
struct flash_region {
    uint32_t offset;
    uint32_t size;
};

/* Erases all sectors of `region`. */
MUST_USE status_t flash_region_erase(const struct flash *flash, struct flash_region region);

/* Programs `length` bytes at `offset` of the array in as few operations as the controller allows. A tail
 * shorter than the write unit is padded with 0xFF. `offset` is a multiple of the write unit. The caller has
 * erased the sectors. */
MUST_USE status_t flash_write(const struct flash *flash, uint32_t offset, const uint8_t *data,
                              uint32_t length);

#endif
