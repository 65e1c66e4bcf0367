/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The machine's state as bytes: the CPU's in the header of a recording, and
 * sums over CPU and RAM that tell two runs apart. See record.h.
 */
#include "x86vm/record.h"

#include <string.h>

#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"
#include "x86vm/x86vm.h"

#define MEMBER(name) { offsetof(struct cpu, name), sizeof(((struct cpu *)0)->name) }

/* Host and file are both little-endian. */
static const struct { size_t offset, size; } members[] = {
    MEMBER(regs), MEMBER(eip), MEMBER(eflags), MEMBER(fpu), MEMBER(seg), MEMBER(ldtr), MEMBER(tr), MEMBER(gdtr),
    MEMBER(idtr), MEMBER(cr0), MEMBER(cr2), MEMBER(cr3), MEMBER(cr4), MEMBER(pdpte), MEMBER(dr), MEMBER(sysenter_cs),
    MEMBER(sysenter_esp), MEMBER(sysenter_eip), MEMBER(efer), MEMBER(msr_misc), MEMBER(tsc_offset), MEMBER(tsc_khz), MEMBER(features),
    MEMBER(cpl), MEMBER(halted), MEMBER(interrupt_shadow), MEMBER(nmi_pending),
    MEMBER(nmi_blocked), MEMBER(ignne),
};
enum { MEMBERS = sizeof members / sizeof members[0] };
_Static_assert(sizeof(struct cpu) - sizeof(((struct cpu *)0)->bounce) < RECORD_CPU_MOST, "the buffer holds it");

size_t record_cpu_size(void)
{
    size_t size = 0;

    for (unsigned i = 0; i < MEMBERS; i++)
        size += members[i].size;
    return size;
}

void record_cpu_store(const struct cpu *cpu, uint8_t *bytes)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        memcpy(bytes, (const uint8_t *)cpu + members[i].offset, members[i].size);
        bytes += members[i].size;
    }
}

static bool is_bool(const bool *value)
{
    uint8_t byte;

    memcpy(&byte, value, 1);
    return byte <= 1;
}

/* Nothing here can hurt the host, whatever the guest's state says; but a bool
 * must be one, and MXCSR has bits that FXRSTOR refuses. */
bool record_cpu_load(struct cpu *cpu, const uint8_t *bytes)
{
    uint32_t mxcsr;

    for (unsigned i = 0; i < MEMBERS; i++) {
        memcpy((uint8_t *)cpu + members[i].offset, bytes, members[i].size);
        bytes += members[i].size;
    }
    memcpy(&mxcsr, cpu->fpu + 24, sizeof mxcsr);
    if (cpu->cpl > 3 || !is_bool(&cpu->halted) || !is_bool(&cpu->interrupt_shadow) || !is_bool(&cpu->nmi_pending) || !is_bool(&cpu->nmi_blocked) || !is_bool(&cpu->ignne) || mxcsr > 0xffff)
        return false;
    for (unsigned i = 0; i < CPU_SEG_COUNT; i++)
        cpu->seg_base[i] = cpu->seg[i].base;
    cpu->mode_dirty = true;
    view_flush_all(cpu);
    view_select(cpu);
    return true;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9fb21c651e98df25);
    return hash ^ hash >> 29;
}

uint64_t record_hash(const void *bytes, size_t size)
{
    const uint8_t *from = bytes;
    uint64_t hash = size, word;

    for (; size >= sizeof word; size -= sizeof word, from += sizeof word) {
        memcpy(&word, from, sizeof word);
        hash = mix(hash, word);
    }
    word = 0;
    memcpy(&word, from, size);
    return mix(hash, word);
}

uint64_t record_ram_hash(struct x86vm *vm)
{
    struct phys *phys = x86vm_phys(vm);

    return record_hash(phys_ram(phys), phys_ram_size(phys));
}

uint32_t record_check(const struct cpu *cpu)
{
    struct { uint32_t regs[8], eip, eflags, cr0, cr2, cr3, cpl; } s = {
        .eip = cpu->eip, .eflags = cpu->eflags & ~(uint32_t)FLAGS_ARITH, .cr0 = cpu->cr0, .cr2 = cpu->cr2, .cr3 = cpu->cr3,
        .cpl = cpu->cpl,
    };

    memcpy(s.regs, cpu->regs, sizeof s.regs);
    return (uint32_t)(record_hash(&s, sizeof s) >> 16);
}
