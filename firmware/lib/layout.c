#include "layout.h"

#include "board.h"
#include "manifest.h"

/* A torn record is made persistent by programming it a second time (record_log.c), which such flash refuses.
 */
_Static_assert(!BOARD_FLASH_WRITE_ONCE, "the record log needs flash that takes the same program twice");
_Static_assert(BOARD_FLASH_ERASED_VALUE == 0xFF, "erased flash reads 0xFF and programming clears bits");
_Static_assert(BOARD_REGION_FLAG_SIZE == 2u * BOARD_FLASH_SECTOR_SIZE, "a record log has two sectors");
_Static_assert(BOARD_REGION_PROGRESS_SIZE == 2u * BOARD_FLASH_SECTOR_SIZE, "a record log has two sectors");
_Static_assert(BOARD_REGION_MANIFEST_SIZE >= 8u + MANIFEST_ENVELOPE_MAX, "room for a manifest");
_Static_assert(BOARD_REGION_STAGED_MANIFEST_SIZE >= 8u + MANIFEST_ENVELOPE_MAX, "room for a manifest");
_Static_assert(BOARD_REGION_STAGED_KERNEL_SIZE == BOARD_REGION_KERNEL_SIZE,
               "staging is as large as its module");
_Static_assert(BOARD_REGION_STAGED_APP_SIZE == BOARD_REGION_APP_SIZE, "staging is as large as its module");
_Static_assert(BOARD_REGION_STAGED_ASSETS_SIZE == BOARD_REGION_ASSETS_SIZE,
               "staging is as large as its module");

#define LAYOUT_REGION(name) {BOARD_REGION_##name##_OFFSET, BOARD_REGION_##name##_SIZE}

const struct flash_region layout_identity = LAYOUT_REGION(IDENTITY);
const struct flash_region layout_flag = LAYOUT_REGION(FLAG);
const struct flash_region layout_progress = LAYOUT_REGION(PROGRESS);
const struct flash_region layout_manifest = LAYOUT_REGION(MANIFEST);
const struct flash_region layout_staged_manifest = LAYOUT_REGION(STAGED_MANIFEST);

static const struct flash_region installed_regions[MODULE_COUNT] = {
    [MODULE_KERNEL] = LAYOUT_REGION(KERNEL),
    [MODULE_APP] = LAYOUT_REGION(APP),
    [MODULE_ASSETS] = LAYOUT_REGION(ASSETS),
};

static const struct flash_region staged_regions[MODULE_COUNT] = {
    [MODULE_KERNEL] = LAYOUT_REGION(STAGED_KERNEL),
    [MODULE_APP] = LAYOUT_REGION(STAGED_APP),
    [MODULE_ASSETS] = LAYOUT_REGION(STAGED_ASSETS),
};

struct flash_region layout_module_installed(uint32_t module_id)
{
    return installed_regions[module_id < MODULE_COUNT ? module_id : MODULE_BOOT];
}

struct flash_region layout_module_staged(uint32_t module_id)
{
    return staged_regions[module_id < MODULE_COUNT ? module_id : MODULE_BOOT];
}
