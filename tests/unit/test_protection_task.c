/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Hardware task switches: by CALL, JMP, task gate and IRET; 32- and 16-bit
 * TSS; into v8086 mode; what is checked before the switch and what after it.
 */
#include "tests/unit/protection_machine.h"

enum { LINK = 0, T_CR3 = 0x1c, T_EIP = 0x20, T_EFLAGS = 0x24, T_EAX = 0x28, T_ESP = 0x38, T_ES = 0x48, T_CS = 0x4c,
       T_SS = 0x50, T_DS = 0x54, T_FS = 0x58, T_GS = 0x5c, T_LDT = 0x60, T_TRAP = 0x64 };

/* A ring-3 task in TSS_NEXT. */
static void fill_next(void)
{
    static const uint16_t selectors[] = { DATA3 | 3, CODE3 | 3, DATA3 | 3, DATA3 | 3, 0, LDT_DATA3 };

    poke(TSS_NEXT + T_CR3, DIRECTORY);
    poke(TSS_NEXT + T_EIP, 0x7000), poke(TSS_NEXT + T_EFLAGS, FLAG_IF | FLAG_CF);
    for (uint32_t i = 0; i < 8; i++)
        poke(TSS_NEXT + T_EAX + 4 * i, 0xa0 + i);
    poke(TSS_NEXT + T_ESP, STACK3);
    for (uint32_t i = 0; i < 6; i++)
        poke(TSS_NEXT + T_ES + 4 * i, selectors[i]);
    poke(TSS_NEXT + T_LDT, LDT_SEL);
    poke(TSS_NEXT + 4, STACK0 - 0x800), poke(TSS_NEXT + 8, DATA0);
}

static unsigned type_of(uint16_t selector) { return peek8(GDT + selector + 5) & 15; }

static void call_and_return(void)
{
    fill_next();
    poke(TSS + T_ES, 0xffff0000);
    cpu->dr[7] = 0x455;
    CHECK_OK(protection_far_call(cpu, TSS2_SEL, 0x99999, 4, 0x407));
    CU_ASSERT_EQUAL(cpu->tr.selector, TSS2_SEL);
    CU_ASSERT_EQUAL(cpu->tr.base, TSS_NEXT);
    CU_ASSERT_EQUAL(cpu->cpl, 3);
    CU_ASSERT_EQUAL(cpu->eip, 0x7000);
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_IF | FLAG_CF | FLAG_NT);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 0xa0);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EDI], 0xa7);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK3);
    CU_ASSERT_EQUAL(cpu->seg[CPU_GS].base, 0x5000);
    CU_ASSERT_EQUAL(cpu->seg[CPU_FS].access, 0);
    CU_ASSERT(cpu->cr0 & CR0_TS);
    CU_ASSERT_EQUAL(cpu->dr[7], 0x400);
    CU_ASSERT_EQUAL(cpu->cr3, 0); /* no paging: CR3 stays */
    CU_ASSERT_EQUAL(peek16(TSS_NEXT + LINK), TSS_SEL);
    CU_ASSERT_EQUAL(type_of(TSS_SEL), 11);
    CU_ASSERT_EQUAL(type_of(TSS2_SEL), 11);
    CHECK_DWORDS(TSS + T_EIP, 0x407, FLAG_ONE | FLAG_IF, 0x11111111, 0x22222222, 0x33333333, 0x44444444, STACK0, 0x66666666,
                 0x77777777, 0x88888888, 0xffff0000 | DATA3 | 3, CODE0, DATA0, DATA3 | 3, DATA3 | 3, DATA3 | 3);

    CHECK_OK(protection_iret(cpu, 4, 0x7002)); /* NT: back to the caller */
    CU_ASSERT_EQUAL(cpu->tr.selector, TSS_SEL);
    CU_ASSERT_EQUAL(cpu->cpl, 0);
    CU_ASSERT_EQUAL(cpu->eip, 0x407);
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_IF);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EDX], 0x33333333);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK0);
    CU_ASSERT_EQUAL(type_of(TSS2_SEL), 9);
    CU_ASSERT_EQUAL(type_of(TSS_SEL), 11);
    CU_ASSERT_EQUAL(peek(TSS_NEXT + T_EIP), 0x7002);
    CU_ASSERT_EQUAL(peek(TSS_NEXT + T_EFLAGS), FLAG_ONE | FLAG_IF | FLAG_CF); /* NT saved as 0 */
}

