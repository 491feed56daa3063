#ifndef BROWNOUT_HAL_CLOCK_H
#define BROWNOUT_HAL_CLOCK_H

#include <stdint.h>

/* Milliseconds since the kernel started, from SysTick; wraps after 49 days, so compare by difference. */

#define CLOCK_TICK_MS 2u

void clock_init(void);
uint32_t clock_now_ms(void);

/* Called by SysTick's handler. */
void clock_tick(void);

/* True when `deadline_ms` has been reached. */
static inline int clock_reached(uint32_t now_ms, uint32_t deadline_ms)
{
    return (int32_t)(now_ms - deadline_ms) >= 0;
}

#endif
