/* SPDX-License-Identifier: BSD-2-Clause
 *
 * i440FX and PIIX3: see chipset.h. Of their own registers only the PIRQ
 * routes (PIIX3 0x60..0x63) act; the others keep what is written.
 */
#include "x86vm/pc/chipset.h"

#include <stdlib.h>

enum { PIIX3_PIRQ = 0x60 };

struct chipset {
    struct pci_bus *bus;
    struct pci_device *host, *isa;
};

static void isa_config_written(void *opaque, unsigned offset, uint8_t value)
{
    struct chipset *chipset = opaque;

    if (offset >= PIIX3_PIRQ && offset < PIIX3_PIRQ + PCI_PIRQS)
        pci_bus_set_route(chipset->bus, offset - PIIX3_PIRQ, value);
}

void chipset_route(struct chipset *chipset, const uint8_t irq[PCI_PIRQS])
{
    for (unsigned i = 0; i < PCI_PIRQS; i++) {
        pci_device_set_config(chipset->isa, PIIX3_PIRQ + i, irq[i]);
        pci_bus_set_route(chipset->bus, i, irq[i]);
    }
}

struct chipset *chipset_new(struct pci_bus *bus)
{
    static const struct pci_identity host = { .vendor_id = 0x8086, .device_id = 0x1237, .revision = 2,
                                              .class_code = 0x060000 };
    static const struct pci_identity isa = { .vendor_id = 0x8086, .device_id = 0x7000, .class_code = 0x060100 };
    static const struct pci_device_ops isa_ops = { .config_written = isa_config_written };
    struct chipset *chipset = calloc(1, sizeof *chipset);

    if (!chipset)
        return NULL;
    chipset->bus = bus;
    chipset->host = pci_bus_add(bus, CHIPSET_SLOT_HOST, &host, NULL, NULL);
    chipset->isa = pci_bus_add(bus, CHIPSET_SLOT_ISA, &isa, &isa_ops, chipset);
    if (!chipset->host || !chipset->isa) {
        free(chipset);
        return NULL;
    }
    pci_device_allow_writes(chipset->host, 0x50, 0xb0);
    pci_device_allow_writes(chipset->isa, 0x40, 0xc0);
    for (unsigned i = 0; i < PCI_PIRQS; i++)
        pci_device_set_config(chipset->isa, PIIX3_PIRQ + i, PCI_ROUTE_OFF);
    return chipset;
}

void chipset_free(struct chipset *chipset)
{
    free(chipset);
}
