#ifndef BROWNOUT_APP_APP_HEADER_H
#define BROWNOUT_APP_APP_HEADER_H

#include <stdint.h>

/* First bytes of an app image (SPEC.md section 9). The image is code and read-only data (linked at
 * memory.app_code), then the initial values of .data. memory.app_data holds the stack at its lower end, then
 * .data, then .bss: a stack that overflows leaves the region and faults. */

#define APP_HEADER_MAGIC   0x50504142u /* "BAPP" */
#define APP_HEADER_VERSION 1u

struct app_header {
    uint32_t magic;
    uint32_t header_version;
    uint32_t code_size;  /* bytes to copy to app_code, header included */
    uint32_t data_size;  /* bytes after the code to copy to app_data + stack_size */
    uint32_t bss_size;   /* bytes to zero after them */
    uint32_t stack_size; /* bytes */
    uint32_t entry;      /* address, Thumb bit set */
    uint32_t reserved[9];
};

/* Where an app starts; each app defines it. */
__attribute__((noreturn)) void app_entry(void);

_Static_assert(sizeof(struct app_header) == 64, "image layout");

#endif
