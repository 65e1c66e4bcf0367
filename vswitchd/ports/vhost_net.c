/* SPDX-License-Identifier: BSD-2-Clause
 *
 * virtio-net frames in virtqueues, the device's side, see vhost_net.h.
 */
#include "vswitchd/ports/vhost_net.h"

#include <errno.h>
#include <string.h>

/* A place in a list of pieces. */
struct cursor {
    const struct iovec *iov;
    unsigned left;
    size_t offset; /* in the first piece */
};

/* The piece at the cursor, at most `size` bytes of it; moves on behind it. */
static void *next_piece(struct cursor *cursor, size_t *size)
{
    uint8_t *at;

    while (cursor->left && cursor->offset == cursor->iov->iov_len) {
        cursor->iov++;
        cursor->left--;
        cursor->offset = 0;
    }
    if (!cursor->left)
        return NULL;
    if (*size > cursor->iov->iov_len - cursor->offset)
        *size = cursor->iov->iov_len - cursor->offset;
    at = (uint8_t *)cursor->iov->iov_base + cursor->offset;
    cursor->offset += *size;
    return at;
}

static void copy_out(struct cursor *cursor, void *to, size_t size)
{
    for (size_t done = 0; done < size;) {
        size_t piece = size - done;
        const void *from = next_piece(cursor, &piece);

        if (!from)
            return;
        memcpy((uint8_t *)to + done, from, piece);
        done += piece;
    }
}

static void copy_in(struct cursor *cursor, const void *from, size_t size)
{
    for (size_t done = 0; done < size;) {
        size_t piece = size - done;
        void *to = next_piece(cursor, &piece);

        if (!to)
            return;
        memcpy(to, (const uint8_t *)from + done, piece);
        done += piece;
    }
}

/* Header and frame out of a chain, which is most often one piece. */
static void copy_chain(const struct virtq_chain *chain, struct virtio_net_header *header, size_t header_size,
                       uint8_t *data, size_t size)
{
    if (chain->readable == 1) {
        memcpy(header, chain->iov->iov_base, header_size);
        memcpy(data, (const uint8_t *)chain->iov->iov_base + header_size, size);
        return;
    }
    struct cursor cursor = { .iov = chain->iov, .left = chain->readable };
    copy_out(&cursor, header, header_size);
    copy_out(&cursor, data, size);
}

/* Takes the header over into the frame, if it is one that the driver may use. A plain frame's is stored in whole words: a
 * load of what was just stored in smaller pieces waits until they, and all that was stored before, have left the CPU. */
static bool accept_header(const struct vhost_net *net, const struct virtio_net_header *header, struct frame *frame)
{
    uint8_t flags = header->flags & VIRTIO_NET_NEEDS_CSUM;

    frame->offload = (struct frame_offload){0};
    if (!flags && header->gso_type == VIRTIO_NET_GSO_NONE)
        return true;
    if (flags) {
        frame->offload.flags = flags;
        frame->offload.csum_start = header->csum_start;
        frame->offload.csum_offset = header->csum_offset;
    }
    if (header->gso_type != VIRTIO_NET_GSO_NONE) {
        frame->offload.gso_type = header->gso_type;
        frame->offload.gso_size = header->gso_size;
        frame->offload.hdr_len = header->hdr_len;
    }
    return !virtio_net_header_check(header, frame->size, net->features);
}

int vhost_net_receive(struct vhost_net *net, struct frame *frame, enum drop_reason *reason)
{
    struct virtq_device *queue = &net->queues[VIRTIO_NET_TX];
    struct virtq_chain chain = { .iov = net->iov, .capacity = VHOST_NET_CHAIN };
    struct virtio_net_header header = { 0 };
    size_t header_size = virtio_net_header_size(net->features);
    int error;

    virtq_device_suppress(queue);
    error = virtq_device_take(queue, &chain);
    if (error == EAGAIN && virtq_device_arm(queue)) {
        virtq_device_suppress(queue);
        error = virtq_device_take(queue, &chain);
    }
    if (error)
        return error;
    if (chain.writable) {
        queue->error = "writable descriptor in the transmit queue";
        return EPROTO;
    }
    virtq_device_use(queue, chain.head, 0);
    if (chain.readable_size < header_size) {
        *reason = DROP_RUNT;
        return EBADMSG;
    }
    chain.readable_size -= header_size;
    frame->size = chain.readable_size > FRAME_MAX ? FRAME_MAX + 1 : (uint32_t)chain.readable_size;
    copy_chain(&chain, &header, header_size, frame->data, frame->size);
    if (frame->size <= FRAME_MAX && frame->size >= VIRTIO_NET_FRAME_MIN && !accept_header(net, &header, frame)) {
        *reason = DROP_BAD_OFFLOAD;
        return EBADMSG;
    }
    return 0;
}

