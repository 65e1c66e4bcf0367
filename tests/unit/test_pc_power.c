/* SPDX-License-Identifier: BSD-2-Clause
 * An e1000's PCI capabilities in the machine: messages that are memory writes, D3
 * that takes the card off the bus, and PME#, which is ACPI's event and ends S1.
 */
#include "tests/unit/unit.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/pc/chipset.h"
#include "x86vm/pc/pc.h"

enum { BASE = 0xe0000000, ICR = 0xc0, ICS = 0xc8, IMS = 0xd0, WUC = 0x5800, WUFC = 0x5808, WUS = 0x5810 };
enum { PM = 0x600, S1 = 0x2400, PME = 0x800, WAKE = 0x8000, MESSAGE = 0x100000 };

static struct cpu cpu;
static struct phys *phys;
static struct io_bus *io;
static struct pc *pc;
static struct pc_nic *nic[2];
static unsigned attention;

static void on_intr(void *opaque, bool level) { (void)opaque; (void)level; }
static void on_attention(void *opaque) { (void)opaque; attention++; }

static uint32_t get(unsigned card, unsigned offset, unsigned size)
{
    io_port_write(io, 0xcf8, 4, 0x80000000u | (CHIPSET_FIRST_FREE_SLOT + card) << 11 | (offset & 0xfc));
    return io_port_read(io, (uint16_t)(0xcfc + (offset & 3)), size);
}

static void set(unsigned card, unsigned offset, unsigned size, uint32_t value)
{
    get(card, offset, size);
    io_port_write(io, (uint16_t)(0xcfc + (offset & 3)), size, value);
}

static uint32_t rd(unsigned card, uint32_t reg)
{
    uint32_t value;

    io_mmio_read(io, BASE + card * 0x20000 + reg, &value, 4);
    return value;
}

static void wr(unsigned card, uint32_t reg, uint32_t value)
{
    io_mmio_write(io, BASE + card * 0x20000 + reg, &value, 4);
}

static void open_card(unsigned card)
{
    set(card, 0x10, 4, BASE + card * 0x20000);
    set(card, 4, 2, 6);
}

static const uint8_t *eeprom; /* of the first card; NULL: a new one */

static void setup(void)
{
    static const char *const models[] = { "e1000", "e1000-82545em" };
    struct pc_config config = { .cpu = &cpu, .wall_seconds = 1700000000, .set_intr = on_intr, .attention = on_attention };
    const struct pc_link link = { 0 };
    char error[256];

    config.phys = phys = phys_new(8 << 20);
    config.io = io = io_bus_new();
    pc = pc_new(&config);
    CU_ASSERT_PTR_NOT_NULL_FATAL(pc);
    for (unsigned i = 0; i < 2; i++) {
        const struct pc_nic_config card = { .model = models[i], .mac = { 2, 0, 0, 0, 0, (uint8_t)i },
                                            .eeprom = i ? NULL : eeprom };
        nic[i] = pc_add_nic(pc, &card, &link, error, sizeof error);
        CU_ASSERT_PTR_NOT_NULL_FATAL(nic[i]);
        open_card(i);
    }
}

static void teardown(void)
{
    pc_free(pc);
    io_bus_free(io);
    phys_free(phys);
}

static uint32_t message(void)
{
    uint32_t was, none = 0xffffffff;

    phys_dma_read(phys, MESSAGE, &was, 4);
    phys_dma_write(phys, MESSAGE, &none, 4);
    return was;
}

