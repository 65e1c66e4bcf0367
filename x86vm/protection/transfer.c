/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Far JMP, CALL and RET (SDM vol. 2; vol. 3, 5.8): code segments directly,
 * through call gates, and to tasks. What IRET shares with RET is here too.
 */
#include "x86vm/protection/transfer.h"

void code_require_offset(struct cpu *cpu, const struct descriptor *code, uint32_t eip, uint32_t ext)
{
    if (eip > descriptor_limit(code))
        cpu_fault_error(cpu, VEC_GP, ext);
}

void code_commit(struct cpu *cpu, uint16_t selector, const struct descriptor *code, uint32_t eip, unsigned cpl)
{
    const struct cpu_segment cs = descriptor_segment(code, (selector & ~SELECTOR_RPL) | cpl);

    cpu_set_segment(cpu, CPU_CS, &cs);
    cpu->eip = eip;
    privilege_set(cpu, cpl);
}

void paragraph_require_offset(struct cpu *cpu, uint32_t eip)
{
    if (eip > (cpu_v8086(cpu) ? 0xffff : cpu->seg[CPU_CS].limit))
        cpu_fault_error(cpu, VEC_GP, 0);
}

void paragraph_jump(struct cpu *cpu, uint16_t selector, uint32_t eip)
{
    paragraph_require_offset(cpu, eip);
    segment_load_paragraph(cpu, CPU_CS, selector);
    cpu->eip = eip;
}

static bool in_paragraph_mode(const struct cpu *cpu)
{
    return !cpu_protected(cpu) || cpu_v8086(cpu);
}

/* --- far JMP and CALL --- */

struct far_transfer {
    uint16_t selector;
    uint32_t offset;
    unsigned size;
    bool call;
    uint32_t return_eip;
};

static void push_return_address(struct cpu *cpu, struct stack *stack, unsigned size, uint32_t return_eip)
{
    const uint32_t frame[2] = { return_eip, cpu->seg[CPU_CS].selector };
    stack_push(cpu, stack, frame, 2, size);
}

/* A transfer that keeps CPL: the code segment has been checked but for its presence and limit. */
static void transfer_same_level(struct cpu *cpu, const struct far_transfer *t, uint16_t selector,
                                struct descriptor *code, uint32_t offset, unsigned size)
{
    struct stack stack = stack_current(cpu, 0);

    if (!descriptor_present(code))
        fault_selector(cpu, VEC_NP, selector, 0);
    if (t->call)
        stack_require_room(cpu, &stack, 2, size); /* comes before the limit of the target */
    code_require_offset(cpu, code, offset, 0);
    descriptor_touch(cpu, selector, code);
    if (t->call) {
        push_return_address(cpu, &stack, size, t->return_eip);
        stack_commit_pointer(cpu, &stack);
    }
    code_commit(cpu, selector, code, offset, cpu->cpl);
}

static void transfer_to_code(struct cpu *cpu, const struct far_transfer *t, struct descriptor *code)
{
    const unsigned dpl = descriptor_dpl(code);
    const bool allowed = descriptor_is_conforming(code)
                             ? dpl <= cpu->cpl
                             : (t->selector & SELECTOR_RPL) <= cpu->cpl && dpl == cpu->cpl;

    if (!allowed)
        fault_selector(cpu, VEC_GP, t->selector, 0);
    transfer_same_level(cpu, t, t->selector, code, t->offset, t->size);
}

/* CALL through a gate to a more privileged level: parameters move to the new stack. */
static void call_inner_level(struct cpu *cpu, const struct far_transfer *t, const struct descriptor *gate,
                             uint16_t selector, struct descriptor *code)
{
    const unsigned size = gate_is_wide(gate) ? 4 : 2;
    const unsigned parameters = gate->high & 31;
    const unsigned cpl = descriptor_dpl(code);
    struct stack old = stack_current(cpu, 0);
    uint32_t frame[STACK_FRAME_MAX];

    if (!descriptor_present(code))
        fault_selector(cpu, VEC_NP, selector, 0);
    struct stack stack = stack_of_level(cpu, cpl, 0);
    code_require_offset(cpu, code, gate_offset(gate), 0);
    descriptor_touch(cpu, selector, code);

    frame[0] = t->return_eip;
    frame[1] = cpu->seg[CPU_CS].selector;
    if (parameters)
        stack_pop(cpu, &old, frame + 2, parameters, size, 0);
    frame[2 + parameters] = cpu->regs[CPU_ESP];
    frame[3 + parameters] = cpu->seg[CPU_SS].selector;
    stack_push(cpu, &stack, frame, 4 + parameters, size);

    code_commit(cpu, selector, code, gate_offset(gate), cpl);
    cpu_set_segment(cpu, CPU_SS, &stack.segment);
    stack_commit_pointer(cpu, &stack);
}

