/* SPDX-License-Identifier: BSD-2-Clause
 *
 * IRET in its forms, and PUSHF, POPF, CLI, STI.
 */
#include "tests/unit/protection_machine.h"

#define ALL_FLAGS (0x3f7fd5u & ~FLAG_VM)

static void frame(uint32_t eip, uint32_t cs, uint32_t flags)
{
    poke(cpu->regs[CPU_ESP], eip), poke(cpu->regs[CPU_ESP] + 4, cs), poke(cpu->regs[CPU_ESP] + 8, flags);
}

static void outer_frame(uint32_t eip, uint32_t cs, uint32_t flags, uint32_t esp, uint32_t ss)
{
    frame(eip, cs, flags);
    poke(cpu->regs[CPU_ESP] + 12, esp), poke(cpu->regs[CPU_ESP] + 16, ss);
}

static void same_level(void)
{
    cpu->dr[7] = 0x401; /* a breakpoint is armed: RF counts */
    frame(0x555, CODE0, ALL_FLAGS & ~FLAG_NT);
    CHECK_OK(protection_iret(cpu, 4, 0));
    CU_ASSERT_EQUAL(cpu->eip, 0x555);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK0 + 12);
    CU_ASSERT_EQUAL(cpu->eflags, (ALL_FLAGS & ~FLAG_NT) | FLAG_ONE);

    machine_ring(0);
    poke16(STACK0, 0x666), poke16(STACK0 + 2, CODE0), poke16(STACK0 + 4, FLAG_CF | FLAG_TF);
    cpu->eflags |= FLAG_AC | FLAG_ID;
    CHECK_OK(protection_iret(cpu, 2, 0));
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK0 + 6);
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_CF | FLAG_TF | FLAG_AC | FLAG_ID); /* the upper half stays */
}

static void flags_by_privilege(void)
{
    machine_ring(3);
    frame(0x555, CODE3 | 3, ALL_FLAGS & ~FLAG_NT & ~FLAG_IF);
    CHECK_OK(protection_iret(cpu, 4, 0));
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | (ALL_FLAGS & ~(FLAG_NT | FLAG_RF | FLAG_IOPL | FLAG_VIF | FLAG_VIP)));
    machine_ring(3);
    cpu->eflags |= FLAG_IOPL;
    frame(0x555, CODE3 | 3, FLAG_VM);
    CHECK_OK(protection_iret(cpu, 4, 0)); /* IF yes, IOPL and VM no */
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_IOPL);
    CU_ASSERT_EQUAL(cpu->cpl, 3);
}

static void outer_level(void)
{
    protection_load_segment(cpu, CPU_DS, DATA0);
    protection_load_segment(cpu, CPU_ES, 2);
    outer_frame(0x08048000, CODE3 | 3, FLAG_IF | FLAG_CF, 0xbffff000, DATA3 | 3);
    CHECK_OK(protection_iret(cpu, 4, 0));
    CU_ASSERT_EQUAL(cpu->cpl, 3);
    CU_ASSERT_EQUAL(cpu->eip, 0x08048000);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], 0xbffff000);
    CU_ASSERT_EQUAL(cpu->seg[CPU_DS].selector, 0);
    CU_ASSERT_EQUAL(cpu->seg[CPU_DS].access, 0);
    CU_ASSERT_EQUAL(cpu->seg[CPU_ES].selector, 0); /* null loses its RPL */
    CU_ASSERT_EQUAL(cpu->seg[CPU_FS].selector, DATA3 | 3);
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_IF | FLAG_CF);
}

static void round_trip_of_a_system_call(void)
{
    machine_ring(3);
    const struct cpu_segment cs = cpu->seg[CPU_CS];
    protection_int(cpu, 0x80, 0x402);
    CHECK_OK(protection_iret(cpu, 4, 0));
    CU_ASSERT_EQUAL(cpu->eip, 0x402);
    CU_ASSERT_EQUAL(cpu->cpl, 3);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK3);
    CU_ASSERT_EQUAL(cpu->seg[CPU_CS].access, cs.access);
    CU_ASSERT_EQUAL(cpu->seg[CPU_CS].limit, cs.limit);
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_IF);
}

