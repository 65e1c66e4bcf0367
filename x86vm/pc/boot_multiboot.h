/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Starts a multiboot (version 1) ELF image: small test guests and kernels
 * that are not Linux. Passes memory size, memory map, command line and one module.
 */
#ifndef X86VM_PC_BOOT_MULTIBOOT_H
#define X86VM_PC_BOOT_MULTIBOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpu;
struct phys;

struct boot_multiboot_files {
    const uint8_t *image;
    size_t image_size;
    const uint8_t *module;    /* may be NULL with size 0; lies in the first page behind the image */
    size_t module_size;
    const char *command_line; /* may be NULL */
};

/* Whether the file has a multiboot header. */
bool boot_multiboot_recognizes(const uint8_t *file, size_t size);

/* `cpu` is in its reset state. False with a reason in `error`. */
bool boot_multiboot_load(struct phys *phys, struct cpu *cpu, const struct boot_multiboot_files *files, char *error,
                         size_t error_size);

#endif
