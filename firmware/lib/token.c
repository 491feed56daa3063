#include "token.h"

#include <stdbool.h>
#include <string.h>

#include "cose.h"
#include "debug_decode.h"

#define DEVICE_ID_SIZE 16u

/* An empty id in the token is for every device of the fleet. */
static bool device_matches(const struct zcbor_string *wanted, const uint8_t device_id[DEVICE_ID_SIZE])
{
    if (wanted->len == 0) {
        return true;
    }
    if (memcmp(wanted->value, device_id, wanted->len) != 0) {
        return false;
    }
    return wanted->len == DEVICE_ID_SIZE || device_id[wanted->len] == 0;
}

static struct ed25519_span span_of(const struct zcbor_string *string)
{
    return (struct ed25519_span){.bytes = string->value, .length = string->len};
}

status_t token_open(const uint8_t *envelope, size_t length, const uint8_t fleet_public_key[32],
                    const uint8_t device_id[16], uint32_t now, struct token *token)
{
    struct token_sign1 signed_token;
    struct token_map map;
    const struct zcbor_string *payload = &signed_token.token_sign1_token_payload;
    size_t used = 0;

    if (cbor_decode_token_envelope(envelope, length, &signed_token, &used) != 0 || used != length) {
        return STATUS_MALFORMED;
    }
    RETURN_IF_ERROR(cose_sign1_verify(span_of(&signed_token.token_sign1_token_protected), span_of(payload),
                                      signed_token.token_sign1_token_signature.value, fleet_public_key));
    if (cbor_decode_token_map(payload->value, payload->len, &map, &used) != 0 || used != payload->len) {
        return STATUS_MALFORMED;
    }
    if (!device_matches(&map.token_map_token_device_m, device_id)) {
        return STATUS_AUTHENTICATION;
    }
    if (map.token_map_token_expires_m <= now) {
        return STATUS_TIMEOUT;
    }
    memcpy(token->client_public_key, map.token_map_token_client_m.value, sizeof(token->client_public_key));
    token->permissions = map.token_map_token_permissions_m;
    token->expires = map.token_map_token_expires_m;
    token->serial = map.token_map_token_serial_m;
    return STATUS_OK;
}
