/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The header that precedes each frame in a virtio-net queue, and the feature
 * bits of virtio that the port protocol uses. Shared by both ends of a port:
 * vswitchd/ports/vhost_* (device) and guest/port_link (driver).
 */
#ifndef PROTO_VIRTIO_NET_H
#define PROTO_VIRTIO_NET_H

#include <stddef.h>
#include <stdint.h>

enum {
    VIRTIO_NET_NEEDS_CSUM = 1, /* flags: the checksum is still to be completed */
    VIRTIO_NET_DATA_VALID = 2, /* flags: the checksum has been verified */
};

enum {
    VIRTIO_NET_GSO_NONE = 0,
    VIRTIO_NET_GSO_TCPV4 = 1,
    VIRTIO_NET_GSO_TCPV6 = 4,
    VIRTIO_NET_GSO_ECN = 0x80, /* or-ed to a TCP type */
};

/* Little-endian on the wire, as every host that we build for is. */
struct virtio_net_header {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t hdr_len;
    uint16_t gso_size;
    uint16_t csum_start;
    uint16_t csum_offset;
    uint16_t num_buffers; /* absent without both VERSION_1 and MRG_RXBUF */
};

#define VIRTIO_NET_HEADER_SIZE 12u
#define VIRTIO_NET_HEADER_SIZE_LEGACY 10u

/* A 64 KiB TCP super-frame with its Ethernet and VLAN headers. */
#define VIRTIO_NET_FRAME_MAX 65554u
#define VIRTIO_NET_FRAME_MIN 14u

/* The queues of a device with one pair, named from the driver's side. */
enum { VIRTIO_NET_RX = 0, VIRTIO_NET_TX = 1, VIRTIO_NET_QUEUES = 2 };

#define VIRTIO_BIT(n) (UINT64_C(1) << (n))
#define VIRTIO_NET_F_CSUM VIRTIO_BIT(0)        /* driver -> device frames may lack a checksum */
#define VIRTIO_NET_F_GUEST_CSUM VIRTIO_BIT(1)  /* device -> driver frames may */
#define VIRTIO_NET_F_GUEST_TSO4 VIRTIO_BIT(7)
#define VIRTIO_NET_F_GUEST_TSO6 VIRTIO_BIT(8)
#define VIRTIO_NET_F_GUEST_ECN VIRTIO_BIT(9)
#define VIRTIO_NET_F_HOST_TSO4 VIRTIO_BIT(11)
#define VIRTIO_NET_F_HOST_TSO6 VIRTIO_BIT(12)
#define VIRTIO_NET_F_HOST_ECN VIRTIO_BIT(13)
#define VIRTIO_NET_F_MRG_RXBUF VIRTIO_BIT(15)
#define VIRTIO_F_INDIRECT_DESC VIRTIO_BIT(28)
#define VIRTIO_F_EVENT_IDX VIRTIO_BIT(29)
#define VIRTIO_F_VERSION_1 VIRTIO_BIT(32)

/* Size of the header under these negotiated features. */
size_t virtio_net_header_size(uint64_t features);

/* Whether the header is one that `allowed` (the features of the sender: CSUM and
 * HOST_* bits; for a device see virtio_net_device_features)
 * permits for a frame of this size. NULL, or what is wrong with it. */
const char *virtio_net_header_check(const struct virtio_net_header *header, size_t frame_size, uint64_t allowed);

/* The features that bound what a device sends, as the bits that bound a driver. */
uint64_t virtio_net_device_features(uint64_t features);

#endif
