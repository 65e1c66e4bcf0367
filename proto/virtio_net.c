/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Checks of the virtio-net header, see virtio_net.h. Pure.
 */
#include "proto/virtio_net.h"

#include <stdbool.h>

size_t virtio_net_header_size(uint64_t features)
{
    return features & (VIRTIO_F_VERSION_1 | VIRTIO_NET_F_MRG_RXBUF) ? VIRTIO_NET_HEADER_SIZE
                                                                    : VIRTIO_NET_HEADER_SIZE_LEGACY;
}

uint64_t virtio_net_device_features(uint64_t features)
{
    static const uint64_t pairs[][2] = {
        { VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_CSUM },
        { VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_HOST_TSO4 },
        { VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_HOST_TSO6 },
        { VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_HOST_ECN },
    };
    uint64_t mapped = 0;

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (features & pairs[i][0])
            mapped |= pairs[i][1];
    return mapped;
}

static const char *check_gso(const struct virtio_net_header *header, size_t frame_size, uint64_t allowed)
{
    uint8_t type = header->gso_type & (uint8_t)~VIRTIO_NET_GSO_ECN;

    if (type == VIRTIO_NET_GSO_TCPV4 ? !(allowed & VIRTIO_NET_F_HOST_TSO4)
                                     : type != VIRTIO_NET_GSO_TCPV6 || !(allowed & VIRTIO_NET_F_HOST_TSO6))
        return "segmentation of a kind that was not negotiated";
    if ((header->gso_type & VIRTIO_NET_GSO_ECN) && !(allowed & VIRTIO_NET_F_HOST_ECN))
        return "segmentation with ECN was not negotiated";
    if (!(header->flags & VIRTIO_NET_NEEDS_CSUM))
        return "segmentation without checksum offload";
    if (header->gso_size == 0)
        return "segments of no size";
    if (header->hdr_len > frame_size)
        return "headers longer than the frame";
    return NULL;
}

const char *virtio_net_header_check(const struct virtio_net_header *header, size_t frame_size, uint64_t allowed)
{
    if (frame_size < VIRTIO_NET_FRAME_MIN)
        return "frame shorter than an Ethernet header";
    if (frame_size > VIRTIO_NET_FRAME_MAX)
        return "frame too long";
    if (header->flags & VIRTIO_NET_NEEDS_CSUM) {
        if (!(allowed & VIRTIO_NET_F_CSUM))
            return "checksum offload was not negotiated";
        if (header->csum_start < VIRTIO_NET_FRAME_MIN ||
            (size_t)header->csum_start + header->csum_offset + 2 > frame_size)
            return "checksum outside the frame";
    }
    return header->gso_type == VIRTIO_NET_GSO_NONE ? NULL : check_gso(header, frame_size, allowed);
}
