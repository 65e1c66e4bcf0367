/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The DP8390's registers in the words of its datasheet (National DP8390D, July
 * 1995; page 3 from Realtek's RTL8019AS and RTL8029AS), one table a page and
 * direction, and the rules of strict mode.
 */
#include "nicemu/dp8390.h"
#include "nicemu/trace.h"

#define PORT_DATA 0x10u
#define PORT_RESET 0x18u

struct words {
    const char *name;   /* NULL: nothing is there to read (or write) */
    const char *fields; /* NULL: a plain number */
};

#define CR_FIELDS "STP:0 STA:1 TXP:2 RD:5-3 PS:7-6"
#define ISR_FIELDS "PRX:0 PTX:1 RXE:2 TXE:3 OVW:4 CNT:5 RDC:6 RST:7"
#define IMR_FIELDS "PRXE:0 PTXE:1 RXEE:2 TXEE:3 OVWE:4 CNTE:5 RDCE:6"
#define DCR_FIELDS "WTS:0 BOS:1 LAS:2 LS:3 ARM:4 FT:6-5"
#define TCR_FIELDS "CRC:0 LB:2-1 ATD:3 OFST:4"
#define RCR_FIELDS "SEP:0 AR:1 AB:2 AM:3 PRO:4 MON:5"
#define TSR_FIELDS "PTX:0 COL:2 ABT:3 CRS:4 FU:5 CDH:6 OWC:7"
#define RSR_FIELDS "PRX:0 CRC:1 FAE:2 FO:3 MPA:4 PHY:5 DIS:6 DFR:7"
#define PAGE1 { "CR", CR_FIELDS }, { "PAR0", NULL }, { "PAR1", NULL }, { "PAR2", NULL }, { "PAR3", NULL }, \
              { "PAR4", NULL }, { "PAR5", NULL }, { "CURR", NULL }, { "MAR0", NULL }, { "MAR1", NULL }, \
              { "MAR2", NULL }, { "MAR3", NULL }, { "MAR4", NULL }, { "MAR5", NULL }, { "MAR6", NULL }, { "MAR7", NULL }

static const struct words read_pages[3][16] = {
    { { "CR", CR_FIELDS }, { "CLDA0", NULL }, { "CLDA1", NULL }, { "BNRY", NULL }, { "TSR", TSR_FIELDS },
      { "NCR", NULL }, { "FIFO", NULL }, { "ISR", ISR_FIELDS }, { "CRDA0", NULL }, { "CRDA1", NULL }, { NULL, NULL },
      { NULL, NULL }, { "RSR", RSR_FIELDS }, { "CNTR0", NULL }, { "CNTR1", NULL }, { "CNTR2", NULL } },
    { PAGE1 },
    { { "CR", CR_FIELDS }, { "PSTART", NULL }, { "PSTOP", NULL }, { "RNPP", NULL }, { "TPSR", NULL }, { "LNPP", NULL },
      { "ADDR1", NULL }, { "ADDR0", NULL }, { NULL, NULL }, { NULL, NULL }, { NULL, NULL }, { NULL, NULL },
      { "RCR", RCR_FIELDS }, { "TCR", TCR_FIELDS }, { "DCR", DCR_FIELDS }, { "IMR", IMR_FIELDS } },
};
static const struct words write_pages[3][16] = {
    { { "CR", CR_FIELDS }, { "PSTART", NULL }, { "PSTOP", NULL }, { "BNRY", NULL }, { "TPSR", NULL },
      { "TBCR0", NULL }, { "TBCR1", NULL }, { "ISR", ISR_FIELDS }, { "RSAR0", NULL }, { "RSAR1", NULL },
      { "RBCR0", NULL }, { "RBCR1", NULL }, { "RCR", RCR_FIELDS }, { "TCR", TCR_FIELDS }, { "DCR", DCR_FIELDS },
      { "IMR", IMR_FIELDS } },
    { PAGE1 },
    { { "CR", CR_FIELDS }, { "CLDA0", NULL }, { "CLDA1", NULL }, { "RNPP", NULL }, { NULL, NULL }, { "LNPP", NULL },
      { "ADDR1", NULL }, { "ADDR0", NULL } },
};
/* Realtek's, of both chips: CONFIG1, INTR and ACTIVEB are the RTL8019AS's. */
static const struct words page3[16] = {
    { "CR", CR_FIELDS }, { "9346CR", "EEDO:0 EEDI:1 EESK:2 EECS:3 EEM:7-6" }, { "BPAGE", NULL }, { "CONFIG0", "BNC:2" },
    { "CONFIG1", "IOS:3-0 IRQS:6-4 IRQEN:7" }, { "CONFIG2", "BS:3-0 PL:7-6" },
    { "CONFIG3", "ACTIVEB:0 PWRDN:1 SLEEP:2 LEDS:5-4 FUDUP:6 PNP:7" }, { "TEST", NULL }, { "CSNSAV", NULL },
    { "HLTCLK", NULL }, { "0A", NULL }, { "INTR", NULL }, { "FMWP", NULL }, { "CONFIG4", NULL }, { "8029ID0", NULL },
    { "8029ID1", NULL },
};

