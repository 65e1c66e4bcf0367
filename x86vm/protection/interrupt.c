/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Delivery of interrupts and exceptions (SDM vol. 3, ch. 6; vol. 2, INT n):
 * real-mode vectors, gates of the IDT with or without a stack switch, out of
 * virtual-8086 mode, task gates; and the double-fault rules around it.
 * The hot paths are an interrupt gate from CPL 3 to 0 and from 0 to 0: four or
 * two descriptor-sized reads, one write of the whole frame.
 */
#include "x86vm/protection/transfer.h"

enum { VECTOR_COUNT = 32, NESTING_MAX = 8 };

struct event {
    uint8_t vector;
    bool software;
    bool has_error;
    uint32_t error;
    uint32_t ext;   /* EXT bit for the error codes of faults in the delivery */
    uint32_t eip;   /* to return to */
    uint32_t flags; /* EFLAGS image to push */
};

/* Exceptions that report their own instruction: RF is set in the pushed image,
 * so that returning does not hit an instruction breakpoint again (17.3.1.1). */
static const uint32_t fault_class = 1u << VEC_DE | 1u << VEC_BR | 1u << VEC_UD | 1u << VEC_NM | 1u << VEC_TS |
                                    1u << VEC_NP | 1u << VEC_SS | 1u << VEC_GP | 1u << VEC_PF | 1u << VEC_MF |
                                    1u << VEC_AC | 1u << VEC_XM;

void interrupt_by_vector_table(struct cpu *cpu, uint32_t table, uint8_t vector, uint16_t flags, uint32_t eip)
{
    const uint32_t frame[3] = { eip, cpu->seg[CPU_CS].selector, flags };
    struct stack stack = stack_current(cpu, 0);
    uint16_t target[2];

    view_read(cpu, table + vector * 4u, target, sizeof target, cpu->cpl == 3);
    stack_push(cpu, &stack, frame, 3, 2);
    stack_commit_pointer(cpu, &stack);
    segment_load_paragraph(cpu, CPU_CS, target[1]);
    cpu->eip = target[0];
}

static void interrupt_real(struct cpu *cpu, const struct event *e)
{
    if (e->vector * 4u + 3 > cpu->idtr.limit)
        cpu_fault_error(cpu, VEC_GP, 0);
    interrupt_by_vector_table(cpu, cpu->idtr.base, e->vector, cpu->eflags, e->eip);
    cpu->eflags &= ~(uint32_t)(FLAG_IF | FLAG_TF | FLAG_RF | FLAG_AC);
}

static void interrupt_task(struct cpu *cpu, const struct event *e, const struct descriptor *gate)
{
    const struct task_switch_request request = {
        .selector = gate_selector(gate), .kind = TASK_INTERRUPT, .return_eip = e->eip, .saved_flags = e->flags,
        .has_error = e->has_error, .error = e->error, .ext = e->ext,
    };

    task_gate_require_target(cpu, request.selector, e->ext);
    task_switch(cpu, &request);
}

static void fetch_gate(struct cpu *cpu, const struct event *e, struct descriptor *gate)
{
    const uint32_t gates = 1u << SYS_TASK_GATE | 1u << SYS_INTERRUPT16 | 1u << SYS_TRAP16 | 1u << SYS_INTERRUPT32 |
                           1u << SYS_TRAP32;
    const uint32_t offset = e->vector * 8u, code = offset | ERROR_IDT | e->ext;

    if (offset + 7 > cpu->idtr.limit)
        cpu_fault_error(cpu, VEC_GP, code);
    view_read(cpu, cpu->idtr.base + offset, gate, sizeof *gate, false);
    if (!(gates & 1u << descriptor_kind(gate)) || (e->software && descriptor_dpl(gate) < cpu->cpl))
        cpu_fault_error(cpu, VEC_GP, code);
    if (!descriptor_present(gate))
        cpu_fault_error(cpu, VEC_NP, code);
}

/* The code segment of a gate, and the level it runs at. */
static unsigned fetch_handler(struct cpu *cpu, const struct event *e, uint16_t selector, struct descriptor *code)
{
    if (selector_is_null(selector))
        cpu_fault_error(cpu, VEC_GP, e->ext);
    descriptor_fetch_or_fault(cpu, selector, VEC_GP, e->ext, code);
    const unsigned dpl = descriptor_dpl(code);
    if (!descriptor_is_code(code) || dpl > cpu->cpl)
        fault_selector(cpu, VEC_GP, selector, e->ext);
    if (!descriptor_present(code))
        fault_selector(cpu, VEC_NP, selector, e->ext);
    const unsigned cpl = descriptor_is_conforming(code) ? cpu->cpl : dpl;
    if (cpu_v8086(cpu) && cpl)
        fault_selector(cpu, VEC_GP, selector, e->ext);
    return cpl;
}

