#ifndef BROWNOUT_DEBUG_DEBUG_AGENT_STATE_H
#define BROWNOUT_DEBUG_DEBUG_AGENT_STATE_H

#include "debug_agent.h"
#include "debug_run.h"

/* What debug_agent.c keeps; nobody else looks inside. */

#define DEBUG_REPLY_MAX 900u

enum debug_notice_state {
    DEBUG_NOTICE_NONE = 0,
    DEBUG_NOTICE_DUE,
    DEBUG_NOTICE_SENT,
};

struct debug_session {
    bool is_open;
    bool stop_is_due; /* follows `message` */
    enum debug_notice_state notice;
    uint32_t permissions;
    struct debug_session_callbacks callbacks;
    uint8_t message[DEBUG_MESSAGE_MAX]; /* encoded, not sent yet */
    size_t message_length;
};

struct debug_agent {
    struct debug_run run;
    struct debug_session sessions[DEBUG_SESSIONS];
    uint8_t scratch[DEBUG_REPLY_MAX];
    uint32_t output_dropped; /* bytes */
};

#endif
