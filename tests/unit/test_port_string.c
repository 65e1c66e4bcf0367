/* SPDX-License-Identifier: BSD-2-Clause
 * REP INS and REP OUTS at a device that takes blocks against the same device that
 * does not: registers, memory, faults and what the device saw must be the same,
 * wherever pages end, wrap, are absent or read-only, and whenever the run is interrupted.
 */
#include "tests/unit/unit.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"
#include "x86vm/x86vm.h"

#include <stdlib.h>
#include <string.h>

enum { RAM = 4 << 20, IDT = 0x1000, GDT = 0x2000, HANDLERS = 0x3000, CODE = 0x4000, DIRECTORY = 0x8000, TABLE = 0x9000,
       STACK = 0x10000, DATA = 0x20000, ABSENT = 0x24000, READ_ONLY = 0x27000, DATA_END = 0x30000, SINGLE = 0x300,
       BLOCK = 0x310 };

struct device {
    uint32_t elements, sum, blocks;
    uint32_t exit_after; /* the run is asked to end at that element */
};

static struct x86vm *vm;
static struct cpu *cpu;
static struct phys *phys;
static struct device device;

static void count(void)
{
    if (++device.elements == device.exit_after)
        x86vm_request_exit(vm);
}

static uint32_t on_read(void *opaque, uint32_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    count();
    return device.elements * 0x9e3779b9u;
}

static void on_write(void *opaque, uint32_t offset, unsigned size, uint32_t value)
{
    (void)opaque, (void)offset;
    count();
    device.sum = device.sum * 31 + value + size;
}

static void on_read_block(void *opaque, uint32_t offset, unsigned size, uint32_t elements, void *buffer)
{
    device.blocks++;
    for (uint32_t i = 0; i < elements; i++) {
        uint32_t value = on_read(opaque, offset, size);
        memcpy((uint8_t *)buffer + i * size, &value, size);
    }
}

static void on_write_block(void *opaque, uint32_t offset, unsigned size, uint32_t elements, const void *buffer)
{
    device.blocks++;
    for (uint32_t i = 0; i < elements; i++) {
        uint32_t value = 0;
        memcpy(&value, (const uint8_t *)buffer + i * size, size);
        on_write(opaque, offset, size, value);
    }
}

static const struct io_ops single_ops = { .read = on_read, .write = on_write };
static const struct io_ops block_ops = { .read = on_read, .write = on_write, .read_block = on_read_block,
                                         .write_block = on_write_block };

static void poke(uint32_t at, const void *bytes, uint32_t size)
{
    phys_dma_write(phys, at, bytes, size);
}

static void poke32(uint32_t at, uint32_t value) { poke(at, &value, 4); }

static void fill_tables(void)
{
    poke32(GDT + 8, 0xffff), poke32(GDT + 12, 0xcf9b00);
    poke32(GDT + 16, 0xffff), poke32(GDT + 20, 0xcf9300);
    for (uint32_t i = 0; i < 256; i++) {
        poke32(IDT + i * 8, 8 << 16 | (HANDLERS + i * 4));
        poke32(IDT + i * 8 + 4, 0x8e00);
        poke(HANDLERS + i * 4, "\xf4", 1);
    }
    poke32(DIRECTORY, TABLE | 3);
    for (uint32_t page = 0; page < RAM / PAGE_SIZE; page++)
        poke32(TABLE + page * 4, page << PAGE_SHIFT |
               (page == ABSENT >> PAGE_SHIFT ? 0 : page == READ_ONLY >> PAGE_SHIFT ? 1 : 3));
}

static int start(void)
{
    const struct x86vm_config config = { .ram_size = RAM };
    char error[200];

    vm = x86vm_new(&config, error, sizeof error);
    if (!vm)
        return 1;
    cpu = x86vm_cpu(vm);
    phys = x86vm_phys(vm);
    fill_tables();
    return io_bus_map_ports(x86vm_io(vm), SINGLE, 16, &single_ops, NULL) ||
           io_bus_map_ports(x86vm_io(vm), BLOCK, 16, &block_ops, NULL);
}

static int end(void)
{
    x86vm_free(vm);
    return 0;
}

/* Flat, paged, ring 0, CR0.WP. */
static void reset(void)
{
    const struct cpu_segment code = { .limit = 0xffffffff, .selector = 8, .access = 0x9b | SEG_G | SEG_DB },
                             data = { .limit = 0xffffffff, .selector = 16, .access = 0x93 | SEG_G | SEG_DB };

    cpu_reset(cpu);
    for (unsigned i = 0; i < CPU_SEG_COUNT; i++)
        cpu_set_segment(cpu, i, i == CPU_CS ? &code : &data);
    cpu->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_MP | CR0_PG | CR0_WP;
    cpu->cr3 = DIRECTORY;
    cpu->cr2 = 0;
    cpu->gdtr = (struct cpu_table){ GDT, 0x17 };
    cpu->idtr = (struct cpu_table){ IDT, 0x7ff };
    cpu->eip = CODE;
    memset(cpu->regs, 0, sizeof cpu->regs); /* EDX holds the CPU's model */
    cpu->regs[CPU_ESP] = STACK;
    cpu->eflags = FLAG_ONE;
    cpu->mode_dirty = true;
    view_select(cpu);
}

