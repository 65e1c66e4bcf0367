/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The list of NIC models, and the calls of nic.h handed on to the one chosen.
 * Arguments from the machine are checked here, once for all models.
 */
#include "nicemu/nic_model.h"
#include "nicemu/trace.h"

#include <stdlib.h>
#include <string.h>

static const struct nic_ops *const models[] = { &e1000_ops, &e1000_82545em_ops, &rtl8029_ops, &rtl8019_ops,
                                               &ne2000_ops, &ne2000_8bit_ops, &ne1000_ops, &virtio_net_ops };

/* What else a model may be called. */
static const struct { const char *name, *model; } aliases[] = {
    { "82540em", "e1000" }, { "e1000-82540em", "e1000" }, { "82545em", "e1000-82545em" }, { "rtl8029as", "rtl8029" },
    { "ne2k_pci", "rtl8029" }, { "rtl8019", "rtl8019as" },
    { "virtio", "virtio-net" }, { "virtio-net-pci", "virtio-net" },
};

static const struct nic_ops *find(const char *name)
{
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strcmp(aliases[i].name, name) == 0)
            name = aliases[i].model;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (strcmp(models[i]->identity.model, name) == 0)
            return models[i];
    return NULL;
}

struct nic *nic_new(const char *name, const uint8_t mac[6], const struct nic_host *host)
{
    const struct nic_ops *ops = find(name);
    struct nic *nic = ops ? calloc(1, ops->size) : NULL;
    if (!nic)
        return NULL;
    nic->ops = ops;
    nic_access_directly(nic);
    nic->host = *host;
    memcpy(nic->mac, mac, sizeof nic->mac);
    nic->isa_port = ops->identity.isa_port;
    nic->isa_irq = ops->identity.isa_irq;
    ops->init(nic);
    ops->reset(nic, 0);
    return nic;
}

const struct nic_identity *nic_model_identity(const char *name)
{
    const struct nic_ops *ops = find(name);
    return ops ? &ops->identity : NULL;
}

const char *nic_model_name(unsigned index)
{
    return index < sizeof models / sizeof *models ? models[index]->identity.model : NULL;
}

void nic_pci_ids(const struct nic *nic, struct nic_pci_ids *ids)
{
    const struct nic_identity *id = &nic->ops->identity;
    *ids = (struct nic_pci_ids){ id->vendor_id, id->device_id, id->subsystem_vendor_id, id->subsystem_id };
    if (nic->ops->pci_ids)
        nic->ops->pci_ids(nic, ids);
}

void nic_free(struct nic *nic)
{
    if (nic)
        nic_trace_off(nic);
    free(nic);
}

const struct nic_identity *nic_identity(const struct nic *nic)
{
    return &nic->ops->identity;
}

void nic_reset(struct nic *nic, uint64_t now)
{
    if (nic->trace)
        nic_trace_at(nic, now);
    nic->ops->reset(nic, now);
}

static bool access_is_valid(const struct nic *nic, unsigned bar, uint32_t offset, unsigned size)
{
    if (bar >= 6 || (size != 1 && size != 2 && size != 4))
        return false;
    uint32_t limit = nic->ops->identity.bar[bar].size;
    return offset < limit && size <= limit - offset;
}

uint32_t nic_read(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint64_t now)
{
    if (!access_is_valid(nic, bar, offset, size))
        return UINT32_MAX;
    nic->counters.register_accesses++;
    return nic->read(nic, bar, offset, size, now);
}

void nic_write(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t value, uint64_t now)
{
    if (!access_is_valid(nic, bar, offset, size))
        return;
    nic->counters.register_accesses++;
    nic->write(nic, bar, offset, size, value, now);
}

int64_t nic_quick_read(struct nic *nic, unsigned bar, uint32_t offset, unsigned size)
{
    int64_t value;
    if (!nic->quick_read || bar != 0 || (value = nic->quick_read(nic, offset, size)) < 0)
        return -1;
    nic->counters.register_accesses++;
    return value;
}

