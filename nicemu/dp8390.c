/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The DP8390's registers, pages 0 to 2, its interrupt and its resets. A page is
 * a table of sixteen read and sixteen write functions; registers that are no
 * more than a byte of state are named by their place in the struct.
 */
#include "nicemu/dp8390.h"

#include <string.h>

/* --- interrupt and counters ---------------------------------------------- */

static void update_irq(struct dp8390 *d)
{
    nic_irq(&d->nic, d->isr & d->imr & 0x7f);
}

void dp8390_raise(struct dp8390 *d, uint8_t causes)
{
    d->isr |= causes;
    update_irq(d);
}

/* Tallies stop there and interrupt once their upper bit is set. */
void dp8390_count(struct dp8390 *d, enum dp8390_tally tally)
{
    if (d->tally[tally] < DP8390_TALLY_MAX)
        d->tally[tally]++;
    if (d->tally[tally] & 0x80)
        dp8390_raise(d, ISR_CNT);
}

/* --- registers that do something ----------------------------------------- */

/* STP enters the reset state, as soon as no frame is on the wire. STA
 * leaves it, and only the reset pin takes it back: a driver that changes pages
 * without writing STA goes on receiving (Linux's lib8390 sets its multicast
 * registers so), and a stopped chip that has run shows both bits. RD of 0
 * cannot be written: the old one stays. */
static void write_cr(struct dp8390 *d, uint8_t value)
{
    uint8_t rd = value & CR_RD ? value & CR_RD : d->cr & CR_RD;
    bool was_stopped = d->cr & CR_STP;

    d->cr = (uint8_t)((value & ~(CR_RD | CR_TXP)) | (d->cr & (CR_STA | CR_TXP)) | rd);
    if (value & CR_STP) {
        if (!(d->cr & CR_TXP))
            dp8390_raise(d, ISR_RST);
    } else if ((value & CR_STA) || (was_stopped && (d->cr & CR_STA))) {
        d->isr &= (uint8_t)~ISR_RST;
        update_irq(d);
    }
    if (value & CR_RD)
        dp8390_dma_start(d);
    if ((value & CR_TXP) && (d->cr & (CR_STP | CR_STA | CR_TXP)) == CR_STA)
        dp8390_transmit(d);
    if (was_stopped && !(d->cr & CR_STP))
        dp8390_ring_moved(d);
}

/* Frames that came in between a driver's last look at CURR and its
 * acknowledgement would wait unnoticed for the next one to arrive (Linux's
 * lib8390 leaves after ten frames and acknowledges then, and once more when it
 * has had enough): PRX stays. Not for ever where nothing is taken out of the
 * ring: a driver that is being closed acknowledges and looks away. */
static void write_isr(struct dp8390 *d, uint8_t value)
{
    d->isr &= (uint8_t)(~value | ISR_RST);
    if (value & ISR_PRX) {
        d->prx_kept = !(d->cr & CR_STP) && dp8390_ring_has_frames(d) && d->idle_acks < DP8390_IDLE_ACKS;
        d->idle_acks = (uint8_t)(d->prx_kept ? d->idle_acks + 1 : 0);
    }
    if (d->prx_kept)
        d->isr |= ISR_PRX;
    update_irq(d);
}

/* A driver that acknowledges first and drains then is not called again for it. */
static void forget_kept_prx(struct dp8390 *d)
{
    if (!d->prx_kept || dp8390_ring_has_frames(d))
        return;
    d->prx_kept = false;
    d->isr &= (uint8_t)~ISR_PRX;
    update_irq(d);
}

static void write_imr(struct dp8390 *d, uint8_t value)
{
    d->imr = value & 0x7f;
    update_irq(d);
}

static void write_bnry(struct dp8390 *d, uint8_t value)
{
    d->bnry = value;
    d->idle_acks = 0;
    if (!(d->cr & CR_STP))
        d->isr &= (uint8_t)~ISR_RST; /* an overflow's: pages are given back */
    forget_kept_prx(d);
    dp8390_ring_moved(d);
}

static void write_pstart(struct dp8390 *d, uint8_t value)
{
    d->pstart = value;
    dp8390_ring_moved(d);
}

static void write_pstop(struct dp8390 *d, uint8_t value)
{
    d->pstop = value;
    dp8390_ring_moved(d);
}

