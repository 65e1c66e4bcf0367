/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The driver's role of a split virtqueue, see virtqueue.h. What is free and
 * what is with the device is kept outside the shared memory, so that the
 * device cannot make us believe anything but "this buffer came back".
 */
#include "proto/virtqueue.h"

#include <errno.h>
#include <string.h>

#define READABLE UINT32_MAX /* posted[]: nothing to write, any length is taken for 0 */

static uint16_t *used_event(struct virtq_driver *queue)
{
    return &queue->avail->ring[queue->size];
}

static uint16_t *avail_event(struct virtq_driver *queue)
{
    return (uint16_t *)&queue->used->ring[queue->size];
}

static int breach(struct virtq_driver *queue, const char *what)
{
    queue->error = what;
    return EPROTO;
}

void virtq_driver_init(struct virtq_driver *queue, uint16_t size, const struct virtq_parts *parts, bool event_index)
{
    memset(queue, 0, sizeof(*queue));
    queue->desc = parts->desc;
    queue->avail = parts->avail;
    queue->used = parts->used;
    queue->size = size;
    queue->event_index = event_index;
    memset(queue->desc, 0, virtq_desc_bytes(size));
    memset(queue->avail, 0, virtq_avail_bytes(size));
    memset(queue->used, 0, virtq_used_bytes(size));
    queue->free_count = size;
    for (uint16_t i = 0; i < size; i++)
        queue->free_ids[i] = i;
}

bool virtq_driver_take_id(struct virtq_driver *queue, uint16_t *id)
{
    if (queue->free_count == 0)
        return false;
    *id = queue->free_ids[queue->free_first];
    queue->free_first = (queue->free_first + 1) & (queue->size - 1);
    queue->free_count--;
    return true;
}

void virtq_driver_prefetch(const struct virtq_driver *queue)
{
    __builtin_prefetch(&queue->desc[queue->free_ids[queue->free_first]], 1);
    __builtin_prefetch(&queue->avail->ring[queue->avail_index & (queue->size - 1)], 1);
}

void virtq_driver_post(struct virtq_driver *queue, uint16_t id, uint64_t address, uint32_t length, bool writable)
{
    queue->desc[id] = (struct virtq_desc){
        .address = address,
        .length = length,
        .flags = writable ? VIRTQ_DESC_WRITE : 0,
    };
    queue->posted[id] = writable ? length : READABLE;
    queue->avail->ring[queue->avail_index & (queue->size - 1)] = id;
    queue->avail_index++;
}

bool virtq_driver_show(struct virtq_driver *queue)
{
    uint16_t old = queue->shown_avail;
    uint16_t new = queue->avail_index;

    if (old == new)
        return false;
    queue->shown_avail = new;
    __atomic_store_n(&queue->avail->index, new, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the index before the device's wish: else both could wait */
    if (!queue->event_index)
        return !(__atomic_load_n(&queue->used->flags, __ATOMIC_RELAXED) & VIRTQ_USED_NO_NOTIFY);
    return (uint16_t)(new - __atomic_load_n(avail_event(queue), __ATOMIC_RELAXED) - 1) < (uint16_t)(new - old);
}

/* Whether a buffer has come back; reads the device's index only when all seen ones are reaped. */
static int check_used(struct virtq_driver *queue)
{
    uint16_t index;

    if (queue->next_used != queue->seen_used)
        return 0;
    index = __atomic_load_n(&queue->used->index, __ATOMIC_ACQUIRE);
    if ((uint16_t)(index - queue->next_used) > queue->size)
        return breach(queue, "used index ran past the queue's size");
    queue->seen_used = index;
    return queue->next_used != index ? 0 : EAGAIN;
}

int virtq_driver_reap(struct virtq_driver *queue, uint16_t *id, uint32_t *written)
{
    const struct virtq_used_element *element = &queue->used->ring[queue->next_used & (queue->size - 1)];
    uint32_t got_id, got_length;
    int error = check_used(queue);

    if (error)
        return error;
    got_id = __atomic_load_n(&element->id, __ATOMIC_RELAXED);
    got_length = __atomic_load_n(&element->length, __ATOMIC_RELAXED);
    if (got_id >= queue->size || queue->posted[got_id] == 0)
        return breach(queue, "used buffer that the device did not have");
    if (queue->posted[got_id] == READABLE)
        got_length = 0;
    else if (got_length > queue->posted[got_id])
        return breach(queue, "used buffer longer than it is");
    queue->posted[got_id] = 0;
    queue->free_ids[(queue->free_first + queue->free_count++) & (queue->size - 1)] = (uint16_t)got_id;
    queue->next_used++;
    *id = (uint16_t)got_id;
    *written = got_length;
    return 0;
}

uint16_t virtq_driver_waiting(const struct virtq_driver *queue)
{
    uint16_t count = (uint16_t)(__atomic_load_n(&queue->used->index, __ATOMIC_RELAXED) - queue->next_used);

    return count < queue->size ? count : queue->size;
}

void virtq_driver_suppress(struct virtq_driver *queue)
{
    if (queue->event_index)
        __atomic_store_n(used_event(queue), (uint16_t)(queue->next_used - 1), __ATOMIC_RELAXED);
    else
        __atomic_store_n(&queue->avail->flags, VIRTQ_AVAIL_NO_INTERRUPT, __ATOMIC_RELAXED);
}

bool virtq_driver_arm(struct virtq_driver *queue)
{
    if (queue->event_index)
        __atomic_store_n(used_event(queue), queue->next_used, __ATOMIC_RELAXED);
    else
        __atomic_store_n(&queue->avail->flags, 0, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* our wish before the device's index: else both could wait */
    return __atomic_load_n(&queue->used->index, __ATOMIC_ACQUIRE) != queue->next_used;
}
