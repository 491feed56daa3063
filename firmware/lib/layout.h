#ifndef BROWNOUT_LIB_LAYOUT_H
#define BROWNOUT_LIB_LAYOUT_H

#include <stdint.h>

#include "flash.h"

/* Which flash regions hold what, from the generated board.h. */

extern const struct flash_region layout_identity;
extern const struct flash_region layout_flag;
extern const struct flash_region layout_progress;
extern const struct flash_region layout_manifest;
extern const struct flash_region layout_staged_manifest;

/* Installed and staging region of a module, by enum module_id; size 0 for an id that has none. */
struct flash_region layout_module_installed(uint32_t module_id);
struct flash_region layout_module_staged(uint32_t module_id);

#endif
