/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Starts a multiboot (version 1) ELF image: small test guests and kernels
 * that are not Linux. Passes memory size, memory map and command line; no modules.
 */
#ifndef X86VM_PC_BOOT_MULTIBOOT_H
#define X86VM_PC_BOOT_MULTIBOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpu;
struct phys;

/* Whether the file has a multiboot header. */
bool boot_multiboot_recognizes(const uint8_t *file, size_t size);

/* `cpu` is in its reset state. False with a reason in `error`. */
bool boot_multiboot_load(struct phys *phys, struct cpu *cpu, const uint8_t *file, size_t size, const char *command_line,
                         char *error, size_t error_size);

#endif
