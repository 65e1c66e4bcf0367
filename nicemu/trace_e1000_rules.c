/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The rules of strict mode for e1000: what Intel's manual (317453) asks of a
 * driver. Each function sees one write before it takes effect and looks at the
 * chip as it stands.
 */
#include "nicemu/trace_e1000.h"

#include "nicemu/nic_model.h"

#define RESET_TIME 1000u /* ns after CTRL.RST in which no register may be touched */

static uint32_t rx_count(const struct e1000 *e) { return REG(e, RDLEN) / 16; }
static uint32_t tx_count(const struct e1000 *e) { return REG(e, TDLEN) / 16; }

/* Descriptors that the chip owns with this head and tail. */
static uint32_t owned(uint32_t head, uint32_t tail, uint32_t count)
{
    return count ? (tail + count - head) % count : 0;
}

static void ring_length(struct e1000 *e, uint32_t value, const char *name, const char *section, bool enabled)
{
    if (value & 127)
        nic_trace_rule(&e->nic, section, "%s %u is not a multiple of 128", name, value & 0xfffff);
    if (enabled)
        nic_trace_rule(&e->nic, section, "%s changed while the ring is enabled", name);
}

static void ring_base(struct e1000 *e, uint32_t value, const char *name, const char *section, bool enabled)
{
    if (value & 15)
        nic_trace_rule(&e->nic, section, "%s %08x is not aligned to 16 bytes", name, value);
    if (enabled)
        nic_trace_rule(&e->nic, section, "%s changed while the ring is enabled", name);
}

static void rdbal(struct e1000 *e, uint32_t v) { ring_base(e, v, "RDBAL", "13.4.25", REG(e, RCTL) & RCTL_EN); }
static void rdlen(struct e1000 *e, uint32_t v) { ring_length(e, v, "RDLEN", "13.4.27", REG(e, RCTL) & RCTL_EN); }
static void tdbal(struct e1000 *e, uint32_t v) { ring_base(e, v, "TDBAL", "13.4.36", REG(e, TCTL) & TCTL_EN); }
static void tdlen(struct e1000 *e, uint32_t v) { ring_length(e, v, "TDLEN", "13.4.38", REG(e, TCTL) & TCTL_EN); }

static void rdh(struct e1000 *e, uint32_t value)
{
    (void)value;
    if (REG(e, RCTL) & RCTL_EN)
        nic_trace_rule(&e->nic, "13.4.28", "RDH written while RCTL.EN is set: the head is the chip's");
}

static void tdh(struct e1000 *e, uint32_t value)
{
    (void)value;
    if (REG(e, TCTL) & TCTL_EN)
        nic_trace_rule(&e->nic, "13.4.39", "TDH written while TCTL.EN is set: the head is the chip's");
}

static void tdt(struct e1000 *e, uint32_t value)
{
    uint32_t count = tx_count(e), head = REG(e, TDH);
    if (value == REG(e, TDT))
        return;
    if (!(REG(e, TCTL) & TCTL_EN) && value != head) /* an empty ring may be set up at any time */
        nic_trace_rule(&e->nic, "14.5", "TDT written before TCTL.EN: nothing is sent");
    if (value >= count)
        nic_trace_rule(&e->nic, "13.4.40", "TDT %u lies outside of a ring of %u descriptors", value, count);
    else if (owned(head, value, count) < owned(head, REG(e, TDT), count))
        nic_trace_rule(&e->nic, "3.4", "TDT %u passes TDH %u: descriptors are reused before DD", value, head);
}

/* A driver that gives a descriptor back with DD set will take it for done at once. */
static void given_back(struct e1000 *e, uint32_t index, uint32_t tail, uint32_t count)
{
    const struct nic_host *host = &e->nic.host;
    uint64_t base = REG(e, RDBAL) | (uint64_t)REG(e, RDBAH) << 32;
    for (unsigned i = 0; index != tail && i < 256; i++) {
        struct e1000_descriptor d;
        if (!host->dma_read(host->opaque, base + index * sizeof d, &d, sizeof d))
            return;
        if (d.upper & 1) {
            nic_trace_rule(&e->nic, "3.2.3.1", "RX[%u] is given to the chip with DD set in its status", index);
            return;
        }
        if (d.address == 0) {
            nic_trace_rule(&e->nic, "3.2.3", "RX[%u] is given to the chip without a buffer", index);
            return;
        }
        index = index + 1 == count ? 0 : index + 1;
    }
}

