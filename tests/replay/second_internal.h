/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of the second opinion share: second.c runs, second_state.c knows
 * QEMU's CPU state, second_pages.c the guest's pages, second_code.c its instructions.
 */
#ifndef TESTS_REPLAY_SECOND_INTERNAL_H
#define TESTS_REPLAY_SECOND_INTERNAL_H

#include <unicorn/unicorn.h>

#include "tests/replay/second.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/decode/insn.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"

/* The library's functions that are used, each behind a pointer. It is loaded with dlopen(): linked,
 * its functions and the engine's of the same name (cpu_reset) would be mixed up. */
#define CALLS(X) X(uc_open) X(uc_strerror) X(uc_mem_map_ptr) X(uc_mmio_map) X(uc_mem_unmap) X(uc_mem_protect) X(uc_hook_add) X(uc_reg_read) X(uc_reg_write) \
    X(uc_emu_start) X(uc_emu_stop) X(uc_context_alloc) X(uc_context_save) X(uc_context_restore) X(uc_context_size) X(uc_ctl)
#define DECLARE(name) extern __typeof__(name) *p_##name;
CALLS(DECLARE)
#undef DECLARE

enum { FX_ST = 32, FX_XMM = 160, FX_XMM_END = 288 }; /* in an FXSAVE image */
enum { SEEN_SIZE = 1 << 16, PAGES_SIZE = 4096 };

/* An instruction met before, by its physical address. */
struct seen {
    uint64_t key;            /* physical address plus one; 0: free */
    struct insn insn;
    uint32_t flags_and, flags_or; /* undefined flags after it, from those before */
    bool assisted, repeated, fpu_image, flags_image;
};

struct code_page { uint32_t linear; const uint8_t *host; }; /* linear page plus one */

/* A linear page (or a large one) that Unicorn has: its memory is the guest's linear
 * address space, because this version's own page walks lead nowhere (2.0.1 takes
 * linear addresses for physical ones). */
struct mapping {
    struct second *second;
    uint32_t linear, size, physical;
    bool global, writable, device, rom;
};

enum stop { STOP_NONE, STOP_THERE, STOP_ASSIST, STOP_FPU, STOP_EXCEPTION, STOP_UNDEFINED, STOP_PAGE_FAULT, STOP_CHANGED, STOP_STALE };

struct second {
    struct cpu cpu;
    uc_engine *uc;
    uc_context *context;
    uint8_t *env;            /* QEMU's CPU state within the context */
    struct replay *replay;
    uint64_t position, stop_at;
    enum stop stop;
    uint32_t vector;
    bool changed;            /* code was, by a way that Unicorn cannot see */
    bool pending;            /* the last instruction of the hook has not been counted */
    bool again;              /* run it although it is an assisted one */
    const struct seen *last, *fpu;
    bool repeating;
    uint32_t pending_at, repeating_at, iterations;
    uint32_t undefined;
    struct second_counts counts;
    char message[240];
    bool fetching;           /* the page fault was of the next instruction */
    uint32_t fault_address, last_missing;
    struct mapping **mappings;
    unsigned mapping_count, mapping_room;
    struct code_page pages[PAGES_SIZE];
    struct seen seen[SEEN_SIZE];
};

enum unmap { UNMAP_ALL, UNMAP_LOCAL, UNMAP_PAGE };

/* second_state.c */
bool second_load_library(void);
bool second_find_env(struct second *s);
void second_put_cpu(struct second *s);
void second_put_fpu(struct second *s);
uint32_t second_reg(const struct second *s, int id);

/* second_pages.c */
void second_unmap(struct second *s, enum unmap which, uint32_t linear);
bool second_on_missing(uc_engine *uc, uc_mem_type type, uint64_t address, int size, int64_t value, void *opaque);

/* second_code.c: the instruction at a linear address; NULL: not in RAM. */
const struct seen *second_meet(struct second *s, uint32_t linear);
bool second_is_popcnt(const struct insn *insn);
bool second_is_scan(const struct insn *insn);

#endif
