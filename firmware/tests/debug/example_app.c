/* A little of everything that a compiler makes: loops, calls through pointers, switches (TBB, TBH), IT
 * blocks, structures by value, 64-bit accesses, pushes and pops of many registers, recursion. Ends at a BKPT.
 */

#include <stdint.h>

struct triple {
    uint32_t a, b;
    uint64_t c;
};

volatile uint32_t watched;
volatile uint8_t beside[64];
volatile uint16_t halves[8];
uint32_t words[16];
struct triple triples[4];
uint64_t total;

static __attribute__((noinline)) uint32_t fibonacci(uint32_t n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static __attribute__((noinline)) uint32_t choose(uint32_t n)
{
    switch (n) {
    case 0:
        return watched + 3;
    case 1:
        watched = n;
        return 17;
    case 2:
        return beside[n] * 5u;
    case 3:
        halves[n] = (uint16_t)n;
        return 99;
    case 4:
        return words[n] ^ 21u;
    case 5:
        words[n]++;
        return words[n];
    case 6:
        return fibonacci(5);
    case 7:
        beside[n] = 2;
        return n << 3;
    default:
        return n;
    }
}

static __attribute__((noinline)) struct triple triple_make(uint32_t a, uint32_t b)
{
    struct triple made = {.a = a, .b = b, .c = ((uint64_t)a << 32) | b};

    return made;
}

static __attribute__((noinline)) void sort(uint32_t *first, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        uint32_t value = first[i];
        uint32_t j = i;

        for (; j > 0 && first[j - 1] > value; j--) {
            first[j] = first[j - 1];
        }
        first[j] = value;
    }
}

static __attribute__((noinline)) uint32_t largest(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t most = a > b ? a : b;

    return most > c ? most : c;
}

static __attribute__((noinline, noreturn)) void work(void)
{
    uint32_t (*volatile choice)(uint32_t) = choose;

    for (uint32_t i = 0; i < 16; i++) {
        words[i] = (i * 2654435761u) >> 7;
        beside[i] = (uint8_t)i;
        total += choice(i % 10u);
        triples[i % 4u] = triple_make(i, words[i]);
        total += triples[i % 4u].c / (i + 1u);
        halves[i % 8u] = (uint16_t)largest(i, words[i] & 0xFFu, 40);
    }
    sort(words, 16);
    watched = (uint32_t)total;
    __asm volatile("bkpt #0");
    for (;;) {
    }
}

__attribute__((section(".entry"), naked)) void entry(void)
{
    __asm volatile("b %0" : : "i"(work));
}
