#include "upgrade.h"

#include <string.h>

#include "clock.h"
#include "key_wrap.h"
#include "layout.h"
#include "log.h"
#include "upgrade_flag.h"
#include "wire_decode.h"
#include "wire_encode.h"

#define REPORT_PATIENCE_MS 500u

/* Codes of `report`, server/PROTOCOL.md section 4. */
enum report_code {
    REPORT_INSTALLING = 0,
    REPORT_RUNNING = 1,
    REPORT_SIGNATURE = 2,
    REPORT_ROLLBACK = 3,
    REPORT_BOARD = 4,
    REPORT_CONTENT_KEY = 5,
    REPORT_CHUNK = 6,
    REPORT_DIGEST = 7,
    REPORT_DEPENDENCY = 8,
    REPORT_FLASH = 9,
    REPORT_DROPPED = 10,
};

static enum report_code report_code_of(status_t status)
{
    switch (status) {
    case STATUS_ROLLBACK:
        return REPORT_ROLLBACK;
    case STATUS_WRONG_BOARD:
        return REPORT_BOARD;
    case STATUS_AUTHENTICATION:
        return REPORT_CHUNK;
    case STATUS_BAD_DIGEST:
        return REPORT_DIGEST;
    case STATUS_DEPENDENCY:
        return REPORT_DEPENDENCY;
    case STATUS_FLASH:
        return REPORT_FLASH;
    default:
        return REPORT_SIGNATURE;
    }
}

status_t upgrade_init(struct upgrade *upgrade, const struct flash *flash, const struct identity *identity,
                      const struct upgrade_callbacks *callbacks, uint32_t boot_version)
{
    const uint8_t *envelope;
    uint32_t length;

    memset(upgrade, 0, sizeof(*upgrade));
    upgrade->flash = flash;
    upgrade->identity = identity;
    upgrade->callbacks = *callbacks;
    upgrade->boot_version = boot_version;
    upgrade->check_interval_ms = identity_check_interval_ms(identity);
    upgrade->boot_report_due = true;
    record_log_init(&upgrade->flag_log, flash, layout_flag);
    record_log_init(&upgrade->progress_log, flash, layout_progress);
    download_init(&upgrade->download, flash, &upgrade->progress_log);
    RETURN_IF_ERROR(manifest_region_find(flash, layout_manifest, &envelope, &length));
    return manifest_open(envelope, length, identity->release_public_key, &upgrade->installed);
}

void upgrade_session(struct upgrade *upgrade, bool up, uint32_t now_ms)
{
    if (upgrade->phase == UPGRADE_INSTALLING) {
        return;
    }
    upgrade->phase = up ? UPGRADE_IDLE : UPGRADE_OFFLINE;
    upgrade->check_ms = now_ms;
    upgrade->outbox_length = 0;
    memset(upgrade->refused_digest, 0, sizeof(upgrade->refused_digest));
}

static void outbox_flush(struct upgrade *upgrade)
{
    if (upgrade->outbox_length > 0 &&
        upgrade->callbacks.send(upgrade->callbacks.context, upgrade->outbox, upgrade->outbox_length)) {
        upgrade->outbox_length = 0;
    }
}

static void request_send(struct upgrade *upgrade, const struct upgrade_request_r *request)
{
    size_t length;

    /* The outbox is empty here: requests are only made from states in which the one before has left. */
    if (cbor_encode_upgrade_request(upgrade->outbox, sizeof(upgrade->outbox), request, &length) == 0) {
        upgrade->outbox_length = length;
        outbox_flush(upgrade);
    }
}

static void report_send(struct upgrade *upgrade, uint32_t sequence, enum report_code code)
{
    struct upgrade_request_r request = {
        .upgrade_request_choice = upgrade_request_report_m_c,
        .upgrade_request_report_m = {.report_sequence = sequence, .report_code = (uint32_t)code},
    };

    request_send(upgrade, &request);
}

static void check_send(struct upgrade *upgrade)
{
    struct upgrade_request_r request = {.upgrade_request_choice = upgrade_request_check_m_c};
    const uint8_t *envelope;
    uint32_t length;

    if (manifest_region_find(upgrade->flash, layout_manifest, &envelope, &length) != STATUS_OK) {
        return;
    }
    request.upgrade_request_check_m.check_boot_version = upgrade->boot_version;
    request.upgrade_request_check_m.check_installed_envelope.value = envelope;
    request.upgrade_request_check_m.check_installed_envelope.len = length;
    request_send(upgrade, &request);
    upgrade->phase = UPGRADE_CHECKING;
}

static void check_schedule(struct upgrade *upgrade, uint32_t now_ms)
{
    upgrade->phase = UPGRADE_IDLE;
    upgrade->check_ms = now_ms + upgrade->check_interval_ms;
}

static void sequence_log(const char *line, uint32_t sequence)
{
    char buffer[LOG_LINE_MAX];
    struct text text;

    text_init(&text, buffer, sizeof(buffer));
    text_add(&text, line);
    text_add_u32(&text, sequence);
    log_text(&text);
}