static void write_curr(struct dp8390 *d, uint8_t value)
{
    d->curr = value;
    dp8390_ring_moved(d);
}

/* Loopback also depends on DCR.LS being clear; drivers that set TCR alone mean it too. */
static void write_tcr(struct dp8390 *d, uint8_t value)
{
    d->tcr = value & 0x1f;
    d->fifo_read = 0;
    if (!dp8390_is_looped_back(d))
        dp8390_ring_moved(d);
}

static void write_rcr(struct dp8390 *d, uint8_t value)
{
    d->rcr = value & 0x3f;
    dp8390_ring_moved(d);
}

static void write_rsar0(struct dp8390 *d, uint8_t value) { d->rsar = d->crda = (uint16_t)((d->rsar & 0xff00) | value); }
static void write_rsar1(struct dp8390 *d, uint8_t value) { d->rsar = d->crda = (uint16_t)((d->rsar & 0xff) | value << 8); }
static void write_rbcr0(struct dp8390 *d, uint8_t value) { d->rbcr = d->remaining = (uint16_t)((d->rbcr & 0xff00) | value); }
static void write_rbcr1(struct dp8390 *d, uint8_t value) { d->rbcr = d->remaining = (uint16_t)((d->rbcr & 0xff) | value << 8); }
static void write_tbcr0(struct dp8390 *d, uint8_t value) { d->tbcr = (uint16_t)((d->tbcr & 0xff00) | value); }
static void write_tbcr1(struct dp8390 *d, uint8_t value) { d->tbcr = (uint16_t)((d->tbcr & 0xff) | value << 8); }
static void write_clda0(struct dp8390 *d, uint8_t value) { d->clda = (uint16_t)((d->clda & 0xff00) | value); }
static void write_clda1(struct dp8390 *d, uint8_t value) { d->clda = (uint16_t)((d->clda & 0xff) | value << 8); }
static void write_address0(struct dp8390 *d, uint8_t value) { d->address = (uint16_t)((d->address & 0xff00) | value); }
static void write_address1(struct dp8390 *d, uint8_t value) { d->address = (uint16_t)((d->address & 0xff) | value << 8); }
static uint8_t read_address0(struct dp8390 *d) { return (uint8_t)d->address; }
static uint8_t read_address1(struct dp8390 *d) { return (uint8_t)(d->address >> 8); }
static uint8_t read_crda0(struct dp8390 *d) { return (uint8_t)d->crda; }
static uint8_t read_crda1(struct dp8390 *d) { return (uint8_t)(d->crda >> 8); }
static uint8_t read_clda0(struct dp8390 *d) { return (uint8_t)d->clda; }
static uint8_t read_clda1(struct dp8390 *d) { return (uint8_t)(d->clda >> 8); }

static uint8_t read_fifo(struct dp8390 *d)
{
    return d->fifo[d->fifo_read++ % DP8390_FIFO_SIZE];
}

static uint8_t take_tally(struct dp8390 *d, enum dp8390_tally tally)
{
    uint8_t value = d->tally[tally];
    d->tally[tally] = 0;
    return value;
}

static uint8_t read_tally0(struct dp8390 *d) { return take_tally(d, DP8390_ALIGNMENT); }
static uint8_t read_tally1(struct dp8390 *d) { return take_tally(d, DP8390_CRC); }
static uint8_t read_tally2(struct dp8390 *d) { return take_tally(d, DP8390_MISSED); }

/* --- pages --------------------------------------------------------------- */

/* A register: a function, else a byte of the struct (offset not 0), else absent.
 * `fixed` bits read as one. */
struct reg {
    uint8_t (*read)(struct dp8390 *d);
    void (*write)(struct dp8390 *d, uint8_t value);
    uint16_t read_byte, write_byte;
    uint8_t fixed;
};
#define BYTE(member) offsetof(struct dp8390, member)

