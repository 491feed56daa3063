#include "key_wrap.h"

#include <stdbool.h>
#include <string.h>

#include "aead.h"
#include "bytes.h"
#include "monocypher.h"

#define EPHEMERAL_SIZE   32u
#define CONTENT_KEY_SIZE 32u

_Static_assert(EPHEMERAL_SIZE + CONTENT_KEY_SIZE + AEAD_TAG_SIZE == KEY_WRAP_SIZE, "wrapped key layout");

static const uint8_t wrap_label[16] = {'f', 'i', 'e', 'l', 'd', 'l', 'i', 'n',
                                       'k', '-', 'w', 'r', 'a', 'p', '-', '1'};

/* kek = BLAKE2b-256(key = X25519(e, W), "fieldlink-wrap-1" | E | W) */
static status_t derive_kek(uint8_t kek[32], const uint8_t ephemeral[32], const uint8_t wrap_private_key[32])
{
    static const uint8_t zero[32];
    uint8_t shared[32];
    uint8_t wrap_public_key[32];
    crypto_x25519(shared, wrap_private_key, ephemeral);
    crypto_x25519_public_key(wrap_public_key, wrap_private_key);

    crypto_blake2b_ctx hash;
    crypto_blake2b_keyed_init(&hash, 32, shared, sizeof shared);
    crypto_blake2b_update(&hash, wrap_label, sizeof wrap_label);
    crypto_blake2b_update(&hash, ephemeral, EPHEMERAL_SIZE);
    crypto_blake2b_update(&hash, wrap_public_key, sizeof wrap_public_key);
    crypto_blake2b_final(&hash, kek);

    bool low_order = crypto_verify32(shared, zero) == 0;
    crypto_wipe(shared, sizeof shared);
    return low_order ? STATUS_AUTHENTICATION : STATUS_OK;
}

status_t key_unwrap(uint8_t content_key[32], const uint8_t wrapped[KEY_WRAP_SIZE],
                    const uint8_t wrap_private_key[32], const uint8_t device_id[16], uint32_t sequence,
                    const uint8_t key_id[16])
{
    static const uint8_t nonce[AEAD_NONCE_SIZE];
    uint8_t ad[36];
    memcpy(ad, device_id, 16);
    bytes_store_le32(ad + 16, sequence);
    memcpy(ad + 20, key_id, 16);

    uint8_t kek[32];
    status_t status = derive_kek(kek, wrapped, wrap_private_key);
    if (status == STATUS_OK) {
        status =
            aead_open(content_key, kek, nonce, ad, sizeof ad, wrapped + EPHEMERAL_SIZE, CONTENT_KEY_SIZE);
    }
    crypto_wipe(kek, sizeof kek);
    return status;
}

status_t chunk_open(uint8_t *buffer, uint32_t length, const uint8_t content_key[32], uint32_t sequence,
                    uint32_t module_id, uint32_t chunk, uint32_t image_size)
{
    uint8_t nonce[AEAD_NONCE_SIZE] = {0};
    bytes_store_le32(nonce, module_id);
    bytes_store_le32(nonce + 4, chunk);
    uint8_t ad[16];
    bytes_store_le32(ad, sequence);
    bytes_store_le32(ad + 4, module_id);
    bytes_store_le32(ad + 8, chunk);
    bytes_store_le32(ad + 12, image_size);
    return aead_open(buffer, content_key, nonce, ad, sizeof ad, buffer, length);
}
