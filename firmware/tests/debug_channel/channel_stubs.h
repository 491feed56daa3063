#ifndef BROWNOUT_TESTS_CHANNEL_STUBS_H
#define BROWNOUT_TESTS_CHANNEL_STUBS_H

#include <stdbool.h>
#include <stdint.h>

#include "debug_agent.h"

/* The two neighbours of the kernel's debug channel, scripted. What the channel asks of them shows in the
 * answer of the command under way: "tx BYTES", "credit LENGTH", "attach INDEX PERMISSIONS", "detach INDEX",
 * "request INDEX BYTES", "poll". */

struct link {
    uint32_t room; /* bytes that link_send() still takes */
    uint32_t time; /* the server's */
};

struct debug_agent {
    status_t attach_status;
    status_t request_status;
    uint32_t requests_until; /* so many requests are done before request_status is what they get */
    bool attached[DEBUG_SESSIONS];
    struct debug_session_callbacks callbacks[DEBUG_SESSIONS];
};

#endif
