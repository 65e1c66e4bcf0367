/* SPDX-License-Identifier: BSD-2-Clause
 * Two drivers of our own that use of their chips what Linux's do not: an e1000 by
 * polling, with legacy descriptors, EERD, the I/O window and both ways of reset; an
 * RTL8029 by bytes, with send-packet, the FIFO after a loopback, and page 2; the same
 * driver on an NE2000 in a slot of 8 bits, which Linux's has no signature for. */
#include "guest.h"

static uint32_t pci_read(unsigned device, unsigned reg)
{
    outl(0xcf8, 0x80000000 | device << 11 | reg);
    return inl(0xcfc);
}

static void pci_write(unsigned device, unsigned reg, uint32_t value)
{
    outl(0xcf8, 0x80000000 | device << 11 | reg);
    outl(0xcfc, value);
}

static int pci_find(uint32_t identity)
{
    for (unsigned d = 0; d < 32; d++)
        if (pci_read(d, 0) == identity)
            return (int)d;
    return -1;
}

/* A BAR's address, and one of ours where nobody has set it. */
static uint32_t bar_address(unsigned device, unsigned bar, uint32_t otherwise)
{
    uint32_t reg = 0x10 + 4 * bar, value = pci_read(device, reg), mask = value & 1 ? ~3u : ~15u;
    if (value & mask)
        return value & mask;
    pci_write(device, reg, otherwise);
    return otherwise;
}

