/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A driver for the DP8390 on an RTL8029, in the order of docs/ne2000.md.
 */
#include "driver.h"

enum { CR = 0x0, PSTART = 0x1, PSTOP = 0x2, BNRY = 0x3, TPSR = 0x4, TSR = 0x4, TBCR0 = 0x5, TBCR1 = 0x6, ISR = 0x7,
       RSAR0 = 0x8, RSAR1 = 0x9, RBCR0 = 0xa, RBCR1 = 0xb, RCR = 0xc, TCR = 0xd, DCR = 0xe, CNTR2 = 0xf, IMR = 0xf,
       PAR0 = 0x1, CURR = 0x7, MAR0 = 0x8, DATA = 0x10, RESET = 0x1f };
enum { STP = 0x01, STA = 0x02, TXP = 0x04, RD_READ = 0x08, RD_WRITE = 0x10, RD_ABORT = 0x20, PAGE_1 = 0x40 };
enum { PRX = 0x01, PTX = 0x02, RXE = 0x04, OVW = 0x10, RDC = 0x40, RST = 0x80 };
enum { TX_PAGE = 0x40, RX_FIRST = 0x46, RX_STOP = 0x80, SHORT_STOP = 0x4b };

static uint16_t base;
static uint8_t station[6], ring_stop;

static uint8_t in(unsigned port) { return inb((uint16_t)(base + port)); }
static void out(unsigned port, uint8_t value) { outb((uint16_t)(base + port), value); }

static void remote(uint8_t command, uint16_t address, uint16_t count)
{
    out(RBCR0, (uint8_t)count);
    out(RBCR1, (uint8_t)(count >> 8));
    out(RSAR0, (uint8_t)address);
    out(RSAR1, (uint8_t)(address >> 8));
    out(CR, (uint8_t)(command | STA));
}

static void remote_done(void)
{
    while (!(in(ISR) & RDC))
        ;
    out(ISR, RDC);
}

static void remote_read(uint16_t address, uint8_t *to, uint16_t count)
{
    remote(RD_READ, address, count);
    for (uint16_t i = 0; i < count; i += 2) {
        uint16_t word = inw((uint16_t)(base + DATA));
        to[i] = (uint8_t)word;
        to[i + 1] = (uint8_t)(word >> 8);
    }
    remote_done();
}

/* Section 11; the chip stands still, and does so until start(). */
static void set_up(uint8_t stop)
{
    ring_stop = stop;
    out(CR, STP | RD_ABORT);
    out(RBCR0, 0);
    out(RBCR1, 0);
    out(RCR, 0x20);
    out(TCR, 0x02);
    out(TPSR, TX_PAGE);
    out(PSTART, RX_FIRST);
    out(BNRY, RX_FIRST);
    out(PSTOP, ring_stop);
    out(ISR, 0xff);
    out(IMR, 0x3f);
    out(CR, STP | RD_ABORT | PAGE_1);
    for (unsigned i = 0; i < 6; i++)
        out(PAR0 + i, station[i]);
    out(CURR, RX_FIRST + 1);
    for (unsigned i = 0; i < 8; i++)
        out(MAR0 + i, 0);
}

static void start(void)
{
    out(CR, STA | RD_ABORT);
    out(TCR, 0x00);
    out(RCR, 0x04);
}

static bool reset(void)
{
    uint8_t prom[32];
    out(RESET, in(RESET));
    while (!(in(ISR) & RST))
        ;
    out(ISR, 0xff);
    out(CR, STP | RD_ABORT);
    out(DCR, 0x49); /* words, normal operation, FIFO threshold 8 */
    remote_read(0, prom, 32);
    for (unsigned i = 0; i < 6; i++)
        station[i] = prom[2 * i];
    return prom[28] == 0x57;
}

static void send(uint16_t size)
{
    uint8_t frame[1518];
    make_frame(frame, size, station);
    remote(RD_WRITE, TX_PAGE << 8, size);
    for (unsigned i = 0; i < size; i += 2)
        outw((uint16_t)(base + DATA), (uint16_t)(frame[i] | frame[i + 1] << 8));
    remote_done();
    out(TPSR, TX_PAGE);
    out(TBCR0, (uint8_t)size);
    out(TBCR1, (uint8_t)(size >> 8));
    out(CR, STA | TXP | RD_ABORT);
    while (!(in(ISR) & PTX))
        ;
    in(TSR);
    out(ISR, PTX);
}

/* What lies between BNRY and CURR; BNRY is kept one page behind. Returns how many. */
static unsigned drain(void)
{
    for (unsigned count = 0;; count++) {
        uint8_t header[4], frame[1520];
        out(CR, STA | RD_ABORT | PAGE_1);
        uint8_t end = in(CURR);
        out(CR, STA | RD_ABORT);
        uint8_t page = (uint8_t)(in(BNRY) + 1);
        page = page == ring_stop ? RX_FIRST : page;
        if (page == end)
            return count;
        remote_read((uint16_t)(page << 8), header, 4);
        uint16_t size = (uint16_t)(header[2] | header[3] << 8);
        remote_read((uint16_t)((page << 8) + 4), frame, (uint16_t)((size - 4 + 1) & ~1));
        out(BNRY, header[1] == RX_FIRST ? (uint8_t)(ring_stop - 1) : (uint8_t)(header[1] - 1));
    }
}

static bool receive(void)
{
    if (!(in(ISR) & PRX))
        return false;
    out(ISR, PRX);
    return drain() == 1;
}

/* Section 7. */
static bool recover(void)
{
    if (!(in(ISR) & OVW))
        return false;
    bool transmitting = in(CR) & TXP;
    out(CR, STP | RD_ABORT);
    pause_us(1600);
    out(RBCR0, 0);
    out(RBCR1, 0);
    bool again = transmitting && !(in(ISR) & PTX);
    out(TCR, 0x02);
    out(CR, STA | RD_ABORT);
    drain();
    out(ISR, OVW | RXE | PRX);
    out(TCR, 0x00);
    return !again && in(CNTR2) == 1;
}

/* Frames for this station are counted and not stored: RCR.MON. */
static bool monitor(void)
{
    out(RCR, 0x24);
    out(CR, STA | RD_ABORT | PAGE_1);
    uint8_t before = in(CURR);
    out(CR, STA | RD_ABORT);
    wait_for_key("ne2000: one to be counted only, then a key");
    bool stored = in(ISR) & PRX;
    uint8_t counted = in(CNTR2);
    out(CR, STA | RD_ABORT | PAGE_1);
    stored |= in(CURR) != before;
    out(CR, STA | RD_ABORT);
    return !stored && counted == 1;
}

bool drive_ne2000(void)
{
    int device = pci_find(0x802910ec);
    if (device < 0)
        return false;
    base = (uint16_t)pci_bar((unsigned)device, 0);
    pci_command((unsigned)device, 1);
    if (!reset())
        return false;
    set_up(RX_STOP);
    start();
    send(60);
    wait_for_key("ne2000: a frame for this station, then a key");
    if (!receive())
        return false;
    set_up(SHORT_STOP);
    start();
    wait_for_key("ne2000: one more and one of 1514 bytes, then a key");
    if (!recover() || !monitor())
        return false;
    out(IMR, 0);
    out(CR, STP | RD_ABORT);
    return true;
}
