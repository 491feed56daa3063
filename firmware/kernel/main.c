#include "clock.h"
#include "debug_port.h"
#include "flash_controller.h"
#include "identity.h"
#include "layout.h"
#include "log.h"
#include "supervisor.h"
#include "system.h"
#include "thread.h"
#include "uart.h"
#include "uplink.h"
#include "version.h"

extern uint8_t __kernel_stack_top[];
extern const uint32_t __boot_version; /* a reserved word of boot's vector table */

void kernel_main(void);

static void banner_print(void)
{
    char buffer[LOG_LINE_MAX];
    struct text text;

    text_init(&text, buffer, sizeof(buffer));
    text_add(&text, "kernel ");
    text_add_version(&text, VERSION_PACKED);
    log_text(&text);
}

static void kernel_loop(void)
{
    for (;;) {
        uint32_t now_ms = clock_now_ms();
        bool more;

        /* What the app did comes before requests that concern it: it has not run since. */
        debug_port_poll();
        supervisor_poll(now_ms);
        more = uplink_poll(now_ms);
        if (uplink_wants_reset(now_ms)) {
            log_line(debug_port_wants_reset(true, now_ms) ? "kernel: resetting for a debugger"
                                                          : "kernel: resetting to install");
            system_reset();
        }
        if (!more) {
            thread_kernel_wait();
        }
    }
}

/* A kernel that cannot do its work says why and stops: boot verified the set, so a retry would end the same
 * way. */
static void halt_on_error(const char *line, status_t status)
{
    if (status != STATUS_OK) {
        log_status(line, status);
        system_halt();
    }
}

static void kernel_thread(void)
{
    static const struct identity *identity;
    const struct flash *flash = &flash_controller;

    banner_print();
    halt_on_error("kernel: identity", identity_open(flash->array + layout_identity.offset, &identity));
    clock_init();
    debug_port_init();
    halt_on_error("kernel: uplink", uplink_init(flash, identity, __boot_version, clock_now_ms()));
    halt_on_error("kernel: app", supervisor_start());
    kernel_loop();
}

void kernel_main(void)
{
    uart_console_init();
    thread_kernel_enter((uint32_t)__kernel_stack_top, kernel_thread);
}