/* Keeps the old set: tells the server why, and does not try this envelope again in this session. */
static void offer_refuse(struct upgrade *upgrade, uint32_t sequence, enum report_code code, status_t status,
                         uint32_t now_ms)
{
    log_status("kernel: upgrade refused", status);
    check_schedule(upgrade, now_ms);
    report_send(upgrade, sequence, code);
}

/* Modules of the offer whose digest is not the installed one. */
static uint32_t offer_changed_modules(const struct upgrade *upgrade)
{
    uint32_t mask = 0;

    for (uint32_t i = 0; i < upgrade->offered.module_count; i++) {
        const struct manifest_module *module = &upgrade->offered.modules[i];
        const struct manifest_module *old = manifest_module_find(&upgrade->installed, module->id);

        if (old == NULL || old->size != module->size || !digest_equal(old->digest, module->digest)) {
            mask |= 1u << module->id;
        }
    }
    return mask;
}

/* The set is complete in staging: verify all of it, set the flag, report. */
static void offer_install(struct upgrade *upgrade, uint32_t now_ms)
{
    struct upgrade_flag flag = {
        .state = UPGRADE_REQUESTED,
        .module_mask = upgrade->download.module_mask,
        .floor = upgrade->installed.sequence,
    };
    status_t status = download_verify(&upgrade->download);

    if (status != STATUS_OK) {
        /* Not again in this session; the next one starts from the first chunk. */
        memcpy(upgrade->refused_digest, upgrade->download.progress.manifest_digest, DIGEST_SIZE);
        if (download_discard(&upgrade->download) != STATUS_OK) {
            log_line("kernel: staged set not discarded");
        }
        offer_refuse(upgrade, upgrade->offered.sequence, report_code_of(status), status, now_ms);
        return;
    }
    memcpy(flag.manifest_digest, upgrade->download.progress.manifest_digest, DIGEST_SIZE);
    status = upgrade_flag_write(&upgrade->flag_log, &flag);
    if (status != STATUS_OK) {
        offer_refuse(upgrade, upgrade->offered.sequence, REPORT_FLASH, status, now_ms);
        return;
    }
    sequence_log("kernel: upgrade flag set seq=", upgrade->offered.sequence);
    upgrade->phase = UPGRADE_INSTALLING;
    upgrade->install_ms = now_ms + REPORT_PATIENCE_MS;
    report_send(upgrade, upgrade->offered.sequence, REPORT_INSTALLING);
}

/* Fetches the next module, or installs when there is none left. */
static void download_advance(struct upgrade *upgrade, uint32_t now_ms)
{
    struct upgrade_request_r request = {.upgrade_request_choice = upgrade_request_fetch_m_c};
    struct fetch *fetch = &request.upgrade_request_fetch_m;
    char buffer[LOG_LINE_MAX];
    struct text text;

    if (!download_next(&upgrade->download, &fetch->fetch_module, &fetch->fetch_first_chunk)) {
        offer_install(upgrade, now_ms);
        return;
    }
    text_init(&text, buffer, sizeof(buffer));
    text_add(&text, "kernel: fetch module ");
    text_add_u32(&text, fetch->fetch_module);
    text_add(&text, " from chunk ");
    text_add_u32(&text, fetch->fetch_first_chunk);
    log_text(&text);
    fetch->fetch_sequence = upgrade->offered.sequence;
    upgrade->phase = UPGRADE_DOWNLOADING;
    request_send(upgrade, &request);
}

/* STATUS_ROLLBACK for an older set; `*news` is false when the offered set is the installed one. */
static status_t offer_open(struct upgrade *upgrade, const struct current *current, bool *news)
{
    RETURN_IF_ERROR(manifest_open(current->current_envelope.value, current->current_envelope.len,
                                  upgrade->identity->release_public_key, &upgrade->offered));
    if (upgrade->offered.sequence < upgrade->installed.sequence) {
        return STATUS_ROLLBACK;
    }
    *news = upgrade->offered.sequence > upgrade->installed.sequence;
    return STATUS_OK;
}

/* True when boot has already dropped this very envelope: downloading it again would go round in circles. */
static bool offer_was_dropped(const struct upgrade *upgrade, const uint8_t digest[DIGEST_SIZE])
{
    struct upgrade_flag flag;

    upgrade_flag_read(&upgrade->flag_log, &flag);
    return flag.state == UPGRADE_CLEAR && flag.drop_reason != (uint32_t)STATUS_OK &&
           digest_equal(flag.manifest_digest, digest);
}

