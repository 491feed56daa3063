#include "debug_instruction.h"

#include "bytes.h"

#define COND_LE 13u

static uint32_t bit(uint32_t word, uint32_t index)
{
    return (word >> index) & 1u;
}

static uint32_t bits_count(uint32_t word)
{
    uint32_t count = 0;

    for (; word != 0; word &= word - 1u) {
        count++;
    }
    return count;
}

static uint32_t sign_extend(uint32_t value, uint32_t bits)
{
    uint32_t sign = 1u << (bits - 1u);

    return (value ^ sign) - sign;
}

/* What an instruction reads as pc. */
static uint32_t pc_read(const struct debug_instruction *i)
{
    return i->address + 4u;
}

static uint32_t pc_align(const struct debug_instruction *i)
{
    return pc_read(i) & ~3u;
}

static bool condition_holds(uint32_t condition, uint32_t xpsr)
{
    bool n = bit(xpsr, 31) != 0;
    bool z = bit(xpsr, 30) != 0;
    bool c = bit(xpsr, 29) != 0;
    bool v = bit(xpsr, 28) != 0;
    bool holds;

    switch (condition >> 1) {
    case 0:
        holds = z;
        break;
    case 1:
        holds = c;
        break;
    case 2:
        holds = n;
        break;
    case 3:
        holds = v;
        break;
    case 4:
        holds = c && !z;
        break;
    case 5:
        holds = n == v;
        break;
    case 6:
        holds = n == v && !z;
        break;
    default:
        return true;
    }
    return (condition & 1u) != 0 ? !holds : holds;
}

static uint32_t it_state(uint32_t xpsr)
{
    return ((xpsr >> 25) & 3u) | ((xpsr >> 8) & 0xFCu);
}

uint32_t debug_instruction_it_advance(uint32_t xpsr)
{
    uint32_t it = it_state(xpsr);

    it = (it & 7u) == 0 ? 0 : (it & 0xE0u) | ((it << 1) & 0x1Fu);
    return (xpsr & ~DEBUG_XPSR_IT) | ((it & 3u) << 25) | ((it & 0xFCu) << 8);
}

status_t debug_instruction_fetch(const struct debug_memory *memory,
                                 const uint32_t registers[DEBUG_REGISTER_COUNT], struct debug_instruction *i)
{
    uint32_t pc = registers[DEBUG_PC];
    uint32_t it = it_state(registers[DEBUG_XPSR]);
    uint8_t bytes[2];

    *i = (struct debug_instruction){.address = pc, .size = 2};
    RETURN_IF_ERROR(memory->read(memory->context, pc, bytes, 2));
    i->first = bytes_load_le16(bytes);
    if ((i->first >> 11) >= 0x1Du) {
        i->size = 4;
        RETURN_IF_ERROR(memory->read(memory->context, pc + 2u, bytes, 2));
        i->second = bytes_load_le16(bytes);
    }
    i->is_executed = (it & 0xFu) == 0 || condition_holds(it >> 4, registers[DEBUG_XPSR]) ||
                     debug_instruction_is_breakpoint(i); /* BKPT is never conditional */
    return STATUS_OK;
}

bool debug_instruction_is_breakpoint(const struct debug_instruction *i)
{
    return (i->first & 0xFF00u) == 0xBE00u;
}

/* ---- memory accesses */

static bool access_set(struct debug_access *access, uint32_t address, uint32_t length, bool is_write)
{
    *access = (struct debug_access){.address = address, .length = length, .is_write = is_write};
    return length > 0;
}

static bool access_register_16(uint32_t first, const uint32_t r[], struct debug_access *access)
{
    static const uint8_t lengths[8] = {4, 2, 1, 1, 4, 2, 1, 2};
    uint32_t operation = (first >> 9) & 7u;

    return access_set(access, r[(first >> 3) & 7u] + r[(first >> 6) & 7u], lengths[operation],
                      operation < 3u);
}

static bool access_stack_16(uint32_t first, const uint32_t r[], struct debug_access *access)
{
    uint32_t length = 4u * bits_count(first & 0x1FFu);

    if ((first & 0xFE00u) == 0xB400u) {
        return access_set(access, r[DEBUG_SP] - length, length, true);
    }
    return (first & 0xFE00u) == 0xBC00u && access_set(access, r[DEBUG_SP], length, false);
}

static bool access_16(const struct debug_instruction *i, const uint32_t r[], struct debug_access *access)
{
    uint32_t first = i->first;
    uint32_t immediate = (first >> 6) & 0x1Fu;
    uint32_t base = r[(first >> 3) & 7u];
    bool is_write = bit(first, 11) == 0;

    switch (first >> 12) {
    case 0x4:
        return (first >> 11) == 9u && access_set(access, pc_align(i) + 4u * (first & 0xFFu), 4, false);
    case 0x5:
        return access_register_16(first, r, access);
    case 0x6:
        return access_set(access, base + 4u * immediate, 4, is_write);
    case 0x7:
        return access_set(access, base + immediate, 1, is_write);
    case 0x8:
        return access_set(access, base + 2u * immediate, 2, is_write);
    case 0x9:
        return access_set(access, r[DEBUG_SP] + 4u * (first & 0xFFu), 4, is_write);
    case 0xB:
        return access_stack_16(first, r, access);
    case 0xC:
        return access_set(access, r[(first >> 8) & 7u], 4u * bits_count(first & 0xFFu), is_write);
    default:
        return false;
    }
}

