#ifndef BROWNOUT_LIB_RECORD_LOG_H
#define BROWNOUT_LIB_RECORD_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "flash.h"

/* The two-sector record log of SPEC.md section 3. */

#define RECORD_LOG_PAYLOAD_SIZE 52u

struct record_log {
    const struct flash *flash;
    struct flash_region region; /* two erase sectors */
    bool fresh;                 /* a sector was erased in this session and takes appends */
    uint32_t next_offset;       /* where the next append goes, offset into the array; meaningful when fresh */
};

/* Binds a log to its region. Nothing is read or written. */
void record_log_init(struct record_log *log, const struct flash *flash, struct flash_region region);

/* Copies the current record's payload. STATUS_NOT_FOUND when there is none. What is read may not persist: see
 * SPEC.md. */
MUST_USE status_t record_log_read(const struct record_log *log, uint8_t payload[RECORD_LOG_PAYLOAD_SIZE]);

/* Writes a new current record; it persists once this returns STATUS_OK. */
MUST_USE status_t record_log_write(struct record_log *log, const uint8_t payload[RECORD_LOG_PAYLOAD_SIZE]);

#endif
