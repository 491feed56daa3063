#ifndef BROWNOUT_LIB_TEXT_H
#define BROWNOUT_LIB_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Builds one short line in a caller's buffer; what does not fit is dropped. Always NUL terminated. */
struct text {
    char *buffer;
    size_t size; /* of buffer, at least 1 */
    size_t length;
};

void text_init(struct text *text, char *buffer, size_t size);
void text_add(struct text *text, const char *string);
void text_add_u32(struct text *text, uint32_t value);
void text_add_hex32(struct text *text, uint32_t value);
/* "major.minor.patch" of a packed version. */
void text_add_version(struct text *text, uint32_t version);

#endif
