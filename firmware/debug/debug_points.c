#include "debug_points.h"

#include <stddef.h>
#include <string.h>

#include "bytes.h"

#define BKPT     0xBE00u
#define AREA_MIN 32u
#define PATCHES  (DEBUG_BREAKPOINTS_MAX + 1u)

void debug_points_init(struct debug_points *points, const struct debug_target *target)
{
    memset(points, 0, sizeof(*points));
    points->target = target;
}

static bool ranges_overlap(uint32_t a, uint32_t a_length, uint32_t b, uint32_t b_length)
{
    /* Differences, so that a range at the end of the address space is no special case. */
    return a - b < b_length || b - a < a_length;
}

/* ---- patches */

static void halfword_write(struct debug_points *points, uint32_t address, uint32_t value)
{
    uint8_t bytes[2];

    bytes_store_le16(bytes, (uint16_t)value);
    (void)points->target->write(points->target->context, address, bytes,
                                2); /* it worked when the patch was made */
}

static struct debug_patch *patch_find(const struct debug_points *points, uint32_t address)
{
    for (uint32_t i = 0; i < PATCHES; i++) {
        const struct debug_patch *patch = &points->patches[i];

        if (patch->owners != 0 && patch->address == address) {
            return (struct debug_patch *)patch;
        }
    }
    return NULL;
}

uint32_t debug_points_break_count(const struct debug_points *points)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < PATCHES; i++) {
        count += (points->patches[i].owners & DEBUG_OWNER_CLIENT) != 0 ? 1u : 0u;
    }
    return count;
}

static struct debug_patch *patch_free(struct debug_points *points)
{
    for (uint32_t i = 0; i < PATCHES; i++) {
        if (points->patches[i].owners == 0) {
            return &points->patches[i];
        }
    }
    return NULL;
}

status_t debug_points_break_set(struct debug_points *points, uint32_t address, enum debug_patch_owner owner)
{
    struct debug_patch *patch = patch_find(points, address);
    uint8_t bytes[2];
    uint16_t original;

    if ((address & 1u) != 0) {
        return STATUS_OUT_OF_RANGE;
    }
    if (owner != DEBUG_OWNER_STEP && debug_points_break_count(points) == DEBUG_BREAKPOINTS_MAX &&
        (patch == NULL || (patch->owners & DEBUG_OWNER_CLIENT) == 0)) {
        return STATUS_NO_SPACE;
    }
    if (patch != NULL) {
        patch->owners = (uint8_t)(patch->owners | owner);
        return STATUS_OK;
    }
    patch = patch_free(points);
    if (patch == NULL) {
        return STATUS_NO_SPACE;
    }
    RETURN_IF_ERROR(points->target->read(points->target->context, address, bytes, 2));
    original = bytes_load_le16(bytes);
    bytes_store_le16(bytes, BKPT);
    RETURN_IF_ERROR(points->target->write(points->target->context, address, bytes, 2));
    *patch = (struct debug_patch){.address = address, .original = original, .owners = (uint8_t)owner};
    return STATUS_OK;
}

void debug_points_break_clear(struct debug_points *points, uint32_t address, enum debug_patch_owner owner)
{
    struct debug_patch *patch = patch_find(points, address);

    if (patch == NULL) {
        return;
    }
    patch->owners = (uint8_t)(patch->owners & ~(uint32_t)owner);
    if (patch->owners == 0 && !patch->is_lifted) {
        halfword_write(points, address, patch->original);
    }
}

bool debug_points_break_is_at(const struct debug_points *points, uint32_t address)
{
    const struct debug_patch *patch = patch_find(points, address);

    return patch != NULL && (patch->owners & DEBUG_OWNER_CLIENT) != 0;
}

void debug_points_lift(struct debug_points *points, uint32_t address, uint32_t size)
{
    for (uint32_t i = 0; i < PATCHES; i++) {
        struct debug_patch *patch = &points->patches[i];

        if (patch->owners != 0 && !patch->is_lifted && ranges_overlap(patch->address, 2, address, size)) {
            halfword_write(points, patch->address, patch->original);
            patch->is_lifted = true;
        }
    }
}

void debug_points_lower(struct debug_points *points)
{
    for (uint32_t i = 0; i < PATCHES; i++) {
        struct debug_patch *patch = &points->patches[i];

        if (patch->owners != 0 && patch->is_lifted) {
            halfword_write(points, patch->address, BKPT);
        }
        patch->is_lifted = false;
    }
}

