#ifndef BROWNOUT_LIB_LINK_STATE_H
#define BROWNOUT_LIB_LINK_STATE_H

#include "cobs.h"
#include "link.h"
#include "noise.h"

/* The inside of struct link, public only so that callers can place it in static memory. */

enum link_phase {
    LINK_PHASE_BACK_OFF,  /* no session; the next handshake starts at deadline_ms */
    LINK_PHASE_HANDSHAKE, /* HANDSHAKE_1 went out; HANDSHAKE_2 is due by deadline_ms */
    LINK_PHASE_UP,
};

/* Credit and the one pending message of a channel 1..3. */
struct link_lane {
    uint32_t send_credit;    /* payload bytes that the peer still takes */
    uint32_t receive_credit; /* payload bytes that the peer may still send */
    uint32_t consumed;       /* payload bytes to give back to the peer */
    uint16_t length;         /* of the pending message */
    bool pending;
    uint8_t payload[LINK_PAYLOAD_MAX];
};

/* A TRANSPORT frame is built at this offset of `output`, so that encoding works in place. */
#define LINK_FRAME_OFFSET (1u + COBS_OVERHEAD(LINK_FRAME_MAX))

struct link {
    struct link_callbacks callbacks;
    struct link_keys keys;
    struct random *random;
    uint32_t now_ms; /* the caller's clock at its last call */

    enum link_phase phase;
    uint32_t deadline_ms; /* of BACK_OFF and HANDSHAKE */
    uint32_t back_off_ms; /* before jitter, of the next failure */

    struct noise_handshake handshake;
    struct noise_cipher send;
    struct noise_cipher receive;
    uint32_t heard_ms;  /* last valid TRANSPORT frame, or the start of the session */
    uint32_t pinged_ms; /* last ping, or the last time something was heard */

    uint32_t server_time;    /* Unix seconds; 0 before the first server-hello */
    uint32_t server_time_ms; /* when it was that time, in the caller's clock */

    bool ping_pending;
    bool pong_pending;
    uint32_t ping_nonce;
    uint32_t pong_nonce;
    uint8_t turn;                               /* channel that may send next */
    struct link_lane lanes[LINK_CHANNELS - 1u]; /* of channels 1..3 */

    struct cobs_decoder decoder;
    uint8_t input[LINK_FRAME_MAX];
    size_t output_length; /* encoded bytes that transmit() has not taken yet; 0 = the buffer is free */
    uint8_t output[LINK_FRAME_OFFSET + LINK_FRAME_MAX + 1u];
};

#endif
