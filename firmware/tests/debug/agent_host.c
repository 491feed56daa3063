/* The debug agent on the host with a machine made of variables: each line on stdin is a command, its answer
 * is a line of what happened, then "=" and the command's status. What an app would do between two commands is
 * the test's to say. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "debug_agent_state.h"

#define CODE_BASE  0x20020000u
#define DATA_BASE  0x20030000u
#define SIZE       0x10000u
#define STACK_SIZE 0x2000u
#define AREAS      5u
#define LINE_MAX   8192u

static uint8_t code[SIZE];
static uint8_t data[SIZE];
static uint8_t image[SIZE]; /* what a restart loads as code */
static uint32_t registers[DEBUG_REGISTER_COUNT];
static uint32_t start_registers[DEBUG_REGISTER_COUNT];
static bool held;
static struct {
    uint32_t base, size;
    bool is_armed, no_access;
} areas[AREAS];
static uint32_t room[DEBUG_SESSIONS];
static struct debug_agent agent;

static uint8_t *memory_at(uint32_t address, uint32_t length)
{
    if (address >= CODE_BASE && address - CODE_BASE <= SIZE && length <= SIZE - (address - CODE_BASE)) {
        return &code[address - CODE_BASE];
    }
    if (address >= DATA_BASE && address - DATA_BASE <= SIZE && length <= SIZE - (address - DATA_BASE)) {
        return &data[address - DATA_BASE];
    }
    return NULL;
}

static void hex_print(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        printf("%02x", bytes[i]);
    }
    printf(" ");
}

static status_t memory_read(void *context, uint32_t address, uint8_t *out, uint32_t length)
{
    const uint8_t *bytes = memory_at(address, length);

    (void)context;
    if (bytes == NULL) {
        return STATUS_OUT_OF_RANGE;
    }
    memcpy(out, bytes, length);
    return STATUS_OK;
}

static status_t memory_write(void *context, uint32_t address, const uint8_t *bytes, uint32_t length)
{
    uint8_t *to = memory_at(address, length);

    (void)context;
    if (to == NULL) {
        return STATUS_OUT_OF_RANGE;
    }
    memcpy(to, bytes, length);
    if (length > 0) {
        printf("wrote %" PRIx32 " ", address);
        hex_print(bytes, length);
    }
    return STATUS_OK;
}

static void registers_get(void *context, uint32_t out[DEBUG_REGISTER_COUNT])
{
    (void)context;
    memcpy(out, registers, sizeof(registers));
}

static status_t registers_set(void *context, const uint32_t in[DEBUG_REGISTER_COUNT])
{
    (void)context;
    if (memory_at(in[DEBUG_SP] - 32u, 32) == NULL) {
        return STATUS_OUT_OF_RANGE;
    }
    memcpy(registers, in, sizeof(registers));
    return STATUS_OK;
}

static void app_hold(void *context)
{
    (void)context;
    held = true;
}

static void app_release(void *context)
{
    (void)context;
    held = false;
}

static status_t watch_set(void *context, uint32_t index, uint32_t base, uint32_t size, bool no_access)
{
    (void)context;
    if (index >= AREAS || size < 32u || (size & (size - 1u)) != 0 || (base & (size - 1u)) != 0) {
        abort(); /* hardware would not take it */
    }
    areas[index].base = base;
    areas[index].size = size;
    areas[index].no_access = no_access;
    areas[index].is_armed = true;
    return STATUS_OK;
}

static void watch_clear(void *context, uint32_t index)
{
    (void)context;
    if (index >= AREAS) {
        abort();
    }
    areas[index].is_armed = false;
}

static void reset(void *context, bool device)
{
    (void)context;
    printf("reset %s ", device ? "device" : "app");
    if (!device) {
        memcpy(code, image, sizeof(code));
        memcpy(registers, start_registers, sizeof(registers));
        debug_agent_app_reloaded(&agent);
    }
}

static bool message_send(void *context, const uint8_t *message, size_t length)
{
    uint32_t index = (uint32_t)(uintptr_t)context;

    if (room[index] == 0) {
        return false;
    }
    room[index]--;
    printf("sent %" PRIu32 " ", index);
    hex_print(message, length);
    return true;
}

static const struct debug_target target = {
    .read = memory_read,
    .write = memory_write,
    .registers_get = registers_get,
    .registers_set = registers_set,
    .app_hold = app_hold,
    .app_release = app_release,
    .watch_areas = AREAS,
    .watch_set = watch_set,
    .watch_clear = watch_clear,
    .code_base = CODE_BASE,
    .code_size = SIZE,
    .data_base = DATA_BASE,
    .data_size = SIZE,
    .stack_base = DATA_BASE,
    .stack_size = STACK_SIZE,
    .reset = reset,
};

/* ---- commands: words of a line, numbers are hexadecimal */

static uint32_t number(void)
{
    const char *word = strtok(NULL, " \n");

    return word == NULL ? 0 : (uint32_t)strtoul(word, NULL, 16);
}

/* The message in hexadecimal digits, in memory of exactly its size, so that the sanitizer sees every byte too
 * much. */
