#include "settings.h"

#include <stddef.h>

#include "flash.h"

#define SECTOR_A 0x200000u
#define SECTOR_B 0x201000u

#ifdef SETTINGS_IN_PLACE
#define SECTOR_NEW SECTOR_A /* the bug: nothing is whole while this sector is written */
#else
#define SECTOR_NEW SECTOR_B
#endif

#define FORMAT_1 0x31544553u /* "SET1" */
#define FORMAT_2 0x32544553u /* "SET2" */

#define PROGRAM_SIZE 8u

/* In front of the data. It is programmed last: without it there is no record. */
struct header {
    uint32_t format;
    uint32_t length;
    uint32_t crc;
    uint32_t reserved;
};

/* What firmware 1 wrote: the interval in minutes. */
struct settings_1 {
    uint32_t serial;
    uint32_t interval_min;
    uint32_t calibration[SETTINGS_CALIBRATION_POINTS];
};

static uint32_t crc32(uint32_t crc, const void *data, size_t length)
{
    const uint8_t *bytes = data;

    crc = ~crc;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1u) != 0u ? 0xEDB88320u : 0u);
        }
    }
    return ~crc;
}

static uint32_t record_crc(uint32_t format, const void *data, uint32_t length)
{
    return crc32(crc32(crc32(0, &format, sizeof(format)), &length, sizeof(length)), data, length);
}

/* The data of a record in this sector, NULL unless all of it is right. */
static const void *record_find(uint32_t sector, uint32_t format, uint32_t length)
{
    const struct header *header = flash_at(sector);
    const void *data = header + 1;

    if (header->format != format || header->length != length ||
        header->crc != record_crc(format, data, length)) {
        return NULL;
    }
    return data;
}

static bool record_write(uint32_t sector, uint32_t format, const void *data, uint32_t length)
{
    const struct header header = {
        .format = format, .length = length, .crc = record_crc(format, data, length), .reserved = 0xFFFFFFFFu};
    const uint8_t *bytes = data;

    if (!flash_sector_erase(sector)) {
        return false;
    }
    for (uint32_t at = 0; at < length; at += PROGRAM_SIZE) {
        if (!flash_program(sector + (uint32_t)sizeof(header) + at, bytes + at, PROGRAM_SIZE)) {
            return false;
        }
    }
    return flash_program(sector, &header, sizeof(header));
}

static void settings_convert(struct settings *settings, const struct settings_1 *old)
{
    settings->serial = old->serial;
    settings->interval_s = old->interval_min * 60u;
    for (size_t i = 0; i < SETTINGS_CALIBRATION_POINTS; i++) {
        settings->calibration[i] = old->calibration[i];
    }
}

bool settings_load(struct settings *settings)
{
    const struct settings *found = record_find(SECTOR_NEW, FORMAT_2, sizeof(*settings));

    if (found == NULL) {
        const struct settings_1 *old = record_find(SECTOR_A, FORMAT_1, sizeof(*old));

        if (old == NULL) {
            return false;
        }
        settings_convert(settings, old);
        if (!record_write(SECTOR_NEW, FORMAT_2, settings, sizeof(*settings))) {
            return false;
        }
        found = record_find(SECTOR_NEW, FORMAT_2, sizeof(*settings));
        if (found == NULL) {
            return false;
        }
    }
    *settings = *found;
    return true;
}
