/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A driver's most frequent register accesses, some twenty a frame: those that
 * set up remote DMA, look at the ring and acknowledge. They are the same as in
 * dp8390.c and dp8390_dma.c (tests/unit/test_dp8390_quick.c compares them), and are
 * taken here only while nothing outside of the chip comes of them: no change of
 * the interrupt's level, no frame, no word to the driver. Compiled with general
 * registers alone, and calls nothing (io_bus.h).
 */
#include "nicemu/dp8390.h"

#define BYTES_PER_PAGE 256u

enum page0 { BNRY = 0x3, TPSR = 0x4, TBCR0, TBCR1, ISR, RSAR0, RSAR1, RBCR0, RBCR1, RSR };
enum page1 { CURR = 0x7 };

static bool raises(const struct dp8390 *d, uint8_t isr)
{
    return ((isr & d->imr & 0x7f) != 0) != d->nic.irq_level;
}

/* --- remote DMA: a word of the frame's header, or of the frame --- */

static int64_t read_data(struct dp8390 *d, unsigned size)
{
    unsigned unit = d->dcr & DCR_WTS ? 2 : 1;
    uint32_t at = d->crda & (d->ram_size - 1u), stop = d->pstop * BYTES_PER_PAGE, value = 0;
    bool last = d->remaining == size;

    if ((d->cr & CR_RD) != CR_RD_READ || size < unit || (d->crda & (unit - 1)) || !(d->crda & d->ram_size))
        return -1;
    if (d->remaining < size || at + size > d->ram_size || (d->crda < stop && stop - d->crda < size))
        return -1;
    if (last && raises(d, d->isr | ISR_RDC))
        return -1;
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)d->ram[at + i] << 8 * i;
    d->crda = (uint16_t)(d->crda + size);
    if (d->crda == stop)
        d->crda = (uint16_t)(d->pstart * BYTES_PER_PAGE);
    d->address = d->crda;
    d->remaining = (uint16_t)(d->remaining - size);
    if (last)
        d->isr |= ISR_RDC;
    return value;
}

/* --- registers --- */

int64_t dp8390_quick_read(struct nic *nic, uint32_t offset, unsigned size)
{
    struct dp8390 *d = (struct dp8390 *)nic;
    unsigned page = d->cr >> CR_PAGE_SHIFT;

    if (size > d->widest || offset >= PORT_RESET)
        return -1;
    if (offset >= PORT_DATA)
        return read_data(d, size);
    if (size != 1)
        return -1;
    if (offset == 0)
        return d->cr;
    if (page == 0)
        return offset == ISR ? d->isr : offset == BNRY ? d->bnry : offset == RSR ? d->rsr : -1;
    return page == 1 && offset == CURR ? d->curr : -1;
}

/* A chip that runs and goes on running, and nothing to send. */
static int write_cr(struct dp8390 *d, uint8_t value)
{
    uint8_t rd = value & CR_RD;
    bool begins = rd && !(rd & CR_RD_ABORT);

    if ((value & (CR_STP | CR_TXP)) || (d->cr & CR_STP) || !(d->cr & CR_STA))
        return -1;
    if (begins && (rd == CR_RD_SEND || d->remaining == 0))
        return -1;
    d->cr = (uint8_t)((value & ~(CR_RD | CR_TXP)) | (d->cr & (CR_STA | CR_TXP)) | (rd ? rd : d->cr & CR_RD));
    if (value & CR_STA)
        d->isr &= (uint8_t)~ISR_RST;
    return 0;
}

static int write_isr(struct dp8390 *d, uint8_t value)
{
    uint8_t isr = (uint8_t)((d->isr & (~value | ISR_RST)) | (d->prx_kept ? ISR_PRX : 0));

    if ((value & ISR_PRX) || raises(d, isr))
        return -1;
    d->isr = isr;
    return 0;
}

static int write_bnry(struct dp8390 *d, uint8_t value)
{
    if (d->waiting || d->prx_kept)
        return -1;
    d->bnry = value;
    d->idle_acks = 0;
    if (!(d->cr & CR_STP))
        d->isr &= (uint8_t)~ISR_RST;
    return 0;
}

static uint16_t low(uint16_t word, uint8_t value) { return (uint16_t)((word & 0xff00) | value); }
static uint16_t high(uint16_t word, uint8_t value) { return (uint16_t)((word & 0xff) | value << 8); }

int dp8390_quick_write(struct nic *nic, uint32_t offset, unsigned size, uint32_t word)
{
    struct dp8390 *d = (struct dp8390 *)nic;
    uint8_t value = (uint8_t)word;

    if (size != 1 || offset >= PORT_DATA || !d->widest)
        return -1;
    if (offset == 0)
        return write_cr(d, value);
    if (d->cr >> CR_PAGE_SHIFT)
        return -1;
    switch (offset) {
    case BNRY: return write_bnry(d, value);
    case TPSR: d->tpsr = value; return 0;
    case TBCR0: d->tbcr = low(d->tbcr, value); return 0;
    case TBCR1: d->tbcr = high(d->tbcr, value); return 0;
    case ISR: return write_isr(d, value);
    case RSAR0: d->rsar = d->crda = low(d->rsar, value); return 0;
    case RSAR1: d->rsar = d->crda = high(d->rsar, value); return 0;
    case RBCR0: d->rbcr = d->remaining = low(d->rbcr, value); return 0;
    case RBCR1: d->rbcr = d->remaining = high(d->rbcr, value); return 0;
    default: return -1;
    }
}
