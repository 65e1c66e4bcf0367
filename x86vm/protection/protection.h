/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The privileged and protected architecture: segments, far transfers,
 * interrupts, system registers. translate/ decodes operands and calls these;
 * they work on struct cpu and on linear memory (memory/view.h) alone and know
 * nothing of translated code.
 *
 * Conventions. On entry cpu->eip is the address of the instruction itself.
 * Functions that transfer control set CS:EIP (and CPL, stack, flags); the
 * others leave EIP alone and their caller advances it. A violation raises the
 * architectural exception by cpu_fault*() with nothing changed that the manual
 * says stays unchanged. `size` is the operand size in bytes, 2 or 4. Sections
 * are of the SDM. CPL is cpu->cpl; real and virtual-8086 mode are handled by
 * the same calls. Whenever CPL, CR0, CR3, CR4, EFLAGS.VM or a segment changes,
 * cpu->mode_dirty is set and views are selected/flushed as needed.
 */
#ifndef X86VM_PROTECTION_PROTECTION_H
#define X86VM_PROTECTION_PROTECTION_H

#include "x86vm/cpu/cpu.h"

/* --- segment.c: vol. 3, ch. 3.4, 5 --- */

/* MOV/POP sreg, LDS.. : loads ES, SS, DS, FS or GS with all checks. Sets
 * interrupt_shadow for SS. */
void protection_load_segment(struct cpu *cpu, enum cpu_seg which, uint16_t selector);
void protection_lldt(struct cpu *cpu, uint16_t selector);
void protection_ltr(struct cpu *cpu, uint16_t selector);
/* LAR, LSL: true (ZF=1) and *out set when the descriptor is accessible. */
bool protection_lar(struct cpu *cpu, uint16_t selector, uint32_t *out);
bool protection_lsl(struct cpu *cpu, uint16_t selector, uint32_t *out);
bool protection_verify(struct cpu *cpu, uint16_t selector, bool for_write); /* VERR, VERW: ZF */

/* Checks `size` bytes at `offset` of a segment that is not flat: present,
 * type, limit (expand-down too), null; #SS(0) for SS, else #GP(0). Returns the
 * linear address. */
uint32_t protection_segment_address(struct cpu *cpu, enum cpu_seg which, uint32_t offset, uint32_t size, bool write);

/* #AC where alignment is checked and an operand of that size (table 6-7) at the
 * linear address is misaligned. */
void protection_check_alignment(struct cpu *cpu, uint32_t linear, uint32_t size);
/* Both, for an operand of the program's own. */
uint32_t protection_program_address(struct cpu *cpu, enum cpu_seg which, uint32_t offset, uint32_t size, bool write);

/* --- stack.c: pushes and pops of C code on SS:ESP with SS.B, CPL's privilege --- */
void protection_push(struct cpu *cpu, uint32_t value, unsigned size);
uint32_t protection_pop(struct cpu *cpu, unsigned size);

/* --- transfer.c: far JMP, CALL, RET; vol. 2 --- */
/* return_eip: the address after the instruction (JMP to a task saves it too). */
void protection_far_jump(struct cpu *cpu, uint16_t selector, uint32_t offset, unsigned size, uint32_t return_eip);
void protection_far_call(struct cpu *cpu, uint16_t selector, uint32_t offset, unsigned size, uint32_t return_eip);
void protection_far_return(struct cpu *cpu, unsigned size, uint16_t release);

/* --- interrupt.c, iret.c: vol. 3, ch. 6; vol. 2 INT n, IRET --- */
enum interrupt_source {
    INTERRUPT_HARDWARE,  /* INTR or NMI: return address is cpu->eip */
    INTERRUPT_EXCEPTION, /* fault or trap: return address is cpu->eip */
    INTERRUPT_SOFTWARE,  /* INT n, INT3, INTO: gate DPL checked; return address is return_eip */
};
/* Delivers through the IDT (gates, task gate, stack switch, v8086 frames). An
 * exception during the delivery is raised as a fault; its caller
 * (protection_exception) turns nesting into #DF and shutdown. */
void protection_interrupt(struct cpu *cpu, uint8_t vector, enum interrupt_source source,
                          bool has_error, uint32_t error, uint32_t return_eip);
/* Debug registers: what raises #DB does so by cpu_fault_error(cpu, VEC_DB, bits),
 * where bits are those to set in DR6 (no error code is pushed). */
