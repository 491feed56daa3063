#ifndef BROWNOUT_LIB_VERSION_H
#define BROWNOUT_LIB_VERSION_H

#include "build_version.h" /* generated: VERSION_MAJOR, VERSION_MINOR, VERSION_PATCH, VERSION_STRING */

/* The version of this build, for all of its images, as manifests and messages carry it. */
#define VERSION_PACKED                                                                                       \
    (((uint32_t)VERSION_MAJOR << 24) | ((uint32_t)VERSION_MINOR << 16) | (uint32_t)VERSION_PATCH)

_Static_assert(VERSION_MAJOR <= 255 && VERSION_MINOR <= 255 && VERSION_PATCH <= 65535,
               "version does not fit");

#endif