static void refused(void)
{
    outer_frame(0, 3, 0, 0, DATA3 | 3);
    CHECK_FAULT(protection_iret(cpu, 4, 0), VEC_GP, 0);
    outer_frame(0, DATA0, 0, 0, DATA3 | 3);
    CHECK_FAULT(protection_iret(cpu, 4, 0), VEC_GP, DATA0);
    outer_frame(0, CODE0 | 3, 0, 0, DATA3 | 3);
    CHECK_FAULT(protection_iret(cpu, 4, 0), VEC_GP, CODE0);
    outer_frame(0, ABSENT_CODE0, 0, 0, DATA3 | 3);
    CHECK_FAULT(protection_iret(cpu, 4, 0), VEC_NP, ABSENT_CODE0);
    outer_frame(0, CODE3 | 3, FLAG_CF, 0, DATA0);
    CHECK_FAULT(protection_iret(cpu, 4, 0), VEC_GP, DATA0);
    outer_frame(0, CODE3 | 3, FLAG_CF, 0, 3);
    CHECK_FAULT(protection_iret(cpu, 4, 0), VEC_GP, 0);
    outer_frame(0, CODE3 | 3, FLAG_CF, 0, ABSENT_DATA3 | 3);
    CHECK_FAULT(protection_iret(cpu, 4, 0), VEC_SS, ABSENT_DATA3);
    outer_frame(0x1000, SHORT_CODE0, 0, 0, 0);
    CHECK_FAULT(protection_iret(cpu, 4, 0), VEC_GP, 0);
    machine_ring(3);
    frame(0, CODE0, 0);
    CHECK_FAULT(protection_iret(cpu, 4, 0), VEC_GP, CODE0);
    machine_page();
    machine_set_pte(STACK3, 3);
    CU_ASSERT_EQUAL(TRY(protection_iret(cpu, 4, 0)), VEC_PF);
    CU_ASSERT_EQUAL(cpu->fault_error, PF_PRESENT | PF_USER);
    CU_ASSERT_EQUAL(cpu->cr2, STACK3);
    CU_ASSERT(machine_unchanged());
}

static void into_and_out_of_v8086(void)
{
    outer_frame(0x1234, 0x610, FLAG_VM | FLAG_IF | FLAG_IOPL, 0x12345678, 0x620);
    poke(STACK0 + 20, 0x600), poke(STACK0 + 24, 0x630), poke(STACK0 + 28, 0x640), poke(STACK0 + 32, 0x650);
    CHECK_OK(protection_iret(cpu, 4, 0));
    CU_ASSERT(cpu_v8086(cpu));
    CU_ASSERT_EQUAL(cpu->cpl, 3);
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_VM | FLAG_IF | FLAG_IOPL);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], 0x12345678);
    for (int i = 0; i < CPU_SEG_COUNT; i++) {
        CU_ASSERT_EQUAL(cpu->seg[i].selector, 0x600 + 0x10 * i);
        CU_ASSERT_EQUAL(cpu->seg_base[i], 0x6000u + 0x100 * i);
        CU_ASSERT_EQUAL(cpu->seg[i].limit, 0xffff);
        CU_ASSERT_EQUAL(cpu->seg[i].access & (SEG_DPL | SEG_P | SEG_DB), SEG_DPL | SEG_P);
    }
    protection_hardware_interrupt(cpu, 0x20);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK0 - 36);
    CHECK_DWORDS(STACK0 - 36, 0x1234, 0x610, FLAG_ONE | FLAG_VM | FLAG_IF | FLAG_IOPL, 0x12345678, 0x620, 0x600, 0x630,
                 0x640, 0x650);
    poke(STACK0 - 36, 0x10000);
    CHECK_FAULT(protection_iret(cpu, 4, 0), VEC_GP, 0); /* EIP beyond 64 KiB */
}

static void within_v8086(void)
{
    const uint32_t sp = 0x6200 + STACK_V86;

    machine_v8086(3);
    poke16(sp, 0x77), poke16(sp + 2, 0x650), poke16(sp + 4, FLAG_CF);
    CHECK_OK(protection_iret(cpu, 2, 0));
    CU_ASSERT_EQUAL(cpu->eip, 0x77);
    CU_ASSERT_EQUAL(cpu->seg_base[CPU_CS], 0x6500);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK_V86 + 6);
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_CF | FLAG_VM | FLAG_IOPL); /* IF is ours, IOPL is not */
    machine_v8086(2);
    CHECK_FAULT(protection_iret(cpu, 2, 0), VEC_GP, 0);
    cpu->cr4 |= CR4_VME;
    CHECK_FAULT(protection_iret(cpu, 4, 0), VEC_GP, 0);
    poke16(sp + 4, FLAG_IF);
    cpu->eflags |= FLAG_VIP;
    CHECK_FAULT(protection_iret(cpu, 2, 0), VEC_GP, 0);
    cpu->eflags &= ~FLAG_VIP;
    poke16(sp + 4, FLAG_TF);
    CHECK_FAULT(protection_iret(cpu, 2, 0), VEC_GP, 0);
    poke16(sp + 4, FLAG_IF | FLAG_CF);
    cpu->eflags &= ~FLAG_IF;
    CHECK_OK(protection_iret(cpu, 2, 0));
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_CF | FLAG_VM | FLAG_VIF | 2 << FLAGS_IOPL_SHIFT);
}

static void in_real_mode(void)
{
    machine_real();
    poke(0x4000, 0x77), poke(0x4004, 0x650), poke(0x4008, 0xffffffff);
    CHECK_OK(protection_iret(cpu, 4, 0));
    CU_ASSERT_EQUAL(cpu->eip, 0x77);
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | (ALL_FLAGS & ~(FLAG_RF | FLAG_VIF | FLAG_VIP)));
    machine_real();
    poke(0x4000, 0x10000);
    CHECK_FAULT(protection_iret(cpu, 4, 0), VEC_GP, 0);
}

