/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of core/offload: sums against a slow reference, segments against
 * checksums computed here in another way, and metadata that lies.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "vswitchd/core/eth_frame.h"
#include "vswitchd/core/offload.h"

static uint8_t memory[FRAME_BUFFER_SIZE];
static uint8_t scratch[FRAME_BUFFER_SIZE];

/* RFC 1071 as it is written: byte pairs, one after the other. */
static uint16_t reference_sum(const uint8_t *data, size_t size, uint32_t start)
{
    uint32_t sum = start;
    for (size_t i = 0; i < size; i++) {
        sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

static void test_sum(void)
{
    uint8_t bytes[300];
    unsigned seed = 3;
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)((seed = seed * 1103515245u + 12345u) >> 16);
    for (unsigned offset = 0; offset < 9; offset++)
        for (unsigned size = 0; size < 280; size++)
            CU_ASSERT_EQUAL(offload_sum(0, bytes + offset, size), reference_sum(bytes + offset, size, 0));
    memset(bytes, 0xff, sizeof(bytes));
    CU_ASSERT_EQUAL(offload_sum(0, bytes, 256), 0xffff);
    CU_ASSERT_EQUAL(offload_sum(0x12345, bytes, 0), 0x2346);
    CU_ASSERT_EQUAL(offload_fold(0xffffffff), 0xffff);
    /* RFC 1071's own example. */
    CU_ASSERT_EQUAL(offload_sum(0, (const uint8_t *)"\x00\x01\xf2\x03\xf4\xf5\xf6\xf7", 8), 0xddf2);
}

/* ---- frames to cut ---- */

struct shape {
    bool ipv6;
    unsigned tags;       /* 0 to 2 */
    unsigned ip_options; /* IPv4: option bytes; IPv6: size of a hop-by-hop header */
    unsigned tcp_options;
    uint32_t payload;
    uint16_t gso_size;
    uint8_t flags;
};

static uint32_t ip_at, tcp_at, payload_at;

static struct frame build(const struct shape *shape)
{
    struct frame frame = {.data = memory + FRAME_HEADROOM};
    uint8_t *p = frame.data;
    memset(p, 0x22, 12);
    p[0] = 2;
    ip_at = 14;
    for (unsigned i = 0; i < shape->tags; i++, ip_at += 4) {
        eth_put16(p + ip_at - 2, shape->tags == 2 && i == 0 ? 0x88a8 : 0x8100);
        eth_put16(p + ip_at, (uint16_t)(0x2000 + i));
    }
    eth_put16(p + ip_at - 2, shape->ipv6 ? 0x86dd : 0x0800);
    uint8_t *ip = p + ip_at;
    uint32_t ip_size = (shape->ipv6 ? 40 : 20) + shape->ip_options;
    uint32_t tcp_size = 20 + shape->tcp_options;
    tcp_at = ip_at + ip_size;
    payload_at = tcp_at + tcp_size;
    frame.size = payload_at + shape->payload;
    memset(ip, 0, ip_size + tcp_size);
    if (shape->ipv6) {
        ip[0] = 0x60;
        eth_put16(ip + 4, (uint16_t)(frame.size - ip_at - 40));
        ip[6] = shape->ip_options ? 0 : 6;
        if (shape->ip_options) {
            ip[40] = 6;
            ip[41] = (uint8_t)(shape->ip_options / 8 - 1);
        }
        for (unsigned i = 8; i < 40; i++)
            ip[i] = (uint8_t)(i * 5);
    } else {
        ip[0] = (uint8_t)(0x40 | ip_size / 4);
        eth_put16(ip + 2, (uint16_t)(frame.size - ip_at));
        eth_put16(ip + 4, 0xfffe); /* wraps within the segments */
        eth_put16(ip + 6, 0x4000);
        ip[8] = 64;
        ip[9] = 6;
        memcpy(ip + 12, "\x0a\x4d\x00\x01\x0a\x4d\x00\x02", 8);
        memset(ip + 20, 1, shape->ip_options);
    }
    uint8_t *tcp = p + tcp_at;
    eth_put16(tcp, 4000);
    eth_put16(tcp + 2, 80);
    eth_put32(tcp + 4, 0xfffffff0); /* wraps, too */
    tcp[12] = (uint8_t)(tcp_size / 4 << 4);
    tcp[13] = shape->flags;
    eth_put16(tcp + 14, 1000);
    eth_put16(tcp + 16, 0xdead); /* whatever the sender left there */
    memset(tcp + 20, 1, shape->tcp_options);
    for (uint32_t i = 0; i < shape->payload; i++)
        p[payload_at + i] = (uint8_t)(i * 13 + i / 256);
    frame.offload = (struct frame_offload){
        .flags = FRAME_NEEDS_CSUM,
        .gso_type = shape->ipv6 ? FRAME_GSO_TCPV6 : FRAME_GSO_TCPV4,
        .hdr_len = 0, /* a lie: must be corrected */
        .gso_size = shape->gso_size,
        .csum_start = (uint16_t)tcp_at,
        .csum_offset = 16,
    };
    return frame;
}

static uint16_t pseudo_header(const uint8_t *ip, bool ipv6, uint32_t tcp_size)
{
    uint8_t bytes[40] = {0};
    size_t size = ipv6 ? 32 : 8;
    memcpy(bytes, ip + (ipv6 ? 8 : 12), size);
    if (ipv6) {
        eth_put32(bytes + 32, tcp_size);
        bytes[39] = 6;
        return reference_sum(bytes, 40, 0);
    }
    bytes[9] = 6;
    eth_put16(bytes + 10, (uint16_t)tcp_size);
    return reference_sum(bytes, 12, 0);
}

struct collected {
    const struct shape *shape;
    unsigned count;
    uint32_t bytes;
    unsigned stop_after; /* 0: never */
};

static bool check_segment(void *context, struct frame *segment)
{
    struct collected *c = context;
    const uint8_t *p = segment->data;
    const uint8_t *ip = p + ip_at;
    const uint8_t *tcp = p + tcp_at;
    uint32_t part = segment->size - payload_at;
    bool last = c->bytes + part == c->shape->payload;
    CU_ASSERT_TRUE_FATAL(part > 0 && c->bytes + part <= c->shape->payload);
    CU_ASSERT_TRUE(part == c->shape->gso_size || (last && part < c->shape->gso_size));
    CU_ASSERT_EQUAL(memcmp(p, memory + FRAME_HEADROOM, ip_at), 0);
    CU_ASSERT_EQUAL(memcmp(p + payload_at, memory + FRAME_HEADROOM + payload_at + c->bytes, part), 0);
    if (c->shape->ipv6) {
        CU_ASSERT_EQUAL(eth_get16(ip + 4), segment->size - ip_at - 40);
    } else {
        CU_ASSERT_EQUAL(eth_get16(ip + 2), segment->size - ip_at);
        CU_ASSERT_EQUAL(eth_get16(ip + 4), (uint16_t)(0xfffe + c->count));
        CU_ASSERT_EQUAL(reference_sum(ip, tcp_at - ip_at, 0), 0xffff);
    }
    CU_ASSERT_EQUAL(eth_get32(tcp + 4), 0xfffffff0u + c->bytes);
    CU_ASSERT_EQUAL(reference_sum(tcp, segment->size - tcp_at,
                                  pseudo_header(ip, c->shape->ipv6, segment->size - tcp_at)), 0xffff);
    uint8_t expected = c->shape->flags;
    expected &= (uint8_t)~(last ? 0 : 0x09); /* FIN, PSH: on the last */
    expected &= (uint8_t)~(c->count ? 0x80 : 0); /* CWR: on the first */
    CU_ASSERT_EQUAL(tcp[13], expected);
    CU_ASSERT_EQUAL(segment->offload.gso_type, FRAME_GSO_NONE);
    CU_ASSERT_FALSE(segment->offload.flags & FRAME_NEEDS_CSUM);
    c->count++;
    c->bytes += part;
    return c->count != c->stop_after;
}

static const struct shape shapes[] = {
    {false, 0, 0, 0, 4380, 1460, 0x18},   {false, 0, 0, 12, 4381, 1448, 0x10},  {false, 1, 0, 12, 10000, 1448, 0x19},
    {false, 2, 8, 20, 9999, 1000, 0x11},  {false, 0, 40, 40, 3001, 536, 0x98},  {false, 0, 0, 0, 100, 1460, 0x18},
    {false, 0, 0, 0, 1, 1460, 0x98},      {false, 0, 0, 0, 65495, 1460, 0x18},  {false, 1, 0, 12, 65483, 8948, 0x18},
    {true, 0, 0, 0, 4380, 1440, 0x18},    {true, 1, 0, 12, 65001, 1428, 0x99},  {true, 0, 8, 12, 5000, 1400, 0x18},
    {true, 2, 24, 0, 7777, 777, 0x01},    {true, 0, 0, 12, 65475, 1428, 0x10},
};
#define SHAPE_COUNT (sizeof(shapes) / sizeof(shapes[0]))

static void test_segments(void)
{
    for (unsigned i = 0; i < SHAPE_COUNT; i++) {
        const struct shape *shape = &shapes[i];
        struct frame frame = build(shape);
        CU_ASSERT_TRUE_FATAL(offload_check(&frame));
        CU_ASSERT_EQUAL(frame.offload.hdr_len, payload_at);
        uint32_t wire = payload_at + shape->gso_size;
        CU_ASSERT_EQUAL(offload_wire_size(&frame), wire < frame.size ? wire : frame.size);
        struct collected c = {.shape = shape};
        unsigned count = offload_segment(&frame, scratch, check_segment, &c);
        CU_ASSERT_EQUAL(count, (shape->payload + shape->gso_size - 1) / shape->gso_size);
        CU_ASSERT_EQUAL(c.count, count);
        CU_ASSERT_EQUAL(c.bytes, shape->payload);
    }
    struct frame frame = build(&shapes[0]);
    struct collected c = {.shape = &shapes[0], .stop_after = 2};
    CU_ASSERT_EQUAL(offload_segment(&frame, scratch, check_segment, &c), 2);
}

/* ---- checksums ---- */

static void test_complete_csum(void)
{
    for (uint32_t size = 60; size < 70; size++) {
        struct frame frame = {.data = memory + FRAME_HEADROOM, .size = size};
        for (uint32_t i = 0; i < size; i++)
            frame.data[i] = (uint8_t)(i * 31);
        frame.offload = (struct frame_offload){.flags = FRAME_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};
        uint16_t pseudo = eth_get16(frame.data + 40); /* the sender's share, already in the field */
        uint8_t copy[80];
        memcpy(copy, frame.data, size);
        eth_put16(copy + 40, 0);
        CU_ASSERT_TRUE(offload_check(&frame));
        offload_complete_csum(&frame);
        CU_ASSERT_EQUAL(frame.offload.flags, FRAME_DATA_VALID);
        CU_ASSERT_EQUAL(reference_sum(frame.data + 34, size - 34, pseudo), 0xffff);
        CU_ASSERT_EQUAL(memcmp(frame.data, copy, 40), 0);
        CU_ASSERT_EQUAL(memcmp(frame.data + 42, copy + 42, size - 42), 0);
    }
    /* A sum of 0 is written as 0xffff. */
    struct frame frame = {.data = memory + FRAME_HEADROOM, .size = 60};
    memset(frame.data, 0, 60);
    eth_put16(frame.data + 50, 0xffff);
    frame.offload = (struct frame_offload){.flags = FRAME_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};
    offload_complete_csum(&frame);
    CU_ASSERT_EQUAL(eth_get16(frame.data + 40), 0xffff);
}

/* ---- metadata that lies ---- */

static bool accepted(struct frame frame)
{
    /* In memory of exactly its size, so that a sanitizer sees a byte too many. */
    uint8_t *bytes = malloc(frame.size ? frame.size : 1);
    memcpy(bytes, frame.data, frame.size);
    frame.data = bytes;
    bool ok = offload_check(&frame);
    free(bytes);
    return ok;
}

static void test_csum_bounds(void)
{
    static const struct {
        uint32_t size;
        uint16_t start, offset;
        bool valid;
    } rows[] = {
        {60, 34, 16, true},  {60, 34, 24, true},      {60, 34, 25, false},       {60, 58, 0, true},      {60, 59, 0, false},
        {60, 60, 0, false},  {60, 14, 0, true},       {60, 13, 0, false},        {60, 0, 0, false},      {60, 65535, 65535, false},
        {16, 14, 0, true},   {15, 14, 0, false},      {0, 0, 0, false},          {60, 34, 65535, false}, {60, 65535, 1, false},
    };
    struct frame frame = {.data = memory + FRAME_HEADROOM};
    memset(frame.data, 0, 64);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        frame.size = rows[i].size;
        frame.offload = (struct frame_offload){
            .flags = FRAME_NEEDS_CSUM, .csum_start = rows[i].start, .csum_offset = rows[i].offset};
        CU_ASSERT_EQUAL(accepted(frame), rows[i].valid);
    }
    /* Behind a tag, the tag is header, too: it might be removed. */
    eth_put16(frame.data + 12, ETH_TYPE_VLAN);
    frame.size = 60;
    frame.offload = (struct frame_offload){.flags = FRAME_NEEDS_CSUM, .csum_start = 16};
    CU_ASSERT_FALSE(accepted(frame));
    frame.offload.csum_start = 18;
    CU_ASSERT_TRUE(accepted(frame));
    /* Unknown flags and left-overs are cleared, not passed on. */
    frame.offload = (struct frame_offload){.flags = 0xfc, .hdr_len = 9, .gso_size = 9, .csum_start = 9, .csum_offset = 9};
    CU_ASSERT_TRUE(offload_check(&frame));
    CU_ASSERT_EQUAL(memcmp(&frame.offload, &(struct frame_offload){0}, sizeof(frame.offload)), 0);
}

