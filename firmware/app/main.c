/* The reference application: prints its version, reads a calibration table from the assets module, and sends
 * a measurement on the application channel ten times a second. It runs unprivileged behind the MPU. */

#include <stdint.h>

#include "app_header.h"
#include "assets_format.h"
#include "board.h"
#include "sys.h"
#include "text.h"
#include "version.h"

#define TELEMETRY_PERIOD_MS 100u

/* State that a debugger can look at. */
struct measurement {
    uint32_t counter;
    uint32_t uptime_ms;
    uint32_t raw;
    uint32_t value;
};

static struct measurement measurement;

static const struct assets_header *assets(void)
{
    return (const struct assets_header *)(BOARD_FLASH_BASE + BOARD_REGION_ASSETS_OFFSET);
}

static void app_print(const char *label, uint32_t version)
{
    char buffer[48];
    struct text text;

    text_init(&text, buffer, sizeof(buffer));
    text_add(&text, label);
    text_add_version(&text, version);
    text_add(&text, "\r\n");
    sys_console(buffer, text.length);
}

/* A sensor stand-in: a triangle wave, so that the value on the server shows which calibration was applied. */
static uint32_t sensor_read(uint32_t counter)
{
    uint32_t phase = counter % 512u;

    return phase < 256u ? phase : 511u - phase;
}

static uint32_t calibration_apply(uint32_t raw)
{
    const struct assets_header *header_in_flash = assets();

    if (header_in_flash->magic != ASSETS_MAGIC || header_in_flash->entry_count == 0) {
        return raw;
    }
    return assets_table(header_in_flash)[raw % header_in_flash->entry_count];
}

static void measurement_take(struct measurement *m)
{
    m->counter += 1u;
    m->uptime_ms = sys_uptime_ms();
    m->raw = sensor_read(m->counter);
    m->value = calibration_apply(m->raw);
}

static size_t cbor_uint32(uint8_t *out, uint32_t value)
{
    out[0] = 0x1A;
    out[1] = (uint8_t)(value >> 24);
    out[2] = (uint8_t)(value >> 16);
    out[3] = (uint8_t)(value >> 8);
    out[4] = (uint8_t)value;
    return 5;
}

/* [1, counter, uptime_ms, value], see server/PROTOCOL.md section 4. */
static size_t measurement_encode(const struct measurement *m, uint8_t out[SYSCALL_MESSAGE_MAX])
{
    size_t length = 0;

    out[length++] = 0x84;
    out[length++] = 0x01;
    length += cbor_uint32(&out[length], m->counter);
    length += cbor_uint32(&out[length], m->uptime_ms);
    length += cbor_uint32(&out[length], m->value);
    return length;
}

void app_entry(void)
{
    uint8_t message[SYSCALL_MESSAGE_MAX];

    app_print("app ", VERSION_PACKED);
    app_print("app: assets ", assets()->version);
    for (;;) {
        measurement_take(&measurement);
        (void)sys_send(message, measurement_encode(&measurement, message));
        sys_sleep(TELEMETRY_PERIOD_MS);
    }
}
