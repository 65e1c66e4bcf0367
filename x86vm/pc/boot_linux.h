/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Starts a Linux bzImage by the 32-bit boot protocol, without firmware: loads
 * kernel, initrd and command line into guest RAM, fills boot_params with the
 * memory map, and sets the CPU to the kernel's 32-bit entry. The files are not trusted.
 * With a seed, getrandom() never waits: a machine without disks and keyboard, and a
 * CPU without RDRAND, would give a kernel little to begin with.
 */
#ifndef X86VM_PC_BOOT_LINUX_H
#define X86VM_PC_BOOT_LINUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpu;
struct phys;

struct boot_linux_files {
    const uint8_t *kernel;
    size_t kernel_size;
    const uint8_t *initrd;    /* may be NULL with size 0 */
    size_t initrd_size;
    const char *command_line; /* may be NULL */
    bool unpack;              /* decompress the kernel here, so that the guest need not: XZ payloads */
    const uint8_t *seed;      /* BOOT_LINUX_SEED_SIZE random bytes for the kernel's generator, or NULL */
};
enum { BOOT_LINUX_SEED_SIZE = 32 };

/* `cpu` is in its reset state. False with a reason in `error`. */
bool boot_linux_load(struct phys *phys, struct cpu *cpu, const struct boot_linux_files *files, char *error,
                     size_t error_size);

#endif
