/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Checksums and TCP segmentation in software (offload.h). A super-frame's
 * headers are parsed anew where they are needed: the metadata only says that
 * somebody wants it cut.
 */
#include "vswitchd/core/offload.h"

#include <string.h>

#include "vswitchd/core/eth_frame.h"

#define IPV4_HEADER_MIN 20u
#define IPV6_HEADER_SIZE 40u
#define TCP_HEADER_MIN 20u
#define TCP_CSUM_OFFSET 16u
#define PROTOCOL_TCP 6u
#define IPV6_EXTENSIONS_MAX 8u
#define TAGS_MAX 2u
/* More segments than a 64 KiB frame at any usual segment size: a tiny gso_size would buy a sender a lot of our time. */
#define SEGMENTS_MAX 512u
#define TCP_FIN 0x01u
#define TCP_PSH 0x08u
#define TCP_CWR 0x80u

/* Where the headers of a TCP super-frame lie. */
struct tcp_layout {
    bool ipv6;
    uint32_t ip;      /* offset of the IP header */
    uint32_t tcp;     /* offset of the TCP header */
    uint32_t payload; /* offset of the payload: size of all headers */
};

uint32_t offload_sum(uint32_t sum, const uint8_t *data, size_t size)
{
    uint64_t total = 0;
    for (; size >= 32; data += 32, size -= 32) {
        uint32_t w[8];
        memcpy(w, data, sizeof(w));
        total += (uint64_t)w[0] + w[1] + w[2] + w[3];
        total += (uint64_t)w[4] + w[5] + w[6] + w[7];
    }
    for (; size >= 2; data += 2, size -= 2) {
        uint16_t w;
        memcpy(&w, data, sizeof(w));
        total += w;
    }
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    /* The sum of byte-swapped words is the byte-swapped sum. */
    uint8_t folded[2];
    uint16_t native = (uint16_t)total;
    memcpy(folded, &native, sizeof(folded));
    uint32_t result = eth_get16(folded);
    if (size)
        result += (uint32_t)data[0] << 8;
    return offload_fold(result + (sum & 0xffff) + (sum >> 16));
}

