#include "upgrade_flag.h"

#include <string.h>

#include "bytes.h"

/* Byte offsets in the payload (SPEC.md section 4). */
enum {
    FLAG_STATE_OFFSET = 0,
    FLAG_MODULE_MASK_OFFSET = 4,
    FLAG_FLOOR_OFFSET = 8,
    FLAG_MANIFEST_DIGEST_OFFSET = 12,
    FLAG_DROP_REASON_OFFSET = 44,
    FLAG_END = 48,
};

_Static_assert(FLAG_MANIFEST_DIGEST_OFFSET + DIGEST_SIZE == FLAG_DROP_REASON_OFFSET, "flag layout");
_Static_assert(FLAG_END <= RECORD_LOG_PAYLOAD_SIZE, "flag layout");

static bool state_is_known(uint32_t state)
{
    return state == UPGRADE_CLEAR || state == UPGRADE_REQUESTED || state == UPGRADE_COPYING;
}

void upgrade_flag_read(const struct record_log *log, struct upgrade_flag *flag)
{
    uint8_t payload[RECORD_LOG_PAYLOAD_SIZE];

    memset(flag, 0, sizeof(*flag));
    flag->state = UPGRADE_CLEAR;
    if (record_log_read(log, payload) != STATUS_OK ||
        !state_is_known(bytes_load_le32(&payload[FLAG_STATE_OFFSET]))) {
        return;
    }
    flag->state = bytes_load_le32(&payload[FLAG_STATE_OFFSET]);
    flag->module_mask = bytes_load_le32(&payload[FLAG_MODULE_MASK_OFFSET]);
    flag->floor = bytes_load_le32(&payload[FLAG_FLOOR_OFFSET]);
    memcpy(flag->manifest_digest, &payload[FLAG_MANIFEST_DIGEST_OFFSET], DIGEST_SIZE);
    flag->drop_reason = bytes_load_le32(&payload[FLAG_DROP_REASON_OFFSET]);
}

status_t upgrade_flag_write(struct record_log *log, const struct upgrade_flag *flag)
{
    uint8_t payload[RECORD_LOG_PAYLOAD_SIZE];

    memset(payload, 0xFF, sizeof(payload));
    bytes_store_le32(&payload[FLAG_STATE_OFFSET], flag->state);
    bytes_store_le32(&payload[FLAG_MODULE_MASK_OFFSET], flag->module_mask);
    bytes_store_le32(&payload[FLAG_FLOOR_OFFSET], flag->floor);
    memcpy(&payload[FLAG_MANIFEST_DIGEST_OFFSET], flag->manifest_digest, DIGEST_SIZE);
    bytes_store_le32(&payload[FLAG_DROP_REASON_OFFSET], flag->drop_reason);
    return record_log_write(log, payload);
}
