#include "supervisor.h"

#include <string.h>

#include "app_header.h"
#include "board.h"
#include "clock.h"
#include "debug_port.h"
#include "interrupts.h"
#include "log.h"
#include "mpu.h"

#define RESTART_PAUSE_MS 500u

#define APP_FLASH (BOARD_FLASH_BASE + BOARD_REGION_APP_OFFSET)

/* The app runs when none of these holds. */
static volatile bool sleeping;
static volatile bool down; /* stopped for good, until it is started anew or a debugger takes it */
static volatile bool held; /* by a debugger */
static volatile uint32_t wake_ms;
static volatile enum supervisor_fault stopped; /* not dealt with yet */
static volatile uint32_t stopped_address;
static bool restart_pending;
static uint32_t restart_ms;

static const char *const fault_names[] = {
    [SUPERVISOR_FAULT_NONE] = "none",
    [SUPERVISOR_FAULT_MEMORY] = "memory fault",
    [SUPERVISOR_FAULT_BUS] = "bus fault",
    [SUPERVISOR_FAULT_USAGE] = "usage fault",
    [SUPERVISOR_FAULT_HARD] = "hard fault",
    [SUPERVISOR_FAULT_EXIT] = "exit",
    [SUPERVISOR_FAULT_STACK] = "stack overflow",
    [SUPERVISOR_FAULT_BREAKPOINT] = "breakpoint",
};

static void runnable_update(void)
{
    uint32_t mask = interrupts_disable();

    thread_app_set_runnable(!sleeping && !down && !held);
    interrupts_restore(mask);
}

static bool app_header_is_sound(const struct app_header *header)
{
    if (header->magic != APP_HEADER_MAGIC || header->header_version != APP_HEADER_VERSION) {
        return false;
    }
    if (header->code_size < sizeof(*header) || header->code_size > BOARD_MEMORY_APP_CODE_SIZE ||
        header->stack_size < 256u || header->stack_size % 8u != 0 ||
        header->stack_size > BOARD_MEMORY_APP_DATA_SIZE) {
        return false;
    }
    if (header->data_size > BOARD_REGION_APP_SIZE - header->code_size ||
        header->data_size > BOARD_MEMORY_APP_DATA_SIZE - header->stack_size ||
        header->bss_size > BOARD_MEMORY_APP_DATA_SIZE - header->stack_size - header->data_size) {
        return false;
    }
    return header->entry - BOARD_MEMORY_APP_CODE_BASE < header->code_size;
}

static status_t app_load(void)
{
    const struct app_header *header = (const struct app_header *)APP_FLASH;
    uint8_t *data = (uint8_t *)BOARD_MEMORY_APP_DATA_BASE;

    if (!app_header_is_sound(header)) {
        return STATUS_MALFORMED;
    }
    memcpy((void *)BOARD_MEMORY_APP_CODE_BASE, (const void *)APP_FLASH, header->code_size);
    memset(data, 0, header->stack_size);
    memcpy(data + header->stack_size, (const uint8_t *)APP_FLASH + header->code_size, header->data_size);
    memset(data + header->stack_size + header->data_size, 0, header->bss_size);
    thread_app_prepare(header->entry, BOARD_MEMORY_APP_DATA_BASE + header->stack_size);
    return STATUS_OK;
}

uint32_t supervisor_app_stack_size(void)
{
    const struct app_header *header = (const struct app_header *)APP_FLASH;

    return app_header_is_sound(header) ? header->stack_size : 0;
}

status_t supervisor_app_restart(void)
{
    thread_app_set_runnable(false);
    restart_pending = false;
    sleeping = false;
    stopped = SUPERVISOR_FAULT_NONE;
    down = true;
    RETURN_IF_ERROR(app_load());
    down = false;
    debug_port_app_reloaded();
    runnable_update();
    return STATUS_OK;
}

status_t supervisor_start(void)
{
    mpu_region_set(0, BOARD_MEMORY_APP_CODE_BASE, BOARD_MEMORY_APP_CODE_SIZE, MPU_READ, true);
    mpu_region_set(1, BOARD_MEMORY_APP_DATA_BASE, BOARD_MEMORY_APP_DATA_SIZE, MPU_READ_WRITE, false);
    mpu_region_set(2, BOARD_FLASH_BASE + BOARD_REGION_ASSETS_OFFSET, BOARD_REGION_ASSETS_SIZE, MPU_READ,
                   false);
    mpu_enable();
    return supervisor_app_restart();
}

void supervisor_app_hold(bool hold)
{
    held = hold;
    runnable_update();
}

void supervisor_app_stopped(enum supervisor_fault fault, uint32_t address)
{
    stopped_address = address;
    stopped = fault;
    down = true;
    runnable_update();
    thread_kernel_wake();
}

void supervisor_app_sleep(uint32_t deadline_ms)
{
    wake_ms = deadline_ms;
    sleeping = true;
    runnable_update();
}

void supervisor_tick(uint32_t now_ms)
{
    if (sleeping && clock_reached(now_ms, wake_ms)) {
        sleeping = false;
        runnable_update();
    }
}

static void fault_report(enum supervisor_fault fault)
{
    const struct thread *app = thread_app();
    char buffer[LOG_LINE_MAX];
    struct text text;

    text_init(&text, buffer, sizeof(buffer));
    text_add(&text, "kernel: app stopped: ");
    text_add(&text, fault_names[fault]);
    if (supervisor_app_may_read(app->psp, sizeof(struct thread_frame))) {
        text_add(&text, " pc=");
        text_add_hex32(&text, ((const struct thread_frame *)app->psp)->pc);
    }
    log_text(&text);
}

static void fault_handle(uint32_t now_ms)
{
    enum supervisor_fault fault = stopped;

    stopped = SUPERVISOR_FAULT_NONE;
    if (debug_port_app_trapped(fault, stopped_address)) {
        down = false; /* the debugger holds it, or lets it run on */
        runnable_update();
        return;
    }
    fault_report(fault);
    restart_pending = true;
    restart_ms = now_ms + RESTART_PAUSE_MS;
}

void supervisor_poll(uint32_t now_ms)
{
    if (stopped != SUPERVISOR_FAULT_NONE) {
        fault_handle(now_ms);
    }
    if (restart_pending && clock_reached(now_ms, restart_ms)) {
        restart_pending = false;
        if (supervisor_app_restart() != STATUS_OK) {
            log_line("kernel: app image is damaged"); /* it stays down */
        }
    }
}

static bool range_is_inside(uint32_t address, uint32_t length, uint32_t base, uint32_t size)
{
    return address >= base && length <= size && address - base <= size - length;
}

bool supervisor_stack_is_overflown(const struct thread_frame *frame)
{
    return BOARD_MEMORY_APP_DATA_BASE - 1u - (uint32_t)frame < SUPERVISOR_STACK_REACH;
}

bool supervisor_app_may_read(uint32_t address, uint32_t length)
{
    return range_is_inside(address, length, BOARD_MEMORY_APP_DATA_BASE, BOARD_MEMORY_APP_DATA_SIZE) ||
           range_is_inside(address, length, BOARD_MEMORY_APP_CODE_BASE, BOARD_MEMORY_APP_CODE_SIZE) ||
           range_is_inside(address, length, BOARD_FLASH_BASE + BOARD_REGION_ASSETS_OFFSET,
                           BOARD_REGION_ASSETS_SIZE);
}