uint16_t offload_fold(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* The offset behind the type field, with up to two tags skipped; 0 when the frame is too short. */
static uint32_t skip_tags(const struct frame *frame, uint16_t *type)
{
    uint32_t at = ETH_HEADER_SIZE;
    if (frame->size < at)
        return 0;
    *type = eth_get16(frame->data + at - 2);
    for (unsigned i = 0; i < TAGS_MAX && (*type == ETH_TYPE_VLAN || *type == ETH_TYPE_QINQ); i++) {
        at += ETH_TAG_SIZE;
        if (frame->size < at)
            return 0;
        *type = eth_get16(frame->data + at - 2);
    }
    return at;
}

static bool parse_ipv4(const struct frame *frame, struct tcp_layout *layout)
{
    const uint8_t *ip = frame->data + layout->ip;
    if (frame->size < layout->ip + IPV4_HEADER_MIN || ip[0] >> 4 != 4)
        return false;
    uint32_t size = (ip[0] & 15u) * 4u;
    bool fragment = eth_get16(ip + 6) & 0x3fff;
    layout->tcp = layout->ip + size;
    return size >= IPV4_HEADER_MIN && ip[9] == PROTOCOL_TCP && !fragment;
}

static bool parse_ipv6(const struct frame *frame, struct tcp_layout *layout)
{
    const uint8_t *ip = frame->data + layout->ip;
    if (frame->size < layout->ip + IPV6_HEADER_SIZE || ip[0] >> 4 != 6)
        return false;
    uint8_t next = ip[6];
    uint32_t at = layout->ip + IPV6_HEADER_SIZE;
    for (unsigned i = 0; i < IPV6_EXTENSIONS_MAX && next != PROTOCOL_TCP; i++) {
        bool skippable = next == 0 || next == 43 || next == 60; /* hop-by-hop, routing, destination options */
        if (!skippable || frame->size < at + 8)
            return false;
        next = frame->data[at];
        at += (frame->data[at + 1] + 1u) * 8u;
    }
    layout->tcp = at;
    return next == PROTOCOL_TCP;
}

static bool parse_tcp(const struct frame *frame, struct tcp_layout *layout)
{
    uint16_t type = 0;
    layout->ip = skip_tags(frame, &type);
    layout->ipv6 = type == ETH_TYPE_IPV6;
    if (layout->ip == 0 || frame->size - layout->ip > 65535u + (layout->ipv6 ? IPV6_HEADER_SIZE : 0))
        return false;
    bool known = layout->ipv6 ? parse_ipv6(frame, layout) : type == ETH_TYPE_IPV4 && parse_ipv4(frame, layout);
    if (!known || frame->size < layout->tcp + TCP_HEADER_MIN)
        return false;
    uint32_t size = (frame->data[layout->tcp + 12] >> 4) * 4u;
    layout->payload = layout->tcp + size;
    return size >= TCP_HEADER_MIN && layout->payload < frame->size;
}

static bool check_gso(struct frame *frame)
{
    struct frame_offload *offload = &frame->offload;
    struct tcp_layout layout;
    unsigned type = offload->gso_type & ~(unsigned)FRAME_GSO_ECN;
    if (type != FRAME_GSO_TCPV4 && type != FRAME_GSO_TCPV6)
        return false;
    if (!(offload->flags & FRAME_NEEDS_CSUM) || offload->gso_size == 0 || !parse_tcp(frame, &layout))
        return false;
    if (layout.ipv6 != (type == FRAME_GSO_TCPV6))
        return false;
    if (offload->csum_start != layout.tcp || offload->csum_offset != TCP_CSUM_OFFSET)
        return false;
    uint32_t payload = frame->size - layout.payload;
    if ((payload + offload->gso_size - 1) / offload->gso_size > SEGMENTS_MAX)
        return false;
    offload->hdr_len = (uint16_t)layout.payload;
    return true;
}

bool offload_check(struct frame *frame)
{
    struct frame_offload *offload = &frame->offload;
    offload->flags &= FRAME_NEEDS_CSUM | FRAME_DATA_VALID;
    if (offload->flags & FRAME_NEEDS_CSUM) {
        bool tagged = frame->size >= ETH_HEADER_SIZE && eth_get16(frame->data + ETH_HEADER_SIZE - 2) == ETH_TYPE_VLAN;
        uint32_t header = ETH_HEADER_SIZE + (tagged ? ETH_TAG_SIZE : 0);
        if (offload->csum_start < header || (uint32_t)offload->csum_start + offload->csum_offset + 2 > frame->size)
            return false;
    } else {
        offload->csum_start = 0;
        offload->csum_offset = 0;
    }
    if (offload->gso_type != FRAME_GSO_NONE)
        return check_gso(frame);
    offload->hdr_len = 0;
    offload->gso_size = 0;
    return true;
}

uint32_t offload_wire_size(const struct frame *frame)
{
    if (frame->offload.gso_type == FRAME_GSO_NONE)
        return frame->size;
    uint32_t segment = (uint32_t)frame->offload.hdr_len + frame->offload.gso_size;
    return segment < frame->size ? segment : frame->size;
}

void offload_complete_csum(struct frame *frame)
{
    struct frame_offload *offload = &frame->offload;
    if (offload->flags & FRAME_NEEDS_CSUM) {
        uint32_t start = offload->csum_start;
        uint16_t csum = (uint16_t)~offload_sum(0, frame->data + start, frame->size - start);
        /* 0 means "none" in UDP; in ones' complement 0xffff is the same number. */
        eth_put16(frame->data + start + offload->csum_offset, csum ? csum : 0xffff);
    }
    *offload = (struct frame_offload){.flags = FRAME_DATA_VALID};
}

/* The checksum of the pseudo-header that TCP's covers. */
static uint32_t pseudo_sum(const uint8_t *ip, bool ipv6, uint32_t tcp_size)
{
    uint32_t sum = ipv6 ? offload_sum(0, ip + 8, 32) : offload_sum(0, ip + 12, 8);
    return sum + PROTOCOL_TCP + (tcp_size & 0xffff) + (tcp_size >> 16);
}

/* Makes the headers, copied from the super-frame, those of one segment. */
static void finish_segment(struct frame *segment, const struct tcp_layout *layout, uint32_t index, uint32_t done,
                           bool last)
{
    uint8_t *ip = segment->data + layout->ip;
    uint8_t *tcp = segment->data + layout->tcp;
    uint32_t tcp_size = segment->size - layout->tcp;
    if (layout->ipv6) {
        eth_put16(ip + 4, (uint16_t)(segment->size - layout->ip - IPV6_HEADER_SIZE));
    } else {
        eth_put16(ip + 2, (uint16_t)(segment->size - layout->ip));
        eth_put16(ip + 4, (uint16_t)(eth_get16(ip + 4) + index));
        eth_put16(ip + 10, 0);
        eth_put16(ip + 10, (uint16_t)~offload_sum(0, ip, layout->tcp - layout->ip));
    }
    eth_put32(tcp + 4, eth_get32(tcp + 4) + done);
    if (index > 0)
        tcp[13] &= (uint8_t)~TCP_CWR;
    if (!last)
        tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    eth_put16(tcp + TCP_CSUM_OFFSET, 0);
    uint32_t sum = pseudo_sum(ip, layout->ipv6, tcp_size);
    eth_put16(tcp + TCP_CSUM_OFFSET, (uint16_t)~offload_sum(sum, tcp, tcp_size));
}

unsigned offload_segment(const struct frame *frame, uint8_t *scratch,
                         bool (*emit)(void *context, struct frame *segment), void *context)
{
    struct tcp_layout layout;
    unsigned count = 0;
    if (frame->offload.gso_size == 0 || !parse_tcp(frame, &layout))
        return 0;
    uint32_t total = frame->size - layout.payload;
    for (uint32_t done = 0; done < total; done += frame->offload.gso_size) {
        uint32_t part = total - done < frame->offload.gso_size ? total - done : frame->offload.gso_size;
        struct frame segment = {.data = scratch + FRAME_HEADROOM, .size = layout.payload + part};
        memcpy(segment.data, frame->data, layout.payload);
        memcpy(segment.data + layout.payload, frame->data + layout.payload + done, part);
        finish_segment(&segment, &layout, count, done, done + part == total);
        segment.offload.flags = FRAME_DATA_VALID;
        count++;
        if (!emit(context, &segment))
            break;
    }
    return count;
}