static void jump_by_gate_with_paging(void)
{
    fill_next();
    machine_page();
    cpu->cr3 = DIRECTORY | 0x18;
    machine_ring(3);
    CHECK_OK(protection_far_jump(cpu, TASK_GATE_SEL | 3, 0, 4, 0x407));
    CU_ASSERT_EQUAL(cpu->tr.selector, TSS2_SEL);
    CU_ASSERT_EQUAL(cpu->cr3, DIRECTORY);
    CU_ASSERT_EQUAL(type_of(TSS_SEL), 9);
    CU_ASSERT_EQUAL(type_of(TSS2_SEL), 11);
    CU_ASSERT_EQUAL(peek16(TSS_NEXT + LINK), 0);
    CU_ASSERT(!(cpu->eflags & FLAG_NT));
    CU_ASSERT_EQUAL(peek(TSS + T_EIP), 0x407);
    CU_ASSERT_EQUAL(peek(TSS + T_CS), CODE3 | 3);
}

static void exception_through_a_task_gate(void)
{
    fill_next();
    machine_gate(IDT, VEC_DF, TSS2_SEL, 0, 0x85, 0);
    poke8(IDT + VEC_GP * 8 + 5, 0);
    cpu->fault_vector = VEC_GP, cpu->fault_error = 0, cpu->fault_has_error = true;
    protection_exception(cpu); /* becomes #DF: the classic use of a task gate */
    CU_ASSERT_EQUAL(cpu->tr.selector, TSS2_SEL);
    CU_ASSERT_EQUAL(cpu->eip, 0x7000);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK3 - 4);
    CU_ASSERT_EQUAL(peek(STACK3 - 4), 0); /* the error code is on the new task's stack */
    CU_ASSERT_EQUAL(peek(TSS + T_EIP), 0x400);
    CU_ASSERT_EQUAL(peek(TSS + T_EFLAGS), FLAG_ONE | FLAG_IF);
    CU_ASSERT(cpu->eflags & FLAG_NT);
    CU_ASSERT(!cpu->shutdown);
}

/* Its trap is one behind the delivery, not one of the delivery: no shutdown. */
static void double_fault_with_the_t_bit(void)
{
    fill_next();
    poke16(TSS_NEXT + T_TRAP, 1);
    machine_gate(IDT, VEC_DF, TSS2_SEL, 0, 0x85, 0);
    poke8(IDT + VEC_GP * 8 + 5, 0);
    cpu->fault_vector = VEC_GP, cpu->fault_error = 0, cpu->fault_has_error = true;
    protection_exception(cpu);
    CU_ASSERT(!cpu->shutdown);
    CU_ASSERT_EQUAL(cpu->tr.selector, TSS2_SEL);
    CU_ASSERT(cpu->dr[6] & DR6_BT);
    CHECK_DWORDS(STACK0 - 0x800 - 20, 0x7000, CODE3 | 3, FLAG_ONE | FLAG_IF | FLAG_CF | FLAG_NT, STACK3 - 4, DATA3 | 3);
}

