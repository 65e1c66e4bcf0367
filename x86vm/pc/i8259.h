/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The PC's two cascaded 8259A interrupt controllers with the edge/level
 * control registers (ELCR) of the PIIX. Chip 0 is the master (ports 0x20,
 * 0x21), chip 1 the slave (0xA0, 0xA1) on the master's input 2.
 */
#ifndef X86VM_PC_I8259_H
#define X86VM_PC_I8259_H

#include <stdbool.h>
#include <stdint.h>

struct i8259;

/* `output` is told every change of the master's INTR output. NULL: no memory. */
struct i8259 *i8259_new(void (*output)(void *opaque, bool level), void *opaque);
void i8259_free(struct i8259 *pic);
void i8259_reset(struct i8259 *pic);

/* Level of input 0..15 (2 belongs to the cascade and is ignored). */
void i8259_set_irq(struct i8259 *pic, unsigned irq, bool level);

/* The CPU's INTA cycle: the vector; a spurious one when the request is gone. */
uint8_t i8259_acknowledge(struct i8259 *pic);

/* `port` 0: the command port (0x20, 0xA0), 1: the data port. */
uint8_t i8259_read(struct i8259 *pic, unsigned chip, unsigned port);
void i8259_write(struct i8259 *pic, unsigned chip, unsigned port, uint8_t value);

uint8_t i8259_read_elcr(const struct i8259 *pic, unsigned chip);
void i8259_write_elcr(struct i8259 *pic, unsigned chip, uint8_t value);

/* Whether input `irq` is waiting or in service: for the re-injection of timer ticks. */
bool i8259_is_busy(const struct i8259 *pic, unsigned irq);

/* The vector that input `irq` was given. */
uint8_t i8259_vector(const struct i8259 *pic, unsigned irq);

#endif
