#ifndef BROWNOUT_KERNEL_SUPERVISOR_H
#define BROWNOUT_KERNEL_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include "status.h"
#include "thread.h"

/* Loads the app from its flash region to RAM, runs it unprivileged behind the MPU, and starts it again after
 * a fault. */

enum supervisor_fault {
    SUPERVISOR_FAULT_NONE = 0,
    SUPERVISOR_FAULT_MEMORY,
    SUPERVISOR_FAULT_BUS,
    SUPERVISOR_FAULT_USAGE,
    SUPERVISOR_FAULT_HARD,
    SUPERVISOR_FAULT_EXIT,
};

/* Sets the app's MPU regions and starts it. STATUS_MALFORMED when the image in flash is not an app image. */
MUST_USE status_t supervisor_start(void);

/* From handlers: the app did something it cannot recover from. It stops; the kernel decides. */
void supervisor_app_stopped(enum supervisor_fault fault);

/* From SVC: the app sleeps until `deadline_ms`. */
void supervisor_app_sleep(uint32_t deadline_ms);

/* From SysTick: wakes a sleeping app. */
void supervisor_tick(uint32_t now_ms);

/* From the kernel thread: reports a stopped app and restarts it after a pause. */
void supervisor_poll(uint32_t now_ms);

/* True when unprivileged code may read (or write) these bytes. */
bool supervisor_app_may_read(uint32_t address, uint32_t length);

#endif
