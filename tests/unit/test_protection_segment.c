/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Segment loads, LLDT, LTR, LAR, LSL, VERR, VERW, ARPL, limit checks, pushes.
 */
#include "tests/unit/protection_machine.h"

static void loads_data_and_sets_accessed(void)
{
    machine_ring(3);
    CU_ASSERT_EQUAL(peek8(GDT + DATA3 + 5) & 1, 0);
    CHECK_OK(protection_load_segment(cpu, CPU_DS, DATA3 | 3));
    CU_ASSERT_EQUAL(peek8(GDT + DATA3 + 5) & 1, 1);
    CU_ASSERT_EQUAL(cpu->seg[CPU_DS].limit, 0xffffffff);
    CU_ASSERT_EQUAL(cpu->seg[CPU_DS].access, SEG_G | SEG_DB | SEG_P | SEG_S | SEG_DPL | 3);
    CHECK_OK(protection_load_segment(cpu, CPU_FS, LDT_DATA3));
    CU_ASSERT_EQUAL(cpu->seg[CPU_FS].base, 0x5000);
    CU_ASSERT_EQUAL(cpu->seg_base[CPU_FS], 0x5000);
    CU_ASSERT_EQUAL(cpu->seg[CPU_FS].limit, 0xfff);
    CU_ASSERT_EQUAL(peek8(LDT + 8 + 5) & 1, 1);
    CU_ASSERT(cpu->mode_dirty);
    CU_ASSERT(!cpu->interrupt_shadow);
}

static void loads_null_into_data_only(void)
{
    for (volatile uint16_t null = 0; null < 4; null++) {
        CHECK_OK(protection_load_segment(cpu, CPU_GS, null));
        CU_ASSERT_EQUAL(cpu->seg[CPU_GS].selector, null);
        CU_ASSERT_EQUAL(cpu->seg[CPU_GS].access, 0);
        CHECK_FAULT(protection_load_segment(cpu, CPU_SS, null), VEC_GP, 0);
    }
    CHECK_FAULT(protection_segment_address(cpu, CPU_GS, 0, 1, false), VEC_GP, 0);
}

static void refuses_wrong_data_segments(void)
{
    machine_ring(3);
    CHECK_FAULT(protection_load_segment(cpu, CPU_DS, DATA0 | 3), VEC_GP, DATA0);
    CHECK_FAULT(protection_load_segment(cpu, CPU_DS, GDT_END | 3), VEC_GP, GDT_END);
    CHECK_FAULT(protection_load_segment(cpu, CPU_DS, 0x27), VEC_GP, 0x24);      /* beyond the LDT */
    CHECK_FAULT(protection_load_segment(cpu, CPU_ES, EXEC_ONLY3 | 3), VEC_GP, EXEC_ONLY3);
    CHECK_FAULT(protection_load_segment(cpu, CPU_FS, TSS2_SEL | 3), VEC_GP, TSS2_SEL);
    CHECK_FAULT(protection_load_segment(cpu, CPU_GS, ABSENT_DATA3 | 3), VEC_NP, ABSENT_DATA3);
    CHECK_OK(protection_load_segment(cpu, CPU_ES, CODE3 | 3));       /* readable code */
    CHECK_OK(protection_load_segment(cpu, CPU_ES, CONFORMING0 | 3)); /* conforming: no privilege check */
    machine_ring(0);
    CHECK_FAULT(protection_load_segment(cpu, CPU_DS, DATA0 | 1), VEC_GP, DATA0); /* RPL > DPL */
    cpu->ldtr.access = 0;
    CHECK_FAULT(protection_load_segment(cpu, CPU_DS, LDT_DATA3), VEC_GP, LDT_DATA3 & ~3);
}

static void stack_segment_is_exact(void)
{
    CHECK_FAULT(protection_load_segment(cpu, CPU_SS, DATA3), VEC_GP, DATA3);
    CHECK_FAULT(protection_load_segment(cpu, CPU_SS, DATA0 | 3), VEC_GP, DATA0);
    CHECK_FAULT(protection_load_segment(cpu, CPU_SS, CODE0), VEC_GP, CODE0);
    CHECK_FAULT(protection_load_segment(cpu, CPU_SS, ABSENT_DATA0), VEC_SS, ABSENT_DATA0);
    CHECK_OK(protection_load_segment(cpu, CPU_SS, DATA16));
    CU_ASSERT(cpu->interrupt_shadow);
    CU_ASSERT_EQUAL(cpu->seg[CPU_SS].base, BASE16);
    machine_ring(3);
    CHECK_FAULT(protection_load_segment(cpu, CPU_SS, READONLY3 | 3), VEC_GP, READONLY3);
}

