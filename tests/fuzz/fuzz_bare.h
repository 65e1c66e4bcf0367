/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the host lets translated code do in the bare windows, against what the
 * guest may do: the host's own list of mappings is asked.
 */
#ifndef TESTS_FUZZ_FUZZ_BARE_H
#define TESTS_FUZZ_FUZZ_BARE_H

#include <stdbool.h>
#include <stddef.h>

struct cpu;

/* True when each page that can be reached in a window is one that its tables
 * name, with those rights, and the views' windows show no more than the views'
 * entries allow. Else `why` says what is wrong. Needs /proc. */
bool fuzz_bare_right(const struct cpu *cpu, char *why, size_t size);

#endif
