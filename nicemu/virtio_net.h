/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A paravirtual network card (virtio 1.1, 5.1) on PCI (4.1), private to its files:
 * virtio_net.c holds what the card is, virtio_net_regs.c the registers of both of its
 * interfaces, the legacy one through ports and that of virtio 1.0 in memory, and
 * virtio_net_{tx,rx,control}.c its three queues. It has one pair of queues; frames
 * cross it with their checksums and segmentation still to be done, as the
 * network's terms (struct nic_offload) are those of its header.
 */
#ifndef NICEMU_VIRTIO_NET_H
#define NICEMU_VIRTIO_NET_H

#include "nicemu/virtio_ring.h"

#define VNET_BAR_LEGACY 0u
#define VNET_BAR_MODERN 1u
#define VNET_LEGACY_SIZE 0x20u
#define VNET_MODERN_SIZE 0x1000u

/* Where the structures of the modern interface are in its BAR. */
#define VNET_COMMON 0x000u
#define VNET_COMMON_SIZE 0x38u
#define VNET_ISR 0x040u
#define VNET_CONFIG 0x080u
#define VNET_CONFIG_SIZE 8u     /* station address, link */
#define VNET_NOTIFY 0x800u
#define VNET_NOTIFY_STEP 4u     /* between two queues */
#define VNET_BREAK 50000u       /* ns at most that a transmission, or word of one, waits: the network's, and two of the card's own */
#define VNET_RUN_BYTES (4u << 20)   /* what a queue may have done at once, before the machine goes on: */
#define VNET_RUN_DESCRIPTORS 2048u  /* each may be, and name, memory that no cache has */
#define VNET_WINDOW_AT 0x84u    /* in configuration space: of the capability that reaches the BARs */

enum vnet_queue { VNET_RX, VNET_TX, VNET_CONTROL, VNET_QUEUES };

/* Features (5.1.3, 6), by their bits. */
enum vnet_feature {
    VNET_F_CSUM = 0, VNET_F_GUEST_CSUM = 1, VNET_F_MAC = 5, VNET_F_GUEST_TSO4 = 7, VNET_F_GUEST_TSO6 = 8,
    VNET_F_GUEST_ECN = 9, VNET_F_HOST_TSO4 = 11, VNET_F_HOST_TSO6 = 12, VNET_F_HOST_ECN = 13, VNET_F_MRG_RXBUF = 15,
    VNET_F_STATUS = 16, VNET_F_CTRL_VQ = 17, VNET_F_CTRL_RX = 18, VNET_F_CTRL_MAC_ADDR = 23, VNET_F_ANY_LAYOUT = 27,
    VNET_F_INDIRECT_DESC = 28, VNET_F_EVENT_IDX = 29, VNET_F_VERSION_1 = 32,
};

/* Device status (2.1). */
enum {
    VNET_S_ACKNOWLEDGE = 0x01, VNET_S_DRIVER = 0x02, VNET_S_DRIVER_OK = 0x04, VNET_S_FEATURES_OK = 0x08,
    VNET_S_NEEDS_RESET = 0x40, VNET_S_FAILED = 0x80,
};
#define VNET_S_WRITABLE 0x8fu

enum { VNET_ISR_QUEUE = 1, VNET_ISR_CONFIG = 2 };

