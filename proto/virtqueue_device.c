/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The device's role of a split virtqueue, see virtqueue.h. The driver owns the
 * memory and may write it at any moment: each descriptor is copied once and
 * only the copy is checked and used.
 */
#include "proto/virtqueue.h"

#include <errno.h>
#include <string.h>

static uint16_t load_acquire(const uint16_t *from)
{
    return __atomic_load_n(from, __ATOMIC_ACQUIRE);
}

static uint16_t load_relaxed(const uint16_t *from)
{
    return __atomic_load_n(from, __ATOMIC_RELAXED);
}

static void full_barrier(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static uint16_t *used_event(struct virtq_device *queue)
{
    return &queue->avail->ring[queue->size];
}

static uint16_t *avail_event(struct virtq_device *queue)
{
    return (uint16_t *)&queue->used->ring[queue->size];
}

static int breach(struct virtq_device *queue, const char *what)
{
    queue->error = what;
    return EPROTO;
}

void virtq_device_init(struct virtq_device *queue, const struct virtq_memory *memory, uint16_t size,
                       const struct virtq_parts *parts, uint16_t base)
{
    *queue = (struct virtq_device){
        .memory = memory,
        .desc = parts->desc,
        .avail = parts->avail,
        .used = parts->used,
        .size = size,
        .next_avail = base,
        .seen_avail = base,
    };
    queue->used_index = queue->shown_used = queue->signalled = load_relaxed(&queue->used->index);
}

/* Copies a descriptor so that the compiler cannot go back to the ring for what is in the copy. */
static struct virtq_desc copy_desc(const void *from)
{
    struct virtq_desc desc;

    memcpy(&desc, from, sizeof(desc));
    __asm__ volatile("" : "+m"(desc));
    return desc;
}

/* Whether an entry waits; reads the driver's index only when all seen ones are taken. */
static int check_avail(struct virtq_device *queue)
{
    if (queue->next_avail != queue->seen_avail)
        return 0;
    queue->seen_avail = load_acquire(&queue->avail->index);
    if ((uint16_t)(queue->seen_avail - queue->next_avail) > queue->size)
        return breach(queue, "avail index ran past the queue's size");
    return queue->next_avail != queue->seen_avail ? 0 : EAGAIN;
}

/* Adds the pieces of one data descriptor. Memory may lie in more than one region. */
static int add_data(struct virtq_device *queue, struct virtq_chain *chain, const struct virtq_desc *desc)
{
    bool writable = desc->flags & VIRTQ_DESC_WRITE;
    uint64_t address = desc->address;
    uint64_t left = desc->length;

    if (!writable && chain->writable)
        return breach(queue, "readable descriptor after a writable one");
    if (left && address + left - 1 < address)
        return breach(queue, "descriptor wraps around");
    while (left) {
        uint64_t size = left;
        void *host = virtq_memory_guest(queue->memory, address, &size);
        unsigned used = chain->readable + chain->writable;

        if (!host)
            return breach(queue, "descriptor outside memory");
        if (used == chain->capacity)
            return breach(queue, "descriptor chain too long");
        chain->iov[used] = (struct iovec){ .iov_base = host, .iov_len = size };
        *(writable ? &chain->writable : &chain->readable) += 1;
        *(writable ? &chain->writable_size : &chain->readable_size) += size;
        address += size;
        left -= size;
    }
    return 0;
}

static int add_indirect(struct virtq_device *queue, struct virtq_chain *chain, const struct virtq_desc *table)
{
    unsigned count = table->length / sizeof(struct virtq_desc);
    unsigned index = 0;

    if (!queue->indirect)
        return breach(queue, "indirect descriptor without the feature");
    if (table->flags & VIRTQ_DESC_NEXT)
        return breach(queue, "indirect descriptor with a next one");
    if (count == 0 || table->length % sizeof(struct virtq_desc) || count > VIRTQ_SIZE_MAX)
        return breach(queue, "indirect table of a wrong size");
    for (unsigned steps = 0; steps < count && steps < chain->capacity; steps++) {
        uint64_t size = sizeof(struct virtq_desc);
        const void *entry = virtq_memory_guest(queue->memory, table->address + index * size, &size);
        struct virtq_desc desc;
        int error;

        if (!entry || size < sizeof(desc))
            return breach(queue, "indirect table outside memory");
        desc = copy_desc(entry);
        if (desc.flags & VIRTQ_DESC_INDIRECT)
            return breach(queue, "indirect descriptor within an indirect table");
        error = add_data(queue, chain, &desc);
        if (error || !(desc.flags & VIRTQ_DESC_NEXT))
            return error;
        if (desc.next >= count)
            return breach(queue, "next descriptor outside the indirect table");
        index = desc.next;
    }
    return breach(queue, "indirect table that loops or is too long");
}

static int add_chain(struct virtq_device *queue, struct virtq_chain *chain)
{
    unsigned limit = queue->size < chain->capacity ? queue->size : chain->capacity;
    unsigned index = chain->head;

    for (unsigned steps = 0; steps < limit; steps++) {
        struct virtq_desc desc = copy_desc(&queue->desc[index]);
        int error;

        if (desc.flags & VIRTQ_DESC_INDIRECT)
            return add_indirect(queue, chain, &desc);
        error = add_data(queue, chain, &desc);
        if (error || !(desc.flags & VIRTQ_DESC_NEXT))
            return error;
        if (desc.next >= queue->size)
            return breach(queue, "next descriptor outside the queue");
        index = desc.next;
    }
    return breach(queue, "descriptor chain that loops or is too long");
}

int virtq_device_take(struct virtq_device *queue, struct virtq_chain *chain)
{
    int error = check_avail(queue);

    if (error)
        return error;
    chain->readable = chain->writable = 0;
    chain->readable_size = chain->writable_size = 0;
    chain->head = load_relaxed(&queue->avail->ring[queue->next_avail & (queue->size - 1)]);
    if (chain->head >= queue->size)
        return breach(queue, "head outside the queue");
    error = add_chain(queue, chain);
    if (!error)
        queue->next_avail++;
    return error;
}

void virtq_device_untake(struct virtq_device *queue, unsigned count)
{
    queue->next_avail -= (uint16_t)count;
}

void virtq_device_use(struct virtq_device *queue, uint16_t head, uint32_t written)
{
    struct virtq_used_element *element = &queue->used->ring[queue->used_index & (queue->size - 1)];

    *element = (struct virtq_used_element){ .id = head, .length = written };
    queue->used_index++;
}

void virtq_device_show(struct virtq_device *queue)
{
    if (queue->shown_used == queue->used_index)
        return;
    queue->shown_used = queue->used_index;
    __atomic_store_n(&queue->used->index, queue->shown_used, __ATOMIC_RELEASE);
}

bool virtq_device_call_due(struct virtq_device *queue)
{
    uint16_t old = queue->signalled;
    uint16_t new = queue->shown_used;

    if (old == new)
        return false;
    queue->signalled = new;
    full_barrier(); /* the index before the driver's wish: else both could wait */
    if (!queue->event_index)
        return !(load_relaxed(&queue->avail->flags) & VIRTQ_AVAIL_NO_INTERRUPT);
    return (uint16_t)(new - load_relaxed(used_event(queue)) - 1) < (uint16_t)(new - old);
}

void virtq_device_suppress(struct virtq_device *queue)
{
    if (queue->suppressed)
        return;
    queue->suppressed = true;
    if (!queue->event_index)
        __atomic_store_n(&queue->used->flags, VIRTQ_USED_NO_NOTIFY, __ATOMIC_RELAXED);
    /* An event index left behind asks for nothing until the driver has gone all around. */
}

bool virtq_device_arm(struct virtq_device *queue)
{
    queue->suppressed = false;
    if (queue->event_index)
        __atomic_store_n(avail_event(queue), queue->next_avail, __ATOMIC_RELAXED);
    else
        __atomic_store_n(&queue->used->flags, 0, __ATOMIC_RELAXED);
    full_barrier(); /* our wish before the driver's index: else both could wait */
    return load_acquire(&queue->avail->index) != queue->next_avail;
}
