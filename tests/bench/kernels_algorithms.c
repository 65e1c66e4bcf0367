/* SPDX-License-Identifier: BSD-2-Clause
 *
 * More kernels of user-space computing, each an algorithm as programs have it:
 * compression, matching, multiple precision, floating point, graphs, text. Nothing
 * in the engine was made with them in view.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/kernels.h"

#define NOINLINE __attribute__((noinline, noclone))

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Words of a small vocabulary, so that text repeats itself as text does. */
static size_t make_text(char *out, size_t size, uint32_t seed)
{
    size_t at = 0;
    while (at + 16 < size) {
        uint32_t word = next_random(&seed) % 64 * (next_random(&seed) % 64), length = 2 + word % 9;
        for (uint32_t i = 0; i < length; i++)
            out[at++] = (char)('a' + (word >> i % 5) % 26);
        out[at++] = next_random(&seed) % 12 ? ' ' : '\n';
    }
    out[at] = 0;
    return at;
}

static uint32_t sum_bytes(const uint8_t *data, size_t size)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + data[i];
    return sum;
}

/* --- LZ77 with a hash of three bytes: a match is (length, distance), else a literal --- */

enum { LZ_SIZE = 384 << 10, LZ_HASH = 1 << 13, LZ_MAX = 130, LZ_FAR = 65535 };

static size_t lz_pack(const uint8_t *in, size_t size, uint8_t *out)
{
    static uint32_t last[LZ_HASH];
    size_t at = 0, used = 0;
    memset(last, 0, sizeof last);
    while (at + 4 < size) {
        uint32_t key = (in[at] | in[at + 1] << 8 | (uint32_t)in[at + 2] << 16) * 2654435761u >> 19;
        size_t from = last[key], n = 0;
        last[key] = (uint32_t)at + 1;
        if (from && at - (from - 1) <= LZ_FAR)
            while (n < LZ_MAX && at + n < size && in[from - 1 + n] == in[at + n])
                n++;
        if (n < 4) {
            out[used++] = 0;
            out[used++] = in[at++];
            continue;
        }
        out[used++] = (uint8_t)n;
        out[used++] = (uint8_t)(at - (from - 1));
        out[used++] = (uint8_t)((at - (from - 1)) >> 8);
        at += n;
    }
    for (; at < size; at++)
        out[used++] = 0, out[used++] = in[at];
    return used;
}

static size_t lz_unpack(const uint8_t *in, size_t size, uint8_t *out)
{
    size_t made = 0;
    for (size_t at = 0; at < size;) {
        uint32_t n = in[at++];
        if (!n) {
            out[made++] = in[at++];
            continue;
        }
        uint32_t distance = in[at] | (uint32_t)in[at + 1] << 8;
        at += 2;
        for (; n; n--, made++)
            out[made] = out[made - distance];
    }
    return made;
}

static uint32_t run_lz(void)
{
    static uint8_t text[LZ_SIZE], packed[2 * LZ_SIZE], back[LZ_SIZE + LZ_MAX];
    size_t size = make_text((char *)text, sizeof text, 31), n = 0;
    for (int round = 0; round < 10; round++) {
        n = lz_pack(text, size, packed);
        if (lz_unpack(packed, n, back) != size || memcmp(text, back, size))
            return 0;
    }
    return sum_bytes(packed, n);
}

/* --- A regular expression as an NFA, simulated with two lists of states --- */

enum { NFA_CHAR, NFA_ANY, NFA_SPLIT, NFA_MATCH };
struct nfa_state {
    uint8_t kind, c;
    uint8_t next, other;
};

/* (ab|ac)[any]*d(e|f)*g, written down by hand. */
static const struct nfa_state nfa[] = {
    { NFA_SPLIT, 0, 1, 3 }, { NFA_CHAR, 'a', 2, 0 },  { NFA_CHAR, 'b', 5, 0 },  { NFA_CHAR, 'a', 4, 0 },
    { NFA_CHAR, 'c', 5, 0 }, { NFA_SPLIT, 0, 6, 7 },  { NFA_ANY, 0, 5, 0 },     { NFA_CHAR, 'd', 8, 0 },
    { NFA_SPLIT, 0, 9, 12 }, { NFA_SPLIT, 0, 10, 11 }, { NFA_CHAR, 'e', 8, 0 }, { NFA_CHAR, 'f', 8, 0 },
    { NFA_CHAR, 'g', 13, 0 }, { NFA_MATCH, 0, 0, 0 },
};
enum { NFA_STATES = sizeof nfa / sizeof nfa[0] };

