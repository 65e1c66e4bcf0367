/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Frames for the NIC models' fuzzer: to somebody that the filter mostly knows, with
 * checksums that are right, nearly right, or not.
 */
#include "nicemu/inet_checksum.h"
#include "tests/fuzz/fuzz_nic.h"

#include <string.h>

static void put16(uint8_t *at, uint32_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

/* Somebody that the filter mostly knows. */
static void put_destination(uint8_t *frame)
{
    static const uint8_t known[][6] = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, { 0x01, 0x00, 0x5e, 0x01, 0x02, 0x03 },
                                        { 0x33, 0x33, 0x00, 0x00, 0x00, 0x01 } };
    uint32_t which = below(12);
    if (which < 3)
        memcpy(frame, known[which], 6);
    else if (which < 11)
        memcpy(frame, fake_mac, 6);
}

/* IP with TCP or UDP behind the headers that are there; its checksums are right, or nearly, or not. */
static void put_ip(uint8_t *frame, size_t size, size_t at)
{
    bool v6 = below(3) == 0, udp = below(2);
    size_t l4 = at + (v6 ? 40 : 20 + 4 * below(3)), l4_size = size - l4;
    uint8_t protocol = udp ? 17 : 6;
    if (size < l4 + 20)
        return;
    put16(frame + at - 2, v6 ? 0x86dd : 0x0800);
    frame[at] = (uint8_t)(v6 ? 0x60 : 0x40 | (l4 - at) / 4);
    put16(frame + at + (v6 ? 4 : 2), (uint32_t)(v6 ? l4_size : size - at));
    frame[at + (v6 ? 6 : 9)] = protocol;
    if (!v6) {
        put16(frame + at + 6, below(8) ? 0x4000 : draw()); /* fragments are seldom */
        put16(frame + at + 10, 0);
        inet_checksum_insert(frame, size, at, at + 10, l4);
    }
    if (udp)
        put16(frame + l4 + 4, (uint32_t)l4_size);
    size_t field = l4 + (udp ? 6 : 16), addresses = v6 ? 32 : 8;
    put16(frame + field, inet_fold((uint64_t)inet_sum(frame + l4 - addresses, addresses) + protocol + l4_size));
    inet_checksum_insert(frame, size, l4, field, 0);
    if (below(4) == 0)
        frame[below((uint32_t)size)] ^= (uint8_t)(1u << below(8));
}

void fill_frame(uint8_t *frame, size_t size)
{
    for (size_t i = 0; i < size; i++)
        frame[i] = (uint8_t)draw();
    if (size < 18 || below(16) == 0)
        return;
    size_t header = below(4) ? 14 : 18; /* with a tag */
    put_destination(frame);
    if (header == 18)
        put16(frame + 12, 0x8100);
    if (below(16) == 0)
        memcpy(memcpy(frame, "\x01\x80\xc2\x00\x00\x01", 6) + 12, "\x88\x08\x00\x01", 4); /* PAUSE */
    else if (below(4))
        put_ip(frame, size, header);
}