static void test_list(void)
{
    setup();
    for (unsigned i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(get(i, 6, 2), 0x0230);
        CU_ASSERT_EQUAL(get(i, 0x3e, 2), 0x00ff);
        CU_ASSERT_EQUAL(get(i, 0x2c, 4), i ? 0x10018086 : 0x001e8086);
        set(i, 4, 2, 0xffff);
        CU_ASSERT_EQUAL(get(i, 4, 2), 0x0557);
        open_card(i);
        CU_ASSERT_EQUAL(get(i, 0x34, 1), 0xdc);
        CU_ASSERT_EQUAL(get(i, 0xdc, 4), 0x4822f001);
        CU_ASSERT_EQUAL(get(i, 0xe0, 4), 0x00002000);
        CU_ASSERT_EQUAL(get(i, 0xf0, 4), 0x00800005);
        set(i, 0xf0, 4, 0xffffffff);
        CU_ASSERT_EQUAL(get(i, 0xf0, 4), 0x00810005);
        set(i, 0xf4, 4, 0xffffffff);
        set(i, 0xf8, 4, 0x12345678);
        set(i, 0xfc, 4, 0xffffffff);
        CU_ASSERT_EQUAL(get(i, 0xf4, 4), 0xfffffffc);
        CU_ASSERT_EQUAL(get(i, 0xf8, 4), 0x12345678);
        CU_ASSERT_EQUAL(get(i, 0xfc, 4), 0x0000ffff);
    }
    teardown();
}

/* What the EEPROM calls the card (words 0A to 0E). */
static void test_names(void)
{
    static const struct { uint16_t control; uint32_t device, subsystem; } cases[] = {
        { 0x640a, 0x100e8086, 0x55551af4 }, { 0x640b, 0x22221111, 0x55551af4 }, { 0x6408, 0x100e8086, 0x10088086 },
        { 0x240b, 0x100e8086, 0x10088086 }, { 0xffff, 0x100e8086, 0x10088086 },
    };
    static uint8_t image[NIC_EEPROM_SIZE];

    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint16_t words[] = { cases[i].control, 0x5555, 0x1af4, 0x2222, 0x1111 };
        for (unsigned k = 0; k < 5; k++) {
            image[2 * (10 + k)] = (uint8_t)words[k];
            image[2 * (10 + k) + 1] = (uint8_t)(words[k] >> 8);
        }
        eeprom = image;
        setup();
        CU_ASSERT_EQUAL(get(0, 0, 4), cases[i].device);
        CU_ASSERT_EQUAL(get(0, 0x2c, 4), cases[i].subsystem);
        CU_ASSERT_EQUAL(get(1, 0, 4), 0x100f8086);
        teardown();
    }
    eeprom = NULL;
}

/* One message an event, and none before the causes have been read (4.1.3). */
static void test_messages(void)
{
    setup();
    set(0, 0xf4, 4, MESSAGE);
    set(0, 0xfc, 2, 0x4321);
    message();
    wr(0, ICR, 0xffffffff);
    wr(0, IMS, 1);
    wr(0, ICS, 1); /* not enabled yet: the pin */
    CU_ASSERT_EQUAL(message(), 0xffffffff);
    rd(0, ICR);
    set(0, 0xf2, 1, 1);
    wr(0, ICS, 1);
    CU_ASSERT_EQUAL(message(), 0x4321);
    wr(0, ICS, 1);
    CU_ASSERT_EQUAL(message(), 0xffffffff);
    rd(0, ICR);
    wr(0, ICS, 2); /* masked */
    CU_ASSERT_EQUAL(message(), 0xffffffff);
    wr(0, ICS, 1);
    CU_ASSERT_EQUAL(message(), 0x4321);
    rd(0, ICR);
    set(0, 4, 2, 2); /* no master */
    wr(0, ICS, 1);
    CU_ASSERT_EQUAL(message(), 0xffffffff);
    rd(0, ICR);
    set(0, 4, 2, 6);
    set(0, 0xf4, 4, 0xfee00000); /* a local APIC that is not there: lost */
    wr(0, ICS, 1);
    rd(0, ICR);
    set(0, 0xf4, 4, BASE + ICS); /* the card's own registers: not memory */
    set(0, 0xfc, 2, 0xffff);
    wr(0, ICS, 1);
    CU_ASSERT_EQUAL(rd(0, ICR), 1);
    set(0, 0xf8, 4, 1); /* above 4 GiB */
    wr(0, ICS, 1);
    CU_ASSERT_EQUAL(message(), 0xffffffff);
    teardown();
}

