/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The 82540EM's registers (chapter 13), one row each. A write changes only the
 * bits that the row stores, so reserved bits read back as their reset value;
 * what else a read or a write does is in the row's handlers, which live with
 * the part of the chip they belong to.
 *
 * Where the numbers are from: the manual's tables, and where it leaves a value
 * open (X: TIPG, the flow control addresses) what a driver would program. What bits
 * VirtualBox's and bhyve's models store, and how Linux's, NetBSD's and gem5's headers name
 * them, agrees but for slips of theirs. Of CTRL_EXT and MANC, whose pages were not to
 * be had, the bits are those that two of these know for this chip.
 */
#include "nicemu/e1000.h"

#include <string.h>

#define ALL 0xffffffffu

static void write_ctrl(struct e1000 *e, uint32_t index, uint32_t value)
{
    const uint32_t stored = 0x58fc1be9;
    if (value & CTRL_RST) {
        e1000_device_reset(e);
        return;
    }
    e->reg[index] = value & stored;
    if (value & CTRL_PHY_RST)
        e1000_phy_reset(e);
    e1000_update_link(e);
}

static void write_ctrl_ext(struct e1000 *e, uint32_t index, uint32_t value)
{
    e->reg[index] = value & 0x00e3cccf; /* ASDCHK and EE_RST are over at once */
    if (value & CTRL_EXT_EE_RST)
        e1000_nvm_load(e);
}

static uint32_t read_ctrl_ext(struct e1000 *e, uint32_t index)
{
    return e->reg[index] | (e1000_phy_interrupts(e) ? CTRL_EXT_PHYINT : 0);
}

static void write_rctl(struct e1000 *e, uint32_t index, uint32_t value)
{
    uint32_t old = e->reg[index];
    e->reg[index] = value & 0x06dfb3fe;
    if ((old ^ value) & RCTL_EN)
        e1000_rx_forget_prefetched(e);
    e1000_rx_ring_moved(e);
}

static void write_tctl(struct e1000 *e, uint32_t index, uint32_t value)
{
    e->reg[index] = value & 0x013ffffa; /* an XOFF is sent at once: SWXOFF is clear again */
    if (value & TCTL_SWXOFF)
        e1000_pause_by_software(e);
    e1000_tx_run(e);
}

static void write_rx_ring(struct e1000 *e, uint32_t index, uint32_t value)
{
    static const uint32_t stored[] = { 0xfffffff0, ALL, 0x000fff80, 0, 0xffff };
    e->reg[index] = value & stored[index - E1000_RDBAL / 4];
    e1000_rx_forget_prefetched(e);
}

/* Phar Lap ETS's driver moves the tail up to the head, which would leave the
 * ring empty: it means all descriptors but one. */
static void write_rdt(struct e1000 *e, uint32_t index, uint32_t value)
{
    uint32_t tail = value & 0xffff, head = REG(e, RDH), count = REG(e, RDLEN) / 16;
    if (tail == head && e->reg[index] != head && (REG(e, RCTL) & RCTL_EN) && count)
        tail = (head ? head : count) - 1;
    e->reg[index] = tail;
    e1000_rx_ring_moved(e);
}

static void write_tdt(struct e1000 *e, uint32_t index, uint32_t value)
{
    e->reg[index] = value & 0xffff;
    e1000_tx_run(e);
}

static void write_pba(struct e1000 *e, uint32_t index, uint32_t value)
{
    uint32_t receive = value & 0x7f; /* KiB of the chip's 64; the rest is the transmitter's */
    e->reg[index] = receive | (receive <= 64 ? 64 - receive : 0) << 16;
}

static uint32_t read_zero(struct e1000 *e, uint32_t index)
{
    (void)e;
    (void)index;
    return 0;
}