int nic_quick_write(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t value)
{
    if (!nic->quick_write || bar != 0 || nic->quick_write(nic, offset, size, value) < 0)
        return -1;
    nic->counters.register_accesses++;
    return 0;
}

static void read_one_by_one(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t count,
                            uint8_t *to, uint64_t now)
{
    for (; count; count--, to += size) {
        uint32_t value = nic_read(nic, bar, offset, size, now);
        for (unsigned i = 0; i < size; i++)
            to[i] = (uint8_t)(value >> 8 * i);
    }
}

static void write_one_by_one(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t count,
                             const uint8_t *from, uint64_t now)
{
    for (; count; count--, from += size) {
        uint32_t value = 0;
        for (unsigned i = 0; i < size; i++)
            value |= (uint32_t)from[i] << 8 * i;
        nic_write(nic, bar, offset, size, value, now);
    }
}

void nic_read_block(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t count, void *buffer,
                    uint64_t now)
{
    if (!nic->ops->read_block || nic->trace || !access_is_valid(nic, bar, offset, size)) {
        read_one_by_one(nic, bar, offset, size, count, buffer, now);
        return;
    }
    nic->counters.register_accesses += count;
    nic->ops->read_block(nic, bar, offset, size, count, buffer, now);
}

void nic_write_block(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t count,
                     const void *buffer, uint64_t now)
{
    if (!nic->ops->write_block || nic->trace || !access_is_valid(nic, bar, offset, size)) {
        write_one_by_one(nic, bar, offset, size, count, buffer, now);
        return;
    }
    nic->counters.register_accesses += count;
    nic->ops->write_block(nic, bar, offset, size, count, buffer, now);
}

enum nic_rx_result nic_receive(struct nic *nic, const void *frame, size_t size,
                               const struct nic_offload *offload, uint64_t now)
{
    if (size < NIC_ETH_HEADER || size > NIC_FRAME_MAX || (offload && offload->gso_type != NIC_GSO_NONE && !(nic_accepts(nic) & NIC_ACCEPTS_TSO))) {
        nic->counters.rx_filtered++;
        return NIC_RX_TAKEN;
    }
    enum nic_rx_result result = nic->trace ? nic_trace_receive(nic, frame, size, offload, now)
                                           : nic->ops->receive(nic, frame, size, offload, now);
    if (result == NIC_RX_OFF)
        nic->counters.rx_dropped_off++;
    return result;
}

void nic_receive_lost(struct nic *nic, size_t size, uint64_t now)
{
    if (nic->trace)
        nic_trace_at(nic, now);
    nic->ops->lost(nic, size, now);
}

void nic_receive_backlog(struct nic *nic, uint32_t waiting, uint32_t capacity, uint64_t now)
{
    if (!nic->ops->backlog)
        return;
    if (nic->trace)
        nic_trace_at(nic, now);
    nic->ops->backlog(nic, waiting, capacity, now);
}

unsigned nic_accepts(const struct nic *nic)
{
    return nic->ops->accepts ? nic->ops->accepts(nic) : 0;
}

void nic_timer(struct nic *nic, uint64_t now)
{
    if (nic->trace)
        nic_trace_at(nic, now);
    nic->ops->timer(nic, now);
}

void nic_set_link(struct nic *nic, bool up, uint64_t now)
{
    if (nic->trace)
        nic_trace_at(nic, now);
    nic->ops->set_link(nic, up, now);
}

void nic_get_counters(const struct nic *nic, struct nic_counters *out)
{
    *out = nic->counters;
}

static const struct eeprom93c46 *eeprom_of(const struct nic *nic)
{
    return nic->ops->eeprom ? nic->ops->eeprom((struct nic *)nic) : NULL; /* an address, nothing is changed there */
}

size_t nic_get_eeprom(const struct nic *nic, uint8_t image[NIC_EEPROM_SIZE])
{
    const struct eeprom93c46 *eeprom = eeprom_of(nic);
    if (!eeprom)
        return 0;
    for (unsigned i = 0; i < EEPROM93C46_WORDS; i++) {
        image[2 * i] = (uint8_t)eeprom->words[i];
        image[2 * i + 1] = (uint8_t)(eeprom->words[i] >> 8);
    }
    return NIC_EEPROM_SIZE;
}

