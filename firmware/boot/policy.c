#include "policy.h"

#include <stdbool.h>

#include "digest.h"
#include "layout.h"
#include "record_log.h"
#include "upgrade_flag.h"

/* A manifest where it lies in flash, and what it says. */
struct set {
    const uint8_t *envelope;
    uint32_t length;
    struct manifest manifest;
};

static void report(const struct policy *policy, enum policy_event event, uint32_t value)
{
    policy->report(policy->context, event, value);
}

static status_t set_open(const struct policy *policy, struct flash_region region, struct set *set)
{
    RETURN_IF_ERROR(manifest_region_find(policy->flash, region, &set->envelope, &set->length));
    return manifest_open(set->envelope, set->length, policy->release_public_key, &set->manifest);
}

/* Every module has its digest: in staging when its bit is set in `staged_mask`, in place otherwise. */
static status_t set_verify(const struct policy *policy, const struct manifest *manifest, uint32_t staged_mask)
{
    uint32_t known_mask = 0;

    for (uint32_t i = 0; i < manifest->module_count; i++) {
        const struct manifest_module *module = &manifest->modules[i];
        uint32_t bit = 1u << module->id;
        bool staged = (staged_mask & bit) != 0;
        struct flash_region region =
            staged ? layout_module_staged(module->id) : layout_module_installed(module->id);

        RETURN_IF_ERROR(manifest_module_verify(policy->flash, region, module));
        known_mask |= bit;
    }
    /* A mask that names a module which is not part of the set was not written for this set. */
    return (staged_mask & ~known_mask) == 0 ? STATUS_OK : STATUS_MALFORMED;
}

static status_t installed_verify(const struct policy *policy, struct set *set)
{
    RETURN_IF_ERROR(set_open(policy, layout_manifest, set));
    return set_verify(policy, &set->manifest, 0);
}

/* The staged set is the one the flag was written for, complete, and newer than `floor`. */
static status_t staged_verify(const struct policy *policy, const struct upgrade_flag *flag, uint32_t floor,
                              struct set *set)
{
    uint8_t digest[DIGEST_SIZE];

    RETURN_IF_ERROR(set_open(policy, layout_staged_manifest, set));
    digest_compute(digest, set->envelope, set->length);
    if (!digest_equal(digest, flag->manifest_digest)) {
        return STATUS_BAD_DIGEST;
    }
    if (set->manifest.sequence <= floor) {
        return STATUS_ROLLBACK;
    }
    return set_verify(policy, &set->manifest, flag->module_mask);
}

static status_t module_copy(const struct policy *policy, const struct manifest_module *module)
{
    struct flash_region from = layout_module_staged(module->id);
    struct flash_region to = layout_module_installed(module->id);

    report(policy, POLICY_COPYING_MODULE, module->id);
    /* Always all of it: content that compares equal may be unstable. */
    RETURN_IF_ERROR(flash_region_erase(policy->flash, to));
    return flash_write(policy->flash, to.offset, &policy->flash->array[from.offset], module->size);
}

static bool set_is(const struct set *set, const uint8_t digest[DIGEST_SIZE])
{
    uint8_t own[DIGEST_SIZE];

    digest_compute(own, set->envelope, set->length);
    return digest_equal(own, digest);
}

static status_t copy_once(const struct policy *policy, const struct upgrade_flag *flag,
                          const struct set *staged)
{
    struct set installed;

    for (uint32_t i = 0; i < staged->manifest.module_count; i++) {
        const struct manifest_module *module = &staged->manifest.modules[i];

        if ((flag->module_mask & (1u << module->id)) != 0) {
            RETURN_IF_ERROR(module_copy(policy, module));
        }
    }
    RETURN_IF_ERROR(manifest_region_write(policy->flash, layout_manifest, staged->envelope, staged->length));
    report(policy, POLICY_MANIFEST_REPLACED, staged->manifest.sequence);
    RETURN_IF_ERROR(installed_verify(policy, &installed));
    return set_is(&installed, flag->manifest_digest) ? STATUS_OK : STATUS_BAD_DIGEST;
}

/* Ends the upgrade: the set is installed (STATUS_OK) or was dropped. A failure is reported and survived: the
 * installed set is complete, and COPYING with a complete set in place only makes the next boot copy it again
 * or find it installed. */
