/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Far JMP, CALL and RET: code segments, call gates with parameters and stack
 * switch, returns to an outer level; SYSENTER and SYSEXIT.
 */
#include "tests/unit/protection_machine.h"

#include <string.h>

static void jumps_to_code(void)
{
    CHECK_OK(protection_far_jump(cpu, CODE0 | 0, 0x87654321, 4, 0));
    CU_ASSERT_EQUAL(cpu->eip, 0x87654321);
    CU_ASSERT_EQUAL(cpu->seg[CPU_CS].selector, CODE0);
    CU_ASSERT_EQUAL(peek8(GDT + CODE0 + 5) & 1, 1);
    CHECK_OK(protection_far_jump(cpu, CODE16, 0x87654321, 2, 0)); /* 16-bit operand: offset cut */
    CU_ASSERT_EQUAL(cpu->eip, 0x4321);
    CU_ASSERT_EQUAL(cpu->seg[CPU_CS].base, BASE16);
    CU_ASSERT(!(cpu->seg[CPU_CS].access & SEG_DB));

    machine_ring(3);
    CHECK_OK(protection_far_jump(cpu, CODE3, 0x10, 4, 0)); /* RPL 0 is fine, CS gets RPL = CPL */
    CU_ASSERT_EQUAL(cpu->seg[CPU_CS].selector, CODE3 | 3);
    CHECK_OK(protection_far_jump(cpu, CONFORMING0, 0x10, 4, 0));
    CU_ASSERT_EQUAL(cpu->seg[CPU_CS].selector, CONFORMING0 | 3);
    CU_ASSERT_EQUAL(cpu->cpl, 3);
}

static void refuses_jumps(void)
{
    CHECK_FAULT(protection_far_jump(cpu, 3, 0, 4, 0), VEC_GP, 0);
    CHECK_FAULT(protection_far_jump(cpu, GDT_END, 0, 4, 0), VEC_GP, GDT_END);
    CHECK_FAULT(protection_far_jump(cpu, DATA0, 0, 4, 0), VEC_GP, DATA0);
    CHECK_FAULT(protection_far_jump(cpu, LDT_SEL, 0, 4, 0), VEC_GP, LDT_SEL);
    CHECK_FAULT(protection_far_jump(cpu, CODE3 | 3, 0, 4, 0), VEC_GP, CODE3);
    CHECK_FAULT(protection_far_jump(cpu, CODE0 | 3, 0, 4, 0), VEC_GP, CODE0); /* RPL > CPL */
    CHECK_FAULT(protection_far_jump(cpu, CONFORMING3, 0, 4, 0), VEC_GP, CONFORMING3); /* DPL > CPL */
    CHECK_FAULT(protection_far_jump(cpu, ABSENT_CODE0, 0, 4, 0), VEC_NP, ABSENT_CODE0);
    CHECK_FAULT(protection_far_jump(cpu, SHORT_CODE0, 0x1000, 4, 0), VEC_GP, 0);
    CU_ASSERT_EQUAL(peek8(GDT + SHORT_CODE0 + 5) & 1, 0);
    machine_ring(3);
    CHECK_FAULT(protection_far_jump(cpu, CODE0 | 3, 0, 4, 0), VEC_GP, CODE0);
    CHECK_FAULT(protection_far_jump(cpu, GATE32 | 3, 0, 4, 0), VEC_GP, CODE0); /* JMP does not go inwards */
}

static void calls_and_returns_at_one_level(void)
{
    CHECK_OK(protection_far_call(cpu, CODE16, 0x1234, 4, 0x407));
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK0 - 8);
    CHECK_DWORDS(STACK0 - 8, 0x407, CODE0);
    CU_ASSERT_EQUAL(cpu->eip, 0x1234);
    CHECK_OK(protection_far_return(cpu, 4, 12));
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK0 + 12);
    CU_ASSERT_EQUAL(cpu->eip, 0x407);
    CU_ASSERT_EQUAL(cpu->seg[CPU_CS].selector, CODE0);

    machine_ring(0);
    CHECK_OK(protection_far_call(cpu, CODE16, 0x1234, 2, 0x12340407));
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK0 - 4);
    CHECK_WORDS(STACK0 - 4, 0x0407, CODE0);
    CHECK_OK(protection_far_return(cpu, 2, 0));
    CU_ASSERT_EQUAL(cpu->eip, 0x407);
}

