#include "uplink.h"

#include "board.h"
#include "link.h"
#include "link_state.h"
#include "log.h"
#include "random.h"
#include "system.h"
#include "telemetry.h"
#include "uart_irq.h"

/* The ring takes all credit that the peer can hold (channels 1 to 3) with its framing, so a burst is not lost
 * while the kernel waits for the flash. */
#define RX_RING_SIZE 12288u
#define TX_RING_SIZE 4096u
#define READ_BATCH   256u

static uint8_t rx_ring[RX_RING_SIZE];
static uint8_t tx_ring[TX_RING_SIZE];
static struct uart_irq uart = {
    .base = BOARD_UART_UPLINK_BASE,
    .rx_irq = BOARD_UART_UPLINK_RX_IRQ,
    .tx_irq = BOARD_UART_UPLINK_TX_IRQ,
};
static struct random generator;
static struct link uplink;
static struct upgrade upgrade;
static uint32_t poll_ms;

static bool bytes_transmit(void *context, const uint8_t *bytes, size_t length)
{
    (void)context;
    return uart_irq_write(&uart, bytes, length);
}

static void message_receive(void *context, enum link_channel channel, const uint8_t *payload, size_t length)
{
    (void)context;
    if (channel == LINK_UPGRADE) {
        status_t status = upgrade_receive(&upgrade, payload, length, poll_ms);

        if (status != STATUS_OK) {
            log_status("kernel: upgrade message", status);
            link_fail(&uplink, poll_ms);
            return;
        }
    }
    /* Nothing listens on the application channel towards the device yet, and debug is reserved: both are
     * drained. */
    link_consume(&uplink, channel, length);
}

static void session_change(void *context, bool up)
{
    (void)context;
    log_line(up ? "kernel: link up" : "kernel: link down");
    upgrade_session(&upgrade, up, poll_ms);
}

static bool upgrade_send(void *context, const uint8_t *message, size_t length)
{
    (void)context;
    return link_send(&uplink, LINK_UPGRADE, message, length, poll_ms) == STATUS_OK;
}

status_t uplink_init(const struct flash *flash, const struct identity *identity, uint32_t boot_version,
                     uint32_t now_ms)
{
    static const struct link_callbacks link_callbacks = {
        .transmit = bytes_transmit, .receive = message_receive, .session = session_change};
    static const struct upgrade_callbacks upgrade_callbacks = {.send = upgrade_send};
    static struct link_keys keys;
    uint8_t entropy[32];

    system_entropy_read(entropy);
    random_seed(&generator, entropy);
    keys = (struct link_keys){
        .local_private = identity->link_private_key,
        .remote_public = identity->server_public_key,
        .device_id = identity->device_id,
    };
    RETURN_IF_ERROR(upgrade_init(&upgrade, flash, identity, &upgrade_callbacks, boot_version));
    uart_irq_init(&uart, rx_ring, sizeof(rx_ring), tx_ring, sizeof(tx_ring));
    link_init(&uplink, &link_callbacks, &keys, &generator, now_ms);
    return STATUS_OK;
}

static void telemetry_drain(uint32_t now_ms)
{
    const uint8_t *message;
    size_t length = telemetry_peek(&message);

    if (length > 0 && link_send(&uplink, LINK_APPLICATION, message, length, now_ms) == STATUS_OK) {
        telemetry_pop();
    }
}

bool uplink_poll(uint32_t now_ms)
{
    uint8_t batch[READ_BATCH];
    size_t count = uart_irq_read(&uart, batch, sizeof(batch));

    poll_ms = now_ms;
    if (count > 0) {
        link_input(&uplink, batch, count, now_ms);
    }
    if (link_is_up(&uplink)) {
        telemetry_drain(now_ms);
        upgrade_poll(&upgrade, now_ms);
    }
    link_poll(&uplink, now_ms);
    return count == sizeof(batch);
}

bool uplink_wants_reset(uint32_t now_ms)
{
    bool drained = uart_irq_is_drained(&uart) && !link_has_output(&uplink);

    return upgrade_wants_reset(&upgrade, drained, now_ms);
}

bool uplink_interrupt(void)
{
    return uart_irq_service(&uart);
}
