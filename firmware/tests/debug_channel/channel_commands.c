#include <string.h>

#include "channel_stubs.h"
#include "commands.h"
#include "debug_channel.h"

/* The kernel's debug channel, driven by commands; answers also hold what channel_stubs.h says. */

static struct debug_channel channel;
static struct link link_stub;
static struct debug_agent agent;
static struct random generator;
static struct identity identity;
static uint8_t manifest_digest[32];

/* init DEVICE_ID(16) PRIVATE FLEET_PUBLIC MANIFEST_DIGEST SEED TIME */
static void init(struct argument *arguments)
{
    memcpy(identity.device_id, arguments[0].bytes, sizeof(identity.device_id));
    memcpy(identity.debug_private_key, arguments[1].bytes, sizeof(identity.debug_private_key));
    memcpy(identity.fleet_public_key, arguments[2].bytes, sizeof(identity.fleet_public_key));
    memcpy(manifest_digest, arguments[3].bytes, sizeof(manifest_digest));
    random_seed(&generator, arguments[4].bytes);
    link_stub = (struct link){.room = 1u << 30, .time = arguments[5].number};
    memset(&agent, 0, sizeof(agent));
    debug_channel_init(&channel, &link_stub, &generator, &agent, &identity, manifest_digest);
    commands_put_status(STATUS_OK);
}

/* room BYTES: what the link takes from now on */
static void room(struct argument *arguments)
{
    link_stub.room = arguments[0].number;
    commands_put_status(STATUS_OK);
}

/* agent ATTACH_STATUS REQUEST_STATUS REQUESTS_UNTIL: what the agent answers from now on */
static void set_agent(struct argument *arguments)
{
    agent.attach_status = (status_t)arguments[0].number;
    agent.request_status = (status_t)arguments[1].number;
    agent.requests_until = arguments[2].number;
    commands_put_status(STATUS_OK);
}

/* receive NOW MESSAGE */
static void receive(struct argument *arguments)
{
    commands_put_status(
        debug_channel_receive(&channel, arguments[1].bytes, arguments[1].length, arguments[0].number));
}

/* channelpoll NOW */
static void poll(struct argument *arguments)
{
    commands_put_status(debug_channel_poll(&channel, arguments[0].number));
}

/* down: the link's session ended */
static void down(struct argument *arguments)
{
    (void)arguments;
    debug_channel_link_down(&channel);
    commands_put_status(STATUS_OK);
}

/* respond INDEX RESPONSE: the agent sends; 1 when the channel took it */
static void respond(struct argument *arguments)
{
    const struct debug_session_callbacks *callbacks = &agent.callbacks[arguments[0].number % DEBUG_SESSIONS];
    bool taken = callbacks->send(callbacks->context, arguments[1].bytes, arguments[1].length);
    commands_put_text("taken ");
    commands_put_number(taken);
    commands_put_status(STATUS_OK);
}

static const struct command channel_commands[] = {
    {"init", 6, init},        {"room", 1, room}, {"agent", 3, set_agent}, {"receive", 2, receive},
    {"channelpoll", 1, poll}, {"down", 0, down}, {"respond", 2, respond}, {NULL, 0, NULL},
};

const struct command *const commands_tables[] = {channel_commands, NULL};
