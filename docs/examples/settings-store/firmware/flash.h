/* The flash of the board: memory to read, commands to change it. */
#ifndef FLASH_H
#define FLASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLASH_BASE        0x21000000u
#define FLASH_SECTOR_SIZE 0x1000u

/* What the flash reads at `offset` from its start. */
const void *flash_at(uint32_t offset);

/* Erases the sector at `offset`. False when the flash refuses. */
bool flash_sector_erase(uint32_t offset);

/* Clears bits; offset and length are multiples of 4, length up to 256. False when the flash refuses. */
bool flash_program(uint32_t offset, const void *data, size_t length);

#endif
