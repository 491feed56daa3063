#ifndef BROWNOUT_HAL_INTERRUPTS_H
#define BROWNOUT_HAL_INTERRUPTS_H

#include <stdint.h>

/* NVIC lines and the global mask (Armv7-M ARM, B3.4 and B1.4). */

static inline void interrupts_line_enable(uint32_t line)
{
    ((volatile uint32_t *)0xE000E100u)[line / 32u] = 1u << (line % 32u);
}

/* Masks interrupts; returns what interrupts_restore() takes. */
static inline uint32_t interrupts_disable(void)
{
    uint32_t mask;

    __asm volatile("mrs %0, primask\n cpsid i" : "=r"(mask) : : "memory");
    return mask;
}

static inline void interrupts_restore(uint32_t mask)
{
    __asm volatile("msr primask, %0\n isb" : : "r"(mask) : "memory");
}

#endif
