/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Jump maps (translate/jump_map.h) that are emptied: what they led to before is not
 * jumped to. A guest program calls one place after the other through a pointer.
 */
#include "tests/unit/unit.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"
#include "x86vm/translate/jump_map.h"
#include "x86vm/x86vm.h"

#include <stdlib.h>
#include <string.h>

enum { RAM = 2 << 20, CACHE = 2 << 20, DIRECTORY = 0x3000, TABLE = 0x4000, CODE = 0x10000, STACK = 0x1f0000, P = 1, W = 2, G = 0x100 };
enum { TARGETS = 0x20000, APART = 16, TARGETS_MOST = JUMP_MISSES_MOST + 2, ANSWER = 42 };

__asm__(".pushsection .rodata\n.code32\n"
        "caller_start: call *%ebx\n"
        "add $16, %ebx\n"
        "dec %ecx\n"
        "jnz caller_start\n"
        "cli\n"
        "hlt\n"
        "caller_end:\n.code64\n.popsection\n");
extern const char caller_start[], caller_end[];

static struct x86vm *vm;
static struct cpu *cpu;

static void poke(uint32_t at, const void *bytes, uint32_t size) { CU_ASSERT_TRUE(phys_dma_write(x86vm_phys(vm), at, bytes, size)); }
static void poke32(uint32_t at, uint32_t value) { poke(at, &value, 4); }

/* Ring 0, flat, pages that are global; each target is MOV EAX, its number; RET. */
static void begin(void)
{
    const struct x86vm_config config = { .ram_size = RAM, .code_cache_size = CACHE };
    const struct cpu_segment cs = { .limit = UINT32_MAX, .selector = 8, .access = 0x9b | SEG_G | SEG_DB },
                             data = { .limit = UINT32_MAX, .selector = 16, .access = 0x93 | SEG_G | SEG_DB };
    char error[200] = "";

    setenv("X86VM_EAGER_JUMPS", "1", 1);
    vm = x86vm_new(&config, error, sizeof error);
    unsetenv("X86VM_EAGER_JUMPS");
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
    poke(CODE, caller_start, (uint32_t)(caller_end - caller_start));
}

static void make_target(unsigned number, uint32_t value)
{
    uint8_t code[6] = { 0xb8, 0, 0, 0, 0, 0xc3 };

    memcpy(code + 1, &value, sizeof value);
    poke(TARGETS + number * APART, code, sizeof code);
}

/* What the last of them answered. */
static uint32_t call_targets(unsigned first, unsigned count)
{
    cpu->regs[CPU_EBX] = TARGETS + first * APART;
    cpu->regs[CPU_ECX] = count;
    cpu->eip = CODE;
    cpu->halted = false;
    CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_DEAD);
    return cpu->regs[CPU_EAX];
}

static uint64_t misses(void)
{
    struct x86vm_counters counters;

    x86vm_get_counters(vm, &counters);
    return counters.jump_misses;
}

/* All translations go while the map has none, one or two entries, because it was just emptied. */
static void test_dropped_when_emptied(void)
{
    for (unsigned count = JUMP_MISSES_MOST; count <= TARGETS_MOST; count++) {
        begin();
        for (unsigned i = 0; i < TARGETS_MOST; i++)
            make_target(i, i);
        CU_ASSERT_EQUAL(call_targets(0, count), count - 1);
        CU_ASSERT_EQUAL(misses(), count);
        x86vm_rest(vm, UINT64_C(1) << 50);
        for (unsigned i = 0; i < TARGETS_MOST; i++)
            make_target(i, ANSWER + i);
        for (unsigned i = count; i-- > count - 4;)
            CU_ASSERT_EQUAL(call_targets(i, 1), ANSWER + i);
        CU_ASSERT_EQUAL(misses(), count + 4);
        x86vm_free(vm);
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "translations dropped when a map was just emptied", test_dropped_when_emptied },
        CU_TEST_INFO_NULL,
    };

    return unit_run("jump_map", tests);
}
