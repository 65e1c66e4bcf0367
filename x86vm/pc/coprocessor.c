/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How the AT, and the PIIX after it, hear of x87 errors (PIIX3 data sheet, FERR#,
 * IGNNE# and port F0h): the CPU's FERR# is latched as IRQ 13; a write to port F0h
 * ends the request and lets the CPU go on by IGNNE#, until it takes FERR# back.
 */
#include "x86vm/cpu/cpu.h"
#include "x86vm/pc/pc_internal.h"

enum { IRQ_FPU = 13 };

void pc_fpu_error(void *opaque)
{
    struct pc *pc = opaque;

    pc->fpu_error = true;
    i8259_set_irq(pc->pic, IRQ_FPU, true);
}

void pc_fpu_reset(struct pc *pc)
{
    pc->fpu_error = false;
    i8259_set_irq(pc->pic, IRQ_FPU, false);
}

uint8_t pc_fpu_read(struct pc *pc, unsigned offset)
{
    (void)pc;
    (void)offset;
    return 0xff;
}

/* F0h; F1h, which reset a coprocessor of its own, does nothing. */
void pc_fpu_write(struct pc *pc, unsigned offset, uint8_t value)
{
    (void)value;
    if (offset != 0 || !pc->fpu_error)
        return;
    pc_fpu_reset(pc);
    pc->config.cpu->ignne = true;
    pc->config.attention(pc->config.opaque); /* at once: the engine looks after each instruction now whether FERR# is gone */
}
