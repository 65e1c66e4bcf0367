/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An interrupt line as a value: what a device of the PC is given at its
 * creation and drives, without knowing who listens (the 8259 pair, the PCI
 * interrupt router, a test).
 */
#ifndef X86VM_PC_IRQ_LINE_H
#define X86VM_PC_IRQ_LINE_H

#include <stdbool.h>

struct irq_line {
    void (*set)(void *opaque, unsigned number, bool level); /* may be NULL: not connected */
    void *opaque;
    unsigned number;
};

static inline void irq_line_set(const struct irq_line *line, bool level)
{
    if (line->set)
        line->set(line->opaque, line->number, level);
}

#endif
