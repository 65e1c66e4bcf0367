/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A paravirtual card in the machine: its capabilities in configuration space, the window
 * there that reaches its registers, and its BARs.
 */
#include "tests/unit/unit.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/pc/boot_linux.h"
#include "x86vm/pc/chipset.h"
#include "x86vm/pc/pc.h"

#include <string.h>

enum { MEMORY = 0xe0000000, PORTS = 0xc100, WINDOW = 0x84, W_BAR = 0x88, W_OFFSET = 0x8c, W_LENGTH = 0x90, W_DATA = 0x94 };
enum { STATUS = 0x14, SELECT = 0x16, CONFIG = 0x80, L_SELECT = 14, L_STATUS = 18 };

static struct cpu cpu;
static struct phys *phys;
static struct io_bus *io;
static struct pc *pc;
static struct pc_nic *nic;
static unsigned frames, told;

static void on_intr(void *opaque, bool level) { (void)opaque; (void)level; }
static void on_attention(void *opaque) { (void)opaque; }
static void on_accepts(void *opaque) { (void)opaque; told++; }

static bool on_frame(void *opaque, const void *frame, size_t size, const struct nic_offload *offload)
{
    (void)opaque, (void)frame, (void)offload;
    frames += size == 60;
    return true;
}

static uint32_t get(unsigned offset, unsigned size)
{
    io_port_write(io, 0xcf8, 4, 0x80000000u | CHIPSET_FIRST_FREE_SLOT << 11 | (offset & 0xfc));
    return io_port_read(io, (uint16_t)(0xcfc + (offset & 3)), size);
}

static void set(unsigned offset, unsigned size, uint32_t value)
{
    get(offset & 0xfc, 1);
    io_port_write(io, (uint16_t)(0xcfc + (offset & 3)), size, value);
}