/* Takes the next chain of the receive queue; asks for a kick when there is none. */
static int take_buffer(struct virtq_device *queue, struct virtq_chain *chain)
{
    int error = virtq_device_take(queue, chain);

    if (error == EAGAIN && virtq_device_arm(queue))
        error = virtq_device_take(queue, chain);
    if (!error && (chain->readable || !chain->writable)) {
        queue->error = "receive buffer that cannot be written";
        return EPROTO;
    }
    return error;
}

/* Takes chains until `size` bytes fit. On success the pieces are in net->iov, their number in *pieces. */
static int gather(struct vhost_net *net, struct virtq_device *queue, size_t size, unsigned *chains, unsigned *pieces)
{
    unsigned limit = net->features & VIRTIO_NET_F_MRG_RXBUF ? VHOST_NET_MERGE : 1;
    size_t room = 0;

    *chains = *pieces = 0;
    while (room < size) {
        struct virtq_chain chain = { .iov = net->iov + *pieces, .capacity = VHOST_NET_CHAIN };
        int error;

        if (*chains == limit || *pieces > VHOST_NET_PIECES - VHOST_NET_CHAIN)
            return EMSGSIZE;
        error = take_buffer(queue, &chain);
        if (error)
            return error == EAGAIN && *chains == queue->size ? EMSGSIZE : error;
        net->heads[*chains] = chain.head;
        net->sizes[(*chains)++] = (uint32_t)(chain.writable_size < size - room ? chain.writable_size : size - room);
        *pieces += chain.writable;
        room += chain.writable_size;
    }
    return 0;
}

static struct virtio_net_header make_header(const struct vhost_net *net, const struct frame *frame, unsigned chains)
{
    const struct frame_offload *offload = &frame->offload;
    struct virtio_net_header header = { .num_buffers = (uint16_t)chains };

    if (net->features & VIRTIO_NET_F_GUEST_CSUM)
        header.flags = offload->flags & (VIRTIO_NET_NEEDS_CSUM | VIRTIO_NET_DATA_VALID);
    if (header.flags & VIRTIO_NET_NEEDS_CSUM) {
        header.flags = VIRTIO_NET_NEEDS_CSUM;
        header.csum_start = offload->csum_start;
        header.csum_offset = offload->csum_offset;
    }
    if (offload->gso_type != FRAME_GSO_NONE) {
        header.gso_type = offload->gso_type;
        header.gso_size = offload->gso_size;
        header.hdr_len = offload->hdr_len;
    }
    return header;
}

int vhost_net_send(struct vhost_net *net, const struct frame *frame)
{
    struct virtq_device *queue = &net->queues[VIRTIO_NET_RX];
    size_t header_size = virtio_net_header_size(net->features);
    unsigned chains, pieces;
    struct virtio_net_header header;
    struct cursor cursor;
    int error = gather(net, queue, header_size + frame->size, &chains, &pieces);

    if (error) {
        virtq_device_untake(queue, chains);
        return error;
    }
    virtq_device_suppress(queue);
    header = make_header(net, frame, chains);
    cursor = (struct cursor){ .iov = net->iov, .left = pieces };
    copy_in(&cursor, &header, header_size);
    copy_in(&cursor, frame->data, frame->size);
    for (unsigned i = 0; i < chains; i++)
        virtq_device_use(queue, net->heads[i], net->sizes[i]);
    return 0;
}

bool vhost_net_show(struct vhost_net *net, unsigned queue)
{
    if (!net->running[queue])
        return false;
    virtq_device_show(&net->queues[queue]);
    return virtq_device_call_due(&net->queues[queue]);
}

const char *vhost_net_error(const struct vhost_net *net)
{
    const char *error = net->queues[VIRTIO_NET_TX].error;

    return error ? error : net->queues[VIRTIO_NET_RX].error;
}
