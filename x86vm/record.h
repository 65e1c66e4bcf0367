/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Recording a guest: everything that reaches it from outside, so that replay.h
 * can run it again without devices, to the same end. A recording is a file:
 *
 *   the header        magic, version, RAM size, the CPU's state, which pages are
 *                     holes or read-only, and each page of RAM that is not zero
 *   records           in the order in which things happened (enum record_kind)
 *
 * Numbers are little-endian, nothing is padded. Records that happen at any time
 * (interrupts, DMA) carry the position they happened at, see x86vm_position();
 * what the guest itself asks for (port and memory-mapped reads, the time-stamp
 * counter) does not: it comes in the order in which it is asked for. Writes of
 * the guest to devices and its exceptions are there to tell early that a replay goes
 * another way; and as flags that nobody will read may differ from run to run, their
 * frames get the recorded ones.
 */
#ifndef X86VM_RECORD_H
#define X86VM_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct x86vm;
struct cpu;
struct record;

#define RECORD_MAGIC "VSWITCHR"
enum { RECORD_MAGIC_SIZE = 8, RECORD_VERSION = 4, RECORD_DATA_MOST = 1 << 20 /* bytes in one record */ };

enum record_kind {
    RECORD_PORT_READ = 1, /* u16 port, u8 size, u16 count, data */
    RECORD_PORT_WRITE,    /* the same; data of more than one element as RECORD_HASH_SIZE bytes of hash */
    RECORD_MMIO_READ,     /* u32 address, u16 size, data */
    RECORD_MMIO_WRITE,
    RECORD_TSC,           /* u64 */
    RECORD_DMA_INSIDE,    /* u32 address, u32 size, data: by the access whose record comes next */
    RECORD_LINES_INSIDE,  /* u8, RECORD_A20 and RECORD_IGNNE: the same */
    RECORD_DMA,           /* u64 position, u32 address, u32 size, data */
    RECORD_INTERRUPT,     /* u64 position, u8 vector, u32 check, u16 arithmetic flags */
    RECORD_END,           /* u64 position, u32 check, u64 hash of RAM, u8 enum x86vm_exit */
    RECORD_EXCEPTION,     /* u8 vector, u16 arithmetic flags */
};
/* A kind from here on is a TSC read RECORD_TSC_NEAR_MOST or less after the one before: bits 8 to 14
 * of the difference, and the lower eight in the byte that follows. Kernels read it a lot. */
enum { RECORD_TSC_NEAR = 0x80, RECORD_TSC_NEAR_MOST = 0x7fff };
enum { RECORD_HASH_SIZE = 8 };
enum { RECORD_A20 = 1, RECORD_IGNNE = 2 /* becomes active */ }; /* the header's flags: the first */

/* The CPU's state in the header, as a table of its members: record_state.c. */
enum { RECORD_CPU_MOST = 2048 };
size_t record_cpu_size(void);
void record_cpu_store(const struct cpu *cpu, uint8_t *bytes);
bool record_cpu_load(struct cpu *cpu, const uint8_t *bytes); /* false: no CPU has such a state */

/* What two runs of the same recording have in common at the same position. The
 * arithmetic flags are left out: what an instruction leaves undefined is the host's. */
uint32_t record_check(const struct cpu *cpu);
uint64_t record_hash(const void *bytes, size_t size);
uint64_t record_ram_hash(struct x86vm *vm);

/* Writes the header to `fd` and listens in from now on: when the machine is ready to
 * run, after x86vm_set_intr_ack(). Only write() is called on `fd`. NULL: no memory. */
struct record *record_start(struct x86vm *vm, int fd, void (*log)(const char *line));
/* Between two runs: writes what has been gathered when that is due. */
void record_service(struct record *record, uint64_t now);
/* Writes the end and all that is left. */
void record_finish(struct record *record, unsigned last_exit);
void record_free(struct record *record); /* after the engine */

#endif
