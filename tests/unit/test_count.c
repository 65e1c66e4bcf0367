/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Positions: the engine counts exactly what was executed, and stops at every
 * position in the same state, whatever the places it stopped at before.
 */
#include "tests/unit/engine_fixture.h"
#include "tests/unit/unit.h"

#include <string.h>

enum { MISSING = 0x80000, STEPS = 54 };

/* A loop with a jump out of the middle, a load, a repeated store that counts
 * three times (x86vm/translate/count.h), and a call to a page that is not there. */
static const uint8_t program[] = {
    0xb9, 10, 0, 0, 0,                  /*       mov ecx, 10 */
    0x40,                               /* next: inc eax */
    0xa8, 1,                            /*       test al, 1 */
    0x74, 6,                            /*       jz even */
    0x03, 0x1d, 0, 0, 2, 0,             /*       add ebx, [DATA] */
    0xe2, 0xf3,                         /* even: loop next */
    0xb9, 0xf0, 0x49, 2, 0,             /*       mov ecx, 150000 */
    0xbf, 0, 0, 0x10, 0,                /*       mov edi, 0x100000 */
    0xf3, 0xaa,                         /*       rep stosb */
    0xe8, 0, 0, 0, 0,                   /*       call MISSING */
};

static void start(void)
{
    engine_start_paged(0);
    engine_map(MISSING, 0);
    poke32(DATA, 7);
    poke(CODE, program, sizeof program);
    poke32(CODE + sizeof program - 4, MISSING - (CODE + sizeof program));
    x86vm_count(vm);
}

static void test_counts(void)
{
    start();
    CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_DEAD);
    CU_ASSERT_EQUAL(x86vm_position(vm), STEPS);
    CU_ASSERT_EQUAL(cpu->eip, HANDLERS + VEC_PF * 4 + 1);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 10);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EBX], 35);
    engine_end();
}

struct state { uint32_t regs[8], eip; };

/* Stops at each multiple of `stride`; what it is like there is put into, or compared with, `states`. */
static void walk(unsigned stride, struct state *states, bool compare)
{
    start();
    for (unsigned at = stride; at < STEPS; at += stride) {
        struct state now;

        x86vm_stop_at(vm, at);
        CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_POSITION);
        CU_ASSERT_EQUAL(x86vm_position(vm), at);
        memcpy(now.regs, cpu->regs, sizeof now.regs);
        now.eip = cpu->eip;
        if (compare)
            CU_ASSERT_EQUAL(memcmp(&now, &states[at], sizeof now), 0);
        states[at] = now;
    }
    x86vm_stop_at(vm, UINT64_MAX);
    CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_DEAD);
    CU_ASSERT_EQUAL(x86vm_position(vm), STEPS);
    engine_end();
}

static void test_stops(void)
{
    static struct state states[STEPS];

    walk(1, states, false);
    CU_ASSERT_EQUAL(states[46].eip, CODE + 18);                  /* behind the loop */
    CU_ASSERT_EQUAL(states[49].regs[CPU_ECX], 150000 - 65536);   /* within the repeated store */
    CU_ASSERT_EQUAL(states[52].eip, MISSING);                    /* called, and not yet faulted */
    CU_ASSERT_EQUAL(states[53].eip, HANDLERS + VEC_PF * 4);
    for (unsigned stride = 2; stride < STEPS; stride++)
        walk(stride, states, true);
}

/* Single-stepped, a trap comes behind each instruction, wherever the engine stops in between; how many came. */
static uint32_t traps(unsigned stride, uint64_t *position)
{
    static const uint8_t stepped[] = {
        0xb9, 20, 0, 0, 0,              /*       mov ecx, 20 */
        0x40,                           /* next: inc eax */
        0x03, 0x1d, 0xfe, 0x0f, 2, 0,   /*       add ebx, [DATA + 0xffe], which lies in two pages */
        0x89, 0x1d, 16, 0, 2, 0,        /*       mov [DATA + 16], ebx */
        0xe2, 0xf1,                     /*       loop next */
        0x6a, 2, 0x9d,                  /*       push 2; popf */
        0xf4,                           /*       hlt */
    }, handler[] = { 0xff, 0x05, 64, 0, 2, 0, 0xcf }; /* inc dword [DATA + 64]; iret */
    uint32_t count;

    start();
    poke(CODE, stepped, sizeof stepped);
    poke(HANDLERS + 0x800, handler, sizeof handler);
    poke32(IDT + VEC_DB * 8, 8 << 16 | (HANDLERS + 0x800));
    cpu->eflags |= FLAG_TF;
    for (unsigned at = stride; at < 10000; at += stride) {
        x86vm_stop_at(vm, at);
        if (x86vm_run(vm) != X86VM_EXIT_POSITION)
            break;
        CU_ASSERT_TRUE(x86vm_position(vm) - at <= 1); /* not between an instruction and its trap */
    }
    CU_ASSERT_TRUE(cpu->halted);
    CU_ASSERT_TRUE(phys_dma_read(x86vm_phys(vm), DATA + 64, &count, sizeof count));
    *position = x86vm_position(vm);
    engine_end();
    return count;
}

static void test_single_steps(void)
{
    uint64_t position, other;
    uint32_t count = traps(9999, &position);

    CU_ASSERT_EQUAL(count, 1 + 20 * 4 + 2);
    for (unsigned stride = 1; stride < 12; stride++) {
        CU_ASSERT_EQUAL(traps(stride, &other), count);
        CU_ASSERT_EQUAL(other, position);
    }
}

/* A handler that cannot be fetched, by an EIP that the block has which the exception came out of, in another segment. */
static void test_handler_not_there(void)
{
    static const uint8_t undefined[] = { 0x90, 0x90, 0x0f, 0x0b, 0x90 }; /* nop; nop; ud2; nop */

    struct x86vm_counters counters;

    start();
    poke32(GDT + 24, 0xffff), poke32(GDT + 28, 0x00cf9b40); /* its base is 4 MiB */
    cpu->gdtr.limit = 0x1f;
    poke(CODE, undefined, sizeof undefined);
    poke32(IDT + VEC_UD * 8, 24 << 16 | (CODE & 0xffff));
    poke32(IDT + VEC_UD * 8 + 4, (CODE & 0xffff0000) | 0x8e00);
    CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_DEAD);
    CU_ASSERT_EQUAL(engine_halted_in(), VEC_PF);
    CU_ASSERT_EQUAL(x86vm_position(vm), 2 + 1 + 1 + 1); /* with #UD, #PF, HLT */
    x86vm_get_counters(vm, &counters);
    CU_ASSERT_TRUE(counters.exceptions == 2 && counters.exception[VEC_UD] == 1 && counters.exception[VEC_PF] == 1);
    engine_end();
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "what is counted", test_counts },
        { "stops at every position", test_stops },
        { "single steps", test_single_steps },
        { "a handler that is not there", test_handler_not_there },
        CU_TEST_INFO_NULL,
    };

    return unit_run("count", tests);
}
