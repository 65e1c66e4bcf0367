/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Random numbers of the fuzzers: one state a case, so that a case is named by
 * its seed, and distributions that reach the values where things happen.
 */
#ifndef TESTS_FUZZ_FUZZ_RANDOM_H
#define TESTS_FUZZ_FUZZ_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct fuzz_random { uint64_t state; };

/* splitmix64: any seed is a good one. */
static inline uint64_t fuzz_random64(struct fuzz_random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline struct fuzz_random fuzz_random_of(uint64_t seed, uint64_t number)
{
    struct fuzz_random r = { seed };
    r.state = fuzz_random64(&r) ^ number * 0xd1342543de82ef95u;
    return r;
}

static inline uint32_t fuzz_draw(struct fuzz_random *r) { return (uint32_t)fuzz_random64(r); }
static inline uint32_t fuzz_below(struct fuzz_random *r, uint32_t limit) { return fuzz_draw(r) % limit; }
static inline bool fuzz_one_in(struct fuzz_random *r, uint32_t n) { return fuzz_draw(r) % n == 0; }

/* Small, around a power of two, all ones of some width, or anything. */
static inline uint32_t fuzz_value(struct fuzz_random *r)
{
    switch (fuzz_below(r, 5)) {
    case 0: return fuzz_below(r, 64);
    case 1: return (1u << fuzz_below(r, 32)) - fuzz_below(r, 3);
    case 2: return ~0u >> fuzz_below(r, 32);
    case 3: return ~fuzz_below(r, 64);
    default: return fuzz_draw(r);
    }
}

static inline void fuzz_bytes(struct fuzz_random *r, void *to, size_t size)
{
    uint8_t *at = to;
    while (size) {
        uint64_t v = fuzz_random64(r);
        size_t part = size < sizeof v ? size : sizeof v;
        memcpy(at, &v, part);
        at += part;
        size -= part;
    }
}

/* Changes bits, bytes and words here and there, moves and repeats parts. */
static inline void fuzz_mutate(struct fuzz_random *r, uint8_t *bytes, size_t size)
{
    uint32_t changes = 1 + fuzz_below(r, 1u << fuzz_below(r, 6));
    for (uint32_t i = 0; i < changes && size; i++) {
        size_t at = fuzz_random64(r) % size, length = 1 + fuzz_below(r, 64);
        uint32_t word = fuzz_value(r);
        switch (fuzz_below(r, 5)) {
        case 0: bytes[at] ^= (uint8_t)(1u << fuzz_below(r, 8)); break;
        case 1: bytes[at] = (uint8_t)word; break;
        case 2:
            memcpy(bytes + at, &word, size - at < 4 ? size - at : 4);
            break;
        default: {
            size_t from = fuzz_random64(r) % size;
            if (length > size - at)
                length = size - at;
            if (length > size - from)
                length = size - from;
            memmove(bytes + at, bytes + from, length);
        }
        }
    }
}

#endif
