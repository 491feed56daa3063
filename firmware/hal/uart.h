#ifndef BROWNOUT_HAL_UART_H
#define BROWNOUT_HAL_UART_H

#include <stddef.h>

/* The console UART (CMSDK APB UART, Arm DDI 0479), polled: for boot, and for a kernel that panics. */

/* Enables the transmitter. */
void uart_console_init(void);

/* Writes and returns when the last byte was taken by the UART. Works with interrupts masked. */
void uart_console_write(const char *text, size_t length);

/* Writes a NUL-terminated string. */
void uart_console_print(const char *text);

#endif
