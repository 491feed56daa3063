#ifndef EXAMPLE_COMMON_MEMORY_MAP_H
#define EXAMPLE_COMMON_MEMORY_MAP_H

/* Where everything lies in the nRF52840's 1 MiB of flash and 256 KiB of RAM. boot.ld, app.ld and target.toml
 * say the same. */

#define FLASH_PAGE_SIZE 0x1000u
#define FLASH_ERASED    0xFFFFFFFFu

#define SLOT_PAGES        16u
#define SLOT_SIZE         (SLOT_PAGES * FLASH_PAGE_SIZE)
#define PRIMARY_ADDRESS   0x00010000u
#define SECONDARY_ADDRESS 0x00020000u
#define SCRATCH_ADDRESS   0x00030000u /* one page */
#define JOURNAL_ADDRESS   0x00031000u
#define JOURNAL_PAGES     3u

#define RAM_ADDRESS 0x20000000u
#define RAM_SIZE    0x00040000u

/* The app leaves its mark here when it has done what it wanted: for whoever watches. */
#define MARKER_ADDRESS 0x2003FFF0u
#define MARKER_MAGIC   0xB0070000u /* plus the version */

#endif