static void flag_clear(const struct policy *policy, struct record_log *log, const struct upgrade_flag *flag,
                       status_t drop_reason)
{
    struct upgrade_flag clear = *flag;
    status_t status;

    clear.state = UPGRADE_CLEAR;
    clear.module_mask = 0;
    clear.drop_reason = (uint32_t)drop_reason;
    status = upgrade_flag_write(log, &clear);
    if (status == STATUS_OK) {
        report(policy, POLICY_FLAG_CLEARED, 0);
    } else {
        report(policy, POLICY_FLAG_FAILED, (uint32_t)status);
    }
}

/* Installs a staged set that verified. The flag says COPYING from here until the new set is complete in
 * place, so that every boot in between comes back here. */
static status_t staged_install(const struct policy *policy, struct record_log *log,
                               const struct upgrade_flag *flag, uint32_t floor, const struct set *staged)
{
    struct upgrade_flag copying = *flag;
    status_t status;

    report(policy, POLICY_STAGED_ACCEPTED, staged->manifest.sequence);
    copying.state = UPGRADE_COPYING;
    copying.floor = floor;
    /* Also when COPYING was read: what was read may not persist, and what follows cannot be undone. */
    status = upgrade_flag_write(log, &copying);
    if (status != STATUS_OK) {
        report(policy, POLICY_FLAG_FAILED, (uint32_t)status);
        return STATUS_OK; /* nothing was touched in this session: the caller verifies what is installed */
    }
    status = STATUS_FLASH;
    for (uint32_t attempt = 0; attempt < POLICY_COPY_ATTEMPTS && status != STATUS_OK; attempt++) {
        status = copy_once(policy, &copying, staged);
        if (status != STATUS_OK) {
            report(policy, POLICY_COPY_FAILED, (uint32_t)status);
        }
    }
    RETURN_IF_ERROR(status);
    flag_clear(policy, log, &copying, STATUS_OK);
    return STATUS_OK;
}

/* REQUESTED: the installed set is untouched. */
static status_t requested_handle(const struct policy *policy, struct record_log *log,
                                 const struct upgrade_flag *flag)
{
    struct set set;
    uint32_t floor = 0;
    status_t status = set_open(policy, layout_manifest, &set);

    if (status == STATUS_OK) {
        floor = set.manifest.sequence;
        status = staged_verify(policy, flag, floor, &set);
    }
    if (status == STATUS_OK) {
        return staged_install(policy, log, flag, floor, &set);
    }
    report(policy, POLICY_STAGED_DROPPED, (uint32_t)status);
    flag_clear(policy, log, flag, status);
    return STATUS_OK;
}

/* COPYING: the installed set may be half replaced, or complete with only the flag left. */
static status_t copying_handle(const struct policy *policy, struct record_log *log,
                               const struct upgrade_flag *flag)
{
    struct set set;
    status_t status = staged_verify(policy, flag, flag->floor, &set);

    if (status == STATUS_OK) {
        return staged_install(policy, log, flag, flag->floor, &set);
    }
    RETURN_IF_ERROR(installed_verify(policy, &set));
    if (set_is(&set, flag->manifest_digest)) {
        report(policy, POLICY_ALREADY_INSTALLED, set.manifest.sequence);
        status = STATUS_OK;
    } else {
        report(policy, POLICY_STAGED_DROPPED, (uint32_t)status);
    }
    flag_clear(policy, log, flag, status);
    return STATUS_OK;
}

status_t policy_run(const struct policy *policy, struct manifest *installed)
{
    struct record_log log;
    struct upgrade_flag flag;
    struct set set;

    record_log_init(&log, policy->flash, layout_flag);
    upgrade_flag_read(&log, &flag);
    report(policy, POLICY_FLAG_READ, flag.state);
    if (flag.state == UPGRADE_REQUESTED) {
        RETURN_IF_ERROR(requested_handle(policy, &log, &flag));
    } else if (flag.state == UPGRADE_COPYING) {
        RETURN_IF_ERROR(copying_handle(policy, &log, &flag));
    }
    RETURN_IF_ERROR(installed_verify(policy, &set));
    *installed = set.manifest;
    report(policy, POLICY_SET_VERIFIED, set.manifest.sequence);
    return STATUS_OK;
}
