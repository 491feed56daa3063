#include "flash.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

enum {
    BLOCK_STATUS = 0x21fff000,
    BLOCK_COMMAND = 0x21fff004,
    BLOCK_OFFSET = 0x21fff008,
    BLOCK_LENGTH = 0x21fff00c,
    BLOCK_BUFFER = 0x21fff010,
    DOORBELL_DATA = 0x40009000,
    DOORBELL_CTRL = 0x40009008,
    DOORBELL_BAUDDIV = 0x40009010,
    COMMAND_PROGRAM = 1,
    COMMAND_ERASE = 2,
    STATUS_OK = 0,
    STATUS_BUSY = 1,
};

static bool command_run(uint32_t command, uint32_t offset, uint32_t length)
{
    REGISTER(DOORBELL_BAUDDIV) = 16;
    REGISTER(DOORBELL_CTRL) = 1;
    REGISTER(BLOCK_OFFSET) = offset;
    REGISTER(BLOCK_LENGTH) = length;
    REGISTER(BLOCK_COMMAND) = command;
    REGISTER(BLOCK_STATUS) = STATUS_BUSY;
    __asm volatile("dsb" ::: "memory");
    REGISTER(DOORBELL_DATA) = 1;
    while (REGISTER(BLOCK_STATUS) == STATUS_BUSY) {
    }
    return REGISTER(BLOCK_STATUS) == STATUS_OK;
}

const void *flash_at(uint32_t offset)
{
    return (const void *)(uintptr_t)(FLASH_BASE + offset);
}

bool flash_sector_erase(uint32_t offset)
{
    return command_run(COMMAND_ERASE, offset, FLASH_SECTOR_SIZE);
}

bool flash_program(uint32_t offset, const void *data, size_t length)
{
    const uint32_t *words = data;

    for (size_t i = 0; i < length / 4u; i++) {
        REGISTER(BLOCK_BUFFER + 4u * i) = words[i];
    }
    return command_run(COMMAND_PROGRAM, offset, length);
}
