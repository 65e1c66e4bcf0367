/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Runs random programs on the engine, some at once, each in its own address space,
 * in ring 3 or ring 0, under a monitor (monitor.S) that interrupts them at any
 * moment. What becomes of each is to be what the host's CPU makes of it alone.
 */
#ifndef TESTS_PROGRAMS_MACHINE_H
#define TESTS_PROGRAMS_MACHINE_H

#include "tests/programs/program.h"
#include "x86vm/counters.h"

#include <stddef.h>

enum { PROGRAMS_MAX = 3 };

struct machine;

struct machine_program {
    const struct program *program;
    const struct insn_shared *memory; /* what its data window begins with */
    bool kernel;                      /* runs in ring 0 */
};

struct machine_result {
    struct insn_output output;
    uint8_t code[INSN_CODE_SIZE];
};

/* calm: no interrupts; small: the code cache is often full. */
struct machine *machine_new(bool calm, bool small, char *error, size_t error_size);
/* False, with the reason: they have not ended as they should. */
bool machine_run(struct machine *m, uint64_t seed, const struct machine_program *programs, unsigned count,
                 struct machine_result *results, char *error, size_t error_size);
uint64_t machine_latest_ns(const struct machine *m); /* that it came back after a request; CPU time */
void machine_counters(const struct machine *m, struct x86vm_counters *out);
void machine_free(struct machine *m);

#endif
