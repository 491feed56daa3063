#include "commands.h"

#include <stdbool.h>

/* The command line on UART 0 of the emulated mps2-an385, bare metal: no other part of the firmware is needed
 * to check the libraries on the emulated core. */

struct uart {
    volatile uint32_t data;
    volatile uint32_t state;
    volatile uint32_t control;
    volatile uint32_t interrupt;
    volatile uint32_t baud_divisor;
};

#define UART0               ((struct uart *)0x40004000u)
#define UART_STATE_TX_FULL  1u
#define UART_STATE_RX_FULL  2u
#define UART_CONTROL_TX_RX  3u
#define UART_DIVISOR_LOWEST 16u

#define STACK_PATTERN 0x5aa5c33cu

/* From the linker script. */
extern uint32_t stack_bottom[];
extern uint32_t stack_top[];

void device_main(void);

void commands_put(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        while ((UART0->state & UART_STATE_TX_FULL) != 0) {
        }
        UART0->data = (uint8_t)text[i];
    }
}

static char get(void)
{
    while ((UART0->state & UART_STATE_RX_FULL) == 0) {
    }
    return (char)UART0->data;
}

/* The stack below the caller is painted; what is no longer pattern was used. The red zone keeps this
 * function's own frame out of the paint. */
#define RED_ZONE_WORDS 32u

static uint32_t *current_stack(void)
{
    uint32_t *pointer;
    __asm__ volatile("mov %0, sp" : "=r"(pointer));
    return pointer - RED_ZONE_WORDS;
}

uint32_t commands_stack_used(void)
{
    uint32_t *end = current_stack();
    uint32_t *first_used = stack_bottom;
    while (first_used < end && *first_used == STACK_PATTERN) {
        first_used++;
    }
    for (uint32_t *word = first_used; word < end; word++) {
        *word = STACK_PATTERN;
    }
    return (uint32_t)((uintptr_t)stack_top - (uintptr_t)first_used);
}

void device_main(void)
{
    static char line[COMMANDS_LINE_MAX];
    UART0->baud_divisor = UART_DIVISOR_LOWEST;
    UART0->control = UART_CONTROL_TX_RX;
    /* QEMU does not look at its end of the line again when the receiver is enabled, only when DATA is read.
     */
    (void)UART0->data;
    for (uint32_t *word = stack_bottom; word < current_stack(); word++) {
        *word = STACK_PATTERN;
    }
    commands_put(COMMANDS_READY, sizeof COMMANDS_READY - 1u);
    size_t length = 0;
    while (true) {
        char c = get();
        if (c == '\n') {
            line[length] = '\0';
            commands_execute(line);
            length = 0;
        } else if (length < sizeof line - 1u) {
            line[length++] = c;
        }
    }
}

static void fault(void)
{
    static const char text[] = "?fault\n";
    commands_put(text, sizeof text - 1u);
    while (true) {
    }
}

/* QEMU's loader puts .data in place and leaves RAM zeroed: nothing to copy. */
__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))(uintptr_t)stack_top, device_main, fault, fault, fault, fault, fault,
};
