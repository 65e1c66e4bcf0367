/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Control and debug registers, descriptor-table registers, HLT and the TLB
 * instructions (SDM vol. 3, ch. 2). Each write takes effect on the views at
 * once; translate/ learns of it by mode_dirty.
 */
#include "x86vm/protection/control.h"

#include "x86vm/protection/descriptor.h"
#include "x86vm/protection/protection.h"

#include "x86vm/memory/paging.h"
#include "x86vm/memory/watch.h"

#define CR0_WRITABLE \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)

/* Bits whose change makes cached walks wrong (vol. 3, 4.10.4.1). */
#define CR0_FLUSHES (CR0_PG | CR0_WP)
#define CR4_FLUSHES ((uint32_t)(CR4_PSE | CR4_PAE | CR4_PGE))
/* ... and that of CR0 which makes PAE paging load its top entries (4.4.1); CR4's are the same. */
#define CR0_LOADS (CR0_PG | CR0_CD | CR0_NW)

/* The CPU's own copy of PAE's top entries, where the new state has that paging. */
static void load_pointers(struct cpu *cpu, uint32_t cr0, uint32_t cr3, uint32_t cr4)
{
    if (cr0 & CR0_PG && cr4 & CR4_PAE && !paging_load_pointers(cpu, cr3))
        cpu_fault_error(cpu, VEC_GP, 0);
}

static void set_cr0(struct cpu *cpu, uint32_t value)
{
    const uint32_t old = cpu->cr0;

    cpu->cr0 = (value & CR0_WRITABLE) | CR0_ET;
    cpu->mode_dirty = true;
    if ((old ^ cpu->cr0) & CR0_FLUSHES) {
        view_flush_all(cpu);
        view_select(cpu);
    }
}

static void write_cr0(struct cpu *cpu, uint32_t value)
{
    const bool paging_alone = (value & (CR0_PG | CR0_PE)) == CR0_PG;
    const bool write_through_alone = (value & (CR0_NW | CR0_CD)) == CR0_NW;

    if (paging_alone || write_through_alone)
        cpu_fault_error(cpu, VEC_GP, 0);
    if ((cpu->cr0 ^ value) & CR0_LOADS)
        load_pointers(cpu, value, cpu->cr3, cpu->cr4);
    set_cr0(cpu, value);
}

void control_load_cr3(struct cpu *cpu, uint32_t value)
{
    load_pointers(cpu, cpu->cr0, value, cpu->cr4);
    cpu->cr3 = value;
    cpu->mode_dirty = true;
    view_flush_nonglobal(cpu);
}

static void write_cr4(struct cpu *cpu, uint32_t value)
{
    const uint32_t old = cpu->cr4;

    if (value & ~cpuid_cr4_bits())
        cpu_fault_error(cpu, VEC_GP, 0);
    if ((old ^ value) & CR4_FLUSHES)
        load_pointers(cpu, cpu->cr0, cpu->cr3, value);
    cpu->cr4 = value;
    cpu->mode_dirty = true;
    if ((old ^ value) & CR4_DE)
        watch_update(cpu);
    if ((old ^ value) & CR4_FLUSHES) {
        view_flush_all(cpu);
        view_select(cpu);
    }
}

uint32_t protection_read_cr(struct cpu *cpu, unsigned index)
{
    const uint32_t *const registers[] = { &cpu->cr0, NULL, &cpu->cr2, &cpu->cr3, &cpu->cr4 };

    if (index >= sizeof registers / sizeof registers[0] || !registers[index])
        cpu_fault(cpu, VEC_UD);
    require_cpl0(cpu);
    return *registers[index];
}

void protection_write_cr(struct cpu *cpu, unsigned index, uint32_t value)
{
    if (index > 4 || index == 1)
        cpu_fault(cpu, VEC_UD);
    require_cpl0(cpu);
    if (index == 0)
        write_cr0(cpu, value);
    else if (index == 2)
        cpu->cr2 = value;
    else if (index == 3)
        control_load_cr3(cpu, value);
    else
        write_cr4(cpu, value);
}