static void paragraphs_in_real_and_v8086_mode(void)
{
    machine_real();
    cpu->seg[CPU_DS].limit = 0xffffffff; /* left over from protected mode */
    CHECK_OK(protection_load_segment(cpu, CPU_DS, 0x1234));
    CU_ASSERT_EQUAL(cpu->seg_base[CPU_DS], 0x12340);
    CU_ASSERT_EQUAL(cpu->seg[CPU_DS].limit, 0xffffffff);
    cpu->seg[CPU_ES].access = 0;
    CHECK_OK(protection_load_segment(cpu, CPU_ES, 0));
    CU_ASSERT(cpu->seg[CPU_ES].access & SEG_P);
    CU_ASSERT_EQUAL(cpu->seg[CPU_ES].limit, 0xffff);

    cpu->cr0 |= CR0_PE;
    machine_v8086(3);
    cpu->seg[CPU_DS].limit = 0xffffffff;
    CHECK_OK(protection_load_segment(cpu, CPU_DS, 0xffff));
    CU_ASSERT_EQUAL(cpu->seg[CPU_DS].base, 0xffff0);
    CU_ASSERT_EQUAL(cpu->seg[CPU_DS].limit, 0xffff);
    CU_ASSERT_EQUAL(cpu->seg[CPU_DS].access & 0xff, 0xf3);
}

static void read_only_table_page_faults_before_the_load(void)
{
    machine_page();
    machine_set_pte(GDT, 5); /* not writable, WP on: the accessed bit cannot be set */
    CU_ASSERT_EQUAL(TRY(protection_load_segment(cpu, CPU_DS, DATA0)), VEC_PF);
    CU_ASSERT_EQUAL(cpu->fault_error, PF_PRESENT | PF_WRITE);
    CU_ASSERT_EQUAL(cpu->cr2, GDT + DATA0 + 5);
    CU_ASSERT(machine_unchanged());
    machine_ring(3);
    machine_set_pte(GDT, 3); /* supervisor page: descriptor reads are supervisor's */
    CHECK_OK(protection_load_segment(cpu, CPU_DS, DATA3 | 3));
    machine_set_pte(GDT, 0);
    CU_ASSERT_EQUAL(TRY(protection_load_segment(cpu, CPU_DS, DATA3 | 3)), VEC_PF);
    CU_ASSERT_EQUAL(cpu->fault_error, 0);
}

static void lldt_and_ltr(void)
{
    CHECK_OK(protection_lldt(cpu, 3));
    CU_ASSERT_EQUAL(cpu->ldtr.access, 0);
    CHECK_FAULT(protection_lldt(cpu, LDT_DATA3), VEC_GP, LDT_DATA3 & ~3);
    CHECK_FAULT(protection_lldt(cpu, DATA0), VEC_GP, DATA0);
    CHECK_FAULT(protection_lldt(cpu, ABSENT_LDT), VEC_NP, ABSENT_LDT);
    CHECK_FAULT(protection_lldt(cpu, GDT_END), VEC_GP, GDT_END);
    CHECK_OK(protection_lldt(cpu, LDT_SEL));
    CU_ASSERT_EQUAL(cpu->ldtr.base, LDT);

    CHECK_FAULT(protection_ltr(cpu, 0), VEC_GP, 0);
    CHECK_FAULT(protection_ltr(cpu, TSS_SEL), VEC_GP, TSS_SEL); /* busy */
    CHECK_FAULT(protection_ltr(cpu, ABSENT_TSS), VEC_NP, ABSENT_TSS);
    CHECK_FAULT(protection_ltr(cpu, 0x0c), VEC_GP, 0x0c);
    CHECK_OK(protection_ltr(cpu, TSS2_SEL));
    CU_ASSERT_EQUAL(cpu->tr.base, TSS_NEXT);
    CU_ASSERT_EQUAL(cpu->tr.access & 15, 11);
    CU_ASSERT_EQUAL(peek8(GDT + TSS2_SEL + 5) & 15, 11);

    machine_ring(3);
    CHECK_FAULT(protection_lldt(cpu, LDT_SEL), VEC_GP, 0);
    CHECK_FAULT(protection_ltr(cpu, TSS2_SEL), VEC_GP, 0);
    machine_v8086(3);
    CHECK_UD(protection_lldt(cpu, LDT_SEL));
    machine_real();
    CHECK_UD(protection_ltr(cpu, TSS_SEL));
}

