/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fake_nic.h: the functions of nicemu/nic.h.
 */
#include "tests/fake/fake_nic.h"

#include <stdlib.h>
#include <string.h>

struct nic *fake_nic_last;

size_t nic_save(const struct nic *nic, uint64_t now, void *image, size_t size)
{
    (void)nic; (void)now; (void)image; (void)size;
    return 0;
}

int nic_restore(struct nic *nic, uint64_t now, const void *image, size_t size)
{
    (void)nic; (void)now; (void)image; (void)size;
    return 0;
}

bool nic_set_line_rate(struct nic *nic, uint32_t megabits) { (void)nic; (void)megabits; return false; }

struct nic *nic_new(const char *name, const uint8_t mac[6], const struct nic_host *host)
{
    struct nic *nic;

    (void)mac;
    if (strcmp(name, "fake-pci") && strcmp(name, "fake-isa"))
        return NULL;
    nic = calloc(1, sizeof *nic);
    nic->host = *host;
    nic->identity = (struct nic_identity){ .model = name, .bus = NIC_BUS_PCI, .vendor_id = 0x1234, .device_id = 0x5678,
                                           .class_code = 0x020000,
                                           .bar = { { NIC_BAR_MEMORY, 4096 }, { NIC_BAR_IO, 32 } } };
    if (!strcmp(name, "fake-isa")) {
        nic->identity.bus = NIC_BUS_ISA;
        nic->identity.bar[0].kind = NIC_BAR_IO;
        nic->identity.bar[0].size = 32;
        nic->identity.isa_port = 0x300;
        nic->identity.isa_irq = 9;
    }
    fake_nic_last = nic;
    return nic;
}

void nic_free(struct nic *nic) { free(nic); }
const struct nic_identity *nic_identity(const struct nic *nic) { return &nic->identity; }
void nic_reset(struct nic *nic, uint64_t now) { (void)now; nic->resets++; }
void nic_timer(struct nic *nic, uint64_t now) { (void)now; nic->timers++; }
void nic_set_link(struct nic *nic, bool up, uint64_t now) { (void)nic; (void)up; (void)now; }
void nic_receive_lost(struct nic *nic, size_t size, uint64_t now) { (void)nic; (void)size; (void)now; }
void nic_receive_backlog(struct nic *nic, uint32_t waiting, uint32_t capacity, uint64_t now)
{
    (void)nic; (void)waiting; (void)capacity; (void)now;
}
const char *nic_model_name(unsigned index) { return index ? NULL : "fake-pci"; }
bool nic_set_eeprom(struct nic *nic, const uint8_t *image, size_t size) { (void)nic; (void)image; return size == 0; }
void nic_pnp_outvoted(struct nic *nic) { (void)nic; }
void nic_pci_ids(const struct nic *nic, struct nic_pci_ids *ids)
{
    *ids = (struct nic_pci_ids){ nic->identity.vendor_id, nic->identity.device_id, 0, 0 };
}

bool nic_is_asleep(const struct nic *nic) { (void)nic; return false; }
uint8_t nic_power_read(const struct nic *nic, unsigned offset) { (void)nic; return (uint8_t)offset; }
void nic_power_write(struct nic *nic, unsigned offset, uint8_t value, uint64_t now)
{
    (void)nic;
    (void)offset;
    (void)value;
    (void)now;
}

int nic_set_trace(struct nic *nic, nic_trace_line *line, void *opaque, bool strict)
{
    (void)nic; (void)line; (void)opaque; (void)strict;
    return 0;
}

void nic_isa_place(const struct nic *nic, struct nic_isa_place *place)
{
    *place = (struct nic_isa_place){ nic->identity.bus == NIC_BUS_ISA, nic->identity.isa_port, nic->identity.isa_irq };
}

bool nic_set_isa_place(struct nic *nic, uint16_t port, uint8_t irq)
{
    nic->identity.isa_port = port;
    nic->identity.isa_irq = irq;
    return true;
}

void nic_pnp_write(struct nic *nic, uint16_t port, uint8_t value, uint64_t now)
{
    (void)nic; (void)port; (void)value; (void)now;
}

bool nic_pnp_read(struct nic *nic, uint16_t port, uint8_t *value, uint64_t now)
{
    (void)nic; (void)port; (void)value; (void)now;
    return false;
}

uint32_t nic_read(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint64_t now)
{
    (void)size; (void)now;
    nic->last_bar = bar;
    nic->last_offset = offset;
    return nic->reg;
}

void nic_write(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t value, uint64_t now)
{
    nic_read(nic, bar, offset, size, now);
    nic->reg = value;
}

int64_t nic_quick_read(struct nic *nic, unsigned bar, uint32_t offset, unsigned size)
{
    (void)nic, (void)bar, (void)offset, (void)size;
    return -1;
}

int nic_quick_write(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t value)
{
    (void)nic, (void)bar, (void)offset, (void)size, (void)value;
    return -1;
}

void nic_read_block(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t count, void *buffer,
                    uint64_t at)
{
    nic_read(nic, bar, offset, size, at);
    memset(buffer, (int)nic->reg, (size_t)count * size);
}

void nic_write_block(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t count, const void *buffer,
                     uint64_t at)
{
    nic_write(nic, bar, offset, size, ((const uint8_t *)buffer)[(size_t)count * size - 1], at);
}

enum nic_rx_result nic_receive(struct nic *nic, const void *frame, size_t size, const struct nic_offload *offload,
                               uint64_t now)
{
    (void)frame;
    (void)offload;
    (void)now;
    nic->received += size;
    return NIC_RX_TAKEN;
}
