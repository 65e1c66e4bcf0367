/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Delivery of interrupts and exceptions: frames byte for byte, every fault of
 * the delivery with its error code, nesting up to shutdown, INT n of v8086.
 */
#include "tests/unit/protection_machine.h"

static void hardware_at_the_same_level(void)
{
    cpu->eflags |= FLAG_TF | FLAG_NT | FLAG_CF;
    protection_hardware_interrupt(cpu, 0x20);
    CU_ASSERT_EQUAL(cpu->eip, HANDLER);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK0 - 12);
    CHECK_DWORDS(STACK0 - 12, 0x400, CODE0, FLAG_ONE | FLAG_IF | FLAG_TF | FLAG_NT | FLAG_CF);
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_CF);
    CU_ASSERT(!cpu->halted);
}

static void trap_gate_keeps_if(void)
{
    machine_gate(IDT, 0x21, CODE0, HANDLER, 0x8f, 0);
    cpu->halted = cpu->interrupt_shadow = true;
    protection_hardware_interrupt(cpu, 0x21);
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_IF);
    CU_ASSERT(!cpu->halted && !cpu->interrupt_shadow);
}

static void user_to_kernel(void)
{
    machine_ring(3);
    CHECK_OK(protection_int(cpu, 0x80, 0x402));
    CU_ASSERT_EQUAL(cpu->cpl, 0);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK0 - 20);
    CHECK_DWORDS(STACK0 - 20, 0x402, CODE3 | 3, FLAG_ONE | FLAG_IF, STACK3, DATA3 | 3);
    CU_ASSERT_EQUAL(cpu->seg[CPU_CS].selector, CODE0);
    CU_ASSERT_EQUAL(cpu->seg[CPU_SS].selector, DATA0);
    CU_ASSERT_EQUAL(cpu->seg[CPU_DS].selector, DATA3 | 3);
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_IF); /* vector 0x80 is a trap gate */
}

static void page_fault_from_user(void)
{
    machine_ring(3);
    cpu->fault_vector = VEC_PF, cpu->fault_error = 6, cpu->fault_has_error = true;
    protection_exception(cpu);
    CHECK_DWORDS(STACK0 - 24, 6, 0x400, CODE3 | 3, FLAG_ONE | FLAG_IF | FLAG_RF, STACK3, DATA3 | 3);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK0 - 24);
    CU_ASSERT_EQUAL(cpu->eflags & (FLAG_RF | FLAG_IF), 0);
    CU_ASSERT(!cpu->shutdown);
    CU_ASSERT(cpu->fault_env == NULL); /* put back as it was */
}

static void to_a_middle_level_and_16_bit_gate(void)
{
    machine_gate(IDT, 0x30, CODE1, HANDLER, 0xe6, 0);
    machine_ring(3);
    cpu->regs[CPU_ESP] = 0x5555b000;
    CHECK_OK(protection_interrupt(cpu, 0x30, INTERRUPT_SOFTWARE, false, 0, 0x12340402));
    CU_ASSERT_EQUAL(cpu->cpl, 1);
    CU_ASSERT_EQUAL(cpu->eip, HANDLER & 0xffff);
    CU_ASSERT_EQUAL(cpu->seg[CPU_CS].selector, CODE1 | 1);
    CU_ASSERT_EQUAL(cpu->seg[CPU_SS].selector, DATA1 | 1);
    CHECK_WORDS(STACK1 - 10, 0x0402, CODE3 | 3, FLAG_ONE | FLAG_IF, 0xb000, DATA3 | 3);
}

static void conforming_handler_stays(void)
{
    machine_gate(IDT, 0x31, CONFORMING0, HANDLER, 0xee, 0);
    machine_ring(3);
    CHECK_OK(protection_int(cpu, 0x31, 0x402));
    CU_ASSERT_EQUAL(cpu->cpl, 3);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK3 - 12);
    CU_ASSERT_EQUAL(cpu->seg[CPU_CS].selector, CONFORMING0 | 3);
}