struct state_list {
    uint8_t count, state[NFA_STATES];
    uint32_t mark[NFA_STATES];
};

static NOINLINE void nfa_add(struct state_list *list, uint8_t state, uint32_t mark)
{
    if (list->mark[state] == mark)
        return;
    list->mark[state] = mark;
    if (nfa[state].kind == NFA_SPLIT) {
        nfa_add(list, nfa[state].next, mark);
        nfa_add(list, nfa[state].other, mark);
        return;
    }
    list->state[list->count++] = state;
}

static uint32_t run_nfa(void)
{
    static char text[160 << 10];
    static struct state_list lists[2];
    uint32_t matches = 0, mark = 0;
    memset(lists, 0, sizeof lists);
    make_text(text, sizeof text, 99);
    for (int round = 0; round < 20; round++) {
        struct state_list *now = &lists[0], *then = &lists[1];
        now->count = 0;
        for (const char *p = text; *p; p++) {
            struct state_list *t = now;
            nfa_add(now, 0, ++mark);
            then->count = 0;
            mark++;
            matches += now->count;
            for (int i = 0; i < now->count; i++) {
                const struct nfa_state *s = &nfa[now->state[i]];
                if (s->kind == NFA_MATCH)
                    matches += 1000;
                else if (*p != '\n' && (s->kind == NFA_ANY || s->c == (uint8_t)*p))
                    nfa_add(then, s->next, mark);
            }
            now = then, then = t;
            then->count = 0;
        }
    }
    return matches;
}

/* --- Multiple precision: products of 320 limbs of 32 bits --- */

static uint32_t run_bigint(void)
{
    enum { LIMBS = 320, ROUNDS = 350 };
    static uint32_t a[LIMBS], b[LIMBS], product[2 * LIMBS];
    uint32_t s = 7;
    for (int i = 0; i < LIMBS; i++)
        a[i] = next_random(&s), b[i] = next_random(&s);
    for (int round = 0; round < ROUNDS; round++) {
        memset(product, 0, sizeof product);
        for (int i = 0; i < LIMBS; i++) {
            uint64_t carry = 0;
            for (int k = 0; k < LIMBS; k++) {
                carry += (uint64_t)a[i] * b[k] + product[i + k];
                product[i + k] = (uint32_t)carry;
                carry >>= 32;
            }
            product[i + LIMBS] = (uint32_t)carry;
        }
        memcpy(b, product + LIMBS / 2, sizeof b);
    }
    return sum_bytes((const uint8_t *)product, sizeof product);
}

/* --- Bodies that attract each other, in SSE2 scalar doubles --- */

struct body {
    double at[3], speed[3], mass;
};

__attribute__((target("sse2,fpmath=sse"), noinline)) static void advance(struct body *bodies, int n, double dt)
{
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++) {
            struct body *p = &bodies[i], *q = &bodies[j];
            double d[3], square = 0.01;
            for (int k = 0; k < 3; k++) {
                d[k] = p->at[k] - q->at[k];
                square += d[k] * d[k];
            }
            double root;
            __asm__("sqrtsd %1, %0" : "=x"(root) : "x"(square));
            double pull = dt / (square * root);
            for (int k = 0; k < 3; k++) {
                p->speed[k] -= d[k] * q->mass * pull;
                q->speed[k] += d[k] * p->mass * pull;
            }
        }
    for (int i = 0; i < n; i++)
        for (int k = 0; k < 3; k++)
            bodies[i].at[k] += dt * bodies[i].speed[k];
}

__attribute__((target("sse2,fpmath=sse"))) static uint32_t run_nbody(void)
{
    enum { N = 6 };
    struct body bodies[N];
    for (int i = 0; i < N; i++)
        for (int k = 0; k < 3; k++) {
            bodies[i].at[k] = (i * 7 + k * 3) % 11;
            bodies[i].speed[k] = (i + k) % 3 - 1;
            bodies[i].mass = 1 + i;
        }
    for (int step = 0; step < 250000; step++)
        advance(bodies, N, 0.001);
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += bodies[i].at[0] * 1000;
    return (uint32_t)(int32_t)sum;
}

/* --- Base64, out and back --- */

