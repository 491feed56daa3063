#include "manifest.h"

#include <stdbool.h>
#include <string.h>

#include "board.h"
#include "cose.h"
#include "layout.h"
#include "manifest_decode.h"

/* zcbor's functions return 0 (ZCBOR_SUCCESS) or an error code. */
#define DECODED 0

static const uint32_t module_kinds[MODULE_COUNT] = {
    [MODULE_KERNEL] = MODULE_KIND_XIP,
    [MODULE_APP] = MODULE_KIND_RAM,
    [MODULE_ASSETS] = MODULE_KIND_DATA,
};

static struct ed25519_span span_of(const struct zcbor_string *string)
{
    return (struct ed25519_span){.bytes = string->value, .length = string->len};
}

static status_t signature_check(const struct cose_sign1 *cose, const uint8_t public_key[32])
{
    return cose_sign1_verify(span_of(&cose->cose_sign1_protected), span_of(&cose->cose_sign1_payload),
                             cose->cose_sign1_signature.value, public_key);
}

static void module_take(struct manifest_module *module, const struct module_map *decoded)
{
    module->id = decoded->module_map_id_m;
    module->kind = decoded->module_map_kind_m;
    module->version = decoded->module_map_version_m;
    module->region.offset = decoded->module_map_region_offset_m;
    module->region.size = decoded->module_map_region_size_m;
    module->size = decoded->module_map_image_size_m;
    memcpy(module->digest, decoded->module_map_digest_m.value, DIGEST_SIZE);
    module->dependency_count = (uint32_t)decoded->module_map_dependency_m_l_dependency_m_count;
    for (uint32_t i = 0; i < module->dependency_count; i++) {
        const struct dependency *from = &decoded->module_map_dependency_m_l_dependency_m[i];

        module->dependencies[i].module_id = from->dependency_module_id;
        module->dependencies[i].minimum_version = from->dependency_minimum_version;
    }
}

static status_t payload_decode(const struct zcbor_string *payload, struct manifest *manifest)
{
    struct manifest_map decoded;
    size_t used = 0;

    if (cbor_decode_manifest_map(payload->value, payload->len, &decoded, &used) != DECODED ||
        used != payload->len) {
        return STATUS_MALFORMED;
    }
    if (decoded.manifest_map_board_m.len != sizeof(BOARD_NAME) - 1u ||
        memcmp(decoded.manifest_map_board_m.value, BOARD_NAME, sizeof(BOARD_NAME) - 1u) != 0) {
        return STATUS_WRONG_BOARD;
    }
    manifest->sequence = decoded.manifest_map_sequence_m;
    manifest->module_count = (uint32_t)decoded.manifest_map_module_map_m_l_module_map_m_count;
    memcpy(manifest->key_id, decoded.manifest_map_key_id_m.value, MANIFEST_KEY_ID_SIZE);
    for (uint32_t i = 0; i < manifest->module_count; i++) {
        module_take(&manifest->modules[i], &decoded.manifest_map_module_map_m_l_module_map_m[i]);
    }
    return STATUS_OK;
}

static status_t modules_check(const struct manifest *manifest)
{
    uint32_t previous_id = MODULE_BOOT;

    for (uint32_t i = 0; i < manifest->module_count; i++) {
        const struct manifest_module *module = &manifest->modules[i];
        struct flash_region region = layout_module_installed(module->id);

        if (module->id <= previous_id || module->id >= MODULE_COUNT) {
            return STATUS_MALFORMED;
        }
        if (module->region.offset != region.offset || module->region.size != region.size) {
            return STATUS_WRONG_BOARD;
        }
        if (module->kind != module_kinds[module->id] || module->size == 0 || module->size > region.size) {
            return STATUS_MALFORMED;
        }
        previous_id = module->id;
    }
    /* A set that cannot be started is no set. */
    return manifest->modules[0].id == MODULE_KERNEL ? STATUS_OK : STATUS_MALFORMED;
}

static status_t dependencies_check(const struct manifest *manifest)
{
    for (uint32_t i = 0; i < manifest->module_count; i++) {
        const struct manifest_module *module = &manifest->modules[i];

        for (uint32_t j = 0; j < module->dependency_count; j++) {
            const struct manifest_module *needed =
                manifest_module_find(manifest, module->dependencies[j].module_id);

            if (needed == NULL || needed->version < module->dependencies[j].minimum_version) {
                return STATUS_DEPENDENCY;
            }
        }
    }
    return STATUS_OK;
}

status_t manifest_open(const uint8_t *envelope, size_t length, const uint8_t public_key[32],
                       struct manifest *manifest)
{
    struct cose_sign1 cose;
    size_t used = 0;

    if (length > MANIFEST_ENVELOPE_MAX || cbor_decode_envelope(envelope, length, &cose, &used) != DECODED ||
        used != length) {
        return STATUS_MALFORMED;
    }
    RETURN_IF_ERROR(signature_check(&cose, public_key));
    RETURN_IF_ERROR(payload_decode(&cose.cose_sign1_payload, manifest));
    RETURN_IF_ERROR(modules_check(manifest));
    return dependencies_check(manifest);
}

const struct manifest_module *manifest_module_find(const struct manifest *manifest, uint32_t module_id)
{
    for (uint32_t i = 0; i < manifest->module_count; i++) {
        if (manifest->modules[i].id == module_id) {
            return &manifest->modules[i];
        }
    }
    return NULL;
}

status_t manifest_module_verify(const struct flash *flash, struct flash_region region,
                                const struct manifest_module *module)
{
    uint8_t digest[DIGEST_SIZE];

    if (module->size > region.size) {
        return STATUS_OUT_OF_RANGE;
    }
    digest_compute(digest, &flash->array[region.offset], module->size);
    return digest_equal(digest, module->digest) ? STATUS_OK : STATUS_BAD_DIGEST;
}
