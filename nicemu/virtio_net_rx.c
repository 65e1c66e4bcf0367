/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The paravirtual card's receive queue (virtio 1.1, 5.1.6.3, 5.1.6.4): a frame goes into
 * one chain, or into as many as it takes where the driver merges them. What it is still to
 * have done (checksum, segmentation) is said in its header where the driver accepts that;
 * otherwise a checksum is completed here, and super-frames are not sent to this card.
 */
#include "nicemu/inet_checksum.h"
#include "nicemu/mac_filter.h"
#include "nicemu/virtio_net.h"

#include <string.h>

/* --- which frames -------------------------------------------------------- */

static bool is_listed(const struct vnet_filter *f, const uint8_t *mac)
{
    for (unsigned i = 0; i < f->count; i++)
        if (memcmp(f->address[i], mac, 6) == 0)
            return true;
    return false;
}

static bool passes(const struct virtio_net *v, const uint8_t *mac)
{
    const struct vnet_filter *f = &v->filter;
    if (!vnet_has(v, VNET_F_CTRL_RX) || f->promiscuous)
        return true; /* a driver that cannot say what it wants gets all */
    if (mac_is_multicast(mac))
        return f->all_multicast || f->many_multicast || mac_is_broadcast(mac) || is_listed(f, mac);
    return memcmp(v->mac, mac, 6) == 0 || f->many_unicast || is_listed(f, mac);
}

/* Before a driver is at work: all that it could have. */
unsigned vnet_accepts(const struct nic *nic)
{
    const struct virtio_net *v = (const struct virtio_net *)nic;
    if (!vnet_is_on(v))
        return NIC_ACCEPTS_CSUM | NIC_ACCEPTS_TSO;
    if (!vnet_has(v, VNET_F_GUEST_CSUM))
        return 0;
    return NIC_ACCEPTS_CSUM | (vnet_has(v, VNET_F_GUEST_TSO4) && vnet_has(v, VNET_F_GUEST_TSO6) ? NIC_ACCEPTS_TSO : 0);
}

/* --- one frame ----------------------------------------------------------- */

struct delivery {
    const uint8_t *frame;
    size_t size;
    struct vnet_header header;
};

/* What a driver can have negotiated: neither ECN nor UDP is offered. */
static bool is_plain_tcp(uint8_t gso_type)
{
    return gso_type == NIC_GSO_TCPV4 || gso_type == NIC_GSO_TCPV6;
}

/* False: it cannot be told to this driver. */
static bool prepare(struct virtio_net *v, struct delivery *d, const struct nic_offload *offload)
{
    unsigned accepts = vnet_accepts(&v->nic);
    if (!offload)
        return true;
    if (offload->gso_type != NIC_GSO_NONE && !(accepts & NIC_ACCEPTS_TSO && is_plain_tcp(offload->gso_type)))
        return false;
    if (accepts & NIC_ACCEPTS_CSUM) {
        d->header.flags = offload->flags;
        d->header.gso_type = offload->gso_type;
        d->header.hdr_len = offload->hdr_len;
        d->header.gso_size = offload->gso_size;
        d->header.csum_start = offload->csum_start;
        d->header.csum_offset = offload->csum_offset;
    } else if (offload->flags & NIC_OFFLOAD_NEEDS_CSUM) {
        memcpy(v->frame, d->frame, d->size);
        d->frame = v->frame;
        return inet_checksum_insert(v->frame, d->size, offload->csum_start,
                                    (size_t)offload->csum_start + offload->csum_offset, 0);
    }
    return true;
}

/* --- where to ------------------------------------------------------------ */

#define LOOK_MOST (2 * VIRTIO_RING_MAX) /* descriptors for a frame: as many buffers as can be, each in a table of its own */

enum room { ROOM_FOUND, ROOM_LACKING, ROOM_NEVER };

/* Appends the chain in hand to the room for the frame. False: more pieces than can be, or too many descriptors of none. */
static bool add_room(struct virtio_net *v, struct vnet_room *room, uint32_t size)
{
    const struct virtio_chain *chain = &v->chain;
    unsigned have = room->all.writable;
    if (have + chain->writable > VIRTIO_RING_MAX || room->looked_at > LOOK_MOST)
        return false;
    memcpy(room->all.piece + have, chain->piece + chain->readable, chain->writable * sizeof *chain->piece);
    room->all.writable += chain->writable;
    room->all.writable_size += chain->writable_size;
    room->descriptors += chain->descriptors;
    room->looked_at += chain->looked_at;
    room->head[room->chains] = chain->head;
    room->size[room->chains++] = size;
    return true;
}

