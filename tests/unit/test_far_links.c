/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Jumps between pages without guards (translate/far_links.h) that come back: a jump
 * reaches what the target's page shows now, whatever it showed before, and goes without
 * a guard again where that is what the jump was made for.
 */
#include "tests/unit/unit.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"
#include "x86vm/x86vm.h"

enum { RAM = 2 << 20, CACHE = 2 << 20, DIRECTORY = 0x3000, TABLE = 0x4000, STACK = 0x1f0000, P = 1, W = 2, G = 0x100 };
enum { CODE = 0x10000, TARGET = 0x20000, FRAMES = 0x30000, ANSWER = 100 };

static struct x86vm *vm;
static struct cpu *cpu;

static void poke(uint32_t at, const void *bytes, uint32_t size) { CU_ASSERT_TRUE(phys_dma_write(x86vm_phys(vm), at, bytes, size)); }
static void poke32(uint32_t at, uint32_t value) { poke(at, &value, 4); }

/* Ring 0, flat, pages that are global. A jump leads to TARGET, where each frame answers its number. */
static void begin(void)
{
    static const uint8_t jump[] = { 0xe9, 0xfb, 0xff, 0, 0 };
    const struct x86vm_config config = { .ram_size = RAM, .code_cache_size = CACHE };
    const struct cpu_segment cs = { .limit = UINT32_MAX, .selector = 8, .access = 0x9b | SEG_G | SEG_DB },
                             data = { .limit = UINT32_MAX, .selector = 16, .access = 0x93 | SEG_G | SEG_DB };
    char error[200] = "";

    vm = x86vm_new(&config, error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(vm);
    cpu = x86vm_cpu(vm);
    for (unsigned i = 0; i < CPU_SEG_COUNT; i++)
        cpu_set_segment(cpu, i, i == CPU_CS ? &cs : &data);
    poke32(DIRECTORY, TABLE | P | W);
    for (uint32_t page = 0; page < RAM >> PAGE_SHIFT; page++)
        poke32(TABLE + page * 4, page << PAGE_SHIFT | P | W | G);
    cpu->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_MP | CR0_PG | CR0_WP;
    cpu->cr3 = DIRECTORY;
    cpu->cr4 |= CR4_PGE;
    cpu->regs[CPU_ESP] = STACK;
    view_flush_all(cpu);
    cpu->mode_dirty = true;
    view_select(cpu);
    poke(CODE, jump, sizeof jump);
    for (unsigned i = 0; i < 3; i++) {
        const uint8_t answer[] = { 0xb8, (uint8_t)(ANSWER + i), 0, 0, 0, 0xfa, 0xf4 }; /* MOV EAX; CLI; HLT */
        poke(FRAMES + i * PAGE_SIZE, answer, sizeof answer);
    }
}

static void show(unsigned frame)
{
    poke32(TABLE + (TARGET >> PAGE_SHIFT) * 4, (FRAMES + frame * PAGE_SIZE) | P | W | G);
    view_flush_page(cpu, TARGET);
}

static uint32_t jumped(void)
{
    cpu->eip = CODE;
    cpu->halted = false;
    CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_DEAD);
    return cpu->regs[CPU_EAX] - ANSWER;
}

static uint64_t come_back(void)
{
    struct x86vm_counters counters;

    x86vm_get_counters(vm, &counters);
    return counters.far_links_back;
}

static void test_come_back(void)
{
    begin();
    show(0);
    CU_ASSERT_EQUAL(jumped(), 0);
    CU_ASSERT_EQUAL(jumped(), 0);
    for (unsigned turn = 1; turn <= 5; turn++) {
        show(1);
        CU_ASSERT_EQUAL(jumped(), 1);
        CU_ASSERT_EQUAL(jumped(), 1);
        show(2);
        CU_ASSERT_EQUAL(jumped(), 2);
        CU_ASSERT_EQUAL(come_back(), turn - 1);
        show(0);
        CU_ASSERT_EQUAL(jumped(), 0);
        CU_ASSERT_EQUAL(come_back(), turn);
        CU_ASSERT_EQUAL(jumped(), 0);
    }
    x86vm_free(vm);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "jumps without guards come back, where they were made for what is there", test_come_back },
        CU_TEST_INFO_NULL,
    };

    return unit_run("far_links", tests);
}