static const struct words *words_of(const struct dp8390 *d, unsigned number, bool is_write)
{
    unsigned page = d->cr >> CR_PAGE_SHIFT;
    return page == 3 ? &page3[number] : is_write ? &write_pages[page][number] : &read_pages[page][number];
}

static void describe_register(const struct dp8390 *d, const struct nic_access *a, struct nic_text *text)
{
    unsigned page = d->cr >> CR_PAGE_SHIFT;
    const struct words *w = words_of(d, a->offset, a->is_write);
    const char *name = w->name, *fields = w->fields;
    if (a->offset == 0) {
        name = "CR";
        fields = CR_FIELDS;
    }
    if (page == 0 && !a->is_write && d->extra_read && (a->offset == 0xa || a->offset == 0xb))
        name = a->offset == 0xa ? "ID0" : "ID1";
    if (name)
        nic_text_add(text, "%-6s = %02x", name, a->value);
    else
        nic_text_add(text, "register %x of page %u = %02x", a->offset, page, a->value);
    if (fields && a->size == 1)
        nic_text_add_fields(text, fields, a->value);
    if (a->size != 1)
        nic_text_add(text, " (%u bytes)", a->size);
}

static void describe(struct nic *nic, const struct nic_access *a, struct nic_text *text)
{
    if (a->offset < PORT_DATA)
        describe_register((const struct dp8390 *)nic, a, text);
    else if (a->offset < PORT_RESET)
        nic_text_add(text, "data port, %u byte%s", a->size, a->size == 1 ? "" : "s");
    else
        nic_text_add(text, a->offset < 0x20 ? "reset port" : "port %02x", a->offset);
}

/* --- rules --------------------------------------------------------------- */

#define RULE(d, ...) nic_trace_rule(&(d)->nic, __VA_ARGS__)

static bool is_running(const struct dp8390 *d)
{
    return !(d->cr & CR_STP) && (d->cr & CR_STA);
}

static void start(struct dp8390 *d)
{
    if (d->pstart >= d->pstop)
        RULE(d, "7.0", "started with PSTART %02x not below PSTOP %02x", d->pstart, d->pstop);
    else if (d->curr < d->pstart || d->curr >= d->pstop)
        RULE(d, "7.0", "started with CURR %02x outside of the ring %02x-%02x", d->curr, d->pstart, d->pstop - 1);
    if (!(d->dcr & DCR_LS) && !(d->tcr & TCR_LB))
        RULE(d, "10.3", "started with DCR.LS clear (loopback) while TCR.LB says normal operation");
}

static void remote_dma(struct dp8390 *d, uint8_t rd, uint16_t remaining)
{
    const char *what = rd == CR_RD_READ ? "read" : "write";
    if (d->remaining && (d->cr & CR_RD) != CR_RD_ABORT && d->remaining != d->rbcr)
        RULE(d, "9.0", "remote DMA started with %u bytes of the last one to go", d->remaining);
    if (rd == CR_RD_SEND)
        return;
    if ((d->dcr & DCR_WTS) && (remaining & 1))
        RULE(d, "9.0", "remote %s of an odd count, %u, in word mode", what, remaining);
    if ((d->dcr & DCR_WTS) && (d->rsar & 1))
        RULE(d, "9.0", "remote %s from an odd address, %04x, in word mode", what, d->rsar);
}

static void transmit(struct dp8390 *d, uint8_t value)
{
    if ((value & CR_STP) || (!(value & CR_STA) && !is_running(d)))
        RULE(d, "8.0", "TXP set while the chip is stopped");
    if (d->cr & CR_TXP)
        RULE(d, "8.0", "TXP set while the last frame is on the wire");
    if (d->tbcr < NIC_MIN_FRAME && !(d->tcr & TCR_LB))
        RULE(d, "8.0", "a frame of %u bytes: the driver pads to %u, the chip does not", d->tbcr, NIC_MIN_FRAME);
    if (d->tbcr > DP8390_TX_MAX)
        RULE(d, "8.0", "a frame of %u bytes is longer than Ethernet's", d->tbcr);
    if (d->pstart < d->pstop && d->tpsr >= d->pstart && d->tpsr < d->pstop)
        RULE(d, "8.0", "TPSR %02x lies in the receive ring", d->tpsr);
}

