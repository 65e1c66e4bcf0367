/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Split virtqueues (virtio 1.1, section 2.6), both roles: the device takes
 * chains of buffers and hands them back used, the driver offers buffers and
 * takes them back. The two ends do not trust each other: each index, id,
 * length and address that the other end wrote is read once and checked, and
 * every loop is bounded by the queue's size. Used by vswitchd/ports/vhost_ring
 * (device) and guest/port_link (driver). No I/O: the caller notifies.
 */
#ifndef PROTO_VIRTQUEUE_H
#define PROTO_VIRTQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* ---- layout in shared memory ---- */

enum { VIRTQ_DESC_NEXT = 1, VIRTQ_DESC_WRITE = 2, VIRTQ_DESC_INDIRECT = 4 };
enum { VIRTQ_AVAIL_NO_INTERRUPT = 1, VIRTQ_USED_NO_NOTIFY = 1 };

struct virtq_desc {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};

struct virtq_avail {
    uint16_t flags;
    uint16_t index;
    uint16_t ring[]; /* followed by used_event */
};

struct virtq_used_element {
    uint32_t id;
    uint32_t length;
};

struct virtq_used {
    uint16_t flags;
    uint16_t index;
    struct virtq_used_element ring[]; /* followed by avail_event */
};

#define VIRTQ_SIZE_MAX 4096u
#define VIRTQ_DESC_ALIGN 16u
#define VIRTQ_AVAIL_ALIGN 2u
#define VIRTQ_USED_ALIGN 4u

/* Bytes of each part, event index included. */
size_t virtq_desc_bytes(uint16_t size);
size_t virtq_avail_bytes(uint16_t size);
size_t virtq_used_bytes(uint16_t size);
bool virtq_size_valid(uint32_t size);

/* Where the three parts are in our address space. */
struct virtq_parts {
    void *desc;
    void *avail;
    void *used;
};

/* ---- the other end's memory ---- */

struct virtq_region {
    uint64_t guest_address; /* as descriptors name it */
    uint64_t user_address;  /* as the front-end's own pointers name it */
    uint64_t size;
    uint8_t *host; /* as we name it */
};

#define VIRTQ_REGIONS_MAX 32u

struct virtq_memory {
    unsigned count;
    struct virtq_region regions[VIRTQ_REGIONS_MAX];
};

/* The host address of guest memory; `*size` shrinks to what is contiguous. NULL: not memory. */
void *virtq_memory_guest(const struct virtq_memory *memory, uint64_t address, uint64_t *size);
/* The same for all `size` bytes at a front-end's own address, or NULL. */
void *virtq_memory_user(const struct virtq_memory *memory, uint64_t address, uint64_t size);
/* Whether a region may be added: not empty, not wrapping, overlapping none. NULL or what is wrong. */
const char *virtq_memory_check(const struct virtq_memory *memory, const struct virtq_region *region);

/* ---- device ---- */

struct virtq_device {
    const struct virtq_memory *memory;
    struct virtq_desc *desc;
    struct virtq_avail *avail;
    struct virtq_used *used;
    uint16_t size;
    bool event_index;
    bool indirect;
    bool suppressed;       /* the driver was told not to kick */
    uint16_t next_avail;   /* the next entry of the avail ring to take */
    uint16_t seen_avail;   /* avail->index when last read */
    uint16_t used_index;   /* the next entry of the used ring to write */
    uint16_t shown_used;   /* used->index as the driver sees it */
    uint16_t signalled;    /* shown_used when the call was last weighed */
    const char *error;     /* what the driver did wrong, after EPROTO */
};

/* One chain, descriptors already translated. `iov` is the caller's. */
struct virtq_chain {
    struct iovec *iov; /* readable pieces, then writable ones */
    unsigned capacity; /* of iov, and of descriptors (those of no size count, too) */
    unsigned readable; /* pieces */
    unsigned writable;
    size_t readable_size; /* bytes */
    size_t writable_size;
    uint16_t head;
};

