/* The immutable first stage: runs the policy, tells the console what it does, and starts the kernel. */

#include <stdbool.h>
#include <stdint.h>

#include "board.h"
#include "flash_controller.h"
#include "identity.h"
#include "layout.h"
#include "policy.h"
#include "status.h"
#include "system.h"
#include "text.h"
#include "uart.h"
#include "upgrade_flag.h"
#include "version.h"

#define LINE_SIZE 80u

/* Called by the reset handler. */
int main(void);

static void line_print(struct text *line)
{
    uart_console_print(line->buffer);
    uart_console_print("\r\n");
}

static void line_words(const char *first, const char *second)
{
    char buffer[LINE_SIZE];
    struct text line;

    text_init(&line, buffer, sizeof(buffer));
    text_add(&line, first);
    text_add(&line, second);
    line_print(&line);
}

static void line_sequence(const char *before, uint32_t sequence, const char *after)
{
    char buffer[LINE_SIZE];
    struct text line;

    text_init(&line, buffer, sizeof(buffer));
    text_add(&line, before);
    text_add_u32(&line, sequence);
    text_add(&line, after);
    line_print(&line);
}

static const char *state_name(uint32_t state)
{
    switch (state) {
    case UPGRADE_REQUESTED:
        return "requested";
    case UPGRADE_COPYING:
        return "copying";
    default:
        return "clear";
    }
}

static const char *module_name(uint32_t module_id)
{
    static const char *const names[MODULE_COUNT] = {"boot", "kernel", "app", "assets"};

    return module_id < MODULE_COUNT ? names[module_id] : "?";
}

static void event_print(void *context, enum policy_event event, uint32_t value)
{
    (void)context;
    switch (event) {
    case POLICY_FLAG_READ:
        line_words("boot: flag ", state_name(value));
        break;
    case POLICY_STAGED_ACCEPTED:
        line_sequence("boot: staged set seq=", value, " accepted");
        break;
    case POLICY_STAGED_DROPPED:
        line_words("boot: staged set dropped: ", status_text((status_t)value));
        break;
    case POLICY_ALREADY_INSTALLED:
        line_sequence("boot: set seq=", value, " already installed");
        break;
    case POLICY_COPYING_MODULE:
        line_words("boot: copying ", module_name(value));
        break;
    case POLICY_MANIFEST_REPLACED:
        line_words("boot: manifest replaced", "");
        break;
    case POLICY_COPY_FAILED:
        line_words("boot: copy failed: ", status_text((status_t)value));
        break;
    case POLICY_FLAG_CLEARED:
        line_words("boot: flag cleared", "");
        break;
    case POLICY_FLAG_FAILED:
        line_words("boot: flag not written: ", status_text((status_t)value));
        break;
    case POLICY_SET_VERIFIED:
        line_sequence("boot: set seq=", value, " verified");
        break;
    }
}

/* The kernel's vector table is believable: a stack in kernel RAM, a Thumb entry inside the image. */
static status_t vectors_check(const uint32_t *vectors, uint32_t image_size)
{
    uint32_t stack_end = vectors[0];
    uint32_t entry = vectors[1];
    uint32_t first = (uint32_t)vectors;

    if (stack_end % 8u != 0 || stack_end <= BOARD_MEMORY_KERNEL_RAM_BASE ||
        stack_end > BOARD_MEMORY_KERNEL_RAM_BASE + BOARD_MEMORY_KERNEL_RAM_SIZE) {
        return STATUS_OUT_OF_RANGE;
    }
    if ((entry & 1u) == 0 || entry < first || entry >= first + image_size) {
        return STATUS_OUT_OF_RANGE;
    }
    return STATUS_OK;
}

/* Returns only when there is nothing to start. */
static status_t kernel_start(void)
{
    const struct flash *flash = &flash_controller;
    const struct identity *identity;
    const struct manifest_module *kernel;
    struct manifest installed;
    struct policy policy = {.flash = flash, .context = NULL, .report = event_print};
    const uint32_t *vectors;

    RETURN_IF_ERROR(identity_open(&flash->array[layout_identity.offset], &identity));
    policy.release_public_key = identity->release_public_key;
    RETURN_IF_ERROR(policy_run(&policy, &installed));
    kernel = manifest_module_find(&installed, MODULE_KERNEL);
    if (kernel == NULL) {
        return STATUS_NOT_FOUND;
    }
    vectors = (const uint32_t *)(BOARD_FLASH_BASE + layout_module_installed(MODULE_KERNEL).offset);
    RETURN_IF_ERROR(vectors_check(vectors, kernel->size));
    uart_console_print("boot: starting kernel\r\n");
    system_start_image(vectors);
}

int main(void)
{
    uart_console_init();
    uart_console_print("boot " VERSION_STRING "\r\n");
    line_words("boot: halted: ", status_text(kernel_start()));
    system_halt();
}