static void check_cr(struct dp8390 *d, uint8_t value)
{
    uint8_t rd = value & CR_RD;
    if ((value & (CR_STP | CR_STA)) == (CR_STP | CR_STA))
        RULE(d, "10.3", "STP and STA set at once");
    if (!rd)
        RULE(d, "10.3", "RD 0 is not allowed in CR: 4 when no remote DMA is meant");
    if (value & CR_STP)
        d->nic.trace->stopped_since = true;
    if ((value & CR_STA) && !is_running(d))
        start(d);
    if (rd && !(rd & CR_RD_ABORT))
        remote_dma(d, rd, d->rbcr);
    if (value & CR_TXP)
        transmit(d, value);
}

static void check_bnry(struct dp8390 *d, const char *name, uint8_t value)
{
    if (is_running(d) && d->pstart < d->pstop && (value < d->pstart || value >= d->pstop))
        RULE(d, "7.0", "%s %02x lies outside of the ring %02x-%02x", name, value, d->pstart, d->pstop - 1);
}

static void check_isr(struct dp8390 *d, const char *name, uint8_t value)
{
    struct nic_trace *t = d->nic.trace;
    (void)name;
    if (!(value & ISR_OVW) || !(d->isr & ISR_OVW))
        return;
    if (!t->stopped_since)
        RULE(d, "7.0", "OVW acknowledged without the recovery: STP, 1.6 ms, RBCR 0, loopback, STA, empty the ring");
}

static void check_stopped(struct dp8390 *d, const char *name, uint8_t value)
{
    (void)value;
    if (is_running(d))
        RULE(d, "11.0", "%s is written while the chip runs", name);
}

static const struct { uint8_t page, number; void (*check)(struct dp8390 *d, const char *name, uint8_t value); } on_write[] = {
    { 0, 0x1, check_stopped }, { 0, 0x2, check_stopped }, { 0, 0x3, check_bnry }, { 0, 0x7, check_isr },
    { 0, 0xe, check_stopped }, { 1, 0x7, check_stopped },
};

static void check_register(struct dp8390 *d, const struct nic_access *a)
{
    unsigned page = d->cr >> CR_PAGE_SHIFT;
    const struct words *w = words_of(d, a->offset, a->is_write);
    if (a->size != 1)
        RULE(d, "10.0", "registers are accessed a byte at a time");
    if (a->offset == 0) {
        if (a->is_write)
            check_cr(d, (uint8_t)a->value);
        return;
    }
    bool extra = !a->is_write && d->extra_read && page == 0;
    if (w && !w->name && !extra)
        RULE(d, "10.2", "page %u has no register %x to %s: the wrong page is selected", page, a->offset,
             a->is_write ? "write" : "read");
    if (page == 2 && a->is_write)
        RULE(d, "10.2", "page 2 is for diagnostics and not written: the wrong page is selected");
    if (!a->is_write || !w)
        return;
    uint32_t reserved = w->fields ? a->value & ~nic_fields_mask(w->fields) : 0;
    if (reserved && a->value != 0xff)
        RULE(d, "10.3", "reserved bits %02x set in %s", reserved, w->name);
    for (size_t i = 0; i < sizeof on_write / sizeof *on_write; i++)
        if (on_write[i].page == page && on_write[i].number == a->offset)
            on_write[i].check(d, w->name, (uint8_t)a->value);
}

static void check_data(struct dp8390 *d, bool is_write)
{
    uint8_t rd = d->cr & CR_RD;
    bool right = is_write ? rd == CR_RD_WRITE : rd == CR_RD_READ || rd == CR_RD_SEND;
    if (!right)
        RULE(d, "9.0", "data port %s without a remote %s", is_write ? "written" : "read", is_write ? "write" : "read");
    else if (!d->remaining)
        RULE(d, "9.0", "data port %s after the remote byte count ran out", is_write ? "written" : "read");
}

static void check(struct nic *nic, const struct nic_access *a)
{
    struct dp8390 *d = (struct dp8390 *)nic;
    if (!nic->trace->strict)
        return;
    if ((d->isr & ISR_OVW) && !nic->trace->overflowed)
        nic->trace->stopped_since = false;
    nic->trace->overflowed = d->isr & ISR_OVW;
    if (a->offset < PORT_DATA)
        check_register(d, a);
    else if (a->offset < PORT_RESET)
        check_data(d, a->is_write);
}

const struct nic_decoder nic_trace_dp8390 = { describe, check, NULL };