static uint8_t *bytes(size_t *length)
{
    const char *word = strtok(NULL, " \n");
    uint8_t *out;

    *length = word == NULL ? 0 : strlen(word) / 2u;
    out = malloc(*length > 0 ? *length : 1);
    for (size_t i = 0; i < *length; i++) {
        char digits[3] = {word[2 * i], word[2 * i + 1], '\0'};

        out[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return out;
}

static void registers_take(uint32_t out[DEBUG_REGISTER_COUNT])
{
    for (uint32_t i = 0; i < DEBUG_REGISTER_COUNT; i++) {
        out[i] = number();
    }
}

/* Where the instruction at pc goes on, and what it accesses. */
static status_t decode(void)
{
    struct debug_memory memory = {.read = memory_read};
    struct debug_instruction instruction;
    struct debug_access access;
    uint32_t next = 0;
    status_t status;

    RETURN_IF_ERROR(debug_instruction_fetch(&memory, registers, &instruction));
    status = debug_instruction_next(&instruction, &memory, registers, &next);
    printf("%" PRIx32 " ", next);
    if (debug_instruction_access(&instruction, registers, &access)) {
        printf("%" PRIx32 " %" PRIx32 " %c ", access.address, access.length, access.is_write ? 'w' : 'r');
    }
    return status;
}

static void state_print(void)
{
    printf("%s ", held ? "held" : "running");
    for (uint32_t i = 0; i < DEBUG_REGISTER_COUNT; i++) {
        printf("%" PRIx32 " ", registers[i]);
    }
    for (uint32_t i = 0; i < AREAS; i++) {
        if (areas[i].is_armed) {
            printf("area %" PRIx32 " %" PRIx32 " %d ", areas[i].base, areas[i].size,
                   areas[i].no_access ? 1 : 0);
        }
    }
}

static status_t memory_command(bool is_write)
{
    uint32_t address = number();
    size_t length = 0;
    uint8_t *in = is_write ? bytes(&length) : NULL;
    uint32_t count = is_write ? (uint32_t)length : number();
    uint8_t *at = memory_at(address, count);

    if (at != NULL && is_write) {
        memcpy(at, in, length);
    }
    if (at != NULL && !is_write) {
        hex_print(at, count);
    }
    free(in);
    return at != NULL ? STATUS_OK : STATUS_OUT_OF_RANGE;
}

static status_t session_command(const char *name)
{
    uint32_t index = number();
    size_t length = 0;
    uint8_t *message;
    status_t status;

    if (strcmp(name, "attach") == 0) {
        const struct debug_session_callbacks callbacks = {.context = (void *)(uintptr_t)index,
                                                          .send = message_send};

        return debug_agent_attach(&agent, index, number(), &callbacks);
    }
    if (strcmp(name, "detach") == 0) {
        debug_agent_detach(&agent, index);
        return STATUS_OK;
    }
    if (strcmp(name, "room") == 0) {
        room[index] = number();
        return STATUS_OK;
    }
    message = bytes(&length);
    status = debug_agent_request(&agent, index, message, length);
    free(message);
    return status;
}

static status_t agent_command(const char *name)
{
    if (strcmp(name, "trap") == 0) {
        enum debug_stop_reason reason = (enum debug_stop_reason)number();

        return debug_agent_app_trapped(&agent, reason, number()) ? STATUS_OK : STATUS_NOT_FOUND;
    }
    if (strcmp(name, "output") == 0) {
        size_t length = 0;
        uint8_t *text = bytes(&length);

        debug_agent_output(&agent, text, length);
        free(text);
        return STATUS_OK;
    }
    if (strcmp(name, "notice") == 0) {
        debug_agent_notice_upgrade(&agent);
        return STATUS_OK;
    }
    if (strcmp(name, "controlling") == 0) {
        return debug_agent_is_controlling(&agent) ? STATUS_OK : STATUS_NOT_FOUND;
    }
    debug_agent_poll(&agent);
    return STATUS_OK;
}

static status_t command(const char *name)
{
    if (strcmp(name, "init") == 0) {
        memset(code, 0, sizeof(code));
        memset(data, 0, sizeof(data));
        memset(areas, 0, sizeof(areas));
        memset(room, 0xFF, sizeof(room));
        held = false;
        debug_agent_init(&agent, &target);
    } else if (strcmp(name, "decode") == 0) {
        return decode();
    } else if (strcmp(name, "registers") == 0) {
        registers_take(registers);
    } else if (strcmp(name, "image") == 0) { /* the code and registers of now are what a restart gives */
        memcpy(image, code, sizeof(image));
        memcpy(start_registers, registers, sizeof(start_registers));
    } else if (strcmp(name, "state") == 0) {
        state_print();
    } else if (strcmp(name, "peek") == 0 || strcmp(name, "poke") == 0) {
        return memory_command(name[1] == 'o');
    } else if (strcmp(name, "attach") == 0 || strcmp(name, "detach") == 0 || strcmp(name, "room") == 0 ||
               strcmp(name, "request") == 0) {
        return session_command(name);
    } else {
        return agent_command(name);
    }
    return STATUS_OK;
}

int main(void)
{
    static char line[LINE_MAX];

    while (fgets(line, sizeof(line), stdin) != NULL) {
        const char *name = strtok(line, " \n");

        if (name != NULL) {
            status_t status = command(name);

            printf("=%d\n", (int)status);
            fflush(stdout);
        }
    }
    return 0;
}
