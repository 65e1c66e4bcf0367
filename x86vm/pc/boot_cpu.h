/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The CPU as both boot protocols want it: 32-bit protected mode, flat
 * segments, paging and interrupts off. And the map of low memory that the
 * loaders share.
 */
#ifndef X86VM_PC_BOOT_CPU_H
#define X86VM_PC_BOOT_CPU_H

#include <stdbool.h>
#include <stdint.h>

struct cpu;
struct phys;

/* Guest-physical addresses. The loaders own [BOOT_AREA, BOOT_AREA_END). */
#define BOOT_AREA 0x8f000u
#define BOOT_GDT 0x8f000u
#define BOOT_STACK 0x90000u       /* grows down from here, above the GDT */
#define BOOT_PARAMS 0x90000u      /* boot_params or multiboot information: a page */
#define BOOT_COMMAND_LINE 0x91000u
#define BOOT_COMMAND_LINE_MAX 0x8000u
#define BOOT_SEED 0x99000u         /* struct setup_data with the random seed: a page */
#define BOOT_AREA_END 0x9a000u
#define BOOT_LOW_END 0x9fc00u     /* conventional memory ends; the EBDA begins */
#define BOOT_HIGH 0x100000u       /* extended memory begins */

/* After cpu_reset(): writes a GDT and sets the state. False: low memory is missing. */
bool boot_flat_mode(struct phys *phys, struct cpu *cpu, uint32_t entry);

/* The BIOS data area's words that kernels look at: base memory, EBDA, serial ports. */
bool boot_bios_data(struct phys *phys);

#endif
