#include "debug_agent.h"

#include <string.h>

#include "bytes.h"
#include "debug_agent_state.h"
#include "debug_decode.h"
#include "debug_encode.h"

#define AGENT_VERSION  1u
#define REGISTERS_SIZE (4u * DEBUG_REGISTER_COUNT)
#define STACK_WINDOW   128u
#define STACK_LINE     64u /* GDB reads the stack in lines of this size, from below sp on */
#define CODE_WINDOW    32u
#define CODE_BEFORE    8u
#define OUTPUT_MAX     512u
#define REQUEST_LAST   12u /* number of `detach` */
#define NOTICE_UPGRADE 1u
#define BREAK_SIZE_MAX 4u

/* Status of a reply, server/PROTOCOL.md section 8. */
enum reply_status {
    REPLY_DONE = 0,
    REPLY_NOT_PERMITTED = 1,
    REPLY_BAD_ADDRESS = 2,
    REPLY_NO_RESOURCES = 3,
    REPLY_WRONG_STATE = 4,
    REPLY_UNKNOWN = 5,
};

void debug_agent_init(struct debug_agent *agent, const struct debug_target *target)
{
    memset(agent, 0, sizeof(*agent));
    debug_run_init(&agent->run, target);
}

static enum reply_status reply_status_of(status_t status)
{
    switch (status) {
    case STATUS_OK:
        return REPLY_DONE;
    case STATUS_NO_SPACE:
        return REPLY_NO_RESOURCES;
    default:
        return REPLY_BAD_ADDRESS;
    }
}

static bool session_may(const struct debug_session *session, uint32_t permissions)
{
    return session->is_open && (session->permissions & permissions) == permissions;
}

static const struct debug_session *controller_find(const struct debug_agent *agent)
{
    for (uint32_t i = 0; i < DEBUG_SESSIONS; i++) {
        if (session_may(&agent->sessions[i], DEBUG_PERMISSION_CONTROL)) {
            return &agent->sessions[i];
        }
    }
    return NULL;
}

bool debug_agent_is_controlling(const struct debug_agent *agent)
{
    return controller_find(agent) != NULL;
}

/* ---- responses */

static void response_encode(struct debug_session *session, const struct debug_response_r *response)
{
    size_t length = 0;

    /* The buffer takes the largest response: bounds of the parts are in the CDDL. */
    if (cbor_encode_debug_response(session->message, sizeof(session->message), response, &length) == 0) {
        session->message_length = length;
    }
}

static struct zcbor_string string_of(const uint8_t *bytes, size_t length)
{
    return (struct zcbor_string){.value = bytes, .len = length};
}

static void registers_store(uint8_t out[REGISTERS_SIZE], const uint32_t registers[DEBUG_REGISTER_COUNT])
{
    for (uint32_t i = 0; i < DEBUG_REGISTER_COUNT; i++) {
        bytes_store_le32(&out[4u * i], registers[i]);
    }
}

static void registers_read(struct debug_agent *agent, uint32_t registers[DEBUG_REGISTER_COUNT])
{
    agent->run.target->registers_get(agent->run.target->context, registers);
}

/* Reads up to `length` bytes, fewer where the app's code or data ends, none outside of them. */
static uint32_t window_read(struct debug_agent *agent, uint32_t address, uint32_t length, uint8_t *out)
{
    const struct debug_target *target = agent->run.target;
    uint32_t left = 0;

    if (address - target->data_base < target->data_size) {
        left = target->data_size - (address - target->data_base);
    } else if (address - target->code_base < target->code_size) {
        left = target->code_size - (address - target->code_base);
    }
    length = length < left ? length : left;
    return length > 0 && debug_points_read(&agent->run.points, address, out, length) == STATUS_OK ? length
                                                                                                  : 0;
}

