#ifndef BROWNOUT_KERNEL_UPGRADE_H
#define BROWNOUT_KERNEL_UPGRADE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "download.h"
#include "identity.h"
#include "manifest.h"
#include "record_log.h"

/* The upgrade client (server/PROTOCOL.md section 4): sends the installed manifest every check interval,
 * downloads what changed, sets the upgrade flag and asks for a reset. Messages go in and out through the
 * caller; no hardware. */

#define UPGRADE_MESSAGE_MAX 1024u

enum upgrade_phase {
    UPGRADE_OFFLINE,     /* no session */
    UPGRADE_IDLE,        /* the next check is due at check_ms */
    UPGRADE_CHECKING,    /* check sent, current awaited */
    UPGRADE_DOWNLOADING, /* fetch sent */
    UPGRADE_READY,       /* all is staged: the flag is set as soon as nobody debugs the app */
    UPGRADE_INSTALLING,  /* flag set: the device resets once the report has left */
};

struct upgrade_callbacks {
    void *context;
    /* Sends one message on the upgrade channel; false when it does not fit now: upgrade_poll() tries again.
     */
    bool (*send)(void *context, const uint8_t *message, size_t length);
    /* Whether the device may reset to install now. While it may not, the staged set waits. */
    bool (*may_install)(void *context);
};

struct upgrade {
    const struct flash *flash;
    const struct identity *identity;
    struct upgrade_callbacks callbacks;
    struct record_log flag_log;
    struct record_log progress_log;
    uint32_t boot_version;
    uint32_t check_interval_ms;

    enum upgrade_phase phase;
    uint32_t check_ms;
    bool waits;           /* READY, and it was said that a debug session keeps the device from installing */
    bool boot_report_due; /* the first check after power-on says what runs */
    uint32_t install_ms;  /* when the device resets at the latest */
    uint8_t refused_digest[DIGEST_SIZE]; /* envelope that is not tried again in this session; zero = none */

    struct manifest installed;
    uint8_t installed_digest[DIGEST_SIZE]; /* of the installed envelope */
    struct manifest offered;
    struct download download;

    uint8_t outbox[UPGRADE_MESSAGE_MAX]; /* the message that send() did not take yet */
    size_t outbox_length;
};

/* Reads the installed manifest. Any error is final: boot does not start a kernel whose set does not verify.
 */
MUST_USE status_t upgrade_init(struct upgrade *upgrade, const struct flash *flash,
                               const struct identity *identity, const struct upgrade_callbacks *callbacks,
                               uint32_t boot_version);

/* The session came up or ended. */
void upgrade_session(struct upgrade *upgrade, bool up, uint32_t now_ms);

/* A message of the upgrade channel. STATUS_MALFORMED or STATUS_PROTOCOL: the caller ends the session. */
MUST_USE status_t upgrade_receive(struct upgrade *upgrade, const uint8_t *message, size_t length,
                                  uint32_t now_ms);

/* Timers and pending output. */
void upgrade_poll(struct upgrade *upgrade, uint32_t now_ms);

/* True when the flag is set and the device should reset: at once when `link_drained` says that the report has
 * left, otherwise when its time is up. */
bool upgrade_wants_reset(const struct upgrade *upgrade, bool link_drained, uint32_t now_ms);

#endif