static const struct e1000_register e1000_registers[] = {
    /* offset, count, stride, name, reset, stored, read, write */
    { E1000_CTRL, 1, 4, "CTRL", 0x00140241, 0x58fc1be9, NULL, write_ctrl },
    { E1000_STATUS, 1, 4, "STATUS", 0, 0, NULL, NULL },
    { E1000_EECD, 1, 4, "EECD", 0x00000110, 0x0000007f, e1000_read_eecd, e1000_write_eecd },
    { E1000_EERD, 1, 4, "EERD", 0, 0x0000ff01, NULL, e1000_write_eerd },
    { E1000_CTRL_EXT, 1, 4, "CTRL_EXT", 0, 0x00e3cccf, read_ctrl_ext, write_ctrl_ext },
    { E1000_MDIC, 1, 4, "MDIC", 0x10000000, 0x2fffffff, NULL, e1000_write_mdic },
    { E1000_FCAL, 1, 4, "FCAL", 0x00c28001, ALL, NULL, NULL },
    { E1000_FCAH, 1, 4, "FCAH", 0x00000100, 0xffff, NULL, NULL },
    { E1000_FCT, 1, 4, "FCT", 0x00008808, 0xffff, NULL, NULL },
    { E1000_VET, 1, 4, "VET", 0x00008100, 0xffff, NULL, NULL },
    { E1000_ICR, 1, 4, "ICR", 0, ICR_ALL, e1000_read_icr, e1000_write_icr },
    { E1000_ITR, 1, 4, "ITR", 0, 0xffff, NULL, e1000_write_itr },
    { E1000_ICS, 1, 4, "ICS", 0, ICR_ALL, NULL, e1000_write_ics },
    { E1000_IMS, 1, 4, "IMS", 0, ICR_ALL, NULL, e1000_write_ims },
    { E1000_IMC, 1, 4, "IMC", 0, ICR_ALL, read_zero, e1000_write_imc },
    { E1000_RCTL, 1, 4, "RCTL", 0, 0x06dfb3fe, NULL, write_rctl },
    { E1000_FCTTV, 1, 4, "FCTTV", 0, 0xffff, NULL, NULL },
    { E1000_TXCW, 1, 4, "TXCW", 0, 0xc000ffff, NULL, NULL },
    { E1000_RXCW, 1, 4, "RXCW", 0, 0, NULL, NULL },
    { E1000_TCTL, 1, 4, "TCTL", 0, 0x013ffffa, NULL, write_tctl },
    { E1000_TIPG, 1, 4, "TIPG", 0x00602008, 0x3fffffff, NULL, NULL },
    { E1000_AIT, 1, 4, "AIT", 0, 0xffff, NULL, NULL },
    { E1000_LEDCTL, 1, 4, "LEDCTL", 0x07068302, 0xcfcfcfcf, NULL, NULL },
    { E1000_PBA, 1, 4, "PBA", 0x00100030, 0x7f, NULL, write_pba },
    { E1000_FCRTL, 1, 4, "FCRTL", 0, 0x8000fff8, NULL, NULL },
    { E1000_FCRTH, 1, 4, "FCRTH", 0, 0x8000fff8, NULL, NULL },
    { E1000_RDFH, 5, 8, "RDF", 0, 0x1fff, NULL, NULL },
    { E1000_RDBAL, 1, 4, "RDBAL", 0, 0xfffffff0, NULL, write_rx_ring },
    { E1000_RDBAH, 1, 4, "RDBAH", 0, ALL, NULL, write_rx_ring },
    { E1000_RDLEN, 1, 4, "RDLEN", 0, 0x000fff80, NULL, write_rx_ring },
    { E1000_RDH, 1, 4, "RDH", 0, 0xffff, NULL, write_rx_ring },
    { E1000_RDT, 1, 4, "RDT", 0, 0xffff, NULL, write_rdt },
    { E1000_RDTR, 1, 4, "RDTR", 0, 0xffff, NULL, e1000_write_rdtr },
    { E1000_RXDCTL, 1, 4, "RXDCTL", 0x01010000, 0x013f3f3f, NULL, NULL },
    { E1000_RADV, 1, 4, "RADV", 0, 0xffff, NULL, NULL },
    { E1000_RSRPD, 1, 4, "RSRPD", 0, 0x0fff, NULL, NULL },
    { E1000_TXDMAC, 1, 4, "TXDMAC", 0, 0x0001, NULL, NULL },
    { E1000_TDFH, 5, 8, "TDF", 0, 0x1fff, NULL, NULL },
    { E1000_TDBAL, 1, 4, "TDBAL", 0, 0xfffffff0, NULL, NULL },
    { E1000_TDBAH, 1, 4, "TDBAH", 0, ALL, NULL, NULL },
    { E1000_TDLEN, 1, 4, "TDLEN", 0, 0x000fff80, NULL, NULL },
    { E1000_TDH, 1, 4, "TDH", 0, 0xffff, NULL, NULL },
    { E1000_TDT, 1, 4, "TDT", 0, 0xffff, NULL, write_tdt },
    { E1000_TIDV, 1, 4, "TIDV", 0, 0xffff, NULL, NULL },
    { E1000_TXDCTL, 1, 4, "TXDCTL", 0, 0xff3f3f3f, NULL, NULL },
    { E1000_TADV, 1, 4, "TADV", 0, 0xffff, NULL, NULL },
    { E1000_TSPMT, 1, 4, "TSPMT", 0x01000400, ALL, NULL, NULL },
    { E1000_STATISTICS, 64, 4, "STATISTICS", 0, 0, e1000_read_statistic, NULL },
    { E1000_RXCSUM, 1, 4, "RXCSUM", 0, 0x07ff, NULL, NULL },
    { E1000_MTA, 128, 4, "MTA", 0, ALL, NULL, NULL },
    { E1000_RAL, 16, 8, "RAL", 0, ALL, NULL, NULL },
    { E1000_RAH, 16, 8, "RAH", 0, 0x8003ffff, NULL, NULL },
    { E1000_VFTA, 128, 4, "VFTA", 0, ALL, NULL, NULL },
    { E1000_WUC, 1, 4, "WUC", 0, 0x000f, NULL, e1000_write_wuc },
    { E1000_WUFC, 1, 4, "WUFC", 0, 0x000f80ff, NULL, NULL },
    { E1000_WUS, 1, 4, "WUS", 0, 0, NULL, e1000_write_wus },
    { E1000_MANC, 1, 4, "MANC", 0, 0x31feff04, NULL, NULL }, /* SMBUS_EN, ASF_EN: not on this card */
    { E1000_IPAV, 1, 4, "IPAV", 0, 0x0001000f, NULL, NULL },
    { E1000_IP4AT, 4, 8, "IP4AT", 0, ALL, NULL, NULL },
    { E1000_IP6AT, 4, 4, "IP6AT", 0, ALL, NULL, NULL },
    { E1000_WUPL, 1, 4, "WUPL", 0, 0x0fff, NULL, NULL },
    { E1000_WUPM, 32, 4, "WUPM", 0, ALL, NULL, NULL },
    { E1000_FFLT, 4, 8, "FFLT", 0, 0x07ff, NULL, NULL },
    { E1000_FFMT, 128, 8, "FFMT", 0, 0x000f, NULL, NULL },
    { E1000_FFVT, 128, 8, "FFVT", 0, ALL, NULL, NULL },
};
#define ROWS (sizeof e1000_registers / sizeof *e1000_registers)
#define ROW_UNKNOWN 0xffu
_Static_assert(ROWS < ROW_UNKNOWN, "row numbers fit a byte");