bool nic_set_eeprom(struct nic *nic, const uint8_t *image, size_t size)
{
    if (!nic->ops->eeprom || size != NIC_EEPROM_SIZE)
        return false;
    struct eeprom93c46 *eeprom = nic->ops->eeprom(nic);
    for (unsigned i = 0; i < EEPROM93C46_WORDS; i++)
        eeprom->words[i] = (uint16_t)(image[2 * i] | image[2 * i + 1] << 8);
    return true;
}

void nic_station_address(const struct nic *nic, uint8_t mac[6])
{
    const struct eeprom93c46 *eeprom = eeprom_of(nic);
    for (unsigned i = 0; i < 6; i++)
        mac[i] = !eeprom ? nic->mac[i] : (uint8_t)(eeprom->words[nic->ops->eeprom_address + i / 2] >> 8 * (i % 2));
}

void nic_isa_place(const struct nic *nic, struct nic_isa_place *place)
{
    const struct nic_identity *id = &nic->ops->identity;
    *place = (struct nic_isa_place){ id->bus == NIC_BUS_ISA, nic->isa_port, nic->isa_irq };
    if (nic->ops->pnp)
        nic->ops->pnp->place(nic, place);
}

bool nic_set_isa_place(struct nic *nic, uint16_t port, uint8_t irq)
{
    static const uint16_t irqs = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 15;
    if (nic->ops->pnp)
        return nic->ops->pnp->set_place(nic, port, irq);
    if (nic->ops->identity.bus != NIC_BUS_ISA || port < 0x200 || port > 0x3e0 || port % 0x20 || irq > 15 ||
        !(irqs >> irq & 1))
        return false;
    nic->isa_port = port;
    nic->isa_irq = irq;
    return true;
}

bool nic_set_line_rate(struct nic *nic, uint32_t megabits)
{
    if (!nic->ops->has_line_rate)
        return false;
    nic->line_rate = megabits;
    if (!nic->trace)
        nic_access_directly(nic);
    return true;
}

void nic_pnp_write(struct nic *nic, uint16_t port, uint8_t value, uint64_t now)
{
    if (!nic->ops->pnp)
        return;
    if (nic->trace) {
        nic_trace_at(nic, now);
        nic_trace_print(nic, "pnp", "write %02x to port %x", value, port);
    }
    nic->ops->pnp->write(nic, port, value);
}

bool nic_pnp_read(struct nic *nic, uint16_t port, uint8_t *value, uint64_t now)
{
    if (!nic->ops->pnp || !nic->ops->pnp->read(nic, port, value))
        return false;
    if (nic->trace) {
        nic_trace_at(nic, now);
        nic_trace_print(nic, "pnp", "read %02x from port %x", *value, port);
    }
    return true;
}

void nic_pnp_outvoted(struct nic *nic)
{
    if (nic->ops->pnp)
        nic->ops->pnp->outvoted(nic);
}

uint8_t nic_power_read(const struct nic *nic, unsigned offset)
{
    return nic->ops->power && offset >= 2 && offset < 8 ? nic->ops->power->read(nic, offset) : 0;
}

void nic_power_write(struct nic *nic, unsigned offset, uint8_t value, uint64_t now)
{
    if (!nic->ops->power || offset < 4 || offset > 5)
        return; /* PMCSR is all that can be written */
    bool before = nic_is_asleep(nic);
    if (nic->trace)
        nic_trace_power(nic, offset, value, now);
    nic->ops->power->write(nic, offset, value, now);
    if (nic->trace && nic_is_asleep(nic) != before)
        nic_trace_print(nic, "power", before ? "D0" : "D3");
}

bool nic_is_asleep(const struct nic *nic)
{
    return nic->ops->power && nic->ops->power->is_asleep(nic);
}
