#include "sha512.h"

#include <string.h>

#include "bytes.h"
#include "monocypher.h"

#define SHA512_ROUNDS 80u

static const uint64_t round_constants[SHA512_ROUNDS] = {
    0x428a2f98d728ae22u, 0x7137449123ef65cdu, 0xb5c0fbcfec4d3b2fu, 0xe9b5dba58189dbbcu, 0x3956c25bf348b538u,
    0x59f111f1b605d019u, 0x923f82a4af194f9bu, 0xab1c5ed5da6d8118u, 0xd807aa98a3030242u, 0x12835b0145706fbeu,
    0x243185be4ee4b28cu, 0x550c7dc3d5ffb4e2u, 0x72be5d74f27b896fu, 0x80deb1fe3b1696b1u, 0x9bdc06a725c71235u,
    0xc19bf174cf692694u, 0xe49b69c19ef14ad2u, 0xefbe4786384f25e3u, 0x0fc19dc68b8cd5b5u, 0x240ca1cc77ac9c65u,
    0x2de92c6f592b0275u, 0x4a7484aa6ea6e483u, 0x5cb0a9dcbd41fbd4u, 0x76f988da831153b5u, 0x983e5152ee66dfabu,
    0xa831c66d2db43210u, 0xb00327c898fb213fu, 0xbf597fc7beef0ee4u, 0xc6e00bf33da88fc2u, 0xd5a79147930aa725u,
    0x06ca6351e003826fu, 0x142929670a0e6e70u, 0x27b70a8546d22ffcu, 0x2e1b21385c26c926u, 0x4d2c6dfc5ac42aedu,
    0x53380d139d95b3dfu, 0x650a73548baf63deu, 0x766a0abb3c77b2a8u, 0x81c2c92e47edaee6u, 0x92722c851482353bu,
    0xa2bfe8a14cf10364u, 0xa81a664bbc423001u, 0xc24b8b70d0f89791u, 0xc76c51a30654be30u, 0xd192e819d6ef5218u,
    0xd69906245565a910u, 0xf40e35855771202au, 0x106aa07032bbd1b8u, 0x19a4c116b8d2d0c8u, 0x1e376c085141ab53u,
    0x2748774cdf8eeb99u, 0x34b0bcb5e19b48a8u, 0x391c0cb3c5c95a63u, 0x4ed8aa4ae3418acbu, 0x5b9cca4f7763e373u,
    0x682e6ff3d6b2b8a3u, 0x748f82ee5defb2fcu, 0x78a5636f43172f60u, 0x84c87814a1f0ab72u, 0x8cc702081a6439ecu,
    0x90befffa23631e28u, 0xa4506cebde82bde9u, 0xbef9a3f7b2c67915u, 0xc67178f2e372532bu, 0xca273eceea26619cu,
    0xd186b8c721c0c207u, 0xeada7dd6cde0eb1eu, 0xf57d4f7fee6ed178u, 0x06f067aa72176fbau, 0x0a637dc5a2c898a6u,
    0x113f9804bef90daeu, 0x1b710b35131c471bu, 0x28db77f523047d84u, 0x32caab7b40c72493u, 0x3c9ebe0a15c9bebcu,
    0x431d67c49c100d4cu, 0x4cc5d4becb3e42b6u, 0x597f299cfc657e2au, 0x5fcb6fab3ad6faecu, 0x6c44198c4a475817u,
};

static const uint64_t initial_state[8] = {
    0x6a09e667f3bcc908u, 0xbb67ae8584caa73bu, 0x3c6ef372fe94f82bu, 0xa54ff53a5f1d36f1u,
    0x510e527fade682d1u, 0x9b05688c2b3e6c1fu, 0x1f83d9abfb41bd6bu, 0x5be0cd19137e2179u,
};

static uint64_t rotate_right(uint64_t x, unsigned count)
{
    return (x >> count) | (x << (64u - count));
}

static uint64_t big_sigma0(uint64_t x)
{
    return rotate_right(x, 28) ^ rotate_right(x, 34) ^ rotate_right(x, 39);
}

static uint64_t big_sigma1(uint64_t x)
{
    return rotate_right(x, 14) ^ rotate_right(x, 18) ^ rotate_right(x, 41);
}

static uint64_t small_sigma0(uint64_t x)
{
    return rotate_right(x, 1) ^ rotate_right(x, 8) ^ (x >> 7);
}

static uint64_t small_sigma1(uint64_t x)
{
    return rotate_right(x, 19) ^ rotate_right(x, 61) ^ (x >> 6);
}

/* The schedule is kept as a window of 16 words: 128 bytes of stack instead of 640. */
static uint64_t schedule_word(uint64_t window[16], unsigned round)
{
    uint64_t *word = &window[round % 16u];
    if (round >= 16u) {
        *word += small_sigma0(window[(round + 1u) % 16u]) + window[(round + 9u) % 16u] +
                 small_sigma1(window[(round + 14u) % 16u]);
    }
    return *word;
}

static void compress(uint64_t state[8], const uint8_t block[SHA512_BLOCK_SIZE])
{
    uint64_t window[16];
    for (unsigned i = 0; i < 16u; i++) {
        window[i] = bytes_load_be64(block + 8u * i);
    }
    uint64_t v[8];
    memcpy(v, state, sizeof v);
    for (unsigned round = 0; round < SHA512_ROUNDS; round++) {
        uint64_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint64_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        uint64_t t1 =
            v[7] + big_sigma1(v[4]) + choice + round_constants[round] + schedule_word(window, round);
        uint64_t t2 = big_sigma0(v[0]) + majority;
        memmove(v + 1, v, 7u * sizeof v[0]);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (unsigned i = 0; i < 8u; i++) {
        state[i] += v[i];
    }
}

void sha512_init(struct sha512 *hash)
{
    memcpy(hash->state, initial_state, sizeof hash->state);
    hash->length = 0;
}

void sha512_update(struct sha512 *hash, const uint8_t *data, size_t length)
{
    while (length > 0) {
        size_t fill = (size_t)(hash->length % SHA512_BLOCK_SIZE);
        size_t take = SHA512_BLOCK_SIZE - fill;
        if (take > length) {
            take = length;
        }
        memcpy(hash->block + fill, data, take);
        hash->length += take;
        data += take;
        length -= take;
        if (fill + take == SHA512_BLOCK_SIZE) {
            compress(hash->state, hash->block);
        }
    }
}

void sha512_finish(struct sha512 *hash, uint8_t digest[SHA512_SIZE])
{
    size_t fill = (size_t)(hash->length % SHA512_BLOCK_SIZE);
    hash->block[fill++] = 0x80;
    if (fill > SHA512_BLOCK_SIZE - 16u) {
        memset(hash->block + fill, 0, SHA512_BLOCK_SIZE - fill);
        compress(hash->state, hash->block);
        fill = 0;
    }
    memset(hash->block + fill, 0, SHA512_BLOCK_SIZE - 8u - fill);
    bytes_store_be64(hash->block + SHA512_BLOCK_SIZE - 8u, hash->length * 8u);
    compress(hash->state, hash->block);
    for (unsigned i = 0; i < 8u; i++) {
        bytes_store_be64(digest + 8u * i, hash->state[i]);
    }
    crypto_wipe(hash, sizeof *hash);
}
