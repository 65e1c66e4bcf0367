/* SPDX-License-Identifier: BSD-2-Clause
 * x87 errors as on an AT: without CR0.NE they are IRQ 13, which a write to port F0h
 * ends; the instruction that would have waited is held up, or goes on under IGNNE#. */
#include "guest.h"

enum { PIT_HZ = 1193182, FPU_VECTOR = IRQ_BASE + 13, ZERO_DIVIDE = 4, SUMMARY = 0x80 };

static volatile unsigned errors, ticks, ticks_there;
static volatile uint32_t error_eip, held_at;
static uint16_t status_then, status_after;
static void (*on_error_do)(void);

static void end_of_interrupt(void) { outb(0xa0, 0x20), outb(0x20, 0x20); }

static void on_error(struct frame *f)
{
    if (errors++ == 0)
        error_eip = f->eip;
    __asm__ volatile("fnstsw %0" : "=m"(status_then));
    on_error_do();
    end_of_interrupt();
}

static void answer_and_clear(void)
{
    outb(0xf0, 0);
    __asm__ volatile("fnclex");
}

static void on_tick(struct frame *f)
{
    ticks++;
    ticks_there += f->eip == held_at;
    if (ticks_there == 5)
        __asm__ volatile("fnclex");
    outb(0x20, 0x20);
}

static void prepare(void)
{
    fpu_on();
    irqs_on();
    trap_set_handler(FPU_VECTOR, on_error);
    trap_set_handler(IRQ_BASE, on_tick);
}

static void start(void (*what)(void))
{
    errors = ticks = ticks_there = 0;
    on_error_do = what;
    WRITE_CR(0, READ_CR(0) & ~(uint32_t)CR0_NE);
    outb(0x21, 0xfb), outb(0xa1, 0xdf);
}

static void stop(void)
{
    outb(0x21, 0xff), outb(0xa1, 0xff);
    __asm__ volatile("fnclex; fninit");
    WRITE_CR(0, READ_CR(0) | CR0_NE);
}

static const uint16_t unmasked = 0x37f & ~ZERO_DIVIDE;
#define DIVIDE_BY_ZERO "fninit; fldcw %[cw]; fld1; fldz; fdivrp;"

extern char ferr_irq[], ferr_memory[], ferr_held[];
static bool interrupts(void)
{
    for (unsigned i = 0; i < 20; i++) {
        start(answer_and_clear);
        __asm__ volatile("sti;" DIVIDE_BY_ZERO "nop; nop; .globl ferr_irq; ferr_irq: fld1; fnstsw %0; cli"
                         : "=m"(status_after) : [cw] "m"(unmasked) : "memory");
        stop();
        CHECK(errors == 1 && error_eip == (uint32_t)ferr_irq);
        CHECK((status_then & (SUMMARY | ZERO_DIVIDE)) == (SUMMARY | ZERO_DIVIDE) && !(status_after & SUMMARY));
    }
    return true;
}

/* Nothing of the instruction that waits has happened, nor of those that do not wait. */
static bool stores_later(void)
{
    uint32_t to = 0x12345678;

    start(answer_and_clear);
    __asm__ volatile("sti;" DIVIDE_BY_ZERO "fnstsw %1; .globl ferr_memory; ferr_memory: fsts %0; cli"
                     : "+m"(to), "=m"(status_after) : [cw] "m"(unmasked) : "memory");
    stop();
    CHECK(errors == 1 && error_eip == (uint32_t)ferr_memory && status_after & SUMMARY && to == 0);
    return true;
}

static uint16_t control_under, status_under, control_loaded;
static void go_on_with_it(void)
{
    static const uint16_t other = 0x27f & ~ZERO_DIVIDE;
    outb(0xf0, 0);
    __asm__ volatile("fld1; fstp %%st(0); fwait; fnstcw %0; fnstsw %1; fldcw %3; fnstcw %2; fnclex"
                     : "=m"(control_under), "=m"(status_under), "=m"(control_loaded) : "m"(other));
}

/* Between the write to F0h and FNCLEX nothing waits; and then it does again. */
static bool ignored(void)
{
    start(go_on_with_it);
    for (unsigned i = 1; i < 20; i++) {
        __asm__ volatile("sti;" DIVIDE_BY_ZERO "fwait; jmp 1f; 1: fnstsw %0; cli" : "=m"(status_after) : [cw] "m"(unmasked) : "memory");
        CHECK(errors == i && !(status_after & SUMMARY));
        CHECK((control_under & 0x3f) == (unmasked & 0x3f) && status_under & SUMMARY && (control_loaded & 0xf3f) == 0x23b);
    }
    stop();
    return true;
}

/* Nobody looks at IRQ 13: the CPU stands still, but for interrupts. */
static bool is_held_up(void)
{
    start(answer_and_clear);
    held_at = (uint32_t)ferr_held;
    outb(0xa1, 0xff);
    outb(0x43, 0x34);
    outb(0x40, (uint8_t)(PIT_HZ / 1000)), outb(0x40, PIT_HZ / 1000 >> 8);
    outb(0x21, 0xfe);
    __asm__ volatile("sti;" DIVIDE_BY_ZERO ".globl ferr_held; ferr_held: fwait; cli" : : [cw] "m"(unmasked) : "memory");
    outb(0x21, 0xff);
    outb(0x43, 0x30);
    stop();
    CHECK(ticks_there == 5 && errors == 0);
    return true;
}

/* A write to F0h without an error, or a second one, is for nothing. */
static bool needs_an_error(void)
{
    start(answer_and_clear);
    outb(0xf0, 0);
    __asm__ volatile("sti;" DIVIDE_BY_ZERO "fwait; jmp 1f; 1: cli" : : [cw] "m"(unmasked) : "memory");
    CHECK(errors == 1);
    outb(0xf0, 0);
    __asm__ volatile("sti;" DIVIDE_BY_ZERO "fwait; jmp 1f; 1: cli" : : [cw] "m"(unmasked) : "memory");
    stop();
    CHECK(errors == 2);
    return true;
}

#define NOT_QEMU "aborts at some of these errors and overlooks others"
static const struct test tests[] = {
    { "interrupts", interrupts, NOT_QEMU }, { "stores_later", stores_later, NOT_QEMU }, { "ignored", ignored, NOT_QEMU },
    { "is_held_up", is_held_up, NOT_QEMU }, { "needs_an_error", needs_an_error, NOT_QEMU }, { NULL, NULL, NULL },
};
const struct test_group group_ferr = { "ferr", tests, prepare };
