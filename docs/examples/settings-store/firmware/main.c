/* A sensor whose settings change their format with this firmware. */

#include <stddef.h>
#include <stdint.h>

#include "settings.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

enum {
    CONSOLE_DATA = 0x40004000,
    CONSOLE_STATE = 0x40004004,
    CONSOLE_CTRL = 0x40004008,
    CONSOLE_BAUDDIV = 0x40004010,
    STATE_TX_FULL = 1,
};

#define STARTED 0x600D0002u
#define LOST    0xDEAD0001u

extern uint32_t bss_start[], bss_end[], stack_top[];
void reset_handler(void);

/* What the sensor runs with, and how far it is: target.toml looks here. */
struct report {
    struct settings settings;
    uint32_t state;
};

__attribute__((section(".report"))) static volatile struct report report;

static void print(const char *text)
{
    while (*text != '\0') {
        while ((REGISTER(CONSOLE_STATE) & STATE_TX_FULL) != 0u) {
        }
        REGISTER(CONSOLE_DATA) = (uint32_t)*text++;
    }
}

static void print_number(uint32_t value)
{
    char text[11];
    size_t at = sizeof(text) - 1u;

    text[at] = '\0';
    do {
        text[--at] = (char)('0' + value % 10u);
        value /= 10u;
    } while (value != 0u);
    print(&text[at]);
}

void reset_handler(void)
{
    struct settings settings;

    report.state = 0;
    for (uint32_t *word = bss_start; word < bss_end; word++) {
        *word = 0;
    }
    REGISTER(CONSOLE_BAUDDIV) = 16;
    REGISTER(CONSOLE_CTRL) = 1;
    if (settings_load(&settings)) {
        print("sensor ");
        print_number(settings.serial);
        print(": every ");
        print_number(settings.interval_s);
        print(" s\r\n");
        report.settings = settings;
        report.state = STARTED;
    } else {
        print("sensor: settings lost\r\n");
        report.state = LOST;
    }
    for (;;) {
        __asm volatile("wfi");
    }
}

__attribute__((section(".vectors"), used)) static const uintptr_t vectors[16] = {
    (uintptr_t)stack_top,
    (uintptr_t)reset_handler,
};