/* Starts at `base`, going on with the used index that lies in the ring. */
void virtq_device_init(struct virtq_device *queue, const struct virtq_memory *memory, uint16_t size,
                       const struct virtq_parts *parts, uint16_t base);
/* Takes the next chain. 0; EAGAIN when there is none; EPROTO on a breach, with queue->error set. */
int virtq_device_take(struct virtq_device *queue, struct virtq_chain *chain);
/* How many more there are at least: what the driver's index said when it was read last. */
static inline unsigned virtq_device_seen(const struct virtq_device *queue)
{
    return (uint16_t)(queue->seen_avail - queue->next_avail);
}
/* Gives back the last `count` chains taken and not yet used. */
void virtq_device_untake(struct virtq_device *queue, unsigned count);
/* Hands a chain back with `written` bytes in it; the driver sees it after virtq_device_show(). */
void virtq_device_use(struct virtq_device *queue, uint16_t head, uint32_t written);
void virtq_device_show(struct virtq_device *queue);
/* Whether the driver asked to be called for what was shown since this was last asked. */
bool virtq_device_call_due(struct virtq_device *queue);
/* Asks the driver not to kick, or to kick again at its next chain; the second
 * returns true when chains are there already (the kick may never come). */
void virtq_device_suppress(struct virtq_device *queue);
bool virtq_device_arm(struct virtq_device *queue);

/* ---- driver: every buffer is a single descriptor ---- */

#define VIRTQ_DRIVER_SIZE_MAX 256u

struct virtq_driver {
    struct virtq_desc *desc;
    struct virtq_avail *avail;
    struct virtq_used *used;
    uint16_t size;
    bool event_index;
    uint16_t avail_index;  /* next entry to write */
    uint16_t shown_avail;  /* avail->index as the device sees it */
    uint16_t next_used;    /* next entry to read */
    uint16_t seen_used;    /* used->index when last read */
    uint16_t free_count;
    uint16_t free_first;
    uint16_t free_ids[VIRTQ_DRIVER_SIZE_MAX]; /* a ring, used first that is free longest: lines the device has done with */
    uint32_t posted[VIRTQ_DRIVER_SIZE_MAX]; /* bytes the device may write, ~0 for a readable one; 0: ours */
    const char *error;
};

/* Empties the queue (its memory too) and begins anew. */
void virtq_driver_init(struct virtq_driver *queue, uint16_t size, const struct virtq_parts *parts, bool event_index);
/* A free descriptor; false when all are with the device. */
bool virtq_driver_take_id(struct virtq_driver *queue, uint16_t *id);
void virtq_driver_post(struct virtq_driver *queue, uint16_t id, uint64_t address, uint32_t length, bool writable);
/* Fetches what the next virtq_driver_post() will write: the device has had it, and a store that has to
 * wait for a line holds up all stores behind it. */
void virtq_driver_prefetch(const struct virtq_driver *queue);
/* Shows what was posted; true when the device asked to be kicked for it. */
bool virtq_driver_show(struct virtq_driver *queue);
/* How many were posted and not shown. */
static inline uint16_t virtq_driver_unshown(const struct virtq_driver *queue)
{
    return (uint16_t)(queue->avail_index - queue->shown_avail);
}
/* A buffer that came back, its id free again. 0, EAGAIN or EPROTO. */
int virtq_driver_reap(struct virtq_driver *queue, uint16_t *id, uint32_t *written);
/* How many buffers have come back and were not reaped, as the device says. */
uint16_t virtq_driver_waiting(const struct virtq_driver *queue);
/* Asks the device not to call, or to call at its next buffer; the second
 * returns true when buffers are there already. */
void virtq_driver_suppress(struct virtq_driver *queue);
bool virtq_driver_arm(struct virtq_driver *queue);

#endif
