#include <string.h>

#include "commands.h"
#include "link.h"
#include "link_state.h"

/* One link, driven by commands; what it does shows in the answer as it happens: "tx BYTES", "rx CHANNEL
 * BYTES", "up", "down". */

/* What the receiver of messages does with each, set by linkmode. */
enum mode {
    MODE_KEEP = 0,    /* nothing: credit stays spent */
    MODE_CONSUME = 1, /* link_consume() at once */
    MODE_ECHO = 2,    /* consume, and send it back from inside the callback */
    MODE_FAIL = 3,    /* link_fail() from inside the callback */
};

static struct link the_link;
static struct random the_random;
static struct link_keys the_keys;
static uint8_t local_private[32];
static uint8_t remote_public[32];
static uint8_t device_id[16];
static uint32_t mode;
static bool blocked;

static bool transmit(void *context, const uint8_t *bytes, size_t length)
{
    (void)context;
    if (blocked) {
        return false;
    }
    commands_put_text("tx ");
    commands_put_bytes(bytes, length);
    return true;
}

static void receive(void *context, enum link_channel channel, const uint8_t *payload, size_t length)
{
    struct link *link = context;
    commands_put_text("rx ");
    commands_put_number((uint32_t)channel);
    commands_put_bytes(payload, length);
    if (mode == MODE_CONSUME || mode == MODE_ECHO) {
        link_consume(link, channel, length);
    }
    if (mode == MODE_ECHO && link_send(link, channel, payload, length, link->now_ms) != STATUS_OK) {
        commands_put_text("dropped ");
    }
    if (mode == MODE_FAIL) {
        link_fail(link, link->now_ms);
    }
}

static void session(void *context, bool up)
{
    (void)context;
    commands_put_text(up ? "up " : "down ");
}

/* linkinit PRIVATE SERVER_PUBLIC DEVICE_ID(16) SEED NOW */
static void init(struct argument *arguments)
{
    const struct link_callbacks callbacks = {
        .context = &the_link, .transmit = transmit, .receive = receive, .session = session};
    memcpy(local_private, arguments[0].bytes, sizeof local_private);
    memcpy(remote_public, arguments[1].bytes, sizeof remote_public);
    memcpy(device_id, arguments[2].bytes, sizeof device_id);
    the_keys = (struct link_keys){
        .local_private = local_private, .remote_public = remote_public, .device_id = device_id};
    random_seed(&the_random, arguments[3].bytes);
    mode = MODE_KEEP;
    blocked = false;
    link_init(&the_link, &callbacks, &the_keys, &the_random, arguments[4].number);
    commands_put_status(STATUS_OK);
}

/* linkinput NOW BYTES */
static void input(struct argument *arguments)
{
    link_input(&the_link, arguments[1].bytes, arguments[1].length, arguments[0].number);
    commands_put_status(STATUS_OK);
}

/* linkpoll NOW */
static void poll(struct argument *arguments)
{
    link_poll(&the_link, arguments[0].number);
    commands_put_status(STATUS_OK);
}

/* linksend NOW CHANNEL PAYLOAD */
static void send(struct argument *arguments)
{
    commands_put_status(link_send(&the_link, (enum link_channel)arguments[1].number, arguments[2].bytes,
                                  arguments[2].length, arguments[0].number));
}

/* linkconsume CHANNEL LENGTH */
static void consume(struct argument *arguments)
{
    link_consume(&the_link, (enum link_channel)arguments[0].number, arguments[1].number);
    commands_put_status(STATUS_OK);
}

/* linkfail NOW */
static void fail(struct argument *arguments)
{
    link_fail(&the_link, arguments[0].number);
    commands_put_status(STATUS_OK);
}

/* linkstate: up (0 or 1), the deadline in ms, the room of channels 0..3, and whether anything waits (0 or 1)
 */
static void state(struct argument *arguments)
{
    (void)arguments;
    commands_put_number(link_is_up(&the_link));
    commands_put_number(link_deadline_ms(&the_link));
    for (unsigned channel = 0; channel < LINK_CHANNELS; channel++) {
        commands_put_number((uint32_t)link_send_room(&the_link, (enum link_channel)channel));
    }
    commands_put_number(link_has_output(&the_link));
    commands_put_status(STATUS_OK);
}

/* linkmode MODE BLOCKED */
static void set_mode(struct argument *arguments)
{
    mode = arguments[0].number;
    blocked = arguments[1].number != 0;
    commands_put_status(STATUS_OK);
}

/* linktime: what the server has told, Unix seconds */
static void server_time(struct argument *arguments)
{
    (void)arguments;
    commands_put_number(link_server_time(&the_link));
    commands_put_status(STATUS_OK);
}

/* linksize: bytes of struct link */
static void size(struct argument *arguments)
{
    (void)arguments;
    commands_put_number((uint32_t)sizeof(struct link));
    commands_put_status(STATUS_OK);
}

const struct command link_commands[] = {
    {"linkinit", 5, init},
    {"linkinput", 2, input},
    {"linkpoll", 1, poll},
    {"linksend", 3, send},
    {"linkconsume", 2, consume},
    {"linkfail", 1, fail},
    {"linkstate", 0, state},
    {"linkmode", 2, set_mode},
    {"linksize", 0, size},
    {"linktime", 0, server_time},
    {NULL, 0, NULL},
};
