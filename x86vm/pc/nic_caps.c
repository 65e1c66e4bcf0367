/* SPDX-License-Identifier: BSD-2-Clause
 *
 * PCI capabilities of a NIC: see nic_caps.h; layouts by the PCI Bus Power
 * Management Interface Specification 1.1, 3.2, PCI 2.2, 6.8.1, and virtio 1.1, 4.1.4.9.
 */
#include "x86vm/pc/nic_caps.h"

#include <string.h>

enum { ID_POWER = 0x01, ID_MSI = 0x05, ID_VENDOR = 0x09 };
enum { POWER_SIZE = 8, MSI_SIZE = 14, MSI_CONTROL = 2, MSI_ADDRESS = 4, MSI_DATA = 12 };
enum { WINDOW_SIZE = 20, WINDOW_FIRST = 4, WINDOW_BAR = 0, WINDOW_OFFSET = 4, WINDOW_LENGTH = 8, WINDOW_DATA = 12 };
enum { MSI_ENABLE = 0x01, MSI_64_BITS = 0x80 };

/* What the EEPROM calls the card, each time that it is loaded. */
static void take_name(struct nic_caps *caps)
{
    struct nic_pci_ids ids;

    nic_pci_ids(caps->model, &ids);
    pci_device_rename(caps->pci, ids.vendor, ids.device, ids.subsystem_vendor, ids.subsystem);
}

static void add_vendor_cap(struct pci_device *pci, const struct nic_vendor_cap *cap)
{
    pci_device_add_capability(pci, cap->at, ID_VENDOR);
    for (unsigned i = 0; i < cap->size; i++)
        pci_device_set_config(pci, cap->at + 2u + i, cap->bytes[i]);
}

void nic_caps_init(struct nic_caps *caps, struct pci_device *pci, struct nic *model)
{
    const struct nic_identity *id = nic_identity(model);

    *caps = (struct nic_caps){ .pci = pci, .model = model, .power_at = id->power_at, .msi_at = id->msi_at,
                                .window_at = id->window_at };
    for (unsigned i = 0; i < id->vendor_cap_count; i++)
        add_vendor_cap(pci, &id->vendor_caps[i]);
    if (caps->msi_at)
        pci_device_add_capability(pci, caps->msi_at, ID_MSI);
    if (caps->power_at)
        pci_device_add_capability(pci, caps->power_at, ID_POWER);
    take_name(caps);
}

void nic_caps_reset(struct nic_caps *caps)
{
    if (!caps->pci)
        return;
    caps->msi_enable = 0;
    memset(caps->msi, 0, sizeof caps->msi);
    memset(caps->window, 0, sizeof caps->window);
    pci_device_set_messages(caps->pci, false);
    pci_device_set_asleep(caps->pci, nic_is_asleep(caps->model));
    take_name(caps);
}

/* The byte's place in a capability, behind ID and pointer, which are the bus's. */
static bool is_in(uint8_t at, unsigned size, unsigned offset, unsigned *place)
{
    *place = offset - at;
    return at && *place >= 2 && *place < size;
}

/* --- the window ---------------------------------------------------------- */

static uint32_t window_word(const struct nic_caps *caps, unsigned at)
{
    const uint8_t *p = caps->window + at;

    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* What the driver has set it to; a length that no access has reaches nothing. */
static unsigned window_size(const struct nic_caps *caps)
{
    uint32_t size = window_word(caps, WINDOW_LENGTH);

    return size == 1 || size == 2 || size == 4 ? size : 0;
}

/* The register is read with the first byte of the data, and the others are what came then. */
static void read_window(struct nic_caps *caps, unsigned at, uint8_t *value, uint64_t now)
{
    unsigned size = window_size(caps);

    if (at == WINDOW_DATA && size) {
        uint32_t word = nic_read(caps->model, caps->window[WINDOW_BAR], window_word(caps, WINDOW_OFFSET), size, now);
        for (unsigned i = 0; i < size; i++)
            caps->window[WINDOW_DATA + i] = (uint8_t)(word >> 8 * i);
    }
    *value = caps->window[at];
}

/* And written with the last one. */
static void write_window(struct nic_caps *caps, unsigned at, uint8_t value, uint64_t now)
{
    unsigned size = window_size(caps);

    if (at > WINDOW_BAR && at < WINDOW_OFFSET)
        return; /* padding */
    caps->window[at] = value;
    if (size && at == WINDOW_DATA + size - 1)
        nic_write(caps->model, caps->window[WINDOW_BAR], window_word(caps, WINDOW_OFFSET), size,
                  window_word(caps, WINDOW_DATA), now);
}

/* --- all ----------------------------------------------------------------- */

bool nic_caps_read(struct nic_caps *caps, unsigned offset, uint8_t *value, uint64_t now)
{
    unsigned at;

    if (is_in(caps->window_at, WINDOW_SIZE, offset, &at) && at >= WINDOW_FIRST)
        read_window(caps, at - WINDOW_FIRST, value, now);
    else if (is_in(caps->power_at, POWER_SIZE, offset, &at))
        *value = nic_power_read(caps->model, at);
    else if (!is_in(caps->msi_at, MSI_SIZE, offset, &at))
        return false;
    else if (at < MSI_ADDRESS)
        *value = at == MSI_CONTROL ? MSI_64_BITS | caps->msi_enable : 0;
    else
        *value = caps->msi[at - MSI_ADDRESS];
    return true;
}

static void write_msi(struct nic_caps *caps, unsigned at, uint8_t value)
{
    if (at == MSI_ADDRESS)
        value &= 0xfc;
    if (at >= MSI_ADDRESS)
        caps->msi[at - MSI_ADDRESS] = value;
    if (at != MSI_CONTROL)
        return;
    caps->msi_enable = value & MSI_ENABLE;
    pci_device_set_messages(caps->pci, caps->msi_enable);
}

/* A card that comes out of D3 has forgotten its messages as it has its BARs. */
static void write_power(struct nic_caps *caps, unsigned at, uint8_t value, uint64_t now)
{
    bool before = nic_is_asleep(caps->model);

    nic_power_write(caps->model, at, value, now);
    if (before && !nic_is_asleep(caps->model))
        nic_caps_reset(caps);
    else
        pci_device_set_asleep(caps->pci, nic_is_asleep(caps->model));
}

bool nic_caps_write(struct nic_caps *caps, unsigned offset, uint8_t value, uint64_t now)
{
    unsigned at;

    if (is_in(caps->window_at, WINDOW_SIZE, offset, &at) && at >= WINDOW_FIRST)
        write_window(caps, at - WINDOW_FIRST, value, now);
    else if (is_in(caps->power_at, POWER_SIZE, offset, &at))
        write_power(caps, at, value, now);
    else if (is_in(caps->msi_at, MSI_SIZE, offset, &at))
        write_msi(caps, at, value);
    else
        return false;
    return true;
}

bool nic_caps_message(const struct nic_caps *caps, uint64_t *address, uint32_t *data)
{
    const uint8_t *p = caps->msi + MSI_DATA - MSI_ADDRESS;

    *address = 0;
    for (unsigned i = 8; i-- > 0;)
        *address = *address << 8 | caps->msi[i];
    *data = p[0] | (uint32_t)p[1] << 8;
    return caps->msi_enable;
}
