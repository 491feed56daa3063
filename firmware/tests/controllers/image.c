#include "image.h"

extern uint32_t image_stack_top;

_Noreturn void image_reset(void);
void image_any_exception(void);

__attribute__((section(".vectors"), used)) static void *const vectors[16 + 48] = {
    &image_stack_top,
    (void *)image_reset,
    [2 ... 16 + 47] = (void *)image_any_exception,
};

void image_print(const char *text)
{
    while (*text != '\0') {
        image_console_put(*text++);
    }
}

void image_print_number(const char *text, uint32_t number)
{
    uint32_t shift = 28;

    image_print(text);
    image_console_put('=');
    while (shift > 0 && (number >> shift) == 0) {
        shift -= 4;
    }
    for (;; shift -= 4) {
        image_console_put("0123456789abcdef"[(number >> shift) & 15u]);
        if (shift == 0) {
            break;
        }
    }
    image_console_put(' ');
}

_Noreturn void image_end(void)
{
    for (;;) {
    }
}

void image_any_exception(void)
{
    uint32_t number;

    __asm volatile("mrs %0, ipsr" : "=r"(number));
    image_exception(number);
}

_Noreturn void image_reset(void)
{
    image_console_open();
    image_run();
    image_end();
}
