#include "commands.h"

#include <stdbool.h>
#include <string.h>

void commands_put_text(const char *text)
{
    commands_put(text, strlen(text));
}

void commands_put_number(uint32_t value)
{
    char digits[11];
    size_t start = sizeof digits - 1u;
    digits[start] = ' ';
    do {
        digits[--start] = (char)('0' + value % 10u);
        value /= 10u;
    } while (value > 0);
    commands_put(digits + start, sizeof digits - start);
}

void commands_put_bytes(const uint8_t *bytes, size_t length)
{
    static const char hex[] = "0123456789abcdef";
    if (length == 0) {
        commands_put("-", 1);
    }
    for (size_t i = 0; i < length; i++) {
        char pair[2] = {hex[bytes[i] >> 4], hex[bytes[i] & 15u]};
        commands_put(pair, sizeof pair);
    }
    commands_put(" ", 1);
}

void commands_put_status(int status)
{
    commands_put("=", 1);
    commands_put_number((uint32_t)status);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The number is read first: decoding overwrites the text. */
static void parse(struct argument *argument, char *text)
{
    size_t length = strlen(text);
    argument->text = text;
    argument->bytes = (uint8_t *)text;
    argument->length = 0;
    argument->number = 0;
    bool decimal = true;
    for (size_t i = 0; i < length; i++) {
        decimal = decimal && text[i] >= '0' && text[i] <= '9';
        argument->number = argument->number * 10u + (uint32_t)(text[i] - '0');
    }
    argument->number = decimal ? argument->number : 0;
    if (strcmp(text, "-") == 0) {
        return;
    }
    for (size_t i = 0; i < length; i++) {
        if (length % 2u != 0 || hex_digit(text[i]) < 0) {
            argument->bytes = NULL;
            return;
        }
    }
    for (size_t i = 0; i < length / 2u; i++) {
        argument->bytes[i] = (uint8_t)(hex_digit(text[2u * i]) << 4 | hex_digit(text[2u * i + 1u]));
    }
    argument->length = length / 2u;
}

static const struct command *find(const char *name)
{
    for (const struct command *const *table = commands_tables; *table != NULL; table++) {
        for (const struct command *command = *table; command->name != NULL; command++) {
            if (strcmp(command->name, name) == 0) {
                return command;
            }
        }
    }
    return NULL;
}

static void stack_command(void)
{
    commands_put_number(commands_stack_used());
    commands_put_status(0);
}

void commands_execute(char *line)
{
    char *words[1u + COMMANDS_ARGUMENTS_MAX];
    unsigned count = 0;
    for (char *at = line; at != NULL && count < sizeof words / sizeof words[0];) {
        words[count++] = at;
        at = strchr(at, ' ');
        if (at != NULL) {
            *at++ = '\0';
        }
    }
    const struct command *command = find(words[0]);
    if (strcmp(words[0], "stack") == 0) {
        stack_command();
    } else if (command == NULL) {
        commands_put_text("?unknown command");
    } else if (command->arguments != count - 1u) {
        commands_put_text("?wrong number of arguments");
    } else {
        struct argument arguments[COMMANDS_ARGUMENTS_MAX];
        for (unsigned i = 1; i < count; i++) {
            parse(&arguments[i - 1u], words[i]);
        }
        command->run(arguments);
    }
    commands_put_text("\n");
}