/* --- e1000 ------------------------------------------------------------------ */

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
static uint16_t ne;

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
        uint32_t base = bar_address((unsigned)d, 0, 0xfeb80000);
        for (uint32_t page = 0; page < 0x20000; page += 4096)
            pages_map(WINDOW + page, (base + page) | PTE_P | PTE_W | 0x10);
        e1000 = (volatile uint32_t *)WINDOW;
        for (unsigned bar = 1; bar < 6 && !e1000_io; bar++)
            if (pci_read((unsigned)d, 0x10 + 4 * bar) & 1)
                e1000_io = (uint16_t)bar_address((unsigned)d, bar, 0xd000);
        pci_write((unsigned)d, 4, (pci_read((unsigned)d, 4) & 0xffff) | 7);
        wr(IMC, 0xffffffff);
    }
    d = pci_find(0x802910ec);
    if (d >= 0) {
        ne = (uint16_t)bar_address((unsigned)d, 0, 0xd800);
        pci_write((unsigned)d, 4, (pci_read((unsigned)d, 4) & 0xffff) | 5);
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

/* --- RTL8029 ---------------------------------------------------------------- */

static uint8_t in(unsigned port) { return inb((uint16_t)(ne + port)); }
static void out(unsigned port, uint8_t value) { outb((uint16_t)(ne + port), value); }

static bool wait_isr(uint8_t bit)
{
    for (unsigned i = 0; i < 1000000; i++)
        if (in(7) & bit) {
            out(7, bit);
            return true;
        }
    return false;
}

/* By bytes (DCR.WTS clear), stopped but for loopback, ring from 46 to 80. */
static void ne_open(void)
{
    static const uint8_t set_up[][2] = { { 0, 0x21 }, { 0xe, 0x48 }, { 0xa, 0 }, { 0xb, 0 }, { 0xc, 0x20 }, { 0xd, 0x02 },
                                         { 4, 0x40 }, { 1, 0x46 }, { 2, 0x80 }, { 3, 0x46 }, { 0xf, 0 }, { 0, 0x61 },
                                         { 7, 0x47 }, { 0, 0x22 }, { 7, 0xff } };
    in(0x1f);
    out(0x1f, 0);
    for (unsigned i = 0; i < sizeof set_up / sizeof set_up[0]; i++)
        out(set_up[i][0], set_up[i][1]);
}

static void remote(uint8_t command, uint16_t address, uint16_t size)
{
    out(0xa, (uint8_t)size), out(0xb, (uint8_t)(size >> 8)), out(8, (uint8_t)address), out(9, (uint8_t)(address >> 8));
    out(0, command);
}

static bool ne_reset_and_prom(void)
{
    uint8_t prom[32];
    CHECK(ne);
    ne_open();
    in(0x1f), out(0x1f, 0);
    CHECK(in(7) & 0x80);
    ne_open();
    remote(0x0a, 0, 32);
    for (unsigned i = 0; i < 32; i++)
        prom[i] = in(0x10);
    CHECK(in(7) & 0x40);
    for (unsigned i = 0; i < 12; i += 2)
        CHECK(prom[i] == prom[i + 1]);
    CHECK(prom[28] == 0x57 && prom[30] == 0x57);
    return true;
}

static bool ne_dma_by_bytes(void)
{
    ne_open();
    remote(0x12, 0x4001, 301);
    for (unsigned i = 0; i < 301; i++)
        out(0x10, (uint8_t)(i * 3));
    CHECK(wait_isr(0x40));
    remote(0x0a, 0x4003, 100); /* from the middle, at an odd address */
    for (unsigned i = 0; i < 100; i++)
        CHECK(in(0x10) == (uint8_t)((i + 2) * 3));
    CHECK(wait_isr(0x40));
    remote(0x12, 0x7ff8, 16); /* across the ring's end: goes on at its start */
    for (unsigned i = 0; i < 16; i++)
        out(0x10, (uint8_t)(0xa0 + i));
    remote(0x0a, 0x4600, 8);
    for (unsigned i = 0; i < 8; i++)
        CHECK(in(0x10) == 0xa8 + i);
    return true;
}

/* Send-packet: the chip itself takes address and length from the frame at BNRY. */
static bool ne_send_packet(void)
{
    static const uint8_t header[] = { 0x21, 0x52, 100, 0 };
    ne_open();
    remote(0x12, 0x5000, 100);
    for (unsigned i = 0; i < 100; i++)
        out(0x10, i < 4 ? header[i] : (uint8_t)(i * 9));
    CHECK(wait_isr(0x40));
    out(3, 0x50);
    out(0xa, 0x0f);
    out(0, 0x1a);
    for (unsigned i = 0; i < 100; i++)
        CHECK(in(0x10) == (i < 4 ? header[i] : (uint8_t)(i * 9)));
    CHECK(wait_isr(0x40));
    CHECK(in(3) == 0x52); /* BNRY has moved on to the next frame */
    return true;
}

/* Loopback inside of the chip: the frame's end, its FCS and its length are in the FIFO. */
static bool ne_loopback(void)
{
    uint8_t fifo[8];
    ne_open();
    remote(0x12, 0x4000, 64);
    for (unsigned i = 0; i < 64; i++)
        out(0x10, (uint8_t)(i + 2));
    CHECK(wait_isr(0x40));
    out(5, 64), out(6, 0);
    out(0, 0x26);
    CHECK(wait_isr(2));
    CHECK(!(in(0) & 4) && (in(4) & 1));
    for (unsigned i = 0; i < 8; i++)
        fifo[i] = in(6);
    CHECK(fifo[7] == 63 + 2 && fifo[4] == 68 && fifo[5] == 0 && fifo[6] == 0);
    out(0, 0x62);
    CHECK(in(7) == 0x47); /* nothing went to the ring */
    out(0, 0x22);
    return true;
}

static bool ne_page_2(void)
{
    ne_open();
    out(0xc, 0x2c); /* monitor mode, groups, broadcasts */
    out(0xf, 0x55);
    out(0, 0xa2);
    CHECK(in(1) == 0x46 && in(2) == 0x80 && in(4) == 0x40);
    CHECK((in(0xc) & 0x3f) == 0x2c && (in(0xd) & 0x1f) == 2 && (in(0xe) & 0x7f) == 0x48 && (in(0xf) & 0x7f) == 0x55);
    out(0, 0x22);
    out(0xf, 0);
    return true;
}

static bool ne_transmit_polled(void)
{
    ne_open();
    out(0xd, 0);
    remote(0x12, 0x4000, 60);
    for (unsigned i = 0; i < 60; i++)
        out(0x10, i < 6 ? 0xff : (uint8_t)i);
    for (unsigned n = 0; n < 10; n++) {
        out(5, 60), out(6, 0);
        out(0, 0x26);
        CHECK(wait_isr(2));
        CHECK(in(4) & 1);
    }
    out(0, 0x21);
    return true;
}

/* The 93C46 behind page 3: mode 2 in 9346CR, then chip select, clock and data by hand. */
enum { EE_MODE = 0x80, EE_CS = 0x08, EE_SK = 0x04, EE_DI = 0x02, EE_DO = 0x01 };

static void ee_clock(uint32_t bits, unsigned count)
{
    while (count--) {
        uint8_t pins = (uint8_t)(EE_MODE | EE_CS | (bits >> count & 1 ? EE_DI : 0));
        out(1, pins);
        out(1, pins | EE_SK);
    }
}

static void ee_begin(uint32_t command)
{
    out(1, EE_MODE);
    out(1, EE_MODE | EE_CS);
    ee_clock(1u << 8 | command, 9);
}

static uint16_t ee_read(unsigned word)
{
    uint16_t value = 0;
    ee_begin(0x80 | word);
    for (unsigned i = 0; i < 16; i++) {
        ee_clock(0, 1);
        value = (uint16_t)(value << 1 | (in(1) & EE_DO));
    }
    out(1, EE_MODE);
    return value;
}

static void ee_write(unsigned word, uint16_t value)
{
    ee_begin(0x30); /* enable */
    ee_begin(0x40 | word);
    ee_clock(value, 16);
    ee_begin(0x00); /* and disable */
    out(1, EE_MODE);
}

/* Word 20 counts the times that this has run: run.sh looks at it in the file. */
static bool ne_eeprom(void)
{
    uint8_t prom[12];
    ne_open();
    remote(0x0a, 0, 12);
    for (unsigned i = 0; i < 12; i++)
        prom[i] = in(0x10);
    out(0, 0xe1);
    for (unsigned i = 0; i < 3; i++)
        CHECK(ee_read(1 + i) == (prom[4 * i] | prom[4 * i + 2] << 8));
    uint16_t times = ee_read(0x20);
    times = (uint16_t)(times == 0xffff ? 1 : times + 1);
    ee_write(0x20, times);
    CHECK(ee_read(0x20) == times && ee_read(0x21) == 0xffff);
    out(1, 0); /* the EEPROM is let go */
    out(0, 0x21);
    return true;
}

/* --- NE2000 in an ISA slot of 8 bits ------------------------------------------ */

/* The tests above on the board at port 300. */
static bool on_isa(bool (*test)(void))
{
    uint16_t pci = ne;
    ne = 0x300;
    bool good = test();
    ne = pci;
    return good;
}

/* The other half of the PROM: 'B' where a board in a slot of 16 bits has 'W'. */
static bool isa_signature(void)
{
    uint8_t prom[32];
    ne_open();
    remote(0x0a, 0, 32);
    for (unsigned i = 0; i < 32; i++)
        prom[i] = in(0x10);
    CHECK(prom[0] == prom[1] && prom[28] == 0x42 && prom[30] == 0x42);
    return true;
}

/* A slot of 8 bits makes a word two bytes, at a port and the one behind it. */
static bool isa_words_by_bytes(void)
{
    ne_open();
    remote(0x12, 0x4100, 8);
    outl(0x310, 0x44332211);
    outl(0x310, 0x88776655);
    CHECK(wait_isr(0x40));
    remote(0x0a, 0x4101, 6);
    CHECK(inb(0x310) == 0x22);
    CHECK(inl(0x310) == 0x66554433);
    CHECK(inb(0x310) == 0x77 && wait_isr(0x40));
    return true;
}

static bool byte_string(void)
{
    static uint8_t out_bytes[300], in_bytes[300];
    uint8_t *from = out_bytes, *to = in_bytes;
    uint32_t count = 300;
    for (unsigned i = 0; i < 300; i++)
        out_bytes[i] = (uint8_t)(i * 13 + 1);
    ne_open();
    remote(0x12, 0x4080, 300);
    __asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(ne + 0x10) : "memory");
    CHECK(wait_isr(0x40));
    count = 300;
    remote(0x0a, 0x4080, 300);
    __asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(ne + 0x10) : "memory");
    CHECK(wait_isr(0x40) && memory_equal(in_bytes, out_bytes, 300));
    return true;
}

