/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The guest's counters as one line of JSON.
 */
#ifndef GUEST_STATS_H
#define GUEST_STATS_H

#include <stddef.h>
#include <stdint.h>

struct run_loop_parts;

/* Returns the length; less than `size`, without newline. */
size_t stats_describe(const struct run_loop_parts *parts, uint64_t uptime_ns, char *out, size_t size);

#endif
