/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What is counted at a port, and why a frame was dropped. The names are part of
 * the control protocol: they are stable. in = from the port into the switch.
 */
#ifndef VSWITCHD_CORE_COUNTERS_H
#define VSWITCHD_CORE_COUNTERS_H

#include <stdint.h>

enum drop_reason {
    DROP_NONE,
    /* at the port where the frame came in */
    DROP_RUNT,             /* shorter than its header */
    DROP_OVERSIZE,         /* longer than the ingress port's MTU allows, or than any frame */
    DROP_BAD_SOURCE,       /* source is a group address or zero */
    DROP_BAD_OFFLOAD,      /* its offload metadata contradicts its bytes */
    DROP_RESERVED,         /* 01:80:c2:00:00:0x, not to be forwarded */
    DROP_VLAN_TAGGED,      /* tagged, on an access port */
    DROP_VLAN_UNTAGGED,    /* untagged, on a trunk without native VLAN */
    DROP_VLAN_NOT_ALLOWED, /* tagged for a VLAN that this trunk does not carry */
    DROP_PORT_DISABLED,    /* came in while the port was administratively down */
    DROP_SAME_PORT,        /* destination is where it came from */
    DROP_NO_DESTINATION,   /* nobody else in its VLAN */
    /* at the port where it should have gone out */
    DROP_MTU,        /* larger than the egress port takes */
    DROP_QUEUE_FULL, /* the egress port is slow, and its queue is full */
    DROP_PORT_DOWN,  /* the egress port has no link */
    DROP_SEND_ERROR, /* the egress port refused it */
    DROP_REASON_COUNT,
};

const char *drop_reason_name(enum drop_reason reason);

struct port_counters {
    uint64_t in_frames;
    uint64_t in_bytes;
    uint64_t in_group; /* of in_frames: to multicast and broadcast addresses */
    uint64_t out_frames;
    uint64_t out_bytes;
    uint64_t out_queued;    /* of out_frames: had to wait in the egress queue */
    uint64_t out_segments;  /* of out_frames: cut here from super-frames */
    uint64_t out_checksums; /* of out_frames: checksum completed here */
    uint64_t drops[DROP_REASON_COUNT];
};

#endif