static void lar_and_lsl(void)
{
    uint32_t value = 0;

    machine_ring(3);
    CU_ASSERT(protection_lar(cpu, CODE3 | 3, &value));
    CU_ASSERT_EQUAL(value, 0x00cffa00);
    CU_ASSERT(protection_lsl(cpu, CODE3 | 3, &value));
    CU_ASSERT_EQUAL(value, 0xffffffff);
    CU_ASSERT(protection_lsl(cpu, LDT_DATA3, &value));
    CU_ASSERT_EQUAL(value, 0xfff);
    value = 7;
    CU_ASSERT(!protection_lar(cpu, CODE0, &value));
    CU_ASSERT(!protection_lar(cpu, 0, &value));
    CU_ASSERT(!protection_lar(cpu, 3, &value));
    CU_ASSERT(!protection_lar(cpu, GDT_END | 3, &value));
    CU_ASSERT(!protection_lsl(cpu, TSS_SEL, &value));
    CU_ASSERT_EQUAL(value, 7);
    CU_ASSERT(protection_lar(cpu, CONFORMING0 | 3, &value));
    CU_ASSERT(protection_lar(cpu, GATE32 | 3, &value)); /* a call gate has rights ... */
    CU_ASSERT_EQUAL(value & 0xff00, 0xec00);
    CU_ASSERT(!protection_lsl(cpu, GATE32 | 3, &value)); /* ... but no limit */
    CU_ASSERT(protection_lar(cpu, TASK_GATE_SEL | 3, &value));
    CU_ASSERT(protection_lsl(cpu, TSS2_SEL | 3, &value));
    CU_ASSERT_EQUAL(value, 0x67);

    machine_ring(0);
    machine_gate(GDT, ABSENT_GATE / 8, CODE0, 0, 0x8e, 0); /* an interrupt gate in the GDT has neither */
    CU_ASSERT(!protection_lar(cpu, ABSENT_GATE, &value));
    CU_ASSERT(!protection_lar(cpu, DATA0 | 3, &value)); /* RPL counts */
    CU_ASSERT(protection_lar(cpu, ABSENT_CODE0, &value)); /* absence does not */
    machine_v8086(3);
    CHECK_UD(protection_lar(cpu, CODE0, &value));
    CHECK_UD(protection_lsl(cpu, CODE0, &value));
}

static void verify_and_adjust(void)
{
    uint16_t selector = DATA3;

    machine_ring(3);
    CU_ASSERT(protection_verify(cpu, DATA3 | 3, true));
    CU_ASSERT(protection_verify(cpu, READONLY3 | 3, false));
    CU_ASSERT(!protection_verify(cpu, READONLY3 | 3, true));
    CU_ASSERT(!protection_verify(cpu, EXEC_ONLY3 | 3, false));
    CU_ASSERT(protection_verify(cpu, CONFORMING0 | 3, false));
    CU_ASSERT(!protection_verify(cpu, CONFORMING0 | 3, true));
    CU_ASSERT(!protection_verify(cpu, DATA0, false));
    CU_ASSERT(!protection_verify(cpu, TSS2_SEL | 3, false));
    CU_ASSERT(!protection_verify(cpu, 0, false));

    CHECK_OK(protection_arpl(cpu, &selector, 3));
    CU_ASSERT_EQUAL(selector, DATA3 | 3);
    CU_ASSERT(cpu->eflags & FLAG_ZF);
    CHECK_OK(protection_arpl(cpu, &selector, 1));
    CU_ASSERT_EQUAL(selector, DATA3 | 3);
    CU_ASSERT(!(cpu->eflags & FLAG_ZF));
    machine_real();
    CHECK_UD(protection_arpl(cpu, &selector, 1));
    CHECK_UD(protection_verify(cpu, DATA3, true));
}

