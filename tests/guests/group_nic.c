/* SPDX-License-Identifier: BSD-2-Clause
 * A driver of our own that uses of its chip what Linux's does not: an e1000 by
 * polling, with legacy descriptors, EERD, the I/O window and both ways of reset. */
#include "guest.h"

enum { CTRL = 0x0, STATUS = 0x8, EERD = 0x14, MDIC = 0x20, VET = 0x38, IMC = 0xd8, RCTL = 0x100, TCTL = 0x400,
       RDBAL = 0x2800, RDLEN = 0x2808, RDH = 0x2810, RDT = 0x2818, TDBAL = 0x3800, TDLEN = 0x3808, TDH = 0x3810,
       TDT = 0x3818, GPRC = 0x4074, GPTC = 0x4080, RAL = 0x5400, RAH = 0x5404 };
enum { RING = 8, WINDOW = 0x30000000 };
#define RESET 0x04000000u
#define SLU 0x40u

struct descriptor {
    uint32_t address, upper_address, command, status;
};
static volatile struct descriptor *const tx_ring = (void *)(SCRATCH + 0x1000), *const rx_ring = (void *)(SCRATCH + 0x2000);
static uint8_t *const tx_data = (void *)(SCRATCH + 0x10000), *const rx_data = (void *)(SCRATCH + 0x20000);

static volatile uint32_t *e1000;
static uint16_t e1000_io;

static uint32_t rd(uint32_t offset) { return e1000[offset / 4]; }
static void wr(uint32_t offset, uint32_t value) { e1000[offset / 4] = value; }

/* Polls until a bit of a register is clear (or set); a chip of silicon takes its time. */
static bool wait_bits(uint32_t offset, uint32_t bits, uint32_t wanted)
{
    for (unsigned i = 0; i < 1000000; i++)
        if ((rd(offset) & bits) == wanted)
            return true;
    return false;
}

static void prepare(void)
{
    int d = pci_find(0x100e8086);
    pages_on();
    if (d >= 0) {
        uint32_t base = pci_bar_address((unsigned)d, 0, 0xfeb80000);
        for (uint32_t page = 0; page < 0x20000; page += 4096)
            pages_map(WINDOW + page, (base + page) | PTE_P | PTE_W | 0x10);
        e1000 = (volatile uint32_t *)WINDOW;
        for (unsigned bar = 1; bar < 6 && !e1000_io; bar++)
            if (pci_read((unsigned)d, 0x10 + 4 * bar) & 1)
                e1000_io = (uint16_t)pci_bar_address((unsigned)d, bar, 0xd000);
        pci_write((unsigned)d, 4, (pci_read((unsigned)d, 4) & 0xffff) | 7);
        wr(IMC, 0xffffffff);
    }
}

static bool reset_by_memory(void)
{
    CHECK(e1000);
    wr(TDBAL, 0x12340);
    wr(VET, 0x1234);
    wr(CTRL, rd(CTRL) | RESET);
    CHECK(wait_bits(CTRL, RESET, 0));
    CHECK(rd(TDBAL) == 0 && rd(VET) == 0x8100);
    CHECK(rd(RAH) & 0x80000000); /* the station address is back from the EEPROM, valid */
    return true;
}

static bool io_window(void)
{
    CHECK(e1000_io);
    outl(e1000_io, VET);
    outl(e1000_io + 4, 0x4321);
    CHECK(rd(VET) == 0x4321 && inl(e1000_io + 4) == 0x4321 && inl(e1000_io) == VET);
    outl(e1000_io, CTRL);
    outl(e1000_io + 4, inl(e1000_io + 4) | RESET);
    CHECK(wait_bits(CTRL, RESET, 0));
    CHECK(rd(VET) == 0x8100);
    return true;
}

static bool eeprom_by_eerd(void)
{
    uint16_t sum = 0;
    uint32_t words[3] = { 0 };
    for (uint32_t i = 0; i < 64; i++) {
        wr(EERD, i << 8 | 1);
        CHECK(wait_bits(EERD, 0x10, 0x10));
        sum = (uint16_t)(sum + (rd(EERD) >> 16));
        if (i < 3)
            words[i] = rd(EERD) >> 16;
    }
    CHECK(sum == 0xbaba);
    CHECK(rd(RAL) == (words[0] | words[1] << 16) && (rd(RAH) & 0xffff) == words[2]);
    return true;
}

static bool phy(unsigned number, uint32_t command, uint16_t *value)
{
    wr(MDIC, command | 1u << 21 | number << 16 | *value);
    if (!wait_bits(MDIC, 0x10000000, 0x10000000) || (rd(MDIC) & 0x40000000))
        return false;
    *value = (uint16_t)rd(MDIC);
    return true;
}