/* The frame does not fit into what there is: the driver will give more, unless it has given all that the queue holds. */
static enum room lack(struct virtio_net *v, const struct vnet_room *room)
{
    struct virtio_ring *ring = &v->ring[VNET_RX];
    virtio_ring_untake(ring, &v->nic, room->chains);
    return ring->broken || room->descriptors >= ring->size ? ROOM_NEVER : ROOM_LACKING;
}

/* A buffer into which not even this goes is given back empty, and the frame is lost. */
static enum room refuse_buffer(struct virtio_net *v, struct vnet_room *room, size_t size)
{
    struct virtio_ring *ring = &v->ring[VNET_RX];
    nic_guest_error(&v->nic, "receive buffer of %llu bytes for a frame of %zu", (unsigned long long)v->chain.writable_size,
                    size);
    virtio_ring_untake(ring, &v->nic, room->chains + 1);
    if (virtio_ring_take(ring, &v->nic, &v->chain)) {
        virtio_ring_use(ring, &v->nic, v->chain.head, 0);
        vnet_used(v, VNET_RX);
    }
    return ROOM_NEVER;
}

static enum room find_room(struct virtio_net *v, struct vnet_room *room, size_t total)
{
    struct virtio_ring *ring = &v->ring[VNET_RX];
    room->chains = room->descriptors = room->looked_at = 0;
    room->all.readable = room->all.writable = 0;
    room->all.writable_size = 0;
    while (room->all.writable_size < total) {
        size_t rest = total - (size_t)room->all.writable_size;
        if (room->chains >= ring->size || !virtio_ring_take(ring, &v->nic, &v->chain))
            return lack(v, room);
        uint64_t has = v->chain.writable_size;
        if (has < vnet_header_size(v) || (has < rest && !vnet_has(v, VNET_F_MRG_RXBUF)) ||
            !add_room(v, room, has < rest ? (uint32_t)has : (uint32_t)rest))
            return refuse_buffer(v, room, total);
    }
    return ROOM_FOUND;
}

static bool store(struct virtio_net *v, struct vnet_room *room, struct delivery *d)
{
    struct virtio_ring *ring = &v->ring[VNET_RX];
    unsigned header_size = vnet_header_size(v);
    d->header.num_buffers = (uint16_t)room->chains;
    if (!virtio_chain_write(&room->all, &v->nic, 0, &d->header, header_size) ||
        !virtio_chain_write(&room->all, &v->nic, header_size, d->frame, d->size)) {
        nic_guest_error(&v->nic, "chain %u: a receive buffer of it, or behind it, is not memory", room->head[0]);
        ring->broken = true;
        vnet_check(v, VNET_RX);
        return false;
    }
    for (unsigned i = 0; i < room->chains; i++)
        virtio_ring_use(ring, &v->nic, room->head[i], room->size[i]);
    vnet_used(v, VNET_RX);
    return true;
}

/* --- the calls ----------------------------------------------------------- */

static enum nic_rx_result lose(struct virtio_net *v)
{
    vnet_check(v, VNET_RX);
    v->nic.counters.rx_dropped_full++;
    return NIC_RX_TAKEN;
}

static enum nic_rx_result wait_for_buffers(struct virtio_net *v)
{
    v->rx_waiting = true;
    virtio_ring_ask(&v->ring[VNET_RX], &v->nic, true);
    return NIC_RX_FULL;
}

static enum nic_rx_result deliver(struct virtio_net *v, struct delivery *d)
{
    switch (find_room(v, &v->room, vnet_header_size(v) + d->size)) {
    case ROOM_LACKING:
        return wait_for_buffers(v);
    case ROOM_NEVER:
        return lose(v);
    case ROOM_FOUND:
        break;
    }
    if (!store(v, &v->room, d))
        return lose(v);
    v->nic.counters.rx_frames++;
    v->nic.counters.rx_bytes += d->size;
    return NIC_RX_TAKEN;
}

enum nic_rx_result vnet_receive(struct nic *nic, const uint8_t *frame, size_t size, const struct nic_offload *offload,
                                uint64_t now)
{
    struct virtio_net *v = (struct virtio_net *)nic;
    struct delivery d = { .frame = frame, .size = size };

    v->now = now;
    if (!vnet_is_on(v) || !v->cable || !v->ring[VNET_RX].enabled || v->ring[VNET_RX].broken)
        return NIC_RX_OFF;
    if (!passes(v, frame) || !prepare(v, &d, offload)) {
        nic->counters.rx_filtered++;
        return NIC_RX_TAKEN;
    }
    return deliver(v, &d);
}

/* Without a frame that waits, the driver need not say so. */
void vnet_receive_buffers(struct virtio_net *v)
{
    if (!vnet_is_on(v))
        return;
    virtio_ring_ask(&v->ring[VNET_RX], &v->nic, false);
    if (!v->rx_waiting)
        return;
    v->rx_waiting = false;
    v->nic.host.receive_ready(v->nic.host.opaque);
}
