/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The paravirtual card's transmit queue: each chain is a header and a frame, in
 * whatever pieces the driver likes (virtio 1.1, 5.1.6.2). A run is bounded, and waits for
 * the network where that has no room; it is gone on with from the timer.
 */
#include "nicemu/virtio_net.h"

#include <string.h>

#define FRAME_WORK 512u       /* in bytes, besides its own */
#define RUN_BREAK VNET_BREAK  /* between two runs of one burst */
#define TELL_BREAK VNET_BREAK /* between two interrupts for what was sent */
#define LOOK_FRAMES 8u        /* sent before the network's room is asked for again: */
#define LOOK_BYTES (128u << 10) /* well below the burst that it has said to take */

_Static_assert(NIC_NO_ROOM_NS <= VNET_BREAK, "a saved transmission waits no longer");

/* What the driver says of the frame, in the network's terms. False: something that was not negotiated. */
static bool read_header(struct virtio_net *v, const struct vnet_header *h, size_t size, struct nic_offload *offload)
{
    uint8_t type = h->gso_type & (uint8_t)~NIC_GSO_ECN;
    *offload = (struct nic_offload){ .flags = h->flags & NIC_OFFLOAD_NEEDS_CSUM, .gso_type = h->gso_type };
    if (offload->flags) {
        offload->csum_start = h->csum_start;
        offload->csum_offset = h->csum_offset;
        if (!vnet_has(v, VNET_F_CSUM) || (size_t)h->csum_start + h->csum_offset + 2 > size)
            return false;
    }
    if (type == NIC_GSO_NONE)
        return h->gso_type == NIC_GSO_NONE;
    offload->hdr_len = h->hdr_len;
    offload->gso_size = h->gso_size;
    if ((h->gso_type & NIC_GSO_ECN) && !vnet_has(v, VNET_F_HOST_ECN))
        return false;
    return offload->flags && h->gso_size && h->hdr_len <= size &&
           ((type == NIC_GSO_TCPV4 && vnet_has(v, VNET_F_HOST_TSO4)) ||
            (type == NIC_GSO_TCPV6 && vnet_has(v, VNET_F_HOST_TSO6)));
}

/* The chain's frame, gathered behind its header. False: it is none that can be sent. */
static bool gather(struct virtio_net *v, size_t *size, struct nic_offload *offload)
{
    const struct virtio_chain *chain = &v->chain;
    unsigned header_size = vnet_header_size(v);
    struct vnet_header header = { 0 };

    if (chain->readable_size < header_size + NIC_ETH_HEADER || chain->readable_size > header_size + NIC_FRAME_MAX) {
        nic_guest_error(&v->nic, "a header and a frame of %llu bytes", (unsigned long long)chain->readable_size);
        return false;
    }
    if (!virtio_chain_gather(chain, &v->nic, v->frame)) {
        nic_guest_error(&v->nic, "chain %u: a buffer of it is not memory", chain->head);
        return false;
    }
    memcpy(&header, v->frame, header_size);
    *size = (size_t)chain->readable_size - header_size;
    if (read_header(v, &header, *size, offload))
        return true;
    nic_guest_error(&v->nic, "a frame of %zu bytes with flags %x, segmentation %x of %u, checksum from %u into +%u: not negotiated, or impossible",
                    *size, header.flags, header.gso_type, header.gso_size, header.csum_start, header.csum_offset);
    return false;
}

/* Returns the bytes that were looked at. */
static uint32_t send_chain(struct virtio_net *v)
{
    struct nic_offload offload;
    size_t size;

    if (!gather(v, &size, &offload)) {
        v->nic.counters.tx_errors++;
        return FRAME_WORK;
    }
    const uint8_t *frame = v->frame + vnet_header_size(v);
    bool plain = !offload.flags && !offload.gso_type;
    if (v->cable && v->nic.host.send_frame(v->nic.host.opaque, frame, size, plain ? NULL : &offload)) {
        v->nic.counters.tx_frames++;
        v->nic.counters.tx_bytes += size;
    } else {
        v->nic.counters.tx_errors++;
    }
    return (uint32_t)size + FRAME_WORK;
}

/* Sends what waits, as far as it may; the number of chains done. */
static unsigned run(struct virtio_net *v)
{
    struct virtio_ring *ring = &v->ring[VNET_TX];
    uint32_t work = 0, descriptors = 0, looked_at = 0;
    unsigned done = 0, looked = 0;

    for (;; done++) {
        if (work >= VNET_RUN_BYTES || descriptors >= VNET_RUN_DESCRIPTORS) {
            v->tx_again = v->now + RUN_BREAK;
            return done;
        }
        if (done == looked || work - looked_at >= LOOK_BYTES) {
            if (v->cable && !nic_has_room(&v->nic)) {
                v->tx_again = v->now + NIC_NO_ROOM_NS;
                return done;
            }
            looked = done + LOOK_FRAMES;
            looked_at = work;
        }
        if (!virtio_ring_take(ring, &v->nic, &v->chain))
            return done;
        uint16_t head = v->chain.head;
        descriptors += v->chain.looked_at;
        work += send_chain(v);
        virtio_ring_use(ring, &v->nic, head, 0);
    }
}

/* A frame is sent when the driver notifies, and most drivers want to know at once. Told every frame, they would
 * be interrupted by each; while they send they see themselves what has been used. */
static void tell(struct virtio_net *v)
{
    if (!v->tx_untold || v->tx_quiet > v->now)
        return;
    v->tx_quiet = v->now + TELL_BREAK;
    v->tx_untold = false;
    vnet_call(v, VNET_TX);
}

void vnet_transmit(struct virtio_net *v)
{
    if (v->tx_running || !vnet_is_on(v) || v->tx_again > v->now)
        return;
    v->tx_running = true;
    v->tx_again = 0;
    if (run(v)) {
        v->nic.host.send_flush(v->nic.host.opaque);
        virtio_ring_show(&v->ring[VNET_TX], &v->nic);
        v->tx_untold = true;
        tell(v);
    }
    virtio_ring_ask(&v->ring[VNET_TX], &v->nic, !v->tx_again); /* the timer needs no reminder */
    vnet_check(v, VNET_TX);
    vnet_set_timer(v);
    v->tx_running = false;
}

void vnet_transmit_timer(struct virtio_net *v)
{
    tell(v);
    if (v->tx_again && v->tx_again <= v->now) {
        v->tx_again = 0; /* also where the card needs a reset meanwhile */
        vnet_transmit(v);
    }
}
