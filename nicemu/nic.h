/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a machine calls on a NIC model: creation, register access, frames that
 * arrive, timers, link. The model's calls in the other direction are in
 * nic_host.h. Time is an argument everywhere: `now` is in nanoseconds of one
 * monotonic clock that the machine chooses.
 */
#ifndef NICEMU_NIC_H
#define NICEMU_NIC_H

#include "nicemu/nic_host.h"

struct nic;

enum nic_bus { NIC_BUS_PCI, NIC_BUS_ISA };
enum nic_bar_kind { NIC_BAR_NONE, NIC_BAR_MEMORY, NIC_BAR_IO };

/* PCI: a capability of the vendor's own (ID 09h): the bytes behind its ID and pointer. */
struct nic_vendor_cap {
    uint8_t at, size;
    uint8_t bytes[18];
};

/* What the bus adapter (PCI or ISA) needs to know of a model. */
struct nic_identity {
    const char *model;      /* "e1000", "rtl8029", "ne2000" …: the name users write */
    enum nic_bus bus;
    uint16_t vendor_id, device_id, subsystem_vendor_id, subsystem_id; /* PCI only */
    uint8_t revision;
    uint32_t class_code;    /* 24 bits, PCI: 0x020000 Ethernet */
    struct { enum nic_bar_kind kind; uint32_t size; } bar[6];         /* PCI; ISA: bar[0] is the I/O window */
    uint8_t power_at, msi_at; /* PCI: where these capabilities are in configuration space; 0: it has none */
    uint16_t pci_status;      /* PCI: its fixed bits, but for the capability list's */
    bool pci_invalidates;     /* PCI: memory write and invalidate can be enabled */
    uint8_t min_grant;        /* PCI: in 250 ns */
    const struct nic_vendor_cap *vendor_caps; /* PCI: each is linked in front of those before it */
    unsigned vendor_cap_count;
    uint8_t window_at;        /* PCI: which of them reaches the BARs through configuration space (virtio 1.1, 4.1.4.9); 0: none */
    uint16_t isa_port;      /* ISA: default base port */
    uint8_t isa_irq;        /* ISA: default interrupt line */
};

/* Creates the model `name` ("e1000", "e1000-82545em", "rtl8029", "rtl8019as", "ne2000",
 * "ne2000-8bit", "ne1000", "virtio-net", or what its chip is called) with station address `mac`.
 * `host` is copied. NULL when the name is unknown or memory is short. */
struct nic *nic_new(const char *name, const uint8_t mac[6], const struct nic_host *host);
void nic_free(struct nic *nic); /* accepts NULL */

/* The names that nic_new() knows, one after the other; NULL behind the last. */
const char *nic_model_name(unsigned index);

/* What a model is, by any of its names; NULL: there is none of that name. */
const struct nic_identity *nic_model_identity(const char *name);

const struct nic_identity *nic_identity(const struct nic *nic);

/* What the card is called in configuration space: its EEPROM may name it otherwise. It is
 * looked up there at power-on and reset. */
struct nic_pci_ids { uint16_t vendor, device, subsystem_vendor, subsystem; };
void nic_pci_ids(const struct nic *nic, struct nic_pci_ids *ids);

/* Power-on reset; the bus adapter calls it on a PCI or system reset. */
void nic_reset(struct nic *nic, uint64_t now);

/* Register access: `bar` indexes nic_identity.bar, `offset` is within it and
 * offset + size <= its size; size is 1, 2 or 4 bytes. */
uint32_t nic_read(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint64_t now);
void nic_write(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t value, uint64_t now);

/* The same for accesses that concern nobody but the card, which need no general call (nic_model.h: what they may
 * use). Negative: not this one, and nothing was done. */
int64_t nic_quick_read(struct nic *nic, unsigned bar, uint32_t offset, unsigned size);
int nic_quick_write(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t value);

/* `count` accesses of `size` bytes to the one offset, elements little-endian in
 * `buffer`: the same as so many calls of the above, and quicker at a data port. */
void nic_read_block(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t count, void *buffer,
                    uint64_t now);
void nic_write_block(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t count,
                     const void *buffer, uint64_t now);

enum nic_rx_result {
    NIC_RX_TAKEN, /* delivered to the guest, queued in the model, or filtered out: done with */
    NIC_RX_FULL,  /* no room at all: keep the frame and offer it again after receive_ready() */
    NIC_RX_OFF,   /* receiver disabled or link down: drop it */
};

/* One frame (no FCS) arrives from the network. The frame may carry work still
 * to be done only where nic_accepts() says so; otherwise `offload` is
 * NULL or all zero apart from DATA_VALID. */
enum nic_rx_result nic_receive(struct nic *nic, const void *frame, size_t size,
                               const struct nic_offload *offload, uint64_t now);

/* A frame of `size` bytes was lost before nic_receive() could offer it again, because the
 * machine's own queue was full: the chip tells its driver (missed packets, OVW). */