/* What precedes a frame; num_buffers only under VERSION_1 or MRG_RXBUF. */
struct vnet_header {
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
#define VNET_HEADER_MAX 12u
#define VNET_HEADER_LEGACY 10u

#define VNET_ADDRESSES 64u /* in the filter's table; a driver that has more gets all of their kind */

struct vnet_filter {
    bool promiscuous, all_multicast;
    bool many_unicast, many_multicast; /* more than the table holds */
    uint8_t count;
    uint8_t address[VNET_ADDRESSES][6];
};

/* Where a frame that arrives will lie: the writable pieces of all chains that it takes, and what each gets. */
struct vnet_room {
    unsigned chains;
    unsigned descriptors; /* of the queue, in all chains */
    unsigned looked_at;   /* tables' ones, too */
    uint16_t head[VIRTIO_RING_MAX];
    uint32_t size[VIRTIO_RING_MAX];
    struct virtio_chain all;
};

struct virtio_net {
    struct nic nic;
    uint64_t now;                  /* of the call under way */
    bool cable;
    uint8_t mac[6];                /* as the driver may have changed it */
    uint64_t features;             /* the driver's */
    uint8_t status, isr;
    uint8_t generation;            /* of the device's configuration */
    uint16_t queue_select;
    uint32_t device_select, driver_select; /* which half of the features is shown, is written */
    struct virtio_ring ring[VNET_QUEUES];
    struct vnet_filter filter;
    bool rx_waiting;               /* a frame was refused for want of buffers */
    bool tx_running;
    uint64_t tx_again;             /* when transmission is gone on with; 0: it waits for the driver */
    uint64_t control_again;        /* the same of commands */
    uint64_t timer;                /* as the host was told */
    bool tx_untold;                /* frames were sent, and the driver not yet asked whether it wants an interrupt: */
    uint64_t tx_quiet;             /* it is from this moment on */
    struct virtio_chain chain;     /* the one in hand */
    struct vnet_room room;
    uint8_t frame[VNET_HEADER_MAX + NIC_FRAME_MAX]; /* a frame to send with its header, a command, a frame to complete */
};

static inline bool vnet_has(const struct virtio_net *v, enum vnet_feature feature)
{
    return v->features >> feature & 1;
}

static inline bool vnet_is_on(const struct virtio_net *v)
{
    return (v->status & (VNET_S_DRIVER_OK | VNET_S_NEEDS_RESET)) == VNET_S_DRIVER_OK;
}

static inline unsigned vnet_header_size(const struct virtio_net *v)
{
    return vnet_has(v, VNET_F_VERSION_1) || vnet_has(v, VNET_F_MRG_RXBUF) ? VNET_HEADER_MAX : VNET_HEADER_LEGACY;
}

/* virtio_net.c */
extern const uint64_t vnet_offered;               /* features */
void vnet_set_status(struct virtio_net *v, uint8_t status);
void vnet_raise(struct virtio_net *v, uint8_t cause);
uint8_t vnet_take_isr(struct virtio_net *v);      /* reading it clears it */
uint8_t vnet_config_byte(const struct virtio_net *v, unsigned at);
void vnet_notified(struct virtio_net *v, unsigned queue);
void vnet_used(struct virtio_net *v, unsigned queue); /* buffers were used: shows them, and calls the driver if it wants */
void vnet_call(struct virtio_net *v, unsigned queue); /* the second half of that */
void vnet_set_timer(struct virtio_net *v);            /* for what is to happen next */
void vnet_check(struct virtio_net *v, unsigned queue); /* a broken queue: the card needs a reset */

/* virtio_net_regs.c */
uint32_t vnet_read(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint64_t now);
void vnet_write(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t value, uint64_t now);
const char *vnet_register_name(unsigned bar, uint32_t offset); /* NULL: none is there */

/* virtio_net_tx.c, virtio_net_rx.c, virtio_net_control.c, virtio_net_state.c */
void vnet_transmit(struct virtio_net *v);
void vnet_transmit_timer(struct virtio_net *v);
enum nic_rx_result vnet_receive(struct nic *nic, const uint8_t *frame, size_t size, const struct nic_offload *offload,
                                uint64_t now);
void vnet_receive_buffers(struct virtio_net *v);  /* the driver has given some */
unsigned vnet_accepts(const struct nic *nic);
void vnet_control(struct virtio_net *v);
void vnet_control_timer(struct virtio_net *v);
void vnet_state(struct nic *nic, struct nic_state *s);
void vnet_restored(struct nic *nic, uint64_t now);

#endif
