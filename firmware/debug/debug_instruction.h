#ifndef BROWNOUT_DEBUG_DEBUG_INSTRUCTION_H
#define BROWNOUT_DEBUG_DEBUG_INSTRUCTION_H

#include <stdbool.h>
#include <stdint.h>

#include "debug_agent.h"

/* What one Thumb instruction of Armv7-M will do when it is executed with given registers: which memory it
 * accesses and where execution goes on (Armv7-M ARM, A5 and A7). Exact, since nothing else runs between the
 * look and the execution. */

enum debug_register {
    DEBUG_SP = 13,
    DEBUG_LR = 14,
    DEBUG_PC = 15,
    DEBUG_XPSR = 16,
};

/* Memory as the app's author wrote it: without breakpoint patches. */
struct debug_memory {
    void *context;
    status_t (*read)(void *context, uint32_t address, uint8_t *out, uint32_t length);
};

struct debug_instruction {
    uint32_t address;
    uint32_t size;    /* 2 or 4 bytes */
    uint16_t first;   /* halfwords */
    uint16_t second;  /* 0 when size is 2 */
    bool is_executed; /* false: its IT block skips it */
};

/* All accesses of one instruction lie in one range. */
struct debug_access {
    uint32_t address;
    uint32_t length;
    bool is_write;
};

/* The instruction at pc. STATUS_OUT_OF_RANGE when it cannot be read. */
MUST_USE status_t debug_instruction_fetch(const struct debug_memory *memory,
                                          const uint32_t registers[DEBUG_REGISTER_COUNT],
                                          struct debug_instruction *instruction);

/* True for BKPT. */
bool debug_instruction_is_breakpoint(const struct debug_instruction *instruction);

/* Exclusive accesses: an exception between the load and the store makes the store fail, and each step is one.
 */
enum debug_exclusive {
    DEBUG_EXCLUSIVE_NONE = 0,
    DEBUG_EXCLUSIVE_LOAD,  /* LDREX, LDREXB, LDREXH */
    DEBUG_EXCLUSIVE_STORE, /* STREX, STREXB, STREXH */
    DEBUG_EXCLUSIVE_END,   /* CLREX and SVC: a store that follows fails */
};

/* What the instruction does to the core's exclusive monitor; of a store also the registers: the stored value
 * and the result. */
enum debug_exclusive debug_instruction_exclusive(const struct debug_instruction *instruction, uint32_t *value,
                                                 uint32_t *result);

/* False when the instruction accesses no memory, is skipped or undefined. */
bool debug_instruction_access(const struct debug_instruction *instruction,
                              const uint32_t registers[DEBUG_REGISTER_COUNT], struct debug_access *access);

/* Where execution goes on. SVC counts as a plain instruction; one that faults also: nobody gets there.
 * STATUS_OUT_OF_RANGE when that depends on memory that cannot be read (the instruction will fault). */
MUST_USE status_t debug_instruction_next(const struct debug_instruction *instruction,
                                         const struct debug_memory *memory,
                                         const uint32_t registers[DEBUG_REGISTER_COUNT], uint32_t *next);

/* True for BL and BLX, which leave the address after them in lr. */
bool debug_instruction_is_call(const struct debug_instruction *instruction);

/* xPSR for the instruction after one that did not branch. */
uint32_t debug_instruction_it_advance(uint32_t xpsr);

#define DEBUG_XPSR_IT 0x0600FC00u

#endif