static void setup(void)
{
    struct pc_config config = { .cpu = &cpu, .wall_seconds = 1700000000, .set_intr = on_intr, .attention = on_attention };
    const struct pc_link link = { .send = on_frame, .accepts_changed = on_accepts };
    const struct pc_nic_config card = { .model = "virtio-net", .mac = { 2, 0x11, 0x22, 0x33, 0x44, 0x55 } };
    char error[256];

    config.phys = phys = phys_new(8 << 20);
    config.io = io = io_bus_new();
    pc = pc_new(&config);
    CU_ASSERT_PTR_NOT_NULL_FATAL(pc);
    nic = pc_add_nic(pc, &card, &link, error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(nic);
    frames = told = 0;
}

static void teardown(void)
{
    pc_free(pc);
    io_bus_free(io);
    phys_free(phys);
}

static void test_header(void)
{
    CU_ASSERT_EQUAL(get(0, 4), 0x10001af4);
    CU_ASSERT_EQUAL(get(8, 4), 0x02000000);
    CU_ASSERT_EQUAL(get(0x2c, 4), 0x00011af4);
    CU_ASSERT_EQUAL(get(0x3d, 1), 1);
    CU_ASSERT_EQUAL(get(6, 2) & 0x10, 0x10);
    set(0x10, 4, 0xffffffff);
    CU_ASSERT_EQUAL(get(0x10, 4), 0xffffffe1);
    set(0x14, 4, 0xffffffff);
    CU_ASSERT_EQUAL(get(0x14, 4), 0xfffff000);
    CU_ASSERT_EQUAL(get(0x18, 4), 0);
}

/* As virtio 1.1, 4.1.4, has them, and as a driver finds them: each kind's first is what it takes. */
static void test_list(void)
{
    static const struct { uint8_t kind, size; uint32_t bar, offset, length; } expected[] = {
        { 1, 16, 1, 0, 0x38 }, { 2, 20, 1, 0x800, 12 }, { 3, 16, 1, 0x40, 1 }, { 4, 16, 1, 0x80, 8 }, { 5, 20, 0, 0, 0 },
    };
    unsigned at = get(0x34, 1), seen = 0;

    for (; at && seen < 5; at = get(at + 1, 1), seen++) {
        CU_ASSERT_EQUAL(at % 4, 0);
        CU_ASSERT_EQUAL(get(at, 1), 9);
        CU_ASSERT_EQUAL(get(at + 2, 1), expected[seen].size);
        CU_ASSERT_EQUAL(get(at + 3, 1), expected[seen].kind);
        CU_ASSERT_EQUAL(get(at + 4, 4), expected[seen].bar);
        CU_ASSERT_EQUAL(get(at + 8, 4), expected[seen].offset);
        CU_ASSERT_EQUAL(get(at + 12, 4), expected[seen].length);
        if (expected[seen].kind == 2)
            CU_ASSERT_EQUAL(get(at + 16, 4), 4);
        if (expected[seen].kind < 5) /* none of it is written */
            for (unsigned i = 0; i < expected[seen].size; i += 4) {
                uint32_t before = get(at + i, 4);
                set(at + i, 4, ~before);
                CU_ASSERT_EQUAL(get(at + i, 4), before);
            }
    }
    CU_ASSERT_EQUAL(seen, 5);
    CU_ASSERT_EQUAL(at, 0);
    set(WINDOW, 4, 0xffffffff);
    CU_ASSERT_EQUAL(get(WINDOW, 4), 0x05140009);
}

static void aim(uint32_t bar, uint32_t offset, uint32_t length)
{
    set(W_BAR, 1, bar);
    set(W_OFFSET, 4, offset);
    set(W_LENGTH, 4, length);
}

/* Registers of both BARs, of all sizes, with memory and ports not even enabled. */
static void test_window(void)
{
    CU_ASSERT_EQUAL(get(4, 2) & 7, 0);
    aim(1, CONFIG, 4);
    CU_ASSERT_EQUAL(get(W_OFFSET, 4), CONFIG);
    CU_ASSERT_EQUAL(get(W_LENGTH, 4), 4);
    CU_ASSERT_EQUAL(get(W_DATA, 4), 0x33221102);
    aim(1, CONFIG + 4, 2);
    CU_ASSERT_EQUAL(get(W_DATA, 2), 0x5544);
    aim(1, CONFIG + 3, 1);
    CU_ASSERT_EQUAL(get(W_DATA, 1), 0x33);
    aim(1, STATUS, 1);
    set(W_DATA, 1, 3);
    CU_ASSERT_EQUAL(get(W_DATA, 1), 3);
    aim(0, L_STATUS, 1);
    CU_ASSERT_EQUAL(get(W_DATA, 1), 3);
    aim(1, SELECT, 2);
    set(W_DATA, 2, 0x1234);
    aim(0, L_SELECT, 2);
    CU_ASSERT_EQUAL(get(W_DATA, 2), 0x1234);
    aim(1, 8, 4);
    set(W_DATA, 4, 0x89abcdef);
    set(W_DATA, 4, 0x00000001);
    CU_ASSERT_EQUAL(get(W_DATA, 4), 1);
    set(W_DATA, 2, 0x7777); /* not all of it: nothing is written */
    CU_ASSERT_EQUAL(get(W_DATA, 4), 1);
    set(W_BAR, 4, 0xffffff01); /* what is between is padding */
    CU_ASSERT_EQUAL(get(W_BAR, 4), 1);
}

/* Reading the length is no reading of the register, and what comes later is what came first. */
static void test_window_reads_once(void)
{
    aim(1, STATUS, 1);
    set(W_DATA, 1, 7); /* at work: a change of the link is told */
    CU_ASSERT_EQUAL(told, 1);
    pc_nic_set_link(nic, false);
    aim(1, 0x40, 1);
    CU_ASSERT_EQUAL(get(W_LENGTH, 4), 1);
    CU_ASSERT_EQUAL(get(W_DATA + 1, 1), 0);
    CU_ASSERT_EQUAL(get(W_DATA, 1), 2);
    CU_ASSERT_EQUAL(get(W_DATA, 1), 0);
}

/* BARs that there are not, places outside, lengths that no access has: ones or what was there, and nothing done. */
static void test_window_elsewhere(void)
{
    static const uint32_t lengths[] = { 0, 3, 5, 8, 0x100, 0x80000000, 0xffffffff };
    char error[256];

    aim(2, 0, 4);
    CU_ASSERT_EQUAL(get(W_DATA, 4), 0xffffffff);
    aim(255, 0, 4);
    CU_ASSERT_EQUAL(get(W_DATA, 4), 0xffffffff);
    set(W_DATA, 4, 5);
    aim(0, 32, 4);
    CU_ASSERT_EQUAL(get(W_DATA, 4), 0xffffffff);
    aim(0, 30, 4);
    CU_ASSERT_EQUAL(get(W_DATA, 4), 0xffffffff);
    aim(1, 0xfffffffe, 4);
    CU_ASSERT_EQUAL(get(W_DATA, 4), 0xffffffff);
    set(W_DATA, 4, 5);
    for (unsigned i = 0; i < 7; i++) {
        aim(1, STATUS, lengths[i]);
        set(W_DATA, 4, 0x01010101);
        CU_ASSERT_EQUAL(get(W_DATA, 4), 0x01010101);
    }
    aim(1, STATUS, 1);
    CU_ASSERT_EQUAL(get(W_DATA, 1), 0);
    aim(0, 0, 4); /* a boot resets, even one that comes to nothing */
    CU_ASSERT_FALSE(pc_boot_linux(pc, &(struct boot_linux_files){ .kernel = (const uint8_t *)"",
                                   .kernel_size = 1, .command_line = "" }, error, sizeof error));
    CU_ASSERT_EQUAL(get(W_LENGTH, 4), 0);
}

/* A legacy driver by ports, while BUS MASTER is off and on. */
static void test_ports(void)
{
    uint8_t descriptor[16] = { 0, 0, 0x20, 0, 0, 0, 0, 0, 70 };
    const uint16_t avail[3] = { 0, 1, 0 };
    uint16_t used;

    set(0x10, 4, PORTS);
    set(0x14, 4, MEMORY);
    phys_dma_write(phys, 0x100000, descriptor, 16);
    phys_dma_write(phys, 0x101000, avail, sizeof avail);
    for (unsigned master = 0; master < 2; master++) {
        set(4, 2, master ? 7 : 3);
        io_port_write(io, PORTS + L_STATUS, 1, 0);
        io_port_write(io, PORTS + L_STATUS, 1, 3);
        io_port_write(io, PORTS + L_SELECT, 2, 1);
        CU_ASSERT_EQUAL(io_port_read(io, PORTS + 12, 2), 256);
        io_port_write(io, PORTS + 8, 4, 0x100);
        io_port_write(io, PORTS + L_STATUS, 1, 7);
        io_port_write(io, PORTS + 16, 2, 1);
        CU_ASSERT_EQUAL(frames, master);
        phys_dma_read(phys, 0x102002, &used, 2);
        CU_ASSERT_EQUAL(used, master);
    }
    uint8_t status = 0;
    io_mmio_read(io, MEMORY + STATUS, &status, 1);
    CU_ASSERT_EQUAL(status, 7);
    CU_ASSERT_EQUAL(io_port_read(io, PORTS + 19, 1), 1);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "header", test_header },
        { "capabilities", test_list },
        { "the window", test_window },
        { "the window reads once", test_window_reads_once },
        { "the window elsewhere", test_window_elsewhere },
        { "ports", test_ports },
        CU_TEST_INFO_NULL,
    };

    return unit_run_each("pc_virtio", tests, setup, teardown);
}