void protection_clts(struct cpu *cpu)
{
    require_cpl0(cpu);
    cpu->cr0 &= ~(uint32_t)CR0_TS;
    cpu->mode_dirty = true;
}

void protection_lmsw(struct cpu *cpu, uint16_t value)
{
    const uint32_t bits = CR0_PE | CR0_MP | CR0_EM | CR0_TS;

    require_cpl0(cpu);
    set_cr0(cpu, (cpu->cr0 & (~bits | CR0_PE)) | (value & bits)); /* PE can be set, not cleared */
}

/* UMIP (vol. 3, 2.5): the instructions that show system registers to anyone. */
static void require_visible(struct cpu *cpu)
{
    if (cpu->cpl && cpu->cr4 & CR4_UMIP)
        cpu_fault_error(cpu, VEC_GP, 0);
}

uint32_t protection_smsw(struct cpu *cpu)
{
    require_visible(cpu);
    return cpu->cr0;
}

struct cpu_table protection_store_table(struct cpu *cpu, bool idt)
{
    require_visible(cpu);
    return idt ? cpu->idtr : cpu->gdtr;
}

uint16_t protection_store_selector(struct cpu *cpu, bool tr)
{
    require_protected(cpu);
    require_visible(cpu);
    return tr ? cpu->tr.selector : cpu->ldtr.selector;
}

void protection_load_table(struct cpu *cpu, bool idt, uint32_t base, uint16_t limit)
{
    const struct cpu_table table = { base, limit };

    require_cpl0(cpu);
    *(idt ? &cpu->idtr : &cpu->gdtr) = table;
}

/* --- debug registers (vol. 3, 17.2) --- */

enum { DR6_WRITABLE = 0xe00f, DR7_WRITABLE = (int)0xffff23ff };
#define DR6_FIXED 0xffff0ff0u
#define DR7_FIXED 0x400u

/* The register that `index` means: 4 and 5 alias 6 and 7 unless CR4.DE. */
static unsigned debug_register(struct cpu *cpu, unsigned index)
{
    if (index == 4 || index == 5) {
        if (cpu->cr4 & CR4_DE)
            cpu_fault(cpu, VEC_UD);
        index += 2;
    }
    require_cpl0(cpu);
    if (cpu->dr[7] & DR7_GD)
        cpu_fault_error(cpu, VEC_DB, DR6_BD);
    return index & 7;
}

uint32_t protection_read_dr(struct cpu *cpu, unsigned index)
{
    return cpu->dr[debug_register(cpu, index)];
}

void protection_write_dr(struct cpu *cpu, unsigned index, uint32_t value)
{
    index = debug_register(cpu, index);
    if (index == 6)
        value = (value & DR6_WRITABLE) | DR6_FIXED;
    else if (index == 7)
        value = (value & (uint32_t)DR7_WRITABLE) | DR7_FIXED;
    cpu->dr[index] = value;
    cpu->mode_dirty = true;
    watch_update(cpu);
}

/* --- the rest --- */

void protection_invlpg(struct cpu *cpu, uint32_t linear)
{
    require_cpl0(cpu);
    view_flush_page(cpu, linear);
}

void protection_invd(struct cpu *cpu)
{
    require_cpl0(cpu);
}

void protection_hlt(struct cpu *cpu)
{
    require_cpl0(cpu);
    cpu->halted = true;
}

void protection_arpl(struct cpu *cpu, uint16_t *destination, uint16_t source)
{
    require_protected(cpu);
    if ((*destination & SELECTOR_RPL) < (source & SELECTOR_RPL)) {
        *destination = (*destination & ~SELECTOR_RPL) | (source & SELECTOR_RPL);
        cpu->eflags |= FLAG_ZF;
    } else {
        cpu->eflags &= ~(uint32_t)FLAG_ZF;
    }
}
