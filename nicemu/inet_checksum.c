/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One's complement sums for e1000's transmit and receive offloads.
 */
#include "nicemu/inet_checksum.h"

#include <string.h>

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>

/* Sum of the host-order words of whole 32-byte blocks: both halves of each
 * 32-bit lane on their own, which 2 MiB could not overflow. */
__attribute__((target("avx2")))
static uint64_t sum_blocks(const uint8_t *bytes, size_t size)
{
    const __m256i low_half = _mm256_set1_epi32(0xffff);
    __m256i low = _mm256_setzero_si256(), high = low;
    for (; size >= 32; bytes += 32, size -= 32) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)bytes);
        low = _mm256_add_epi32(low, _mm256_and_si256(v, low_half));
        high = _mm256_add_epi32(high, _mm256_srli_epi32(v, 16));
    }
    uint32_t lanes[16];
    uint64_t sum = 0;
    _mm256_storeu_si256((__m256i *)(void *)lanes, low);
    _mm256_storeu_si256((__m256i *)(void *)(lanes + 8), high);
    for (unsigned i = 0; i < 16; i++)
        sum += lanes[i];
    return sum;
}

static bool can_sum_blocks(void)
{
    return __builtin_cpu_supports("avx2");
}
#else
static bool can_sum_blocks(void) { return false; }
static uint64_t sum_blocks(const uint8_t *bytes, size_t size) { (void)bytes; (void)size; return 0; }
#endif

#define BLOCKS_MIN 128u
#define BLOCKS_MAX ((size_t)1 << 20)

/* Added in the host's byte order, 32 bits at a time into 64: no carry can get
 * lost in any size we meet, and the result is swapped at the end. */
uint16_t inet_sum(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint64_t sum0 = 0, sum1 = 0;
    if (size >= BLOCKS_MIN && size <= BLOCKS_MAX && can_sum_blocks()) {
        sum0 = sum_blocks(bytes, size);
        bytes += size & ~(size_t)31;
        size &= 31;
    }
    for (; size >= 16; bytes += 16, size -= 16) {
        uint32_t w[4];
        memcpy(w, bytes, sizeof w);
        sum0 += (uint64_t)w[0] + w[1];
        sum1 += (uint64_t)w[2] + w[3];
    }
    for (; size >= 2; bytes += 2, size -= 2) {
        uint16_t w;
        memcpy(&w, bytes, sizeof w);
        sum0 += w;
    }
    if (size) {
        uint16_t w = 0;
        memcpy(&w, bytes, 1);
        sum1 += w;
    }
    uint16_t folded = inet_fold((sum0 & 0xffffffff) + (sum0 >> 32) + (sum1 & 0xffffffff) + (sum1 >> 32));
    uint8_t order[2];
    memcpy(order, &folded, sizeof order);
    return get16(order);
}

bool inet_checksum_insert(uint8_t *frame, size_t size, size_t start, size_t field, size_t end)
{
    if (end == 0 || end > size)
        end = size;
    if (start >= end || field > size || size - field < 2)
        return false;
    uint16_t sum = (uint16_t)~inet_sum(frame + start, end - start);
    /* In UDP, whose field is the sixth byte, zero would say "no checksum". */
    if (sum == 0 && field == start + 6)
        sum = 0xffff;
    frame[field] = (uint8_t)(sum >> 8);
    frame[field + 1] = (uint8_t)sum;
    return true;
}

/* Checks TCP or UDP at `data`, between hosts of the given addresses. */
static void verify_l4(struct inet_check *check, const uint8_t *data, size_t size, unsigned protocol,
                      const uint8_t *addresses, size_t addresses_size, bool sum_l4)
{
    if (protocol == 6 ? size < 20 : protocol != 17 || size < 8)
        return;
    if (protocol == 17) {
        size_t length = get16(data + 4);
        if (get16(data + 6) == 0 || length < 8 || length > size)
            return;
        size = length;
    }
    check->l4_checked = check->l4_good = true;
    if (!sum_l4)
        return;
    uint64_t sum = (uint64_t)inet_sum(addresses, addresses_size) + protocol + size + inet_sum(data, size);
    check->l4_good = inet_fold(sum) == 0xffff;
}

static void verify_v4(struct inet_check *check, const uint8_t *ip, size_t size, bool sum_l4)
{
    if (size < 20 || ip[0] >> 4 != 4)
        return;
    size_t header = (ip[0] & 15u) * 4u, total = get16(ip + 2);
    if (header < 20 || header > size || total < header || total > size)
        return;
    check->ip_checked = true;
    check->ip_good = inet_sum(ip, header) == 0xffff;
    if (get16(ip + 6) & 0x3fff)
        return; /* a fragment */
    verify_l4(check, ip + header, total - header, ip[9], ip + 12, 8, sum_l4);
}

static void verify_v6(struct inet_check *check, const uint8_t *ip, size_t size, bool sum_l4)
{
    if (size < 40 || ip[0] >> 4 != 6)
        return;
    size_t payload = get16(ip + 4);
    if (payload > size - 40)
        return;
    verify_l4(check, ip + 40, payload, ip[6], ip + 8, 32, sum_l4);
}

struct inet_check inet_verify(const uint8_t *frame, size_t size, bool sum_l4)
{
    struct inet_check check = { 0 };
    size_t header = 14;
    if (size < header)
        return check;
    uint16_t type = get16(frame + 12);
    if (type == 0x8100 && size >= 18) {
        type = get16(frame + 16);
        header = 18;
    }
    if (type == 0x0800)
        verify_v4(&check, frame + header, size - header, sum_l4);
    else if (type == 0x86dd)
        verify_v6(&check, frame + header, size - header, sum_l4);
    return check;
}
