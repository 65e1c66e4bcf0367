/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The two queues of a virtio-net device, as frames: takes frames out of the
 * driver's transmit queue and puts frames into its receive queue. Nothing here
 * does I/O: vhost_backend sets it up and wakes the driver.
 */
#ifndef VSWITCHD_PORTS_VHOST_NET_H
#define VSWITCHD_PORTS_VHOST_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/virtio_net.h"
#include "proto/virtqueue.h"
#include "vswitchd/core/counters.h"
#include "vswitchd/core/frame.h"

/* Bounds of the work that one frame can cause, far above what drivers use. */
#define VHOST_NET_PIECES 512u /* of all the chains that one frame takes */
#define VHOST_NET_MERGE 64u   /* chains that one frame takes: 64 KiB in buffers of 1 KiB */
#define VHOST_NET_CHAIN 128u  /* pieces of one chain */

struct vhost_net {
    uint64_t features;                             /* as negotiated */
    struct virtq_device queues[VIRTIO_NET_QUEUES]; /* valid while running */
    bool running[VIRTIO_NET_QUEUES];
    struct iovec iov[VHOST_NET_PIECES]; /* scratch of one call */
    uint16_t heads[VHOST_NET_MERGE];
    uint32_t sizes[VHOST_NET_MERGE];
};

/* The next frame from the driver, copied to frame->data (room for FRAME_MAX + 1 bytes).
 * 0; EAGAIN: none, and a kick will come; EBADMSG: one that must be dropped for `*reason`; EPROTO: breach. */
int vhost_net_receive(struct vhost_net *net, struct frame *frame, enum drop_reason *reason);
/* A frame to the driver. 0; EAGAIN: no room, and a kick will come when there is; EMSGSIZE: never fits; EPROTO. */
int vhost_net_send(struct vhost_net *net, const struct frame *frame);
/* Shows the driver what was done. Whether it wants to be called for it. */
bool vhost_net_show(struct vhost_net *net, unsigned queue);
/* What the driver did wrong, after EPROTO. */
const char *vhost_net_error(const struct vhost_net *net);

#endif
