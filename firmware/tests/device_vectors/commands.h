#ifndef BROWNOUT_TESTS_COMMANDS_H
#define BROWNOUT_TESTS_COMMANDS_H

#include <stddef.h>
#include <stdint.h>

/* A command line for the libraries under test, the same on the emulated device (UART) and on the host (stdin,
 * under the sanitizers). A line is a command and its arguments, separated by single blanks: bytes are hex,
 * "-" is no bytes, numbers are decimal. The answer is one line: results in the same notation, then
 * "=<status>", the status_t as a number, or "?<what is wrong>" for a line that is not a command. */

/* The line that main puts first. */
#define COMMANDS_READY "ready\n"

#define COMMANDS_LINE_MAX      8192u
#define COMMANDS_ARGUMENTS_MAX 8u

/* Provided by the host or device main: takes a piece of the answer. */
void commands_put(const char *text, size_t length);

/* Provided by main: bytes of stack used at most since the last call; 0 when not measured. */
uint32_t commands_stack_used(void);

/* Executes one line (without its newline; changed in place) and puts the answer and a newline. */
void commands_execute(char *line);

/* For the files that implement commands. Arguments are decoded in place: `bytes` points into the line. */
struct argument {
    const char *text;
    uint8_t *bytes; /* NULL when the text is neither hex nor "-" */
    size_t length;
    uint32_t number; /* 0 when the text is not decimal */
};

struct command {
    const char *name;
    unsigned arguments;
    void (*run)(struct argument *arguments);
};

void commands_put_text(const char *text);
void commands_put_number(uint32_t value);
void commands_put_bytes(const uint8_t *bytes, size_t length);
/* Ends the answer. */
void commands_put_status(int status);

extern const struct command crypto_commands[];
extern const struct command noise_commands[];
extern const struct command link_commands[];
extern const struct command e2e_commands[];

/* The tables of this program, NULL at the end. */
extern const struct command *const commands_tables[];

#endif
