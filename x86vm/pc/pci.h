/* SPDX-License-Identifier: BSD-2-Clause
 *
 * PCI bus 0: configuration space of its devices, mechanism #1 (ports 0xCF8,
 * 0xCFC), BAR decoding, and INTx lines wired to PIRQ inputs that the PIIX3's
 * route registers lead to the 8259. Knows no device's inside: a device is told
 * where its BARs answer, and drives its interrupt line.
 */
#ifndef X86VM_PC_PCI_H
#define X86VM_PC_PCI_H

#include <stdbool.h>
#include <stdint.h>

struct pci_bus;
struct pci_device;

enum { PCI_SLOTS = 32, PCI_BARS = 6, PCI_PIRQS = 4 };
enum pci_bar_kind { PCI_BAR_NONE, PCI_BAR_MEMORY, PCI_BAR_IO };

struct pci_identity {
    uint16_t vendor_id, device_id, subsystem_vendor_id, subsystem_id;
    uint8_t revision;
    uint32_t class_code;     /* 24 bits */
    bool has_interrupt;      /* INTA */
    bool invalidates;        /* COMMAND has memory write and invalidate */
    uint16_t status;         /* fixed bits of STATUS */
    uint8_t min_grant;
    struct { enum pci_bar_kind kind; uint32_t size; } bar[PCI_BARS]; /* size: power of two, >= 4 (I/O), >= 16 (memory) */
};

struct pci_device_ops {
    /* BAR `bar` begins (mapped) or ends to answer at `base`; may be NULL. */
    void (*map_bar)(void *opaque, unsigned bar, bool mapped, uint32_t base);
    /* A configuration byte of the device's own (offset >= 0x40) was written; may be NULL. */
    void (*config_written)(void *opaque, unsigned offset, uint8_t value);
    /* Such bytes that the device keeps itself: false, and the bus does what it does with others. May be NULL. */
    bool (*own_read)(void *opaque, unsigned offset, uint8_t *value);
    bool (*own_write)(void *opaque, unsigned offset, uint8_t value);
};

/* `set_irq` drives inputs of the 8259 by number. */
struct pci_bus *pci_bus_new(void (*set_irq)(void *opaque, unsigned irq, bool level), void *opaque);
void pci_bus_free(struct pci_bus *bus);
void pci_bus_reset(struct pci_bus *bus); /* commands and BARs cleared, routes off */

/* NULL: slot taken or out of range, impossible identity, no memory. */
struct pci_device *pci_bus_add(struct pci_bus *bus, unsigned slot, const struct pci_identity *identity,
                               const struct pci_device_ops *ops, void *opaque);

/* Bytes of the device's own at offset >= 0x40, writable by the guest. */
void pci_device_allow_writes(struct pci_device *device, unsigned offset, unsigned size);
void pci_device_set_config(struct pci_device *device, unsigned offset, uint8_t value);

/* Another name than at its creation: a board's EEPROM has one. */
void pci_device_rename(struct pci_device *device, uint16_t vendor_id, uint16_t device_id, uint16_t subsystem_vendor_id,
                       uint16_t subsystem_id);

/* Links a capability in front of those that there are. */
void pci_device_add_capability(struct pci_device *device, unsigned offset, uint8_t id);

/* D3: the device answers in configuration space only, masters nothing and interrupts nobody.
 * Back in D0 its header is as after a reset. */
void pci_device_set_asleep(struct pci_device *device, bool asleep);

/* While it signals its interrupts by messages, INTA# is not asserted. */
void pci_device_set_messages(struct pci_device *device, bool on);

void pci_device_set_interrupt(struct pci_device *device, bool level);
bool pci_device_is_master(const struct pci_device *device); /* may it do DMA now? */

/* PIRQ `pirq` (0..3) leads to 8259 input `irq`; PCI_ROUTE_OFF: nowhere. */
enum { PCI_ROUTE_OFF = 0x80 };
void pci_bus_set_route(struct pci_bus *bus, unsigned pirq, uint8_t irq);
/* The PIRQ that slot's INTA is wired to. */
unsigned pci_bus_pirq(unsigned slot);

/* A BIOS's work: gives every BAR an address, every interrupt pin its line, and
 * enables decoding and bus mastering. False: a device did not fit. */
bool pci_bus_assign(struct pci_bus *bus);

/* Ports 0xCF8..0xCFF, `offset` from 0xCF8. */
uint32_t pci_bus_read(struct pci_bus *bus, unsigned offset, unsigned size);
void pci_bus_write(struct pci_bus *bus, unsigned offset, unsigned size, uint32_t value);

#endif
