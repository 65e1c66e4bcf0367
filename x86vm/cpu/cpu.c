/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reset state and the raising of exceptions: see cpu.h.
 */
#include "x86vm/cpu/cpu.h"

#include <string.h>

#include "x86vm/cpu/x87.h"

void cpu_set_segment(struct cpu *cpu, enum cpu_seg which, const struct cpu_segment *value)
{
    const struct cpu_segment *old = &cpu->seg[which];

    x87_keep_selector(cpu, which);
    /* A kernel's entry loads DS and ES with what they hold already. */
    if (old->base != value->base || old->limit != value->limit || old->access != value->access)
        cpu->mode_dirty = true;
    cpu->seg[which] = *value;
    cpu->seg_base[which] = value->base;
}

static void reset_fpu_image(uint8_t *image)
{
    const uint16_t fcw = 0x037f;
    const uint32_t mxcsr = 0x1f80;
    memset(image, 0, 512);
    memcpy(image, &fcw, sizeof fcw);
    memcpy(image + 24, &mxcsr, sizeof mxcsr);
}

void cpu_reset(struct cpu *cpu)
{
    static const struct cpu_segment data = { .limit = 0xffff, .access = SEG_P | SEG_S | SEG_TYPE_RW | SEG_TYPE_ACCESSED };
    static const struct cpu_segment code = { .base = 0xffff0000, .limit = 0xffff, .selector = 0xf000,
        .access = SEG_P | SEG_S | SEG_TYPE_CODE | SEG_TYPE_RW | SEG_TYPE_ACCESSED };

    memset(cpu->regs, 0, sizeof cpu->regs);
    cpu->regs[CPU_EDX] = 0x000106ca;
    cpu->eip = 0xfff0;
    cpu->eflags = FLAG_ONE;
    for (int i = 0; i < CPU_SEG_COUNT; i++)
        cpu_set_segment(cpu, i, i == CPU_CS ? &code : &data);
    cpu->ldtr = (struct cpu_segment){ .limit = 0xffff, .access = SEG_P | 2 };
    cpu->tr = (struct cpu_segment){ .limit = 0xffff, .access = SEG_P | 11 };
    cpu->gdtr = cpu->idtr = (struct cpu_table){ 0, 0xffff };
    cpu->cr0 = CR0_ET | CR0_NW | CR0_CD;
    cpu->cr2 = cpu->cr3 = cpu->cr4 = 0;
    memset(cpu->pdpte, 0, sizeof cpu->pdpte);
    memset(cpu->dr, 0, sizeof cpu->dr);
    cpu->dr[6] = 0xffff0ff0;
    cpu->dr[7] = 0x400;
    cpu->watch_data = cpu->watch_code = cpu->watch_io = 0;
    cpu->watch_hits = 0;
    cpu->debug_delay = DEBUG_AT_ONCE;
    cpu->sysenter_cs = cpu->sysenter_esp = cpu->sysenter_eip = 0;
    cpu->efer = 0;
    memset(cpu->msr_misc, 0, sizeof cpu->msr_misc);
    cpu->cpl = 0;
    cpu->nmi_blocked = false;
    cpu->shadowed = CPU_NOWHERE;
    cpu->halted = cpu->interrupt_shadow = cpu->ignne = cpu->shutdown = cpu->nmi_pending = false;
    cpu->mode_dirty = true;
    cpu->x87_ip = cpu->x87_dp = cpu->x87_info = 0;
    cpu->x87_cs = cpu->x87_ds = 0;
    reset_fpu_image(cpu->fpu);
}

_Noreturn static void raise(struct cpu *cpu, enum cpu_vector vector, bool has_error, uint32_t error)
{
    cpu->fault_vector = vector;
    cpu->fault_has_error = has_error;
    cpu->fault_error = error;
    longjmp(*cpu->fault_env, CPU_FAULTED);
}

_Noreturn void cpu_fault(struct cpu *cpu, enum cpu_vector vector)
{
    raise(cpu, vector, false, 0);
}

_Noreturn void cpu_fault_error(struct cpu *cpu, enum cpu_vector vector, uint32_t error)
{
    raise(cpu, vector, true, error);
}
