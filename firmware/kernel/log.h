#ifndef BROWNOUT_KERNEL_LOG_H
#define BROWNOUT_KERNEL_LOG_H

#include <stddef.h>

#include "status.h"
#include "text.h"

/* Lines on the console. Each ends with CR LF; the harness parses them. */

#define LOG_LINE_MAX 96u

void log_text(const struct text *text);
void log_line(const char *line);
/* "<line>: <status text>" */
void log_status(const char *line, status_t status);

/* Writes bytes as they are (the app's output). */
void log_bytes(const char *bytes, size_t length);

#endif