void nic_receive_lost(struct nic *nic, size_t size, uint64_t now);

/* From a NIC_RX_FULL on until none wait any more: how many frames do, in a queue
 * of how many. It is to the chip as its own FIFO is (PAUSE frames go by it). */
void nic_receive_backlog(struct nic *nic, uint32_t waiting, uint32_t capacity, uint64_t now);

/* What frames handed to nic_receive() may still have to be done, or-ed: a checksum, where the driver can
 * be told "good" (e1000 RXCSUM) or "to be completed"; and TCP segmentation. It changes with the driver
 * where the host has an accepts_changed(). */
enum nic_accepts { NIC_ACCEPTS_CSUM = 1, NIC_ACCEPTS_TSO = 2 };
unsigned nic_accepts(const struct nic *nic);

void nic_timer(struct nic *nic, uint64_t now);
void nic_set_link(struct nic *nic, bool up, uint64_t now);

/* The whole state, at any moment between two calls, as a byte image: the same on
 * every host, its times relative to `now`. Returns the image's size, and fills
 * `image` where `size` is enough; call it with NULL first to learn the size. */
size_t nic_save(const struct nic *nic, uint64_t now, void *image, size_t size);

/* Takes over a saved state, into a NIC of the same model. 0; EINVAL, and
 * nothing changed, where the image is not one that this model could have saved;
 * or ENOMEM. Tells the host the interrupt line's level and the timer anew, and
 * receive_ready(). The station address comes with the state, and whether the NIC
 * sleeps: the bus is to look at nic_is_asleep(). */
int nic_restore(struct nic *nic, uint64_t now, const void *image, size_t size);

/* The contents of the serial EEPROM, 128 bytes, which outlive the machine: to be
 * taken before nic_free(), and given back after nic_new(); the nic_reset() that
 * follows loads them, station address included. Models without one: 0, false. */
#define NIC_EEPROM_SIZE 128u
size_t nic_get_eeprom(const struct nic *nic, uint8_t image[NIC_EEPROM_SIZE]);
bool nic_set_eeprom(struct nic *nic, const uint8_t *image, size_t size);

/* The station address that the card's EEPROM or PROM holds. */
void nic_station_address(const struct nic *nic, uint8_t mac[6]);

/* Where an ISA board answers. It changes when Plug and Play moves the board: ask
 * again after nic_pnp_write(), nic_reset(), nic_write() and nic_restore(). */
struct nic_isa_place {
    bool active;    /* false: it decodes no port and drives no line */
    uint16_t port;
    uint8_t irq;    /* 0: none */
};
void nic_isa_place(const struct nic *nic, struct nic_isa_place *place);

/* Before the first nic_reset(): the jumpers of a board, or what the EEPROM of a new
 * rtl8019as says. False: the board has no such setting. */
bool nic_set_isa_place(struct nic *nic, uint16_t port, uint8_t irq);

/* Before the first nic_reset(): frames take the time that they need at so many Mbit/s, and
 * the chip shows that it is sending. 0, as from the beginning: they are gone at once.
 * False: the model sends at once whatever is said (e1000). */
bool nic_set_line_rate(struct nic *nic, uint32_t megabits);

/* ISA Plug and Play (rtl8019). The machine hands every such board each byte
 * written to ports 279 and a79, and each byte read from 203 to 3ff that no one
 * else answers. Where one card has driven a read, those that left it alone must
 * be told that they were outvoted. Boards without: no effect, false. */
void nic_pnp_write(struct nic *nic, uint16_t port, uint8_t value, uint64_t now);
bool nic_pnp_read(struct nic *nic, uint16_t port, uint8_t *value, uint64_t now);
void nic_pnp_outvoted(struct nic *nic);

/* PCI power management, where nic_identity.power_at says that there is some: the
 * bytes of the capability from PMC on, `offset` 2 to 7 from its beginning. Others read as 0. */
uint8_t nic_power_read(const struct nic *nic, unsigned offset);
void nic_power_write(struct nic *nic, unsigned offset, uint8_t value, uint64_t now);

/* In D3: the bus must reach nothing of the card but its configuration, and the card
 * neither memory nor its interrupt line. Frames are offered to it as ever, which may wake the machine. */
bool nic_is_asleep(const struct nic *nic);

/* The teacher: from now on `line` is given, a line at a time (no newline), each
 * register access decoded to names and fields with its time, the interrupts and
 * frames between them, and in strict mode every rule of the chip's manual that
 * the driver breaks. NULL turns it off; then it costs nothing. 0 or ENOMEM. */
typedef void nic_trace_line(void *opaque, const char *text);
int nic_set_trace(struct nic *nic, nic_trace_line *line, void *opaque, bool strict);

/* Counters that every model keeps, for the control plane. */
struct nic_counters {
    uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
    uint64_t rx_dropped_full, rx_dropped_off, rx_filtered, tx_errors, guest_errors, interrupts, register_accesses;
};
void nic_get_counters(const struct nic *nic, struct nic_counters *out);

#endif