/* Addresses of the 82542 that the later chips still answer at (table 13-2). */
static const struct { uint16_t alias, count; uint32_t offset; } aliases[] = {
    { 0x0004, 1, E1000_CTRL }, /* a second address: Linux resets later chips through it */
    { 0x0040, 32, E1000_RAL }, { 0x0108, 1, E1000_RDTR }, { 0x0110, 1, E1000_RDBAL },
    { 0x0114, 1, E1000_RDBAH }, { 0x0118, 1, E1000_RDLEN }, { 0x0120, 1, E1000_RDH },
    { 0x0128, 1, E1000_RDT }, { 0x0160, 1, E1000_FCRTL }, { 0x0168, 1, E1000_FCRTH },
    { 0x0200, 128, E1000_MTA }, { 0x0420, 1, E1000_TDBAL }, { 0x0424, 1, E1000_TDBAH },
    { 0x0428, 1, E1000_TDLEN }, { 0x0430, 1, E1000_TDH }, { 0x0438, 1, E1000_TDT },
    { 0x0440, 1, E1000_TIDV }, { 0x0600, 128, E1000_VFTA },
};

/* What drivers of the whole family touch, and these two chips have not. */
static const struct { uint32_t offset; const char *name; } elsewhere[] = {
    { 0x001c, "FLA" }, { 0x0024, "SCTL" }, { 0x0034, "KUMCTRLSTA" }, { 0x00e0, "IAM" }, { 0x0f00, "EXTCNF_CTRL" },
    { 0x0f08, "EXTCNF_SIZE" }, { 0x0f10, "PHY_CTRL" }, { 0x1008, "PBS" }, { 0x1010, "EEMNGCTL" }, { 0x102c, "EEWR" },
    { 0x2170, "PSRCTL" }, { 0x2900, "RDBAL1" }, { 0x2928, "RXDCTL1" }, { 0x2c08, "RAID" }, { 0x3840, "TARC0" },
    { 0x3900, "TDBAL1" }, { 0x3928, "TXDCTL1" }, { 0x3940, "TARC1" }, { 0x4100, "IAC" }, { 0x5008, "RFCTL" },
    { 0x5818, "MRQC" }, { 0x5860, "MANC2H" }, { 0x5b00, "GCR" }, { 0x5b30, "FACTPS" }, { 0x5b50, "SWSM" },
    { 0x5b54, "FWSM" }, { 0x5b5c, "SW_FW_SYNC" }, { 0x5c00, "RETA" }, { 0x5c80, "RSSRK" },
};