static void stop_encode(struct debug_agent *agent, struct debug_session *session)
{
    struct debug_response_r response = {.debug_response_choice = debug_response_stop_m_c};
    struct stop *stop = &response.debug_response_stop_m;
    uint32_t registers[DEBUG_REGISTER_COUNT] = {0};
    uint8_t *stack = &agent->scratch[REGISTERS_SIZE];
    uint8_t *code = stack + STACK_WINDOW;
    uint32_t stack_length = 0;
    uint32_t code_length = 0;
    uint32_t code_address = 0;
    uint32_t stack_address = 0;

    if (session_may(session, DEBUG_PERMISSION_READ)) {
        registers_read(agent, registers);
        code_address = (registers[DEBUG_PC] & ~3u) - CODE_BEFORE;
        if (code_address - agent->run.target->code_base >= agent->run.target->code_size) {
            code_address = registers[DEBUG_PC];
        }
        stack_address = registers[DEBUG_SP] & ~(STACK_LINE - 1u);
        if (stack_address - agent->run.target->data_base >= agent->run.target->data_size) {
            stack_address = registers[DEBUG_SP];
        }
        stack_length = window_read(agent, stack_address, STACK_WINDOW, stack);
        code_length = window_read(agent, code_address, CODE_WINDOW, code);
    }
    registers_store(agent->scratch, registers);
    *stop = (struct stop){
        .stop_reason = (uint32_t)agent->run.reason,
        .stop_address = agent->run.address,
        .stop_registers = string_of(agent->scratch, REGISTERS_SIZE),
        .stop_stack_address = stack_address,
        .stop_stack_bytes = string_of(stack, stack_length),
        .stop_code_address = code_address,
        .stop_code_bytes = string_of(code, code_length),
    };
    response_encode(session, &response);
}

static void notice_encode(struct debug_session *session)
{
    struct debug_response_r response = {.debug_response_choice = debug_response_notice_m_c};

    response.debug_response_notice_m.notice_code = NOTICE_UPGRADE;
    response_encode(session, &response);
}

/* Sends what waits, in its order; false when something still waits. */
static bool session_flush(struct debug_agent *agent, struct debug_session *session)
{
    for (;;) {
        if (session->message_length > 0) {
            if (!session->callbacks.send(session->callbacks.context, session->message,
                                         session->message_length)) {
                return false;
            }
            session->message_length = 0;
        } else if (session->stop_is_due) {
            session->stop_is_due = false;
            stop_encode(agent, session);
        } else if (session->notice == DEBUG_NOTICE_DUE) {
            session->notice = DEBUG_NOTICE_SENT;
            notice_encode(session);
        } else {
            return true;
        }
    }
}

void debug_agent_poll(struct debug_agent *agent)
{
    for (uint32_t i = 0; i < DEBUG_SESSIONS; i++) {
        if (agent->sessions[i].is_open) {
            (void)session_flush(agent, &agent->sessions[i]);
        }
    }
}

/* Tells every session that may see or control the app. */
static void stop_announce(struct debug_agent *agent)
{
    for (uint32_t i = 0; i < DEBUG_SESSIONS; i++) {
        struct debug_session *session = &agent->sessions[i];

        session->stop_is_due =
            session_may(session, DEBUG_PERMISSION_READ) || session_may(session, DEBUG_PERMISSION_CONTROL);
    }
    debug_agent_poll(agent);
}

/* The app runs: who has not been told of the stop before need not be told any more. */
static void stop_forget(struct debug_agent *agent)
{
    for (uint32_t i = 0; i < DEBUG_SESSIONS; i++) {
        agent->sessions[i].stop_is_due = false;
    }
}

static void reply_encode(struct debug_session *session, enum reply_status status, const uint8_t *bytes,
                         size_t length)
{
    struct debug_response_r response = {.debug_response_choice = debug_response_reply_m_c};

    response.debug_response_reply_m.reply_status = (uint32_t)status;
    response.debug_response_reply_m.reply_bytes = string_of(bytes, status == REPLY_DONE ? length : 0);
    response_encode(session, &response);
}

/* ---- requests. Each gives the status of its reply; `length` is that of the reply's bytes in `scratch`. */

static bool app_is_stopped(const struct debug_agent *agent)
{
    return agent->run.state == DEBUG_RUN_STOPPED;
}

static void hello(struct debug_agent *agent, size_t *length)
{
    const struct debug_target *target = agent->run.target;
    uint8_t *out = agent->scratch;

    out[0] = AGENT_VERSION;
    out[1] = app_is_stopped(agent) ? 1 : 0;
    out[2] = 0; /* BKPT patches */
    out[3] = 0; /* MPU */
    bytes_store_le32(&out[4], target->code_base);
    bytes_store_le32(&out[8], target->code_size);
    bytes_store_le32(&out[12], target->data_base);
    bytes_store_le32(&out[16], target->data_size);
    *length = 20;
}

