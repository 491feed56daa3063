#ifndef BROWNOUT_PORT_THREAD_H
#define BROWNOUT_PORT_THREAD_H

#include <stdbool.h>
#include <stdint.h>

/* Two threads on Armv7-M: the kernel (privileged) and the application (unprivileged). The kernel runs
 * whenever it has been woken; the application gets the rest of the time; when neither has work the core
 * sleeps. Switches happen in PendSV, which keeps the callee-saved registers in kernel memory, so a broken
 * application stack cannot hurt the kernel. */

/* What the core pushed on the thread's stack at exception entry (Armv7-M ARM, B1.5.6). */
struct thread_frame {
    uint32_t r0, r1, r2, r3, r12, lr, pc, xpsr;
};

struct thread {
    uint32_t psp;          /* points at a thread_frame while the thread is not running */
    uint32_t control;      /* CONTROL: 2 privileged, 3 unprivileged, both on PSP */
    uint32_t registers[8]; /* r4..r11 while the thread is not running */
};

/* Leaves the main stack to handlers and runs `entry`, which never returns, as the kernel thread on its own
 * stack. */
__attribute__((noreturn)) void thread_kernel_enter(uint32_t stack_top, void (*entry)(void));

/* Called by the kernel thread when it has nothing to do: returns once thread_kernel_wake() was called. */
void thread_kernel_wait(void);

/* Wakes the kernel thread; from interrupt handlers and from SVC. */
void thread_kernel_wake(void);

/* Prepares the application thread to start at `entry` with its stack ending at `stack_top`, not yet runnable.
 */
void thread_app_prepare(uint32_t entry, uint32_t stack_top);

/* Lets the application thread run, or keeps it from running. From the kernel thread or from handlers. */
void thread_app_set_runnable(bool runnable);

/* The saved state of the application thread; valid while the kernel thread runs. */
struct thread *thread_app(void);

#endif
