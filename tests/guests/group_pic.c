/* SPDX-License-Identifier: BSD-2-Clause
 * The two 8259 without an interrupt being taken: requests of the 8254, the keyboard controller
 * and the clock chip, and what polls, EOIs, rotations and masks make of them. And the 8254's
 * second channel at its modes, by what port 61h and its status say. */
#include "guest.h"

enum { MASTER = 0x20, SLAVE = 0xa0, EOI = 0x20, POLL = 0x0c, IRR = 0x0a, ISR = 0x0b, NOBODY = 0 };

static void prepare(void)
{
    irqs_on();
    outb(0x64, 0x60), outb(0x60, 0x45); /* the keyboard controller asks for IRQ 1 */
    inb(0x60);
    outb(0x43, 0x30);
    outb(MASTER + 1, 0xf8), outb(SLAVE + 1, 0xfe);
}

static uint8_t reg(uint16_t chip, uint8_t which)
{
    outb(chip, which);
    return inb(chip);
}

static uint8_t poll(uint16_t chip)
{
    uint8_t got;
    outb(chip, POLL);
    got = inb(chip);
    return got & 0x80 ? got & 0x87 : NOBODY;
}

static bool comes(uint16_t chip, uint8_t bit)
{
    for (unsigned i = 0; i < 1000000; i++)
        if (reg(chip, IRR) & bit)
            return true;
    return false;
}

static bool ask_0(void)
{
    outb(0x43, 0x30);
    outb(0x40, 20), outb(0x40, 0);
    return comes(MASTER, 1);
}

static bool ask_1(void)
{
    inb(0x60);
    outb(0x64, 0xd2), outb(0x60, 0x55);
    return comes(MASTER, 2);
}

static uint8_t clock_read(uint8_t index)
{
    outb(0x70, index);
    return inb(0x71);
}
static void clock_write(uint8_t index, uint8_t value)
{
    outb(0x70, index);
    outb(0x71, value);
}
static bool ask_8(void)
{
    clock_read(12);
    clock_write(10, 0x26), clock_write(11, 0x42);
    return comes(SLAVE, 1);
}
static void still_8(void)
{
    clock_write(11, 0x02);
    clock_read(12);
}

static void end(void)
{
    outb(0x43, 0x30);
    inb(0x60);
    still_8();
    irqs_on();
    outb(MASTER + 1, 0xf8), outb(SLAVE + 1, 0xfe);
}

static bool priorities(void)
{
    CHECK(ask_0() && ask_1() && (reg(MASTER, IRR) & 7) == 3 && reg(MASTER, ISR) == 0);
    CHECK(poll(MASTER) == 0x80 && reg(MASTER, ISR) == 1 && (reg(MASTER, IRR) & 7) == 2);
    CHECK(poll(MASTER) == NOBODY); /* a lower one waits */
    outb(MASTER, EOI);
    CHECK(reg(MASTER, ISR) == 0 && poll(MASTER) == 0x81 && reg(MASTER, ISR) == 2);
    CHECK(ask_0() && poll(MASTER) == 0x80 && reg(MASTER, ISR) == 3); /* a higher one does not */
    outb(MASTER, 0x61); /* the one that is named */
    CHECK(reg(MASTER, ISR) == 1);
    outb(MASTER, EOI);
    CHECK(reg(MASTER, ISR) == 0);
    end();
    return true;
}

static bool rotations(void)
{
    CHECK(ask_0() && poll(MASTER) == 0x80);
    outb(MASTER, 0xa0); /* EOI, and 0 is the lowest */
    CHECK(reg(MASTER, ISR) == 0 && ask_0() && ask_1() && poll(MASTER) == 0x81);
    outb(MASTER, EOI);
    CHECK(poll(MASTER) == 0x80);
    outb(MASTER, EOI);
    outb(MASTER, 0xc7); /* as it was */
    CHECK(ask_0() && ask_1() && poll(MASTER) == 0x80);
    outb(MASTER, 0xe0); /* EOI of 0, which is the lowest */
    CHECK(ask_0() && poll(MASTER) == 0x81);
    outb(MASTER, EOI);
    CHECK(poll(MASTER) == 0x80);
    outb(MASTER, EOI);
    end();
    return true;
}

static bool masks(void)
{
    outb(MASTER + 1, 0xff);
    CHECK(ask_1() && poll(MASTER) == NOBODY && inb(MASTER + 1) == 0xff);
    outb(MASTER + 1, 0xf8);
    CHECK(poll(MASTER) == 0x81 && inb(MASTER + 1) == 0xf8);
    outb(MASTER, EOI);
    CHECK(ask_0() && poll(MASTER) == 0x80);
    outb(MASTER + 1, 0xf9);
    CHECK(ask_1() && poll(MASTER) == NOBODY); /* masked, but in service */
    outb(MASTER, 0x68);                       /* special mask mode */
    CHECK(poll(MASTER) == 0x81 && reg(MASTER, ISR) == 3);
    outb(MASTER, EOI); /* not the masked one */
    CHECK(reg(MASTER, ISR) == 1);
    outb(MASTER, 0x48);
    outb(MASTER, EOI);
    CHECK(reg(MASTER, ISR) == 0);
    end();
    return true;
}

/* A request that goes away before it is acknowledged was none. */
static bool withdrawn(void)
{
    CHECK(ask_1() && reg(MASTER, IRR) & 2);
    inb(0x60);
    CHECK(!(reg(MASTER, IRR) & 2) && poll(MASTER) == NOBODY && reg(MASTER, ISR) == 0);
    end();
    return true;
}

