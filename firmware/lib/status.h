#ifndef BROWNOUT_LIB_STATUS_H
#define BROWNOUT_LIB_STATUS_H

#include <stdint.h>

/* One error space for all images. Ids are stable: they appear on the console and in reports. */
#define STATUS_TABLE(X)                                                                                      \
    X(STATUS_OK, 0, "ok")                                                                                    \
    X(STATUS_INVALID_ARGUMENT, 1, "invalid argument")                                                        \
    X(STATUS_OUT_OF_RANGE, 2, "out of range")                                                                \
    X(STATUS_NO_SPACE, 3, "no space")                                                                        \
    X(STATUS_NOT_FOUND, 4, "not found")                                                                      \
    X(STATUS_FLASH, 5, "flash operation failed")                                                             \
    X(STATUS_MALFORMED, 6, "malformed")                                                                      \
    X(STATUS_BAD_SIGNATURE, 7, "bad signature")                                                              \
    X(STATUS_BAD_DIGEST, 8, "bad digest")                                                                    \
    X(STATUS_WRONG_BOARD, 9, "wrong board or region")                                                        \
    X(STATUS_ROLLBACK, 10, "security counter too low")                                                       \
    X(STATUS_DEPENDENCY, 11, "dependency not met")                                                           \
    X(STATUS_AUTHENTICATION, 12, "authentication failed")                                                    \
    X(STATUS_PROTOCOL, 13, "protocol error")                                                                 \
    X(STATUS_WRONG_STATE, 14, "wrong state")                                                                 \
    X(STATUS_WOULD_BLOCK, 15, "would block")                                                                 \
    X(STATUS_TIMEOUT, 16, "timeout")

#define STATUS_ENUM(name, id, text) name = (id),
typedef enum status { STATUS_TABLE(STATUS_ENUM) } status_t;
#undef STATUS_ENUM

#define MUST_USE __attribute__((warn_unused_result))

/* The text of a status, "?" for a value outside the table. */
const char *status_text(status_t status);

#define RETURN_IF_ERROR(expression)                                                                          \
    do {                                                                                                     \
        status_t status_ = (expression);                                                                     \
        if (status_ != STATUS_OK) {                                                                          \
            return status_;                                                                                  \
        }                                                                                                    \
    } while (0)

#endif
