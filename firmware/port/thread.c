#include "thread.h"

#include <stddef.h>

#include "interrupts.h"

#define SCB_ICSR       (*(volatile uint32_t *)0xE000ED04u)
#define ICSR_PENDSV    (1u << 28)
#define CONTROL_KERNEL 2u
#define CONTROL_APP    3u
#define XPSR_THUMB     (1u << 24)

static struct thread kernel_thread = {.control = CONTROL_KERNEL};
static struct thread app_thread = {.control = CONTROL_APP};
static volatile bool kernel_woken = true;
static volatile bool app_runnable;

/* The thread whose context PendSV saves next; read by the assembly below. */
static struct thread *volatile thread_current = &kernel_thread;

_Static_assert(offsetof(struct thread, psp) == 0 && offsetof(struct thread, control) == 4 &&
                   offsetof(struct thread, registers) == 8,
               "PendSV_Handler knows these offsets");

static void thread_switch_request(void)
{
    SCB_ICSR = ICSR_PENDSV;
    __asm volatile("dsb" : : : "memory");
}

/* Called by PendSV_Handler: which thread continues. */
struct thread *thread_select(void);
struct thread *thread_select(void)
{
    thread_current = (kernel_woken || !app_runnable) ? &kernel_thread : &app_thread;
    return thread_current;
}

void PendSV_Handler(void);
__attribute__((naked)) void PendSV_Handler(void)
{
    __asm volatile("ldr   r2, =%c0          \n"
                   "cpsid i                 \n"
                   "ldr   r0, [r2]          \n" /* thread_current */
                   "mrs   r1, psp           \n"
                   "str   r1, [r0]          \n"
                   "add   r0, #8            \n"
                   "stmia r0, {r4-r11}      \n"
                   "push  {r3, lr}          \n"
                   "bl    thread_select     \n"
                   "pop   {r3, lr}          \n"
                   "ldr   r1, [r0]          \n"
                   "msr   psp, r1           \n"
                   "ldr   r1, [r0, #4]      \n"
                   "msr   control, r1       \n"
                   "add   r0, #8            \n"
                   "ldmia r0, {r4-r11}      \n"
                   "cpsie i                 \n"
                   "isb                     \n"
                   "bx    lr                \n"
                   ".ltorg                  \n"
                   :
                   : "i"(&thread_current));
}

__attribute__((naked, noreturn)) void thread_kernel_enter(__attribute__((unused)) uint32_t stack_top,
                                                          __attribute__((unused)) void (*entry)(void))
{
    __asm volatile("msr psp, r0     \n"
                   "mov r0, #2      \n"
                   "msr control, r0 \n"
                   "isb             \n"
                   "bx  r1          \n");
}

void thread_kernel_wait(void)
{
    for (;;) {
        uint32_t mask = interrupts_disable();
        bool woken = kernel_woken;

        kernel_woken = false;
        if (!woken && app_runnable) {
            thread_switch_request();
        } else if (!woken) {
            __asm volatile("dsb\n wfi" : : : "memory"); /* wakes on a pending interrupt although masked */
        }
        interrupts_restore(mask);
        if (woken) {
            return;
        }
    }
}

void thread_kernel_wake(void)
{
    kernel_woken = true;
    thread_switch_request();
}

void thread_app_prepare(uint32_t entry, uint32_t stack_top)
{
    struct thread_frame *frame = (struct thread_frame *)(stack_top - sizeof(struct thread_frame));

    app_runnable = false;
    *frame = (struct thread_frame){.pc = entry & ~1u, .xpsr = XPSR_THUMB, .lr = 0xFFFFFFFFu};
    app_thread = (struct thread){.psp = (uint32_t)frame, .control = CONTROL_APP};
}

void thread_app_set_runnable(bool runnable)
{
    app_runnable = runnable;
    thread_switch_request();
}

struct thread *thread_app(void)
{
    return &app_thread;
}