static void call_checks_its_stack_before_its_target(void)
{
    cpu->regs[CPU_ESP] = 0x100;
    protection_load_segment(cpu, CPU_SS, EXPAND_DOWN);
    CHECK_FAULT(protection_far_call(cpu, SHORT_CODE0, 0x1000, 4, 0), VEC_SS, 0);
    CHECK_FAULT(protection_far_call(cpu, ABSENT_CODE0, 0x1000, 4, 0), VEC_NP, ABSENT_CODE0);
}

static void gate_at_the_same_level(void)
{
    CHECK_OK(protection_far_call(cpu, GATE16, 0xffffffff, 4, 0x407)); /* the gate says 16 bits */
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK0 - 4);
    CHECK_WORDS(STACK0 - 4, 0x407, CODE0);
    CU_ASSERT_EQUAL(cpu->eip, 0x4567);
    CU_ASSERT_EQUAL(cpu->seg[CPU_CS].selector, CODE16);
    CHECK_OK(protection_far_jump(cpu, GATE32, 0, 4, 0));
    CU_ASSERT_EQUAL(cpu->eip, 0x1234567);
    machine_ring(3);
    CHECK_OK(protection_far_call(cpu, GATE_TO_CONFORMING | 3, 0, 4, 0x407));
    CU_ASSERT_EQUAL(cpu->cpl, 3);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK3 - 8);
    CU_ASSERT_EQUAL(cpu->seg[CPU_CS].selector, CONFORMING0 | 3);
}

static void gate_inwards_copies_parameters(void)
{
    machine_ring(3);
    poke(STACK3, 0x11), poke(STACK3 + 4, 0x22);
    const uint64_t *const user_tables = cpu->tables;
    CHECK_OK(protection_far_call(cpu, GATE32 | 3, 0, 2, 0x407));
    CU_ASSERT_EQUAL(cpu->cpl, 0);
    CU_ASSERT(cpu->tables != user_tables);
    CU_ASSERT_EQUAL(cpu->seg[CPU_CS].selector, CODE0);
    CU_ASSERT_EQUAL(cpu->seg[CPU_SS].selector, DATA0);
    CU_ASSERT_EQUAL(cpu->eip, 0x1234567);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK0 - 24);
    CHECK_DWORDS(STACK0 - 24, 0x407, CODE3 | 3, 0x11, 0x22, STACK3, DATA3 | 3);
    CU_ASSERT_EQUAL(cpu->seg[CPU_DS].selector, DATA3 | 3);

    protection_load_segment(cpu, CPU_DS, DATA0);
    protection_load_segment(cpu, CPU_ES, CONFORMING0);
    protection_load_segment(cpu, CPU_GS, LDT_DATA3);
    CHECK_OK(protection_far_return(cpu, 4, 8));
    CU_ASSERT_EQUAL(cpu->cpl, 3);
    CU_ASSERT(cpu->tables == user_tables);
    CU_ASSERT_EQUAL(cpu->eip, 0x407);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK3 + 8);
    CU_ASSERT_EQUAL(cpu->seg[CPU_SS].selector, DATA3 | 3);
    CU_ASSERT_EQUAL(cpu->seg[CPU_DS].selector, 0); /* too privileged to keep */
    CU_ASSERT_EQUAL(cpu->seg[CPU_DS].access, 0);
    CU_ASSERT_EQUAL(cpu->seg[CPU_ES].selector, CONFORMING0);
    CU_ASSERT_EQUAL(cpu->seg[CPU_FS].selector, DATA3 | 3);
    CU_ASSERT_EQUAL(cpu->seg[CPU_GS].selector, LDT_DATA3);
}

static void gate16_inwards(void)
{
    machine_ring(3);
    poke16(STACK3, 0x77);
    CHECK_OK(protection_far_call(cpu, GATE16 | 3, 0, 4, 0x12340407));
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK0 - 10);
    CHECK_WORDS(STACK0 - 10, 0x0407, CODE3 | 3, 0x77, (uint16_t)STACK3, DATA3 | 3);
    CU_ASSERT_EQUAL(cpu->seg[CPU_CS].selector, CODE16);
    CHECK_OK(protection_far_return(cpu, 2, 2));
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], (STACK3 & 0xffff) + 2);
}

