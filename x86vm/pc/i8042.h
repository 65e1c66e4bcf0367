/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The keyboard controller (ports 0x60, 0x64) with a keyboard that answers its
 * commands but has no keys yet, no auxiliary device, and the two gates that
 * are nothing to do with keyboards: A20 and the CPU reset line (also on port 0x92).
 */
#ifndef X86VM_PC_I8042_H
#define X86VM_PC_I8042_H

#include "x86vm/pc/irq_line.h"

#include <stdint.h>

struct i8042;

struct i8042_host {
    void *opaque;
    void (*set_a20)(void *opaque, bool enabled);
    void (*reset)(void *opaque); /* the CPU's reset line was pulsed */
};

struct i8042 *i8042_new(const struct irq_line *irq1, const struct i8042_host *host);
void i8042_free(struct i8042 *kbc);
void i8042_reset(struct i8042 *kbc);

/* `port` 0: data (0x60), 1: status and command (0x64). */
uint8_t i8042_read(struct i8042 *kbc, unsigned port);
void i8042_write(struct i8042 *kbc, unsigned port, uint8_t value);

uint8_t i8042_read_port92(const struct i8042 *kbc);
void i8042_write_port92(struct i8042 *kbc, uint8_t value);

/* A scan code (set 2, as the keyboard sends it); false: its buffer is full. */
bool i8042_key(struct i8042 *kbc, uint8_t code);

#endif
