#ifndef BROWNOUT_APP_ASSETS_FORMAT_H
#define BROWNOUT_APP_ASSETS_FORMAT_H

#include <stddef.h>
#include <stdint.h>

/* The assets module, SPEC.md section 9; made by tools/make_assets.py. Header, then `entry_count` words: the
 * calibrated value of each raw value. */

#define ASSETS_MAGIC  0x54535341u /* "ASST" */
#define ASSETS_FORMAT 1u

struct assets_header {
    uint32_t magic;
    uint32_t format;
    uint32_t version; /* major << 24 | minor << 16 | patch */
    uint32_t entry_count;
    uint32_t table_offset; /* from the header's first byte */
    uint32_t table_crc;    /* CRC-32 of the table, as lib/crc32 */
    uint8_t reserved[40];  /* 0xFF */
};

_Static_assert(sizeof(struct assets_header) == 64, "assets layout");
_Static_assert(offsetof(struct assets_header, version) == 8, "assets layout");
_Static_assert(offsetof(struct assets_header, table_crc) == 20, "assets layout");

static inline const uint32_t *assets_table(const struct assets_header *header)
{
    return (const uint32_t *)((uintptr_t)header + header->table_offset);
}

#endif
