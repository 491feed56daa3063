#ifndef EXAMPLE_BOOT_UPDATE_H
#define EXAMPLE_BOOT_UPDATE_H

#include <stdint.h>

#include "status.h"

/* Whether the image in `slot` may run: header, digest, signature, and a security counter not below `counter`.
 * STATUS_MALFORMED, STATUS_BAD_DIGEST, STATUS_BAD_SIGNATURE, STATUS_ROLLBACK. */
MUST_USE status_t update_image_check(uint32_t slot, uint32_t counter);

/* Does what the journal asks for: starts, resumes or reverts a swap. When it returns STATUS_OK, the image in
 * the primary slot is whole and may run, if update_image_check says so with `*counter`. */
MUST_USE status_t update_run(uint32_t *counter);

#endif
