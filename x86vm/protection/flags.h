/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Private to protection/: changing EFLAGS under a mask.
 */
#ifndef X86VM_PROTECTION_FLAGS_H
#define X86VM_PROTECTION_FLAGS_H

#include "x86vm/cpu/cpu.h"
#include "x86vm/protection/protection.h"

/* Every bit of EFLAGS that some instruction can write, but VM. */
#define FLAGS_WRITABLE \
    (FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_RF | FLAG_AC | FLAG_VIF | FLAG_VIP | FLAG_ID)

static inline void flags_write(struct cpu *cpu, uint32_t image, uint32_t mask)
{
    if ((cpu->eflags ^ image) & mask & FLAG_AC)
        cpu->mode_dirty = true; /* alignment checking: every access goes through C */
    cpu->eflags = (cpu->eflags & ~mask) | (image & mask) | FLAG_ONE;
}

/* RF holds back an instruction breakpoint until the next instruction is done.
 * It is restored only where a breakpoint is armed: elsewhere nobody can see it,
 * and it would stay in EFLAGS, for nothing clears it after each instruction. */
static inline uint32_t flags_to_restore(const struct cpu *cpu, uint32_t image)
{
    return cpu->dr[7] & DR7_ARMED ? image : image & ~(uint32_t)FLAG_RF;
}

/* VME with IOPL < 3 (vol. 3, 20.3): #GP(0) when the image wants to single-step,
 * or to enable interrupts while one is pending. */
void flags_require_virtual(struct cpu *cpu, uint32_t image);
/* The low half without IOPL, IF meaning VIF. */
void flags_write_virtual(struct cpu *cpu, uint32_t image);

#endif