static uint32_t run_base64(void)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    enum { SIZE = 192 << 10 };
    static uint8_t data[SIZE], back[SIZE];
    static char text[SIZE / 3 * 4];
    uint8_t value[256] = { 0 };
    uint32_t s = 3;
    for (int i = 0; i < 64; i++)
        value[(uint8_t)digits[i]] = (uint8_t)i;
    for (int i = 0; i < SIZE; i++)
        data[i] = (uint8_t)next_random(&s);
    for (int round = 0; round < 100; round++) {
        char *out = text;
        uint8_t *b = back;
        for (int i = 0; i < SIZE; i += 3) {
            uint32_t v = (uint32_t)data[i] << 16 | data[i + 1] << 8 | data[i + 2];
            *out++ = digits[v >> 18];
            *out++ = digits[v >> 12 & 63];
            *out++ = digits[v >> 6 & 63];
            *out++ = digits[v & 63];
        }
        for (const char *p = text; p < out; p += 4) {
            uint32_t v = (uint32_t)value[(uint8_t)p[0]] << 18 | value[(uint8_t)p[1]] << 12 | value[(uint8_t)p[2]] << 6
                | value[(uint8_t)p[3]];
            *b++ = (uint8_t)(v >> 16);
            *b++ = (uint8_t)(v >> 8);
            *b++ = (uint8_t)v;
        }
        if (memcmp(data, back, SIZE))
            return 0;
        data[round]++;
    }
    return sum_bytes((const uint8_t *)text, sizeof text);
}

/* --- Shortest paths on a grid, with a binary heap --- */

enum { GRID = 160 };
struct heap_item {
    uint32_t distance, place;
};
static struct heap_item heap[4 * GRID * GRID + 8];
static uint32_t heap_count;

static void heap_push(uint32_t distance, uint32_t place)
{
    uint32_t at = ++heap_count;
    for (; at > 1 && heap[at / 2].distance > distance; at /= 2)
        heap[at] = heap[at / 2];
    heap[at] = (struct heap_item){ distance, place };
}

static struct heap_item heap_pop(void)
{
    struct heap_item top = heap[1], last = heap[heap_count--];
    uint32_t at = 1;
    for (uint32_t child; (child = 2 * at) <= heap_count; at = child) {
        if (child < heap_count && heap[child + 1].distance < heap[child].distance)
            child++;
        if (heap[child].distance >= last.distance)
            break;
        heap[at] = heap[child];
    }
    heap[at] = last;
    return top;
}

static uint32_t run_dijkstra(void)
{
    static uint32_t cost[GRID * GRID], distance[GRID * GRID];
    static const int step[4] = { 1, -1, GRID, -GRID };
    uint32_t s = 17, sum = 0;
    for (int i = 0; i < GRID * GRID; i++)
        cost[i] = 1 + next_random(&s) % 100;
    for (uint32_t round = 0; round < 20; round++) {
        memset(distance, 0xff, sizeof distance);
        heap_count = 0;
        heap_push(0, round);
        distance[round] = 0;
        while (heap_count) {
            struct heap_item item = heap_pop();
            if (item.distance > distance[item.place])
                continue;
            for (int k = 0; k < 4; k++) {
                uint32_t to = item.place + (uint32_t)step[k];
                if (to >= GRID * GRID || (k < 2 && to / GRID != item.place / GRID))
                    continue;
                uint32_t far = item.distance + cost[to];
                if (far < distance[to]) {
                    distance[to] = far;
                    heap_push(far, to);
                }
            }
        }
        sum = sum * 31 + distance[GRID * GRID - 1];
    }
    return sum;
}

/* --- A hash with 64-bit multiplications, of many short keys --- */

static uint32_t run_hash64(void)
{
    uint64_t total = 0, key[4] = { 1, 2, 3, 4 };
    for (uint32_t i = 0; i < 1800000; i++) {
        uint64_t h = 0x9e3779b97f4a7c15ull ^ i;
        key[i & 3] += i;
        for (int k = 0; k < 4; k++) {
            uint64_t v = key[k] * 0xff51afd7ed558ccdull;
            v ^= v >> 33;
            h = (h ^ v) * 0xc4ceb9fe1a85ec53ull;
            h = h << 27 | h >> 37;
        }
        total += h ^ h >> 29;
    }
    return (uint32_t)(total ^ total >> 32);
}

/* --- String functions the plain way, byte by byte --- */

