#ifndef BROWNOUT_LIB_PROGRESS_H
#define BROWNOUT_LIB_PROGRESS_H

#include <stdint.h>

#include "digest.h"
#include "manifest.h"
#include "record_log.h"
#include "status.h"

/* How far a download has come (SPEC.md section 5). */

struct progress {
    uint8_t manifest_digest[DIGEST_SIZE]; /* of the staged envelope; all zero: no download */
    uint32_t chunks[MODULE_COUNT];        /* by enum module_id: complete 4 KiB chunks, in order from 0 */
};

/* The current progress; all zero when there is no valid record. */
void progress_read(const struct record_log *log, struct progress *progress);

MUST_USE status_t progress_write(struct record_log *log, const struct progress *progress);

#endif
