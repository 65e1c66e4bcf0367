/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A 16550A UART. Sending takes no time: the transmitter is always empty.
 * What arrives for the guest waits in a bounded queue behind the receive FIFO;
 * the sender is told how much was taken and keeps the rest.
 */
#ifndef X86VM_PC_UART16550_H
#define X86VM_PC_UART16550_H

#include "x86vm/pc/irq_line.h"

#include <stddef.h>
#include <stdint.h>

#define UART16550_QUEUE 1024u

struct uart16550;

/* `output` gets each byte sent; NULL: nobody listens. */
struct uart16550 *uart16550_new(const struct irq_line *irq, void (*output)(void *opaque, uint8_t byte), void *opaque);
void uart16550_free(struct uart16550 *uart);
void uart16550_reset(struct uart16550 *uart);

uint8_t uart16550_read(struct uart16550 *uart, unsigned port); /* port 0..7 */
void uart16550_write(struct uart16550 *uart, unsigned port, uint8_t value);

/* Bytes from outside; returns how many were taken. */
size_t uart16550_input(struct uart16550 *uart, const uint8_t *bytes, size_t size);
size_t uart16550_input_room(const struct uart16550 *uart);

#endif
