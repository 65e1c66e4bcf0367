/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The machine that fuzz_engine's random code runs on: tables in which most
 * things are right and some are bent, and a random state of the CPU.
 */
#ifndef TESTS_FUZZ_FUZZ_GUEST_H
#define TESTS_FUZZ_FUZZ_GUEST_H

#include "tests/fuzz/fuzz_random.h"

struct cpu;
struct phys;

/* Guest-physical layout; linear addresses are the same, and again at FUZZ_HIGH where paging is on. */
enum {
    FUZZ_RAM = 16 << 20,
    FUZZ_GDT = 0x1000, FUZZ_IDT = 0x2000, FUZZ_LDT = 0x2800, FUZZ_TSS = 0x3000, /* four TSSs, 0x400 apart */
    FUZZ_SKIP = 0x7000, /* handlers that go on a byte further */
    FUZZ_DIRECTORY = 0x8000, FUZZ_TABLES = 0x9000, FUZZ_PAE_ROOT = 0x1f000, FUZZ_PAE_TABLES = 0x20000,
    FUZZ_CODE = 0x30000, FUZZ_CODE_SIZE = 0x8000,
    FUZZ_DATA = 0x40000, FUZZ_DATA_SIZE = 0x10000, FUZZ_STACK = 0x5f000,
    FUZZ_MMIO_LOW = 0xa0000, FUZZ_MMIO_LOW_SIZE = 0x20000, /* a hole in RAM */
    FUZZ_WIDE = 0x400000, /* the next 4 MiB: one large page */
};
#define FUZZ_HIGH 0xc0000000u
#define FUZZ_MMIO 0xe0000000u
#define FUZZ_MMIO_SIZE 0x10000u

enum { FUZZ_SELECTORS = 32 };

enum fuzz_mode { FUZZ_REAL_MODE, FUZZ_V8086, FUZZ_FLAT, FUZZ_PAGED, FUZZ_PAE, FUZZ_MODES };

/* Writes tables and sets the CPU to a random state at the start of FUZZ_CODE. */
void fuzz_guest_start(struct fuzz_random *r, struct cpu *cpu, struct phys *phys, enum fuzz_mode mode);

/* A selector, an address, a port that mean something there; mostly. */
uint16_t fuzz_guest_selector(struct fuzz_random *r);
uint32_t fuzz_guest_address(struct fuzz_random *r);
uint16_t fuzz_guest_port(struct fuzz_random *r);

#endif
