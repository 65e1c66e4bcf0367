/* SPDX-License-Identifier: BSD-2-Clause
 * PCI: probing by mechanism #1, BAR sizing and moving, interrupt routing.
 */
#include "tests/unit/unit.h"
#include "x86vm/pc/chipset.h"

#include <string.h>

static bool irq_level[16];
static struct { bool mapped; uint32_t base; unsigned changes; } bars[PCI_BARS];

static void on_irq(void *opaque, unsigned irq, bool level)
{
    (void)opaque;
    irq_level[irq] = level;
}

static void on_map(void *opaque, unsigned bar, bool mapped, uint32_t base)
{
    (void)opaque;
    bars[bar].mapped = mapped;
    bars[bar].base = base;
    bars[bar].changes++;
}

static const struct pci_identity nic_identity = {
    .vendor_id = 0x8086, .device_id = 0x100e, .revision = 3, .subsystem_vendor_id = 0x8086, .subsystem_id = 0x001e,
    .class_code = 0x020000, .has_interrupt = true,
    .bar = { { PCI_BAR_MEMORY, 128 << 10 }, { PCI_BAR_IO, 64 } },
};

static struct pci_bus *bus;
static struct chipset *chipset;
static struct pci_device *nic;

static void setup(void)
{
    static const struct pci_device_ops ops = { .map_bar = on_map };
    static const uint8_t routes[PCI_PIRQS] = { 11, 10, 11, 9 };

    memset(irq_level, 0, sizeof irq_level);
    memset(bars, 0, sizeof bars);
    bus = pci_bus_new(on_irq, NULL);
    chipset = chipset_new(bus);
    nic = pci_bus_add(bus, 2, &nic_identity, &ops, NULL);
    chipset_route(chipset, routes);
}

static void teardown(void)
{
    chipset_free(chipset);
    pci_bus_free(bus);
}

static void select_register(unsigned slot, unsigned offset)
{
    pci_bus_write(bus, 0, 4, 0x80000000u | slot << 11 | (offset & 0xfc));
}

static uint32_t get(unsigned slot, unsigned offset, unsigned size)
{
    select_register(slot, offset);
    return pci_bus_read(bus, 4 + (offset & 3), size);
}

static void set(unsigned slot, unsigned offset, unsigned size, uint32_t value)
{
    select_register(slot, offset);
    pci_bus_write(bus, 4 + (offset & 3), size, value);
}

static void test_probe(void)
{
    setup();
    pci_bus_write(bus, 3, 1, 0x01); /* byte writes do not reach the address register */
    CU_ASSERT_EQUAL(pci_bus_read(bus, 0, 4), 0);
    pci_bus_write(bus, 0, 4, 0x80000000);
    CU_ASSERT_EQUAL(pci_bus_read(bus, 0, 4), 0x80000000);
    CU_ASSERT_EQUAL(get(0, 0, 4), 0x12378086);
    CU_ASSERT_EQUAL(get(0, 0x0a, 2), 0x0600);
    CU_ASSERT_EQUAL(get(1, 0, 4), 0x70008086);
    CU_ASSERT_EQUAL(get(2, 0, 4), 0x100e8086);
    CU_ASSERT_EQUAL(get(2, 8, 4), 0x02000003);
    CU_ASSERT_EQUAL(get(2, 0x2c, 4), 0x001e8086);
    CU_ASSERT_EQUAL(get(3, 0, 4), 0xffffffff);
    CU_ASSERT_EQUAL(get(3, 1, 1), 0xff);
    pci_bus_write(bus, 0, 4, 0x80000000 | 2 << 11 | 1 << 8);
    CU_ASSERT_EQUAL(pci_bus_read(bus, 4, 4), 0xffffffff); /* no second function */
    pci_bus_write(bus, 0, 4, 0x80010000 | 2 << 11);
    CU_ASSERT_EQUAL(pci_bus_read(bus, 4, 4), 0xffffffff); /* no bus 1 */
    pci_bus_write(bus, 0, 4, 2 << 11);
    CU_ASSERT_EQUAL(pci_bus_read(bus, 4, 4), 0xffffffff); /* not enabled */
    set(2, 0, 4, 0xdeadbeef); /* read-only */
    CU_ASSERT_EQUAL(get(2, 0, 4), 0x100e8086);
    teardown();
}

