/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Model-specific registers: those that the CPU model of cpuid.c has, as one
 * table; and the time-stamp counter, which is the host's plus an offset.
 *
 * What is not in the table raises #GP, which is how operating systems probe.
 */
#include "x86vm/protection/control.h"
#include "x86vm/protection/descriptor.h"
#include "x86vm/protection/protection.h"

/* MISC_ENABLE: fast strings on; branch trace storage and PEBS unavailable. */
#define MISC_ENABLE_RESET (1u << 0 | 1u << 11 | 1u << 12)
#define MISC_ENABLE_WRITABLE (1u << 0)
/* The revision of a microcode update for this model, as CPUID leaves it in the high half. */
#define MICROCODE_REVISION (UINT64_C(0x107) << 32)

/* cpu->msr_misc */
enum { MISC_ENABLE_CHANGED, /* the writable bits, exclusive-or their reset state */
       TSC_ADJUST };

struct msr {
    uint32_t index;
    uint64_t (*read)(struct cpu *cpu);
    bool (*write)(struct cpu *cpu, uint64_t value); /* false: #GP */
};

uint64_t host_tsc(void)
{
    return __builtin_ia32_rdtsc();
}

static uint64_t read_tsc(struct cpu *cpu)
{
    return (cpu->tsc_source ? cpu->tsc_source(cpu->tsc_opaque) : host_tsc()) + cpu->tsc_offset;
}

static bool write_tsc(struct cpu *cpu, uint64_t value)
{
    const uint64_t change = value - read_tsc(cpu);
    cpu->tsc_offset += change;
    cpu->msr_misc[TSC_ADJUST] += change;
    return true;
}

/* What software has added to the counter since reset; a write adds the difference. */
static uint64_t read_tsc_adjust(struct cpu *cpu) { return cpu->msr_misc[TSC_ADJUST]; }

static bool write_tsc_adjust(struct cpu *cpu, uint64_t value)
{
    cpu->tsc_offset += value - cpu->msr_misc[TSC_ADJUST];
    cpu->msr_misc[TSC_ADJUST] = value;
    return true;
}

static uint64_t read_zero(struct cpu *cpu)
{
    (void)cpu;
    return 0;
}

static bool write_ignored(struct cpu *cpu, uint64_t value)
{
    (void)cpu, (void)value;
    return true;
}

static uint64_t read_revision(struct cpu *cpu)
{
    (void)cpu;
    return MICROCODE_REVISION;
}

static uint64_t read_misc_enable(struct cpu *cpu)
{
    return MISC_ENABLE_RESET ^ cpu->msr_misc[MISC_ENABLE_CHANGED];
}

static bool write_misc_enable(struct cpu *cpu, uint64_t value)
{
    cpu->msr_misc[MISC_ENABLE_CHANGED] = (value ^ MISC_ENABLE_RESET) & MISC_ENABLE_WRITABLE;
    return true;
}

static uint64_t read_efer(struct cpu *cpu) { return cpu->efer; }

static bool write_efer(struct cpu *cpu, uint64_t value)
{
    if (value & ~(uint64_t)EFER_NXE)
        return false;
    if (value != cpu->efer) {
        cpu->efer = value;
        view_flush_all(cpu);
    }
    return true;
}

#define STORED(name)                                                       \
    static uint64_t read_##name(struct cpu *cpu) { return cpu->name; }     \
    static bool write_##name(struct cpu *cpu, uint64_t value)              \
    {                                                                      \
        cpu->name = value;                                                 \
        return true;                                                       \
    }
STORED(sysenter_cs)
STORED(sysenter_esp)
STORED(sysenter_eip)
#undef STORED

static const struct msr msrs[] = {
    { 0x010, read_tsc, write_tsc },                   /* IA32_TIME_STAMP_COUNTER */
    { 0x017, read_zero, NULL },                       /* IA32_PLATFORM_ID: bits 52..50, processor flags */
    { 0x03b, read_tsc_adjust, write_tsc_adjust },     /* IA32_TSC_ADJUST */
    { 0x08b, read_revision, write_ignored },          /* IA32_BIOS_SIGN_ID */
    { 0x174, read_sysenter_cs, write_sysenter_cs },   /* IA32_SYSENTER_CS */
    { 0x175, read_sysenter_esp, write_sysenter_esp }, /* IA32_SYSENTER_ESP */
    { 0x176, read_sysenter_eip, write_sysenter_eip }, /* IA32_SYSENTER_EIP */
    { 0x1a0, read_misc_enable, write_misc_enable },   /* IA32_MISC_ENABLE */
    { 0xc0000080, read_efer, write_efer },            /* IA32_EFER */
};

static const struct msr *find(uint32_t index)
{
    for (size_t i = 0; i < sizeof msrs / sizeof msrs[0]; i++)
        if (msrs[i].index == index)
            return &msrs[i];
    return NULL;
}

void protection_rdmsr(struct cpu *cpu)
{
    require_cpl0(cpu);
    const struct msr *msr = find(cpu->regs[CPU_ECX]);
    if (!msr)
        cpu_fault_error(cpu, VEC_GP, 0);
    const uint64_t value = msr->read(cpu);
    cpu->regs[CPU_EAX] = value;
    cpu->regs[CPU_EDX] = value >> 32;
}

void protection_wrmsr(struct cpu *cpu)
{
    require_cpl0(cpu);
    const struct msr *msr = find(cpu->regs[CPU_ECX]);
    const uint64_t value = (uint64_t)cpu->regs[CPU_EDX] << 32 | cpu->regs[CPU_EAX];
    if (!msr || !msr->write || !msr->write(cpu, value))
        cpu_fault_error(cpu, VEC_GP, 0);
}

void protection_rdtsc(struct cpu *cpu)
{
    if (cpu->cr4 & CR4_TSD && cpu->cpl)
        cpu_fault_error(cpu, VEC_GP, 0);
    const uint64_t now = read_tsc(cpu);
    cpu->regs[CPU_EAX] = now;
    cpu->regs[CPU_EDX] = now >> 32;
}

/* The model has no performance counter, so every index is a wrong one. */
void protection_rdpmc(struct cpu *cpu)
{
    cpu_fault_error(cpu, VEC_GP, 0);
}