const char *e1000_register_elsewhere(uint32_t offset)
{
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        if (elsewhere[i].offset == offset)
            return elsewhere[i].name;
    return NULL;
}

static void tell_unknown(struct e1000 *e, const char *access, uint32_t offset)
{
    const char *name = e1000_register_elsewhere(offset);
    if (name)
        nic_guest_error(&e->nic, "%s %s (%05x), which only others of the family have", access, name, offset);
    else
        nic_guest_error(&e->nic, "%s unknown register %05x", access, offset);
}

void e1000_regs_init(struct e1000 *e)
{
    memset(e->row, ROW_UNKNOWN, sizeof e->row);
    for (unsigned row = 0; row < ROWS; row++) {
        const struct e1000_register *r = &e1000_registers[row];
        for (unsigned i = 0; i < r->count; i++)
            e->row[(r->offset + i * r->stride) / 4] = (uint8_t)row;
    }
}

void e1000_regs_reset(struct e1000 *e)
{
    for (unsigned row = 0; row < ROWS; row++) {
        const struct e1000_register *r = &e1000_registers[row];
        if (r->offset == E1000_WUC || r->offset == E1000_WUS || r->offset == E1000_WUPL || r->offset == E1000_WUPM)
            continue; /* what has woken the machine outlives its resets; the rest of WUC is e1000_power.c's */
        for (unsigned i = 0; i < r->count; i++)
            e->reg[(r->offset + i * r->stride) / 4] = r->reset;
    }
}

/* Bits that a register can have beside its reset value and what is stored. */
static uint32_t reachable(const struct e1000_register *r)
{
    static const struct { uint32_t offset, bits; } more[] = {
        { E1000_EERD, 0xffffff10 }, { E1000_MDIC, ALL }, { E1000_PBA, 0x007f007f }, { E1000_STATISTICS, ALL },
        { E1000_RAL, ALL }, { E1000_RAH, 0x8000ffff }, { E1000_WUS, 0x000f00ff },
    };
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (more[i].offset == r->offset)
            return r->reset | r->stored | more[i].bits;
    return r->reset | r->stored;
}

void e1000_regs_state(struct e1000 *e, struct nic_state *s)
{
    for (unsigned row = 0; row < ROWS; row++) {
        const struct e1000_register *r = &e1000_registers[row];
        if (r->offset == E1000_STATUS || r->offset == E1000_ICS)
            continue; /* made anew */
        for (unsigned i = 0; i < r->count; i++)
            nic_state_u32(s, &e->reg[(r->offset + i * r->stride) / 4], reachable(r));
    }
}

static uint32_t resolve_alias(uint32_t offset)
{
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
        uint32_t distance = offset - aliases[i].alias;
        if (distance / 4 < aliases[i].count)
            return aliases[i].offset + distance;
    }
    return E1000_REGISTERS_END;
}

/* The word of `offset` in reg[], or false where there is none. */
static bool find_register(struct e1000 *e, uint32_t offset, uint32_t *index)
{
    if (offset >= E1000_REGISTERS_END)
        return false;
    *index = offset / 4;
    if (e->row[*index] != ROW_UNKNOWN)
        return true;
    offset = resolve_alias(offset);
    *index = offset / 4;
    return offset < E1000_REGISTERS_END;
}

const struct e1000_register *e1000_register_at(struct e1000 *e, uint32_t offset, uint32_t *index)
{
    return find_register(e, offset & ~3u, index) ? &e1000_registers[e->row[*index]] : NULL;
}

uint32_t e1000_reg_read(struct e1000 *e, uint32_t offset)
{
    uint32_t index;
    offset &= ~3u;
    if (offset >= E1000_PBM && offset < E1000_PBM_END)
        return e->packet_buffer[(offset - E1000_PBM) / 4];
    if (!find_register(e, offset, &index)) {
        tell_unknown(e, "read of", offset);
        return 0;
    }
    const struct e1000_register *r = &e1000_registers[e->row[index]];
    return r->read ? r->read(e, index) : e->reg[index];
}

void e1000_reg_write(struct e1000 *e, uint32_t offset, uint32_t value)
{
    uint32_t index;
    offset &= ~3u;
    if (offset >= E1000_PBM && offset < E1000_PBM_END) {
        e->packet_buffer[(offset - E1000_PBM) / 4] = value;
        return;
    }
    if (!find_register(e, offset, &index)) {
        tell_unknown(e, "write to", offset);
        return;
    }
    const struct e1000_register *r = &e1000_registers[e->row[index]];
    if (r->write)
        r->write(e, index, value);
    else
        e->reg[index] = (e->reg[index] & ~r->stored) | (value & r->stored);
}