void debug_points_reload(struct debug_points *points)
{
    for (uint32_t i = 0; i < PATCHES; i++) {
        struct debug_patch *patch = &points->patches[i];
        uint8_t bytes[2];

        if (patch->owners != 0 &&
            points->target->read(points->target->context, patch->address, bytes, 2) == STATUS_OK) {
            patch->original = bytes_load_le16(bytes);
            patch->is_lifted = false;
            halfword_write(points, patch->address, BKPT);
        }
    }
}

void debug_points_clear(struct debug_points *points)
{
    for (uint32_t i = 0; i < PATCHES; i++) {
        struct debug_patch *patch = &points->patches[i];

        if (patch->owners != 0 && !patch->is_lifted) {
            halfword_write(points, patch->address, patch->original);
        }
    }
    debug_points_watch_disarm(points);
    debug_points_init(points, points->target);
}

/* ---- memory */

status_t debug_points_read(void *context, uint32_t address, uint8_t *out, uint32_t length)
{
    const struct debug_points *points = context;

    RETURN_IF_ERROR(points->target->read(points->target->context, address, out, length));
    for (uint32_t i = 0; i < PATCHES; i++) {
        const struct debug_patch *patch = &points->patches[i];

        for (uint32_t j = 0; patch->owners != 0 && j < 2u; j++) {
            uint32_t at = patch->address + j - address;

            if (at < length) {
                out[at] = (uint8_t)(patch->original >> (8u * j));
            }
        }
    }
    return STATUS_OK;
}

status_t debug_points_write(struct debug_points *points, uint32_t address, const uint8_t *bytes,
                            uint32_t length, uint8_t *scratch)
{
    memcpy(scratch, bytes, length);
    for (uint32_t i = 0; i < PATCHES; i++) {
        const struct debug_patch *patch = &points->patches[i];

        for (uint32_t j = 0; patch->owners != 0 && !patch->is_lifted && j < 2u; j++) {
            uint32_t at = patch->address + j - address;

            if (at < length) {
                scratch[at] = (uint8_t)(BKPT >> (8u * j));
            }
        }
    }
    RETURN_IF_ERROR(points->target->write(points->target->context, address, scratch, length));
    for (uint32_t i = 0; i < PATCHES; i++) {
        struct debug_patch *patch = &points->patches[i];

        for (uint32_t j = 0; patch->owners != 0 && j < 2u; j++) {
            uint32_t at = patch->address + j - address;

            if (at < length) {
                uint32_t keep = patch->original & ~(0xFFu << (8u * j));

                patch->original = (uint16_t)(keep | ((uint32_t)bytes[at] << (8u * j)));
            }
        }
    }
    return STATUS_OK;
}

/* ---- watchpoints */

static bool range_is_inside(uint32_t address, uint32_t length, uint32_t base, uint32_t size)
{
    return address - base < size && length <= size - (address - base);
}

/* The smallest hardware area that covers the watched bytes. */
static status_t area_choose(const struct debug_target *target, struct debug_watch *watch)
{
    uint32_t size = AREA_MIN;

    if (watch->length == 0 ||
        (!range_is_inside(watch->address, watch->length, target->data_base, target->data_size) &&
         !range_is_inside(watch->address, watch->length, target->code_base, target->code_size))) {
        return STATUS_OUT_OF_RANGE;
    }
    while ((watch->address & ~(size - 1u)) != ((watch->address + watch->length - 1u) & ~(size - 1u))) {
        size *= 2u;
    }
    watch->area_base = watch->address & ~(size - 1u);
    watch->area_size = size;
    if (!range_is_inside(watch->area_base, size, target->data_base, target->data_size) &&
        !range_is_inside(watch->area_base, size, target->code_base, target->code_size)) {
        return STATUS_OUT_OF_RANGE;
    }
    /* The core pushes exception frames with the app's rights: one that meets an area would be lost, and the
     * app with it. */
    watch->is_by_stepping = ranges_overlap(watch->area_base, size, target->stack_base, target->stack_size);
    return STATUS_OK;
}

static bool area_is_taken(const struct debug_points *points, uint32_t area)
{
    for (uint32_t i = 0; i < DEBUG_WATCHPOINTS_MAX; i++) {
        const struct debug_watch *watch = &points->watches[i];

        if (watch->kind != 0 && !watch->is_by_stepping && watch->area == area) {
            return true;
        }
    }
    return false;
}

