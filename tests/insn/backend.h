/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Something that runs test cases: the host's CPU (native.c), the engine
 * (engine.c), Unicorn (unicorn.c).
 */
#ifndef TESTS_INSN_BACKEND_H
#define TESTS_INSN_BACKEND_H

#include "tests/insn/gen.h"

#include <stdbool.h>
#include <stddef.h>

struct backend {
    const char *name;
    bool integer_only; /* runs no FPU, segments or privilege */
    /* NULL on failure, with a reason. */
    void *(*open)(const struct gen_options *options, char *error, size_t error_size);
    /* The memory in `shared` (pattern, read-only page, code) is a new batch's. */
    void (*load)(void *self, const struct insn_shared *shared);
    /* Runs shared->input[slot]. */
    void (*run)(void *self, const struct insn_shared *shared, unsigned slot, struct insn_output *out);
    void (*close)(void *self);
};

/* "x86vm", "unicorn"; NULL: the default. NULL for an unknown one. */
const struct backend *backend_by_name(const char *name);

/* The native side owns the shared memory and runs whole batches. */
/* `aliases`: the code window is at its further addresses, too. */
struct native;
struct native *native_open(const char *helper, bool aliases, char *error, size_t error_size);
struct insn_shared *native_shared(struct native *native);
/* Runs the cases [first, end) into shared->output; a case that hangs or kills
 * the helper has status INSN_HUNG. */
void native_run(struct native *native, unsigned first, unsigned end);
void native_close(struct native *native);

#endif
