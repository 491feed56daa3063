/* The kernel's vector table and handlers. Priorities: the uplink and SysTick preempt SVC and PendSV, which
 * never preempt each other. */

#include <stdint.h>

#include "board.h"
#include "clock.h"
#include "log.h"
#include "supervisor.h"
#include "syscall_handler.h"
#include "system.h"
#include "thread.h"
#include "uplink.h"

#define WAKE_PERIOD_MS 10u

#define SCB_SHPR2 (*(volatile uint32_t *)0xE000ED1Cu) /* SVC */
#define SCB_SHPR3 (*(volatile uint32_t *)0xE000ED20u) /* PendSV, SysTick */
#define NVIC_IPR  ((volatile uint8_t *)0xE000E400u)
#define SCB_CFSR  (*(volatile uint32_t *)0xE000ED28u)
#define SCB_HFSR  (*(volatile uint32_t *)0xE000ED2Cu)
#define SCB_DFSR  (*(volatile uint32_t *)0xE000ED30u)
#define SCB_MMFAR (*(volatile uint32_t *)0xE000ED34u)
#define SCB_BFAR  (*(volatile uint32_t *)0xE000ED38u)

#define CFSR_DACCVIOL  (1u << 1)
#define CFSR_MSTKERR   (1u << 4)
#define CFSR_MMARVALID (1u << 7)
#define CFSR_STKERR    (1u << 12)
#define CFSR_BFARVALID (1u << 15)
#define HFSR_DEBUGEVT  (1u << 31)

#define EXCEPTION_DEBUG_MONITOR 12u

#define PRIORITY_LOW 0xE0u
#define PRIORITY_IRQ 0x40u

#define EXC_RETURN_PSP (1u << 2)

extern uint8_t __interrupt_stack_top[];
extern uint32_t __data_load[];
extern uint32_t __data_start[];
extern uint32_t __data_end[];
extern uint32_t __bss_start[];
extern uint32_t __bss_end[];

void kernel_main(void);
void Reset_Handler(void);
void memory_prepare_and_run(void);
void Fault_Handler(void);
void SVC_Handler(void);
void PendSV_Handler(void);
void SysTick_Handler(void);
void Uplink_Handler(void);
void Unexpected_Handler(void);
void fault_dispatch(uint32_t exc_return, const struct thread_frame *frame);

/* Fills both stacks before anything uses them, hence no C. */
__attribute__((naked)) void Reset_Handler(void)
{
    __asm volatile("ldr r2, =%c0\n"
                   "ldr r0, =__interrupt_stack_limit\n"
                   "ldr r1, =__interrupt_stack_top\n"
                   "1: cmp r0, r1\n"
                   "it lo\n"
                   "strlo r2, [r0], #4\n"
                   "blo 1b\n"
                   "ldr r0, =__kernel_stack_limit\n"
                   "ldr r1, =__kernel_stack_top\n"
                   "2: cmp r0, r1\n"
                   "it lo\n"
                   "strlo r2, [r0], #4\n"
                   "blo 2b\n"
                   "b memory_prepare_and_run\n"
                   ".ltorg\n"
                   :
                   : "i"(SYSTEM_STACK_FILL));
}

void memory_prepare_and_run(void)
{
    uint32_t *load = __data_load;

    for (uint32_t *word = __data_start; word < __data_end; word++) {
        *word = *load++;
    }
    for (uint32_t *word = __bss_start; word < __bss_end; word++) {
        *word = 0;
    }
    SCB_SHPR2 = PRIORITY_LOW << 24;
    SCB_SHPR3 = (PRIORITY_LOW << 16) | (PRIORITY_IRQ << 24);
    NVIC_IPR[BOARD_UART_UPLINK_RX_IRQ] = PRIORITY_IRQ;
    NVIC_IPR[BOARD_UART_UPLINK_TX_IRQ] = PRIORITY_IRQ;
    __asm volatile("cpsie i" : : : "memory");
    kernel_main();
}

void SysTick_Handler(void)
{
    uint32_t now_ms;

    clock_tick();
    now_ms = clock_now_ms();
    supervisor_tick(now_ms);
    if (now_ms % WAKE_PERIOD_MS == 0) {
        thread_kernel_wake();
    }
}

void Uplink_Handler(void)
{
    if (uplink_interrupt()) {
        thread_kernel_wake();
    }
}

__attribute__((naked)) void SVC_Handler(void)
{
    __asm volatile("mrs r0, psp \n"
                   "b   syscall_handler_dispatch \n");
}

