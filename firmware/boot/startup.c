/* Vector table, reset handler and fault handler of the boot ROM. */

#include <stddef.h>
#include <stdint.h>

#include "system.h"
#include "uart.h"
#include "version.h"

extern uint32_t __stack_limit[];
extern uint32_t __stack_top[];
extern uint32_t __data_start[];
extern uint32_t __data_end[];
extern const uint32_t __data_load[];
extern uint32_t __bss_start[];
extern uint32_t __bss_end[];

int main(void);
__attribute__((noreturn)) void Reset_Handler(void);
__attribute__((noreturn)) void Fault_Handler(void);
__attribute__((noreturn)) void memory_prepare_and_run(void);

/* Boot enables no interrupt, so the table ends with the system exceptions. */
__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack_top;
    void (*handlers[6])(void); /* reset, NMI, the faults */
    uint32_t version; /* a reserved word: the kernel reports boot's version from here (SPEC.md section 9) */
    void (*more_handlers[8])(void);
} vectors = {
    __stack_top,
    {Reset_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler},
    VERSION_PACKED,
    {Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler,
     Fault_Handler},
};

_Static_assert(offsetof(__typeof__(vectors), version) == 0x1c, "the kernel knows where the version is");

/* Fills the whole stack before anything uses it, hence no C. */
__attribute__((naked)) void Reset_Handler(void)
{
    __asm volatile("ldr r0, =__stack_limit\n"
                   "ldr r1, =__stack_top\n"
                   "ldr r2, =%c0\n"
                   "1: cmp r0, r1\n"
                   "it lo\n"
                   "strlo r2, [r0], #4\n"
                   "blo 1b\n"
                   "b memory_prepare_and_run\n"
                   :
                   : "i"(SYSTEM_STACK_FILL));
}

void memory_prepare_and_run(void)
{
    const uint32_t *from = __data_load;

    for (uint32_t *to = __data_start; to < __data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = __bss_start; to < __bss_end; to++) {
        *to = 0;
    }
    (void)main();
    system_halt();
}

void Fault_Handler(void)
{
    uart_console_init();
    uart_console_print("boot: halted: fault\r\n");
    system_halt();
}
