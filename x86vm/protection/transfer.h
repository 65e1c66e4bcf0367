/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Private to protection/: what far transfers, interrupts and their returns
 * share. Every function checks first; only the *_commit and *_finish ones
 * change the CPU, and those cannot fail half-way.
 */
#ifndef X86VM_PROTECTION_TRANSFER_H
#define X86VM_PROTECTION_TRANSFER_H

#include "x86vm/protection/descriptor.h"
#include "x86vm/protection/protection.h"
#include "x86vm/protection/stack.h"

/* #GP(ext) unless `eip` lies in the code segment. */
void code_require_offset(struct cpu *cpu, const struct descriptor *code, uint32_t eip, uint32_t ext);
/* CS:EIP of a checked and touched code segment; its RPL and CPL become `cpl`. */
void code_commit(struct cpu *cpu, uint16_t selector, const struct descriptor *code, uint32_t eip, unsigned cpl);

/* CS popped by far RET or IRET: all checks of vol. 2, RET. */
void return_fetch_code(struct cpu *cpu, uint16_t selector, struct descriptor *code);
/* The rest of far RET and IRET in protected mode: `stack` lies above what was
 * popped so far; pops SS:ESP where the level changes, commits everything but
 * EFLAGS. */
void return_finish(struct cpu *cpu, uint16_t selector, struct descriptor *code, uint32_t eip, struct stack *stack,
                   unsigned size, uint16_t release);

/* Real and virtual-8086 mode: CS:EIP with the limit check. */
void paragraph_jump(struct cpu *cpu, uint16_t selector, uint32_t eip);
void paragraph_require_offset(struct cpu *cpu, uint32_t eip);

/* task.c: protection_task_switch with the EXT bit of its error codes. */
struct task_switch_request {
    uint16_t selector;
    enum task_switch kind;
    uint32_t return_eip;
    uint32_t saved_flags; /* EFLAGS to store in the old TSS */
    bool has_error;
    uint32_t error;
    uint32_t ext;
};
void task_switch(struct cpu *cpu, const struct task_switch_request *request);
/* task.c: the selector in a task gate names a present, available TSS in the GDT. */
void task_gate_require_target(struct cpu *cpu, uint16_t selector, uint32_t ext);

/* interrupt.c: an interrupt the way real mode takes it, from the vector table at linear `table`. */
void interrupt_by_vector_table(struct cpu *cpu, uint32_t table, uint8_t vector, uint16_t flags, uint32_t eip);

#endif
