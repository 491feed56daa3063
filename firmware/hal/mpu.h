#ifndef BROWNOUT_HAL_MPU_H
#define BROWNOUT_HAL_MPU_H

#include <stdbool.h>
#include <stdint.h>

/* Armv7-M MPU (Armv7-M ARM, B3.5). Privileged code keeps the default memory map; unprivileged code sees only
 * the regions set here. */

enum mpu_access {
    MPU_NONE = 1,       /* privileged read-write, unprivileged nothing */
    MPU_READ = 2,       /* privileged read-write, unprivileged read-only */
    MPU_READ_WRITE = 3, /* both read-write */
};

/* Sets region `index`. `size` is a power of two of at least 32 bytes and `base` is aligned to it. */
void mpu_region_set(uint32_t index, uint32_t base, uint32_t size, enum mpu_access access, bool execute);

/* Where regions overlap the one with the highest index decides. */
void mpu_region_clear(uint32_t index);

void mpu_enable(void);

#endif
