#include "flash_controller.h"

#include <stddef.h>

#include "board.h"

/* The command block, SPEC.md section 10. */
struct command_block {
    uint32_t status;
    uint32_t command;
    uint32_t address;
    uint32_t length;
    uint8_t buffer[BOARD_FLASH_PROGRAM_BUFFER];
    uint8_t entropy[32];
};

_Static_assert(offsetof(struct command_block, buffer) == 0x010, "command block layout");
_Static_assert(offsetof(struct command_block, entropy) == 0x110, "command block layout");

enum {
    CONTROLLER_OK = 0,
    CONTROLLER_BUSY = 1,
};

enum command {
    COMMAND_PROGRAM = 1,
    COMMAND_ERASE = 2,
};

#define BLOCK    ((volatile struct command_block *)BOARD_FLASH_COMMAND_BLOCK)
#define DOORBELL (*(volatile uint32_t *)BOARD_FLASH_DOORBELL)

/* On a board whose doorbell is a UART's data register, that UART has to be enabled once; elsewhere the write
 * is ignored. */
#define DOORBELL_CONTROL (*(volatile uint32_t *)(BOARD_FLASH_DOORBELL + 0x8u))
#define DOORBELL_BAUDDIV (*(volatile uint32_t *)(BOARD_FLASH_DOORBELL + 0x10u))
#define UART_TX_ENABLE   1u
#define UART_BAUDDIV_MIN 16u

/* Everything written before is visible to the controller before anything after. */
static void barrier(void)
{
    __asm volatile("dmb" : : : "memory");
}

static status_t command_run(enum command command, uint32_t offset, uint32_t length)
{
    BLOCK->address = offset;
    BLOCK->length = length;
    BLOCK->command = (uint32_t)command;
    BLOCK->status = CONTROLLER_BUSY;
    barrier();
    DOORBELL_BAUDDIV = UART_BAUDDIV_MIN;
    DOORBELL_CONTROL = UART_TX_ENABLE;
    DOORBELL = (uint32_t)command;
    /* No limit: a controller that never answers is indistinguishable from a power loss, and nothing is left
     * to do. */
    while (BLOCK->status == CONTROLLER_BUSY) {
    }
    barrier();
    return BLOCK->status == CONTROLLER_OK ? STATUS_OK : STATUS_FLASH;
}

static status_t controller_program(void *context, uint32_t offset, const uint8_t *data, uint32_t length)
{
    (void)context;
    if (length > BOARD_FLASH_PROGRAM_BUFFER) {
        return STATUS_OUT_OF_RANGE;
    }
    for (uint32_t i = 0; i < length; i++) {
        BLOCK->buffer[i] = data[i];
    }
    return command_run(COMMAND_PROGRAM, offset, length);
}

static status_t controller_erase_sector(void *context, uint32_t offset)
{
    (void)context;
    return command_run(COMMAND_ERASE, offset, BOARD_FLASH_SECTOR_SIZE);
}

const struct flash flash_controller = {
    .array = (const uint8_t *)BOARD_FLASH_BASE,
    .size = BOARD_FLASH_SIZE,
    .sector_size = BOARD_FLASH_SECTOR_SIZE,
    .write_unit = BOARD_FLASH_WRITE_UNIT,
    .program_buffer = BOARD_FLASH_PROGRAM_BUFFER,
    .context = NULL,
    .program = controller_program,
    .erase_sector = controller_erase_sector,
};
