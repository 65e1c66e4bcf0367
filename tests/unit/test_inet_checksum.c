/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One's complement sums: against a plain definition, and at offsets outside of
 * the frame.
 */
#include "nicemu/inet_checksum.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

static uint16_t plain_sum(const uint8_t *p, size_t size)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < size; i++) {
        sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

static void sum_equals_definition(void)
{
    uint8_t data[600];
    srand(5);
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < sizeof data; i++)
            data[i] = round & 1 ? 0xff : (uint8_t)rand();
        size_t offset = (size_t)rand() % 17, size = (size_t)rand() % 580;
        CU_ASSERT_EQUAL_FATAL(inet_sum(data + offset, size), plain_sum(data + offset, size));
    }
}

static void insert_then_sum_is_all_ones(void)
{
    uint8_t frame[75];
    for (size_t i = 0; i < sizeof frame; i++)
        frame[i] = (uint8_t)(i * 7);
    frame[50] = frame[51] = 0;
    CU_ASSERT_TRUE(inet_checksum_insert(frame, sizeof frame, 34, 50, 0));
    CU_ASSERT_EQUAL(inet_sum(frame + 34, sizeof frame - 34), 0xffff);
}

static void udp_zero_becomes_ones(void)
{
    uint8_t frame[20] = { 0 };
    frame[0] = frame[1] = 0xff;
    CU_ASSERT_TRUE(inet_checksum_insert(frame, sizeof frame, 0, 6, 0));
    CU_ASSERT_EQUAL(frame[6] << 8 | frame[7], 0xffff);
}

static void outside_is_refused(void)
{
    uint8_t *frame = malloc(20); /* a block of its own: a sanitizer sees any step outside */
    memset(frame, 1, 20);
    CU_ASSERT_FALSE(inet_checksum_insert(frame, 20, 20, 4, 0));
    CU_ASSERT_FALSE(inet_checksum_insert(frame, 20, 300, 4, 0));
    CU_ASSERT_FALSE(inet_checksum_insert(frame, 20, 0, 19, 0));
    CU_ASSERT_FALSE(inet_checksum_insert(frame, 20, 0, 20, 0));
    CU_ASSERT_FALSE(inet_checksum_insert(frame, 20, 0, 65535, 0));
    CU_ASSERT_FALSE(inet_checksum_insert(frame, 20, 10, 4, 9)); /* end before start */
    CU_ASSERT_TRUE(inet_checksum_insert(frame, 20, 0, 18, 65535)); /* end beyond: to the end */
    for (int i = 0; i < 18; i++)
        CU_ASSERT_EQUAL(frame[i], 1);
    free(frame);
}

/* A UDP/IPv4 frame of `payload` bytes with right checksums. */
static size_t make_udp(uint8_t *frame, size_t payload)
{
    size_t l4 = 8 + payload;
    memset(frame, 0, 42 + payload);
    frame[12] = 8;
    frame[14] = 0x45;
    frame[16] = (uint8_t)((20 + l4) >> 8);
    frame[17] = (uint8_t)(20 + l4);
    frame[22] = 64;
    frame[23] = 17;
    memcpy(frame + 26, "\x0a\x00\x00\x01\x0a\x00\x00\x02", 8);
    inet_checksum_insert(frame, 34, 14, 24, 0);
    frame[38] = (uint8_t)(l4 >> 8);
    frame[39] = (uint8_t)l4;
    for (size_t i = 0; i < payload; i++)
        frame[42 + i] = (uint8_t)i;
    uint32_t pseudo = inet_sum(frame + 26, 8) + 17u + (uint32_t)l4;
    pseudo = (pseudo & 0xffff) + (pseudo >> 16);
    frame[40] = (uint8_t)(pseudo >> 8);
    frame[41] = (uint8_t)pseudo;
    inet_checksum_insert(frame, 34 + l4, 34, 40, 0);
    return 34 + l4;
}

static void verify_udp(void)
{
    uint8_t frame[200];
    size_t size = make_udp(frame, 33);
    struct inet_check check = inet_verify(frame, size, true);
    CU_ASSERT_TRUE(check.ip_checked && check.ip_good && check.l4_checked && check.l4_good);
    memset(frame + size, 0xee, 5); /* padding behind the datagram is not summed */
    check = inet_verify(frame, size + 5, true);
    CU_ASSERT_TRUE(check.l4_good);
    frame[50] ^= 1;
    check = inet_verify(frame, size, true);
    CU_ASSERT_TRUE(check.ip_good && check.l4_checked && !check.l4_good);
    frame[16 + 3] ^= 1;
    CU_ASSERT_FALSE(inet_verify(frame, size, true).ip_good);
}

static void verify_leaves_alone(void)
{
    uint8_t frame[200];
    size_t size = make_udp(frame, 40);
    frame[20] = 0x20; /* more fragments */
    CU_ASSERT_FALSE(inet_verify(frame, size, true).l4_checked);
    size = make_udp(frame, 40);
    frame[40] = frame[41] = 0; /* no checksum */
    CU_ASSERT_FALSE(inet_verify(frame, size, true).l4_checked);
    size = make_udp(frame, 40);
    frame[38] = 0xff; /* length beyond the packet */
    CU_ASSERT_FALSE(inet_verify(frame, size, true).l4_checked);
    for (size_t cut = 0; cut < size; cut++) { /* every truncation, in a block of its own size */
        uint8_t *copy = malloc(cut + 1);
        make_udp(frame, 40);
        memcpy(copy, frame, cut);
        copy = realloc(copy, cut ? cut : 1);
        CU_ASSERT_FALSE(inet_verify(copy, cut, true).l4_checked);
        free(copy);
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "sum equals its definition", sum_equals_definition },
        { "insert", insert_then_sum_is_all_ones },
        { "UDP's zero", udp_zero_becomes_ones },
        { "offsets outside of the frame", outside_is_refused },
        { "verify UDP", verify_udp },
        { "what is not verified", verify_leaves_alone },
        CU_TEST_INFO_NULL,
    };

    return unit_run("inet_checksum", tests);
}
