/* One command a run, for tests that check from Python what the C code makes of given bytes.
 *
 *   crc FILE                     CRC-32 of the file
 *   identity FILE                status of the identity region's content
 *   manifest FILE KEY            status of an envelope under the public key in the file KEY, and what it says
 *   write OFFSET LENGTH          operations of one flash_write
 *   boot WORLD MASK RESULT       requests an upgrade in a copy of the world, boots, prints the events
 *   progress WORLD RESULT        records a progress and reads it back
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crc32.h"
#include "flash_sim.h"
#include "identity.h"
#include "layout.h"
#include "policy.h"
#include "progress.h"
#include "record_log.h"
#include "upgrade_flag.h"

static uint8_t content[BOARD_FLASH_SIZE] __attribute__((aligned(4)));
static struct flash_sim sim;

static size_t file_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t length = 0;

    if (file == NULL) {
        perror(path);
        exit(2);
    }
    length = fread(content, 1, sizeof(content), file);
    (void)fclose(file);
    return length;
}

static void file_write(const char *path)
{
    FILE *file = fopen(path, "wb");

    if (file == NULL || fwrite(sim.value, 1, sizeof(sim.value), file) != sizeof(sim.value)) {
        perror(path);
        exit(2);
    }
    (void)fclose(file);
}

static void world_load(const char *path)
{
    flash_sim_init(&sim, 1);
    (void)file_read(path);
    memcpy(sim.value, content, sizeof(content));
    flash_sim_power_on(&sim);
}

static void event_print(void *context, enum policy_event event, uint32_t value)
{
    static const char *const names[] = {
        "flag_read",         "staged_accepted", "staged_dropped", "already_installed", "copying",
        "manifest_replaced", "copy_failed",     "flag_cleared",   "flag_failed",       "set_verified",
    };

    (void)context;
    printf("%s %u\n", names[event], value);
}

static void command_manifest(const char *envelope_path, const char *key_path)
{
    static uint8_t key[32];
    struct manifest manifest;
    size_t length;
    status_t status;

    (void)file_read(key_path);
    memcpy(key, content, sizeof(key));
    length = file_read(envelope_path);
    status = manifest_open(content, length, key, &manifest);
    printf("%s\n", status_text(status));
    if (status == STATUS_OK) {
        printf("sequence %u\n", manifest.sequence);
        for (uint32_t i = 0; i < manifest.module_count; i++) {
            const struct manifest_module *module = &manifest.modules[i];

            printf("module %u kind %u version %u region %u+%u size %u dependencies %u digest %02x%02x\n",
                   module->id, module->kind, module->version, module->region.offset, module->region.size,
                   module->size, module->dependency_count, module->digest[0], module->digest[31]);
        }
    }
}

static status_t operation_print(void *context, uint32_t offset, const uint8_t *data, uint32_t length)
{
    (void)context;
    printf("program %u %u last %02x\n", offset, length, data[length - 1u]);
    return STATUS_OK;
}

static void command_write(uint32_t offset, uint32_t length)
{
    flash_sim_init(&sim, 1);
    sim.flash.program = operation_print;
    printf("%s\n", status_text(flash_write(&sim.flash, offset, content, length)));
}

static void command_boot(uint32_t mask, const char *result)
{
    struct upgrade_flag flag = {.state = UPGRADE_REQUESTED, .module_mask = mask};
    const struct identity *identity;
    struct policy policy = {.flash = &sim.flash, .report = event_print};
    struct manifest installed;
    struct record_log log;
    const uint8_t *envelope;
    uint32_t length;

    if (manifest_region_find(&sim.flash, layout_staged_manifest, &envelope, &length) == STATUS_OK) {
        digest_compute(flag.manifest_digest, envelope, length);
    }
    record_log_init(&log, &sim.flash, layout_flag);
    if (upgrade_flag_write(&log, &flag) != STATUS_OK ||
        identity_open(&sim.value[layout_identity.offset], &identity) != STATUS_OK) {
        exit(2);
    }
    policy.release_public_key = identity->release_public_key;
    printf("%s\n", status_text(policy_run(&policy, &installed)));
    file_write(result);
}

static void command_progress(const char *result)
{
    struct progress progress = {.chunks = {0, 3, 2, 1}};
    struct progress back;
    struct record_log log;

    memset(progress.manifest_digest, 0xAB, sizeof(progress.manifest_digest));
    record_log_init(&log, &sim.flash, layout_progress);
    progress_read(&log, &back);
    printf("before %u\n", back.chunks[1]);
    if (progress_write(&log, &progress) != STATUS_OK) {
        exit(2);
    }
    progress_read(&log, &back);
    printf("same %d\n", memcmp(&back, &progress, sizeof(back)) == 0);
    file_write(result);
}

int main(int argc, char **argv)
{
    const char *command = argc > 2 ? argv[1] : "";
    const struct identity *identity;

    if (strcmp(command, "crc") == 0) {
        printf("%08x\n", crc32_compute(content, file_read(argv[2])));
    } else if (strcmp(command, "identity") == 0) {
        (void)file_read(argv[2]);
        printf("%s\n", status_text(identity_open(content, &identity)));
    } else if (strcmp(command, "manifest") == 0 && argc == 4) {
        command_manifest(argv[2], argv[3]);
    } else if (strcmp(command, "write") == 0 && argc == 4) {
        command_write((uint32_t)strtoul(argv[2], NULL, 0), (uint32_t)strtoul(argv[3], NULL, 0));
    } else if (strcmp(command, "boot") == 0 && argc == 5) {
        world_load(argv[2]);
        command_boot((uint32_t)strtoul(argv[3], NULL, 0), argv[4]);
    } else if (strcmp(command, "progress") == 0 && argc == 4) {
        world_load(argv[2]);
        command_progress(argv[3]);
    } else {
        fprintf(stderr, "storage_probe: unknown command or wrong number of arguments\n");
        return 2;
    }
    return 0;
}
