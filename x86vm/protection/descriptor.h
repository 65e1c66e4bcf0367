/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Private to protection/: descriptors as they lie in memory, how to fetch and
 * read them, and the small steps every control transfer is made of. The files
 * of protection.h are built on this; nobody outside includes it.
 */
#ifndef X86VM_PROTECTION_DESCRIPTOR_H
#define X86VM_PROTECTION_DESCRIPTOR_H

#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/view.h"

/* Types of system descriptors (SDM vol. 3, table 3-2). Bit 3 says 32 bits. */
enum { SYS_TSS16 = 1, SYS_LDT = 2, SYS_TSS16_BUSY = 3, SYS_CALL16 = 4, SYS_TASK_GATE = 5, SYS_INTERRUPT16 = 6,
       SYS_TRAP16 = 7, SYS_TSS32 = 9, SYS_TSS32_BUSY = 11, SYS_CALL32 = 12, SYS_INTERRUPT32 = 14, SYS_TRAP32 = 15,
       SYS_BUSY = 2, SYS_WIDE = 8 };

enum { SELECTOR_RPL = 3, SELECTOR_LDT = 4 };
enum { ERROR_EXT = 1, ERROR_IDT = 2 }; /* bits of a selector error code, vol. 3, 6.13 */

struct descriptor { uint32_t low, high; };

static inline unsigned descriptor_access(const struct descriptor *d) { return d->high >> 8 & 0xf0ff; }
static inline unsigned descriptor_dpl(const struct descriptor *d) { return d->high >> 13 & 3; }
static inline bool descriptor_present(const struct descriptor *d) { return d->high & 0x8000; }
/* S and type together: 0..15 system, 16.. code and data. */
static inline unsigned descriptor_kind(const struct descriptor *d) { return d->high >> 8 & 0x1f; }

static inline uint32_t descriptor_base(const struct descriptor *d)
{
    return d->low >> 16 | (d->high & 0xff) << 16 | (d->high & 0xff000000);
}

static inline uint32_t descriptor_limit(const struct descriptor *d)
{
    const uint32_t limit = (d->low & 0xffff) | (d->high & 0xf0000);
    return d->high & 0x800000 ? limit << 12 | 0xfff : limit;
}

static inline bool descriptor_is_code(const struct descriptor *d) { return (d->high & 0x1800) == 0x1800; }
static inline bool descriptor_is_conforming(const struct descriptor *d) { return (d->high & 0x1c00) == 0x1c00; }
static inline bool descriptor_is_writable(const struct descriptor *d) { return (d->high & 0x1a00) == 0x1200; }
static inline bool descriptor_is_readable(const struct descriptor *d)
{
    return (d->high & 0x1000) && (d->high & 0x0a00) != 0x0800;
}

/* Gates: where they lead. */
static inline uint16_t gate_selector(const struct descriptor *d) { return d->low >> 16; }
static inline bool gate_is_wide(const struct descriptor *d) { return d->high & SYS_WIDE << 8; }
static inline uint32_t gate_offset(const struct descriptor *d)
{
    return (d->low & 0xffff) | (gate_is_wide(d) ? d->high & 0xffff0000 : 0);
}

static inline bool selector_is_null(uint16_t selector) { return !(selector & 0xfffc); }

static inline struct cpu_segment descriptor_segment(const struct descriptor *d, uint16_t selector)
{
    return (struct cpu_segment){ .base = descriptor_base(d), .limit = descriptor_limit(d), .selector = selector,
                                 .access = descriptor_access(d) };
}

_Noreturn static inline void fault_selector(struct cpu *cpu, enum cpu_vector vector, uint16_t selector, uint32_t ext)
{
    cpu_fault_error(cpu, vector, (selector & 0xfffcu) | ext);
}

static inline void require_cpl0(struct cpu *cpu)
{
    if (cpu->cpl)
        cpu_fault_error(cpu, VEC_GP, 0);
}

/* LAR, LLDT and their kin do not exist in real and virtual-8086 mode. */
static inline void require_protected(struct cpu *cpu)
{
    if (!cpu_protected(cpu) || cpu_v8086(cpu))
        cpu_fault(cpu, VEC_UD);
}

/* True with *out read when `selector` (null or not) lies within its table. */
bool descriptor_fetch(struct cpu *cpu, uint16_t selector, struct descriptor *out);
/* The same for code and data; outside is `vector` with the selector's error code. */
void descriptor_fetch_or_fault(struct cpu *cpu, uint16_t selector, enum cpu_vector vector, uint32_t ext,
                               struct descriptor *out);
/* Sets the accessed bit, in memory too, unless it is set. */
void descriptor_touch(struct cpu *cpu, uint16_t selector, struct descriptor *d);
/* Linear address of a descriptor that descriptor_fetch found. */
uint32_t descriptor_address(const struct cpu *cpu, uint16_t selector);

/* CPL becomes `cpl`; nothing but a crossing of the user/supervisor line costs. */
static inline void privilege_set(struct cpu *cpu, unsigned cpl)
{
    if (cpu->cpl == cpl)
        return;
    const bool crosses = (cpu->cpl == 3) != (cpl == 3);
    cpu->cpl = cpl;
    cpu->user_ran |= cpl == 3;
    cpu->mode_dirty = true;
    if (crosses)
        view_select(cpu);
}

/* segment.c: the offsets a segment admits, without regard to its type. */
bool segment_admits(const struct cpu_segment *segment, uint32_t offset, uint32_t size);
/* segment.c: a segment register the way real and virtual-8086 mode load it. */
void segment_load_paragraph(struct cpu *cpu, enum cpu_seg which, uint16_t selector);
/* segment.c: DS, ES, FS, GS that an outer level may not keep become null. */
void segment_drop_privileged(struct cpu *cpu);
void segment_set_null(struct cpu *cpu, enum cpu_seg which, uint16_t selector);

#endif