static void refuses_gates(void)
{
    machine_ring(3);
    CHECK_FAULT(protection_far_call(cpu, ABSENT_GATE | 3, 0, 4, 0), VEC_NP, ABSENT_GATE);
    CHECK_FAULT(protection_far_call(cpu, GATE_TO_DATA | 3, 0, 4, 0), VEC_GP, DATA0);
    machine_gate(GDT, GATE32 / 8, CODE0, 0, 0x8c, 0);
    CHECK_FAULT(protection_far_call(cpu, GATE32 | 3, 0, 4, 0), VEC_GP, GATE32); /* gate DPL < CPL */
    machine_ring(0);
    CHECK_FAULT(protection_far_call(cpu, GATE32 | 3, 0, 4, 0), VEC_GP, GATE32); /* gate DPL < RPL */
    machine_gate(GDT, GATE32 / 8, 0, 0, 0xec, 0);
    CHECK_FAULT(protection_far_call(cpu, GATE32, 0, 4, 0), VEC_GP, 0);
    machine_gate(GDT, GATE32 / 8, GDT_END, 0, 0xec, 0);
    CHECK_FAULT(protection_far_call(cpu, GATE32, 0, 4, 0), VEC_GP, GDT_END);
    machine_gate(GDT, GATE32 / 8, CODE3, 0, 0xec, 0);
    CHECK_FAULT(protection_far_call(cpu, GATE32, 0, 4, 0), VEC_GP, CODE3); /* not outwards */
    machine_gate(GDT, GATE32 / 8, ABSENT_CODE0, 0, 0xec, 0);
    CHECK_FAULT(protection_far_call(cpu, GATE32, 0, 4, 0), VEC_NP, ABSENT_CODE0);
    machine_gate(GDT, GATE32 / 8, SHORT_CODE0, 0x1000, 0xec, 0);
    CHECK_FAULT(protection_far_call(cpu, GATE32, 0, 4, 0), VEC_GP, 0);
    machine_ring(3);
    CHECK_FAULT(protection_far_call(cpu, GATE32 | 3, 0, 4, 0), VEC_GP, 0);
}

static void inner_stack_checks(void)
{
    machine_ring(3);
    poke(TSS + 8, 0);
    CHECK_FAULT(protection_far_call(cpu, GATE32 | 3, 0, 4, 0), VEC_TS, 0);
    poke(TSS + 8, GDT_END);
    CHECK_FAULT(protection_far_call(cpu, GATE32 | 3, 0, 4, 0), VEC_TS, GDT_END);
    poke(TSS + 8, DATA0 | 3);
    CHECK_FAULT(protection_far_call(cpu, GATE32 | 3, 0, 4, 0), VEC_TS, DATA0);
    poke(TSS + 8, DATA3);
    CHECK_FAULT(protection_far_call(cpu, GATE32 | 3, 0, 4, 0), VEC_TS, DATA3);
    poke(TSS + 8, CODE0);
    CHECK_FAULT(protection_far_call(cpu, GATE32 | 3, 0, 4, 0), VEC_TS, CODE0);
    poke(TSS + 8, ABSENT_DATA0);
    CHECK_FAULT(protection_far_call(cpu, GATE32 | 3, 0, 4, 0), VEC_SS, ABSENT_DATA0);
    poke(TSS + 8, EXPAND_DOWN), poke(TSS + 4, 0x1014); /* 24 bytes do not fit above 0x1000 */
    CHECK_FAULT(protection_far_call(cpu, GATE32 | 3, 0, 4, 0), VEC_SS, EXPAND_DOWN);
    cpu->tr.limit = 8;
    CHECK_FAULT(protection_far_call(cpu, GATE32 | 3, 0, 4, 0), VEC_TS, TSS_SEL);
    cpu->tr.limit = 9; /* of SS0 two bytes are read */
    CHECK_FAULT(protection_far_call(cpu, GATE32 | 3, 0, 4, 0), VEC_SS, EXPAND_DOWN);

    poke(TSS + 4, STACK0), poke(TSS + 8, DATA0);
    machine_page();
    machine_set_pte(STACK0 - 4096, 0);
    CU_ASSERT_EQUAL(TRY(protection_far_call(cpu, GATE32 | 3, 0, 4, 0)), VEC_PF);
    CU_ASSERT_EQUAL(cpu->fault_error, PF_WRITE); /* the frame is written with the inner privilege */
    CU_ASSERT(machine_unchanged());
    machine_set_pte(STACK0 - 4096, 3);
    CHECK_OK(protection_far_call(cpu, GATE32 | 3, 0, 4, 0));

    enum { LAST_OF_PAGE = 0x3ff6 };
    machine_ring(3);
    cpu->tr.base = LAST_OF_PAGE, cpu->tr.limit = 9;
    poke(LAST_OF_PAGE + 4, STACK0), poke16(LAST_OF_PAGE + 8, DATA0);
    machine_set_pte(LAST_OF_PAGE + 10, 0);
    CHECK_OK(protection_far_call(cpu, GATE32 | 3, 0, 4, 0));
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP] & ~0xffu, (STACK0 - 1) & ~0xffu);
}