static void popf_by_iopl(void)
{
    protection_popf(cpu, 0xffffffff, 4);
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | (ALL_FLAGS & ~(FLAG_RF | FLAG_VIF | FLAG_VIP)));
    CU_ASSERT_EQUAL(protection_pushf_image(cpu, 4), cpu->eflags);
    machine_ring(3);
    protection_popf(cpu, FLAG_IOPL | FLAG_CF | FLAG_AC, 4);
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_IF | FLAG_CF | FLAG_AC);
    cpu->eflags |= FLAG_IOPL;
    protection_popf(cpu, 0, 2);
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_IOPL | FLAG_AC);
    machine_ring(1);
    cpu->eflags |= 1 << FLAGS_IOPL_SHIFT;
    protection_popf(cpu, FLAG_IOPL, 2);
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | 1 << FLAGS_IOPL_SHIFT);
}

static void popf_in_v8086(void)
{
    machine_v8086(2);
    CHECK_FAULT(protection_popf(cpu, 0, 2), VEC_GP, 0);
    CHECK_FAULT(protection_pushf_image(cpu, 2), VEC_GP, 0);
    cpu->cr4 |= CR4_VME;
    CHECK_FAULT(protection_popf(cpu, 0, 4), VEC_GP, 0);
    CHECK_FAULT(protection_pushf_image(cpu, 4), VEC_GP, 0);
    CU_ASSERT_EQUAL(protection_pushf_image(cpu, 2), FLAG_ONE | FLAG_IOPL);
    CHECK_OK(protection_popf(cpu, FLAG_IF | FLAG_DF, 2));
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_IF | FLAG_VM | FLAG_VIF | FLAG_DF | 2 << FLAGS_IOPL_SHIFT);
    CU_ASSERT_EQUAL(protection_pushf_image(cpu, 2), FLAG_ONE | FLAG_IF | FLAG_DF | FLAG_IOPL);
    cpu->eflags |= FLAG_VIP;
    CHECK_FAULT(protection_popf(cpu, FLAG_IF, 2), VEC_GP, 0);
    machine_v8086(3);
    CHECK_OK(protection_popf(cpu, FLAG_CF, 4));
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_CF | FLAG_VM | FLAG_IOPL);
    CU_ASSERT_EQUAL(protection_pushf_image(cpu, 4), FLAG_ONE | FLAG_CF | FLAG_IOPL); /* VM does not show */
}

static void cli_and_sti(void)
{
    CHECK_OK(protection_cli(cpu));
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE);
    CHECK_OK(protection_sti(cpu));
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_IF);
    CU_ASSERT(cpu->interrupt_shadow);
    cpu->interrupt_shadow = false;
    CHECK_OK(protection_sti(cpu));
    CU_ASSERT(!cpu->interrupt_shadow); /* IF was on already */

    machine_ring(3);
    CHECK_FAULT(protection_cli(cpu), VEC_GP, 0);
    CHECK_FAULT(protection_sti(cpu), VEC_GP, 0);
    cpu->eflags |= FLAG_IOPL;
    CHECK_OK(protection_cli(cpu));
    machine_ring(3);
    cpu->cr4 |= CR4_VME; /* the wrong extension */
    CHECK_FAULT(protection_cli(cpu), VEC_GP, 0);
    cpu->cr4 = CR4_PVI;
    CHECK_OK(protection_sti(cpu));
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_IF | FLAG_VIF);
    CU_ASSERT(!cpu->interrupt_shadow);
    CHECK_OK(protection_cli(cpu));
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_IF);
    cpu->eflags |= FLAG_VIP;
    CHECK_FAULT(protection_sti(cpu), VEC_GP, 0);
    machine_ring(1);
    CHECK_FAULT(protection_sti(cpu), VEC_GP, 0); /* PVI is for ring 3 */
    machine_v8086(0);
    CHECK_FAULT(protection_sti(cpu), VEC_GP, 0);
    cpu->cr4 = CR4_VME;
    CHECK_OK(protection_sti(cpu));
    CU_ASSERT(cpu->eflags & FLAG_VIF);
    machine_real();
    CHECK_OK(protection_cli(cpu));
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "same level", same_level },
        { "flags by privilege", flags_by_privilege },
        { "outer level", outer_level },
        { "INT and IRET", round_trip_of_a_system_call },
        { "refused", refused },
        { "into v8086 mode and out", into_and_out_of_v8086 },
        { "within v8086 mode", within_v8086 },
        { "real mode", in_real_mode },
        { "POPF by IOPL", popf_by_iopl },
        { "POPF in v8086 mode", popf_in_v8086 },
        { "CLI, STI", cli_and_sti },
        CU_TEST_INFO_NULL,
    };

    return unit_run_each("iret", tests, machine_setup, machine_teardown);
}
