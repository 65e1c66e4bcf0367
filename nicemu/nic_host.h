/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a NIC model calls: the verbs that its machine gives it (read and write
 * guest memory, drive an interrupt line, send a frame, arm a timer, and a few that
 * are rarer), and a place to report the guest driver's mistakes. The other direction, what the
 * machine calls on the model, is nic.h. Neither side sees the other's types,
 * so a model runs equally under the engine and under a test's fake host.
 */
#ifndef NICEMU_NIC_HOST_H
#define NICEMU_NIC_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Largest frame that crosses this interface in either direction: a 64 KiB TSO
 * super-frame with its Ethernet and VLAN headers. */
#define NIC_FRAME_MAX 65554u

/* What is still to be done to a frame, in the terms of struct virtio_net_hdr
 * (virtio 1.1, 5.1.6): the checksum to complete, the size to segment to. */
enum nic_offload_flag { NIC_OFFLOAD_NEEDS_CSUM = 1, NIC_OFFLOAD_DATA_VALID = 2 };
enum nic_gso_type { NIC_GSO_NONE = 0, NIC_GSO_TCPV4 = 1, NIC_GSO_UDP = 3, NIC_GSO_TCPV6 = 4, NIC_GSO_ECN = 0x80 };

struct nic_offload {
    uint8_t flags;        /* enum nic_offload_flag, or-ed */
    uint8_t gso_type;     /* enum nic_gso_type */
    uint16_t hdr_len;     /* bytes of all headers, when gso_type is not NONE */
    uint16_t gso_size;    /* payload bytes a segment, when gso_type is not NONE */
    uint16_t csum_start;  /* byte offset where summing begins */
    uint16_t csum_offset; /* byte offset of the field, from csum_start */
};

/* See has_room below. */
#define NIC_BURST 32u         /* frames */
#define NIC_NO_ROOM_NS 50000u

struct nic_host {
    void *opaque; /* handed back as the first argument of every call */

    /* Copies guest-physical memory. False, and nothing copied, when any byte of
     * the range is not RAM (MMIO, unmapped, ROM for a write). */
    bool (*dma_read)(void *opaque, uint64_t address, void *buffer, size_t size);
    bool (*dma_write)(void *opaque, uint64_t address, const void *buffer, size_t size);

    /* Level of the NIC's interrupt line; calling with an unchanged level is harmless. */
    void (*set_irq)(void *opaque, bool level);

    /* Hands one frame (no FCS) to the network; the bytes are the NIC's and
     * valid only during the call. False: the network's queue was full and the
     * frame is dropped (the model may count it). */
    bool (*send_frame)(void *opaque, const void *frame, size_t size, const struct nic_offload *offload);

    /* All frames of one burst have been sent: the peer may be woken once. */
    void (*send_flush)(void *opaque);

    /* The receiver has room again after nic_receive() answered NIC_RX_FULL. */
    void (*receive_ready)(void *opaque);

    /* Arms the NIC's single timer: nic_timer() is to be called at or soon after
     * `deadline` (ns, the clock of the `now` arguments). 0 disarms. */
    void (*set_timer)(void *opaque, uint64_t deadline);

    /* A mistake of the guest's driver, for a log or a strict mode: printf form. */
    void (*guest_error)(void *opaque, const char *format, ...) __attribute__((format(printf, 2, 3)));

    /* The driver has changed the EEPROM: nic_get_eeprom() has what is to be kept. May be NULL. */
    void (*eeprom_changed)(void *opaque);

    /* PCI's PME#, asserted or not; calling with an unchanged level is harmless. May be NULL. */
    void (*set_pme)(void *opaque, bool level);

    /* Whether the network takes a burst of frames now (NIC_BURST, or one as large as can be). While it
     * does not, a card lets its driver wait, and asks again after NIC_NO_ROOM_NS. May be NULL: it always does. */
    bool (*has_room)(void *opaque);

    /* nic_accepts() answers otherwise now, or may: a driver has begun to work. May be NULL. */
    void (*accepts_changed)(void *opaque);
};

#endif
