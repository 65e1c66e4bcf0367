/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The life of a session's queues: where they are, when they run, which
 * descriptors wake whom. Told what to do by vhost_requests.c.
 */
#include <unistd.h>

#include "vswitchd/ports/vhost_backend_private.h"

void vhost_ring_stop(struct vhost_backend *backend, unsigned index)
{
    if (!backend->net.running[index])
        return;
    backend->net.running[index] = false;
    virtq_device_show(&backend->net.queues[index]);
    backend->rings[index].base = backend->net.queues[index].next_avail;
}

static const char *resolve(struct vhost_backend *backend, const struct ring *ring, struct virtq_parts *parts)
{
    const struct virtq_memory *table = &backend->memory.table;

    parts->desc = virtq_memory_user(table, ring->address.descriptor, virtq_desc_bytes(ring->size));
    parts->avail = virtq_memory_user(table, ring->address.available, virtq_avail_bytes(ring->size));
    parts->used = virtq_memory_user(table, ring->address.used, virtq_used_bytes(ring->size));
    if (!parts->desc || !parts->avail || !parts->used)
        return "queue outside memory";
    if ((uintptr_t)parts->desc % VIRTQ_DESC_ALIGN || (uintptr_t)parts->avail % VIRTQ_AVAIL_ALIGN ||
        (uintptr_t)parts->used % VIRTQ_USED_ALIGN)
        return "queue not aligned";
    return NULL;
}

const char *vhost_ring_start(struct vhost_backend *backend, unsigned index)
{
    struct ring *ring = &backend->rings[index];
    struct virtq_device *queue = &backend->net.queues[index];
    struct virtq_parts parts;
    const char *error;

    if (backend->net.running[index] || !ring->size || !ring->has_address || !ring->has_kick || !ring->enabled)
        return NULL;
    error = resolve(backend, ring, &parts);
    if (error)
        return error;
    virtq_device_init(queue, &backend->memory.table, ring->size, &parts, ring->base);
    queue->event_index = backend->net.features & VIRTIO_F_EVENT_IDX;
    queue->indirect = backend->net.features & VIRTIO_F_INDIRECT_DESC;
    /* Nothing is held back here between two calls: where an unclean end left the indices apart, those
     * buffers count as used. */
    queue->next_avail = queue->seen_avail = queue->used_index;
    if (index == VIRTIO_NET_RX)
        virtq_device_suppress(queue);
    else
        virtq_device_arm(queue);
    backend->net.running[index] = true;
    return NULL;
}

void vhost_ring_set_kick(struct vhost_backend *backend, unsigned index, int fd)
{
    struct ring *ring = &backend->rings[index];

    backend->events.watch_kick(backend->events.context, index, fd);
    if (ring->kick >= 0)
        close(ring->kick);
    ring->kick = fd;
}

void vhost_ring_set_call(struct vhost_backend *backend, unsigned index, int fd)
{
    struct ring *ring = &backend->rings[index];

    if (ring->call >= 0)
        close(ring->call);
    ring->call = fd;
}

void vhost_rings_reset(struct vhost_backend *backend)
{
    for (unsigned i = 0; i < VIRTIO_NET_QUEUES; i++) {
        vhost_ring_stop(backend, i);
        vhost_ring_set_kick(backend, i, -1);
        vhost_ring_set_call(backend, i, -1);
        backend->rings[i] = (struct ring){ .kick = -1, .call = -1 };
    }
}
