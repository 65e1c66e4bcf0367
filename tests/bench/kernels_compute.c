/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Kernels of user-space computing, each 30 to 100 ms on a current machine: sorting,
 * calls, tables, memory, trees, indirect jumps, x87, SSE2, division, hashing.
 */
#include <emmintrin.h>
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

static int compare_ints(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static uint32_t run_qsort(void)
{
    enum { N = 256 * 1024 };
    static int v[N];
    uint32_t s = 1, sum = 0;
    for (int i = 0; i < N; i++)
        v[i] = (int)next_random(&s);
    qsort(v, N, sizeof v[0], compare_ints);
    for (int i = 0; i < N; i += 997)
        sum = sum * 31 + (uint32_t)v[i];
    return sum;
}

static NOINLINE uint32_t fibonacci(uint32_t n)
{
    if (n < 2)
        return n;
    uint32_t left = fibonacci(n - 1);
    __asm__ volatile("" : "+r"(left)); /* keeps both calls */
    return left + fibonacci(n - 2);
}

static uint32_t run_fib(void) { return fibonacci(34); }

static uint32_t run_crc32(void)
{
    static uint32_t table[256];
    static uint8_t data[1 << 20];
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
        table[i] = c;
    }
    for (uint32_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    uint32_t c = ~0u;
    for (int round = 0; round < 24; round++)
        for (uint32_t i = 0; i < sizeof data; i++)
            c = table[(c ^ data[i]) & 255] ^ c >> 8;
    return ~c;
}

static uint32_t run_memcpy(void)
{
    static uint8_t a[1 << 20], b[1 << 20];
    for (uint32_t i = 0; i < sizeof a; i++)
        a[i] = (uint8_t)i;
    for (int i = 0; i < 600; i++) {
        memcpy(b, a, sizeof b);
        a[i] = b[i + 1];
        __asm__ volatile("" ::: "memory");
    }
    return a[599] * 256u + b[600];
}

/* Short strings and fills, the way most programs use these functions. */
static uint32_t run_strings(void)
{
    char buffer[256], copy[256];
    uint32_t sum = 0;
    for (uint32_t i = 0; i < 1500000; i++) {
        uint32_t n = 1 + i % 120;
        memset(buffer, 'a' + (int)(i % 26), n);
        buffer[n] = 0;
        __asm__ volatile("" ::: "memory");
        strcpy(copy, buffer);
        sum += (uint32_t)strlen(copy) + (uint32_t)(strchr(copy, 'a' + (int)(i % 26)) - copy);
    }
    return sum;
}

struct node {
    uint32_t key;
    struct node *left, *right;
};

static uint32_t run_tree(void)
{
    enum { N = 60000 };
    static struct node nodes[N];
    struct node *root = NULL;
    uint32_t s = 12345, depth_sum = 0;
    for (int i = 0; i < N; i++) {
        struct node **at = &root;
        uint32_t key = next_random(&s), depth = 0;
        for (; *at; depth++)
            at = key < (*at)->key ? &(*at)->left : &(*at)->right;
        nodes[i] = (struct node){ key, NULL, NULL };
        *at = &nodes[i];
        depth_sum += depth;
    }
    return depth_sum;
}

static NOINLINE uint32_t op_add(uint32_t a, uint32_t b) { return a + b; }
static NOINLINE uint32_t op_xor(uint32_t a, uint32_t b) { return a ^ b; }
static NOINLINE uint32_t op_mul(uint32_t a, uint32_t b) { return a * (b | 1); }
static NOINLINE uint32_t op_rotate(uint32_t a, uint32_t b) { return a << (b & 15) | a >> (32 - (b & 15)) % 32; }

static uint32_t run_indirect(void)
{
    static uint32_t (*const ops[4])(uint32_t, uint32_t) = { op_add, op_xor, op_mul, op_rotate };
    uint32_t v = 1, s = 99;
    for (uint32_t i = 0; i < 8000000; i++)
        v = ops[next_random(&s) >> 7 & 3](v, i);
    return v;
}

/* A small byte-code machine: one switch in a loop. */
static uint32_t run_interpreter(void)
{
    enum { PUSH, ADD, MUL, DUP, SWAP, DECREMENT, JUMP_IF, DROP, HALT };
    static const uint8_t code[] = {
        PUSH, 1, PUSH, 200, /* accumulator, counter */
        SWAP, PUSH, 3, MUL, PUSH, 7, ADD, SWAP, DECREMENT, DUP, JUMP_IF, 4, DROP, HALT,
    };
    uint32_t sum = 0;
    for (int run = 0; run < 9000; run++) {
        uint32_t stack[16], sp = 0;
        const uint8_t *pc = code;
        for (int going = 1; going;) {
            switch (*pc++) {
            case PUSH: stack[sp++] = *pc++; break;
            case ADD: sp--, stack[sp - 1] += stack[sp]; break;
            case MUL: sp--, stack[sp - 1] *= stack[sp]; break;
            case DUP: stack[sp] = stack[sp - 1], sp++; break;
            case SWAP: {
                uint32_t t = stack[sp - 1];
                stack[sp - 1] = stack[sp - 2];
                stack[sp - 2] = t;
                break;
            }
            case DECREMENT: stack[sp - 1]--; break;
            case JUMP_IF:
                pc = stack[--sp] ? code + *pc : pc + 1;
                break;
            case DROP: sp--; break;
            default: going = 0;
            }
            __asm__ volatile("" : "+r"(pc));
        }
        sum += stack[0] + (uint32_t)run;
    }
    return sum;
}

static uint32_t run_x87(void)
{
    enum { N = 160 };
    static double a[N][N], b[N][N], c[N][N];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = i + j;
            b[i][j] = i - 2 * j;
        }
    for (int round = 0; round < 10; round++)
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                double sum = 0;
                for (int k = 0; k < N; k++)
                    sum += a[i][k] * b[k][j];
                c[i][j] = sum;
            }
    double trace = 0;
    for (int i = 0; i < N; i++)
        trace += c[i][i];
    return (uint32_t)(int64_t)trace;
}

