/* Firmware for the harness's own tests: reads one-letter commands from the console and does flash operations
 * through the reference controller (firmware/SPEC.md, section 10). */
#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

enum {
    CONSOLE = 0x40004000,
    DOORBELL = 0x40009000,
    UART_DATA = 0x0,
    UART_STATE = 0x4,
    UART_CTRL = 0x8,
    UART_BAUDDIV = 0x10,
    BLOCK = 0x21fff000,
    ARRAY = 0x21000000,
    APPLICATION_INTERRUPT_AND_RESET = 0xe000ed0c,
};

extern uint32_t noinit_words[4];
extern uint32_t stack_top[];

static void put_char(char c)
{
    while ((REGISTER(CONSOLE + UART_STATE) & 1u) != 0u) {
    }
    REGISTER(CONSOLE + UART_DATA) = (uint32_t)c;
}

static void put_text(const char *text)
{
    while (*text != '\0') {
        put_char(*text++);
    }
}

static void put_hex(uint32_t value)
{
    for (int shift = 28; shift >= 0; shift -= 4) {
        put_char("0123456789abcdef"[(value >> shift) & 15u]);
    }
}

static char get_char(void)
{
    while ((REGISTER(CONSOLE + UART_STATE) & 2u) == 0u) {
    }
    return (char)REGISTER(CONSOLE + UART_DATA);
}

static uint32_t get_hex(void)
{
    uint32_t value = 0;
    for (;;) {
        char c = get_char();
        if (c >= '0' && c <= '9') {
            value = (value << 4) | (uint32_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            value = (value << 4) | (uint32_t)(c - 'a' + 10);
        } else {
            return value;
        }
    }
}

static uint32_t flash_command(uint32_t command, uint32_t offset, uint32_t length)
{
    REGISTER(BLOCK + 8) = offset;
    REGISTER(BLOCK + 12) = length;
    REGISTER(BLOCK + 4) = command;
    REGISTER(BLOCK) = 1;
    __asm volatile("dsb" ::: "memory");
    REGISTER(DOORBELL + UART_DATA) = 1;
    while (REGISTER(BLOCK) == 1u) {
    }
    return REGISTER(BLOCK);
}

static uint32_t program(uint32_t offset, uint32_t length, uint32_t word)
{
    for (uint32_t i = 0; i < length && i < 256u; i += 4u) {
        REGISTER(BLOCK + 16 + i) = word + i;
    }
    return flash_command(1, offset, length);
}

/* p OFFSET LENGTH WORD   program
 * e OFFSET               erase a sector
 * n COUNT OFFSET         many programs; prints how many were refused
 * s OFFSET WORD          store past the controller
 * r                      reset
 * x                      lock up
 * m                      print .noinit and entropy */
static void obey(char command)
{
    uint32_t offset;
    uint32_t length;
    uint32_t failed = 0;
    switch (command) {
    case 'p':
        offset = get_hex();
        length = get_hex();
        put_hex(program(offset, length, get_hex()));
        break;
    case 'e':
        put_hex(flash_command(2, get_hex(), 0x1000));
        break;
    case 'n':
        length = get_hex();
        offset = get_hex();
        for (uint32_t i = 0; i < length; i++) {
            failed += program(offset, 4, 0) != 0u ? 1u : 0u;
        }
        put_hex(failed);
        break;
    case 's':
        offset = get_hex();
        REGISTER(ARRAY + offset) = get_hex();
        put_hex(REGISTER(ARRAY + offset));
        break;
    case 'r':
        REGISTER(APPLICATION_INTERRUPT_AND_RESET) = 0x05fa0004u;
        for (;;) {
        }
    case 'x':
        __asm volatile("cpsid f\n udf #0");
        break;
    case 'm':
        put_hex(noinit_words[0]);
        put_hex(noinit_words[1]);
        put_hex(REGISTER(BLOCK + 0x110));
        break;
    default:
        return;
    }
    put_text(" done\n");
}

void reset_handler(void);

void reset_handler(void)
{
    REGISTER(CONSOLE + UART_BAUDDIV) = 16;
    REGISTER(CONSOLE + UART_CTRL) = 3;
    REGISTER(DOORBELL + UART_BAUDDIV) = 16;
    REGISTER(DOORBELL + UART_CTRL) = 1;
    put_text("probe ready\n");
    for (;;) {
        obey(get_char());
    }
}

__attribute__((section(".vectors"), used)) static const uintptr_t vectors[16] = {
    (uintptr_t)stack_top,
    (uintptr_t)reset_handler,
};