static void test_gso_lies(void)
{
    const struct shape base = {false, 0, 0, 12, 5000, 1448, 0x18};
    const struct shape base6 = {true, 0, 8, 12, 5000, 1400, 0x18};
    struct frame frame = build(&base);
    CU_ASSERT_TRUE(accepted(frame));
#define REFUSED(change)                \
    do {                               \
        frame = build(&base);          \
        change;                        \
        CU_ASSERT_FALSE(accepted(frame)); \
    } while (0)
    REFUSED(frame.offload.gso_size = 0);
    REFUSED(frame.offload.gso_size = 1); /* 5000 segments */
    REFUSED(frame.offload.flags = 0);
    REFUSED(frame.offload.gso_type = FRAME_GSO_TCPV6);
    REFUSED(frame.offload.gso_type = FRAME_GSO_UDP);
    REFUSED(frame.offload.gso_type = 2);
    REFUSED(frame.offload.gso_type = FRAME_GSO_ECN);
    REFUSED(frame.offload.csum_start++);
    REFUSED(frame.offload.csum_offset = 6);
    REFUSED(frame.size = payload_at);
    REFUSED(frame.size = tcp_at + 19);
    REFUSED(frame.data[ip_at] = 0x44);      /* header of 16 bytes */
    REFUSED(frame.data[ip_at] = 0x65);      /* version 6 in an IPv4 frame */
    REFUSED(frame.data[ip_at] = 0x4f);      /* header reaches elsewhere than csum_start */
    REFUSED(frame.data[ip_at + 9] = 17);    /* UDP */
    REFUSED(frame.data[ip_at + 7] = 1);     /* a fragment */
    REFUSED(frame.data[tcp_at + 12] = 0x40); /* TCP header of 16 bytes */
    REFUSED(eth_put16(frame.data + 12, 0x0806));
    REFUSED(eth_put16(frame.data + 12, 0x8100)); /* claims a tag: everything lies elsewhere */
#undef REFUSED
    frame = build(&base);
    frame.offload.gso_type |= FRAME_GSO_ECN;
    CU_ASSERT_TRUE(accepted(frame));
    frame.data[tcp_at + 12] = 0xf0; /* options up to 40 bytes: header of 60, still inside */
    CU_ASSERT_TRUE(accepted(frame));

    frame = build(&base6);
    CU_ASSERT_TRUE(accepted(frame));
    frame.data[ip_at + 40] = 44; /* fragment header */
    CU_ASSERT_FALSE(accepted(frame));
    frame = build(&base6);
    frame.data[ip_at + 41] = 255; /* an extension that reaches beyond TCP */
    CU_ASSERT_FALSE(accepted(frame));
    frame = build(&base6);
    memset(frame.data + ip_at + 40, 0, frame.size - ip_at - 40); /* extensions without end */
    CU_ASSERT_FALSE(accepted(frame));
}