static void sixteen_bit_tss(void)
{
    cpu->tr = (struct cpu_segment){ .base = TSS_SHORT, .limit = 0x2b, .selector = TSS16_SEL, .access = SEG_P | 3 };
    poke16(TSS_SHORT + 2, 0x8800), poke16(TSS_SHORT + 4, DATA0);
    machine_ring(3);
    CHECK_OK(protection_far_call(cpu, GATE32 | 3, 0, 4, 0x407));
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], 0x8800 - 24);
    machine_ring(3);
    cpu->tr.limit = 4;
    CHECK_FAULT(protection_far_call(cpu, GATE32 | 3, 0, 4, 0), VEC_TS, TSS16_SEL);
    cpu->tr.limit = 5;
    CHECK_OK(protection_far_call(cpu, GATE32 | 3, 0, 4, 0x407));
}

static void frame(uint32_t eip, uint32_t cs, uint32_t esp, uint32_t ss)
{
    poke(STACK0, eip), poke(STACK0 + 4, cs), poke(STACK0 + 8, esp), poke(STACK0 + 12, ss);
}

static void refuses_returns(void)
{
    frame(0, 0, STACK3, DATA3 | 3);
    CHECK_FAULT(protection_far_return(cpu, 4, 0), VEC_GP, 0);
    frame(0, GDT_END, STACK3, DATA3 | 3);
    CHECK_FAULT(protection_far_return(cpu, 4, 0), VEC_GP, GDT_END);
    frame(0, DATA0, STACK3, DATA3 | 3);
    CHECK_FAULT(protection_far_return(cpu, 4, 0), VEC_GP, DATA0);
    frame(0, CODE3, STACK3, DATA3 | 3);
    CHECK_FAULT(protection_far_return(cpu, 4, 0), VEC_GP, CODE3); /* DPL != RPL */
    frame(0, CONFORMING3 | 1, STACK3, DATA3 | 3);
    CHECK_FAULT(protection_far_return(cpu, 4, 0), VEC_GP, CONFORMING3); /* DPL > RPL */
    frame(0, ABSENT_CODE0, STACK3, DATA3 | 3);
    CHECK_FAULT(protection_far_return(cpu, 4, 0), VEC_NP, ABSENT_CODE0);
    frame(0x1000, SHORT_CODE0, STACK3, DATA3 | 3);
    CHECK_FAULT(protection_far_return(cpu, 4, 0), VEC_GP, 0);
    frame(0, CODE3 | 3, STACK3, 0);
    CHECK_FAULT(protection_far_return(cpu, 4, 0), VEC_GP, 0);
    frame(0, CODE3 | 3, STACK3, DATA3);
    CHECK_FAULT(protection_far_return(cpu, 4, 0), VEC_GP, DATA3);
    frame(0, CODE3 | 3, STACK3, READONLY3 | 3);
    CHECK_FAULT(protection_far_return(cpu, 4, 0), VEC_GP, READONLY3);
    frame(0, CODE3 | 3, STACK3, ABSENT_DATA3 | 3);
    CHECK_FAULT(protection_far_return(cpu, 4, 0), VEC_SS, ABSENT_DATA3);
    machine_ring(3);
    cpu->regs[CPU_ESP] = STACK0;
    frame(0, CODE0, STACK3, DATA3 | 3);
    CHECK_FAULT(protection_far_return(cpu, 4, 0), VEC_GP, CODE0); /* inwards */
    cpu->seg[CPU_SS].limit = STACK0 + 5; /* of CS two bytes are read */
    CHECK_FAULT(protection_far_return(cpu, 4, 0), VEC_GP, CODE0);
    cpu->seg[CPU_SS].limit = STACK0 + 4;
    CHECK_FAULT(protection_far_return(cpu, 4, 0), VEC_SS, 0);
}

static void returns_to_a_16_bit_stack(void)
{
    cpu->regs[CPU_ESP] = 0x00010000 | STACK0;
    frame(0, 0, 0, 0);
    poke(0x10000 + STACK0, 0x407), poke(0x10004 + STACK0, CODE3 | 3);
    poke(0x10008 + STACK0, 0xabcd1234), poke(0x1000c + STACK0, DATA16_3 | 3);
    CHECK_OK(protection_far_return(cpu, 4, 0));
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], 0x00011234); /* the upper half is not the popped one */
}

