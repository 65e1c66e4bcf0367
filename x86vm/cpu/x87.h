/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The x87 instruction and data pointers (SDM vol. 1, 8.1.8). The unit runs on
 * the host's, whose pointers are the translator's; the guest's are kept here.
 * Translated code stores EIP, the opcode and the operand's offset of each
 * non-control instruction; which selectors CS and the operand's segment had is
 * looked up when somebody asks, or just before one of them changes.
 */
#ifndef X86VM_CPU_X87_H
#define X86VM_CPU_X87_H

#include "x86vm/cpu/cpu.h"

/* cpu->x87_info: the low half belongs to the last instruction, the high half to
 * the last one with a memory operand. */
enum { X87_OPCODE = 0x7ff, X87_CODE_OPEN = 0x8000, X87_SEGMENT_SHIFT = 16, X87_SEGMENT = 7 << 16 };
#define X87_DATA_OPEN 0x80000000u

struct x87_pointers { uint32_t ip, dp; uint16_t cs, ds, opcode; };

struct x87_pointers x87_pointers(struct cpu *cpu);
void x87_set_pointers(struct cpu *cpu, const struct x87_pointers *p);

/* The same in an FXSAVE image. */
void x87_image_pointers(const uint8_t *image, struct x87_pointers *out);
void x87_image_set_pointers(uint8_t *image, const struct x87_pointers *p);

/* Segment register `which` is about to change. */
static inline void x87_keep_selector(struct cpu *cpu, enum cpu_seg which)
{
    if (which == CPU_CS && cpu->x87_info & X87_CODE_OPEN) {
        cpu->x87_cs = cpu->seg[CPU_CS].selector;
        cpu->x87_info &= ~(uint32_t)X87_CODE_OPEN;
    }
    if (cpu->x87_info & X87_DATA_OPEN && (cpu->x87_info & X87_SEGMENT) >> X87_SEGMENT_SHIFT == (unsigned)which) {
        cpu->x87_ds = cpu->seg[which].selector;
        cpu->x87_info &= ~X87_DATA_OPEN;
    }
}

#endif
