#include "progress.h"

#include <string.h>

#include "bytes.h"

/* Byte offsets in the payload (SPEC.md section 5). */
enum {
    PROGRESS_DIGEST_OFFSET = 0,
    PROGRESS_CHUNKS_OFFSET = 32,
};

_Static_assert(PROGRESS_DIGEST_OFFSET + DIGEST_SIZE == PROGRESS_CHUNKS_OFFSET, "progress layout");
_Static_assert(PROGRESS_CHUNKS_OFFSET + 4 * MODULE_COUNT <= RECORD_LOG_PAYLOAD_SIZE, "progress layout");

void progress_read(const struct record_log *log, struct progress *progress)
{
    uint8_t payload[RECORD_LOG_PAYLOAD_SIZE];

    memset(progress, 0, sizeof(*progress));
    if (record_log_read(log, payload) != STATUS_OK) {
        return;
    }
    memcpy(progress->manifest_digest, &payload[PROGRESS_DIGEST_OFFSET], DIGEST_SIZE);
    for (uint32_t id = 0; id < MODULE_COUNT; id++) {
        progress->chunks[id] = bytes_load_le32(&payload[PROGRESS_CHUNKS_OFFSET + 4u * id]);
    }
}

status_t progress_write(struct record_log *log, const struct progress *progress)
{
    uint8_t payload[RECORD_LOG_PAYLOAD_SIZE];

    memset(payload, 0xFF, sizeof(payload));
    memcpy(&payload[PROGRESS_DIGEST_OFFSET], progress->manifest_digest, DIGEST_SIZE);
    for (uint32_t id = 0; id < MODULE_COUNT; id++) {
        bytes_store_le32(&payload[PROGRESS_CHUNKS_OFFSET + 4u * id], progress->chunks[id]);
    }
    return record_log_write(log, payload);
}
