/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Loads a 32-bit x86 ELF executable to its physical addresses. The file is
 * not trusted: every offset and size is checked before it is used.
 */
#ifndef X86VM_PC_ELF32_H
#define X86VM_PC_ELF32_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct phys;

struct elf32_image {
    uint32_t entry;     /* physical address */
    uint32_t low, high; /* loaded range, [low, high) */
};

/* Segments must lie in RAM at or above `least`. False with a reason in `error`. */
bool elf32_load(struct phys *phys, const uint8_t *file, size_t size, uint32_t least, struct elf32_image *image,
                char *error, size_t error_size);

#endif
