/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Port and MMIO routing: offsets, splitting at the ends of ranges, replacement,
 * reuse of slots, and nobody there.
 */
#include "tests/unit/unit.h"
#include "x86vm/memory/io_bus.h"

#include <errno.h>
#include <string.h>

/* A device that logs what it was asked, and reads as its id and the offset. */
struct recorder {
    uint8_t id;
    unsigned reads, writes;
    uint32_t offset, value;
    unsigned size;
};

static uint32_t record_read(void *device, uint32_t offset, unsigned size)
{
    struct recorder *r = device;
    r->reads++;
    r->offset = offset;
    r->size = size;
    uint32_t byte = r->id + offset;
    return byte | byte << 8 | byte << 16 | byte << 24; /* more than asked for: the bus cuts it */
}

static void record_write(void *device, uint32_t offset, unsigned size, uint32_t value)
{
    struct recorder *r = device;
    r->writes++;
    r->offset = offset;
    r->size = size;
    r->value = value;
}

static const struct io_ops ops = { .read = record_read, .write = record_write };
static void record_read_block(void *device, uint32_t offset, unsigned size, uint32_t count, void *buffer)
{
    struct recorder *r = device;
    r->offset = offset;
    r->size = size;
    memset(buffer, r->id, (size_t)count * size);
}

static void record_write_block(void *device, uint32_t offset, unsigned size, uint32_t count, const void *buffer)
{
    struct recorder *r = device;
    r->offset = offset;
    r->size = size;
    r->value = ((const uint8_t *)buffer)[count * size - 1];
}

static const struct io_ops block_ops = { .read = record_read, .write = record_write, .read_block = record_read_block,
                                         .write_block = record_write_block };
static struct io_bus *bus;
static struct recorder a, b;

static void setup(void)
{
    bus = io_bus_new();
    a = (struct recorder){ .id = 0x10 };
    b = (struct recorder){ .id = 0x80 };
}
static void teardown(void) { io_bus_free(bus); }

static void test_nobody(void)
{
    CU_ASSERT_EQUAL(io_port_read(bus, 0x60, 1), 0xff);
    CU_ASSERT_EQUAL(io_port_read(bus, 0x60, 2), 0xffff);
    CU_ASSERT_EQUAL(io_port_read(bus, 0xffff, 4), 0xffffffff);
    io_port_write(bus, 0xffff, 4, 1);
    uint8_t bytes[7] = { 0 };
    io_mmio_read(bus, 0xfffffffd, bytes, 7); /* past the end of the address space */
    for (int i = 0; i < 7; i++)
        CU_ASSERT_EQUAL(bytes[i], 0xff);
    io_mmio_write(bus, 0xfffffffd, bytes, 7);
}

static void test_blocks(void)
{
    uint8_t bytes[8] = { 0 };
    struct io_counters counters;
    struct io_range_counters range;

    CU_ASSERT_EQUAL(io_bus_map_ports(bus, 0x300, 8, &block_ops, &a), 0);
    CU_ASSERT_EQUAL(io_bus_map_ports(bus, 0x308, 8, &ops, &b), 0);
    CU_ASSERT_TRUE(io_port_read_block(bus, 0x304, 2, 3, bytes));
    CU_ASSERT_TRUE(bytes[0] == a.id && bytes[5] == a.id && bytes[6] == 0);
    CU_ASSERT_TRUE(a.offset == 4 && a.size == 2);
    bytes[3] = 0x77;
    CU_ASSERT_TRUE(io_port_write_block(bus, 0x305, 1, 4, bytes));
    CU_ASSERT_TRUE(a.offset == 5 && a.size == 1 && a.value == 0x77);
    io_bus_get_counters(bus, &counters);
    CU_ASSERT_EQUAL(counters.port_reads, 3);
    CU_ASSERT_EQUAL(counters.port_writes, 4);
    CU_ASSERT_TRUE(io_bus_get_range_counters(bus, 1, &range));
    CU_ASSERT_TRUE(range.port && range.first == 0x300 && range.reads == 3 && range.writes == 4);
    CU_ASSERT_FALSE(io_port_read_block(bus, 0x308, 1, 4, bytes)); /* takes none */
    CU_ASSERT_FALSE(io_port_read_block(bus, 0x307, 2, 2, bytes)); /* across two devices */
    CU_ASSERT_FALSE(io_port_write_block(bus, 0xffff, 4, 2, bytes));
    CU_ASSERT_FALSE(io_port_write_block(bus, 0x99, 1, 2, bytes)); /* nobody there */
    CU_ASSERT_EQUAL(b.reads + b.writes + a.reads + a.writes, 0);
}

