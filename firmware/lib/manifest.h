#ifndef BROWNOUT_LIB_MANIFEST_H
#define BROWNOUT_LIB_MANIFEST_H

#include <stdint.h>

#include "digest.h"
#include "flash.h"
#include "status.h"

/* Signed manifests: SPEC.md sections 6 and 7, server/cddl/manifest.cddl. */

#define MANIFEST_MODULES_MAX      4u
#define MANIFEST_DEPENDENCIES_MAX 4u
#define MANIFEST_ENVELOPE_MAX     2040u
#define MANIFEST_KEY_ID_SIZE      16u

enum module_id {
    MODULE_BOOT = 0,
    MODULE_KERNEL = 1,
    MODULE_APP = 2,
    MODULE_ASSETS = 3,
    MODULE_COUNT = 4,
};

enum module_kind {
    MODULE_KIND_XIP = 1,
    MODULE_KIND_RAM = 2,
    MODULE_KIND_DATA = 3,
};

struct manifest_dependency {
    uint32_t module_id;
    uint32_t minimum_version;
};

struct manifest_module {
    uint32_t id; /* enum module_id */
    uint32_t kind;
    uint32_t version; /* major << 24 | minor << 16 | patch */
    struct flash_region region;
    uint32_t size; /* bytes of the image */
    uint8_t digest[DIGEST_SIZE];
    uint32_t dependency_count;
    struct manifest_dependency dependencies[MANIFEST_DEPENDENCIES_MAX];
};

struct manifest {
    uint32_t sequence; /* the security counter */
    uint32_t module_count;
    struct manifest_module modules[MANIFEST_MODULES_MAX];
    uint8_t key_id[MANIFEST_KEY_ID_SIZE];
};

/* Checks the envelope's signature, decodes it, and checks board name, ids (ascending, 1..3, no id twice),
 * kinds and regions against this board's layout (lib/layout.h), image sizes, and dependencies. A set without
 * a kernel is malformed. STATUS_MALFORMED, _BAD_SIGNATURE, _WRONG_BOARD or _DEPENDENCY otherwise; `manifest`
 * is then undefined. */
MUST_USE status_t manifest_open(const uint8_t *envelope, size_t length, const uint8_t public_key[32],
                                struct manifest *manifest);

/* Finds the envelope in a manifest region (header of SPEC.md section 6); nothing is verified but magic and
 * length.
 * `*envelope` points into the array. STATUS_NOT_FOUND when there is none. */
MUST_USE status_t manifest_region_find(const struct flash *flash, struct flash_region region,
                                       const uint8_t **envelope, uint32_t *length);

/* Erases the region and programs header and envelope. */
MUST_USE status_t manifest_region_write(const struct flash *flash, struct flash_region region,
                                        const uint8_t *envelope, uint32_t length);

/* The module with this id, NULL when the manifest has none. */
const struct manifest_module *manifest_module_find(const struct manifest *manifest, uint32_t module_id);

/* STATUS_OK when the first `module->size` bytes of `region` have the module's digest, else STATUS_BAD_DIGEST.
 */
MUST_USE status_t manifest_module_verify(const struct flash *flash, struct flash_region region,
                                         const struct manifest_module *module);

#endif
