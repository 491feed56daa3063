/* The bootloader: finishes what the journal says, checks the image in the primary slot, starts it. */

#include <stdint.h>

#include "cortex.h"
#include "image.h"
#include "memory_map.h"
#include "update.h"

/* Called by the reset handler. */
int main(void);

int main(void)
{
    uint32_t counter = 0;

    if (update_run(&counter) == STATUS_OK && update_image_check(PRIMARY_ADDRESS, counter) == STATUS_OK) {
        cortex_image_start((const uint32_t *)(uintptr_t)(PRIMARY_ADDRESS + IMAGE_HEADER_SIZE));
    }
    cortex_halt();
}