static bool isa_prom(void) { return on_isa(isa_signature); }
static bool isa_dma_by_bytes(void) { return on_isa(ne_dma_by_bytes); }
static bool isa_wide_accesses(void) { return on_isa(isa_words_by_bytes); }
static bool isa_strings(void) { return on_isa(byte_string); }
static bool isa_send_packet(void) { return on_isa(ne_send_packet); }
static bool isa_loopback(void) { return on_isa(ne_loopback); }
static bool isa_transmit(void) { return on_isa(ne_transmit_polled); }

static const struct test tests[] = {
    { "e1000_reset_by_memory", reset_by_memory, "has no CTRL.RST" },
    { "e1000_io_window", io_window, "has an I/O window that does nothing" },
    { "e1000_eeprom_by_eerd", eeprom_by_eerd, NULL },
    { "e1000_loopback_by_polling", loopback_by_polling, "holds frames back in loopback" },
    { "e1000_legacy_checksum", legacy_checksum, "ignores IC in legacy descriptors" },
    { "ne_reset_and_prom", ne_reset_and_prom, NULL },
    { "ne_dma_by_bytes", ne_dma_by_bytes, NULL },
    { "ne_send_packet", ne_send_packet, "has no send-packet" },
    { "ne_loopback", ne_loopback, "sends frames in loopback out, and has no FIFO" },
    { "ne_page_2", ne_page_2, "has little of page 2" },
    { "ne_transmit_polled", ne_transmit_polled, NULL },
    { "ne_eeprom", ne_eeprom, "has no EEPROM" },
    { "isa_prom", isa_prom, "has no slots of 8 bits" },
    { "isa_dma_by_bytes", isa_dma_by_bytes, NULL },
    { "isa_wide_accesses", isa_wide_accesses, "has no slots of 8 bits" },
    { "isa_strings", isa_strings, NULL },
    { "isa_send_packet", isa_send_packet, "has no send-packet" },
    { "isa_loopback", isa_loopback, "sends frames in loopback out, and has no FIFO" },
    { "isa_transmit", isa_transmit, NULL },
    { NULL, NULL, NULL },
};
const struct test_group group_nic = { "nic", tests, prepare };
