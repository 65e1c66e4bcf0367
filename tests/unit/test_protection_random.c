/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Random descriptor tables, gates and task states, and random calls of every
 * function of protection.h on them: whatever a guest puts there, a call ends,
 * touches nothing outside the guest, and leaves the CPU consistent; and a
 * fault leaves the registers as they were (but in the middle of a task switch).
 *
 *     test_protection_random [ROUNDS [SEED]]
 */
#include "tests/unit/protection_machine.h"

#include <stdio.h>
#include <stdlib.h>

enum { CALLS_A_ROUND = 30, CALL_LMSW = 25 };
static unsigned rounds = 4000;
static uint64_t seed = 1;
static unsigned calls, faults, shutdowns, switches;

static uint32_t draw(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % below;
}
static bool one_in(uint32_t n) { return draw(n) == 0; }
static uint32_t any32(void) { return draw(0x10000) << 16 | draw(0x10000); }

static uint16_t any_selector(void)
{
    if (one_in(12))
        return any32();
    return one_in(4) ? draw(4) << 3 | 4 | draw(4) : draw(GDT_END / 8 + 1) << 3 | draw(4);
}

static uint32_t any_offset(void)
{
    static const uint32_t near[] = { 0, STACK0, STACK1, STACK3, STACK_V86, HANDLER, 0xfffff000, 0x10000 };
    return one_in(10) ? any32() : near[draw(8)] + draw(64) - 32;
}

/* Mostly sensible: a table of nothing but noise would fault at the first check. */
static void fill_tables(void)
{
    for (unsigned i = draw(12); i > 0; i--)
        machine_descriptor(GDT, draw(GDT_END / 8) << 3, draw(RAM_SIZE), draw(0x100000), any32() & 0xf0ff);
    for (unsigned i = draw(6); i > 0; i--)
        machine_gate(GDT, draw(GDT_END / 8), any_selector(), any_offset(), any32() & 0xff, draw(32));
    for (unsigned i = draw(4); i > 0; i--)
        machine_descriptor(LDT, draw(4) << 3, draw(RAM_SIZE), draw(0x100000), any32() & 0xf0ff);
    for (unsigned i = draw(40); i > 0; i--)
        machine_gate(IDT, draw(one_in(2) ? 32 : 256), any_selector(), any_offset(), any32() & 0xff, 0);
    for (unsigned i = draw(3); i > 0; i--)
        machine_gate(IDT, draw(32), one_in(2) ? TSS2_SEL : TSS16_SEL, 0, 0xe5, 0);
    for (uint32_t i = 0; i < 0x68; i += 4) {
        if (one_in(8))
            poke(TSS + i, any32());
        poke(TSS_NEXT + i, i < 0x48 || i > 0x60 ? any_offset() : any_selector());
        poke16(TSS_SHORT + i / 2, i / 2 < 34 ? any_offset() : any_selector());
    }
    poke(TSS_NEXT + 0x1c, DIRECTORY);
    poke(TSS + 0x1c, DIRECTORY);
    if (one_in(2))
        poke(TSS_NEXT + 0x24, any32() & ~(uint32_t)FLAG_VM);
    for (unsigned i = draw(64); i > 0; i--) {
        static const uint32_t stacks[] = { STACK0, STACK1, STACK3, 0x6200 + STACK_V86, 0x4000 };
        const uint32_t at = stacks[draw(5)] + draw(24) * 2 - 24;
        one_in(3) ? poke(at, any_selector()) : poke(at, any_offset());
    }
}

static void choose_state(void)
{
    if (!one_in(3))
        machine_page();
    for (unsigned i = one_in(3) ? draw(4) : 0; i > 0; i--)
        machine_set_pte(0x1000 + draw(12) * 0x1000, one_in(3) ? 0 : one_in(2) ? 3 : 5);
    switch (draw(6)) {
    case 0: machine_real(); break;
    case 1: machine_v8086(draw(4)); break;
    case 2: machine_ring(1); break;
    case 3: machine_ring(0); break;
    default: machine_ring(3); break;
    }
    const uint32_t flags = FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_IOPL | FLAG_NT | FLAG_VIF | FLAG_VIP | FLAG_RF;
    if (one_in(2))
        cpu->eflags ^= any32() & flags;
    if (one_in(2))
        cpu->cr4 ^= any32() & (CR4_VME | CR4_PVI | CR4_DE | CR4_TSD | CR4_UMIP);
    if (one_in(4))
        cpu->regs[CPU_ESP] += draw(128) - 64;
    if (one_in(8))
        cpu->idtr.limit = draw(0x800), cpu->gdtr.limit = draw(GDT_END);
    cpu->sysenter_cs = one_in(2) ? 0 : any_selector();
}

