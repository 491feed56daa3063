/* An app that goes where it must not, to show that the kernel stops it. The first two words of the assets
 * table are an address and an order: read it (0), write it (1), or have the kernel send what is there (2). */

#include <stdint.h>

#include "app_header.h"
#include "assets_format.h"
#include "board.h"
#include "sys.h"

extern const uint8_t __app_code_size[];
extern const uint8_t __app_data_size[];
extern const uint8_t __app_bss_size[];
extern const uint8_t __app_stack_size[];

__attribute__((noreturn)) void app_entry(void);

__attribute__((section(".app_header"), used)) static const struct app_header header = {
    .magic = APP_HEADER_MAGIC,
    .header_version = APP_HEADER_VERSION,
    .code_size = (uint32_t)__app_code_size,
    .data_size = (uint32_t)__app_data_size,
    .bss_size = (uint32_t)__app_bss_size,
    .stack_size = (uint32_t)__app_stack_size,
    .entry = (uint32_t)app_entry,
};

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
