/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The two PCI functions of the chip set: the i440FX host bridge in slot 0 and
 * the PIIX3 ISA bridge in slot 1, whose registers route the PIRQs.
 */
#ifndef X86VM_PC_CHIPSET_H
#define X86VM_PC_CHIPSET_H

#include "x86vm/pc/pci.h"

struct chipset;

enum { CHIPSET_SLOT_HOST = 0, CHIPSET_SLOT_ISA = 1, CHIPSET_FIRST_FREE_SLOT = 2 };

struct chipset *chipset_new(struct pci_bus *bus);
void chipset_free(struct chipset *chipset);

/* Routes PIRQ A..D to the given 8259 inputs, as a BIOS would before pci_bus_assign(). */
void chipset_route(struct chipset *chipset, const uint8_t irq[PCI_PIRQS]);

#endif