static void call_one(unsigned which)
{
    const uint16_t selector = any_selector();
    const unsigned size = one_in(2) ? 2 : 4;
    const uint32_t value = any_offset();
    uint32_t out;
    uint16_t pair = any_selector();

    switch (which) {
    case 0: protection_load_segment(cpu, draw(6) == CPU_CS ? CPU_DS : one_in(4) ? CPU_SS : CPU_FS, selector); break;
    case 1: protection_lldt(cpu, selector); break;
    case 2: protection_ltr(cpu, selector); break;
    case 3: protection_lar(cpu, selector, &out); break;
    case 4: protection_lsl(cpu, selector, &out); break;
    case 5: protection_verify(cpu, selector, size == 2); break;
    case 6: protection_segment_address(cpu, draw(CPU_SEG_COUNT), value, 1 + draw(16), size == 2); break;
    case 7: protection_push(cpu, value, size); break;
    case 8: protection_pop(cpu, size); break;
    case 9: protection_far_jump(cpu, selector, value, size, value); break;
    case 10: protection_far_call(cpu, selector, value, size, value); break;
    case 11: protection_far_return(cpu, size, draw(2) * draw(64)); break;
    case 12: protection_interrupt(cpu, any32(), draw(3), one_in(2), value, value); break;
    case 13: protection_int(cpu, any32(), value); break;
    case 14:
    case 15: protection_iret(cpu, size, value); break;
    case 16: protection_sysenter(cpu); break;
    case 17: protection_sysexit(cpu); break;
    case 18: protection_pushf_image(cpu, size); break;
    case 19: protection_popf(cpu, any32(), size); break;
    case 20: one_in(2) ? protection_cli(cpu) : protection_sti(cpu); break;
    case 21: protection_arpl(cpu, &pair, selector); break;
    case 22: protection_check_io(cpu, any32(), size); break;
    case 23: protection_write_dr(cpu, draw(8), any32()); break;
    case 24: protection_write_cr(cpu, 4, any32() & draw(0x800)); break;
    case CALL_LMSW: protection_lmsw(cpu, any32()); break;
    case 26: protection_smsw(cpu); break;
    default: protection_store_selector(cpu, true); break;
    }
}

static bool consistent(const uint64_t *user, const uint64_t *supervisor)
{
    const bool paragraphs = !cpu_protected(cpu) || cpu_v8086(cpu);
    const uint32_t reserved = ~(FLAGS_ARITH | FLAG_ONE | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_RF | FLAG_VM |
                                FLAG_AC | FLAG_VIF | FLAG_VIP | FLAG_ID);
    bool good = cpu->tables == (cpu->cpl == 3 ? user : supervisor) && !(cpu->eflags & reserved) && cpu->eflags & FLAG_ONE;

    for (int i = 0; i < CPU_SEG_COUNT; i++)
        good = good && cpu->seg_base[i] == cpu->seg[i].base;
    if (cpu_v8086(cpu))
        good = good && cpu->cpl == 3;
    if (!paragraphs && cpu->seg[CPU_CS].access & SEG_P)
        good = good && (cpu->seg[CPU_CS].selector & 3) == cpu->cpl && cpu->seg[CPU_CS].access & SEG_TYPE_CODE;
    if (!paragraphs && cpu->seg[CPU_SS].access & SEG_P)
        good = good && (cpu->seg[CPU_SS].access & SEG_DPL) >> SEG_DPL_SHIFT == cpu->cpl;
    return good;
}

static void one_round(unsigned number)
{
    const uint64_t *const supervisor = cpu->tables;
    machine_ring(3);
    const uint64_t *const user = cpu->tables;

    fill_tables();
    choose_state();
    for (volatile unsigned i = 0; i < CALLS_A_ROUND && !cpu->shutdown; i++) {
        const uint16_t task = cpu->tr.selector;
        const unsigned which = draw(28);
        if (which == CALL_LMSW && !cpu_protected(cpu))
            continue; /* enters protected mode with real mode's selectors */
        calls++;
        const bool fault = TRY(call_one(which)) >= 0;
        const bool switched = cpu->tr.selector != task;
        switches += switched;
        if (fault) {
            faults++;
            if (!switched && !machine_unchanged()) {
                CU_FAIL("a fault changed registers");
                printf("\n  round %u call %u, vector %d error %x\n", number, which, cpu->fault_vector,
                       cpu->fault_error);
            }
            protection_exception(cpu);
        }
        if (!cpu->shutdown && !consistent(user, supervisor)) {
            CU_FAIL("inconsistent");
            printf("\n  round %u call %u cpl %u cs %04x/%x ss %04x/%x eflags %x\n", number, which, cpu->cpl,
                   cpu->seg[CPU_CS].selector, cpu->seg[CPU_CS].access, cpu->seg[CPU_SS].selector,
                   cpu->seg[CPU_SS].access, cpu->eflags);
            break;
        }
        if (one_in(4) && !cpu->shutdown)
            protection_hardware_interrupt(cpu, any32());
        cpu->regs[CPU_ESP] = one_in(3) ? any_offset() : cpu->regs[CPU_ESP];
    }
    shutdowns += cpu->shutdown;
}

static void anything_goes(void)
{
    for (volatile unsigned i = 0; i < rounds; i++) {
        machine_teardown();
        machine_setup();
        one_round(i);
        if (CU_get_number_of_failures() > 5)
            break;
    }
    printf("%u calls, %u faults, %u task switches, %u shutdowns ", calls, faults, switches, shutdowns);
    CU_ASSERT(rounds < 1000 || (faults > calls / 10 && faults < calls && switches > 0 && shutdowns > 0));
}

int main(int argc, char **argv)
{
    static const CU_TestInfo tests[] = { { "anything goes", anything_goes }, CU_TEST_INFO_NULL };

    if (argc > 1)
        rounds = strtoul(argv[1], NULL, 0);
    if (argc > 2)
        seed = strtoull(argv[2], NULL, 0);
    return unit_run_each("random", tests, machine_setup, machine_teardown);
}
