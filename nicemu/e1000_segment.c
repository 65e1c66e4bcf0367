/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The second half of e1000's transmitter: finishes a packet's headers, inserts
 * the VLAN tag and hands it to the network (3.5, 7.3). Work that the network
 * can do later is not done here: a checksum still to be summed, and TCP segments of
 * one header, travel as one frame with a struct nic_offload. Where it cannot
 * (UDP segmentation, headers that do not say what the context says, loopback),
 * the packet leaves in single segments with their checksums.
 */
#include "nicemu/e1000.h"
#include "nicemu/inet_checksum.h"

#include <string.h>

#define TCP_FIN 0x01u
#define TCP_PSH 0x08u

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static void add32(uint8_t *p, uint32_t amount)
{
    uint32_t value = ((uint32_t)get16(p) << 16 | get16(p + 2)) + amount;
    put16(p, value >> 16);
    put16(p + 2, value);
}

/* Whether `h`, the header as the driver made it, is the plain TCP header that
 * the context describes, with both checksums to be inserted where they belong:
 * only then do the network's terms say the same as the chip's. */
static bool is_plain_tcp(const struct e1000_tx *tx)
{
    const struct e1000_context *c = &tx->context;
    const uint8_t *h = tx->header;
    size_t ip = c->ipcss, tcp = c->tucss;

    if (!c->tcp || !tx->insert_l4 || ip < NIC_ETH_HEADER || ip > 22 || tcp + 20u > c->hdrlen)
        return false;
    if (c->tucso != tcp + 16 || tcp + (h[tcp + 12] >> 4) * 4u != c->hdrlen || c->tucse != 0)
        return false;
    if (c->ipv4)
        return ip + 20 <= tcp && tx->insert_ip && c->ipcso == ip + 10 && c->ipcse == tcp - 1 &&
               get16(h + ip - 2) == 0x0800 && h[ip] >> 4 == 4 && ip + (h[ip] & 15) * 4u == tcp && h[ip + 9] == 6;
    return ip + 40 == tcp && get16(h + ip - 2) == 0x86dd && h[ip] >> 4 == 6 && h[ip + 6] == 6;
}

/* Payload of a super-frame: as many segments as one IP packet can name. */
static uint32_t super_chunk(const struct e1000_tx *tx)
{
    uint32_t mss = tx->context.mss, longest = NIC_FRAME_MAX - E1000_VLAN_TAG;
    if (longest > UINT16_MAX + (uint32_t)tx->context.ipcss)
        longest = UINT16_MAX + (uint32_t)tx->context.ipcss; /* IP's total length has 16 bits */
    return (longest - tx->context.hdrlen) / mss * mss;
}

/* Payload of a single frame, 0 where it would be too long for one. */
static uint32_t single_chunk(const struct e1000_tx *tx)
{
    return tx->context.mss + (uint32_t)tx->context.hdrlen > E1000_TX_MAX ? 0 : tx->context.mss;
}

/* Whether a saved packet's chunk is one that e1000_segment_begin() would choose
 * (whichever the loopback was then). */
bool e1000_segment_chunk_is_valid(const struct e1000_tx *tx)
{
    if (tx->context.mss == 0 || tx->context.hdrlen < NIC_ETH_HEADER)
        return false;
    return tx->chunk && (tx->chunk == single_chunk(tx) || (is_plain_tcp(tx) && tx->chunk == super_chunk(tx)));
}

/* The header is complete: keeps it for the segments to come, and decides how
 * much payload each takes. False where no segment can be made. */
bool e1000_segment_begin(struct e1000 *e)
{
    struct e1000_tx *tx = &e->tx;
    uint32_t mss = tx->context.mss;

    memcpy(tx->header, e1000_tx_frame(e), tx->context.hdrlen);
    tx->chunk = is_plain_tcp(tx) && !e1000_is_looped_back(e) ? super_chunk(tx) : single_chunk(tx);
    if (!tx->chunk) {
        nic_guest_error(&e->nic, "segments of %u bytes do not fit a frame", mss);
        return false;
    }
    tx->limit = tx->context.hdrlen + tx->chunk;
    return true;
}

/* Writes into the header at `frame` what differs from one segment to the next (3.5.5). */
static void patch_header(struct e1000_tx *tx, uint8_t *frame, bool last)
{
    const struct e1000_context *c = &tx->context;
    size_t ip = c->ipcss, l4 = c->tucss, header = c->hdrlen;

    if (c->ipv4 && ip + 20 <= header) {
        put16(frame + ip + 2, tx->size - (uint32_t)ip);
        put16(frame + ip + 4, get16(frame + ip + 4) + tx->sent_segments);
    } else if (!c->ipv4 && ip + 40 <= header) {
        put16(frame + ip + 4, tx->size - (uint32_t)ip - 40);
    }
    if (c->tcp && l4 + 20 <= header) {
        add32(frame + l4 + 4, tx->sent_payload);
        if (!last)
            frame[l4 + 13] &= (uint8_t)~(TCP_FIN | TCP_PSH);
    } else if (!c->tcp && l4 + 8 <= header) {
        put16(frame + l4 + 4, tx->size - (uint32_t)l4);
    }
    /* The driver leaves the sum of the pseudo header without the length. */
    if (tx->insert_l4 && l4 <= header && c->tucso + 2u <= header)
        put16(frame + c->tucso, inet_fold((uint64_t)get16(frame + c->tucso) + tx->size - l4));
}