/* Slots in ascending order; what a same-level entry leaves out is on top. */
static unsigned build_frame(const struct cpu *cpu, const struct event *e, bool inner, uint32_t *frame)
{
    unsigned n = 0;

    if (e->has_error)
        frame[n++] = e->error;
    frame[n++] = e->eip;
    frame[n++] = cpu->seg[CPU_CS].selector;
    frame[n++] = e->flags;
    if (!inner)
        return n;
    frame[n++] = cpu->regs[CPU_ESP];
    frame[n++] = cpu->seg[CPU_SS].selector;
    if (!cpu_v8086(cpu))
        return n;
    frame[n++] = cpu->seg[CPU_ES].selector;
    frame[n++] = cpu->seg[CPU_DS].selector;
    frame[n++] = cpu->seg[CPU_FS].selector;
    frame[n++] = cpu->seg[CPU_GS].selector;
    return n;
}

static void leave_v8086(struct cpu *cpu)
{
    segment_set_null(cpu, CPU_ES, 0);
    segment_set_null(cpu, CPU_DS, 0);
    segment_set_null(cpu, CPU_FS, 0);
    segment_set_null(cpu, CPU_GS, 0);
}

static void interrupt_protected(struct cpu *cpu, const struct event *e)
{
    struct descriptor gate, code;
    uint32_t frame[10];

    fetch_gate(cpu, e, &gate);
    if (descriptor_kind(&gate) == SYS_TASK_GATE) {
        interrupt_task(cpu, e, &gate);
        return;
    }
    const uint16_t selector = gate_selector(&gate);
    const unsigned cpl = fetch_handler(cpu, e, selector, &code);
    const bool inner = cpl < cpu->cpl;
    struct stack stack = inner ? stack_of_level(cpu, cpl, e->ext) : stack_current(cpu, e->ext);
    code_require_offset(cpu, &code, gate_offset(&gate), e->ext);
    descriptor_touch(cpu, selector, &code);
    const unsigned slots = build_frame(cpu, e, inner, frame);
    stack_push(cpu, &stack, frame, slots, gate_is_wide(&gate) ? 4 : 2);

    if (cpu_v8086(cpu))
        leave_v8086(cpu);
    cpu->eflags &= ~(uint32_t)(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM);
    if (!(descriptor_kind(&gate) & 1)) /* interrupt gate, not trap gate */
        cpu->eflags &= ~(uint32_t)FLAG_IF;
    code_commit(cpu, selector, &code, gate_offset(&gate), cpl);
    if (inner)
        cpu_set_segment(cpu, CPU_SS, &stack.segment);
    stack_commit_pointer(cpu, &stack);
}

void protection_interrupt(struct cpu *cpu, uint8_t vector, enum interrupt_source source, bool has_error,
                          uint32_t error, uint32_t return_eip)
{
    const bool software = source == INTERRUPT_SOFTWARE;
    struct event e = { .vector = vector, .software = software, .has_error = has_error, .error = error,
                       .ext = software ? 0 : ERROR_EXT, .eip = software ? return_eip : cpu->eip,
                       .flags = cpu->eflags };

    if (source == INTERRUPT_EXCEPTION && vector < VECTOR_COUNT && fault_class >> vector & 1)
        e.flags |= FLAG_RF;
    if (cpu_protected(cpu))
        interrupt_protected(cpu, &e);
    else
        interrupt_real(cpu, &e);
    if (software)
        cpu->debug_delay = DEBUG_NO_STEP;
}

/* --- INT n of virtual-8086 mode (vol. 3, 20.3.3) --- */

/* The TSS's redirection bitmap lies below the I/O bitmap; a 0 sends the vector to the 8086 program. */
static bool redirected(struct cpu *cpu, uint8_t vector)
{
    if ((cpu->tr.access & 0x1d) != SYS_TSS32 || cpu->tr.limit < 103)
        return false;
    const uint32_t at = view_read16(cpu, cpu->tr.base + 102, false) - 32u + vector / 8;
    if (at > cpu->tr.limit)
        cpu_fault_error(cpu, VEC_GP, 0);
    return !(view_read8(cpu, cpu->tr.base + at, false) >> (vector & 7) & 1);
}