struct shot {
    uint8_t code[8];
    unsigned code_size;
    uint32_t ecx, address, exit_after;
    bool down;
};

struct result {
    uint32_t regs[8], eip, cr2, eflags;
    unsigned runs;
    struct device device;
    uint8_t memory[DATA_END - DATA];
};

static void shoot(const struct shot *shot, uint16_t port, struct result *result)
{
    static uint8_t pattern[DATA_END - DATA];
    enum x86vm_exit exit;

    memset(result, 0, sizeof *result);
    for (unsigned i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)(i * 7 + (i >> 8));
    poke(DATA, pattern, sizeof pattern);
    poke(CODE, shot->code, shot->code_size);
    device = (struct device){ .exit_after = shot->exit_after };
    reset();
    cpu->regs[CPU_EDX] = port;
    cpu->regs[CPU_ECX] = shot->ecx;
    cpu->regs[CPU_ESI] = cpu->regs[CPU_EDI] = shot->address;
    cpu->eflags |= shot->down ? FLAG_DF : 0;
    do
        exit = x86vm_run(vm);
    while (exit == X86VM_EXIT_REQUESTED && ++result->runs < 10);
    CU_ASSERT_EQUAL(exit, X86VM_EXIT_DEAD);
    memcpy(result->regs, cpu->regs, sizeof result->regs);
    result->regs[CPU_EDX] = 0;
    result->eip = cpu->eip;
    result->cr2 = cpu->cr2;
    result->eflags = cpu->eflags;
    result->device = device;
    phys_dma_read(phys, DATA, result->memory, sizeof result->memory);
}

static struct result with_blocks, without;

static bool same(const struct shot *shot)
{
    shoot(shot, BLOCK, &with_blocks);
    shoot(shot, SINGLE, &without);
    return memcmp(with_blocks.regs, without.regs, sizeof without.regs) == 0 && with_blocks.eip == without.eip &&
           with_blocks.cr2 == without.cr2 && with_blocks.eflags == without.eflags &&
           with_blocks.device.elements == without.device.elements && with_blocks.device.sum == without.device.sum &&
           memcmp(with_blocks.memory, without.memory, sizeof without.memory) == 0;
}

static void test_random(void)
{
    static const char *const forms[] = { "\xf3\x6c", "\xf3\x66\x6d", "\xf3\x6d", "\xf3\x6e", "\xf3\x66\x6f", "\xf3\x6f",
                                         "\xf3\x67\x6d", "\xf3\x67\x6e", "\x6d", "\xf3\x64\x6f" };
    unsigned blocks = 0, faults = 0, interrupted = 0;

    srand(3);
    for (unsigned i = 0; i < 600; i++) {
        const char *form = forms[(unsigned)rand() % (sizeof forms / sizeof *forms)];
        struct shot shot = { .code_size = (unsigned)strlen(form) + 1, .ecx = (unsigned)rand() % 3000,
                             .address = DATA + (unsigned)rand() % 0x9000, .down = rand() % 8 == 0,
                             .exit_after = rand() % 3 ? 0 : (unsigned)rand() % 2000 };
        memcpy(shot.code, form, shot.code_size - 1);
        shot.code[shot.code_size - 1] = 0xf4;
        if (form[1] == '\x67')
            shot.address = 0xf000 + (unsigned)rand() % 0x1000, shot.ecx %= 2000; /* stays below 64 KiB, or wraps to 0 */
        if (form[1] == '\x67' && shot.address + shot.ecx * 4 > 0xffff)
            shot.ecx = (0x10000 - shot.address) / 4;
        if (!same(&shot)) {
            fprintf(stderr, "form %02x %02x, %u at %x\n", shot.code[0], shot.code[1], shot.ecx, shot.address);
            CU_FAIL("blocks differ from single elements");
        }
        blocks += with_blocks.device.blocks > 0;
        faults += with_blocks.cr2 != 0;
        interrupted += with_blocks.runs > 0;
    }
    CU_ASSERT_TRUE(blocks > 300 && faults > 100 && interrupted > 50);
}

static void test_fault_is_precise(void)
{
    const struct shot shot = { .code = "\xf3\x66\x6d\xf4", .code_size = 4, .ecx = 1000, .address = ABSENT - 200 };

    CU_ASSERT_TRUE(same(&shot));
    CU_ASSERT_EQUAL(with_blocks.eip, HANDLERS + VEC_PF * 4 + 1);
    CU_ASSERT_EQUAL(with_blocks.cr2, ABSENT);
    CU_ASSERT_EQUAL(with_blocks.regs[CPU_ECX], 900);
    CU_ASSERT_EQUAL(with_blocks.regs[CPU_EDI], ABSENT);
    CU_ASSERT_EQUAL(with_blocks.device.elements, 100); /* the element that faults is not read */
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "blocks and single elements", test_random },
        { "a fault between two pages", test_fault_is_precise },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("port_string", tests, start, end);
}
