/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A recording on the engine and on Unicorn, side by side: both are brought to a
 * position, compared, and set back to where they were alike. What is made of it is
 * diverge.c's.
 */
#ifndef TESTS_REPLAY_FINDER_H
#define TESTS_REPLAY_FINDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/replay/second.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/phys.h"
#include "x86vm/replay.h"
#include "x86vm/x86vm.h"

enum { WORDS_SHOWN = 16, FX_XMM = 160 /* in an FXSAVE image */ };

/* Where both were alike: to start again from. */
struct alike {
    uint64_t position;
    uint8_t state[RECORD_CPU_MOST];
    struct replay_place place;
    uint8_t *ram;
};

struct finder {
    struct x86vm *vm;
    struct cpu *cpu;
    struct phys *phys;
    struct replay *replay, *second_replay;
    struct second *second;
    uint64_t ram_size;
    struct alike last;
    enum replay_result result;
    int crash;           /* the signal by which the engine crashed on its last way; 0: it did not */
    uint64_t page_bits;  /* page-table words that differed in accessed and dirty bits alone */
    unsigned reports;
};

/* False with a reason: the recording or Unicorn is of no use. For the process's life. */
bool finder_open(struct finder *f, const char *path, char *error, size_t error_size);

void finder_engine_to(struct finder *f, uint64_t position);
/* The engine runs first: the other needs to know of its images. False: one of them went off. */
bool finder_both_to(struct finder *f, uint64_t position);

bool finder_same(struct finder *f); /* registers, all flags that the manual defines, and RAM */
bool finder_same_cpu(struct finder *f); /* without the RAM */
/* Words of RAM that differ; the first few of them in `at`. */
unsigned finder_compare_ram(struct finder *f, uint32_t at[WORDS_SHOWN]);

void finder_remember(struct finder *f, struct alike *a); /* where the engine is */
void finder_go_back(struct finder *f, const struct alike *a);
/* Whether they are still alike at `position`, from `a` on. */
bool finder_alike_at(struct finder *f, const struct alike *a, uint64_t position);

#endif