static void test_d3(void)
{
    setup();
    set(0, 0xf4, 4, MESSAGE);
    set(0, 0xf2, 1, 1);
    wr(0, WUFC, 1);
    wr(0, IMS, 4);
    rd(0, ICR);
    set(0, 0xe0, 2, 0x0103);
    CU_ASSERT_EQUAL(get(0, 0xe0, 2), 0x2103);
    CU_ASSERT_EQUAL(get(0, 4, 2), 4);
    CU_ASSERT_EQUAL(rd(0, WUFC), 0xffffffff); /* nobody there */
    message();
    pc_nic_set_link(nic[0], false);
    CU_ASSERT_EQUAL(message(), 0xffffffff); /* LSC, and no message of it */
    CU_ASSERT_EQUAL(get(0, 0xe0, 2), 0xa103);
    CU_ASSERT_EQUAL(io_port_read(io, PM + 0x0c, 2), PME);
    set(0, 0xe0, 1, 0);
    CU_ASSERT_EQUAL(get(0, 0xe0, 2), 0xa100);
    CU_ASSERT_EQUAL(get(0, 0x10, 4) | get(0, 4, 2), 0);
    CU_ASSERT_EQUAL(get(0, 0xf0, 4) >> 16, 0x80); /* messages are off */
    CU_ASSERT_EQUAL(get(0, 0xf4, 4), 0);
    open_card(0);
    CU_ASSERT_EQUAL(rd(0, WUFC), 0);
    CU_ASSERT_EQUAL(rd(0, WUS), 1);
    CU_ASSERT_EQUAL(rd(1, WUFC), 0); /* the other card has been there all the time */
    teardown();
}

/* Two cards on one line. */
static void test_pme(void)
{
    setup();
    for (unsigned i = 0; i < 2; i++) {
        wr(i, WUFC, 1);
        wr(i, WUC, 2);
        pc_nic_set_link(nic[i], false);
        CU_ASSERT_EQUAL(rd(i, WUC), 6);
    }
    CU_ASSERT_EQUAL(io_port_read(io, PM + 0x0c, 2), PME);
    set(0, 0xe0, 2, 0x8100);
    io_port_write(io, PM + 0x0c, 2, PME);
    CU_ASSERT_EQUAL(io_port_read(io, PM + 0x0c, 2), PME);
    wr(1, WUC, 4);
    io_port_write(io, PM + 0x0c, 2, PME);
    CU_ASSERT_EQUAL(io_port_read(io, PM + 0x0c, 2), 0);
    teardown();
}

static void test_standby(void)
{
    setup();
    io_port_write(io, PM + 0x0e, 2, PME);
    wr(0, WUFC, 1);
    wr(0, WUC, 2);
    set(0, 0xe0, 1, 3);
    CU_ASSERT_FALSE(pc_is_asleep(pc));
    attention = 0;
    io_port_write(io, PM + 4, 2, S1);
    CU_ASSERT_TRUE(pc_is_asleep(pc));
    CU_ASSERT_EQUAL(attention, 1);
    pc_service(pc, pc_now(pc));
    CU_ASSERT_TRUE(pc_is_asleep(pc));
    pc_nic_set_link(nic[0], false);
    CU_ASSERT_FALSE(pc_is_asleep(pc));
    CU_ASSERT_EQUAL(io_port_read(io, PM, 2) & WAKE, WAKE);
    teardown();
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "list", test_list },
        { "names", test_names },
        { "messages", test_messages },
        { "d3", test_d3 },
        { "pme", test_pme },
        { "standby", test_standby },
        CU_TEST_INFO_NULL,
    };

    return unit_run("pc_power", tests);
}
