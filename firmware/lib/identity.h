#ifndef BROWNOUT_LIB_IDENTITY_H
#define BROWNOUT_LIB_IDENTITY_H

#include <stdint.h>

#include "status.h"

/* The provisioned identity, SPEC.md section 2. The struct is the byte layout. */
#define IDENTITY_DEVICE_ID_SIZE 16u

struct identity {
    uint32_t magic;
    uint32_t version;
    uint8_t device_id[IDENTITY_DEVICE_ID_SIZE];
    uint8_t link_private_key[32];
    uint8_t wrap_private_key[32];
    uint8_t server_public_key[32];
    uint8_t release_public_key[32];
    uint8_t fleet_public_key[32];
    uint8_t debug_private_key[32];
    uint32_t check_interval_ms; /* between manifest checks; 0xFFFFFFFF: the default */
    uint8_t reserved[32];
    uint32_t crc;
};

/* The configured interval, or the default of one minute. */
uint32_t identity_check_interval_ms(const struct identity *identity);

/* Checks magic, version and CRC of the identity at `bytes` (256 bytes, word aligned). `*identity` points into
 * it. STATUS_NOT_FOUND when the magic is not there, STATUS_MALFORMED for a wrong version or CRC. */
MUST_USE status_t identity_open(const uint8_t *bytes, const struct identity **identity);

#endif
