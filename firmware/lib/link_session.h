#ifndef BROWNOUT_LIB_LINK_SESSION_H
#define BROWNOUT_LIB_LINK_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link_state.h"

/* From back-off through the handshake to a session and back (PROTOCOL.md section 2). */

/* Sends HANDSHAKE_1. */
void link_session_connect(struct link *link);

/* HANDSHAKE_2 arrived while one was awaited: the session comes up, or the back-off begins. */
void link_session_answer(struct link *link, const uint8_t *body, size_t length);

/* Decrypts a TRANSPORT frame in place and hands its message on; any failure ends the session. */
void link_session_transport(struct link *link, uint8_t *body, size_t length);

/* Sends what is pending; a failure ends the session. */
void link_session_output(struct link *link);

/* Back to the back-off, from a handshake or a session. The next handshake tells the peer. */
void link_session_end(struct link *link);

/* Deadlines of the phase. */
void link_session_tick(struct link *link);
uint32_t link_session_deadline_ms(const struct link *link);

/* Whether `deadline_ms` has come; the clock may wrap. */
bool link_session_is_due(const struct link *link, uint32_t deadline_ms);

#endif
