#include "aead.h"

#include "monocypher.h"

/* One message a context: Monocypher's stream then is RFC 8439 (its rekeying only shows from the second one
 * on). */

void aead_seal(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], const uint8_t *ad,
               size_t ad_length, const uint8_t *plain, size_t length)
{
    crypto_aead_ctx stream;
    crypto_aead_init_ietf(&stream, key, nonce);
    crypto_aead_write(&stream, out, out + length, ad, ad_length, plain, length);
    crypto_wipe(&stream, sizeof stream);
}

status_t aead_open(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], const uint8_t *ad,
                   size_t ad_length, const uint8_t *sealed, size_t length)
{
    crypto_aead_ctx stream;
    crypto_aead_init_ietf(&stream, key, nonce);
    int mismatch = crypto_aead_read(&stream, out, sealed + length, ad, ad_length, sealed, length);
    crypto_wipe(&stream, sizeof stream);
    return mismatch == 0 ? STATUS_OK : STATUS_AUTHENTICATION;
}
