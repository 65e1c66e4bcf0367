/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Random guest code for fuzz_engine: bytes, instructions of the oracle's table
 * with any operands, privileged instructions with operands that mean something
 * on fuzz_guest's machine, and mutated code of a real program.
 */
#ifndef TESTS_FUZZ_FUZZ_CODE_H
#define TESTS_FUZZ_FUZZ_CODE_H

#include "tests/fuzz/fuzz_random.h"

struct fuzz_corpus { const uint8_t *bytes; size_t size; }; /* may be empty */

enum fuzz_style { FUZZ_BYTES, FUZZ_FORMS, FUZZ_SYSTEM, FUZZ_MIXED, FUZZ_REAL, FUZZ_STYLES };

/* Fills `size` bytes at `out`, which will lie at `linear`. */
void fuzz_code(struct fuzz_random *r, enum fuzz_style style, const struct fuzz_corpus *corpus, uint32_t linear,
               uint8_t *out, size_t size);

#endif