/* Hands on the L4 checksum where the network's terms can say it, or inserts it. */
static void finish_l4(struct e1000 *e, uint8_t *frame, struct nic_offload *offload)
{
    struct e1000_tx *tx = &e->tx;
    const struct e1000_context *c = &tx->context;
    if (c->tucss >= tx->size || c->tucso + 2u > tx->size) {
        nic_guest_error(&e->nic, "checksum from %u into %u of a packet of %u bytes", c->tucss, c->tucso, tx->size);
        return;
    }
    bool to_end = c->tucse == 0 || c->tucse + 1u >= tx->size;
    if (to_end && c->tucso >= c->tucss && !e1000_is_looped_back(e)) {
        offload->flags = NIC_OFFLOAD_NEEDS_CSUM;
        offload->csum_start = c->tucss;
        offload->csum_offset = (uint16_t)(c->tucso - c->tucss);
    } else {
        inet_checksum_insert(frame, tx->size, c->tucss, c->tucso, to_end ? 0 : c->tucse + 1u);
    }
}

static void finish_checksums(struct e1000 *e, uint8_t *frame, struct nic_offload *offload)
{
    struct e1000_tx *tx = &e->tx;
    const struct e1000_context *c = &tx->context;
    if (tx->insert_ip) {
        /* The header's old sum may stand in the field: the chip sums over zero. */
        bool inside = c->ipcso + 2u <= tx->size && c->ipcss < tx->size;
        if (inside)
            put16(frame + c->ipcso, 0);
        if (!inside || !inet_checksum_insert(frame, tx->size, c->ipcss, c->ipcso, c->ipcse ? c->ipcse + 1u : 0))
            nic_guest_error(&e->nic, "IP checksum from %u into %u of a packet of %u bytes", c->ipcss, c->ipcso,
                            tx->size);
    }
    if (tx->insert_l4 || tx->legacy_insert)
        finish_l4(e, frame, offload);
}

/* Moves the addresses into the room before the frame and puts the tag behind
 * them; the frame's new start. */
static uint8_t *insert_tag(struct e1000 *e, uint8_t *frame, struct nic_offload *offload)
{
    memmove(frame - E1000_VLAN_TAG, frame, 12);
    frame -= E1000_VLAN_TAG;
    put16(frame + 12, REG(e, VET));
    put16(frame + 14, e->tx.vlan_tag);
    e->tx.size += E1000_VLAN_TAG;
    if (offload->flags)
        offload->csum_start = (uint16_t)(offload->csum_start + E1000_VLAN_TAG);
    if (offload->gso_type)
        offload->hdr_len = (uint16_t)(offload->hdr_len + E1000_VLAN_TAG);
    return frame;
}

static void count(struct e1000 *e, const uint8_t *frame, const struct nic_offload *offload)
{
    if (!offload->gso_type) {
        e1000_count_transmitted(e, frame, e->tx.size, 1);
        return;
    }
    uint32_t payload = e->tx.size - offload->hdr_len, full = payload / offload->gso_size;
    uint32_t rest = payload % offload->gso_size;
    e1000_count_transmitted(e, frame, (size_t)offload->hdr_len + offload->gso_size, full);
    if (rest)
        e1000_count_transmitted(e, frame, (size_t)offload->hdr_len + rest, 1);
}

static void hand_on(struct e1000 *e, const uint8_t *frame, size_t size, const struct nic_offload *offload)
{
    e->tx.work += E1000_TX_FRAME_WORK;
    if (e1000_is_looped_back(e)) {
        e1000_rx_loop_back(e, frame, size);
        return;
    }
    bool plain = !offload->flags && !offload->gso_type;
    if (!e->nic.host.send_frame(e->nic.host.opaque, frame, size, plain ? NULL : offload))
        e->nic.counters.tx_errors++;
    e->tx.flush = true;
}

/* After a segment, the buffer begins anew with the driver's header. */
static void begin_next_segment(struct e1000 *e, uint32_t payload)
{
    struct e1000_tx *tx = &e->tx;
    tx->sent_payload += payload;
    tx->sent_segments = (uint16_t)(tx->sent_segments + (payload + tx->context.mss - 1) / tx->context.mss);
    memcpy(e1000_tx_frame(e), tx->header, tx->context.hdrlen);
    tx->size = tx->context.hdrlen;
}

/* Sends what the buffer holds: a whole packet, or one chunk of a segmented one. */
void e1000_segment_send(struct e1000 *e, bool last)
{
    struct e1000_tx *tx = &e->tx;
    struct nic_offload offload = { 0 };
    uint8_t *frame = e1000_tx_frame(e);
    uint32_t payload = 0;

    if (tx->size < NIC_ETH_HEADER) {
        nic_guest_error(&e->nic, "packet of %u bytes", tx->size);
        e->nic.counters.tx_errors++;
        return;
    }
    if (tx->segment) {
        payload = tx->size - tx->context.hdrlen;
        patch_header(tx, frame, last);
        e1000_count(e, E1000_TSCTC, last);
    }
    finish_checksums(e, frame, &offload);
    if (tx->segment && payload > tx->context.mss) {
        offload.gso_type = tx->context.ipv4 ? NIC_GSO_TCPV4 : NIC_GSO_TCPV6;
        offload.gso_size = tx->context.mss;
        offload.hdr_len = tx->context.hdrlen;
    }
    if (tx->size < NIC_MIN_FRAME && (REG(e, TCTL) & TCTL_PSP)) {
        memset(frame + tx->size, 0, NIC_MIN_FRAME - tx->size);
        tx->size = NIC_MIN_FRAME;
    }
    if (tx->vlan)
        frame = insert_tag(e, frame, &offload);
    count(e, frame, &offload);
    hand_on(e, frame, tx->size, &offload);
    if (tx->segment && !last)
        begin_next_segment(e, payload);
}
