/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Private to protection/: CR3 as MOV and a task switch load it, and the bits
 * of control registers that exist because CPUID says so.
 */
#ifndef X86VM_PROTECTION_CONTROL_H
#define X86VM_PROTECTION_CONTROL_H

#include "x86vm/cpu/cpu.h"

void control_load_cr3(struct cpu *cpu, uint32_t value);

/* cpuid.c: the CR4 bits that the advertised features bring. */
uint32_t cpuid_cr4_bits(void);

/* msr.c: host time as the guest's TSC counts it, before tsc_offset. */
uint64_t host_tsc(void);

#endif
