#include "random.h"

#include <string.h>

#include "monocypher.h"

/* The raw entropy is hashed under a label, so that a source shared with another user gives unrelated streams.
 */
void random_seed(struct random *random, const uint8_t entropy[32])
{
    static const uint8_t label[] = {'b', 'r', 'o', 'w', 'n', 'o', 'u', 't',
                                    '-', 'd', 'r', 'b', 'g', '-', '1'};
    crypto_blake2b_keyed(random->key, sizeof random->key, entropy, 32, label, sizeof label);
}

/* ChaCha20 under the current key with nonce 0: block 0 gives the next key, blocks 1.. the output. Whoever
 * reads the state afterwards cannot compute what was handed out before. */
void random_bytes(struct random *random, uint8_t *out, size_t length)
{
    static const uint8_t nonce[8];
    uint8_t next[sizeof random->key];
    crypto_chacha20_djb(next, NULL, sizeof next, random->key, nonce, 0);
    crypto_chacha20_djb(out, NULL, length, random->key, nonce, 1);
    memcpy(random->key, next, sizeof random->key);
    crypto_wipe(next, sizeof next);
}
