/* Start of either image, and what needs the core's own registers. */

#include "cortex.h"

#define SCB_VTOR  (*(volatile uint32_t *)0xE000ED08u)
#define SCB_AIRCR (*(volatile uint32_t *)0xE000ED0Cu)

#define AIRCR_KEY         0x05FA0000u
#define AIRCR_SYSRESETREQ 0x4u
#define STACK_FILL        0xA5A5A5A5u

extern uint32_t __stack_limit[];
extern uint32_t __stack_top[];
extern uint32_t __data_start[];
extern uint32_t __data_end[];
extern const uint32_t __data_load[];
extern uint32_t __bss_start[];
extern uint32_t __bss_end[];

int main(void);
__attribute__((noreturn)) void Reset_Handler(void);
__attribute__((noreturn)) void memory_prepare_and_run(void);

/* No interrupt is ever enabled, so the table ends with the system exceptions. */
__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack_top;
    void (*handlers[15])(void);
} vectors = {
    __stack_top,
    {Reset_Handler, cortex_halt, cortex_halt, cortex_halt, cortex_halt, cortex_halt, cortex_halt, cortex_halt,
     cortex_halt, cortex_halt, cortex_halt, cortex_halt, cortex_halt, cortex_halt, cortex_halt},
};

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
                   : "i"(STACK_FILL));
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
    cortex_halt();
}

void cortex_reset(void)
{
    __asm volatile("dsb" : : : "memory");
    SCB_AIRCR = AIRCR_KEY | AIRCR_SYSRESETREQ;
    __asm volatile("dsb" : : : "memory");
    cortex_halt();
}

void cortex_halt(void)
{
    for (;;) {
    }
}

void cortex_image_start(const uint32_t *image)
{
    SCB_VTOR = (uint32_t)(uintptr_t)image;
    __asm volatile("dsb\n"
                   "isb\n"
                   "msr msp, %0\n"
                   "bx %1\n"
                   :
                   : "r"(image[0]), "r"(image[1])
                   : "memory");
    __builtin_unreachable();
}

__attribute__((naked)) void cortex_stack_wipe(void)
{
    __asm volatile("ldr r0, =__stack_limit\n"
                   "mov r1, sp\n"
                   "ldr r2, =%c0\n"
                   "1: cmp r0, r1\n"
                   "it lo\n"
                   "strlo r2, [r0], #4\n"
                   "blo 1b\n"
                   "bx lr\n"
                   :
                   : "i"(STACK_FILL));
}
