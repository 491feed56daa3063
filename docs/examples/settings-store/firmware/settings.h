/* Settings that outlive a power cut: two sectors, of which one is always whole. */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#define SETTINGS_CALIBRATION_POINTS 8u

struct settings {
    uint32_t serial;
    uint32_t interval_s;
    uint32_t calibration[SETTINGS_CALIBRATION_POINTS];
};

/* Reads the settings; those of format 1, as earlier firmware has left them, are converted to format 2 in
 * flash first. False when there are none: the device has lost them. */
bool settings_load(struct settings *settings);

#endif