static void test_ports(void)
{
    CU_ASSERT_EQUAL(io_bus_map_ports(bus, 0x300, 4, &ops, &a), 0);
    CU_ASSERT_EQUAL(io_port_read(bus, 0x302, 1), 0x12);
    CU_ASSERT_EQUAL(a.offset, 2);
    CU_ASSERT_EQUAL(io_port_read(bus, 0x300, 4), 0x10101010);
    CU_ASSERT_EQUAL(a.size, 4);
    io_port_write(bus, 0x301, 2, 0xabcd1234);
    CU_ASSERT_EQUAL(a.value, 0x1234);
    CU_ASSERT_EQUAL(a.offset, 1);

    unsigned before = a.reads;
    CU_ASSERT_EQUAL(io_port_read(bus, 0x302, 4), 0xffff1312); /* crosses the end: bytes */
    CU_ASSERT_EQUAL(a.reads, before + 2);
    before = a.writes;
    io_port_write(bus, 0x2ff, 2, 0x5566);
    CU_ASSERT_EQUAL(a.writes, before + 1);
    CU_ASSERT_EQUAL(a.value, 0x55);
    CU_ASSERT_EQUAL(a.offset, 0);
}

static void test_ports_replaced(void)
{
    CU_ASSERT_EQUAL(io_bus_map_ports(bus, 0x300, 8, &ops, &a), 0);
    CU_ASSERT_EQUAL(io_bus_map_ports(bus, 0x302, 2, &ops, &b), 0);
    CU_ASSERT_EQUAL(io_port_read(bus, 0x301, 1), 0x11);
    CU_ASSERT_EQUAL(io_port_read(bus, 0x303, 1), 0x81);
    CU_ASSERT_EQUAL(io_port_read(bus, 0x304, 1), 0x14);
    CU_ASSERT_EQUAL(io_port_read(bus, 0x301, 2), 0x8011);
    io_bus_unmap_ports(bus, 0x302, 2);
    CU_ASSERT_EQUAL(io_port_read(bus, 0x303, 1), 0xff);
    CU_ASSERT_EQUAL(io_bus_map_ports(bus, 0xfffe, 2, &ops, &a), 0);
    CU_ASSERT_EQUAL(io_port_read(bus, 0xffff, 1), 0x11);
    CU_ASSERT_EQUAL(io_bus_map_ports(bus, 0xfffe, 3, &ops, &a), EINVAL);
    CU_ASSERT_EQUAL(io_bus_map_ports(bus, 0x10, 0, &ops, &a), EINVAL);
    io_bus_unmap_ports(bus, 0xfff0, 0xffffffff);
    CU_ASSERT_EQUAL(io_port_read(bus, 0xffff, 1), 0xff);
}

/* A guest may move a BAR for ever: that must not use slots up. */
static void test_slots_are_reused(void)
{
    for (unsigned i = 0; i < 200000; i++) {
        if (io_bus_map_ports(bus, 0xc000 + (i & 1) * 16, 32, &ops, &a)) {
            CU_FAIL("ran out of slots");
            return;
        }
        io_bus_unmap_ports(bus, 0xc000, 64);
    }
    CU_PASS("no slot lost");
}

