/* The header of the app's image, for the kernel's loader. Sizes are symbols of app.ld. */

#include <stdint.h>

#include "app_header.h"

extern const uint8_t __app_code_size[];
extern const uint8_t __app_data_size[];
extern const uint8_t __app_bss_size[];
extern const uint8_t __app_stack_size[];

__attribute__((section(".app_header"), used)) static const struct app_header header = {
    .magic = APP_HEADER_MAGIC,
    .header_version = APP_HEADER_VERSION,
    .code_size = (uint32_t)__app_code_size,
    .data_size = (uint32_t)__app_data_size,
    .bss_size = (uint32_t)__app_bss_size,
    .stack_size = (uint32_t)__app_stack_size,
    .entry = (uint32_t)app_entry,
};