static void limits(void)
{
    CHECK_OK(protection_load_segment(cpu, CPU_DS, DATA16));
    CU_ASSERT_EQUAL(protection_segment_address(cpu, CPU_DS, 0xfffe, 2, true), BASE16 + 0xfffe);
    CHECK_FAULT(protection_segment_address(cpu, CPU_DS, 0xfffe, 4, false), VEC_GP, 0);
    CHECK_FAULT(protection_segment_address(cpu, CPU_DS, 0x10000, 1, false), VEC_GP, 0);
    CHECK_FAULT(protection_segment_address(cpu, CPU_DS, 0xffffffff, 2, false), VEC_GP, 0);
    CHECK_OK(protection_load_segment(cpu, CPU_SS, DATA16));
    CHECK_FAULT(protection_segment_address(cpu, CPU_SS, 0xffff, 2, true), VEC_SS, 0);

    CHECK_OK(protection_load_segment(cpu, CPU_ES, EXPAND_DOWN)); /* 0x1000 up to 4 GiB */
    CHECK_FAULT(protection_segment_address(cpu, CPU_ES, 0xfff, 1, false), VEC_GP, 0);
    CHECK_FAULT(protection_segment_address(cpu, CPU_ES, 0xfff, 4, false), VEC_GP, 0);
    CHECK_FAULT(protection_segment_address(cpu, CPU_ES, 0xfffffffe, 4, false), VEC_GP, 0);
    CU_ASSERT_EQUAL(protection_segment_address(cpu, CPU_ES, 0x1000, 4, true), 0x1000);
    cpu->seg[CPU_ES].access &= ~SEG_DB;
    CHECK_FAULT(protection_segment_address(cpu, CPU_ES, 0x10000, 1, false), VEC_GP, 0);
    CU_ASSERT_EQUAL(protection_segment_address(cpu, CPU_ES, 0xffff, 1, true), 0xffff);

    CU_ASSERT_EQUAL(protection_segment_address(cpu, CPU_GS, 0xfffffffe, 4, true), 0xfffffffe); /* flat: wraps */
    cpu->seg[CPU_GS].base = 0x1000;
    CHECK_FAULT(protection_segment_address(cpu, CPU_GS, 0xfffffffe, 4, true), VEC_GP, 0);

    machine_ring(3);
    CHECK_OK(protection_load_segment(cpu, CPU_DS, READONLY3 | 3));
    CHECK_FAULT(protection_segment_address(cpu, CPU_DS, 0, 1, true), VEC_GP, 0);
    CHECK_FAULT(protection_segment_address(cpu, CPU_CS, 0, 1, true), VEC_GP, 0);
    CHECK_OK(protection_segment_address(cpu, CPU_CS, 0, 1, false));
    cpu->seg[CPU_CS].access &= ~SEG_TYPE_RW;
    CHECK_FAULT(protection_segment_address(cpu, CPU_CS, 0, 1, false), VEC_GP, 0);

    machine_real();
    CU_ASSERT_EQUAL(protection_segment_address(cpu, CPU_CS, 0x10, 4, true), 0x2010); /* CS is writable here */
    CHECK_FAULT(protection_segment_address(cpu, CPU_DS, 0xffff, 2, true), VEC_GP, 0);
}

static void pushes_and_pops(void)
{
    protection_push(cpu, 0x12345678, 4);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK0 - 4);
    protection_push(cpu, 0xabcd, 2);
    CU_ASSERT_EQUAL(peek16(STACK0 - 6), 0xabcd);
    CU_ASSERT_EQUAL(protection_pop(cpu, 2), 0xabcd);
    CU_ASSERT_EQUAL(protection_pop(cpu, 4), 0x12345678);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK0);

    CHECK_OK(protection_load_segment(cpu, CPU_SS, DATA16)); /* SP alone moves, and wraps */
    cpu->regs[CPU_ESP] = 0x55550000;
    protection_push(cpu, 0xa1b2c3d4, 4);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], 0x5555fffc);
    CU_ASSERT_EQUAL(peek(BASE16 + 0xfffc), 0xa1b2c3d4);
    CU_ASSERT_EQUAL(protection_pop(cpu, 4), 0xa1b2c3d4);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], 0x55550000);
    cpu->regs[CPU_ESP] = 2;
    CHECK_FAULT(protection_push(cpu, 0, 4), VEC_SS, 0); /* would straddle the end */

    machine_ring(3);
    machine_page();
    machine_set_pte(STACK3 - 4096, 3);
    CU_ASSERT_EQUAL(TRY(protection_push(cpu, 1, 4)), VEC_PF);
    CU_ASSERT_EQUAL(cpu->fault_error, PF_PRESENT | PF_WRITE | PF_USER);
    CU_ASSERT_EQUAL(cpu->cr2, STACK3 - 4);
    CU_ASSERT(machine_unchanged());
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "data segments, accessed bit", loads_data_and_sets_accessed },
        { "null selectors", loads_null_into_data_only },
        { "data segments refused", refuses_wrong_data_segments },
        { "SS", stack_segment_is_exact },
        { "real and v8086 mode", paragraphs_in_real_and_v8086_mode },
        { "paging of the tables", read_only_table_page_faults_before_the_load },
        { "LLDT, LTR", lldt_and_ltr },
        { "LAR, LSL", lar_and_lsl },
        { "VERR, VERW, ARPL", verify_and_adjust },
        { "limits", limits },
        { "push, pop", pushes_and_pops },
        CU_TEST_INFO_NULL,
    };

    return unit_run_each("segment", tests, machine_setup, machine_teardown);
}
