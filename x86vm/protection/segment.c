/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Segment registers, LDTR and TR: loading with all checks, the instructions
 * that ask about descriptors, and the limit check of accesses (SDM vol. 3,
 * ch. 3.4 and 5).
 */
#include "x86vm/protection/protection.h"

#include "x86vm/protection/descriptor.h"

void segment_set_null(struct cpu *cpu, enum cpu_seg which, uint16_t selector)
{
    const struct cpu_segment null = { .selector = selector };
    cpu_set_segment(cpu, which, &null);
}

/* Real mode replaces selector and base alone: a limit set in protected mode
 * stays ("big real mode"). Virtual-8086 mode has fixed 64 KiB, DPL 3. */
void segment_load_paragraph(struct cpu *cpu, enum cpu_seg which, uint16_t selector)
{
    struct cpu_segment s = { .base = (uint32_t)selector << 4, .limit = 0xffff, .selector = selector,
                             .access = SEG_P | SEG_S | SEG_TYPE_RW | SEG_TYPE_ACCESSED };

    if (cpu_protected(cpu)) {
        s.access |= SEG_DPL;
    } else {
        const struct cpu_segment *old = &cpu->seg[which];
        if (old->access & SEG_P) {
            s.limit = old->limit;
            s.access |= old->access & (SEG_DB | SEG_G);
        }
        if (which == CPU_CS)
            s.access |= SEG_TYPE_CODE;
    }
    cpu_set_segment(cpu, which, &s);
}

void segment_drop_privileged(struct cpu *cpu)
{
    static const uint8_t data[] = { CPU_ES, CPU_DS, CPU_FS, CPU_GS };
    const unsigned conforming = SEG_S | SEG_TYPE_CODE | SEG_TYPE_CONFORMING;

    for (unsigned i = 0; i < sizeof data; i++) {
        const struct cpu_segment *s = &cpu->seg[data[i]];
        if ((s->access & conforming) == conforming)
            continue;
        /* A null selector loses its RPL too, seen on this maker's CPUs. */
        const bool null = !(s->access & SEG_P);
        if (null ? s->selector != 0 : cpu->cpl > (s->access & SEG_DPL) >> SEG_DPL_SHIFT)
            segment_set_null(cpu, data[i], 0);
    }
}

static void load_stack_segment(struct cpu *cpu, uint16_t selector)
{
    struct descriptor d;

    if (selector_is_null(selector))
        cpu_fault_error(cpu, VEC_GP, 0);
    descriptor_fetch_or_fault(cpu, selector, VEC_GP, 0, &d);
    if ((selector & SELECTOR_RPL) != cpu->cpl || !descriptor_is_writable(&d) || descriptor_dpl(&d) != cpu->cpl)
        fault_selector(cpu, VEC_GP, selector, 0);
    if (!descriptor_present(&d))
        fault_selector(cpu, VEC_SS, selector, 0);
    descriptor_touch(cpu, selector, &d);
    const struct cpu_segment s = descriptor_segment(&d, selector);
    cpu_set_segment(cpu, CPU_SS, &s);
}

static void load_data_segment(struct cpu *cpu, enum cpu_seg which, uint16_t selector)
{
    struct descriptor d;

    if (selector_is_null(selector)) {
        segment_set_null(cpu, which, selector);
        return;
    }
    descriptor_fetch_or_fault(cpu, selector, VEC_GP, 0, &d);
    if (!descriptor_is_readable(&d))
        fault_selector(cpu, VEC_GP, selector, 0);
    const unsigned dpl = descriptor_dpl(&d);
    if (!descriptor_is_conforming(&d) && ((selector & SELECTOR_RPL) > dpl || cpu->cpl > dpl))
        fault_selector(cpu, VEC_GP, selector, 0);
    if (!descriptor_present(&d))
        fault_selector(cpu, VEC_NP, selector, 0);
    descriptor_touch(cpu, selector, &d);
    const struct cpu_segment s = descriptor_segment(&d, selector);
    cpu_set_segment(cpu, which, &s);
}

void protection_load_segment(struct cpu *cpu, enum cpu_seg which, uint16_t selector)
{
    if (!cpu_protected(cpu) || cpu_v8086(cpu))
        segment_load_paragraph(cpu, which, selector);
    else if (which == CPU_SS)
        load_stack_segment(cpu, selector);
    else
        load_data_segment(cpu, which, selector);
    if (which == CPU_SS) {
        cpu->interrupt_shadow = true;
        cpu->debug_delay = DEBUG_AFTER_NEXT;
    }
}

void protection_lldt(struct cpu *cpu, uint16_t selector)
{
    struct descriptor d;

    require_protected(cpu);
    require_cpl0(cpu);
    if (selector_is_null(selector)) {
        cpu->ldtr = (struct cpu_segment){ .selector = selector };
        return;
    }
    if (selector & SELECTOR_LDT)
        fault_selector(cpu, VEC_GP, selector, 0);
    descriptor_fetch_or_fault(cpu, selector, VEC_GP, 0, &d);
    if (descriptor_kind(&d) != SYS_LDT)
        fault_selector(cpu, VEC_GP, selector, 0);
    if (!descriptor_present(&d))
        fault_selector(cpu, VEC_NP, selector, 0);
    cpu->ldtr = descriptor_segment(&d, selector);
}

