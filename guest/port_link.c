/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The front-end's data path: frames into the transmit queue, frames out of the
 * receive queue, see port_link.h. The connection is port_link_handshake.c's,
 * the struct that both share is port_link_private.h's.
 */
#include "guest/port_link.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "guest/port_link_private.h"

/* While we look at the queues ourselves, frames that are few wait for the next look
 * before the switch is woken: a wake-up costs more than many frames do. */
enum { OWED_FRAMES = 64, OWED_BYTES = 24576 };
/* Up to so many the switch does not even see before that look: each time that the index moves, the line that it
 * is on goes to and fro between two CPUs. */
enum { UNSHOWN_FRAMES = 8, UNSHOWN_BYTES = 4096 };
enum { BURST_BYTES = 4 * 65536 }; /* what a burst of large frames may take */
enum { REAP_FRAMES = 32, REAP_BYTES = 2 * 65536 }; /* sent before we look what has come back */

static void kick(struct port_link *link, unsigned queue)
{
    static const uint64_t one = 1;

    if (queue == VIRTIO_NET_TX) {
        link->owed = false;
        link->owed_frames = link->owed_bytes = 0;
    }
    link->counters.kicks++;
    if (write(link->kicks[queue], &one, sizeof(one)) < 0 && errno != EAGAIN && errno != EINTR)
        port_link_disconnect(link, "kick failed");
}

/* ---- transmit: frames lie one behind the other in an arena, and are freed in their order ---- */

static bool reap_sent(struct port_link *link)
{
    struct tx_arena *arena = &link->arena;
    uint16_t id;
    uint32_t written;
    int error;

    arena->unreaped_frames = arena->unreaped_bytes = 0;
    while ((error = virtq_driver_reap(&link->queues[VIRTIO_NET_TX], &id, &written)) == 0)
        arena->pieces[arena->piece_of[id]].done = true;
    if (error != EAGAIN) {
        port_link_disconnect(link, link->queues[VIRTIO_NET_TX].error);
        return false;
    }
    while (arena->count && arena->pieces[arena->first].done) {
        arena->first = (arena->first + 1) % PORT_LINK_QUEUE_SIZE;
        arena->count--;
    }
    if (!arena->count)
        arena->end = 0; /* start over where the cache is warm */
    return true;
}

/* Room for `size` bytes: its offset in the arena, or UINT32_MAX. */
static uint32_t find_room(const struct tx_arena *arena, uint32_t size)
{
    uint32_t oldest;

    if (!arena->count)
        return 0;
    if (arena->count == PORT_LINK_QUEUE_SIZE)
        return UINT32_MAX;
    oldest = arena->pieces[arena->first].start;
    if (arena->end > oldest) {
        if (size <= PORT_LINK_ARENA_SIZE - arena->end)
            return arena->end;
        return size < oldest ? 0 : UINT32_MAX;
    }
    return size < oldest - arena->end ? arena->end : UINT32_MAX;
}

static bool fill_header(struct port_link *link, struct virtio_net_header *header, const struct nic_offload *offload,
                        size_t size)
{
    *header = (struct virtio_net_header){ 0 };
    if (offload) {
        header->flags = offload->flags & NIC_OFFLOAD_NEEDS_CSUM;
        header->gso_type = offload->gso_type;
        header->hdr_len = offload->hdr_len;
        header->gso_size = offload->gso_size;
        header->csum_start = offload->csum_start;
        header->csum_offset = offload->csum_offset;
    }
    return !virtio_net_header_check(header, size, link->features);
}

static bool is_roomy(const struct tx_arena *arena)
{
    return arena->count <= PORT_LINK_QUEUE_SIZE - NIC_BURST && find_room(arena, BURST_BYTES) != UINT32_MAX;
}

bool port_link_has_room(struct port_link *link)
{
    if (link->phase != PHASE_UP)
        return !link->anew;
    return is_roomy(&link->arena) || !reap_sent(link) || is_roomy(&link->arena);
}

/* The lines that the next frame will be written to, if it is as the others are: a store that has to wait for
 * one holds up all that the guest stores behind it. */
static void prefetch_next(const struct port_link *link)
{
    const uint8_t *next = link->memory + PORT_LINK_ARENA + link->arena.end;

    virtq_driver_prefetch(&link->queues[VIRTIO_NET_TX]);
    if (link->arena.end > PORT_LINK_ARENA_SIZE - 128)
        return;
    __builtin_prefetch(next, 1);
    __builtin_prefetch(next + 64, 1);
}

