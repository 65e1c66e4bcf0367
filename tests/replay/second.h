/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The second opinion on a recording: Unicorn (QEMU's translator) runs it, with a
 * struct cpu of ours beside it for what Unicorn alone cannot do: exceptions and
 * interrupts through the IDT, ports, CPUID, MSRs, the time-stamp counter.
 */
#ifndef TESTS_REPLAY_SECOND_H
#define TESTS_REPLAY_SECOND_H

#include <stdbool.h>
#include <stdint.h>

struct second;
struct replay;
struct cpu;
struct phys;

/* A machine loaded from the recording, which the replay feeds. NULL with a reason. */
struct second *second_new(struct replay *replay, uint64_t ram_size, char *error, unsigned error_size);

/* The state, to be read or to be changed; after a change second_put(). */
struct cpu *second_cpu(struct second *second);
struct phys *second_phys(struct second *second);
void second_get(struct second *second);
void second_get_sse(struct second *second); /* the XMM registers into its FPU image */
/* At `position` now, with memory written behind its back. */
void second_put(struct second *second, uint64_t position);

/* Runs until `position`, before what is recorded to happen there; false: it goes
 * another way, see second_message(). images.h has to hold what the engine made
 * of the same way. */
bool second_run(struct second *second, uint64_t position);
const char *second_message(const struct second *second);
uint64_t second_position(const struct second *second);

/* Arithmetic flags that the manual leaves undefined here. */
uint32_t second_undefined_flags(const struct second *second);

struct second_counts { uint64_t instructions, exceptions, interrupts, assisted; };
struct second_counts second_counts(const struct second *second);

#endif
