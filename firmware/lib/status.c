#include "status.h"

const char *status_text(status_t status)
{
    switch (status) {
#define STATUS_CASE(name, id, text)                                                                          \
    case name:                                                                                               \
        return text;
        STATUS_TABLE(STATUS_CASE)
#undef STATUS_CASE
    }
    return "?";
}
