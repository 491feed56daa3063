#ifndef BROWNOUT_APP_SYS_H
#define BROWNOUT_APP_SYS_H

#include <stddef.h>
#include <stdint.h>

#include "syscalls.h"

/* The application's side of the system calls. */

static inline uint32_t sys_call(enum syscall number, uint32_t a, uint32_t b)
{
    register uint32_t r0 __asm("r0") = (uint32_t)number;
    register uint32_t r1 __asm("r1") = a;
    register uint32_t r2 __asm("r2") = b;

    __asm volatile("svc 0" : "+r"(r0) : "r"(r1), "r"(r2) : "memory");
    return r0;
}

static inline void sys_sleep(uint32_t duration_ms)
{
    (void)sys_call(SYSCALL_SLEEP, duration_ms, 0);
}

static inline void sys_console(const char *bytes, size_t length)
{
    (void)sys_call(SYSCALL_CONSOLE, (uint32_t)bytes, (uint32_t)length);
}

static inline int sys_send(const uint8_t *bytes, size_t length)
{
    return sys_call(SYSCALL_SEND, (uint32_t)bytes, (uint32_t)length) == 0 ? 0 : -1;
}

static inline uint32_t sys_uptime_ms(void)
{
    return sys_call(SYSCALL_UPTIME, 0, 0);
}

#endif