bool port_link_send(struct port_link *link, const void *frame, size_t size, const struct nic_offload *offload)
{
    struct tx_arena *arena = &link->arena;
    struct virtio_net_header header;
    uint32_t total = (uint32_t)size + VIRTIO_NET_HEADER_SIZE;
    uint32_t rounded = (total + 63) & ~63u;
    uint32_t start;
    uint16_t id;

    if (link->phase != PHASE_UP || !fill_header(link, &header, offload, size))
        goto drop;
    if ((arena->unreaped_frames >= REAP_FRAMES || arena->unreaped_bytes >= REAP_BYTES) && !reap_sent(link))
        goto drop;
    start = find_room(arena, rounded);
    if (start == UINT32_MAX) {
        if (!reap_sent(link))
            goto drop;
        start = find_room(arena, rounded);
    }
    if (start == UINT32_MAX || !virtq_driver_take_id(&link->queues[VIRTIO_NET_TX], &id))
        goto drop;
    memcpy(link->memory + PORT_LINK_ARENA + start, &header, sizeof(header));
    memcpy(link->memory + PORT_LINK_ARENA + start + sizeof(header), frame, size);
    arena->piece_of[id] = (uint16_t)((arena->first + arena->count) % PORT_LINK_QUEUE_SIZE);
    arena->pieces[arena->piece_of[id]] = (struct tx_piece){ .start = start };
    arena->count++;
    arena->end = start + rounded;
    arena->unreaped_frames++;
    arena->unreaped_bytes += total;
    virtq_driver_post(&link->queues[VIRTIO_NET_TX], id, PORT_LINK_ARENA + start, total, false);
    prefetch_next(link);
    link->counters.sent_frames++;
    link->counters.sent_bytes += size;
    link->owed_frames++;
    link->owed_bytes += total;
    link->unshown_bytes += total;
    return true;
drop:
    link->counters.sent_drops++;
    return false;
}

static void show(struct port_link *link)
{
    link->unshown_bytes = 0;
    link->owed |= virtq_driver_show(&link->queues[VIRTIO_NET_TX]);
}

void port_link_flush(struct port_link *link)
{
    if (link->phase != PHASE_UP)
        return;
    if (link->suppressed && virtq_driver_unshown(&link->queues[VIRTIO_NET_TX]) < UNSHOWN_FRAMES
        && link->unshown_bytes < UNSHOWN_BYTES)
        return;
    show(link);
    if (!link->suppressed || link->owed_frames >= OWED_FRAMES || link->owed_bytes >= OWED_BYTES)
        port_link_wake(link);
}

void port_link_wake(struct port_link *link)
{
    if (link->phase != PHASE_UP)
        return;
    show(link);
    if (link->owed)
        kick(link, VIRTIO_NET_TX);
}

/* ---- receive ---- */

static void post_buffer(struct port_link *link)
{
    uint16_t id;

    if (virtq_driver_take_id(&link->queues[VIRTIO_NET_RX], &id))
        virtq_driver_post(&link->queues[VIRTIO_NET_RX], id, PORT_LINK_BUFFERS + id * PORT_LINK_BUFFER_SIZE,
                          PORT_LINK_BUFFER_SIZE, true);
}

void port_link_post_buffers(struct port_link *link)
{
    while (link->queues[VIRTIO_NET_RX].free_count)
        post_buffer(link);
    virtq_driver_show(&link->queues[VIRTIO_NET_RX]);
}

/* The next used buffer's bytes behind those in the scratch frame; its buffer goes back at once.
 * 0, EAGAIN, or EPROTO. */
static int take_buffer(struct port_link *link, size_t *have)
{
    struct virtq_driver *queue = &link->queues[VIRTIO_NET_RX];
    uint32_t size;
    uint16_t id;
    int error = virtq_driver_reap(queue, &id, &size);

    if (error)
        return error;
    if (size > sizeof(link->frame) - *have) {
        queue->error = "frame too long";
        return EPROTO;
    }
    memcpy(link->frame + *have, link->memory + PORT_LINK_BUFFERS + id * PORT_LINK_BUFFER_SIZE, size);
    *have += size;
    post_buffer(link);
    return 0;
}

