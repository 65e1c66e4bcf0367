/* SPDX-License-Identifier: BSD-2-Clause
 * PCI configuration, bus 0: what the groups that drive a card share. */
#include "guest.h"

uint32_t pci_read(unsigned device, unsigned reg)
{
    outl(0xcf8, 0x80000000 | device << 11 | reg);
    return inl(0xcfc);
}

void pci_write(unsigned device, unsigned reg, uint32_t value)
{
    outl(0xcf8, 0x80000000 | device << 11 | reg);
    outl(0xcfc, value);
}

int pci_find(uint32_t identity)
{
    for (unsigned d = 0; d < 32; d++)
        if (pci_read(d, 0) == identity)
            return (int)d;
    return -1;
}

/* A BAR's address, and one of ours where nobody has set it. */
uint32_t pci_bar_address(unsigned device, unsigned bar, uint32_t otherwise)
{
    uint32_t reg = 0x10 + 4 * bar, value = pci_read(device, reg), mask = value & 1 ? ~3u : ~15u;
    if (value & mask)
        return value & mask;
    pci_write(device, reg, otherwise);
    return otherwise;
}
