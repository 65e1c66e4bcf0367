/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of the machine share: machine.c runs it, machine_memory.c sets its
 * memory up and reads results from it, machine_orders.c decides what interrupts ask for.
 */
#ifndef TESTS_PROGRAMS_MACHINE_INTERNAL_H
#define TESTS_PROGRAMS_MACHINE_INTERNAL_H

#include "tests/fuzz/fuzz_random.h"
#include "tests/programs/machine.h"
#include "tests/programs/monitor.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/phys.h"
#include "x86vm/x86vm.h"

#include <time.h>

/* Physical memory beyond the monitor's: a page of a program has two places, and moves from one to the other. */
enum {
    RAM_SIZE = 16 << 20, AT_PROGRAMS = 0x100000, PROGRAM_STRIDE = 0x100000, AT_DATA = 0x80000,
    CODE_PAGES = INSN_CODE_SIZE / INSN_PAGE, DATA_PAGES = 16,
    MONITOR_PAGES = 32, TABLE_STRIDE = 0x5000,
};
/* Pages of device registers: the programs', one each, and what the monitor tells what came of a patch. */
#define DEVICE 0xe0000000u
#define PATCHER 0xe0100000u
enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 0x20, PTE_D = 0x40, PTE_LARGE = 0x80, PTE_GLOBAL = 0x100 };

extern const uint8_t machine_writable[INSN_WRITABLE]; /* pages of the data window */

/* A frame that must stay as it is; 0: none. */
struct copy { uint32_t frame; uint8_t bytes[INSN_PAGE]; };

struct machine {
    struct x86vm *vm;
    struct cpu *cpu;
    struct phys *phys;
    struct fuzz_random random;

    const struct machine_program *programs;
    unsigned count;
    bool may_step; /* no program shows TF */
    bool global;   /* the program's pages are: it is alone */

    bool calm;        /* no interrupts */
    timer_t timer;    /* makes the engine come back */
    uint64_t rested;  /* what x86vm_rest() was told last, ns */
    uint64_t latest;  /* the longest from a request to the return, ns of CPU time */

    uint8_t device[PROGRAMS_MAX][INSN_PAGE];                   /* behind the pages at DEVICE */
    struct copy copies[PROGRAMS_MAX][DATA_PAGES];              /* shared until the first write */
    struct { uint32_t frame, value; uint8_t bytes[6]; } patch; /* of code: what was there, and what the new code returns */
    bool spoiled;                                              /* somebody wrote to a shared frame */
    bool stale;                                                /* the code that a patch was put over ran */
};

static inline void poke(struct machine *m, uint32_t at, const void *bytes, size_t size) { phys_dma_write(m->phys, at, bytes, size); }
static inline void poke32(struct machine *m, uint32_t at, uint32_t value) { poke(m, at, &value, 4); }

static inline uint32_t peek32(struct machine *m, uint32_t at)
{
    uint32_t value = 0;
    phys_dma_read(m->phys, at, &value, 4);
    return value;
}

static inline uint32_t order(uint32_t field) { return AT_ORDER + field; }

/* Where the entry of an address in the windows of program `p` is. */
uint32_t machine_entry_at(unsigned p, uint32_t linear);
void machine_make_tables(struct machine *m); /* the monitor's, once */
void machine_load(struct machine *m);        /* its programs, and the CPU's state before the first of them */
void machine_read_result(struct machine *m, unsigned p, struct machine_result *out);

/* What the interrupt is to do, of which the answer is the vector: x86vm_set_intr_ack(). */
uint8_t machine_acknowledge(void *opaque);
void machine_dma(struct machine *m);
void machine_patch_over(void *opaque, uint32_t offset, unsigned size, uint32_t value); /* a write to PATCHER */
void machine_check_copies(struct machine *m); /* shared frames that nobody may have written to */

#endif
