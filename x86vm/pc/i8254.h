/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The 8254 interval timer with port 0x61 (gate of channel 2, speaker, refresh
 * toggle). Counters are functions of the time given: nothing ticks. Channel 0
 * drives an interrupt line: its owner calls i8254_service() at
 * i8254_deadline(). Times are in nanoseconds of one monotonic clock.
 */
#ifndef X86VM_PC_I8254_H
#define X86VM_PC_I8254_H

#include "x86vm/pc/irq_line.h"

#include <stdint.h>

#define I8254_HZ 1193182u
#define I8254_NEVER UINT64_MAX

struct i8254;

struct i8254 *i8254_new(const struct irq_line *irq0, uint64_t now);
void i8254_free(struct i8254 *pit);
void i8254_reset(struct i8254 *pit, uint64_t now);

/* `port` 0..2: the channels (0x40..0x42), 3: the control word (write only). */
uint8_t i8254_read(struct i8254 *pit, unsigned port, uint64_t now);
void i8254_write(struct i8254 *pit, unsigned port, uint8_t value, uint64_t now);

uint8_t i8254_read_port61(struct i8254 *pit, uint64_t now);
void i8254_write_port61(struct i8254 *pit, uint8_t value, uint64_t now);

/* When channel 0 next has an edge to deliver; I8254_NEVER if it has none. */
uint64_t i8254_deadline(const struct i8254 *pit);

/* The same for a machine that is idle and whose clock's ticks may come up to `slack` ns late:
 * the last of them that is due within it. Ticks are a periodic channel's edges, and those of
 * one that is loaded edge by edge at a steady beat (beat.h); another deadline is not put off. */
uint64_t i8254_idle_deadline(struct i8254 *pit, uint64_t slack);

/* Delivers what is due by `now`. Ticks that came too late are made up for one
 * by one, a quarter period apart, never more than I8254_BACKLOG of them.
 * `busy`: the last tick has not been served yet, so another edge would be lost. */
void i8254_service(struct i8254 *pit, uint64_t now, bool busy);
#define I8254_BACKLOG 250u

/* Ticks that were let wait by i8254_idle_deadline(), at most I8254_BURST, come one behind the
 * other: the next when the last was served, which the interrupt controller tells here. */
void i8254_end_of_interrupt(struct i8254 *pit);
#define I8254_BURST 64u

uint64_t i8254_ticks_dropped(const struct i8254 *pit); /* beyond the backlog, since the start */

#endif
