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

/* Delivers what is due by `now`. Ticks that came too late are made up for one
 * by one, a quarter period apart, never more than I8254_BACKLOG of them.
 * `busy`: the last tick has not been served yet, so another edge would be lost. */
void i8254_service(struct i8254 *pit, uint64_t now, bool busy);
#define I8254_BACKLOG 250u

uint64_t i8254_ticks_dropped(const struct i8254 *pit); /* beyond the backlog, since the start */

#endif