static void rdt(struct e1000 *e, uint32_t value)
{
    uint32_t count = rx_count(e), head = REG(e, RDH), old = REG(e, RDT);
    if (value == old)
        return;
    if (value >= count) {
        nic_trace_rule(&e->nic, "13.4.29", "RDT %u lies outside of a ring of %u descriptors", value, count);
        return;
    }
    if (owned(head, value, count) < owned(head, old, count))
        nic_trace_rule(&e->nic, "3.2.6", "RDT %u passes RDH %u: descriptors are reused before DD", value, head);
    else if (old < count)
        given_back(e, old, value, count);
}

static void rctl(struct e1000 *e, uint32_t value)
{
    if ((value & RCTL_BSEX) && !(value & 0x30000))
        nic_trace_rule(&e->nic, "13.4.22", "RCTL.BSIZE 0 with BSEX is reserved");
    if (!(value & RCTL_EN) || (REG(e, RCTL) & RCTL_EN))
        return;
    if (!rx_count(e))
        nic_trace_rule(&e->nic, "14.4", "RCTL.EN set before RDBAL and RDLEN");
    else if (REG(e, RDH) == REG(e, RDT))
        nic_trace_rule(&e->nic, "14.4", "RCTL.EN set with no descriptor given to the chip (RDH = RDT)");
}

static void tctl(struct e1000 *e, uint32_t value)
{
    if (!(value & TCTL_EN) || (REG(e, TCTL) & TCTL_EN))
        return;
    if (!tx_count(e))
        nic_trace_rule(&e->nic, "14.5", "TCTL.EN set before TDBAL and TDLEN");
    if (!(value & 0xff0) || !(value & 0x3ff000))
        nic_trace_rule(&e->nic, "14.5", "TCTL.EN set without collision threshold and distance (CT 0x0f, COLD 0x40)");
    if (!REG(e, TIPG))
        nic_trace_rule(&e->nic, "14.5", "TCTL.EN set with TIPG 0");
}

static void eecd(struct e1000 *e, uint32_t value)
{
    if ((value & 7) && !(value & 0x40))
        nic_trace_rule(&e->nic, "13.4.3", "EEPROM pins driven without EECD.REQ");
    else if ((value & 7) && !(REG(e, EECD) & 0x40))
        nic_trace_rule(&e->nic, "13.4.3", "EEPROM pins driven before EECD.GNT was waited for");
}

static void eerd(struct e1000 *e, uint32_t value)
{
    if (!(value & 1))
        nic_trace_rule(&e->nic, "13.4.4", "EERD written without START");
    if ((value >> 8 & 0xff) >= EEPROM93C46_WORDS)
        nic_trace_rule(&e->nic, "13.4.4", "EEPROM word %u of %u", value >> 8 & 0xff, EEPROM93C46_WORDS);
}

static void mdic(struct e1000 *e, uint32_t value)
{
    uint32_t operation = value >> 26 & 3;
    if (operation != 1 && operation != 2)
        nic_trace_rule(&e->nic, "13.4.7", "MDIC.OP %u: 1 writes, 2 reads", operation);
    if ((value >> 21 & 31) != 1)
        nic_trace_rule(&e->nic, "13.4.7", "MDIC names PHY %u: the internal one is 1", value >> 21 & 31);
}

static void rah(struct e1000 *e, uint32_t value)
{
    (void)e;
    if ((value & RAH_AV) && (value & 0x30000) == 0x30000)
        nic_trace_rule(&e->nic, "13.5.3", "RAH.AS 3 is reserved");
}

static void ctrl(struct e1000 *e, uint32_t value)
{
    if (value & CTRL_RST)
        e->nic.trace->reset_at = e->nic.trace->now;
}