static struct debug_watch *watch_find(struct debug_points *points, uint32_t kind, uint32_t address,
                                      uint32_t length)
{
    for (uint32_t i = 0; i < DEBUG_WATCHPOINTS_MAX; i++) {
        struct debug_watch *watch = &points->watches[i];

        if (watch->kind == kind && (kind == 0 || (watch->address == address && watch->length == length))) {
            return watch;
        }
    }
    return NULL;
}

status_t debug_points_watch_set(struct debug_points *points, uint32_t kind, uint32_t address, uint32_t length)
{
    struct debug_watch watch = {.kind = kind, .address = address, .length = length};
    struct debug_watch *slot = watch_find(points, 0, 0, 0);

    if (watch_find(points, kind, address, length) != NULL) {
        return STATUS_OK;
    }
    RETURN_IF_ERROR(area_choose(points->target, &watch));
    while (!watch.is_by_stepping && area_is_taken(points, watch.area)) {
        watch.area++;
    }
    if (slot == NULL || (!watch.is_by_stepping && watch.area >= points->target->watch_areas)) {
        return STATUS_NO_SPACE;
    }
    *slot = watch;
    return STATUS_OK;
}

void debug_points_watch_clear(struct debug_points *points, uint32_t kind, uint32_t address, uint32_t length)
{
    struct debug_watch *watch = watch_find(points, kind, address, length);

    if (watch != NULL) {
        if (!watch->is_by_stepping) {
            points->target->watch_clear(points->target->context, watch->area);
        }
        *watch = (struct debug_watch){0};
    }
}

uint32_t debug_points_watch_count(const struct debug_points *points)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < DEBUG_WATCHPOINTS_MAX; i++) {
        count += points->watches[i].kind != 0 ? 1u : 0u;
    }
    return count;
}

const struct debug_watch *debug_points_watch_find(const struct debug_points *points,
                                                  const struct debug_access *access)
{
    for (uint32_t i = 0; i < DEBUG_WATCHPOINTS_MAX; i++) {
        const struct debug_watch *watch = &points->watches[i];
        uint32_t other = access->is_write ? DEBUG_WATCH_READ : DEBUG_WATCH_WRITE;

        if (watch->kind != 0 && watch->kind != other &&
            ranges_overlap(access->address, access->length, watch->address, watch->length)) {
            return watch;
        }
    }
    return NULL;
}

bool debug_points_watch_is_near(const struct debug_points *points, const struct debug_access *access)
{
    for (uint32_t i = 0; i < DEBUG_WATCHPOINTS_MAX; i++) {
        const struct debug_watch *watch = &points->watches[i];

        if (watch->kind != 0 && !watch->is_by_stepping &&
            ranges_overlap(access->address, access->length, watch->area_base, watch->area_size)) {
            return true;
        }
    }
    return false;
}

bool debug_points_watch_needs_steps(const struct debug_points *points)
{
    for (uint32_t i = 0; i < DEBUG_WATCHPOINTS_MAX; i++) {
        if (points->watches[i].kind != 0 && points->watches[i].is_by_stepping) {
            return true;
        }
    }
    return false;
}

/* Where areas overlap the hardware follows one of them: all must then be as strict as the strictest. */
static bool area_is_no_access(const struct debug_points *points, const struct debug_watch *watch)
{
    for (uint32_t i = 0; i < DEBUG_WATCHPOINTS_MAX; i++) {
        const struct debug_watch *other = &points->watches[i];

        if (other->kind != 0 && other->kind != DEBUG_WATCH_WRITE && !other->is_by_stepping &&
            ranges_overlap(watch->area_base, watch->area_size, other->area_base, other->area_size)) {
            return true;
        }
    }
    return false;
}

void debug_points_watch_arm(struct debug_points *points)
{
    const struct debug_target *target = points->target;

    for (uint32_t i = 0; i < DEBUG_WATCHPOINTS_MAX; i++) {
        const struct debug_watch *watch = &points->watches[i];

        if (watch->kind != 0 && !watch->is_by_stepping) {
            /* The area is aligned and inside the app's memory, all that a target may ask for. */
            (void)target->watch_set(target->context, watch->area, watch->area_base, watch->area_size,
                                    area_is_no_access(points, watch));
        }
    }
}

void debug_points_watch_disarm(struct debug_points *points)
{
    for (uint32_t i = 0; i < points->target->watch_areas; i++) {
        points->target->watch_clear(points->target->context, i);
    }
}
