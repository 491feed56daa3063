#include "channel_stubs.h"

#include "commands.h"
#include "link.h"
#include "log.h"

status_t link_send(struct link *link, enum link_channel channel, const uint8_t *payload, size_t length,
                   uint32_t now_ms)
{
    (void)now_ms;
    if (channel != LINK_DEBUG || length > LINK_PAYLOAD_MAX) {
        return STATUS_INVALID_ARGUMENT;
    }
    if (length > link->room) {
        return STATUS_WOULD_BLOCK;
    }
    link->room -= (uint32_t)length;
    commands_put_text("tx ");
    commands_put_bytes(payload, length);
    return STATUS_OK;
}

size_t link_send_room(const struct link *link, enum link_channel channel)
{
    (void)channel;
    return link->room < LINK_PAYLOAD_MAX ? link->room : LINK_PAYLOAD_MAX;
}

void link_consume(struct link *link, enum link_channel channel, size_t length)
{
    (void)link;
    commands_put_text(channel == LINK_DEBUG ? "credit " : "wrong-channel ");
    commands_put_number((uint32_t)length);
}

uint32_t link_server_time(const struct link *link)
{
    return link->time;
}

status_t debug_agent_attach(struct debug_agent *agent, uint32_t index, uint32_t permissions,
                            const struct debug_session_callbacks *callbacks)
{
    commands_put_text("attach ");
    commands_put_number(index);
    commands_put_number(permissions);
    if (agent->attach_status == STATUS_OK) {
        agent->attached[index] = true;
        agent->callbacks[index] = *callbacks;
    }
    return agent->attach_status;
}

void debug_agent_detach(struct debug_agent *agent, uint32_t index)
{
    commands_put_text(agent->attached[index] ? "detach " : "detach-of-nobody ");
    commands_put_number(index);
    agent->attached[index] = false;
}

status_t debug_agent_request(struct debug_agent *agent, uint32_t index, const uint8_t *message, size_t length)
{
    status_t status = agent->request_status;
    if (agent->requests_until > 0) {
        agent->requests_until--;
        status = STATUS_OK;
    }
    if (status != STATUS_WOULD_BLOCK) {
        commands_put_text(agent->attached[index] ? "request " : "request-of-nobody ");
        commands_put_number(index);
        commands_put_bytes(message, length);
    }
    return status;
}

void debug_agent_poll(struct debug_agent *agent)
{
    (void)agent;
    commands_put_text("poll ");
}

/* The console is not of interest here. */

void log_line(const char *line)
{
    (void)line;
}

void log_status(const char *line, status_t status)
{
    (void)line;
    (void)status;
}
