/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The CRC of IEEE 802.3, least significant bit first. Long inputs are folded
 * 64 bytes a step with carry-less multiplication where the host has it (a
 * receive path pays for every byte of every frame); the rest, and hosts
 * without it, take four bits a step from a table of sixteen words.
 */
#include "nicemu/ethernet_crc.h"

#include <stdbool.h>
#include <string.h>

static const uint32_t nibble_table[16] = {
    0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
    0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
};

static uint32_t crc_nibbles(uint32_t crc, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        crc = (crc >> 4) ^ nibble_table[crc & 15];
        crc = (crc >> 4) ^ nibble_table[crc & 15];
    }
    return crc;
}

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>

#define FOLD_MIN 16u

/* x^n mod P, bit-reflected, for folding across 64 and 16 bytes, and for the
 * reduction of 128 to 64 to 32 bits (Barrett's constants last). */
#define FOLD(x, k, next)                                                                        \
    _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128((x), (k), 0x00),                           \
                                _mm_clmulepi64_si128((x), (k), 0x11)), (next))
#define FOLD_WIDE(x, k, next)                                                                   \
    _mm256_xor_si256(_mm256_xor_si256(_mm256_clmulepi64_epi128((x), (k), 0x00),                 \
                                      _mm256_clmulepi64_epi128((x), (k), 0x11)), (next))
#define LOAD_WIDE(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define LOAD(p) _mm_loadu_si128((const __m128i *)(const void *)(p))

__attribute__((target("pclmul,sse4.1")))
static uint32_t crc_reduce(__m128i x)
{
    const __m128i fold16 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
    const __m128i fold8 = _mm_set_epi64x(0, 0x163cd6124);
    const __m128i barrett = _mm_set_epi64x(0x1f7011641, 0x1db710641);
    const __m128i low32 = _mm_set_epi32(0, 0, 0, -1);
    const __m128i low32_each = _mm_set_epi32(0, -1, 0, -1);
    __m128i t;

    t = _mm_clmulepi64_si128(x, fold16, 0x10);
    x = _mm_xor_si128(_mm_srli_si128(x, 8), t);
    t = _mm_srli_si128(x, 4);
    x = _mm_clmulepi64_si128(_mm_and_si128(x, low32_each), fold8, 0x00);
    x = _mm_xor_si128(x, t);
    t = _mm_clmulepi64_si128(_mm_and_si128(x, low32), barrett, 0x10);
    t = _mm_clmulepi64_si128(_mm_and_si128(t, low32), barrett, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(x, t), 1);
}

/* Four lanes of 16 bytes; `x` stands for what came before. `size` is at least 64. */
__attribute__((target("pclmul,sse4.1")))
static __m128i fold_lanes(__m128i x, const uint8_t *data, size_t size)
{
    const __m128i fold64 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);
    const __m128i fold16 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
    __m128i a = FOLD(x, fold16, LOAD(data)), b = LOAD(data + 16), c = LOAD(data + 32), d = LOAD(data + 48);

    for (data += 64, size -= 64; size >= 64; data += 64, size -= 64) {
        a = FOLD(a, fold64, LOAD(data));
        b = FOLD(b, fold64, LOAD(data + 16));
        c = FOLD(c, fold64, LOAD(data + 32));
        d = FOLD(d, fold64, LOAD(data + 48));
    }
    a = FOLD(a, fold16, b);
    a = FOLD(a, fold16, c);
    return FOLD(a, fold16, d);
}

/* The same 64 bytes a step in two registers of 32: half the multiplications, which are what takes the time. */
__attribute__((target("pclmul,vpclmulqdq,avx2")))
static __m128i fold_wide_lanes(__m128i x, const uint8_t *data, size_t size)
{
    const __m256i fold64 = _mm256_set_epi64x(0x1c6e41596, 0x154442bd4, 0x1c6e41596, 0x154442bd4);
    const __m128i fold16 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
    __m128i first = FOLD(x, fold16, LOAD(data));
    __m256i a = _mm256_set_m128i(LOAD(data + 16), first), b = LOAD_WIDE(data + 32);

    for (data += 64, size -= 64; size >= 64; data += 64, size -= 64) {
        a = FOLD_WIDE(a, fold64, LOAD_WIDE(data));
        b = FOLD_WIDE(b, fold64, LOAD_WIDE(data + 32));
    }
    x = FOLD(_mm256_castsi256_si128(a), fold16, _mm256_extracti128_si256(a, 1));
    x = FOLD(x, fold16, _mm256_castsi256_si128(b));
    return FOLD(x, fold16, _mm256_extracti128_si256(b, 1));
}

static bool can_fold_wide(void)
{
    return __builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("avx2");
}

/* `size` is at least 16. The CRC so far is added to the first four bytes; zeros
 * before them then change nothing, and fill the first block up. */
__attribute__((target("pclmul,sse4.1")))
static uint32_t crc_fold(uint32_t crc, const uint8_t *data, size_t size)
{
    const __m128i fold16 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
    uint8_t head[32] = { 0 };
    size_t odd = size & 15;
    uint32_t first;

    memcpy(head + 16 - odd, data, odd);
    memcpy(head + 16, data + odd, 16);
    memcpy(&first, head + 16 - odd, sizeof first);
    first ^= crc;
    memcpy(head + 16 - odd, &first, sizeof first);
    __m128i x = FOLD(LOAD(head), fold16, LOAD(head + 16));
    data += odd + 16;
    size -= odd + 16;
    if (size >= 64) {
        x = can_fold_wide() ? fold_wide_lanes(x, data, size) : fold_lanes(x, data, size);
        data += size & ~(size_t)63;
        size &= 63;
    }
    for (; size >= 16; data += 16, size -= 16)
        x = FOLD(x, fold16, LOAD(data));
    return crc_reduce(x);
}

static bool can_fold(void)
{
    return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
}
#else
#define FOLD_MIN SIZE_MAX
static bool can_fold(void) { return false; }
static uint32_t crc_fold(uint32_t crc, const uint8_t *data, size_t size) { return crc_nibbles(crc, data, size); }
#endif

uint32_t ethernet_crc_update(uint32_t crc, const void *data, size_t size)
{
    if (size >= FOLD_MIN && can_fold())
        return crc_fold(crc, data, size);
    return crc_nibbles(crc, data, size);
}
