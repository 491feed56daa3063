#include "download.h"

#include <string.h>

#include "board.h"
#include "key_wrap.h"
#include "layout.h"

_Static_assert(DOWNLOAD_CHUNK_SIZE == BOARD_FLASH_SECTOR_SIZE, "a chunk is one erase sector");

void download_init(struct download *download, const struct flash *flash, struct record_log *log)
{
    memset(download, 0, sizeof(*download));
    download->flash = flash;
    download->log = log;
}

static uint32_t module_chunks(const struct manifest_module *module)
{
    return (module->size + DOWNLOAD_CHUNK_SIZE - 1u) / DOWNLOAD_CHUNK_SIZE;
}

static bool staged_manifest_is(const struct flash *flash, const uint8_t *envelope, uint32_t length)
{
    const uint8_t *staged;
    uint32_t staged_length;

    return manifest_region_find(flash, layout_staged_manifest, &staged, &staged_length) == STATUS_OK &&
           staged_length == length && memcmp(staged, envelope, length) == 0;
}

static status_t staging_start(struct download *download, const uint8_t *envelope, uint32_t length,
                              const uint8_t digest[DIGEST_SIZE])
{
    struct progress none = {0};

    /* No progress record may vouch for a staged manifest that is being replaced. */
    RETURN_IF_ERROR(progress_write(download->log, &none));
    RETURN_IF_ERROR(manifest_region_write(download->flash, layout_staged_manifest, envelope, length));
    memset(&download->progress, 0, sizeof(download->progress));
    memcpy(download->progress.manifest_digest, digest, DIGEST_SIZE);
    return progress_write(download->log, &download->progress);
}

status_t download_begin(struct download *download, const uint8_t *envelope, uint32_t length,
                        const struct manifest *manifest, uint32_t module_mask,
                        const uint8_t content_key[AEAD_KEY_SIZE], bool *resumed)
{
    uint8_t digest[DIGEST_SIZE];

    digest_compute(digest, envelope, length);
    download->manifest = manifest;
    download->module_mask = module_mask;
    download->module = NULL;
    download->received = 0;
    memcpy(download->content_key, content_key, AEAD_KEY_SIZE);
    progress_read(download->log, &download->progress);
    *resumed = digest_equal(download->progress.manifest_digest, digest) &&
               staged_manifest_is(download->flash, envelope, length);
    if (*resumed) {
        return STATUS_OK;
    }
    return staging_start(download, envelope, length, digest);
}

bool download_next(struct download *download, uint32_t *module_id, uint32_t *first_chunk)
{
    const struct manifest *manifest = download->manifest;

    download->received = 0;
    for (uint32_t i = 0; i < manifest->module_count; i++) {
        const struct manifest_module *module = &manifest->modules[i];
        uint32_t done = download->progress.chunks[module->id];

        if ((download->module_mask & (1u << module->id)) != 0 && done < module_chunks(module)) {
            download->module = module;
            *module_id = module->id;
            *first_chunk = done;
            return true;
        }
    }
    download->module = NULL;
    return false;
}

bool download_module_is_complete(const struct download *download)
{
    return download->module != NULL &&
           download->progress.chunks[download->module->id] >= module_chunks(download->module);
}

static uint32_t chunk_length(const struct manifest_module *module, uint32_t chunk)
{
    uint32_t rest = module->size - chunk * DOWNLOAD_CHUNK_SIZE;

    return rest < DOWNLOAD_CHUNK_SIZE ? rest : DOWNLOAD_CHUNK_SIZE;
}

static status_t chunk_store(struct download *download, uint32_t chunk, uint32_t length)
{
    const struct manifest_module *module = download->module;
    struct flash_region staged = layout_module_staged(module->id);
    struct flash_region sector = {staged.offset + chunk * DOWNLOAD_CHUNK_SIZE, DOWNLOAD_CHUNK_SIZE};

    RETURN_IF_ERROR(chunk_open(download->buffer, length, download->content_key, download->manifest->sequence,
                               module->id, chunk, module->size));
    RETURN_IF_ERROR(flash_region_erase(download->flash, sector));
    RETURN_IF_ERROR(flash_write(download->flash, sector.offset, download->buffer, length));
    /* Only now: the record says that the sector's operations completed. */
    download->progress.chunks[module->id] = chunk + 1u;
    return progress_write(download->log, &download->progress);
}

status_t download_receive(struct download *download, uint32_t module_id, uint32_t chunk, uint32_t offset,
                          const uint8_t *bytes, uint32_t length)
{
    uint32_t plain_length;

    if (download->module == NULL || download->module->id != module_id ||
        download_module_is_complete(download) || chunk != download->progress.chunks[module_id] ||
        offset != download->received) {
        return STATUS_PROTOCOL;
    }
    plain_length = chunk_length(download->module, chunk);
    if (length > plain_length + AEAD_TAG_SIZE - offset) {
        return STATUS_PROTOCOL;
    }
    memcpy(&download->buffer[offset], bytes, length);
    download->received += length;
    if (download->received < plain_length + AEAD_TAG_SIZE) {
        return STATUS_OK;
    }
    download->received = 0;
    return chunk_store(download, chunk, plain_length);
}

status_t download_verify(const struct download *download)
{
    for (uint32_t i = 0; i < download->manifest->module_count; i++) {
        const struct manifest_module *module = &download->manifest->modules[i];

        if ((download->module_mask & (1u << module->id)) != 0) {
            RETURN_IF_ERROR(
                manifest_module_verify(download->flash, layout_module_staged(module->id), module));
        }
    }
    return STATUS_OK;
}

status_t download_discard(struct download *download)
{
    memset(&download->progress, 0, sizeof(download->progress));
    download->module = NULL;
    return progress_write(download->log, &download->progress);
}
