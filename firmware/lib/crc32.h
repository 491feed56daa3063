#ifndef BROWNOUT_LIB_CRC32_H
#define BROWNOUT_LIB_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32 of IEEE 802.3 (reflected polynomial 0xEDB88320, initial value and final XOR 0xFFFFFFFF), as zlib
 * computes it. */
uint32_t crc32_compute(const uint8_t *data, size_t length);

#endif