static bool open_loopback(void)
{
    uint16_t value = 0x4140; /* loopback, gigabit, full duplex */
    wr(CTRL, rd(CTRL) | RESET);
    if (!wait_bits(CTRL, RESET, 0))
        return false;
    wr(IMC, 0xffffffff);
    wr(CTRL, SLU | 1);
    if (!phy(0, 0x04000000, &value) || !wait_bits(STATUS, 2, 2))
        return false;
    for (unsigned i = 0; i < RING; i++)
        rx_ring[i] = (struct descriptor){ (uint32_t)(rx_data + 2048 * i), 0, 0, 0 };
    wr(TDBAL, (uint32_t)tx_ring), wr(TDLEN, RING * 16), wr(TDH, 0), wr(TDT, 0);
    wr(RDBAL, (uint32_t)rx_ring), wr(RDLEN, RING * 16), wr(RDH, 0), wr(RDT, RING - 1);
    wr(TCTL, 0x0004010a);
    wr(RCTL, 0x0400801a); /* on, all unicast and multicast, without the FCS */
    return rd(GPRC) | rd(GPTC) | 1;
}

static bool poll_status(volatile struct descriptor *d)
{
    for (unsigned i = 0; i < 1000000; i++)
        if (d->status & 1)
            return true;
    return false;
}

/* Frames of every kind of length through both rings, five times around, polled. */
static bool loopback_by_polling(void)
{
    static const uint16_t sizes[] = { 60, 61, 64, 127, 512, 1000, 1513, 1514 };
    unsigned slot = 0;
    CHECK(open_loopback());
    for (unsigned n = 0; n < 5 * RING; n++, slot = (slot + 1) % RING) {
        uint32_t size = sizes[n % 8], first = size / 3; /* in two pieces: the frame ends with EOP */
        for (unsigned i = 0; i < size; i++)
            tx_data[i] = (uint8_t)(i * 7 + n);
        tx_data[0] = 2;
        tx_ring[slot] = (struct descriptor){ (uint32_t)tx_data, 0, first | 0x0a000000, 0 };
        slot = (slot + 1) % RING;
        tx_ring[slot] = (struct descriptor){ (uint32_t)tx_data + first, 0, (size - first) | 0x0b000000, 0 };
        wr(TDT, (slot + 1) % RING);
        CHECK(poll_status(&tx_ring[slot]));
        volatile struct descriptor *r = &rx_ring[n % RING];
        CHECK(poll_status(r));
        CHECK((r->status & 0xff03) == 3 && (r->command & 0xffff) == size);
        CHECK(memory_equal(rx_data + 2048 * (n % RING), tx_data, size));
        r->status = 0;
        wr(RDT, n % RING);
    }
    CHECK(rd(GPTC) == 5 * RING && rd(GPRC) == 5 * RING);
    CHECK(rd(GPTC) == 0); /* cleared by the read */
    return true;
}

/* A legacy descriptor's IC: the sum from CSS to the end goes to CSO. */
static bool legacy_checksum(void)
{
    CHECK(open_loopback());
    for (unsigned i = 0; i < 80; i++)
        tx_data[i] = (uint8_t)(i * 5 + 2);
    tx_data[0] = 2, tx_data[50] = tx_data[51] = 0;
    uint32_t sum = 0;
    for (unsigned i = 14; i < 80; i += 2)
        sum += (uint32_t)tx_data[i] << 8 | tx_data[i + 1];
    sum = (sum & 0xffff) + (sum >> 16), sum = (sum & 0xffff) + (sum >> 16);
    tx_ring[0] = (struct descriptor){ (uint32_t)tx_data, 0, 80 | 50 << 16 | 0x0f000000, 14 << 8 };
    wr(TDT, 1);
    CHECK(poll_status(&rx_ring[0]));
    CHECK((uint16_t)~(rx_data[50] << 8 | rx_data[51]) == (uint16_t)sum);
    return true;
}

static const struct test tests[] = {
    { "e1000_reset_by_memory", reset_by_memory, "has no CTRL.RST" },
    { "e1000_io_window", io_window, "has an I/O window that does nothing" },
    { "e1000_eeprom_by_eerd", eeprom_by_eerd, NULL },
    { "e1000_loopback_by_polling", loopback_by_polling, "holds frames back in loopback" },
    { "e1000_legacy_checksum", legacy_checksum, "ignores IC in legacy descriptors" },
    { NULL, NULL, NULL },
};
const struct test_group group_nic = { "nic", tests, prepare };
