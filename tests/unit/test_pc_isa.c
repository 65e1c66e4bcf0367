/* SPDX-License-Identifier: BSD-2-Clause
 * ISA boards of nicemu in the machine, through its ports: where they are put, what
 * is refused, and Plug and Play as an operating system goes about it.
 */
#include "tests/unit/unit.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/pc/pc.h"

#include <string.h>

enum { READ_PORT = 0x213 };

static struct cpu cpu;
static struct phys *phys;
static struct io_bus *io;
static struct pc *pc;
static char error[256];

static void on_intr(void *opaque, bool level) { (void)opaque; (void)level; }
static void on_attention(void *opaque) { (void)opaque; }

static void setup(void)
{
    struct pc_config config = { .cpu = &cpu, .wall_seconds = 1700000000, .set_intr = on_intr, .attention = on_attention };

    config.phys = phys = phys_new(8 << 20);
    config.io = io = io_bus_new();
    pc = pc_new(&config);
    CU_ASSERT_PTR_NOT_NULL_FATAL(pc);
}

static void teardown(void)
{
    pc_free(pc);
    io_bus_free(io);
    phys_free(phys);
}

static struct pc_nic *add(const char *model, uint16_t port, uint8_t irq)
{
    static uint8_t number;
    const struct pc_nic_config config = { .model = model, .mac = { 2, 0, 0, 0, 0, ++number }, .isa_port = port, .isa_irq = irq };
    const struct pc_link link = { 0 };

    error[0] = 0;
    return pc_add_nic(pc, &config, &link, error, sizeof error);
}

static uint8_t in(uint16_t port) { return (uint8_t)io_port_read(io, port, 1); }
static void out(uint16_t port, uint8_t value) { io_port_write(io, port, 1, value); }

/* A DP8390 that is stopped: CR reads 21 there. */
static bool is_board(uint16_t port)
{
    return in(port) == 0x21;
}

static void places(void)
{
    setup();
    CU_ASSERT_PTR_NOT_NULL(add("ne2000", 0, 0));
    CU_ASSERT_PTR_NOT_NULL(add("ne1000", 0x280, 5));
    CU_ASSERT_PTR_NOT_NULL(add("rtl8019as", 0, 0));
    CU_ASSERT_PTR_NOT_NULL(add("e1000", 0, 0));
    CU_ASSERT_TRUE(is_board(0x300));
    CU_ASSERT_TRUE(is_board(0x280));
    CU_ASSERT_TRUE(is_board(0x320));
    CU_ASSERT_FALSE(is_board(0x340));
    CU_ASSERT_EQUAL(in(0x340), 0xff);
    teardown();
}

#define REFUSED(what, model, port, irq)                 \
    do {                                                \
        CU_ASSERT_PTR_NULL(add(model, port, irq));      \
        CU_ASSERT_PTR_NOT_NULL(strstr(error, what));    \
    } while (0)

static void refused(void)
{
    setup();
    CU_ASSERT_PTR_NOT_NULL(add("ne2000", 0, 0));
    REFUSED("two ISA cards at io=0x300", "ne2000", 0x300, 5);
    REFUSED("two ISA cards with irq=9", "ne1000", 0x320, 9);
    REFUSED("steps of 0x20", "ne2000", 0x310, 5);
    REFUSED("steps of 0x20", "ne2000", 0x2e0, 5);
    REFUSED("steps of 0x20", "ne2000", 0x3e0, 5);
    REFUSED("steps of 0x20", "rtl8019as", 0x260, 5);
    REFUSED("steps of 0x20", "ne2000", 0xff20, 5);
    REFUSED("3, 5, 7, 9, 12 or 15", "ne2000", 0x320, 4);
    REFUSED("3, 5, 7, 9, 12 or 15", "ne2000", 0x320, 10);
    REFUSED("cannot have", "ne2000", 0x320, 200);
    REFUSED("cannot have", "rtl8019as", 0x320, 7);
    REFUSED("is on PCI", "e1000", 0x320, 0);
    REFUSED("e1000, e1000-82545em, rtl8029, rtl8019as, ne2000, ne2000-8bit, ne1000", "tulip", 0, 0);
    CU_ASSERT_PTR_NOT_NULL(add("82545em", 0, 0)); /* by its chip */
    CU_ASSERT_FALSE(is_board(0x320)); /* nothing of what was refused is left */
    teardown();
}

/* --- Plug and Play --- */

static void set(uint8_t reg, uint8_t value)
{
    out(0x279, reg);
    out(0xa79, value);
}

static void key(void)
{
    uint8_t lfsr = 0x6a;

    out(0x279, 0);
    out(0x279, 0);
    for (unsigned i = 0; i < 32; i++, lfsr = (uint8_t)(lfsr >> 1 | ((lfsr ^ lfsr >> 1) & 1) << 7))
        out(0x279, lfsr);
}

