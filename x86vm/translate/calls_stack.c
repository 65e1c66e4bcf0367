/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Stack instructions in C: on 16-bit or segmented stacks, with 16-bit
 * operands, and PUSHA, POPA, ENTER, PUSHF, POPF, segment pushes and pops on
 * any stack. ESP is restored before a fault of a later step is raised.
 */
#include "x86vm/memory/view.h"
#include "x86vm/protection/protection.h"
#include "x86vm/translate/calls.h"
#include "x86vm/translate/operand.h"
#include "x86vm/translate/transition.h"

static uint32_t stack_mask(const struct cpu *cpu)
{
    return cpu->seg[CPU_SS].access & SEG_DB ? 0xffffffff : 0xffff;
}

/* ESP once it has moved to `value`: the upper half stays where the stack has 16 bits. */
static uint32_t moved_esp(const struct cpu *cpu, uint32_t value)
{
    uint32_t mask = stack_mask(cpu);
    return (cpu->regs[CPU_ESP] & ~mask) | (value & mask);
}

static void set_esp(struct cpu *cpu, uint32_t value)
{
    cpu->regs[CPU_ESP] = moved_esp(cpu, value);
}

static uint32_t stack_linear(struct cpu *cpu, uint32_t offset, uint32_t size, bool write)
{
    return protection_program_address(cpu, CPU_SS, offset & stack_mask(cpu), size, write);
}

enum call_result calls_push(struct cpu *cpu, const struct insn *insn)
{
    uint32_t value;

    if (insn->has_mem)
        value = operand_load(cpu, insn, 0, insn->opsize);
    else if (insn->opcode_is_gpr)
        value = operand_reg(cpu, insn->opcode & 7, insn->opsize);
    else if (insn->has_modrm)
        value = operand_reg(cpu, insn_rm(insn), insn->opsize);
    else
        value = insn->imm;
    protection_push(cpu, value, insn->opsize);
    return CALL_NEXT;
}

enum call_result calls_pop(struct cpu *cpu, const struct insn *insn)
{
    uint32_t esp = cpu->regs[CPU_ESP], value = protection_pop(cpu, insn->opsize), linear;

    if (!insn->has_mem) {
        operand_set_reg(cpu, insn->has_modrm ? insn_rm(insn) : insn->opcode & 7u, insn->opsize, value);
        return CALL_NEXT;
    }
    /* The address is computed with the new ESP, but a fault must show the old. */
    uint32_t offset = operand_offset(cpu, insn), popped = cpu->regs[CPU_ESP];
    cpu->regs[CPU_ESP] = esp;
    linear = protection_program_address(cpu, insn->mem.seg, offset, insn->opsize, true);
    view_write(cpu, linear, &value, insn->opsize, cpu->cpl == 3);
    cpu->regs[CPU_ESP] = popped;
    return CALL_NEXT;
}

enum call_result calls_leave(struct cpu *cpu, const struct insn *insn)
{
    uint32_t value = 0, frame = cpu->regs[CPU_EBP];

    view_read(cpu, stack_linear(cpu, frame, insn->opsize, false), &value, insn->opsize, cpu->cpl == 3);
    set_esp(cpu, frame + insn->opsize);
    operand_set_reg(cpu, CPU_EBP, insn->opsize, value);
    return CALL_NEXT;
}

static enum call_result jump_to(struct cpu *cpu, const struct insn *insn, uint32_t target)
{
    cpu->eip = insn->opsize == 2 ? target & 0xffff : target;
    return CALL_EXIT;
}

static void check_target(struct cpu *cpu, uint32_t target)
{
    if (target > cpu->seg[CPU_CS].limit)
        cpu_fault_error(cpu, VEC_GP, 0);
}

enum call_result calls_near_call(struct cpu *cpu, const struct insn *insn)
{
    uint32_t target = insn->kind == INSN_CALL ? insn->target : operand_rm(cpu, insn, insn->opsize);

    if (insn->opsize == 2)
        target &= 0xffff;
    check_target(cpu, target);
    protection_push(cpu, operand_next(cpu, insn), insn->opsize);
    return jump_to(cpu, insn, target);
}

enum call_result calls_near_jmp(struct cpu *cpu, const struct insn *insn)
{
    uint32_t target = operand_rm(cpu, insn, insn->opsize);
    check_target(cpu, target);
    return jump_to(cpu, insn, target);
}

enum call_result calls_near_ret(struct cpu *cpu, const struct insn *insn)
{
    uint32_t esp = cpu->regs[CPU_ESP], target = protection_pop(cpu, insn->opsize);

    if (target > cpu->seg[CPU_CS].limit) {
        cpu->regs[CPU_ESP] = esp;
        cpu_fault_error(cpu, VEC_GP, 0);
    }
    set_esp(cpu, cpu->regs[CPU_ESP] + (insn->imm & 0xffff));
    return jump_to(cpu, insn, target);
}

