#ifndef BROWNOUT_KERNEL_SUPERVISOR_H
#define BROWNOUT_KERNEL_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include "status.h"
#include "thread.h"

/* Loads the app from its flash region to RAM, runs it unprivileged behind the MPU, and starts it again after
 * a fault, unless a debugger controls it. */

enum supervisor_fault {
    SUPERVISOR_FAULT_NONE = 0,
    SUPERVISOR_FAULT_MEMORY,
    SUPERVISOR_FAULT_BUS,
    SUPERVISOR_FAULT_USAGE,
    SUPERVISOR_FAULT_HARD,
    SUPERVISOR_FAULT_EXIT,
    SUPERVISOR_FAULT_STACK,
    SUPERVISOR_FAULT_BREAKPOINT,
};

/* MPU regions of the app; higher ones are free. */
#define SUPERVISOR_MPU_REGIONS 3u

/* Sets the app's MPU regions and starts it. STATUS_MALFORMED when the image in flash is not an app image. */
MUST_USE status_t supervisor_start(void);

/* From handlers: the app did something it cannot recover from (`address`: the one that faulted, or 0). It
 * stops; the kernel decides. */
void supervisor_app_stopped(enum supervisor_fault fault, uint32_t address);

/* From SVC: the app sleeps until `deadline_ms`. */
void supervisor_app_sleep(uint32_t deadline_ms);

/* From SysTick: wakes a sleeping app. */
void supervisor_tick(uint32_t now_ms);

/* From the kernel thread: reports a stopped app and restarts it after a pause. */
void supervisor_poll(uint32_t now_ms);

/* From the kernel thread: keeps the app from running, or lets it run as far as it is able to. A sleep goes
 * on. */
void supervisor_app_hold(bool hold);

/* From the kernel thread: loads and starts the app anew. */
MUST_USE status_t supervisor_app_restart(void);

/* How far below its stack an overflow is looked for, bytes. */
#define SUPERVISOR_STACK_REACH 1024u

/* From handlers: whether the frame that the core pushed for the app lies below the app's stack. A core that
 * honours the MPU there has raised a fault with MSTKERR instead; not all emulators do. */
bool supervisor_stack_is_overflown(const struct thread_frame *frame);

/* Bytes of the app's stack, at the start of its data; 0 when the image in flash is not an app image. */
uint32_t supervisor_app_stack_size(void);

/* True when unprivileged code may read (or write) these bytes. */
bool supervisor_app_may_read(uint32_t address, uint32_t length);

#endif