static void require_gate_privilege(struct cpu *cpu, uint16_t selector, const struct descriptor *d)
{
    const unsigned dpl = descriptor_dpl(d);
    if (dpl < cpu->cpl || dpl < (selector & SELECTOR_RPL))
        fault_selector(cpu, VEC_GP, selector, 0);
}

static void transfer_through_call_gate(struct cpu *cpu, const struct far_transfer *t, const struct descriptor *gate)
{
    const uint16_t selector = gate_selector(gate);
    struct descriptor code;

    require_gate_privilege(cpu, t->selector, gate);
    if (!descriptor_present(gate))
        fault_selector(cpu, VEC_NP, t->selector, 0);
    if (selector_is_null(selector))
        cpu_fault_error(cpu, VEC_GP, 0);
    descriptor_fetch_or_fault(cpu, selector, VEC_GP, 0, &code);
    if (!descriptor_is_code(&code) || descriptor_dpl(&code) > cpu->cpl)
        fault_selector(cpu, VEC_GP, selector, 0);
    const bool inner = !descriptor_is_conforming(&code) && descriptor_dpl(&code) < cpu->cpl;
    if (inner && !t->call)
        fault_selector(cpu, VEC_GP, selector, 0);
    if (inner)
        call_inner_level(cpu, t, gate, selector, &code);
    else
        transfer_same_level(cpu, t, selector, &code, gate_offset(gate), gate_is_wide(gate) ? 4 : 2);
}

static void transfer_to_task(struct cpu *cpu, const struct far_transfer *t, uint16_t tss)
{
    protection_task_switch(cpu, tss, t->call ? TASK_CALL : TASK_JUMP, t->return_eip, false, 0);
}

static void transfer_to_system(struct cpu *cpu, const struct far_transfer *t, const struct descriptor *d)
{
    switch (descriptor_kind(d)) {
    case SYS_CALL16:
    case SYS_CALL32:
        transfer_through_call_gate(cpu, t, d);
        break;
    case SYS_TASK_GATE:
        require_gate_privilege(cpu, t->selector, d);
        if (!descriptor_present(d))
            fault_selector(cpu, VEC_NP, t->selector, 0);
        task_gate_require_target(cpu, gate_selector(d), 0);
        transfer_to_task(cpu, t, gate_selector(d));
        break;
    case SYS_TSS16:
    case SYS_TSS32:
        require_gate_privilege(cpu, t->selector, d);
        if (t->selector & SELECTOR_LDT)
            fault_selector(cpu, VEC_GP, t->selector, 0);
        if (!descriptor_present(d))
            fault_selector(cpu, VEC_NP, t->selector, 0);
        transfer_to_task(cpu, t, t->selector);
        break;
    default:
        fault_selector(cpu, VEC_GP, t->selector, 0);
    }
}

static void transfer_protected(struct cpu *cpu, const struct far_transfer *t)
{
    struct descriptor d;

    if (selector_is_null(t->selector))
        cpu_fault_error(cpu, VEC_GP, 0);
    descriptor_fetch_or_fault(cpu, t->selector, VEC_GP, 0, &d);
    if (descriptor_is_code(&d))
        transfer_to_code(cpu, t, &d);
    else
        transfer_to_system(cpu, t, &d);
}

void protection_far_jump(struct cpu *cpu, uint16_t selector, uint32_t offset, unsigned size, uint32_t return_eip)
{
    const struct far_transfer t = { .selector = selector, .offset = size == 2 ? offset & 0xffff : offset,
                                    .size = size, .return_eip = return_eip };

    if (in_paragraph_mode(cpu)) {
        paragraph_jump(cpu, selector, t.offset);
        return;
    }
    transfer_protected(cpu, &t);
}