enum call_result calls_pusha(struct cpu *cpu, const struct insn *insn)
{
    uint32_t size = insn->opsize, esp = cpu->regs[CPU_ESP], linear[8];
    bool user = cpu->cpl == 3;

    for (unsigned i = 0; i < 8; i++) {
        linear[i] = stack_linear(cpu, esp - size * (i + 1), size, true);
        view_check_write(cpu, linear[i], size, user);
    }
    for (unsigned i = 0; i < 8; i++)
        view_write(cpu, linear[i], &cpu->regs[i], size, user);
    set_esp(cpu, esp - 8 * size);
    return CALL_NEXT;
}

enum call_result calls_popa(struct cpu *cpu, const struct insn *insn)
{
    uint32_t size = insn->opsize, esp = cpu->regs[CPU_ESP], values[8] = { 0 };

    for (unsigned i = 0; i < 8; i++)
        view_read(cpu, stack_linear(cpu, esp + size * i, size, false), &values[7 - i], size, cpu->cpl == 3);
    for (unsigned i = 0; i < 8; i++)
        if (i != CPU_ESP)
            operand_set_reg(cpu, i, size, values[i]);
    set_esp(cpu, esp + 8 * size);
    return CALL_NEXT;
}

/* ENTER alloc, level (vol. 2): the frame pointers of the outer levels are copied. */
enum call_result calls_enter(struct cpu *cpu, const struct insn *insn)
{
    uint32_t size = insn->opsize, alloc = insn->imm & 0xffff, level = insn->imm2 & 31;
    uint32_t esp = cpu->regs[CPU_ESP], ebp = cpu->regs[CPU_EBP], top = esp - size, frame, value = ebp;
    bool user = cpu->cpl == 3;

    view_write(cpu, stack_linear(cpu, top, size, true), &value, size, user);
    frame = moved_esp(cpu, top);
    for (uint32_t i = 1; i < level; i++) {
        value = 0;
        ebp -= size;
        top -= size;
        view_read(cpu, stack_linear(cpu, ebp, size, false), &value, size, user);
        view_write(cpu, stack_linear(cpu, top, size, true), &value, size, user);
    }
    if (level) {
        top -= size;
        view_write(cpu, stack_linear(cpu, top, size, true), &frame, size, user);
    }
    top -= alloc;
    view_check_write(cpu, stack_linear(cpu, top, size, true), size, user);
    operand_set_reg(cpu, CPU_EBP, size, frame);
    set_esp(cpu, top);
    return CALL_NEXT;
}

enum call_result calls_pushf(struct cpu *cpu, const struct insn *insn)
{
    protection_push(cpu, protection_pushf_image(cpu, insn->opsize), insn->opsize);
    return CALL_NEXT;
}

enum call_result calls_popf(struct cpu *cpu, const struct insn *insn)
{
    uint32_t esp = cpu->regs[CPU_ESP], image = protection_pop(cpu, insn->opsize), popped = cpu->regs[CPU_ESP];

    cpu->regs[CPU_ESP] = esp; /* a #GP of POPF in v8086 mode leaves it */
    protection_popf(cpu, image, insn->opsize);
    cpu->regs[CPU_ESP] = popped;
    if (!(cpu->eflags & FLAG_TF) && !calls_interrupt_due(cpu))
        return CALL_NEXT;
    cpu->eip = operand_next(cpu, insn);
    return CALL_EXIT;
}

/* Which segment register a PUSH/POP sreg opcode names. */
static enum cpu_seg pushed_segment(const struct insn *insn)
{
    if (insn->opcode_length == 2)
        return insn->opcode >= 0xa8 ? CPU_GS : CPU_FS;
    return insn->opcode >> 3 & 3;
}

enum call_result calls_push_segment(struct cpu *cpu, const struct insn *insn)
{
    uint32_t top = cpu->regs[CPU_ESP] - insn->opsize, linear = stack_linear(cpu, top, 2, true);

    protection_check_alignment(cpu, linear, insn->opsize);
    /* 16 bits are stored whatever the operand size (vol. 2, PUSH: the later CPUs). */
    view_write(cpu, linear, &cpu->seg[pushed_segment(insn)].selector, 2, cpu->cpl == 3);
    set_esp(cpu, top);
    return CALL_NEXT;
}

enum call_result calls_pop_segment(struct cpu *cpu, const struct insn *insn)
{
    uint32_t esp = cpu->regs[CPU_ESP], selector = protection_pop(cpu, insn->opsize), popped = cpu->regs[CPU_ESP];

    cpu->regs[CPU_ESP] = esp;
    protection_load_segment(cpu, pushed_segment(insn), (uint16_t)selector);
    cpu->regs[CPU_ESP] = popped; /* on the stack that it was popped from: POP SS may have brought another */
    transition_note_load(translator_current, pushed_segment(insn));
    return CALL_NEXT;
}
