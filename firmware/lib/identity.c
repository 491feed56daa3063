#include "identity.h"

#include <stddef.h>

#include "crc32.h"

#define IDENTITY_MAGIC   0x44495542u /* "BUID" */
#define IDENTITY_VERSION 1u

#define CHECK_INTERVAL_UNSET      0xFFFFFFFFu
#define CHECK_INTERVAL_DEFAULT_MS 60000u

_Static_assert(sizeof(struct identity) == 256, "identity layout");
_Static_assert(offsetof(struct identity, device_id) == 8, "identity layout");
_Static_assert(offsetof(struct identity, link_private_key) == 24, "identity layout");
_Static_assert(offsetof(struct identity, wrap_private_key) == 56, "identity layout");
_Static_assert(offsetof(struct identity, server_public_key) == 88, "identity layout");
_Static_assert(offsetof(struct identity, release_public_key) == 120, "identity layout");
_Static_assert(offsetof(struct identity, fleet_public_key) == 152, "identity layout");
_Static_assert(offsetof(struct identity, debug_private_key) == 184, "identity layout");
_Static_assert(offsetof(struct identity, crc) == 252, "identity layout");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the struct is the layout, which is little-endian");

status_t identity_open(const uint8_t *bytes, const struct identity **identity)
{
    const struct identity *found = (const struct identity *)(const void *)bytes;

    if (found->magic != IDENTITY_MAGIC) {
        return STATUS_NOT_FOUND;
    }
    if (found->version != IDENTITY_VERSION ||
        found->crc != crc32_compute(bytes, offsetof(struct identity, crc))) {
        return STATUS_MALFORMED;
    }
    *identity = found;
    return STATUS_OK;
}

uint32_t identity_check_interval_ms(const struct identity *identity)
{
    return identity->check_interval_ms == CHECK_INTERVAL_UNSET ? CHECK_INTERVAL_DEFAULT_MS
                                                               : identity->check_interval_ms;
}
