/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Whether two results of a case agree, and how to show that they do not.
 */
#ifndef TESTS_INSN_COMPARE_H
#define TESTS_INSN_COMPARE_H

#include "tests/insn/gen.h"

#include <stdio.h>

enum verdict { SAME, DIFFERENT, NOT_COMPARABLE };

/* `what` gets the first difference as a phrase; its kind is the text before ':'. */
/* False: the case ended in what there is not in its mode (a page fault in real mode). */
bool compare_possible(const struct gen_sequence *sequence, const struct insn_output *native);

enum verdict compare(const struct gen_sequence *sequence, const struct insn_output *native,
                     const struct insn_output *other, char *what, size_t what_size);

/* Index of the part that the result's exception belongs to; `count` if none. */
unsigned part_of_end(const struct gen_sequence *sequence, const struct insn_output *out);

void print_sequence(FILE *to, const struct gen_sequence *sequence, unsigned end_part);
void print_differences(FILE *to, const struct gen_sequence *sequence, const char *name,
                       const struct insn_output *native, const struct insn_output *other);

#endif