static void run_status(struct debug_agent *agent, size_t *length)
{
    bool stopped = app_is_stopped(agent);
    uint8_t *out = agent->scratch;

    out[0] = stopped ? 1 : 0;
    out[1] = stopped ? (uint8_t)agent->run.reason : 0;
    out[2] = (uint8_t)debug_points_break_count(&agent->run.points);
    out[3] = (uint8_t)debug_points_watch_count(&agent->run.points);
    bytes_store_le32(&out[4], stopped ? agent->run.address : 0);
    bytes_store_le32(&out[8], agent->output_dropped);
    *length = 12;
}

static enum reply_status registers_write(struct debug_agent *agent, const struct zcbor_string *bytes)
{
    const struct debug_target *target = agent->run.target;
    uint32_t registers[DEBUG_REGISTER_COUNT];

    if (!app_is_stopped(agent)) {
        return REPLY_WRONG_STATE;
    }
    for (uint32_t i = 0; i < DEBUG_REGISTER_COUNT; i++) {
        registers[i] = bytes_load_le32(&bytes->value[4u * i]);
    }
    return reply_status_of(target->registers_set(target->context, registers));
}

static enum reply_status memory_read(struct debug_agent *agent, const struct read_memory *request,
                                     size_t *length)
{
    if (request->read_memory_read_length > DEBUG_REPLY_MAX) {
        return REPLY_BAD_ADDRESS;
    }
    *length = request->read_memory_read_length;
    return reply_status_of(debug_points_read(&agent->run.points, request->read_memory_read_address,
                                             agent->scratch, (uint32_t)*length));
}

static enum reply_status point_insert(struct debug_agent *agent, const struct insert *request)
{
    struct debug_points *points = &agent->run.points;

    if (request->insert_kind >= DEBUG_WATCH_WRITE) {
        return reply_status_of(debug_points_watch_set(points, request->insert_kind, request->insert_address,
                                                      request->insert_length));
    }
    if (request->insert_length > BREAK_SIZE_MAX) {
        return REPLY_BAD_ADDRESS;
    }
    return reply_status_of(
        debug_points_break_set(points, request->insert_address,
                               request->insert_kind == 0 ? DEBUG_OWNER_SOFTWARE : DEBUG_OWNER_HARDWARE));
}

static void point_remove(struct debug_agent *agent, const struct remove *request)
{
    struct debug_points *points = &agent->run.points;

    if (request->remove_kind >= DEBUG_WATCH_WRITE) {
        debug_points_watch_clear(points, request->remove_kind, request->remove_address,
                                 request->remove_length);
    } else {
        debug_points_break_clear(points, request->remove_address,
                                 request->remove_kind == 0 ? DEBUG_OWNER_SOFTWARE : DEBUG_OWNER_HARDWARE);
    }
}

static uint32_t point_permissions(uint32_t kind)
{
    /* Breakpoints are patches of the code. */
    return kind >= DEBUG_WATCH_WRITE ? (uint32_t)DEBUG_PERMISSION_CONTROL
                                     : (uint32_t)DEBUG_PERMISSION_CONTROL | DEBUG_PERMISSION_WRITE;
}

static uint32_t permissions_needed(const struct debug_request_r *request)
{
    switch (request->debug_request_choice) {
    case debug_request_halt_m_c:
    case debug_request_resume_m_c:
    case debug_request_step_m_c:
        return DEBUG_PERMISSION_CONTROL;
    case debug_request_insert_m_c:
        return point_permissions(request->debug_request_insert_m.insert_kind);
    case debug_request_remove_m_c:
        return point_permissions(request->debug_request_remove_m.remove_kind);
    case debug_request_read_registers_m_c:
    case debug_request_read_memory_m_c:
    case debug_request_status_m_c:
        return DEBUG_PERMISSION_READ;
    case debug_request_write_registers_m_c:
    case debug_request_write_memory_m_c:
        return DEBUG_PERMISSION_WRITE;
    case debug_request_reset_m_c:
        return DEBUG_PERMISSION_RESET;
    default: /* hello, detach */
        return 0;
    }
}

