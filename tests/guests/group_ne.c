/* SPDX-License-Identifier: BSD-2-Clause
 * A driver of our own that uses of the DP8390 what Linux's does not: an RTL8029 by
 * bytes, with send-packet, the FIFO after a loopback, page 2 and the EEPROM; the same
 * on an NE2000 in a slot of 8 bits, which Linux's has no signature for. */
#include "guest.h"

static uint16_t ne;

static void prepare(void)
{
    int d = pci_find(0x802910ec);
    if (d >= 0) {
        ne = (uint16_t)pci_bar_address((unsigned)d, 0, 0xd800);
        pci_write((unsigned)d, 4, (pci_read((unsigned)d, 4) & 0xffff) | 5);
    }
}

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
    /* The three modes differ in what does not come back: carrier and heartbeat, the heartbeat, nothing. */
    static const uint8_t missing[4] = { 0, 0x50, 0x40, 0 };
    for (unsigned mode = 1; mode < 4; mode++) {
        out(0xd, (uint8_t)(mode << 1));
        out(7, 0xff);
        out(0, 0x26);
        CHECK(wait_isr(2));
        CHECK((in(4) & 0x51) == (missing[mode] | 1));
        for (unsigned i = 0; i < 8; i++)
            fifo[i] = in(6);
        CHECK(fifo[4] == 68 && fifo[7] == 63 + 2);
    }
    out(0xd, 2);
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
const struct test_group group_ne = { "ne", tests, prepare };