static bool isolate(uint8_t identifier[9])
{
    memset(identifier, 0, 9);
    out(0x279, 1);
    for (unsigned bit = 0; bit < 72; bit++) {
        uint8_t first = in(READ_PORT), second = in(READ_PORT);
        if (first == 0x55 && second == 0xaa)
            identifier[bit / 8] |= (uint8_t)(1u << bit % 8);
    }
    return identifier[0] != 0;
}

static void activate(uint8_t csn, uint16_t port, uint8_t irq)
{
    set(3, csn);
    set(7, 0);
    set(0x60, (uint8_t)(port >> 8));
    set(0x61, (uint8_t)port);
    set(0x70, irq);
    set(0x30, 1);
}

/* Three boards, found one after the other by their addresses, and put where nobody else is, or on each other. */
static void plug_and_play(void)
{
    uint8_t identifier[9];
    unsigned found = 0;

    setup();
    CU_ASSERT_PTR_NOT_NULL(add("ne2000", 0x300, 9));
    for (unsigned i = 0; i < 3; i++)
        CU_ASSERT_PTR_NOT_NULL(add("rtl8019as", 0, 0));
    CU_ASSERT_EQUAL(in(READ_PORT), 0xff);
    key();
    set(2, 4);
    for (;;) {
        set(3, 0);
        set(0, READ_PORT >> 2);
        if (!isolate(identifier) || found == 3)
            break;
        CU_ASSERT_EQUAL(memcmp(identifier, "\x4a\x8c\x80\x19", 4), 0);
        set(6, (uint8_t)++found);
    }
    CU_ASSERT_EQUAL(found, 3);
    activate(1, 0x240, 5);
    activate(2, 0x300, 3); /* the jumpered board was there first */
    activate(3, 0x3e0, 3); /* COM1 is no place */
    CU_ASSERT_TRUE(is_board(0x240));
    CU_ASSERT_TRUE(is_board(0x300));
    CU_ASSERT_FALSE(is_board(0x320));
    CU_ASSERT_FALSE(is_board(0x340));
    CU_ASSERT_FALSE(is_board(0x3e0));
    out(0x3ff, 0x5a); /* COM1's scratch register */
    CU_ASSERT_EQUAL(in(0x3ff), 0x5a);
    activate(2, 0x360, 3);
    CU_ASSERT_TRUE(is_board(0x360));
    CU_ASSERT_TRUE(is_board(0x300));
    set(3, 1);
    set(0x30, 0);
    CU_ASSERT_EQUAL(in(0x240), 0xff);
    set(2, 2);
    CU_ASSERT_EQUAL(in(READ_PORT), 0xff);
    teardown();
}

/* What the driver writes into the EEPROM is told, and a board that is made with it is where it says. */
static uint8_t kept[NIC_EEPROM_SIZE];
static unsigned told;

static void on_eeprom(void *opaque)
{
    told++;
    nic_get_eeprom(pc_nic_model(*(struct pc_nic **)opaque), kept);
}

static void clock_in(uint16_t base, unsigned bits, unsigned count)
{
    while (count--) {
        uint8_t pins = (uint8_t)(0x88 | (bits >> count & 1) << 1); /* program, CS, DI */
        out((uint16_t)(base + 1), pins);
        out((uint16_t)(base + 1), pins | 4);
    }
}

static void eeprom(void)
{
    struct pc_nic *nic = NULL;
    struct pc_nic_config config = { .model = "rtl8019as", .mac = { 2, 0, 0, 0, 0, 1 } };
    struct pc_link link = { .opaque = &nic, .eeprom_changed = on_eeprom };
    uint8_t mac[6];

    setup();
    nic = pc_add_nic(pc, &config, &link, error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(nic);
    out(0x300, 0xe1); /* page 3 */
    out(0x301, 0x80);
    out(0x301, 0x88);
    clock_in(0x300, 0x130, 9); /* write enable */
    out(0x301, 0x80);
    out(0x301, 0x88);
    clock_in(0x300, 0x140, 9); /* word 0: CONFIG1, CONFIG2 */
    clock_in(0x300, 0x00a2, 16); /* IRQ 5 -> 2 << 4; ports 340 */
    CU_ASSERT_EQUAL(told, 1);
    CU_ASSERT_EQUAL(kept[0], 0xa2);
    teardown();

    setup();
    config.eeprom = kept;
    config.mac[5] = 9; /* of no importance now */
    nic = pc_add_nic(pc, &config, &link, error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(nic);
    CU_ASSERT_TRUE(is_board(0x340));
    nic_station_address(pc_nic_model(nic), mac);
    CU_ASSERT_EQUAL(mac[5], 1);
    teardown();
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "places", places },
        { "places that are refused", refused },
        { "Plug and Play", plug_and_play },
        { "the EEPROM's place and address", eeprom },
        CU_TEST_INFO_NULL,
    };

    return unit_run("ISA", tests);
}
