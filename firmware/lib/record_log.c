#include "record_log.h"

#include <stddef.h>
#include <string.h>

#include "bytes.h"
#include "crc32.h"

#define RECORD_MAGIC           0x474F4C52u /* "RLOG" */
#define RECORD_SIZE            64u
#define RECORD_GENERATION_STEP 2u /* of the first write of a session: clears the ghost of a torn append */

/* Byte offsets in a record (SPEC.md section 3). */
enum {
    RECORD_MAGIC_OFFSET = 0,
    RECORD_GENERATION_OFFSET = 4,
    RECORD_PAYLOAD_OFFSET = 8,
    RECORD_CRC_OFFSET = 60,
};

_Static_assert(RECORD_PAYLOAD_OFFSET + RECORD_LOG_PAYLOAD_SIZE == RECORD_CRC_OFFSET, "record layout");
_Static_assert(RECORD_CRC_OFFSET + 4 == RECORD_SIZE, "record layout");

struct found {
    bool valid;
    uint32_t generation;
    uint32_t offset; /* of the record, into the array */
};

void record_log_init(struct record_log *log, const struct flash *flash, struct flash_region region)
{
    log->flash = flash;
    log->region = region;
    log->fresh = false;
    log->next_offset = 0;
}

static bool record_is_valid(const uint8_t *record)
{
    return bytes_load_le32(&record[RECORD_MAGIC_OFFSET]) == RECORD_MAGIC &&
           bytes_load_le32(&record[RECORD_CRC_OFFSET]) == crc32_compute(record, RECORD_CRC_OFFSET);
}

/* The current record: the valid one with the highest generation. */
static struct found current_find(const struct record_log *log)
{
    struct found current = {false, 0, 0};
    uint32_t end = log->region.offset + log->region.size;

    for (uint32_t offset = log->region.offset; offset < end; offset += RECORD_SIZE) {
        const uint8_t *record = &log->flash->array[offset];
        uint32_t generation = bytes_load_le32(&record[RECORD_GENERATION_OFFSET]);

        if (record_is_valid(record) && (!current.valid || generation > current.generation)) {
            current = (struct found){true, generation, offset};
        }
    }
    return current;
}

status_t record_log_read(const struct record_log *log, uint8_t payload[RECORD_LOG_PAYLOAD_SIZE])
{
    struct found current = current_find(log);

    if (!current.valid) {
        return STATUS_NOT_FOUND;
    }
    memcpy(payload, &log->flash->array[current.offset + RECORD_PAYLOAD_OFFSET], RECORD_LOG_PAYLOAD_SIZE);
    return STATUS_OK;
}

static status_t record_program(const struct record_log *log, uint32_t offset, uint32_t generation,
                               const uint8_t payload[RECORD_LOG_PAYLOAD_SIZE])
{
    uint8_t record[RECORD_SIZE];

    bytes_store_le32(&record[RECORD_MAGIC_OFFSET], RECORD_MAGIC);
    bytes_store_le32(&record[RECORD_GENERATION_OFFSET], generation);
    memcpy(&record[RECORD_PAYLOAD_OFFSET], payload, RECORD_LOG_PAYLOAD_SIZE);
    bytes_store_le32(&record[RECORD_CRC_OFFSET], crc32_compute(record, RECORD_CRC_OFFSET));
    return flash_write(log->flash, offset, record, RECORD_SIZE);
}

/* Makes the record that was found persistent where it lies: programming the same bits again completes every
 * cell that an interrupted program left half-way, and changes nothing in a complete one. */
static status_t record_settle(const struct record_log *log, uint32_t offset)
{
    uint8_t record[RECORD_SIZE];

    memcpy(record, &log->flash->array[offset], RECORD_SIZE);
    return flash_write(log->flash, offset, record, RECORD_SIZE);
}

/* Writes into slot 0 of the sector that does not hold the current record. */
static status_t fresh_write(struct record_log *log, const struct found *current,
                            const uint8_t payload[RECORD_LOG_PAYLOAD_SIZE])
{
    uint32_t sector_size = log->flash->sector_size;
    uint32_t sector = log->region.offset;

    if (current->valid) {
        /* The other sector may hold the only record that is known to persist; erasing it is safe only once
         * the one that was read is, too. */
        RETURN_IF_ERROR(record_settle(log, current->offset));
        if (current->offset < log->region.offset + sector_size) {
            sector += sector_size;
        }
    }
    RETURN_IF_ERROR(log->flash->erase_sector(log->flash->context, sector));
    RETURN_IF_ERROR(record_program(log, sector, current->generation + RECORD_GENERATION_STEP, payload));
    log->fresh = true;
    log->next_offset = sector + RECORD_SIZE;
    return STATUS_OK;
}

status_t record_log_write(struct record_log *log, const uint8_t payload[RECORD_LOG_PAYLOAD_SIZE])
{
    struct found current = current_find(log);
    bool append = log->fresh && log->next_offset % log->flash->sector_size != 0;

    if (log->region.size != 2u * log->flash->sector_size || log->flash->sector_size % RECORD_SIZE != 0) {
        return STATUS_INVALID_ARGUMENT;
    }
    /* Whatever fails below leaves a slot in doubt, so that the next write has to start over. */
    log->fresh = false;
    if (!append) {
        return fresh_write(log, &current, payload);
    }
    RETURN_IF_ERROR(record_program(log, log->next_offset, current.generation + 1u, payload));
    log->fresh = true;
    log->next_offset += RECORD_SIZE;
    return STATUS_OK;
}