static void interrupt_redirected(struct cpu *cpu, uint8_t vector, uint32_t return_eip)
{
    const bool full = cpu_iopl(cpu) == 3;
    uint32_t flags = cpu->eflags;

    if (!full) {
        flags = (flags & ~(uint32_t)FLAG_IF) | FLAG_IOPL;
        if (cpu->eflags & FLAG_VIF)
            flags |= FLAG_IF;
    }
    interrupt_by_vector_table(cpu, 0, vector, flags, return_eip);
    cpu->eflags &= ~(uint32_t)(FLAG_TF | FLAG_RF | (full ? FLAG_IF : FLAG_VIF));
    cpu->debug_delay = DEBUG_NO_STEP;
}

void protection_int(struct cpu *cpu, uint8_t vector, uint32_t return_eip)
{
    if (cpu_v8086(cpu)) {
        if (cpu->cr4 & CR4_VME && redirected(cpu, vector)) {
            interrupt_redirected(cpu, vector, return_eip);
            return;
        }
        if (cpu_iopl(cpu) != 3)
            cpu_fault_error(cpu, VEC_GP, 0);
    }
    protection_interrupt(cpu, vector, INTERRUPT_SOFTWARE, false, 0, return_eip);
}

/* --- faults in the delivery --- */

enum severity { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

static enum severity severity_of(int vector)
{
    const uint32_t contributory = 1u << VEC_DE | 1u << VEC_TS | 1u << VEC_NP | 1u << VEC_SS | 1u << VEC_GP;

    if (vector == VEC_DF)
        return DOUBLE_FAULT;
    if (vector == VEC_PF)
        return PAGE_FAULT;
    return vector >= 0 && vector < VECTOR_COUNT && contributory >> vector & 1 ? CONTRIBUTORY : BENIGN;
}

/* False with the new exception in cpu->fault_* when the delivery faulted. */
static bool attempt(struct cpu *cpu, uint8_t vector, enum interrupt_source source, bool has_error, uint32_t error)
{
    jmp_buf here, *const outer = cpu->fault_env;

    cpu->fault_env = &here;
    if (setjmp(here) == 0) {
        protection_interrupt(cpu, vector, source, has_error, error, 0);
        cpu->fault_env = outer;
        return true;
    }
    cpu->fault_env = outer;
    return false;
}

static bool attempt_exception(struct cpu *cpu)
{
    if (cpu->fault_vector == VEC_DB) {
        /* The error "code" of a #DB is the bits to set in DR6. */
        cpu->dr[6] |= cpu->fault_error;
        cpu->dr[7] &= ~(uint32_t)DR7_GD;
        cpu->fault_has_error = false;
    }
    return attempt(cpu, cpu->fault_vector, INTERRUPT_EXCEPTION, cpu->fault_has_error, cpu->fault_error);
}

/* What HLT, STI and a load of SS have begun. */
static void end_wait(struct cpu *cpu)
{
    cpu->halted = cpu->interrupt_shadow = false;
    cpu->shadowed = CPU_NOWHERE;
}

/* Table 6-5: each nested fault is either delivered in turn or makes #DF. The
 * severity all but always rises (a debug trap of a task switch is the
 * exception), and the bound makes sure of the end. */
void protection_exception(struct cpu *cpu)
{
    enum severity first = severity_of(cpu->fault_vector);

    end_wait(cpu);
    cpu->watch_hits = 0; /* a fault drops the traps that MOV SS has put off */
    for (unsigned nested = 0; !attempt_exception(cpu); nested++) {
        const enum severity second = severity_of(cpu->fault_vector);
        if (cpu->fault_vector == VEC_DB)
            first = BENIGN; /* the T bit of a task that was entered: the delivery is over */
        if (first == DOUBLE_FAULT || nested == NESTING_MAX) {
            cpu->shutdown = true;
            return;
        }
        const bool twice = (first == CONTRIBUTORY && second == CONTRIBUTORY) ||
                           (first == PAGE_FAULT && second != BENIGN);
        if (twice) {
            cpu->fault_vector = VEC_DF;
            cpu->fault_has_error = true;
            cpu->fault_error = 0;
        }
        first = severity_of(cpu->fault_vector);
    }
}

void protection_hardware_interrupt(struct cpu *cpu, uint8_t vector)
{
    end_wait(cpu);
    if (!attempt(cpu, vector, INTERRUPT_HARDWARE, false, 0))
        protection_exception(cpu);
}