static void test_assignment(void)
{
    setup();
    CU_ASSERT_TRUE(pci_bus_assign(bus));
    CU_ASSERT_TRUE(bars[0].mapped);
    CU_ASSERT_EQUAL(bars[0].base & 0x1ffff, 0);
    CU_ASSERT_TRUE(bars[0].base >= 0xe0000000);
    CU_ASSERT_TRUE(bars[1].mapped);
    CU_ASSERT_EQUAL(get(2, 0x10, 4), bars[0].base);
    CU_ASSERT_EQUAL(get(2, 0x14, 4), bars[1].base | 1);
    CU_ASSERT_EQUAL(get(2, 4, 2), 7);
    CU_ASSERT_EQUAL(get(2, 0x3d, 1), 1);
    CU_ASSERT_EQUAL(get(2, 0x3c, 1), 10); /* slot 2 is on PIRQ B */
    CU_ASSERT_TRUE(pci_device_is_master(nic));
    CU_ASSERT_EQUAL(get(0, 4, 2), 0);
    teardown();
}

static void test_sizing_and_moving(void)
{
    uint32_t old;

    setup();
    pci_bus_assign(bus);
    old = bars[0].base;
    set(2, 0x10, 4, 0xffffffff);
    CU_ASSERT_EQUAL(get(2, 0x10, 4), 0xfffe0000);
    CU_ASSERT_FALSE(bars[0].mapped); /* never decoded at the top */
    set(2, 0x10, 4, old);
    CU_ASSERT_TRUE(bars[0].mapped);
    CU_ASSERT_EQUAL(bars[0].base, old);
    set(2, 0x14, 4, 0xffffffff);
    CU_ASSERT_EQUAL(get(2, 0x14, 4), 0xffffffc1);
    CU_ASSERT_FALSE(bars[1].mapped);
    set(2, 0x14, 4, 0xd000);
    CU_ASSERT_EQUAL(bars[1].base, 0xd000);
    set(2, 0x18, 4, 0xffffffff); /* no such BAR */
    CU_ASSERT_EQUAL(get(2, 0x18, 4), 0);
    set(2, 4, 2, 0x0001); /* memory decode off */
    CU_ASSERT_FALSE(bars[0].mapped);
    CU_ASSERT_TRUE(bars[1].mapped);
    CU_ASSERT_FALSE(pci_device_is_master(nic));
    set(2, 4, 1, 0x07);
    CU_ASSERT_TRUE(bars[0].mapped);
    set(2, 0x12, 1, 0x34); /* one byte of an address */
    CU_ASSERT_EQUAL(bars[0].base, (old & 0xff000000) | 0x340000);
    pci_bus_reset(bus);
    CU_ASSERT_FALSE(bars[0].mapped);
    CU_ASSERT_FALSE(bars[1].mapped);
    CU_ASSERT_EQUAL(get(2, 0x10, 4), 0);
    teardown();
}

static void test_interrupts(void)
{
    struct pci_device *other;

    setup();
    other = pci_bus_add(bus, 6, &nic_identity, NULL, NULL); /* shares PIRQ B with slot 2 */
    CU_ASSERT_EQUAL(pci_bus_pirq(2), pci_bus_pirq(6));
    pci_device_set_interrupt(nic, true);
    CU_ASSERT_TRUE(irq_level[10]);
    CU_ASSERT_EQUAL(get(2, 6, 2) & 8, 8);
    pci_device_set_interrupt(other, true);
    pci_device_set_interrupt(nic, false);
    CU_ASSERT_TRUE(irq_level[10]); /* the other one still holds it */
    set(1, 0x61, 1, 0x05); /* the guest re-routes PIRQ B */
    CU_ASSERT_FALSE(irq_level[10]);
    CU_ASSERT_TRUE(irq_level[5]);
    set(1, 0x61, 1, 0x80);
    CU_ASSERT_FALSE(irq_level[5]);
    set(1, 0x61, 1, 0x05);
    set(6, 4, 2, 0x400); /* interrupt disabled at the device */
    CU_ASSERT_FALSE(irq_level[5]);
    set(6, 4, 2, 0);
    CU_ASSERT_TRUE(irq_level[5]);
    pci_bus_reset(bus);
    CU_ASSERT_FALSE(irq_level[5]);
    teardown();
}

static uint8_t own_byte;
static bool on_own_read(void *opaque, unsigned offset, uint8_t *value)
{
    (void)opaque;
    *value = own_byte;
    return offset == 0x82;
}

static bool on_own_write(void *opaque, unsigned offset, uint8_t value)
{
    (void)opaque;
    if (offset == 0x82)
        own_byte ^= value;
    return offset == 0x82;
}

