#ifndef BROWNOUT_LIB_BYTES_H
#define BROWNOUT_LIB_BYTES_H

#include <stdint.h>

/* Fixed-size integers in byte arrays, at any alignment and on any host. */

static inline uint16_t bytes_load_le16(const uint8_t *in)
{
    return (uint16_t)(in[0] | (in[1] << 8));
}

static inline uint32_t bytes_load_le32(const uint8_t *in)
{
    return (uint32_t)in[0] | ((uint32_t)in[1] << 8) | ((uint32_t)in[2] << 16) | ((uint32_t)in[3] << 24);
}

static inline uint64_t bytes_load_le64(const uint8_t *in)
{
    return (uint64_t)bytes_load_le32(in) | ((uint64_t)bytes_load_le32(in + 4) << 32);
}

static inline uint32_t bytes_load_be32(const uint8_t *in)
{
    return ((uint32_t)in[0] << 24) | ((uint32_t)in[1] << 16) | ((uint32_t)in[2] << 8) | (uint32_t)in[3];
}

static inline uint64_t bytes_load_be64(const uint8_t *in)
{
    return ((uint64_t)bytes_load_be32(in) << 32) | (uint64_t)bytes_load_be32(in + 4);
}

static inline void bytes_store_le16(uint8_t *out, uint16_t value)
{
    out[0] = (uint8_t)value;
    out[1] = (uint8_t)(value >> 8);
}

static inline void bytes_store_le32(uint8_t *out, uint32_t value)
{
    out[0] = (uint8_t)value;
    out[1] = (uint8_t)(value >> 8);
    out[2] = (uint8_t)(value >> 16);
    out[3] = (uint8_t)(value >> 24);
}

static inline void bytes_store_le64(uint8_t *out, uint64_t value)
{
    bytes_store_le32(out, (uint32_t)value);
    bytes_store_le32(out + 4, (uint32_t)(value >> 32));
}

static inline void bytes_store_be32(uint8_t *out, uint32_t value)
{
    out[0] = (uint8_t)(value >> 24);
    out[1] = (uint8_t)(value >> 16);
    out[2] = (uint8_t)(value >> 8);
    out[3] = (uint8_t)value;
}

static inline void bytes_store_be64(uint8_t *out, uint64_t value)
{
    bytes_store_be32(out, (uint32_t)(value >> 32));
    bytes_store_be32(out + 4, (uint32_t)value);
}

#endif