__attribute__((target("sse2"))) static uint32_t run_sse2(void)
{
    enum { N = 192 };
    static float a[N][N], b[N][N], c[N][N];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (float)((i * j) % 7);
            b[i][j] = (float)((i + j) % 5);
        }
    for (int round = 0; round < 20; round++)
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j += 4) {
                __m128 sum = _mm_setzero_ps();
                for (int k = 0; k < N; k++)
                    sum = _mm_add_ps(sum, _mm_mul_ps(_mm_set1_ps(a[i][k]), _mm_loadu_ps(&b[k][j])));
                _mm_storeu_ps(&c[i][j], sum);
                __asm__ volatile("" ::: "memory");
            }
    uint32_t total = 0;
    for (int i = 0; i < N; i++)
        total = total * 31 + (uint32_t)c[i][N - 1 - i];
    return total;
}

static uint32_t run_division(void)
{
    uint64_t x = 0x123456789abcdefull, sum = 0;
    for (uint32_t i = 1; i < 3500000; i++) {
        uint64_t d = (uint64_t)i * 2654435761u + 1;
        sum += x / d + x % d;
        x = x * 6364136223846793005ull + 1442695040888963407ull;
    }
    return (uint32_t)(sum ^ sum >> 32);
}

static uint32_t rotate_right(uint32_t v, int n) { return v >> n | v << (32 - n); }