static void set_gate(uint16_t selector, unsigned type) { machine_gate(IDT, 0x40, selector, HANDLER, type, 0); }
static void software(void) { protection_int(cpu, 0x40, 0x402); }
static void hardware(void) { protection_interrupt(cpu, 0x40, INTERRUPT_HARDWARE, false, 0, 0); }

static void faults_of_the_gate(void)
{
    const uint32_t here = 0x40 * 8 + 2;

    machine_ring(3);
    set_gate(CODE0, 0x8e);
    CHECK_FAULT(software(), VEC_GP, here); /* gate DPL < CPL */
    CHECK_OK(hardware());
    machine_ring(3);
    set_gate(CODE0, 0x6e);
    CHECK_FAULT(software(), VEC_NP, here);
    CHECK_FAULT(hardware(), VEC_NP, here | 1);
    set_gate(CODE0, 0xec); /* a call gate */
    CHECK_FAULT(software(), VEC_GP, here);
    CHECK_FAULT(hardware(), VEC_GP, here | 1);
    cpu->idtr.limit = 0x40 * 8 + 6;
    CHECK_FAULT(software(), VEC_GP, here);
    CHECK_FAULT(hardware(), VEC_GP, here | 1);
}

static void faults_of_the_handler(void)
{
    static const struct { uint16_t selector; int vector; uint16_t code; } rows[] = {
        { 0, VEC_GP, 0 },
        { GDT_END, VEC_GP, GDT_END },
        { DATA0, VEC_GP, DATA0 },
        { TSS2_SEL, VEC_GP, TSS2_SEL },
        { ABSENT_CODE0, VEC_NP, ABSENT_CODE0 },
        { SHORT_CODE0, VEC_GP, 0 }, /* offset beyond the limit */
        { CODE1, VEC_GP, CODE1 },   /* outwards, from ring 0 */
    };

    for (volatile unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        machine_ring(rows[i].selector == CODE1 ? 0 : 3);
        set_gate(rows[i].selector, 0xee);
        CHECK_FAULT(software(), rows[i].vector, rows[i].code);
        CHECK_FAULT(hardware(), rows[i].vector, rows[i].code | 1);
    }
}

static void faults_of_the_stack(void)
{
    machine_ring(3);
    poke(TSS + 8, 0);
    CHECK_FAULT(protection_int(cpu, 0x80, 0x402), VEC_TS, 0);
    poke(TSS + 8, DATA3);
    CHECK_FAULT(hardware(), VEC_TS, DATA3 | 1);
    poke(TSS + 8, ABSENT_DATA0);
    CHECK_FAULT(hardware(), VEC_SS, ABSENT_DATA0 | 1);
    poke(TSS + 8, EXPAND_DOWN), poke(TSS + 4, 0x1010);
    CHECK_FAULT(hardware(), VEC_SS, EXPAND_DOWN | 1);
    cpu->tr.limit = 6;
    CHECK_FAULT(hardware(), VEC_TS, TSS_SEL | 1);
    cpu->tr.limit = 0x3ff;
    machine_ring(0);
    protection_load_segment(cpu, CPU_SS, EXPAND_DOWN);
    cpu->regs[CPU_ESP] = 0x1008;
    CHECK_FAULT(hardware(), VEC_SS, 1); /* same level: no selector */
    CHECK_FAULT(protection_int(cpu, 0x80, 0x402), VEC_SS, 0);
}

static void out_of_v8086(void)
{
    machine_v8086(3);
    cpu->regs[CPU_ESP] = 0x12348000;
    protection_hardware_interrupt(cpu, 0x20);
    CU_ASSERT_EQUAL(cpu->cpl, 0);
    CU_ASSERT(!cpu_v8086(cpu));
    CHECK_DWORDS(STACK0 - 36, 0x40, 0x610, FLAG_ONE | FLAG_IF | FLAG_VM | FLAG_IOPL, 0x12348000, 0x620, 0x600, 0x630, 0x640,
                 0x650);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK0 - 36);
    CU_ASSERT_EQUAL(cpu->seg[CPU_DS].selector | cpu->seg[CPU_ES].selector | cpu->seg[CPU_FS].selector |
                        cpu->seg[CPU_GS].selector, 0);
    CU_ASSERT_EQUAL(cpu->seg[CPU_DS].access, 0);
    CU_ASSERT_EQUAL(cpu->seg[CPU_CS].selector, CODE0);
}