static bool cascade(void)
{
    CHECK(ask_8() && reg(MASTER, IRR) & 4);
    CHECK(poll(MASTER) == 0x82 && reg(MASTER, ISR) == 4 && reg(SLAVE, ISR) == 0);
    CHECK(poll(SLAVE) == 0x80 && reg(SLAVE, ISR) == 1);
    still_8();
    CHECK(ask_1() && poll(MASTER) == 0x81 && reg(MASTER, ISR) == 6);
    outb(MASTER, EOI), outb(SLAVE, EOI), outb(MASTER, EOI);
    CHECK(reg(MASTER, ISR) == 0 && reg(SLAVE, ISR) == 0);
    end();
    return true;
}

static bool automatic(void)
{
    outb(MASTER, 0x11), outb(MASTER + 1, IRQ_BASE), outb(MASTER + 1, 4), outb(MASTER + 1, 3);
    outb(MASTER + 1, 0xf8);
    CHECK(ask_0() && ask_1() && poll(MASTER) == 0x80 && reg(MASTER, ISR) == 0 && poll(MASTER) == 0x81 && poll(MASTER) == NOBODY);
    end();
    return true;
}

/* --- channel 2 of the 8254 -------------------------------------------------------------------- */

static void gate(bool open) { outb(0x61, (uint8_t)((inb(0x61) & 0xfc) | open)); }
static bool out(void) { return inb(0x61) & 0x20; }
static void set(uint8_t mode, uint16_t count)
{
    outb(0x43, (uint8_t)(0xb0 | mode << 1));
    outb(0x42, (uint8_t)count), outb(0x42, (uint8_t)(count >> 8));
}
static uint8_t status(void)
{
    outb(0x43, 0xe8);
    return inb(0x42);
}
static uint16_t latched(void)
{
    uint16_t low;
    outb(0x43, 0x80);
    low = inb(0x42);
    return (uint16_t)(low | inb(0x42) << 8);
}

static bool rises(void)
{
    for (unsigned i = 0; i < 10000000; i++)
        if (out())
            return true;
    return false;
}

static bool counts_down(void)
{
    gate(true);
    outb(0x43, 0xb0);
    CHECK(!out() && (status() & 0xff) == 0x70); /* no count yet */
    outb(0x42, 0);
    CHECK(!out());
    outb(0x42, 0x40);
    CHECK(!out() && rises() && (status() & 0xbf) == 0xb0);
    gate(false); /* stands still, low */
    set(0, 0x40);
    uint16_t first = latched();
    CHECK(!out() && first <= 0x40 && latched() == first);
    gate(true);
    CHECK(rises());
    return true;
}

static bool is_triggered(void)
{
    gate(false);
    set(1, 0x1000);
    CHECK(out());
    gate(true);
    CHECK(!out() && rises());
    gate(false);
    CHECK(out());
    gate(true);
    CHECK(!out() && rises());
    gate(false);
    return true;
}

static bool repeats(void)
{
    uint16_t low = 0xffff, high = 0;

    gate(false);
    set(3, 0x2000);
    CHECK(out()); /* a low gate holds it high */
    gate(true);
    for (unsigned i = 0; i < 3; i++) {
        unsigned n = 0;
        while (out() && n < 1000000)
            n++;
        CHECK(n < 1000000 && rises());
    }
    for (unsigned i = 0; i < 1000000 && !(high > 0x1000 && low < 0x1000); i++) {
        uint16_t now = latched();
        low = now < low ? now : low;
        high = now > high ? now : high;
    }
    CHECK(high <= 0x2000 && high > 0x1000 && low < 0x1000 && (status() & 0x3f) == 0x36);
    set(2, 0x2000);
    CHECK(latched() <= 0x2000 && (status() & 0x3f) == 0x34);
    gate(false);
    CHECK(out());
    return true;
}

/* Latched values stay until they are read, status before count. */
static bool read_backs(void)
{
    gate(true);
    set(2, 0xffff);
    outb(0x43, 0xc8); /* both, of channel 2 */
    for (unsigned i = 0; i < 100; i++)
        inb(0x80);
    outb(0x43, 0xc8); /* not again */
    uint8_t what = inb(0x42);
    uint16_t count = inb(0x42);
    count |= (uint16_t)(inb(0x42) << 8);
    uint16_t now = latched();
    CHECK((what & 0x3f) == 0x34 && count > now && count > 0xff00);
    outb(0x43, 0xa4); /* the high byte alone, mode 2 */
    outb(0x42, 0x12);
    CHECK((status() & 0x3f) == 0x24);
    outb(0x43, 0x80);
    CHECK(inb(0x42) <= 0x12);
    gate(false);
    return true;
}

static const struct test tests[] = {
    { "priorities", priorities, NULL }, { "rotations", rotations, NULL }, { "masks", masks, "ends what is masked, too" },
    { "withdrawn", withdrawn, "keeps the request" }, { "cascade", cascade, "acknowledges both by one poll" },
    { "automatic", automatic, "keeps what was polled in service" }, { "counts_down", counts_down, "counts without a count" },
    { "is_triggered", is_triggered, "turns the output around" }, { "repeats", repeats, "takes no notice of the gate" }, { "read_backs", read_backs, NULL },
    { NULL, NULL, NULL },
};
const struct test_group group_pic = { "pic", tests, prepare };
