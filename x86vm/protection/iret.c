/* SPDX-License-Identifier: BSD-2-Clause
 *
 * IRET in all its forms (SDM vol. 2): real mode, virtual-8086 mode with and
 * without VME, same level, outer level, into virtual-8086 mode, and back to a
 * nested task. The hot paths are the second and third of protected mode.
 */
#include "x86vm/protection/flags.h"
#include "x86vm/protection/transfer.h"

static void restore_flags(struct cpu *cpu, uint32_t image, uint32_t mask)
{
    flags_write(cpu, flags_to_restore(cpu, image), mask);
}

static void iret_paragraph(struct cpu *cpu, unsigned size)
{
    struct stack stack = stack_current(cpu, 0);
    uint32_t frame[3];
    const uint32_t keep = FLAG_VM | FLAG_VIF | FLAG_VIP | (cpu_v8086(cpu) ? FLAG_IOPL : 0);

    stack_pop(cpu, &stack, frame, 3, size, STACK_SECOND_SELECTOR);
    paragraph_jump(cpu, frame[1], frame[0]);
    stack_commit_pointer(cpu, &stack);
    restore_flags(cpu, frame[2], FLAGS_WRITABLE & (size == 2 ? 0xffff : 0xffffffff) & ~keep);
}

/* IOPL < 3: with VME a 16-bit IRET works on VIF instead of IF. */
static void iret_v8086_virtual(struct cpu *cpu, unsigned size)
{
    struct stack stack = stack_current(cpu, 0);
    uint32_t frame[3];

    if (size != 2 || !(cpu->cr4 & CR4_VME))
        cpu_fault_error(cpu, VEC_GP, 0);
    stack_pop(cpu, &stack, frame, 3, 2, STACK_SECOND_SELECTOR);
    flags_require_virtual(cpu, frame[2]);
    paragraph_jump(cpu, frame[1], frame[0]);
    stack_commit_pointer(cpu, &stack);
    flags_write_virtual(cpu, frame[2]);
}

static void iret_to_task(struct cpu *cpu, uint32_t return_eip)
{
    const uint16_t link = view_read16(cpu, cpu->tr.base, false);
    protection_task_switch(cpu, link, TASK_IRET, return_eip, false, 0);
}

static void iret_to_v8086(struct cpu *cpu, struct stack *stack, const uint32_t *frame)
{
    static const uint8_t order[] = { CPU_ES, CPU_DS, CPU_FS, CPU_GS };
    uint32_t rest[6];

    stack_pop(cpu, stack, rest, 6, 4, STACK_V8086_SELECTORS);
    if (frame[0] > 0xffff)
        cpu_fault_error(cpu, VEC_GP, 0);
    restore_flags(cpu, frame[2], FLAGS_WRITABLE | FLAG_IOPL | FLAG_VM | FLAG_VIF | FLAG_VIP);
    segment_load_paragraph(cpu, CPU_CS, frame[1]);
    segment_load_paragraph(cpu, CPU_SS, rest[1]);
    for (unsigned i = 0; i < sizeof order; i++)
        segment_load_paragraph(cpu, order[i], rest[2 + i]);
    cpu->eip = frame[0];
    cpu->regs[CPU_ESP] = rest[0];
    privilege_set(cpu, 3);
}

static void iret_protected(struct cpu *cpu, unsigned size)
{
    struct stack stack = stack_current(cpu, 0);
    uint32_t frame[3], mask = FLAGS_WRITABLE & ~(uint32_t)(FLAG_IF | FLAG_IOPL | FLAG_VIF | FLAG_VIP);
    struct descriptor code;

    stack_pop(cpu, &stack, frame, 3, size, STACK_SECOND_SELECTOR);
    if (size == 4 && frame[2] & FLAG_VM && cpu->cpl == 0) {
        iret_to_v8086(cpu, &stack, frame);
        return;
    }
    if (cpu->cpl <= cpu_iopl(cpu))
        mask |= FLAG_IF;
    if (cpu->cpl == 0)
        mask |= FLAG_IOPL | FLAG_VIF | FLAG_VIP;
    if (size == 2)
        mask &= 0xffff;
    return_fetch_code(cpu, frame[1], &code);
    return_finish(cpu, frame[1], &code, frame[0], &stack, size, 0);
    restore_flags(cpu, frame[2], mask);
}

/* NMIs are let in again even when the IRET faults (6.7.1). */
void protection_iret(struct cpu *cpu, unsigned size, uint32_t return_eip)
{
    cpu->nmi_blocked = false;
    if (!cpu_protected(cpu))
        iret_paragraph(cpu, size);
    else if (cpu_v8086(cpu))
        cpu_iopl(cpu) == 3 ? iret_paragraph(cpu, size) : iret_v8086_virtual(cpu, size);
    else if (cpu->eflags & FLAG_NT)
        iret_to_task(cpu, return_eip);
    else
        iret_protected(cpu, size);
}