static void v8086_needs_ring_0(void)
{
    machine_v8086(3);
    set_gate(CODE1, 0xee);
    CHECK_FAULT(software(), VEC_GP, CODE1);
    set_gate(CONFORMING3, 0xee);
    CHECK_FAULT(hardware(), VEC_GP, CONFORMING3 | 1);
    machine_v8086(0);
    CHECK_FAULT(protection_int(cpu, 0x80, 0x42), VEC_GP, 0); /* IOPL < 3 */
    CHECK_OK(protection_interrupt(cpu, 0x80, INTERRUPT_SOFTWARE, false, 0, 0x42)); /* INT3 and INTO do not care */
}

static void v8086_extensions(void)
{
    machine_v8086(0);
    cpu->cr4 = CR4_VME;
    cpu->eflags |= FLAG_VIF | FLAG_TF;
    poke16(TSS + 102, 0x88); /* redirection bitmap at 0x68 */
    poke16(0x21 * 4, 0x5678), poke16(0x21 * 4 + 2, 0x0700);
    CHECK_OK(protection_int(cpu, 0x21, 0x42));
    CU_ASSERT(cpu_v8086(cpu));
    CU_ASSERT_EQUAL(cpu->eip, 0x5678);
    CU_ASSERT_EQUAL(cpu->seg[CPU_CS].selector, 0x700);
    CHECK_WORDS(0x6200 + STACK_V86 - 6, 0x42, 0x610, FLAG_ONE | FLAG_IF | FLAG_TF | FLAG_IOPL);
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_IF | FLAG_VM); /* VIF and TF off, IF as it was */
    machine_v8086(3);
    CHECK_OK(protection_int(cpu, 0x21, 0x42));
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_VM | FLAG_IOPL); /* IOPL 3: IF itself */
    poke8(TSS + 0x68 + 4, 2); /* vector 0x21 goes to the monitor */
    machine_v8086(0);
    CHECK_FAULT(protection_int(cpu, 0x21, 0x42), VEC_GP, 0);
    machine_gate(IDT, 0x21, CODE0, HANDLER, 0xee, 0);
    machine_v8086(3);
    CHECK_OK(protection_int(cpu, 0x21, 0x42));
    CU_ASSERT_EQUAL(cpu->cpl, 0);
}

static void real_mode(void)
{
    machine_real();
    poke16(0x21 * 4, 0x5678), poke16(0x21 * 4 + 2, 0x0700);
    cpu->eflags |= FLAG_TF | FLAG_AC | FLAG_CF;
    CHECK_OK(protection_int(cpu, 0x21, 0x402));
    CU_ASSERT_EQUAL(cpu->eip, 0x5678);
    CU_ASSERT_EQUAL(cpu->seg_base[CPU_CS], 0x7000);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], 0xffa);
    CHECK_WORDS(0x3ffa, 0x402, 0x200, FLAG_ONE | FLAG_IF | FLAG_TF | FLAG_CF);
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE | FLAG_CF);
    machine_real();
    cpu->fault_vector = VEC_GP, cpu->fault_error = 0, cpu->fault_has_error = true;
    protection_exception(cpu); /* no error code in real mode */
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], 0xffa);
    cpu->idtr.limit = 0x20;
    CHECK_FAULT(protection_int(cpu, 8, 0x402), VEC_GP, 0);
    protection_hardware_interrupt(cpu, 8); /* #GP is out of the table as well, so is #DF */
    CU_ASSERT(cpu->shutdown);
}

static void raise_exception(int vector, uint32_t error)
{
    cpu->fault_vector = vector, cpu->fault_error = error, cpu->fault_has_error = true;
    protection_exception(cpu);
}