static enum reply_status request_execute(struct debug_agent *agent, const struct debug_session *session,
                                         const struct debug_request_r *request, size_t *length)
{
    uint32_t registers[DEBUG_REGISTER_COUNT];
    const struct write_memory *write;

    if (!session_may(session, permissions_needed(request))) {
        return REPLY_NOT_PERMITTED;
    }
    switch (request->debug_request_choice) {
    case debug_request_hello_m_c:
        hello(agent, length);
        return REPLY_DONE;
    case debug_request_status_m_c:
        run_status(agent, length);
        return REPLY_DONE;
    case debug_request_resume_m_c:
    case debug_request_step_m_c:
        return app_is_stopped(agent) && !agent->run.is_dead ? REPLY_DONE : REPLY_WRONG_STATE;
    case debug_request_read_registers_m_c:
        registers_read(agent, registers);
        registers_store(agent->scratch, registers);
        *length = REGISTERS_SIZE;
        return REPLY_DONE;
    case debug_request_write_registers_m_c:
        return registers_write(agent,
                               &request->debug_request_write_registers_m.write_registers_written_registers);
    case debug_request_read_memory_m_c:
        return memory_read(agent, &request->debug_request_read_memory_m, length);
    case debug_request_write_memory_m_c:
        write = &request->debug_request_write_memory_m;
        debug_run_exclusive_forget(&agent->run);
        return reply_status_of(debug_points_write(
            &agent->run.points, write->write_memory_write_address, write->write_memory_write_bytes.value,
            (uint32_t)write->write_memory_write_bytes.len, agent->scratch));
    case debug_request_insert_m_c:
        return request->debug_request_insert_m.insert_kind > DEBUG_WATCH_ACCESS
                   ? REPLY_UNKNOWN
                   : point_insert(agent, &request->debug_request_insert_m);
    case debug_request_remove_m_c:
        if (request->debug_request_remove_m.remove_kind > DEBUG_WATCH_ACCESS) {
            return REPLY_UNKNOWN;
        }
        point_remove(agent, &request->debug_request_remove_m);
        return REPLY_DONE;
    case debug_request_reset_m_c:
        return request->debug_request_reset_m.reset_target <= 1u ? REPLY_DONE : REPLY_UNKNOWN;
    default: /* halt, detach: nothing to find out before the reply */
        return REPLY_DONE;
    }
}

/* What a request does to the app, after its reply: so a stop cannot come before it. */
static void request_follow(struct debug_agent *agent, const struct debug_session *session,
                           const struct debug_request_r *request)
{
    struct debug_run *run = &agent->run;
    bool stopped = false;

    switch (request->debug_request_choice) {
    case debug_request_halt_m_c:
        debug_run_halt(run);
        stopped = true;
        break;
    case debug_request_resume_m_c:
        stop_forget(agent);
        stopped = debug_run_resume(run);
        break;
    case debug_request_step_m_c:
        stop_forget(agent);
        stopped = debug_run_step(run);
        break;
    case debug_request_insert_m_c:
        stopped =
            request->debug_request_insert_m.insert_kind >= DEBUG_WATCH_WRITE && debug_run_points_changed(run);
        break;
    case debug_request_remove_m_c:
        stopped =
            request->debug_request_remove_m.remove_kind >= DEBUG_WATCH_WRITE && debug_run_points_changed(run);
        break;
    case debug_request_reset_m_c:
        run->target->reset(run->target->context, request->debug_request_reset_m.reset_target == 1u);
        break;
    case debug_request_detach_m_c:
        if (session_may(session, DEBUG_PERMISSION_CONTROL)) {
            stop_forget(agent);
            debug_run_release(run);
        }
        break;
    default:
        break;
    }
    if (stopped) {
        stop_announce(agent);
    }
}

/* A request that this version does not know, but well-formed as far as its number. */
static bool request_is_unknown(const uint8_t *message, size_t length)
{
    if (length < 2 || message[0] < 0x81u || message[0] > 0x97u) {
        return false;
    }
    return (message[1] > REQUEST_LAST && message[1] < 0x18u) ||
           (message[1] == 0x18u && length > 2 && message[2] >= 0x18u);
}

