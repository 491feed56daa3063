/*
 * STM32H743: brings its clocks up, erases a sector of bank 2, programs a flash word and a part of one, tries
 * to program one again.
 */
#include "image.h"

#define RCC    0x58024400u
#define PWR    0x58024800u
#define USART3 0x40004800u
#define FLASH  0x52002100u /* registers of bank 2 */
#define SECTOR 0x08120000u /* bank 2, number 1 */

#define PG    (1u << 1)
#define SER   (1u << 2)
#define FW    (1u << 6)
#define START (1u << 7)
#define PSIZE (3u << 4)

void image_console_open(void)
{
    REGISTER(USART3) = 0x9; /* UE, TE */
    while ((REGISTER(USART3 + 0x1c) & (1u << 21)) == 0) {
    }
}

void image_console_put(char character)
{
    while ((REGISTER(USART3 + 0x1c) & 0x80u) == 0) {
    }
    REGISTER(USART3 + 0x28) = (uint8_t)character;
}

static void start_clocks(void)
{
    while ((REGISTER(PWR + 0x18) & (1u << 13)) == 0) {
    }
    REGISTER(RCC) |= 1u << 16 | 1u << 24; /* HSE, PLL1 */
    while ((REGISTER(RCC) & (1u << 17 | 1u << 25)) != (1u << 17 | 1u << 25)) {
    }
    REGISTER(RCC + 0x10) = 3; /* run from PLL1 */
    while ((REGISTER(RCC + 0x10) & 0x38u) != 0x18) {
    }
}

static void wait_ready(void)
{
    while ((REGISTER(FLASH + 0x10) & 5u) != 0) { /* BSY, QW */
    }
}

static void program(uint32_t offset, uint32_t words, uint32_t value)
{
    REGISTER(FLASH + 0x0c) = PG | PSIZE;
    for (uint32_t word = 0; word < words; word++) {
        REGISTER(SECTOR + offset + 4 * word) = value + word;
    }
    if (words < 8) {
        REGISTER(FLASH + 0x0c) = PG | PSIZE | FW;
    }
    wait_ready();
    REGISTER(FLASH + 0x0c) = PSIZE;
}

void image_exception(uint32_t number)
{
    image_print_number("exception", number);
    image_end();
}

void image_run(void)
{
    start_clocks();
    REGISTER(FLASH + 0x04) = 0x45670123u;
    REGISTER(FLASH + 0x04) = 0xcdef89abu;
    REGISTER(FLASH + 0x0c) = SER | PSIZE | 1u << 8 | START;
    wait_ready();
    program(0, 8, 0x10);
    program(32, 1, 0x77);
    image_print_number("status", REGISTER(FLASH + 0x10));
    program(0, 8, 0);
    image_print_number("again", REGISTER(FLASH + 0x10));
    REGISTER(SECTOR) = 0; /* without PG */
    image_print_number("disabled", REGISTER(FLASH + 0x10));
    REGISTER(FLASH + 0x14) = 0x1fef0000u;
    image_print_number("cleared", REGISTER(FLASH + 0x10));
    image_print_number("flash", REGISTER(SECTOR + 28));
    image_print_number("flash", REGISTER(SECTOR + 32));
    image_print_number("flash", REGISTER(SECTOR + 36));
    REGISTER(FLASH + 0x0c) = 1;
}
