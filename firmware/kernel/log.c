#include "log.h"

#include "uart.h"

void log_bytes(const char *bytes, size_t length)
{
    uart_console_write(bytes, length);
}

void log_text(const struct text *text)
{
    log_bytes(text->buffer, text->length);
    log_bytes("\r\n", 2);
}

void log_line(const char *line)
{
    char buffer[LOG_LINE_MAX];
    struct text text;

    text_init(&text, buffer, sizeof(buffer));
    text_add(&text, line);
    log_text(&text);
}

void log_status(const char *line, status_t status)
{
    char buffer[LOG_LINE_MAX];
    struct text text;

    text_init(&text, buffer, sizeof(buffer));
    text_add(&text, line);
    text_add(&text, ": ");
    text_add(&text, status_text(status));
    log_text(&text);
}