static NOINLINE size_t length_of(const char *s)
{
    const char *p = s;
    while (*p)
        p++;
    return (size_t)(p - s);
}

static NOINLINE int compare(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return (uint8_t)*a - (uint8_t)*b;
}

static NOINLINE const char *find(const char *text, const char *what)
{
    for (; *text; text++) {
        const char *a = text, *b = what;
        while (*b && *a == *b)
            a++, b++;
        if (!*b)
            return text;
    }
    return NULL;
}

static uint32_t run_bytes(void)
{
    static char text[64 << 10], copy[64 << 10];
    static char *words[16384];
    uint32_t sum = 0, count = 0;
    size_t size = make_text(text, sizeof text, 5);
    for (int round = 0; round < 90; round++) {
        char *dst = copy, *word = copy;
        count = 0;
        for (size_t i = 0; i <= size; i++) {
            bool end = text[i] == ' ' || text[i] == '\n' || !text[i];
            *dst++ = end ? 0 : text[i];
            if (end && count < 16384) {
                words[count++] = word;
                word = dst;
            }
        }
        for (uint32_t i = 1; i < count; i++) {
            sum += (uint32_t)length_of(words[i]);
            sum += compare(words[i - 1], words[i]) < 0;
        }
        const char *at = text;
        while ((at = find(at, "ab")))
            at++, sum++;
    }
    return sum + count;
}

/* --- Huffman codes: built, then text packed and unpacked bit by bit --- */

struct huffman {
    uint32_t weight[512];
    uint16_t child[512][2], parent[512];
    uint16_t root;
};

static void huffman_build(struct huffman *h, const uint8_t *text, size_t size)
{
    uint16_t next = 256;
    memset(h, 0, sizeof *h);
    for (size_t i = 0; i < size; i++)
        h->weight[text[i]]++;
    for (;;) {
        uint16_t low[2] = { 0, 0 }, found = 0;
        for (uint16_t i = 0; i < next; i++) {
            if (!h->weight[i] || h->parent[i])
                continue;
            if (found == 0 || h->weight[i] < h->weight[low[0]])
                low[1] = low[0], low[0] = i, found += found < 2;
            else if (found == 1 || h->weight[i] < h->weight[low[1]])
                low[1] = i, found = 2;
        }
        if (found < 2)
            break;
        h->child[next][0] = low[0], h->child[next][1] = low[1];
        h->weight[next] = h->weight[low[0]] + h->weight[low[1]];
        h->parent[low[0]] = h->parent[low[1]] = next;
        h->root = next++;
    }
}

static uint32_t run_huffman(void)
{
    static uint8_t text[96 << 10], packed[96 << 10], back[96 << 10];
    static struct huffman h;
    size_t size = make_text((char *)text, sizeof text, 123), made = 0;
    uint32_t bits = 0;
    for (int round = 0; round < 18; round++) {
        huffman_build(&h, text, size);
        memset(packed, 0, sizeof packed);
        bits = 0, made = 0;
        for (size_t i = 0; i < size; i++) {
            uint8_t code[64];
            int n = 0;
            for (uint16_t at = text[i]; h.parent[at]; at = h.parent[at])
                code[n++] = h.child[h.parent[at]][1] == at;
            for (; n > 0; bits++)
                packed[bits / 8] |= (uint8_t)(code[--n] << bits % 8);
        }
        for (uint32_t bit = 0; bit < bits;) {
            uint16_t at = h.root;
            for (; at >= 256; bit++)
                at = h.child[at][packed[bit / 8] >> bit % 8 & 1];
            back[made++] = (uint8_t)at;
        }
        if (made != size || memcmp(text, back, size))
            return 0;
    }
    return sum_bytes(packed, (bits + 7) / 8);
}

const struct kernel algorithm_kernels[] = {
    { "lz", run_lz, 0xa713df1a },
    { "nfa", run_nfa, 0x006e6ab8 },
    { "bigint", run_bigint, 0xd72f9728 },
    { "nbody", run_nbody, 0x00050ff4 },
    { "base64", run_base64, 0xb13a6f68 },
    { "dijkstra", run_dijkstra, 0xde06e171 },
    { "hash64", run_hash64, 0x326848c9 },
    { "bytes", run_bytes, 0x0052e4a4 },
    { "huffman", run_huffman, 0xdc2efd5f },
    { NULL, NULL, 0 },
};
