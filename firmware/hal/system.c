#include "system.h"

#include "board.h"

#define SCB_VTOR           (*(volatile uint32_t *)0xE000ED08u)
#define SCB_AIRCR          (*(volatile uint32_t *)0xE000ED0Cu)
#define AIRCR_KEY          0x05FA0000u
#define AIRCR_SYSTEM_RESET (1u << 2)
#define ENTROPY_OFFSET     0x110u /* SPEC.md section 10 */
#define ENTROPY_SIZE       32u

void system_reset(void)
{
    __asm volatile("dsb" : : : "memory");
    SCB_AIRCR = AIRCR_KEY | AIRCR_SYSTEM_RESET;
    for (;;) {
        __asm volatile("dsb" : : : "memory");
    }
}

void system_entropy_read(uint8_t entropy[32])
{
    const volatile uint8_t *source = (const volatile uint8_t *)(BOARD_FLASH_COMMAND_BLOCK + ENTROPY_OFFSET);

    for (uint32_t i = 0; i < ENTROPY_SIZE; i++) {
        entropy[i] = source[i];
    }
}

void system_wait_for_interrupt(void)
{
    __asm volatile("dsb\n wfi" : : : "memory");
}

void system_halt(void)
{
    __asm volatile("cpsid i" : : : "memory");
    for (;;) {
        system_wait_for_interrupt();
    }
}

void system_start_image(const uint32_t *vectors)
{
    uint32_t stack_pointer = vectors[0];
    uint32_t reset_handler = vectors[1];

    SCB_VTOR = (uint32_t)vectors;
    __asm volatile("dsb\n"
                   "isb\n"
                   "msr msp, %0\n"
                   "bx  %1\n"
                   :
                   : "r"(stack_pointer), "r"(reset_handler)
                   : "memory");
    __builtin_unreachable();
}
