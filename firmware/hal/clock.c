#include "clock.h"

#include "board.h"

#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)

#define SYST_CSR_RUN 7u /* core clock, interrupt, enable */

static volatile uint32_t now;

void clock_init(void)
{
    SYST_RVR = BOARD_CPU_CLOCK_HZ / 1000u * CLOCK_TICK_MS - 1u;
    SYST_CVR = 0;
    SYST_CSR = SYST_CSR_RUN;
}

uint32_t clock_now_ms(void)
{
    return now;
}

void clock_tick(void)
{
    now = now + CLOCK_TICK_MS;
}
