#ifndef BROWNOUT_HAL_FLASH_CONTROLLER_H
#define BROWNOUT_HAL_FLASH_CONTROLLER_H

#include "flash.h"

/* The board's flash behind its controller (SPEC.md section 10). Operations return when the controller is
 * done: STATUS_FLASH when it reports an error, STATUS_OUT_OF_RANGE when the data does not fit its buffer. Not
 * reentrant. */
extern const struct flash flash_controller;

#endif
