#include "mpu.h"

#define MPU_CTRL  (*(volatile uint32_t *)0xE000ED94u)
#define MPU_RNR   (*(volatile uint32_t *)0xE000ED98u)
#define MPU_RBAR  (*(volatile uint32_t *)0xE000ED9Cu)
#define MPU_RASR  (*(volatile uint32_t *)0xE000EDA0u)
#define SCB_SHCSR (*(volatile uint32_t *)0xE000ED24u)

#define CTRL_ENABLE       1u
#define CTRL_PRIVDEFENA   4u
#define RASR_XN           (1u << 28)
#define RASR_AP_SHIFT     24u
#define RASR_NORMAL       (1u << 17) /* C: normal memory, write-through */
#define RASR_SIZE_SHIFT   1u
#define RASR_ENABLE       1u
#define SHCSR_MEMFAULTENA (1u << 16)
#define SHCSR_BUSFAULTENA (1u << 17)
#define SHCSR_USGFAULTENA (1u << 18)

void mpu_region_set(uint32_t index, uint32_t base, uint32_t size, enum mpu_access access, bool execute)
{
    uint32_t log2_size = 31u - (uint32_t)__builtin_clz(size);

    MPU_RNR = index;
    MPU_RBAR = base;
    MPU_RASR = (execute ? 0u : RASR_XN) | ((uint32_t)access << RASR_AP_SHIFT) | RASR_NORMAL |
               ((log2_size - 1u) << RASR_SIZE_SHIFT) | RASR_ENABLE;
}

void mpu_region_clear(uint32_t index)
{
    MPU_RNR = index;
    MPU_RASR = 0;
}

void mpu_enable(void)
{
    SCB_SHCSR |= SHCSR_MEMFAULTENA | SHCSR_BUSFAULTENA | SHCSR_USGFAULTENA;
    __asm volatile("dmb" : : : "memory");
    MPU_CTRL = CTRL_ENABLE | CTRL_PRIVDEFENA;
    __asm volatile("dsb\n isb" : : : "memory");
}