static void sixteen_bit_task(void)
{
    static const uint16_t image[] = { 0, 0, 0, 0, 0, 0, 0, 0x4321, FLAG_IF, 0xa0, 0xa1, 0xa2, 0xa3, 0x8800, 0xa5, 0xa6,
                                      0xa7, DATA16, CODE16, DATA16, DATA16, 0 };
    for (unsigned i = 0; i < sizeof image / 2; i++)
        poke16(TSS_SHORT + 2 * i, image[i]);
    machine_page();
    poke(TSS + T_CR3, DIRECTORY);
    CHECK_OK(protection_far_call(cpu, TSS16_SEL, 0, 4, 0x407));
    CU_ASSERT_EQUAL(cpu->eip, 0x4321);
    CU_ASSERT_EQUAL(cpu->seg[CPU_CS].base, BASE16);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ECX] & 0xffff, 0xa1);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP] & 0xffff, 0x8800);
    CU_ASSERT_EQUAL(cpu->seg[CPU_FS].selector, 0);
    CU_ASSERT_EQUAL(cpu->cr3, DIRECTORY);
    CU_ASSERT_EQUAL(cpu->ldtr.access, 0);
    CU_ASSERT_EQUAL(type_of(TSS16_SEL), 3);
    CHECK_OK(protection_iret(cpu, 2, 0x4322));
    CU_ASSERT_EQUAL(cpu->eip, 0x407);
    CU_ASSERT_EQUAL(type_of(TSS16_SEL), 1);
    CHECK_WORDS(TSS_SHORT + 14, 0x4322, FLAG_ONE | FLAG_IF, 0xa0, 0xa1);
    CHECK_WORDS(TSS_SHORT + 34, DATA16, CODE16, DATA16, DATA16);
}

static void into_v8086(void)
{
    fill_next();
    poke(TSS_NEXT + T_EFLAGS, FLAG_VM | FLAG_IF);
    for (uint32_t i = 0; i < 6; i++)
        poke(TSS_NEXT + T_ES + 4 * i, 0x600 + 0x10 * i);
    poke(TSS_NEXT + T_EIP, 0x40);
    CHECK_OK(protection_far_jump(cpu, TSS2_SEL, 0, 4, 0x407));
    CU_ASSERT(cpu_v8086(cpu));
    CU_ASSERT_EQUAL(cpu->cpl, 3);
    CU_ASSERT_EQUAL(cpu->seg_base[CPU_DS], 0x6300);
    CU_ASSERT_EQUAL(cpu->seg[CPU_CS].limit, 0xffff);
}

static void refused_before_the_switch(void)
{
    fill_next();
    CHECK_FAULT(protection_far_call(cpu, TSS_SEL, 0, 4, 0), VEC_GP, TSS_SEL); /* busy */
    CHECK_FAULT(protection_far_jump(cpu, ABSENT_TSS, 0, 4, 0), VEC_NP, ABSENT_TSS);
    machine_descriptor(GDT, TSS2_SEL, TSS_NEXT, 0x66, SEG_P | 9);
    CHECK_FAULT(protection_far_jump(cpu, TSS2_SEL, 0, 4, 0), VEC_TS, TSS2_SEL);
    machine_descriptor(GDT, TSS2_SEL, TSS_NEXT, 0x67, SEG_P | 9);
    machine_ring(3);
    CHECK_FAULT(protection_far_jump(cpu, TSS2_SEL, 0, 4, 0), VEC_GP, TSS2_SEL); /* DPL 0 */
    machine_gate(GDT, TASK_GATE_SEL / 8, TSS2_SEL | 4, 0, 0xe5, 0);
    CHECK_FAULT(protection_far_jump(cpu, TASK_GATE_SEL | 3, 0, 4, 0), VEC_GP, TSS2_SEL | 4);
    machine_gate(GDT, TASK_GATE_SEL / 8, DATA0, 0, 0xe5, 0);
    CHECK_FAULT(protection_far_jump(cpu, TASK_GATE_SEL | 3, 0, 4, 0), VEC_GP, DATA0);
    machine_gate(GDT, TASK_GATE_SEL / 8, TSS2_SEL, 0, 0x65, 0);
    CHECK_FAULT(protection_far_jump(cpu, TASK_GATE_SEL | 3, 0, 4, 0), VEC_NP, TASK_GATE_SEL);
    machine_gate(IDT, 0x50, DATA0, 0, 0xe5, 0);
    CHECK_FAULT(protection_interrupt(cpu, 0x50, INTERRUPT_HARDWARE, false, 0, 0), VEC_GP, DATA0 | 1);
    CHECK_FAULT(protection_int(cpu, 0x50, 0), VEC_GP, DATA0);
    machine_ring(0);
    cpu->eflags |= FLAG_NT;
    poke16(TSS + LINK, TSS2_SEL); /* not busy: nothing to return to */
    CHECK_FAULT(protection_iret(cpu, 4, 0), VEC_TS, TSS2_SEL);
    poke16(TSS + LINK, 0);
    CHECK_FAULT(protection_iret(cpu, 4, 0), VEC_TS, 0);
    machine_page();
    machine_set_pte(TSS_NEXT, 0);
    CU_ASSERT_EQUAL(TRY(protection_far_jump(cpu, TSS2_SEL, 0, 4, 0)), VEC_PF);
    CU_ASSERT(machine_unchanged());
    CU_ASSERT_EQUAL(type_of(TSS_SEL), 11);
    CU_ASSERT_EQUAL(type_of(TSS2_SEL), 9);
}