void protection_far_call(struct cpu *cpu, uint16_t selector, uint32_t offset, unsigned size, uint32_t return_eip)
{
    const struct far_transfer t = { .selector = selector, .offset = size == 2 ? offset & 0xffff : offset,
                                    .size = size, .call = true, .return_eip = return_eip };

    if (in_paragraph_mode(cpu)) {
        struct stack stack = stack_current(cpu, 0);
        stack_require_room(cpu, &stack, 2, size);
        paragraph_require_offset(cpu, t.offset);
        push_return_address(cpu, &stack, size, return_eip);
        stack_commit_pointer(cpu, &stack);
        paragraph_jump(cpu, selector, t.offset);
        return;
    }
    transfer_protected(cpu, &t);
}

/* --- far RET --- */

void return_fetch_code(struct cpu *cpu, uint16_t selector, struct descriptor *code)
{
    if (selector_is_null(selector))
        cpu_fault_error(cpu, VEC_GP, 0);
    descriptor_fetch_or_fault(cpu, selector, VEC_GP, 0, code);
    const unsigned rpl = selector & SELECTOR_RPL, dpl = descriptor_dpl(code);
    if (!descriptor_is_code(code) || rpl < cpu->cpl || (descriptor_is_conforming(code) ? dpl > rpl : dpl != rpl))
        fault_selector(cpu, VEC_GP, selector, 0);
    if (!descriptor_present(code))
        fault_selector(cpu, VEC_NP, selector, 0);
}

/* SS:ESP popped on the way to outer level `cpl`. */
static struct stack pop_outer_stack(struct cpu *cpu, struct stack *stack, unsigned size, unsigned cpl)
{
    uint32_t pair[2];
    struct descriptor d;

    stack_pop(cpu, stack, pair, 2, size, STACK_SECOND_SELECTOR);
    const uint16_t selector = pair[1];
    if (selector_is_null(selector))
        cpu_fault_error(cpu, VEC_GP, 0);
    descriptor_fetch_or_fault(cpu, selector, VEC_GP, 0, &d);
    if ((selector & SELECTOR_RPL) != cpl || !descriptor_is_writable(&d) || descriptor_dpl(&d) != cpl)
        fault_selector(cpu, VEC_GP, selector, 0);
    if (!descriptor_present(&d))
        fault_selector(cpu, VEC_SS, selector, 0);
    descriptor_touch(cpu, selector, &d);

    struct stack outer = { .segment = descriptor_segment(&d, selector), .pointer = pair[0] };
    /* A 16-bit stack takes SP alone: the upper half of ESP is what it was. */
    if (!(outer.segment.access & SEG_DB))
        outer.pointer = (cpu->regs[CPU_ESP] & 0xffff0000) | (pair[0] & 0xffff);
    return outer;
}

void return_finish(struct cpu *cpu, uint16_t selector, struct descriptor *code, uint32_t eip, struct stack *stack,
                   unsigned size, uint16_t release)
{
    const unsigned rpl = selector & SELECTOR_RPL;

    if (rpl == cpu->cpl) {
        code_require_offset(cpu, code, eip, 0);
        descriptor_touch(cpu, selector, code);
        stack_skip(stack, release);
        stack_commit_pointer(cpu, stack);
        code_commit(cpu, selector, code, eip, rpl);
        return;
    }
    stack_skip(stack, release);
    struct stack outer = pop_outer_stack(cpu, stack, size, rpl);
    code_require_offset(cpu, code, eip, 0);
    descriptor_touch(cpu, selector, code);
    stack_skip(&outer, release);
    code_commit(cpu, selector, code, eip, rpl);
    cpu_set_segment(cpu, CPU_SS, &outer.segment);
    stack_commit_pointer(cpu, &outer);
    segment_drop_privileged(cpu);
}

void protection_far_return(struct cpu *cpu, unsigned size, uint16_t release)
{
    struct stack stack = stack_current(cpu, 0);
    uint32_t frame[2];

    stack_pop(cpu, &stack, frame, 2, size, STACK_SECOND_SELECTOR);
    if (in_paragraph_mode(cpu)) {
        paragraph_jump(cpu, frame[1], frame[0]);
        stack_skip(&stack, release);
        stack_commit_pointer(cpu, &stack);
        return;
    }
    struct descriptor code;
    return_fetch_code(cpu, frame[1], &code);
    return_finish(cpu, frame[1], &code, frame[0], &stack, size, release);
}
