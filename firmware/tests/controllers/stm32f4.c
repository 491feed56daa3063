/*
 * STM32F407: brings its clocks up, erases a large sector, programs bytes, halfwords, words and a double word,
 * provokes an error flag, and has the watchdog reset it.
 */
#include "image.h"

#define RCC    0x40023800u
#define USART2 0x40004400u
#define FLASH  0x40023c00u
#define IWDG   0x40003000u
#define SECTOR 0x08020000u /* number 5 */

#define PG   (1u << 0)
#define SER  (1u << 1)
#define STRT (1u << 16)
#define LOCK (1u << 31)

void image_console_open(void)
{
    REGISTER(USART2 + 0x0c) = 0x2008; /* UE, TE */
}

void image_console_put(char character)
{
    while ((REGISTER(USART2) & 0x80u) == 0) {
    }
    REGISTER(USART2 + 0x04) = (uint8_t)character;
}

static void start_clocks(void)
{
    REGISTER(RCC) |= 1u << 16 | 1u << 24; /* HSE, PLL */
    while ((REGISTER(RCC) & (1u << 17 | 1u << 25)) != (1u << 17 | 1u << 25)) {
    }
    REGISTER(RCC + 0x08) = 2; /* run from the PLL */
    while ((REGISTER(RCC + 0x08) & 0xcu) != 8) {
    }
}

static void wait_ready(void)
{
    while ((REGISTER(FLASH + 0x0c) & (1u << 16)) != 0) {
    }
}

static void select_width(uint32_t psize)
{
    wait_ready();
    REGISTER(FLASH + 0x10) = PG | psize << 8;
}

static void write_flash(void)
{
    REGISTER(FLASH + 0x04) = 0x45670123u;
    REGISTER(FLASH + 0x04) = 0xcdef89abu;
    REGISTER(FLASH + 0x10) = SER | 5u << 3;
    REGISTER(FLASH + 0x10) |= STRT;
    wait_ready();
    select_width(0);
    *(volatile uint8_t *)(uintptr_t)SECTOR = 0x5a;
    select_width(1);
    *(volatile uint16_t *)(uintptr_t)(SECTOR + 2) = 0x1234;
    select_width(2);
    REGISTER(SECTOR + 4) = 0x89abcdefu;
    select_width(3);
    *(volatile uint64_t *)(uintptr_t)(SECTOR + 8) = 0x0123456789abcdefu;
    select_width(0);
    REGISTER(SECTOR + 16) = 0; /* too wide: PGPERR */
    image_print_number("status", REGISTER(FLASH + 0x0c));
    REGISTER(FLASH + 0x0c) = 0xf2;
    image_print_number("status", REGISTER(FLASH + 0x0c));
    REGISTER(FLASH + 0x10) = LOCK;
    for (uint32_t word = 0; word < 5; word++) {
        image_print_number("flash", REGISTER(SECTOR + 4 * word));
    }
}

void image_exception(uint32_t number)
{
    image_print_number("exception", number);
    image_end();
}

void image_run(void)
{
    uint32_t reason = REGISTER(RCC + 0x74) >> 24;

    image_print_number("reset", reason);
    if ((reason & 0x20u) == 0) {
        start_clocks();
        write_flash();
        REGISTER(IWDG) = 0x5555;
        REGISTER(IWDG + 0x08) = 10;
        REGISTER(IWDG) = 0xcccc;
        image_end();
    }
    REGISTER(FLASH + 0x04) = 0; /* a wrong key: bus error */
    __asm volatile("dsb");
    image_print("not a fault");
}
