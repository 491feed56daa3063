#include "uart_irq.h"

#include "interrupts.h"

#define REGISTER(uart, offset) (*(volatile uint32_t *)((uart)->base + (offset)))
#define DATA                   0x00u
#define STATE                  0x04u
#define CTRL                   0x08u
#define INTCLEAR               0x0Cu
#define BAUDDIV                0x10u

#define STATE_TX_FULL 1u
#define STATE_RX_FULL 2u
#define CTRL_ENABLE   0xFu /* TX, RX, TX interrupt, RX interrupt */
#define INT_TX        1u
#define INT_RX        2u

static size_t ring_used(const struct ring *ring)
{
    size_t head = ring->head;
    size_t tail = ring->tail;

    return head >= tail ? head - tail : head + ring->size - tail;
}

static size_t ring_next(const struct ring *ring, size_t index)
{
    return index + 1 == ring->size ? 0 : index + 1;
}

static void ring_push(struct ring *ring, uint8_t byte)
{
    ring->bytes[ring->head] = byte;
    ring->head = ring_next(ring, ring->head);
}

static uint8_t ring_pop(struct ring *ring)
{
    uint8_t byte = ring->bytes[ring->tail];

    ring->tail = ring_next(ring, ring->tail);
    return byte;
}

void uart_irq_init(struct uart_irq *uart, uint8_t *rx_buffer, size_t rx_size, uint8_t *tx_buffer,
                   size_t tx_size)
{
    uart->rx = (struct ring){.bytes = rx_buffer, .size = rx_size};
    uart->tx = (struct ring){.bytes = tx_buffer, .size = tx_size};
    uart->rx_overruns = 0;
    REGISTER(uart, BAUDDIV) = 16;
    REGISTER(uart, INTCLEAR) = INT_TX | INT_RX;
    REGISTER(uart, CTRL) = CTRL_ENABLE;
    /* A byte from before is of no use; on QEMU this read is also what makes the UART look for waiting ones.
     */
    (void)REGISTER(uart, DATA);
    interrupts_line_enable(uart->rx_irq);
    interrupts_line_enable(uart->tx_irq);
}

static void uart_irq_transmit(struct uart_irq *uart)
{
    while (ring_used(&uart->tx) > 0 && (REGISTER(uart, STATE) & STATE_TX_FULL) == 0) {
        REGISTER(uart, DATA) = ring_pop(&uart->tx);
    }
}

bool uart_irq_service(struct uart_irq *uart)
{
    bool received = false;

    REGISTER(uart, INTCLEAR) = INT_TX | INT_RX;
    while ((REGISTER(uart, STATE) & STATE_RX_FULL) != 0) {
        uint8_t byte = (uint8_t)REGISTER(uart, DATA);

        received = true;
        if (ring_used(&uart->rx) + 1 < uart->rx.size) {
            ring_push(&uart->rx, byte);
        } else {
            uart->rx_overruns = uart->rx_overruns + 1;
        }
    }
    uart_irq_transmit(uart);
    return received;
}

size_t uart_irq_read(struct uart_irq *uart, uint8_t *out, size_t size)
{
    size_t count = 0;

    while (count < size && ring_used(&uart->rx) > 0) {
        out[count++] = ring_pop(&uart->rx);
    }
    return count;
}

bool uart_irq_write(struct uart_irq *uart, const uint8_t *bytes, size_t length)
{
    uint32_t mask;

    if (length > uart->tx.size - 1 - ring_used(&uart->tx)) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        ring_push(&uart->tx, bytes[i]);
    }
    /* The handler drains the ring too: keep it out while this thread starts the transmission. */
    mask = interrupts_disable();
    uart_irq_transmit(uart);
    interrupts_restore(mask);
    return true;
}

bool uart_irq_is_drained(const struct uart_irq *uart)
{
    return ring_used(&uart->tx) == 0 && (REGISTER(uart, STATE) & STATE_TX_FULL) == 0;
}