/* Faults of the new segments arise in the new task. */
static void faults_after_the_switch(void)
{
    static const struct { uint32_t at; uint16_t selector; int vector; uint16_t code; } rows[] = {
        { T_CS, 0, VEC_TS, 0 },
        { T_CS, DATA3 | 3, VEC_TS, DATA3 },
        { T_CS, CODE0 | 3, VEC_TS, CODE0 },
        { T_CS, ABSENT_CODE0, VEC_NP, ABSENT_CODE0 },
        { T_SS, 0, VEC_TS, 0 },
        { T_SS, DATA0, VEC_TS, DATA0 },
        { T_SS, ABSENT_DATA3 | 3, VEC_SS, ABSENT_DATA3 },
        { T_DS, DATA0, VEC_TS, DATA0 },
        { T_ES, ABSENT_DATA3 | 3, VEC_NP, ABSENT_DATA3 },
        { T_GS, EXEC_ONLY3 | 3, VEC_TS, EXEC_ONLY3 },
        { T_LDT, DATA0, VEC_TS, DATA0 },
        { T_LDT, ABSENT_LDT, VEC_TS, ABSENT_LDT },
        { T_EIP, 0, -1, 0 },
    };

    for (volatile unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        machine_teardown();
        machine_setup();
        fill_next();
        poke(TSS_NEXT + rows[i].at, rows[i].selector);
        CU_ASSERT_EQUAL(TRY(protection_far_jump(cpu, TSS2_SEL, 0, 4, 0x407)), rows[i].vector);
        CU_ASSERT(rows[i].vector < 0 || cpu->fault_error == rows[i].code);
        CU_ASSERT_EQUAL(cpu->tr.selector, TSS2_SEL);
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 0xa0);
        CU_ASSERT_EQUAL(peek(TSS + T_EIP), 0x407);
    }
}

static void debug_trap_bit(void)
{
    fill_next();
    poke16(TSS_NEXT + T_TRAP, 1);
    CU_ASSERT_EQUAL(TRY(protection_far_jump(cpu, TSS2_SEL, 0, 4, 0x407)), VEC_DB);
    CU_ASSERT_EQUAL(cpu->eip, 0x7000);
    protection_exception(cpu);
    CU_ASSERT(cpu->dr[6] & DR6_BT);
    CHECK_DWORDS(STACK0 - 0x800 - 20, 0x7000, CODE3 | 3, FLAG_ONE | FLAG_IF | FLAG_CF, STACK3, DATA3 | 3);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "CALL and IRET", call_and_return },
        { "JMP by a gate, paging on", jump_by_gate_with_paging },
        { "#DF through a task gate", exception_through_a_task_gate },
        { "#DF with the T bit", double_fault_with_the_t_bit },
        { "16-bit task", sixteen_bit_task },
        { "into v8086 mode", into_v8086 },
        { "refused before the switch", refused_before_the_switch },
        { "faults after the switch", faults_after_the_switch },
        { "T bit", debug_trap_bit },
        CU_TEST_INFO_NULL,
    };

    return unit_run_each("task", tests, machine_setup, machine_teardown);
}