static void nested_faults(void)
{
    /* #UD whose gate is absent: #NP in its place, EXT set. */
    poke8(IDT + VEC_UD * 8 + 5, 0x0e);
    cpu->fault_vector = VEC_UD, cpu->fault_has_error = false;
    protection_exception(cpu);
    CHECK_DWORDS(STACK0 - 16, VEC_UD * 8 + 3, 0x400, CODE0, FLAG_ONE | FLAG_IF | FLAG_RF);
    /* #GP whose gate is absent: contributory twice, #DF with error code 0. */
    machine_ring(0);
    poke8(IDT + VEC_GP * 8 + 5, 0x0e);
    machine_gate(IDT, VEC_DF, CODE0, 0xd0000, 0x8e, 0);
    raise_exception(VEC_GP, 0x55);
    CU_ASSERT_EQUAL(cpu->eip, 0xd0000);
    CHECK_DWORDS(STACK0 - 16, 0, 0x400, CODE0);
    /* #PF and then #NP: #DF. */
    machine_ring(0);
    poke8(IDT + VEC_PF * 8 + 5, 0x0e);
    raise_exception(VEC_PF, 2);
    CU_ASSERT_EQUAL(cpu->eip, 0xd0000);
    CU_ASSERT(!cpu->shutdown);
    /* a hardware interrupt whose gate is absent: #NP */
    machine_ring(0);
    poke8(IDT + 0x20 * 8 + 5, 0x0e);
    protection_hardware_interrupt(cpu, 0x20);
    CHECK_DWORDS(STACK0 - 16, 0x20 * 8 + 3, 0x400, CODE0);
    /* and without a gate for #DF: shutdown */
    machine_ring(0);
    poke8(IDT + VEC_DF * 8 + 5, 0x0e);
    raise_exception(VEC_GP, 0);
    CU_ASSERT(cpu->shutdown);
}

static void contributory_then_page_fault(void)
{
    machine_page();
    machine_set_pte(0x4000, 0);
    cpu->idtr.base = 0x4000 - VEC_GP * 8; /* entries from #GP on lie in the absent page */
    for (unsigned i = 0; i < 32; i++)
        machine_gate(cpu->idtr.base, i, CODE0, HANDLER, 0x8e, 0);
    machine_gate(cpu->idtr.base, VEC_DF, CODE0, 0xd0000, 0x8e, 0);
    raise_exception(VEC_GP, 0); /* #PF in turn, whose delivery faults again: #DF */
    CU_ASSERT_EQUAL(cpu->eip, 0xd0000);
    CU_ASSERT_EQUAL(cpu->cr2, 0x4000 + 8);
}

static void debug_exception_and_dr6(void)
{
    cpu->dr[7] |= DR7_GD;
    CU_ASSERT_EQUAL(TRY(protection_read_dr(cpu, 0)), VEC_DB);
    protection_exception(cpu);
    CU_ASSERT_EQUAL(cpu->dr[6], 0xffff0ff0 | DR6_BD);
    CU_ASSERT_EQUAL(cpu->dr[7], 0x400);
    CHECK_DWORDS(STACK0 - 12, 0x400, CODE0, FLAG_ONE | FLAG_IF); /* no error code, no RF */
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK0 - 12);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "hardware, same level", hardware_at_the_same_level },
        { "trap gate", trap_gate_keeps_if },
        { "ring 3 to 0", user_to_kernel },
        { "page fault from ring 3", page_fault_from_user },
        { "ring 3 to 1, 16-bit gate", to_a_middle_level_and_16_bit_gate },
        { "conforming handler", conforming_handler_stays },
        { "faults of the gate", faults_of_the_gate },
        { "faults of the handler", faults_of_the_handler },
        { "faults of the stack", faults_of_the_stack },
        { "out of v8086 mode", out_of_v8086 },
        { "v8086 mode needs ring 0", v8086_needs_ring_0 },
        { "v8086 extensions", v8086_extensions },
        { "real mode", real_mode },
        { "nested faults", nested_faults },
        { "#GP, then #PF, then #DF", contributory_then_page_fault },
        { "#DB and DR6", debug_exception_and_dr6 },
        CU_TEST_INFO_NULL,
    };

    return unit_run_each("interrupt", tests, machine_setup, machine_teardown);
}