enum { DR6_BD = 1u << 13, DR6_BS = 1u << 14, DR6_BT = 1u << 15, DR7_ARMED = 0xff, DR7_GD = 1u << 13 };

/* Delivers the exception recorded in cpu->fault_* with the double-fault rules
 * (vol. 3, 6.15, table 6-5); sets cpu->shutdown on a triple fault. Sets its own fault_env
 * while it works. Handles DR6/CR2 conventions. Never longjmps. */
void protection_exception(struct cpu *cpu);
/* The same wrapper for INTR: never longjmps; faults of the delivery become exceptions. */
void protection_hardware_interrupt(struct cpu *cpu, uint8_t vector);
/* INT n in v8086 mode honours IOPL/VME. */
void protection_int(struct cpu *cpu, uint8_t vector, uint32_t return_eip);
/* return_eip: the address after the instruction (return from a nested task saves it). */
void protection_iret(struct cpu *cpu, unsigned size, uint32_t return_eip);

/* --- task.c: hardware task switch, vol. 3, ch. 7 --- */
enum task_switch { TASK_JUMP, TASK_CALL, TASK_IRET, TASK_INTERRUPT };
void protection_task_switch(struct cpu *cpu, uint16_t tss_selector, enum task_switch kind,
                            uint32_t return_eip, bool has_error, uint32_t error);

/* --- fast_call.c --- */
void protection_sysenter(struct cpu *cpu);
void protection_sysexit(struct cpu *cpu);

/* --- flags.c: PUSHF, POPF, CLI, STI by IOPL, VM and VME rules --- */
uint32_t protection_pushf_image(struct cpu *cpu, unsigned size); /* what PUSHF stores; may raise #GP in v86 */
void protection_popf(struct cpu *cpu, uint32_t image, unsigned size);
void protection_cli(struct cpu *cpu);
void protection_sti(struct cpu *cpu); /* sets interrupt_shadow when IF goes 0 -> 1 */

/* --- control.c: CRn, DRn, descriptor-table registers, MSRs, TSC, HLT, ports --- */
uint32_t protection_read_cr(struct cpu *cpu, unsigned index);
void protection_write_cr(struct cpu *cpu, unsigned index, uint32_t value);
uint32_t protection_read_dr(struct cpu *cpu, unsigned index);
void protection_write_dr(struct cpu *cpu, unsigned index, uint32_t value);
void protection_clts(struct cpu *cpu);
void protection_lmsw(struct cpu *cpu, uint16_t value);
uint32_t protection_smsw(struct cpu *cpu); /* honours CR4.UMIP, as the three below */
struct cpu_table protection_store_table(struct cpu *cpu, bool idt);
uint16_t protection_store_selector(struct cpu *cpu, bool tr); /* SLDT, STR */
void protection_load_table(struct cpu *cpu, bool idt, uint32_t base, uint16_t limit);
void protection_invlpg(struct cpu *cpu, uint32_t linear);
void protection_invd(struct cpu *cpu); /* INVD, WBINVD: privilege only */
void protection_hlt(struct cpu *cpu);  /* sets cpu->halted */
void protection_rdmsr(struct cpu *cpu); /* ECX -> EDX:EAX; #GP for unknown ones */
void protection_wrmsr(struct cpu *cpu);
void protection_rdtsc(struct cpu *cpu); /* honours CR4.TSD */
void protection_rdpmc(struct cpu *cpu);
void protection_check_io(struct cpu *cpu, uint16_t port, unsigned size); /* IOPL and the TSS bitmap */
uint32_t protection_in(struct cpu *cpu, uint16_t port, unsigned size);
void protection_out(struct cpu *cpu, uint16_t port, unsigned size, uint32_t value);
void protection_arpl(struct cpu *cpu, uint16_t *destination, uint16_t source); /* sets ZF in eflags */

/* tsc_rate.c: for cpu->tsc_khz; takes 10 ms. 0 where the host's TSC has no fixed rate. */
uint32_t protection_measure_tsc_khz(void);

/* --- cpuid.c: the model that the guest sees --- */
void protection_cpuid(struct cpu *cpu); /* EAX, ECX -> EAX..EDX */
uint32_t protection_host_features(void); /* for cpu->features: CPU_FEATURES that this host has */

#endif
