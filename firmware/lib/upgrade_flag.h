#ifndef BROWNOUT_LIB_UPGRADE_FLAG_H
#define BROWNOUT_LIB_UPGRADE_FLAG_H

#include "digest.h"
#include "record_log.h"

/* The upgrade flag of SPEC.md section 4. */

enum upgrade_state {
    UPGRADE_CLEAR = 0xC1EA0000u,
    UPGRADE_REQUESTED = 0x5E7F1A60u,
    UPGRADE_COPYING = 0xC0B11A60u,
};

struct upgrade_flag {
    uint32_t state;                       /* enum upgrade_state */
    uint32_t module_mask;                 /* bit id: the module is staged; 0 when CLEAR */
    uint32_t floor;                       /* security counter of the set installed when the flag was set */
    uint8_t manifest_digest[DIGEST_SIZE]; /* of the staged envelope; when CLEAR, of the last one boot dealt
                                             with */
    uint32_t drop_reason; /* CLEAR: status_t why boot dropped that envelope, 0 when it did not; else 0 */
};

/* The current flag; CLEAR with all other fields zero when there is no valid record or an unknown state. */
void upgrade_flag_read(const struct record_log *log, struct upgrade_flag *flag);

MUST_USE status_t upgrade_flag_write(struct record_log *log, const struct upgrade_flag *flag);

#endif
