#ifndef EXAMPLE_COMMON_NVMC_H
#define EXAMPLE_COMMON_NVMC_H

#include <stdint.h>

#include "status.h"

/* The nRF52840's flash controller (NVMC). Operations return when the controller is ready; it reports no
 * errors, so what was asked for is read back: STATUS_FLASH when it is not there. */

/* Erases the page at `address`. */
MUST_USE status_t nvmc_page_erase(uint32_t address);

/* Programs `count` words from `address` on; both are word-aligned. A word that is to stay erased is left out.
 */
MUST_USE status_t nvmc_words_program(uint32_t address, const uint32_t *words, uint32_t count);

#endif