static bool access_multiple_32(const struct debug_instruction *i, const uint32_t r[],
                               struct debug_access *access)
{
    uint32_t base = r[i->first & 0xFu];
    uint32_t length = 4u * bits_count(i->second);
    bool is_write = bit(i->first, 4) == 0;

    switch ((i->first >> 7) & 3u) {
    case 1:
        return access_set(access, base, length, is_write);
    case 2:
        return access_set(access, base - length, length, is_write);
    default:
        return false;
    }
}

static bool is_table_branch(const struct debug_instruction *i)
{
    return (i->first & 0xFFF0u) == 0xE8D0u && (i->second & 0xFFE0u) == 0xF000u;
}

/* LDRD, STRD, exclusives, TBB, TBH. */
static bool access_dual_32(const struct debug_instruction *i, const uint32_t r[], struct debug_access *access)
{
    bool is_write = bit(i->first, 4) == 0;
    bool is_indexed = bit(i->first, 8) != 0;
    uint32_t n = i->first & 0xFu;
    uint32_t base = n == DEBUG_PC ? pc_align(i) : r[n];
    uint32_t offset = 4u * (i->second & 0xFFu);

    if (is_table_branch(i)) {
        base = n == DEBUG_PC ? pc_read(i) : r[n];
        return access_set(access, base + (r[i->second & 0xFu] << bit(i->second, 4)), 1u + bit(i->second, 4),
                          false);
    }
    if (is_indexed || bit(i->first, 5) != 0) {
        offset = bit(i->first, 7) != 0 ? offset : 0u - offset;
        return access_set(access, is_indexed ? base + offset : base, 8, is_write);
    }
    if (bit(i->first, 7) == 0) {
        return access_set(access, base + offset, 4, is_write); /* LDREX, STREX */
    }
    switch ((i->second >> 4) & 0xFu) {
    case 4:
        return access_set(access, base, 1, is_write);
    case 5:
        return access_set(access, base, 2, is_write);
    default:
        return false;
    }
}

static bool access_single_32(const struct debug_instruction *i, const uint32_t r[],
                             struct debug_access *access)
{
    uint32_t n = i->first & 0xFu;
    uint32_t second = i->second;
    uint32_t size = (i->first >> 5) & 3u;
    bool is_write = bit(i->first, 4) == 0;
    uint32_t offset;

    if (size == 3u || (is_write && (bit(i->first, 8) != 0 || n == DEBUG_PC)) ||
        (size < 2u && !is_write && (second >> 12) == DEBUG_PC)) {
        return false; /* the last: PLD and other hints */
    }
    if (n == DEBUG_PC) {
        offset = second & 0xFFFu;
        return access_set(access, pc_align(i) + (bit(i->first, 7) != 0 ? offset : 0u - offset), 1u << size,
                          false);
    }
    if (bit(i->first, 7) != 0) {
        return access_set(access, r[n] + (second & 0xFFFu), 1u << size, is_write);
    }
    if (bit(second, 11) == 0) {
        return (second & 0x7C0u) == 0 &&
               access_set(access, r[n] + (r[second & 0xFu] << ((second >> 4) & 3u)), 1u << size, is_write);
    }
    offset = bit(second, 9) != 0 ? second & 0xFFu : 0u - (second & 0xFFu);
    return access_set(access, bit(second, 10) != 0 ? r[n] + offset : r[n], 1u << size, is_write);
}

bool debug_instruction_access(const struct debug_instruction *i, const uint32_t r[DEBUG_REGISTER_COUNT],
                              struct debug_access *access)
{
    if (!i->is_executed) {
        return false;
    }
    if (i->size == 2) {
        return access_16(i, r, access);
    }
    if ((i->first & 0xFE40u) == 0xE800u) {
        return access_multiple_32(i, r, access);
    }
    if ((i->first & 0xFE40u) == 0xE840u) {
        return access_dual_32(i, r, access);
    }
    return (i->first & 0xFE00u) == 0xF800u && access_single_32(i, r, access);
}

/* ---- exclusive accesses */

enum debug_exclusive debug_instruction_exclusive(const struct debug_instruction *i, uint32_t *value,
                                                 uint32_t *result)
{
    bool is_word = (i->first & 0xFFE0u) == 0xE840u;
    bool is_part = (i->first & 0xFFE0u) == 0xE8C0u && ((i->second >> 4) & 0xEu) == 4u; /* byte, halfword */

    *value = i->second >> 12;
    *result = is_word ? (i->second >> 8) & 0xFu : i->second & 0xFu;
    if (!i->is_executed) {
        return DEBUG_EXCLUSIVE_NONE;
    }
    if ((i->size == 2 && (i->first & 0xFF00u) == 0xDF00u) ||
        (i->first == 0xF3BFu && (i->second & 0xFFF0u) == 0x8F20u)) {
        return DEBUG_EXCLUSIVE_END;
    }
    if (!is_word && !is_part) {
        return DEBUG_EXCLUSIVE_NONE;
    }
    return bit(i->first, 4) != 0 ? DEBUG_EXCLUSIVE_LOAD : DEBUG_EXCLUSIVE_STORE;
}