static const struct reg pages[3][16] = {
    {
        [0x1] = { .read = read_clda0, .write = write_pstart },
        [0x2] = { .read = read_clda1, .write = write_pstop },
        [0x3] = { .read_byte = BYTE(bnry), .write = write_bnry },
        [0x4] = { .read_byte = BYTE(tsr), .write_byte = BYTE(tpsr) },
        [0x5] = { .read_byte = BYTE(ncr), .write = write_tbcr0 },
        [0x6] = { .read = read_fifo, .write = write_tbcr1 },
        [0x7] = { .read_byte = BYTE(isr), .write = write_isr },
        [0x8] = { .read = read_crda0, .write = write_rsar0 },
        [0x9] = { .read = read_crda1, .write = write_rsar1 },
        [0xa] = { .write = write_rbcr0 },
        [0xb] = { .write = write_rbcr1 },
        [0xc] = { .read_byte = BYTE(rsr), .write = write_rcr },
        [0xd] = { .read = read_tally0, .write = write_tcr },
        [0xe] = { .read = read_tally1, .write_byte = BYTE(dcr) },
        [0xf] = { .read = read_tally2, .write = write_imr },
    },
    {
#define PAR(i) { .read_byte = BYTE(par[i]), .write_byte = BYTE(par[i]) }
#define MAR(i) { .read_byte = BYTE(mar[i]), .write_byte = BYTE(mar[i]) }
        [0x1] = PAR(0), PAR(1), PAR(2), PAR(3), PAR(4), PAR(5),
        [0x7] = { .read_byte = BYTE(curr), .write = write_curr },
        [0x8] = MAR(0), MAR(1), MAR(2), MAR(3), MAR(4), MAR(5), MAR(6), MAR(7),
    },
    {
        [0x1] = { .read_byte = BYTE(pstart), .write = write_clda0 },
        [0x2] = { .read_byte = BYTE(pstop), .write = write_clda1 },
        [0x3] = { .read_byte = BYTE(rnpp), .write_byte = BYTE(rnpp) },
        [0x4] = { .read_byte = BYTE(tpsr) },
        [0x5] = { .read_byte = BYTE(lnpp), .write_byte = BYTE(lnpp) },
        [0x6] = { .read = read_address1, .write = write_address1 }, /* the upper one first */
        [0x7] = { .read = read_address0, .write = write_address0 },
        [0xc] = { .read_byte = BYTE(rcr), .fixed = 0xc0 },
        [0xd] = { .read_byte = BYTE(tcr), .fixed = 0xe0 },
        [0xe] = { .read_byte = BYTE(dcr), .fixed = 0x80 },
        [0xf] = { .read_byte = BYTE(imr), .fixed = 0x80 },
    },
};

uint8_t dp8390_read(struct dp8390 *d, unsigned number)
{
    unsigned page = d->cr >> CR_PAGE_SHIFT;
    uint8_t value;
    if (number == 0)
        return d->cr;
    if (d->extra_read && d->extra_read(d, page, number, &value))
        return value;
    if (page == 3)
        return 0xff;
    const struct reg *r = &pages[page][number];
    if (r->read)
        return r->read(d);
    if (r->read_byte)
        return ((const uint8_t *)d)[r->read_byte] | r->fixed;
    return 0xff;
}

void dp8390_write(struct dp8390 *d, unsigned number, uint8_t value)
{
    unsigned page = d->cr >> CR_PAGE_SHIFT;
    if (number == 0) {
        write_cr(d, value);
        return;
    }
    if (page == 3) {
        if (d->extra_write)
            d->extra_write(d, page, number, value);
        return;
    }
    const struct reg *r = &pages[page][number];
    if (r->write)
        r->write(d, value);
    else if (r->write_byte)
        ((uint8_t *)d)[r->write_byte] = value;
    else
        nic_guest_error(&d->nic, "write of %02x to register %x of page %u, which cannot be written", value, number,
                        page);
}

/* --- ports of a board ---------------------------------------------------- */

#define PORTS 0x20u

/* An 8-bit slot: the bus makes a wide access into several of a byte, at ports
 * one behind the other, all of which are the data port from 0x10 to 0x17. And a
 * board that is halted: nobody answers, and only what starts it again is heard. */
static uint32_t read_bytes(struct dp8390 *d, uint32_t offset, unsigned size)
{
    uint32_t value = 0;
    if (!d->widest)
        return UINT32_MAX;
    for (unsigned i = 0; i < size; i++)
        value |= (dp8390_port_read(d, offset + i, 1) & 0xff) << 8 * i;
    return value;
}

static void write_bytes(struct dp8390 *d, uint32_t offset, unsigned size, uint32_t value)
{
    if (!d->widest && offset < PORT_DATA)
        d->extra_write(d, 3, offset, (uint8_t)value);
    for (unsigned i = 0; d->widest && i < size; i++)
        dp8390_port_write(d, offset + i, 1, value >> 8 * i & 0xff);
}

