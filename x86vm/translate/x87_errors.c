/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See x87_errors.h. The guest's x87 state is in the host's unit, which must not
 * see a pending exception while the instruction is to go on in spite of it: it
 * has all exceptions masked then. By FXSAVE and FXRSTOR, which wait for nothing.
 */
#include "x86vm/translate/x87_errors.h"

#include <string.h>

enum { EXCEPTIONS = 0x3f, SUMMARY_AND_BUSY = 0x8080 };

struct image {
    uint16_t control, status;
    uint8_t rest[508];
} __attribute__((aligned(16)));

static void take(struct image *image)
{
    __asm__ volatile("fxsave %0" : "=m"(*image));
}

/* XMM registers are as they were. */
static void put(const struct image *image)
{
    __asm__ volatile("fxrstor %0" : : "m"(*image));
}

static bool is_pending(void)
{
    uint16_t status;

    __asm__ volatile("fnstsw %0" : "=a"(status));
    return status & SUMMARY_AND_BUSY;
}

bool x87_error_is_external(struct translator *t)
{
    struct cpu *cpu = translator_cpu(t);

    if (cpu->fault_vector != VEC_MF || cpu->cr0 & CR0_NE)
        return false;
    if (cpu->ignne) {
        t->ignore_x87 = true;
        return true;
    }
    cpu->halted = true;
    if (cpu->ferr)
        cpu->ferr(cpu->ferr_opaque);
    return true;
}

void x87_ignore_begin(struct translator *t)
{
    struct image image;

    t->ignore_x87 = false;
    take(&image);
    t->x87_control = image.control;
    t->x87_masked = image.control | EXCEPTIONS;
    image.control = t->x87_masked;
    image.status &= (uint16_t)~SUMMARY_AND_BUSY;
    put(&image);
}

/* IGNNE# lasts as long as FERR#, and that until nothing is pending any more. */
static void end_ignne(struct cpu *cpu)
{
    if (cpu->ignne && !is_pending())
        cpu->ignne = false;
}

void x87_ignore_end(struct translator *t)
{
    struct image image;

    if (t->x87_masked) {
        take(&image);
        if (image.control == t->x87_masked) /* else it was an instruction that loads another */
            image.control = t->x87_control;
        if (image.status & ~image.control & EXCEPTIONS)
            image.status |= SUMMARY_AND_BUSY;
        put(&image);
        t->x87_masked = 0;
    }
    end_ignne(translator_cpu(t));
}