/* ---- control flow */

static uint32_t next_16(const struct debug_instruction *i, const uint32_t r[])
{
    uint32_t first = i->first;
    uint32_t after = i->address + 2u;
    uint32_t m = (first >> 3) & 0xFu;
    uint32_t value = m == DEBUG_PC ? pc_read(i) : r[m];

    if ((first & 0xF000u) == 0xD000u) { /* B<c>; above: UDF, SVC */
        uint32_t condition = (first >> 8) & 0xFu;

        return condition <= COND_LE && condition_holds(condition, r[DEBUG_XPSR])
                   ? pc_read(i) + sign_extend((first & 0xFFu) << 1, 9)
                   : after;
    }
    if ((first & 0xF800u) == 0xE000u) { /* B */
        return pc_read(i) + sign_extend((first & 0x7FFu) << 1, 12);
    }
    if ((first & 0xFF00u) == 0x4700u || (first & 0xFF87u) == 0x4687u) { /* BX, BLX; MOV pc */
        return value & ~1u;
    }
    if ((first & 0xFF87u) == 0x4487u) { /* ADD pc */
        return (pc_read(i) + value) & ~1u;
    }
    if ((first & 0xF500u) == 0xB100u) { /* CBZ, CBNZ */
        bool wants_zero = bit(first, 11) == 0;

        return (r[first & 7u] == 0) == wants_zero
                   ? pc_read(i) + (bit(first, 9) << 6) + (((first >> 3) & 0x1Fu) << 1)
                   : after;
    }
    return after;
}

/* 11110x with bit 15 of the second halfword set: B, BL, and what is not a branch. */
static uint32_t next_branch_32(const struct debug_instruction *i, const uint32_t r[])
{
    uint32_t sign = bit(i->first, 10);
    uint32_t j1 = bit(i->second, 13);
    uint32_t j2 = bit(i->second, 11);
    uint32_t low = (i->second & 0x7FFu) << 1;
    uint32_t condition = (i->first >> 6) & 0xFu;

    if (bit(i->second, 12) != 0) { /* B, BL */
        uint32_t high = (sign << 24) | ((1u ^ j1 ^ sign) << 23) | ((1u ^ j2 ^ sign) << 22);

        return pc_read(i) + sign_extend(high | ((i->first & 0x3FFu) << 12) | low, 25);
    }
    if (bit(i->second, 14) == 0 && condition <= COND_LE && condition_holds(condition, r[DEBUG_XPSR])) {
        return pc_read(i) +
               sign_extend((sign << 20) | (j2 << 19) | (j1 << 18) | ((i->first & 0x3Fu) << 12) | low, 21);
    }
    return i->address + 4u;
}

/* Loads to pc: the word that becomes pc is the last one that the instruction loads. */
static bool is_load_to_pc(const struct debug_instruction *i)
{
    if (i->size == 2) {
        return (i->first & 0xFF00u) == 0xBD00u; /* POP */
    }
    if ((i->first & 0xFE50u) == 0xE810u) { /* LDM */
        return bit(i->second, 15) != 0;
    }
    return (i->first & 0xFF70u) == 0xF850u && (i->second >> 12) == DEBUG_PC; /* LDR */
}

status_t debug_instruction_next(const struct debug_instruction *i, const struct debug_memory *memory,
                                const uint32_t r[DEBUG_REGISTER_COUNT], uint32_t *next)
{
    struct debug_access access;
    uint8_t bytes[4] = {0};

    *next = i->address + i->size;
    if (!i->is_executed) {
        return STATUS_OK;
    }
    if (is_load_to_pc(i) && debug_instruction_access(i, r, &access)) {
        RETURN_IF_ERROR(memory->read(memory->context, access.address + access.length - 4u, bytes, 4));
        *next = bytes_load_le32(bytes) & ~1u;
    } else if (i->size == 2) {
        *next = next_16(i, r);
    } else if (is_table_branch(i) && debug_instruction_access(i, r, &access)) {
        RETURN_IF_ERROR(memory->read(memory->context, access.address, bytes, access.length));
        *next = pc_read(i) + 2u * bytes_load_le32(bytes);
    } else if ((i->first & 0xF800u) == 0xF000u && bit(i->second, 15) != 0) {
        *next = next_branch_32(i, r);
    }
    return STATUS_OK;
}

bool debug_instruction_is_call(const struct debug_instruction *i)
{
    if (i->size == 2) {
        return (i->first & 0xFF80u) == 0x4780u;
    }
    return (i->first & 0xF800u) == 0xF000u && (i->second & 0xD000u) == 0xD000u;
}
