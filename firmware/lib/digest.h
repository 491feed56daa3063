#ifndef BROWNOUT_LIB_DIGEST_H
#define BROWNOUT_LIB_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_SIZE 32u

/* BLAKE2b-256 of `length` bytes. */
void digest_compute(uint8_t digest[DIGEST_SIZE], const uint8_t *data, size_t length);

/* Compares in constant time. */
bool digest_equal(const uint8_t a[DIGEST_SIZE], const uint8_t b[DIGEST_SIZE]);

#endif
