/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A frame on its way through the switch: bytes, size, and what is still to be
 * done to it. Ports fill it in (ports/port.h), the core decides on it
 * (core/forward.h), vlan.h and offload.h rewrite it. The bytes are the switch's
 * own: whoever shares memory with us cannot change them behind our back.
 */
#ifndef VSWITCHD_CORE_FRAME_H
#define VSWITCHD_CORE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Largest frame that is switched: a 64 KiB super-frame with its Ethernet header and one VLAN tag. */
#define FRAME_MAX 65554u
/* Writable bytes before `data`: a VLAN tag to add (at most twice), a port's own header. */
#define FRAME_HEADROOM 64u
/* What a receive buffer must hold: one byte more than FRAME_MAX tells a longer frame apart. */
#define FRAME_BUFFER_SIZE (FRAME_HEADROOM + FRAME_MAX + 64u)

/* What is still to be done to a frame, in the terms and values of struct
 * virtio_net_hdr (virtio 1.1, 5.1.6): the checksum to complete, the size to segment to. */
enum frame_offload_flag { FRAME_NEEDS_CSUM = 1, FRAME_DATA_VALID = 2 };
enum frame_gso_type {
    FRAME_GSO_NONE = 0,
    FRAME_GSO_TCPV4 = 1,
    FRAME_GSO_UDP = 3, /* fragmentation of UDP: refused */
    FRAME_GSO_TCPV6 = 4,
    FRAME_GSO_ECN = 0x80,
};

struct frame_offload {
    uint8_t flags;        /* enum frame_offload_flag, or-ed */
    uint8_t gso_type;     /* enum frame_gso_type */
    uint16_t hdr_len;     /* bytes of all headers, when gso_type is not NONE; from outside: a hint, never trusted */
    uint16_t gso_size;    /* payload bytes a segment, when gso_type is not NONE */
    uint16_t csum_start;  /* byte offset where summing begins */
    uint16_t csum_offset; /* byte offset of the field, from csum_start */
};

struct frame {
    uint8_t *data; /* destination MAC; private memory, FRAME_HEADROOM writable bytes before it */
    uint32_t size; /* bytes from data, no FCS */
    struct frame_offload offload;
};

#endif