static void test_mmio(void)
{
    uint8_t bytes[16];
    uint32_t value;
    CU_ASSERT_EQUAL(io_bus_map_mmio(bus, 0xfebc0000, 0x20000, &ops, &a), 0);
    io_mmio_read(bus, 0xfebc0008, &value, 4);
    CU_ASSERT_EQUAL(value, 0x18181818);
    CU_ASSERT_EQUAL(a.offset, 8);
    value = 0xcafef00d;
    io_mmio_write(bus, 0xfebc0003, &value, 4);
    CU_ASSERT_EQUAL(a.offset, 3);
    CU_ASSERT_EQUAL(a.value, 0xcafef00d);
    a.reads = 0;
    io_mmio_read(bus, 0xfebc0000, bytes, 16);
    CU_ASSERT_EQUAL(a.reads, 4);
    CU_ASSERT_EQUAL(bytes[15], 0x1c);
    a.reads = 0;
    io_mmio_read(bus, 0xfebc0000, bytes, 7);
    CU_ASSERT_EQUAL(a.reads, 3); /* 4, 2, 1 */
    a.reads = 0;
    io_mmio_read(bus, 0xfebdfffe, &value, 4); /* crosses the end */
    CU_ASSERT_EQUAL(a.reads, 2);
    CU_ASSERT_EQUAL(value >> 16, 0xffff);

    CU_ASSERT_EQUAL(io_bus_map_mmio(bus, 0xfebc0000, 4, &ops, &b), 0);
    io_mmio_read(bus, 0xfebc0000, &value, 4);
    CU_ASSERT_EQUAL(value, 0x80808080);
    io_bus_unmap_mmio(bus, 0xfebc0000, &bus); /* nobody's */
    io_mmio_read(bus, 0xfebc0000, &value, 4);
    CU_ASSERT_EQUAL(value, 0x80808080);
    io_bus_unmap_mmio(bus, 0xfebc0000, &b);
    io_mmio_read(bus, 0xfebc0000, &value, 4);
    CU_ASSERT_EQUAL(value, 0x10101010);
    io_bus_unmap_mmio(bus, 0xfebc0000, &a);
    io_mmio_read(bus, 0xfebc0000, &value, 4);
    CU_ASSERT_EQUAL(value, 0xffffffff);
    io_bus_unmap_mmio(bus, 0xfebc0000, &a);

    CU_ASSERT_EQUAL(io_bus_map_mmio(bus, 0xfffff000, 0x1001, &ops, &b), EINVAL);
    CU_ASSERT_EQUAL(io_bus_map_mmio(bus, 0xfffff000, 0x1000, &ops, &b), 0);
    io_mmio_read(bus, 0xffffffff, bytes, 1);
    CU_ASSERT_EQUAL(b.offset, 0xfff);
    CU_ASSERT_EQUAL(io_bus_map_mmio(bus, 0, 0, &ops, &b), EINVAL);
}

static void test_counters(void)
{
    struct io_counters c;
    uint32_t value = 0;
    io_port_read(bus, 1, 1);
    io_port_write(bus, 1, 4, 0);
    io_port_write(bus, 1, 4, 0);
    io_mmio_read(bus, 1u << 31, &value, 4);
    io_bus_get_counters(bus, &c);
    CU_ASSERT_EQUAL(c.port_reads, 1);
    CU_ASSERT_EQUAL(c.port_writes, 2);
    CU_ASSERT_EQUAL(c.mmio_reads, 1);
    CU_ASSERT_EQUAL(c.mmio_writes, 0);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "nobody there", test_nobody },
        { "blocks", test_blocks },
        { "ports", test_ports },
        { "ports replaced", test_ports_replaced },
        { "slots are reused", test_slots_are_reused },
        { "MMIO", test_mmio },
        { "counters", test_counters },
        CU_TEST_INFO_NULL,
    };

    return unit_run_each("io_bus", tests, setup, teardown);
}