uint32_t dp8390_port_read(struct dp8390 *d, uint32_t offset, unsigned size)
{
    if (size > d->widest)
        return read_bytes(d, offset, size);
    if (offset >= PORT_DATA && offset < PORT_RESET)
        return dp8390_data_read(d, size);
    if (offset >= PORTS)
        return UINT32_MAX;
    if (offset >= PORT_RESET) {
        dp8390_reset(d);
        return 0;
    }
    /* A wide access to the registers is several narrow ones. */
    uint32_t value = 0;
    for (unsigned i = 0; i < size && offset + i < PORT_DATA; i++)
        value |= (uint32_t)dp8390_read(d, offset + i) << 8 * i;
    return value;
}

void dp8390_port_write(struct dp8390 *d, uint32_t offset, unsigned size, uint32_t value)
{
    if (size > d->widest) {
        write_bytes(d, offset, size, value);
        return;
    }
    if (offset >= PORT_DATA && offset < PORT_RESET) {
        dp8390_data_write(d, size, value);
        return;
    }
    if (offset >= PORTS)
        return;
    if (offset >= PORT_RESET) {
        dp8390_reset(d);
        return;
    }
    for (unsigned i = 0; i < size && offset + i < PORT_DATA; i++)
        dp8390_write(d, offset + i, (uint8_t)(value >> 8 * i));
}

/* --- resets -------------------------------------------------------------- */

void dp8390_init(struct dp8390 *d, uint16_t ram_size)
{
    d->link = true;
    d->widest = DP8390_WIDEST;
    d->ram_size = ram_size;
}

/* The PROM's sixteen bytes: a word board shows every one twice. */
void dp8390_fill_prom(struct dp8390 *d, const uint8_t mac[6], uint8_t signature, bool doubled)
{
    uint8_t bytes[16] = { 0 };
    memcpy(bytes, mac, 6);
    bytes[14] = bytes[15] = signature;
    for (unsigned i = 0; i < DP8390_PROM_SIZE; i++)
        d->prom[i] = bytes[doubled ? i / 2 : i % 16];
}

/* The reset pin (datasheet, "Reset"): the rest keeps its value. */
void dp8390_reset(struct dp8390 *d)
{
    dp8390_transmit_reset(d);
    d->cr = CR_STP | CR_RD_ABORT;
    d->isr = ISR_RST;
    d->prx_kept = false;
    d->idle_acks = 0;
    d->imr = 0;
    d->dcr &= (uint8_t)~(DCR_LS | 0x04u);
    d->dcr |= 0x04u;
    d->tcr &= (uint8_t)~TCR_LB;
    d->remaining = 0;
    update_irq(d);
}

void dp8390_power_on(struct dp8390 *d)
{
    d->dcr = d->tcr = d->rcr = d->tsr = d->rsr = d->ncr = 0;
    d->pstart = d->bnry = d->curr = (uint8_t)(d->ram_size >> 8);
    d->pstop = (uint8_t)(2 * d->ram_size >> 8);
    d->tpsr = 0;
    d->tbcr = d->rsar = d->rbcr = d->crda = d->clda = d->address = 0;
    d->rnpp = d->lnpp = 0;
    d->fifo_read = 0;
    memset(d->par, 0, sizeof d->par);
    memset(d->mar, 0, sizeof d->mar);
    memset(d->tally, 0, sizeof d->tally);
    memset(d->ram, 0, sizeof d->ram);
    dp8390_reset(d);
    dp8390_ring_moved(d);
}

void dp8390_timer(struct nic *nic, uint64_t now)
{
    struct dp8390 *d = (struct dp8390 *)nic;
    d->now = now;
    dp8390_transmit_timer(d);
}

void dp8390_restored(struct nic *nic, uint64_t now)
{
    const struct dp8390 *d = (const struct dp8390 *)nic;
    (void)now;
    nic->host.set_timer(nic->host.opaque, d->on_wire_until);
}

/* The chip has no link state: without a cable nothing arrives and nothing gets out. */
void dp8390_set_link(struct nic *nic, bool up, uint64_t now)
{
    struct dp8390 *d = (struct dp8390 *)nic;
    d->now = now;
    d->link = up;
    dp8390_ring_moved(d);
}