static const struct { uint32_t offset; void (*check)(struct e1000 *e, uint32_t value); } on_write[] = {
    { E1000_CTRL, ctrl }, { E1000_EECD, eecd }, { E1000_EERD, eerd }, { E1000_MDIC, mdic }, { E1000_RCTL, rctl },
    { E1000_TCTL, tctl }, { E1000_RDBAL, rdbal }, { E1000_RDLEN, rdlen }, { E1000_RDH, rdh }, { E1000_RDT, rdt },
    { E1000_TDBAL, tdbal }, { E1000_TDLEN, tdlen }, { E1000_TDH, tdh }, { E1000_TDT, tdt }, { E1000_RAH, rah },
};

static void reserved_bits(struct e1000 *e, uint32_t offset, uint32_t value)
{
    const struct e1000_words *w = e1000_words_of(offset);
    if (!w)
        return;
    if (w->read_only == UINT32_MAX) {
        nic_trace_rule(&e->nic, w->section, "a register that is only read is written");
        return;
    }
    uint32_t reserved = w->fields ? value & ~nic_fields_mask(w->fields) : 0;
    if (reserved)
        nic_trace_rule(&e->nic, w->section, "reserved bits %08x set", reserved);
}

void e1000_trace_rules(struct e1000 *e, uint32_t offset, const struct nic_access *a)
{
    struct nic_trace *t = e->nic.trace;
    if (t->reset_at && t->now - t->reset_at < RESET_TIME)
        nic_trace_rule(&e->nic, "13.4.1", "a register is touched less than 1 us after CTRL.RST");
    t->reset_at = 0;
    if (a->size != 4 || (a->offset & 3)) {
        nic_trace_rule(&e->nic, "13.2", "%u bytes at %05x: registers are accessed 32 bits at a time", a->size, a->offset);
        return;
    }
    if (!a->is_write)
        return;
    reserved_bits(e, offset, a->value);
    for (size_t i = 0; i < sizeof on_write / sizeof *on_write; i++)
        if (on_write[i].offset == offset)
            on_write[i].check(e, a->value);
}

void e1000_trace_descriptor_rules(struct e1000 *e, uint32_t index, const struct e1000_descriptor *d)
{
    bool extended = d->lower & 0x20000000, context = extended && !(d->lower & 0x00f00000);
    if (d->upper & 1)
        nic_trace_rule(&e->nic, "3.3.3.2", "TX[%u] is given to the chip with DD set in its status", index);
    if (extended && (d->lower >> 20 & 15) > 1)
        nic_trace_rule(&e->nic, "3.3.5", "TX[%u] has the reserved type %u", index, d->lower >> 20 & 15);
    if (context) {
        if (e->tx.open)
            nic_trace_rule(&e->nic, "3.3.6", "TX[%u] is a context in the middle of a packet", index);
        return;
    }
    if ((d->lower & 0x03000000) == 0x01000000)
        nic_trace_rule(&e->nic, "3.3.3.1", "TX[%u] without IFCS: the frame goes out without its FCS", index);
    if ((d->lower & 0x80000000) && !REG(e, TIDV))
        nic_trace_rule(&e->nic, "13.4.41", "TX[%u] has IDE while TIDV is 0", index);
    if (!extended && (d->lower & 0x04000000) && !(d->lower & 0x01000000))
        nic_trace_rule(&e->nic, "3.3.3.1", "TX[%u] has IC without EOP", index);
    uint32_t size = d->lower & (extended ? 0xfffff : 0xffff);
    if (size > E1000_TX_MAX && !extended)
        nic_trace_rule(&e->nic, "3.3.3", "TX[%u] is longer than a frame can be: %u bytes", index, size);
}

void e1000_trace_sleep_rules(struct nic *nic)
{
    struct e1000 *e = (struct e1000 *)nic;
    if (REG(e, TCTL) & TCTL_EN)
        nic_trace_rule(nic, "6.3.1.4", "D3 while TCTL.EN is set: the driver stops the transmitter first");
    if (!(REG(e, WUC) & WUC_PME_EN))
        return;
    if (!REG(e, WUFC))
        nic_trace_rule(nic, "6.4.2", "D3 with PME_EN, and no filter in WUFC: nothing will wake");
    if (REG(e, WUS))
        nic_trace_rule(nic, "6.4.2", "D3 with PME_EN while WUS is %05x: what comes next is ignored", REG(e, WUS));
}