/* Brings the next frame into the scratch frame, header first. 0, EAGAIN, or EPROTO. */
static int take_frame(struct port_link *link)
{
    struct virtq_driver *queue = &link->queues[VIRTIO_NET_RX];
    struct virtio_net_header header;
    size_t have = 0;
    unsigned buffers;
    int error = take_buffer(link, &have);

    if (error)
        return error;
    if (have < sizeof(header)) {
        queue->error = "frame without a header";
        return EPROTO;
    }
    memcpy(&header, link->frame, sizeof(header));
    buffers = link->features & VIRTIO_NET_F_MRG_RXBUF ? header.num_buffers : 1;
    if (buffers == 0 || buffers > PORT_LINK_QUEUE_SIZE) {
        queue->error = "frame of an impossible number of buffers";
        return EPROTO;
    }
    for (unsigned i = 1; i < buffers; i++) {
        error = take_buffer(link, &have);
        if (error == EAGAIN) {
            queue->error = "frame with buffers missing";
            return EPROTO;
        }
        if (error)
            return error;
    }
    link->held = have - sizeof(header);
    return 0;
}

/* Offers the frame in the scratch buffer. False: it stays there. */
static bool offer_frame(struct port_link *link, port_link_function *function, void *opaque)
{
    struct virtio_net_header header;
    struct nic_offload offload = { 0 };

    memcpy(&header, link->frame, sizeof(header));
    if (virtio_net_header_check(&header, link->held, virtio_net_device_features(link->features))) {
        link->counters.received_drops++;
        link->held = 0;
        return true;
    }
    offload.flags = header.flags & (NIC_OFFLOAD_NEEDS_CSUM | NIC_OFFLOAD_DATA_VALID);
    if (offload.flags & NIC_OFFLOAD_NEEDS_CSUM) {
        offload.csum_start = header.csum_start;
        offload.csum_offset = header.csum_offset;
    }
    if (header.gso_type != VIRTIO_NET_GSO_NONE) {
        offload.gso_type = header.gso_type;
        offload.gso_size = header.gso_size;
        offload.hdr_len = header.hdr_len;
    }
    if (function(opaque, link->frame + sizeof(header), link->held, &offload) == PORT_LINK_FULL)
        return false;
    link->counters.received_frames++;
    link->counters.received_bytes += link->held;
    link->held = 0;
    return true;
}

unsigned port_link_receive(struct port_link *link, port_link_function *function, void *opaque, unsigned max)
{
    struct virtq_driver *queue = &link->queues[VIRTIO_NET_RX];
    unsigned taken = 0;

    if (link->held) {
        if (!max || !offer_frame(link, function, opaque))
            return 0;
        taken++;
    }
    for (; taken < max && link->phase == PHASE_UP; taken++) {
        int error = take_frame(link);

        if (error == EAGAIN) {
            /* Asking for a call may find that a frame came meanwhile. */
            if (link->suppressed || !virtq_driver_arm(queue) || (error = take_frame(link)) == EAGAIN)
                break;
        }
        if (error) {
            port_link_disconnect(link, queue->error);
            break;
        }
        if (!offer_frame(link, function, opaque))
            break;
    }
    if (link->phase == PHASE_UP && virtq_driver_show(queue))
        kick(link, VIRTIO_NET_RX);
    return taken;
}

unsigned port_link_waiting(const struct port_link *link)
{
    return link->phase == PHASE_UP ? virtq_driver_waiting(&link->queues[VIRTIO_NET_RX]) : 0;
}

bool port_link_suppress(struct port_link *link, bool suppress)
{
    struct virtq_driver *queue = &link->queues[VIRTIO_NET_RX];

    link->suppressed = suppress;
    if (!suppress)
        port_link_wake(link);
    if (link->phase != PHASE_UP)
        return link->held != 0;
    if (suppress) {
        virtq_driver_suppress(queue);
        return false;
    }
    return virtq_driver_arm(queue) || link->held != 0;
}

bool port_link_connected(const struct port_link *link)
{
    return link->phase == PHASE_UP;
}

const struct port_link_counters *port_link_counters(const struct port_link *link)
{
    return &link->counters;
}

const char *port_link_error(const struct port_link *link)
{
    return link->error;
}