static void sha256_block(uint32_t state[8], const uint32_t k[64], const uint8_t *data)
{
    uint32_t w[64];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)data[4 * i] << 24 | (uint32_t)data[4 * i + 1] << 16 | (uint32_t)data[4 * i + 2] << 8 | data[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = rotate_right(w[i - 15], 7) ^ rotate_right(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = rotate_right(w[i - 2], 17) ^ rotate_right(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 64; i++) {
        uint32_t s1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
        uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + k[i] + w[i];
        uint32_t s0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
        uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1;
        d = c, c = b, b = a, a = t1 + t2;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

/* The round function of SHA-256; the constants are made up, which costs the same. */
static uint32_t run_sha256(void)
{
    static uint8_t data[1 << 16];
    uint32_t state[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, k[64], s = 77;
    for (int i = 0; i < 64; i++)
        k[i] = next_random(&s);
    for (uint32_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i ^ i >> 8);
    for (int round = 0; round < 100; round++)
        for (uint32_t at = 0; at < sizeof data; at += 64)
            sha256_block(state, k, data + at);
    return state[0] ^ state[7];
}

static uint32_t run_hash_table(void)
{
    enum { SIZE = 1 << 16 };
    static uint32_t keys[SIZE], values[SIZE];
    memset(keys, 0, sizeof keys);
    memset(values, 0, sizeof values);
    uint32_t s = 4242, found = 0;
    for (uint32_t i = 0; i < 2500000; i++) {
        uint32_t key = (next_random(&s) & 0x7fff) + 1;
        uint32_t at = key * 2654435761u >> 16;
        while (keys[at] && keys[at] != key)
            at = (at + 1) % SIZE;
        found += keys[at] == key;
        keys[at] = key;
        values[at] += i;
    }
    return found + values[1234];
}

static uint32_t run_pointer_chase(void)
{
    enum { N = 64 * 1024 };
    static uint32_t *cells[N];
    static uint32_t order[N];
    uint32_t s = 5;
    for (uint32_t i = 0; i < N; i++)
        order[i] = i;
    for (uint32_t i = N - 1; i > 0; i--) {
        uint32_t j = next_random(&s) % (i + 1), t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    for (uint32_t i = 0; i < N; i++)
        cells[order[i]] = (uint32_t *)&cells[order[(i + 1) % N]];
    uint32_t *p = (uint32_t *)&cells[0];
    for (uint32_t i = 0; i < 6000000; i++)
        p = *(uint32_t **)p;
    return (uint32_t)((uint32_t **)p - cells);
}

/* Bytes in, tokens out: compares, branches and byte loads. */
static uint32_t run_tokenizer(void)
{
    static const char line[] = "GET /index.html HTTP/1.1\r\nHost: example.org\r\nContent-Length: 1234\r\n\r\n";
    uint32_t words = 0, numbers = 0, other = 0;
    for (int round = 0; round < 220000; round++) {
        for (const char *p = line; *p;) {
            if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')) {
                while ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z'))
                    p++;
                words++;
            } else if (*p >= '0' && *p <= '9') {
                uint32_t n = 0;
                for (; *p >= '0' && *p <= '9'; p++)
                    n = n * 10 + (uint32_t)(*p - '0');
                numbers += n;
            } else {
                p++;
                other++;
            }
        }
        __asm__ volatile("" ::: "memory");
    }
    return words * 3 + numbers * 5 + other;
}

const struct kernel compute_kernels[] = {
    { "qsort", run_qsort, 0xeea6db04 },
    { "fib", run_fib, 5702887 },
    { "crc32", run_crc32, 0x861534a7 },
    { "memcpy", run_memcpy, 0x00005858 },
    { "strings", run_strings, 0x0568bc30 },
    { "tree", run_tree, 0x00111f22 },
    { "indirect", run_indirect, 0x28d48480 },
    { "interpreter", run_interpreter, 0x39f0ad34 },
    { "x87", run_x87, 0xe9750100 },
    { "sse2", run_sse2, 0xf30d7c8b },
    { "division", run_division, 0x0586be69 },
    { "sha256", run_sha256, 0xb684615b },
    { "hash_table", run_hash_table, 0x05c2b997 },
    { "pointer_chase", run_pointer_chase, 0x000041e7 },
    { "tokenizer", run_tokenizer, 0x51a7a020 },
    { NULL, NULL, 0 },
};