static bool count_bytes(void *context, struct frame *segment)
{
    *(uint32_t *)context += segment->size;
    return true;
}

static void test_random_metadata(void)
{
    /* Whatever the metadata and the headers: accepted frames can be cut and completed without leaving their bytes. */
    unsigned seed = 11, passed = 0;
    for (unsigned i = 0; i < 20000; i++) {
        struct frame frame = build(&shapes[i % SHAPE_COUNT]);
        uint32_t full = frame.size;
        for (unsigned k = 0; k < 2; k++) {
            seed = seed * 1664525u + 1013904223u;
            frame.data[12 + (seed >> 8) % (payload_at - 12)] = (uint8_t)(seed >> 24);
        }
        seed = seed * 1664525u + 1013904223u;
        if (seed >> 30 == 0)
            frame.size = (seed >> 4) % (full + 1);
        if (seed >> 30 == 1)
            ((uint8_t *)&frame.offload)[(seed >> 4) % sizeof(frame.offload)] = (uint8_t)(seed >> 16);
        uint8_t *bytes = malloc(frame.size ? frame.size : 1);
        memcpy(bytes, frame.data, frame.size);
        frame.data = bytes;
        if (offload_check(&frame)) {
            passed++;
            CU_ASSERT_TRUE(offload_wire_size(&frame) <= frame.size);
            uint32_t emitted = 0;
            if (frame.offload.gso_type == FRAME_GSO_NONE)
                offload_complete_csum(&frame);
            else
                CU_ASSERT_TRUE(offload_segment(&frame, scratch, count_bytes, &emitted) > 0 && emitted >= frame.size);
        }
        free(bytes);
    }
    CU_ASSERT_TRUE(passed > 1000 && passed < 19000);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "sums", test_sum },
        { "segments", test_segments },
        { "completed checksums", test_complete_csum },
        { "cve class D: checksum bounds", test_csum_bounds },
        { "cve class M: lies about segments", test_gso_lies },
        { "cve class M: random metadata", test_random_metadata },
        CU_TEST_INFO_NULL,
    };

    return unit_run("offload", tests);
}