void protection_ltr(struct cpu *cpu, uint16_t selector)
{
    struct descriptor d;

    require_protected(cpu);
    require_cpl0(cpu);
    if (selector_is_null(selector))
        cpu_fault_error(cpu, VEC_GP, 0);
    if (selector & SELECTOR_LDT)
        fault_selector(cpu, VEC_GP, selector, 0);
    descriptor_fetch_or_fault(cpu, selector, VEC_GP, 0, &d);
    if (descriptor_kind(&d) != SYS_TSS16 && descriptor_kind(&d) != SYS_TSS32)
        fault_selector(cpu, VEC_GP, selector, 0);
    if (!descriptor_present(&d))
        fault_selector(cpu, VEC_NP, selector, 0);
    d.high |= SYS_BUSY << 8;
    const uint8_t access = d.high >> 8;
    view_write(cpu, descriptor_address(cpu, selector) + 5, &access, 1, false);
    cpu->tr = descriptor_segment(&d, selector);
}

/* What LAR, LSL, VERR and VERW have in common: may the program see it? */
static bool visible(struct cpu *cpu, uint16_t selector, struct descriptor *d)
{
    require_protected(cpu);
    if (selector_is_null(selector) || !descriptor_fetch(cpu, selector, d))
        return false;
    if (descriptor_is_conforming(d))
        return true;
    const unsigned dpl = descriptor_dpl(d);
    return cpu->cpl <= dpl && (selector & SELECTOR_RPL) <= dpl;
}

#define KIND(type) (1u << (type))
#define KINDS_CODE_DATA 0xffff0000u
static const uint32_t lsl_kinds = KINDS_CODE_DATA | KIND(SYS_TSS16) | KIND(SYS_LDT) | KIND(SYS_TSS16_BUSY) |
                                  KIND(SYS_TSS32) | KIND(SYS_TSS32_BUSY);
static const uint32_t lar_kinds = KINDS_CODE_DATA | KIND(SYS_TSS16) | KIND(SYS_LDT) | KIND(SYS_TSS16_BUSY) |
                                  KIND(SYS_TSS32) | KIND(SYS_TSS32_BUSY) | KIND(SYS_CALL16) | KIND(SYS_CALL32) |
                                  KIND(SYS_TASK_GATE);

bool protection_lar(struct cpu *cpu, uint16_t selector, uint32_t *out)
{
    struct descriptor d;

    if (!visible(cpu, selector, &d) || !(lar_kinds & KIND(descriptor_kind(&d))))
        return false;
    *out = d.high & 0x00ffff00; /* the manual leaves limit bits 19..16 undefined; CPUs give them */
    return true;
}

bool protection_lsl(struct cpu *cpu, uint16_t selector, uint32_t *out)
{
    struct descriptor d;

    if (!visible(cpu, selector, &d) || !(lsl_kinds & KIND(descriptor_kind(&d))))
        return false;
    *out = descriptor_limit(&d);
    return true;
}

bool protection_verify(struct cpu *cpu, uint16_t selector, bool for_write)
{
    struct descriptor d;

    if (!visible(cpu, selector, &d))
        return false;
    return for_write ? descriptor_is_writable(&d) : descriptor_is_readable(&d);
}

bool segment_admits(const struct cpu_segment *segment, uint32_t offset, uint32_t size)
{
    const uint32_t last = offset + size - 1;

    if ((segment->access & (SEG_TYPE_CODE | SEG_TYPE_EXPAND_DOWN)) == SEG_TYPE_EXPAND_DOWN) {
        const uint32_t top = segment->access & SEG_DB ? 0xffffffff : 0xffff;
        return offset > segment->limit && last >= offset && last <= top;
    }
    /* A wrap at 4 GiB is "implementation-specific" in the manual: CPUs let it
     * pass in flat segments, and nowhere else. */
    if (segment->limit == 0xffffffff && segment->base == 0)
        return true;
    return last >= offset && last <= segment->limit;
}

/* A table or an environment needs the alignment of its members, an 80-bit value
 * that of its mantissa. FXSAVE's image has its own rule (#GP). */
static uint32_t alignment_of(uint32_t size)
{
    return size == 10 ? 8 : size > 128 ? 1 : size & 15 ? size & -size : 16;
}

void protection_check_alignment(struct cpu *cpu, uint32_t linear, uint32_t size)
{
    if (linear & (alignment_of(size) - 1) && cpu_checks_alignment(cpu))
        cpu_fault_error(cpu, VEC_AC, 0);
}

uint32_t protection_program_address(struct cpu *cpu, enum cpu_seg which, uint32_t offset, uint32_t size, bool write)
{
    const uint32_t linear = protection_segment_address(cpu, which, offset, size, write);

    if (offset + (size - 1) < offset) /* around 4 GiB, which even a flat segment does not admit here */
        cpu_fault_error(cpu, which == CPU_SS ? VEC_SS : VEC_GP, 0);
    protection_check_alignment(cpu, linear, size);
    return linear;
}

uint32_t protection_segment_address(struct cpu *cpu, enum cpu_seg which, uint32_t offset, uint32_t size, bool write)
{
    const struct cpu_segment *s = &cpu->seg[which];
    bool good = s->access & SEG_P;

    if (good && cpu_protected(cpu) && !cpu_v8086(cpu)) {
        if (write)
            good = (s->access & (SEG_TYPE_CODE | SEG_TYPE_RW)) == SEG_TYPE_RW;
        else
            good = (s->access & (SEG_TYPE_CODE | SEG_TYPE_RW)) != SEG_TYPE_CODE;
    }
    if (!good || !segment_admits(s, offset, size))
        cpu_fault_error(cpu, which == CPU_SS ? VEC_SS : VEC_GP, 0);
    return s->base + offset;
}
