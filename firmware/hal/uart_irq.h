#ifndef BROWNOUT_HAL_UART_IRQ_H
#define BROWNOUT_HAL_UART_IRQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Interrupt-driven CMSDK APB UART (Arm DDI 0479). One producer and one consumer per direction: the interrupt
 * handler and the kernel thread. */

struct ring {
    uint8_t *bytes;
    size_t size; /* one byte stays free */
    volatile size_t head;
    volatile size_t tail;
};

struct uart_irq {
    uintptr_t base;
    uint32_t rx_irq;
    uint32_t tx_irq;
    struct ring rx;
    struct ring tx;
    volatile uint32_t rx_overruns; /* bytes lost because the ring was full */
};

/* Enables the UART, its interrupts and their NVIC lines. The buffers belong to the caller. */
void uart_irq_init(struct uart_irq *uart, uint8_t *rx_buffer, size_t rx_size, uint8_t *tx_buffer,
                   size_t tx_size);

/* Called by both interrupt handlers. True when bytes arrived. */
bool uart_irq_service(struct uart_irq *uart);

/* Takes up to `size` received bytes; returns how many. */
size_t uart_irq_read(struct uart_irq *uart, uint8_t *out, size_t size);

/* Queues all of `length` bytes or none. */
bool uart_irq_write(struct uart_irq *uart, const uint8_t *bytes, size_t length);

/* True when everything queued has been handed to the hardware. */
bool uart_irq_is_drained(const struct uart_irq *uart);

#endif
