#include "uart.h"

#include <stdint.h>
#include <string.h>

#include "board.h"

struct uart_registers {
    volatile uint32_t data;
    volatile uint32_t state;
    volatile uint32_t control;
    volatile uint32_t interrupt;
    volatile uint32_t baud_divider;
};

#define CONSOLE          ((struct uart_registers *)BOARD_UART_CONSOLE_BASE)
#define STATE_TX_FULL    1u
#define CONTROL_TX       1u
#define BAUD_DIVIDER_MIN 16u

void uart_console_init(void)
{
    CONSOLE->baud_divider = BAUD_DIVIDER_MIN;
    CONSOLE->control |= CONTROL_TX;
}

void uart_console_write(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        while ((CONSOLE->state & STATE_TX_FULL) != 0) {
        }
        CONSOLE->data = (uint8_t)text[i];
    }
}

void uart_console_print(const char *text)
{
    uart_console_write(text, strlen(text));
}