__attribute__((naked)) void Fault_Handler(void)
{
    __asm volatile("mov r0, lr  \n"
                   "mrs r1, psp \n"
                   "b   fault_dispatch \n");
}

/* Below memory.app_data there may be memory that the app can read (its code): a stack that overflows is told
 * from a wild pointer by where the stack pointer is. */
static bool stack_is_overflown(uint32_t cfsr, uint32_t address, const struct thread_frame *frame)
{
    const uint32_t bottom = BOARD_MEMORY_APP_DATA_BASE;

    if ((cfsr & (CFSR_MSTKERR | CFSR_STKERR)) != 0) {
        return true; /* the core could not push the frame */
    }
    if (supervisor_stack_is_overflown(frame)) {
        return true;
    }
    return (cfsr & (CFSR_DACCVIOL | CFSR_MMARVALID)) == (CFSR_DACCVIOL | CFSR_MMARVALID) &&
           bottom - 1u - address < SUPERVISOR_STACK_REACH &&
           (uint32_t)frame - bottom < SUPERVISOR_STACK_REACH;
}

static enum supervisor_fault fault_kind(uint32_t exception, uint32_t hfsr, bool overflown)
{
    if (overflown) {
        return SUPERVISOR_FAULT_STACK;
    }
    switch (exception) {
    case 4:
        return SUPERVISOR_FAULT_MEMORY;
    case 5:
        return SUPERVISOR_FAULT_BUS;
    case 6:
        return SUPERVISOR_FAULT_USAGE;
    case EXCEPTION_DEBUG_MONITOR:
        return SUPERVISOR_FAULT_BREAKPOINT;
    default:
        /* Where no debug monitor is, or it is off, BKPT escalates. */
        return (hfsr & HFSR_DEBUGEVT) != 0 ? SUPERVISOR_FAULT_BREAKPOINT : SUPERVISOR_FAULT_HARD;
    }
}

static void app_fault_dispatch(uint32_t exception, const struct thread_frame *frame)
{
    uint32_t cfsr = SCB_CFSR;
    uint32_t hfsr = SCB_HFSR;
    uint32_t address = 0;

    if ((cfsr & CFSR_MMARVALID) != 0) {
        address = SCB_MMFAR;
    } else if ((cfsr & CFSR_BFARVALID) != 0) {
        address = SCB_BFAR;
    }
    SCB_CFSR = cfsr; /* write one to clear */
    SCB_HFSR = hfsr;
    SCB_DFSR = SCB_DFSR;
    supervisor_app_stopped(fault_kind(exception, hfsr, stack_is_overflown(cfsr, address, frame)), address);
}

/* The app's faults stop the app; the kernel's own stop the device with a last line for the console. */
void fault_dispatch(uint32_t exc_return, const struct thread_frame *frame)
{
    uint32_t exception;
    uint32_t control;
    char buffer[LOG_LINE_MAX];
    struct text text;

    __asm volatile("mrs %0, ipsr" : "=r"(exception));
    __asm volatile("mrs %0, control" : "=r"(control));
    if ((exc_return & EXC_RETURN_PSP) != 0 && (control & 1u) != 0) {
        app_fault_dispatch(exception, frame);
        return;
    }
    text_init(&text, buffer, sizeof(buffer));
    text_add(&text, "kernel: fault ");
    text_add_u32(&text, exception);
    text_add(&text, " pc=");
    text_add_hex32(&text, (exc_return & EXC_RETURN_PSP) != 0 ? frame->pc : 0);
    log_text(&text);
    system_halt();
}

void Unexpected_Handler(void)
{
    log_line("kernel: unexpected interrupt");
    system_halt();
}

typedef void (*vector_t)(void);

__attribute__((section(".vectors"), used)) static const vector_t vectors[16u + BOARD_CPU_INTERRUPTS] = {
    (vector_t)__interrupt_stack_top,
    Reset_Handler,
    Unexpected_Handler, /* NMI */
    Fault_Handler,      /* HardFault */
    Fault_Handler,      /* MemManage */
    Fault_Handler,      /* BusFault */
    Fault_Handler,      /* UsageFault */
    [11] = SVC_Handler,
    [EXCEPTION_DEBUG_MONITOR] = Fault_Handler,
    [14] = PendSV_Handler,
    [15] = SysTick_Handler,
    [16 + BOARD_UART_UPLINK_RX_IRQ] = Uplink_Handler,
    [16 + BOARD_UART_UPLINK_TX_IRQ] = Uplink_Handler,
};