/* A linked list, and bytes in it that the device keeps. */
static void test_capabilities(void)
{
    static const struct pci_device_ops ops = { .own_read = on_own_read, .own_write = on_own_write };
    struct pci_device *d;

    setup();
    CU_ASSERT_EQUAL(get(2, 6, 2) & 0x10, 0);
    CU_ASSERT_EQUAL(get(2, 0x34, 1), 0);
    d = pci_bus_add(bus, 4, &nic_identity, &ops, NULL);
    pci_device_add_capability(d, 0x80, 0x05);
    pci_device_add_capability(d, 0xdc, 0x01);
    CU_ASSERT_EQUAL(get(4, 6, 2) & 0x10, 0x10);
    CU_ASSERT_EQUAL(get(4, 0x34, 4), 0xdc);
    CU_ASSERT_EQUAL(get(4, 0xdc, 2), 0x8001);
    CU_ASSERT_EQUAL(get(4, 0x80, 2), 0x0005);
    own_byte = 0x11;
    set(4, 0x80, 4, 0xffffffff); /* one of the four is the device's, the others are read-only */
    CU_ASSERT_EQUAL(get(4, 0x80, 4), 0x00ee0005);
    pci_device_set_interrupt(d, true);
    CU_ASSERT_EQUAL(get(4, 6, 2) & 0x18, 0x18);
    pci_bus_reset(bus);
    CU_ASSERT_EQUAL(get(4, 6, 2) & 0x18, 0x10);
    teardown();
}

/* In D3 only the configuration space answers; in D0 again all is as after a reset. */
static void test_sleep(void)
{
    setup();
    pci_bus_assign(bus);
    pci_device_set_interrupt(nic, true);
    CU_ASSERT_TRUE(irq_level[10]);
    pci_device_set_asleep(nic, true);
    CU_ASSERT_FALSE(irq_level[10]);
    CU_ASSERT_FALSE(bars[0].mapped);
    CU_ASSERT_FALSE(bars[1].mapped);
    CU_ASSERT_EQUAL(get(2, 4, 2), 4);
    CU_ASSERT_FALSE(pci_device_is_master(nic));
    set(2, 4, 2, 7);
    CU_ASSERT_FALSE(bars[0].mapped);
    CU_ASSERT_EQUAL(get(2, 0, 4), 0x100e8086);
    pci_device_set_asleep(nic, false);
    CU_ASSERT_FALSE(bars[0].mapped);
    CU_ASSERT_EQUAL(get(2, 4, 2), 0);
    CU_ASSERT_EQUAL(get(2, 0x10, 4), 0);
    CU_ASSERT_EQUAL(get(2, 0x3c, 1), 0);
    CU_ASSERT_TRUE(irq_level[10]); /* the device has not let go */
    set(2, 0x10, 4, 0xe0000000);
    set(2, 4, 2, 7);
    CU_ASSERT_TRUE(bars[0].mapped);
    CU_ASSERT_TRUE(pci_device_is_master(nic));
    teardown();
}

static void test_messages(void)
{
    setup();
    pci_device_set_interrupt(nic, true);
    pci_device_set_messages(nic, true);
    CU_ASSERT_FALSE(irq_level[10]);
    pci_device_set_messages(nic, false);
    CU_ASSERT_TRUE(irq_level[10]);
    teardown();
}

static void test_refusals(void)
{
    struct pci_identity bad = nic_identity;

    setup();
    CU_ASSERT_PTR_NULL(pci_bus_add(bus, 2, &nic_identity, NULL, NULL));
    CU_ASSERT_PTR_NULL(pci_bus_add(bus, 32, &nic_identity, NULL, NULL));
    bad.bar[0].size = 3000;
    CU_ASSERT_PTR_NULL(pci_bus_add(bus, 5, &bad, NULL, NULL));
    pci_bus_read(bus, 6, 4); /* crosses the data register */
    pci_bus_write(bus, 7, 2, 0xffff);
    select_register(2, 0xfc);
    CU_ASSERT_EQUAL(pci_bus_read(bus, 7, 1), 0);
    teardown();
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "probe", test_probe },
        { "assignment", test_assignment },
        { "sizing and moving", test_sizing_and_moving },
        { "interrupts", test_interrupts },
        { "capabilities", test_capabilities },
        { "sleep", test_sleep },
        { "messages", test_messages },
        { "refusals", test_refusals },
        CU_TEST_INFO_NULL,
    };

    return unit_run("pci", tests);
}
