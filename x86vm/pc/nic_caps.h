/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a NIC has in PCI configuration space beside the usual: names from its
 * EEPROM, power management, whose registers the model keeps, capabilities of its
 * vendor's, one of which may be a window to the BARs, and message-signalled
 * interrupts, which are the board's. A message is a
 * memory write like any other of the card's: it lands in RAM, or nowhere where
 * nobody answers, as a write to a local APIC does that the machine has not got.
 */
#ifndef X86VM_PC_NIC_CAPS_H
#define X86VM_PC_NIC_CAPS_H

#include "nicemu/nic.h"
#include "x86vm/pc/pci.h"

struct nic_caps {
    struct pci_device *pci;
    struct nic *model;
    uint8_t power_at, msi_at, window_at; /* 0: has none */
    uint8_t msi_enable;
    uint8_t msi[10];           /* address, upper address, data: bytes 4 to 13 of the capability */
    uint8_t window[16];        /* BAR, offset, length, data: bytes 4 to 19 of that one */
};

void nic_caps_init(struct nic_caps *caps, struct pci_device *pci, struct nic *model);
void nic_caps_reset(struct nic_caps *caps); /* after the model's reset */

/* For struct pci_device_ops: is the byte one of ours? */
bool nic_caps_read(struct nic_caps *caps, unsigned offset, uint8_t *value, uint64_t now);
bool nic_caps_write(struct nic_caps *caps, unsigned offset, uint8_t value, uint64_t now);

/* Interrupts are messages now: where to write which doubleword. */
bool nic_caps_message(const struct nic_caps *caps, uint64_t *address, uint32_t *data);

#endif
