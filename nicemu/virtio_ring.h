/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A split virtqueue in the guest's memory as its device sees it (virtio 1.1, 2.6):
 * takes the chains of buffers that the driver has made available, and gives them
 * back used. Everything that lies in memory is the driver's and may be anything: each
 * index, length and address is read once and checked, and each walk is bounded by the
 * queue's size. Memory is reached by the verbs of struct nic_host alone.
 */
#ifndef NICEMU_VIRTIO_RING_H
#define NICEMU_VIRTIO_RING_H

#include "nicemu/nic_model.h"

#define VIRTIO_RING_MAX 256u /* descriptors of a queue; a power of two */

struct virtio_ring {
    uint64_t desc, avail, used; /* guest-physical addresses of the three parts */
    uint16_t size;              /* a power of two */
    bool enabled;               /* the driver has said where it is */
    bool broken;                /* the driver has broken a rule: nothing is taken until a reset */
    bool event_index, indirect; /* as negotiated */
    uint16_t next_avail;        /* the next entry to take */
    uint16_t seen_avail;        /* the driver's index as last read */
    uint16_t used_index;        /* the next entry to write */
    uint16_t signalled;         /* used_index when an interrupt was last weighed */
};

struct virtio_piece {
    uint64_t address;
    uint32_t size;
};

/* Pieces that the device reads, then those that it writes; none is empty. */
struct virtio_chain {
    uint16_t head;
    uint16_t descriptors;                  /* of the queue; a table of further ones counts as one */
    uint16_t looked_at;                    /* descriptors, those of a table and of no size, too */
    uint16_t readable, writable;           /* pieces */
    uint64_t readable_size, writable_size; /* bytes */
    struct virtio_piece piece[VIRTIO_RING_MAX];
};

/* Whether its parts are aligned, to 16, 2 and 4 bytes, and none passes the end of all addresses. */
bool virtio_ring_is_placed(const struct virtio_ring *ring);

/* Addresses are given and the queue is to run. False: it is not placed so that it can. */
bool virtio_ring_enable(struct virtio_ring *ring, bool event_index, bool indirect);

/* Where a legacy driver has put it: the parts one behind the other from `address` on, `used` on a page of its own. */
void virtio_ring_place(struct virtio_ring *ring, uint64_t address);

/* The next chain. False: there is none, or the ring is broken (and the driver told). */
bool virtio_ring_take(struct virtio_ring *ring, struct nic *nic, struct virtio_chain *chain);

/* Gives back the last `count` chains that were taken and not used. */
void virtio_ring_untake(struct virtio_ring *ring, struct nic *nic, unsigned count);

/* Hands a chain back with `written` bytes in it; the driver sees it after virtio_ring_show(). */
void virtio_ring_use(struct virtio_ring *ring, struct nic *nic, uint16_t head, uint32_t written);
void virtio_ring_show(struct virtio_ring *ring, struct nic *nic);

/* Whether the driver wants an interrupt for what was shown since this was last asked. */
bool virtio_ring_call_due(struct virtio_ring *ring, struct nic *nic);

/* Whether the driver is to notify the device of the next chain. */
void virtio_ring_ask(struct virtio_ring *ring, struct nic *nic, bool wanted);

/* All that the device may read, one piece behind the other; `to` has room for readable_size. False: not memory. */
bool virtio_chain_gather(const struct virtio_chain *chain, struct nic *nic, uint8_t *to);

/* `size` bytes to where byte `at` of the writable part is; they fit there. False: not memory. */
bool virtio_chain_write(const struct virtio_chain *chain, struct nic *nic, uint64_t at, const void *bytes, size_t size);

#endif
