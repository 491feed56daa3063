#include "text.h"

void text_init(struct text *text, char *buffer, size_t size)
{
    text->buffer = buffer;
    text->size = size;
    text->length = 0;
    buffer[0] = '\0';
}

static void text_add_char(struct text *text, char c)
{
    if (text->length + 1 < text->size) {
        text->buffer[text->length++] = c;
        text->buffer[text->length] = '\0';
    }
}

void text_add(struct text *text, const char *string)
{
    while (*string != '\0') {
        text_add_char(text, *string++);
    }
}

void text_add_u32(struct text *text, uint32_t value)
{
    char digits[10];
    size_t count = 0;

    do {
        digits[count++] = (char)('0' + value % 10u);
        value /= 10u;
    } while (value != 0);
    while (count > 0) {
        text_add_char(text, digits[--count]);
    }
}

void text_add_hex32(struct text *text, uint32_t value)
{
    text_add(text, "0x");
    for (int shift = 28; shift >= 0; shift -= 4) {
        text_add_char(text, "0123456789abcdef"[(value >> shift) & 0xFu]);
    }
}

void text_add_version(struct text *text, uint32_t version)
{
    text_add_u32(text, version >> 24);
    text_add_char(text, '.');
    text_add_u32(text, (version >> 16) & 0xFFu);
    text_add_char(text, '.');
    text_add_u32(text, version & 0xFFFFu);
}
