/* An app that goes where it must not, to show that the kernel stops it. The first two words of the assets
 * table are an address and an order: read it (0), write it (1), or have the kernel send what is there (2). */

#include <stdint.h>

#include "app_header.h"
#include "assets_format.h"
#include "board.h"
#include "sys.h"

void app_entry(void)
{
    static const char hello[] = "app 6.6.6\r\n";
    static const char survived[] = "app: nothing stopped me\r\n";
    static const char refused[] = "app: refused\r\n";
    const uint32_t *order =
        assets_table((const struct assets_header *)(BOARD_FLASH_BASE + BOARD_REGION_ASSETS_OFFSET));
    volatile uint32_t *target = (volatile uint32_t *)order[0];

    sys_console(hello, sizeof(hello) - 1);
    sys_sleep(500);
    if (order[1] == 0) {
        (void)*target;
    } else if (order[1] == 1) {
        *target = 0xDEADBEEFu;
    } else if (sys_send((const uint8_t *)order[0], 32) != 0) {
        sys_console(refused, sizeof(refused) - 1);
        sys_sleep(UINT32_MAX / 2u);
    }
    sys_console(survived, sizeof(survived) - 1);
    for (;;) {
        sys_sleep(1000);
    }
}
