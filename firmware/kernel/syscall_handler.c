#include "syscall_handler.h"

#include "clock.h"
#include "debug_port.h"
#include "log.h"
#include "supervisor.h"
#include "syscalls.h"
#include "telemetry.h"

#define CONSOLE_MAX 256u

static uint32_t console_write(uint32_t address, uint32_t length)
{
    if (length > CONSOLE_MAX || !supervisor_app_may_read(address, length)) {
        return SYSCALL_FAILED;
    }
    log_bytes((const char *)address, length);
    debug_port_output((const uint8_t *)address, length);
    return 0;
}

static uint32_t message_send(uint32_t address, uint32_t length)
{
    if (length > SYSCALL_MESSAGE_MAX || !supervisor_app_may_read(address, length) ||
        !telemetry_push((const uint8_t *)address, length)) {
        return SYSCALL_FAILED;
    }
    thread_kernel_wake();
    return 0;
}

void syscall_handler_dispatch(struct thread_frame *frame)
{
    uint32_t a = frame->r1;
    uint32_t b = frame->r2;

    if (supervisor_stack_is_overflown(frame)) {
        supervisor_app_stopped(SUPERVISOR_FAULT_STACK, (uint32_t)frame);
        return;
    }
    switch (frame->r0) {
    case SYSCALL_SLEEP:
        supervisor_app_sleep(clock_now_ms() + a);
        frame->r0 = 0;
        break;
    case SYSCALL_CONSOLE:
        frame->r0 = console_write(a, b);
        break;
    case SYSCALL_SEND:
        frame->r0 = message_send(a, b);
        break;
    case SYSCALL_UPTIME:
        frame->r0 = clock_now_ms();
        break;
    case SYSCALL_EXIT:
        supervisor_app_stopped(SUPERVISOR_FAULT_EXIT, 0);
        break;
    default:
        frame->r0 = SYSCALL_FAILED;
        break;
    }
}
