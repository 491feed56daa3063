#ifndef BROWNOUT_KERNEL_DOWNLOAD_H
#define BROWNOUT_KERNEL_DOWNLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "aead.h"
#include "digest.h"
#include "flash.h"
#include "manifest.h"
#include "progress.h"
#include "record_log.h"
#include "status.h"

/* Brings the changed modules of a set into the staging regions: chunk by chunk decrypted, programmed and
 * recorded, so that a download goes on after a power loss where it stopped (SPEC.md section 5). Knows nothing
 * of messages. */

#define DOWNLOAD_CHUNK_SIZE 4096u /* plaintext bytes; equals the erase sector */

struct download {
    const struct flash *flash;
    struct record_log *log;
    const struct manifest *manifest;
    uint32_t module_mask; /* bit id: the module has to be staged */
    uint8_t content_key[AEAD_KEY_SIZE];
    struct progress progress;
    const struct manifest_module *module; /* being received, NULL when none */
    uint32_t received;                    /* bytes of the current encrypted chunk in `buffer` */
    uint8_t buffer[DOWNLOAD_CHUNK_SIZE + AEAD_TAG_SIZE];
};

/* Binds a download to its flash and its progress log. */
void download_init(struct download *download, const struct flash *flash, struct record_log *log);

/* Starts staging the set of `envelope`, or goes on with it when it is the one in staging already. `manifest`
 * is the opened envelope and stays in place until the download ends. `*resumed` tells whether earlier chunks
 * are kept. */
MUST_USE status_t download_begin(struct download *download, const uint8_t *envelope, uint32_t length,
                                 const struct manifest *manifest, uint32_t module_mask,
                                 const uint8_t content_key[AEAD_KEY_SIZE], bool *resumed);

/* The next module that is not complete and its first missing chunk; false when everything is staged. */
bool download_next(struct download *download, uint32_t *module_id, uint32_t *first_chunk);

/* A piece of the stream. STATUS_PROTOCOL when it is not the next one, STATUS_AUTHENTICATION when a chunk does
 * not open, STATUS_FLASH. */
MUST_USE status_t download_receive(struct download *download, uint32_t module_id, uint32_t chunk,
                                   uint32_t offset, const uint8_t *bytes, uint32_t length);

/* True when the module of the last download_next() is complete. */
bool download_module_is_complete(const struct download *download);

/* Compares every staged module with its digest. STATUS_BAD_DIGEST names nothing more: the whole set is
 * refused. */
MUST_USE status_t download_verify(const struct download *download);

/* Forgets what is staged, so that the next download of this set starts at its first chunk. */
MUST_USE status_t download_discard(struct download *download);

#endif
