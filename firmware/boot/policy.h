#ifndef BROWNOUT_BOOT_POLICY_H
#define BROWNOUT_BOOT_POLICY_H

#include <stdint.h>

#include "flash.h"
#include "manifest.h"
#include "status.h"

/* The boot policy of SPEC.md section 7: completes or drops a staged upgrade and verifies the installed set.
 * It sees the world through `struct flash` and one callback, so that it runs on the host against a simulator
 * that cuts the power. */

/* How often a copy is tried in one session before boot gives up. */
#define POLICY_COPY_ATTEMPTS 3u

/* What happened; `value` of the callback is given in brackets. */
enum policy_event {
    POLICY_FLAG_READ,         /* [enum upgrade_state] */
    POLICY_STAGED_ACCEPTED,   /* [sequence of the staged set] */
    POLICY_STAGED_DROPPED,    /* [status_t why] */
    POLICY_ALREADY_INSTALLED, /* [sequence]: the copy was complete, only the flag was left */
    POLICY_COPYING_MODULE,    /* [enum module_id] */
    POLICY_MANIFEST_REPLACED, /* [sequence] */
    POLICY_COPY_FAILED,       /* [status_t why]: another attempt follows if any is left */
    POLICY_FLAG_CLEARED,      /* [0] */
    POLICY_FLAG_FAILED,       /* [status_t why]: the flag could not be written */
    POLICY_SET_VERIFIED,      /* [sequence of the installed set] */
};

struct policy {
    const struct flash *flash;
    const uint8_t *release_public_key; /* 32 bytes */
    void *context;                     /* handed to `report` */
    void (*report)(void *context, enum policy_event event, uint32_t value);
};

/* Runs the policy. STATUS_OK: `installed` is the verified manifest of the installed set, which may be
 * started. Otherwise the status says why there is nothing to start. */
MUST_USE status_t policy_run(const struct policy *policy, struct manifest *installed);

#endif
