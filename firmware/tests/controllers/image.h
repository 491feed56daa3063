/* What the images that try out flash controllers have in common: registers, output, an end. */
#ifndef IMAGE_H
#define IMAGE_H

#include <stdint.h>

/* Register at an absolute address. */
#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

/* Sets up the board's console. Implemented by each image. */
void image_console_open(void);

/* Sends one character on the board's console. Implemented by each image. */
void image_console_put(char character);

/* What the image does after each reset. Implemented by each image. */
void image_run(void);

/* An exception other than reset. Implemented by each image; `number` is the exception's. */
void image_exception(uint32_t number);

/* Sends a text. */
void image_print(const char *text);

/* Sends a text, "=", a number in hex without leading zeros, and a space. */
void image_print_number(const char *text, uint32_t number);

/* Stops here for ever. */
_Noreturn void image_end(void);

#endif
