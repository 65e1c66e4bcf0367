/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Private to protection/: a stack that is being written or read before it is
 * (or without its being) the CPU's. Control transfers build their whole frame
 * here, and commit registers only when every access to it has succeeded.
 */
#ifndef X86VM_PROTECTION_STACK_H
#define X86VM_PROTECTION_STACK_H

#include "x86vm/cpu/cpu.h"

enum { STACK_FRAME_MAX = 40 }; /* slots: a call gate's 31 parameters, SS:ESP, CS:EIP, and room */

struct stack {
    struct cpu_segment segment;
    uint32_t pointer;
    uint32_t error; /* error code of a #SS it raises */
    bool user;      /* privilege of its accesses */
};

/* SS:ESP as they are now. `ext` is the EXT bit for error codes. */
struct stack stack_current(const struct cpu *cpu, uint32_t ext);
/* The stack of inner level `cpl`, from the TSS, checked (vol. 3, 5.8.5). */
struct stack stack_of_level(struct cpu *cpu, unsigned cpl, uint32_t ext);

/* Slots in ascending order of address; `size` is 2 or 4 bytes each. Moves the
 * pointer. Of popped slots that are selectors (bit i of `selectors`: slot i)
 * CPUs read 16 bits, which shows at the end of a segment. */
void stack_push(struct cpu *cpu, struct stack *stack, const uint32_t *slots, unsigned count, unsigned size);
void stack_pop(struct cpu *cpu, struct stack *stack, uint32_t *slots, unsigned count, unsigned size,
               unsigned selectors);
enum { STACK_SECOND_SELECTOR = 2, STACK_V8086_SELECTORS = 0x3e };
/* #SS unless so many slots could be pushed. */
void stack_require_room(struct cpu *cpu, const struct stack *stack, unsigned count, unsigned size);
/* Moves the pointer up without looking. */
void stack_skip(struct stack *stack, uint32_t bytes);
/* Makes the pointer the CPU's ESP; the segment is the current SS. */
static inline void stack_commit_pointer(struct cpu *cpu, const struct stack *stack)
{
    cpu->regs[CPU_ESP] = stack->pointer;
}

#endif