static void paragraph_modes(void)
{
    machine_real();
    CHECK_OK(protection_far_call(cpu, 0x1234, 0x5678, 2, 0x407));
    CU_ASSERT_EQUAL(cpu->seg_base[CPU_CS], 0x12340);
    CU_ASSERT_EQUAL(cpu->eip, 0x5678);
    CHECK_WORDS(0x3000 + 0xffc, 0x407, 0x200);
    CHECK_OK(protection_far_return(cpu, 2, 4));
    CU_ASSERT_EQUAL(cpu->eip, 0x407);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], 0x1004);
    CHECK_FAULT(protection_far_jump(cpu, 0x1234, 0x10000, 4, 0), VEC_GP, 0);
    CHECK_FAULT(protection_far_call(cpu, 0x1234, 0x10000, 4, 0), VEC_GP, 0);
    cpu->regs[CPU_ESP] = 0xffff;
    CHECK_FAULT(protection_far_return(cpu, 2, 0), VEC_SS, 0);
    cpu->cr0 |= CR0_PE;
    machine_v8086(0);
    CHECK_OK(protection_far_jump(cpu, 0xf000, 0xfff0, 2, 0));
    CU_ASSERT_EQUAL(cpu->seg_base[CPU_CS], 0xf0000);
    CU_ASSERT_EQUAL(cpu->cpl, 3);
}

static void fast_system_calls(void)
{
    CHECK_FAULT(protection_sysenter(cpu), VEC_GP, 0);
    CHECK_FAULT(protection_sysexit(cpu), VEC_GP, 0);
    cpu->sysenter_cs = 0x63, cpu->sysenter_esp = 0xc0001000, cpu->sysenter_eip = 0xc0100000;
    machine_ring(3);
    CHECK_FAULT(protection_sysexit(cpu), VEC_GP, 0);
    cpu->eflags |= FLAG_RF | FLAG_DF;
    CHECK_OK(protection_sysenter(cpu));
    CU_ASSERT_EQUAL(cpu->cpl, 0);
    CU_ASSERT_EQUAL(cpu->eip, 0xc0100000);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], 0xc0001000);
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_DF);
    const struct cpu_segment cs = { 0, 0xffffffff, 0x60, 0xc09b }, ss = { 0, 0xffffffff, 0x68, 0xc093 };
    CU_ASSERT(!memcmp(&cpu->seg[CPU_CS], &cs, sizeof cs));
    CU_ASSERT(!memcmp(&cpu->seg[CPU_SS], &ss, sizeof ss));
    cpu->regs[CPU_ECX] = 0xbffff000, cpu->regs[CPU_EDX] = 0xb7700000;
    CHECK_OK(protection_sysexit(cpu));
    CU_ASSERT_EQUAL(cpu->cpl, 3);
    CU_ASSERT_EQUAL(cpu->eip, 0xb7700000);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], 0xbffff000);
    const struct cpu_segment cs3 = { 0, 0xffffffff, 0x73, 0xc0fb }, ss3 = { 0, 0xffffffff, 0x7b, 0xc0f3 };
    CU_ASSERT(!memcmp(&cpu->seg[CPU_CS], &cs3, sizeof cs3));
    CU_ASSERT(!memcmp(&cpu->seg[CPU_SS], &ss3, sizeof ss3));
    machine_real();
    CHECK_FAULT(protection_sysenter(cpu), VEC_GP, 0);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "JMP to code", jumps_to_code },
        { "JMP refused", refuses_jumps },
        { "CALL and RET at one level", calls_and_returns_at_one_level },
        { "CALL, order of checks", call_checks_its_stack_before_its_target },
        { "call gate at the same level", gate_at_the_same_level },
        { "call gate inwards, RET outwards", gate_inwards_copies_parameters },
        { "16-bit call gate inwards", gate16_inwards },
        { "gates refused", refuses_gates },
        { "inner stack", inner_stack_checks },
        { "16-bit TSS", sixteen_bit_tss },
        { "RET refused", refuses_returns },
        { "RET to a 16-bit stack", returns_to_a_16_bit_stack },
        { "real and v8086 mode", paragraph_modes },
        { "SYSENTER, SYSEXIT", fast_system_calls },
        CU_TEST_INFO_NULL,
    };

    return unit_run_each("transfer", tests, machine_setup, machine_teardown);
}
