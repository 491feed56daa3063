#include "commands.h"

/* What the vector image and its host twin can do. */
const struct command *const commands_tables[] = {crypto_commands, noise_commands, link_commands, e2e_commands,
                                                 NULL};
