#include "flash_sim.h"

#include <string.h>

#define WORD_SIZE 4u
#define LINE_SIZE 64u /* unstable bits of one line may all fall to the same side: the size of a record */

/* splitmix64 */
static uint64_t random_next(struct flash_sim *sim)
{
    uint64_t z = (sim->random += 0x9E3779B97F4A7C15u);

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

uint32_t flash_sim_random(struct flash_sim *sim, uint32_t limit)
{
    return (uint32_t)((random_next(sim) >> 32) % limit);
}

static uint8_t random_byte(struct flash_sim *sim)
{
    return (uint8_t)random_next(sim);
}

/* How a torn operation went; the last three are the adversary's. */
enum torn_style {
    TORN_SCATTERED,     /* each word untouched, done or half-way */
    TORN_FORWARD,       /* words done in order, one half-way, the rest untouched */
    TORN_ALL_UNSTABLE,  /* every changing bit half-way */
    TORN_ONE_UNSTABLE,  /* done but for one unstable bit */
    TORN_ONE_DISTURBED, /* untouched but for one unstable bit */
    TORN_STYLES,
};

enum fate {
    FATE_UNTOUCHED,
    FATE_DONE,
    FATE_HALF,
    FATE_RANDOM, /* erase only */
};

static void bits_settle(struct flash_sim *sim, uint32_t at, uint8_t mask, bool to_one)
{
    sim->value[at] = (uint8_t)(to_one ? sim->value[at] | mask : sim->value[at] & (uint8_t)~mask);
    sim->unstable[at] = (uint8_t)(sim->unstable[at] & (uint8_t)~mask);
}

/* Applies a fate to the bits `changing` of one byte. */
static void byte_apply(struct flash_sim *sim, uint32_t at, uint8_t changing, bool to_one, enum fate fate)
{
    uint8_t done;

    switch (fate) {
    case FATE_UNTOUCHED:
        break;
    case FATE_DONE:
        bits_settle(sim, at, changing, to_one);
        break;
    case FATE_HALF:
        done = (uint8_t)(changing & random_byte(sim) & random_byte(sim));
        bits_settle(sim, at, done, to_one);
        sim->unstable[at] = (uint8_t)(sim->unstable[at] | (changing & (uint8_t)~done & random_byte(sim)));
        break;
    case FATE_RANDOM:
        sim->value[at] = random_byte(sim);
        sim->unstable[at] = 0xFF;
        break;
    }
}

static enum fate word_fate(struct flash_sim *sim, enum torn_style style, bool erase, uint32_t word,
                           uint32_t turn)
{
    switch (style) {
    case TORN_SCATTERED:
        return (enum fate)flash_sim_random(sim, erase ? 4 : 3);
    case TORN_FORWARD:
        return word < turn ? FATE_DONE : word == turn ? FATE_HALF : FATE_UNTOUCHED;
    case TORN_ONE_UNSTABLE:
        return FATE_DONE;
    default:
        return FATE_UNTOUCHED;
    }
}

/* Tears an operation that would bring the bits `changing[]` of `length` bytes to one or to zero. */
static void torn_apply(struct flash_sim *sim, uint32_t offset, const uint8_t *changing, uint32_t length,
                       bool to_one)
{
    enum torn_style style = (enum torn_style)flash_sim_random(sim, TORN_STYLES);
    uint32_t words = length / WORD_SIZE;
    uint32_t turn = flash_sim_random(sim, words);
    uint32_t bit = flash_sim_random(sim, length * 8u);

    for (uint32_t word = 0; word < words; word++) {
        enum fate fate = word_fate(sim, style, to_one, word, turn);

        for (uint32_t i = word * WORD_SIZE; i < (word + 1u) * WORD_SIZE; i++) {
            byte_apply(sim, offset + i, changing[i], to_one, fate);
            if (style == TORN_ALL_UNSTABLE) {
                sim->unstable[offset + i] = (uint8_t)(sim->unstable[offset + i] | changing[i]);
            }
        }
    }
    /* The one bit, or the next one that the operation would have changed. */
    for (uint32_t tried = 0;
         (style == TORN_ONE_UNSTABLE || style == TORN_ONE_DISTURBED) && tried < length * 8u;
         tried++, bit = (bit + 1u) % (length * 8u)) {
        uint8_t mask = (uint8_t)(1u << (bit % 8u));

        if ((changing[bit / 8u] & mask) != 0) {
            sim->unstable[offset + bit / 8u] = (uint8_t)(sim->unstable[offset + bit / 8u] | mask);
            break;
        }
    }
}

/* Runs an operation with the cut that may be armed for it. */
static status_t operation_run(struct flash_sim *sim, uint32_t offset, const uint8_t *changing,
                              uint32_t length, bool to_one)
{
    uint32_t number = sim->operations++;
    bool cut = number == sim->cut_operation;

    if (number == sim->fail_operation) {
        if (flash_sim_random(sim, 2) == 0) {
            torn_apply(sim, offset, changing, length, to_one);
        }
        return STATUS_FLASH;
    }
    if (cut && sim->cut_phase == CUT_TORN) {
        torn_apply(sim, offset, changing, length, to_one);
    } else if (!cut || sim->cut_phase == CUT_AFTER) {
        for (uint32_t i = 0; i < length; i++) {
            bits_settle(sim, offset + i, changing[i], to_one);
        }
    }
    if (cut) {
        sim->cut_fired = true;
        longjmp(sim->power_off, 1);
    }
    return STATUS_OK;
}

static status_t sim_program(void *context, uint32_t offset, const uint8_t *data, uint32_t length)
{
    struct flash_sim *sim = context;
    uint8_t changing[BOARD_FLASH_PROGRAM_BUFFER];
    uint32_t page = offset / BOARD_FLASH_PROGRAM_BUFFER;

    if (length == 0 || length % WORD_SIZE != 0 || offset % WORD_SIZE != 0 ||
        offset + length > BOARD_FLASH_SIZE || (offset + length - 1u) / BOARD_FLASH_PROGRAM_BUFFER != page) {
        sim->illegal++;
        return STATUS_OUT_OF_RANGE;
    }
    for (uint32_t i = 0; i < length; i++) {
        if ((data[i] & (uint8_t)~sim->value[offset + i]) != 0) {
            sim->illegal++;
        }
        changing[i] = (uint8_t)((uint8_t)~data[i] & (sim->value[offset + i] | sim->unstable[offset + i]));
    }
    return operation_run(sim, offset, changing, length, false);
}

static status_t sim_erase_sector(void *context, uint32_t offset)
{
    struct flash_sim *sim = context;
    uint8_t changing[BOARD_FLASH_SECTOR_SIZE];

    if (offset % BOARD_FLASH_SECTOR_SIZE != 0 || offset >= BOARD_FLASH_SIZE) {
        sim->illegal++;
        return STATUS_OUT_OF_RANGE;
    }
    for (uint32_t i = 0; i < BOARD_FLASH_SECTOR_SIZE; i++) {
        changing[i] = (uint8_t)((uint8_t)~sim->value[offset + i] | sim->unstable[offset + i]);
    }
    return operation_run(sim, offset, changing, BOARD_FLASH_SECTOR_SIZE, true);
}

void flash_sim_init(struct flash_sim *sim, uint64_t seed)
{
    memset(sim, 0, sizeof(*sim));
    memset(sim->value, 0xFF, sizeof(sim->value));
    sim->flash = (struct flash){
        .array = sim->value,
        .size = BOARD_FLASH_SIZE,
        .sector_size = BOARD_FLASH_SECTOR_SIZE,
        .write_unit = BOARD_FLASH_WRITE_UNIT,
        .program_buffer = BOARD_FLASH_PROGRAM_BUFFER,
        .context = sim,
        .program = sim_program,
        .erase_sector = sim_erase_sector,
    };
    sim->random = seed;
    sim->cut_operation = FLASH_SIM_NO_CUT;
    sim->fail_operation = FLASH_SIM_NO_CUT;
}

static void line_draw(struct flash_sim *sim, uint32_t line)
{
    uint32_t side = flash_sim_random(sim, 4);

    for (uint32_t i = line; i < line + LINE_SIZE; i++) {
        uint8_t drawn = side == 0 ? 0x00 : side == 1 ? 0xFF : random_byte(sim);

        sim->value[i] = (uint8_t)((sim->value[i] & (uint8_t)~sim->unstable[i]) | (drawn & sim->unstable[i]));
    }
}

void flash_sim_power_on(struct flash_sim *sim)
{
    static const uint8_t stable[LINE_SIZE];

    for (uint32_t line = 0; line < BOARD_FLASH_SIZE; line += LINE_SIZE) {
        if (memcmp(&sim->unstable[line], stable, LINE_SIZE) != 0) {
            line_draw(sim, line);
        }
    }
    sim->operations = 0;
    sim->cut_operation = FLASH_SIM_NO_CUT;
    sim->fail_operation = FLASH_SIM_NO_CUT;
    sim->cut_fired = false;
}

void flash_sim_arm(struct flash_sim *sim, uint32_t operation, enum cut_phase phase)
{
    sim->cut_operation = operation;
    sim->cut_phase = phase;
}

void flash_sim_seed(struct flash_sim *sim, uint64_t seed)
{
    sim->random = seed;
}