static void offer_accept(struct upgrade *upgrade, const struct current *current,
                         const uint8_t digest[DIGEST_SIZE], uint32_t now_ms)
{
    uint8_t content_key[AEAD_KEY_SIZE];
    bool resumed;
    status_t status;

    if (offer_was_dropped(upgrade, digest)) {
        memcpy(upgrade->refused_digest, digest, DIGEST_SIZE);
        offer_refuse(upgrade, upgrade->offered.sequence, REPORT_DROPPED, STATUS_WRONG_STATE, now_ms);
        return;
    }
    status = key_unwrap(content_key, current->current_wrapped_key.value, upgrade->identity->wrap_private_key,
                        upgrade->identity->device_id, upgrade->offered.sequence, upgrade->offered.key_id);
    if (status != STATUS_OK) {
        memcpy(upgrade->refused_digest, digest, DIGEST_SIZE);
        offer_refuse(upgrade, upgrade->offered.sequence, REPORT_CONTENT_KEY, status, now_ms);
        return;
    }
    status = download_begin(&upgrade->download, current->current_envelope.value,
                            (uint32_t)current->current_envelope.len, &upgrade->offered,
                            offer_changed_modules(upgrade), content_key, &resumed);
    if (status != STATUS_OK) {
        offer_refuse(upgrade, upgrade->offered.sequence, REPORT_FLASH, status, now_ms);
        return;
    }
    sequence_log(resumed ? "kernel: download resumed seq=" : "kernel: download started seq=",
                 upgrade->offered.sequence);
    download_advance(upgrade, now_ms);
}

static void current_receive(struct upgrade *upgrade, const struct current *current, uint32_t now_ms)
{
    uint8_t digest[DIGEST_SIZE];
    bool news = false;
    status_t status;

    digest_compute(digest, current->current_envelope.value, current->current_envelope.len);
    if (digest_equal(digest, upgrade->refused_digest)) {
        check_schedule(upgrade, now_ms);
        return;
    }
    status = offer_open(upgrade, current, &news);
    if (status != STATUS_OK) {
        memcpy(upgrade->refused_digest, digest, DIGEST_SIZE);
        offer_refuse(upgrade, status == STATUS_ROLLBACK ? upgrade->offered.sequence : 0,
                     report_code_of(status), status, now_ms);
        return;
    }
    if (!news) {
        sequence_log("kernel: up to date seq=", upgrade->installed.sequence);
        check_schedule(upgrade, now_ms);
        return;
    }
    offer_accept(upgrade, current, digest, now_ms);
}

static status_t data_receive(struct upgrade *upgrade, const struct data *data, uint32_t now_ms)
{
    status_t status =
        download_receive(&upgrade->download, data->data_module, data->data_chunk, data->data_offset,
                         data->data_bytes.value, (uint32_t)data->data_bytes.len);

    if (status == STATUS_PROTOCOL) {
        return status;
    }
    if (status != STATUS_OK) {
        memcpy(upgrade->refused_digest, upgrade->download.progress.manifest_digest, DIGEST_SIZE);
        offer_refuse(upgrade, upgrade->offered.sequence, report_code_of(status), status, now_ms);
        return STATUS_OK;
    }
    if (download_module_is_complete(&upgrade->download)) {
        download_advance(upgrade, now_ms);
    }
    return STATUS_OK;
}

status_t upgrade_receive(struct upgrade *upgrade, const uint8_t *message, size_t length, uint32_t now_ms)
{
    struct upgrade_response_r response;
    size_t used;

    if (cbor_decode_upgrade_response(message, length, &response, &used) != 0 || used != length) {
        return STATUS_MALFORMED;
    }
    switch (response.upgrade_response_choice) {
    case upgrade_response_current_m_c:
        if (upgrade->phase != UPGRADE_CHECKING) {
            return STATUS_PROTOCOL;
        }
        current_receive(upgrade, &response.upgrade_response_current_m, now_ms);
        return STATUS_OK;
    case upgrade_response_data_m_c:
        if (upgrade->phase != UPGRADE_DOWNLOADING) {
            /* The rest of a stream whose download was refused meanwhile. */
            return STATUS_OK;
        }
        return data_receive(upgrade, &response.upgrade_response_data_m, now_ms);
    case upgrade_response_refused_m_c:
        log_line("kernel: server refused the request");
        check_schedule(upgrade, now_ms);
        return STATUS_OK;
    default:
        return STATUS_MALFORMED;
    }
}

void upgrade_poll(struct upgrade *upgrade, uint32_t now_ms)
{
    outbox_flush(upgrade);
    if (upgrade->phase != UPGRADE_IDLE || upgrade->outbox_length > 0 ||
        !clock_reached(now_ms, upgrade->check_ms)) {
        return;
    }
    if (upgrade->boot_report_due) {
        upgrade->boot_report_due = false;
        report_send(upgrade, upgrade->installed.sequence, REPORT_RUNNING);
        return;
    }
    check_send(upgrade);
}

bool upgrade_wants_reset(const struct upgrade *upgrade, bool link_drained, uint32_t now_ms)
{
    if (upgrade->phase != UPGRADE_INSTALLING) {
        return false;
    }
    return (upgrade->outbox_length == 0 && link_drained) || clock_reached(now_ms, upgrade->install_ms);
}