status_t debug_agent_request(struct debug_agent *agent, uint32_t index, const uint8_t *message, size_t length)
{
    struct debug_session *session;
    struct debug_request_r request;
    enum reply_status status;
    size_t used = 0;
    size_t reply_length = 0;

    if (index >= DEBUG_SESSIONS || !agent->sessions[index].is_open) {
        return STATUS_WRONG_STATE;
    }
    session = &agent->sessions[index];
    if (!session_flush(agent, session)) {
        return STATUS_WOULD_BLOCK;
    }
    if (cbor_decode_debug_request(message, length, &request, &used) != 0 || used != length) {
        if (!request_is_unknown(message, length)) {
            return STATUS_MALFORMED;
        }
        reply_encode(session, REPLY_UNKNOWN, agent->scratch, 0);
        (void)session_flush(agent, session);
        return STATUS_OK;
    }
    status = request_execute(agent, session, &request, &reply_length);
    reply_encode(session, status, agent->scratch, reply_length);
    (void)session_flush(agent, session);
    if (status == REPLY_DONE) {
        request_follow(agent, session, &request);
    }
    return STATUS_OK;
}

/* ---- sessions and the app's events */

status_t debug_agent_attach(struct debug_agent *agent, uint32_t index, uint32_t permissions,
                            const struct debug_session_callbacks *callbacks)
{
    if (index >= DEBUG_SESSIONS || agent->sessions[index].is_open) {
        return STATUS_WRONG_STATE;
    }
    for (uint32_t i = 0; i < DEBUG_SESSIONS; i++) {
        const struct debug_session *other = &agent->sessions[i];

        if (other->is_open && (other->permissions & ~(uint32_t)DEBUG_PERMISSION_READ) != 0 &&
            (permissions & ~(uint32_t)DEBUG_PERMISSION_READ) != 0) {
            return STATUS_WRONG_STATE;
        }
    }
    memset(&agent->sessions[index], 0, sizeof(agent->sessions[index]));
    agent->sessions[index].is_open = true;
    agent->sessions[index].permissions = permissions;
    agent->sessions[index].callbacks = *callbacks;
    return STATUS_OK;
}

void debug_agent_detach(struct debug_agent *agent, uint32_t index)
{
    bool controlled;

    if (index >= DEBUG_SESSIONS) {
        return;
    }
    controlled = session_may(&agent->sessions[index], DEBUG_PERMISSION_CONTROL);
    memset(&agent->sessions[index], 0, sizeof(agent->sessions[index]));
    if (controlled) {
        stop_forget(agent);
        debug_run_release(&agent->run);
    }
}

bool debug_agent_app_trapped(struct debug_agent *agent, enum debug_stop_reason reason, uint32_t address)
{
    if (!debug_agent_is_controlling(agent)) {
        return false;
    }
    if (debug_run_trapped(&agent->run, reason, address)) {
        stop_announce(agent);
    }
    return true;
}

void debug_agent_app_reloaded(struct debug_agent *agent)
{
    if (debug_run_reloaded(&agent->run)) {
        stop_announce(agent);
    }
}

void debug_agent_output(struct debug_agent *agent, const uint8_t *bytes, size_t length)
{
    for (uint32_t i = 0; i < DEBUG_SESSIONS; i++) {
        struct debug_session *session = &agent->sessions[i];
        struct debug_response_r response = {.debug_response_choice = debug_response_output_m_c};

        if (!session_may(session, DEBUG_PERMISSION_READ) || length == 0) {
            continue;
        }
        if (length > OUTPUT_MAX || !session_flush(agent, session)) {
            agent->output_dropped += (uint32_t)length;
            continue;
        }
        response.debug_response_output_m.output_bytes = string_of(bytes, length);
        response_encode(session, &response);
        if (!session_flush(agent, session)) {
            session->message_length = 0;
            agent->output_dropped += (uint32_t)length;
        }
    }
}

void debug_agent_notice_upgrade(struct debug_agent *agent)
{
    for (uint32_t i = 0; i < DEBUG_SESSIONS; i++) {
        struct debug_session *session = &agent->sessions[i];

        if (session_may(session, DEBUG_PERMISSION_CONTROL) && session->notice == DEBUG_NOTICE_NONE) {
            session->notice = DEBUG_NOTICE_DUE;
        }
    }
    debug_agent_poll(agent);
}
