#include "commands.h"

#include <stdio.h>
#include <string.h>

/* The command line on stdin and stdout, for a host build under the sanitizers. */

void commands_put(const char *text, size_t length)
{
    fwrite(text, 1, length, stdout);
}

uint32_t commands_stack_used(void)
{
    return 0;
}

int main(void)
{
    static char line[COMMANDS_LINE_MAX];
    commands_put(COMMANDS_READY, sizeof COMMANDS_READY - 1u);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        commands_execute(line);
        fflush(stdout);
    }
    return 0;
}
