/* SPDX-License-Identifier: BSD-2-Clause
 * Hardware interrupts: the 8254 through the two 8259, HLT, the interrupt shadow of
 * STI and of a load of SS, and code that only an interrupt can end. */
#include "guest.h"

enum { PIT_HZ = 1193182 };

static volatile unsigned ticks;
static volatile uint32_t tick_eip; /* of the first since `ticks` was 0: a late host may bring another at once */
static uint32_t tick_resume; /* where the next tick returns to, when not zero */

static void on_tick(struct frame *f)
{
    if (ticks++ == 0)
        tick_eip = f->eip;
    if (tick_resume) {
        f->eip = tick_resume;
        tick_resume = 0;
    }
    outb(0x20, 0x20);
}

static void prepare(void)
{
    irqs_on();
    trap_set_handler(IRQ_BASE, on_tick);
}

static void pit_start(unsigned hz)
{
    unsigned count = PIT_HZ / hz;
    outb(0x43, 0x34);
    outb(0x40, (uint8_t)count);
    outb(0x40, (uint8_t)(count >> 8));
    outb(0x21, 0xfe);
}

static void pit_stop(void)
{
    outb(0x21, 0xff);
    outb(0x43, 0x30); /* one shot, never started: the line goes low */
}

static bool masks(void)
{
    outb(0x21, 0xa5);
    CHECK(inb(0x21) == 0xa5);
    outb(0x21, 0xff);
    CHECK(inb(0x21) == 0xff && inb(0xa1) == 0xff);
    return true;
}

static bool timer_counts(void)
{
    outb(0x43, 0x34);
    outb(0x40, 0xff), outb(0x40, 0xff);
    uint32_t first, second;
    outb(0x43, 0);
    first = inb(0x40);
    first |= (uint32_t)inb(0x40) << 8;
    for (int i = 0; i < 200; i++)
        inb(0x80);
    outb(0x43, 0);
    second = inb(0x40);
    second |= (uint32_t)inb(0x40) << 8;
    CHECK(second < first);
    return true;
}

static bool ticks_arrive(void)
{
    ticks = 0;
    pit_start(1000);
    __asm__ volatile("sti");
    for (unsigned long n = 0; ticks < 20 && n < 2000000000; n++)
        __asm__ volatile("" ::: "memory");
    __asm__ volatile("cli");
    pit_stop();
    CHECK(ticks >= 20);
    return true;
}

static bool masked_stays_out(void)
{
    ticks = 0;
    pit_start(1000);
    outb(0x21, 0xff);
    __asm__ volatile("sti");
    for (volatile int n = 0; n < 200000; n++)
        ;
    __asm__ volatile("cli");
    pit_stop();
    CHECK(ticks <= 1);
    return true;
}

static bool halt_wakes(void)
{
    ticks = 0;
    pit_start(500);
    for (int i = 0; i < 5; i++)
        __asm__ volatile("sti; hlt; cli" ::: "memory");
    pit_stop();
    CHECK(ticks >= 5);
    return true;
}

/* A loop without any exit: the interrupt is seen at its own back edge. */
static bool endless_loop(void)
{
    extern char endless_loop_out[];
    ticks = 0;
    tick_resume = (uint32_t)endless_loop_out;
    pit_start(1000);
    __asm__ volatile("sti; 1: jmp 1b; .globl endless_loop_out; endless_loop_out: cli" ::: "memory");
    pit_stop();
    CHECK(ticks >= 1 && tick_resume == 0);
    return true;
}

/* Waits with interrupts off until one is pending at the 8259. */
static void wait_pending(void)
{
    do
        outb(0x20, 0x0a);
    while (!(inb(0x20) & 1));
}

/* What follows STI, MOV SS and POP SS is executed before a pending interrupt. */
static bool shadows(void)
{
    extern char shadow_sti[], shadow_ss[];
    ticks = 0;
    pit_start(1000);
    wait_pending();
    __asm__ volatile("sti; nop; .globl shadow_sti; shadow_sti: nop; nop; cli" ::: "memory");
    CHECK(ticks >= 1 && tick_eip == (uint32_t)shadow_sti);
    ticks = 0;
    wait_pending();
    __asm__ volatile("sti; cli; nop" ::: "memory");
    CHECK(ticks == 0);
    __asm__ volatile("pushl %%ss; sti; popl %%ss; nop; .globl shadow_ss; shadow_ss: nop; nop; cli" ::: "memory");
    pit_stop();
    /* Whether STI's shadow and POP SS's add up is the CPU's business. */
    CHECK(ticks >= 1 && (tick_eip == (uint32_t)shadow_ss || tick_eip == (uint32_t)shadow_ss - 1));
    return true;
}

/* POPF and IRET that set IF let a pending interrupt in at once. */
static bool popf_enables(void)
{
    ticks = 0;
    pit_start(1000);
    wait_pending();
    __asm__ volatile("pushfl; orl $0x200, (%%esp); popfl; nop; cli" ::: "memory", "cc");
    CHECK(ticks >= 1);
    ticks = 0;
    wait_pending();
    __asm__ volatile("pushfl; orl $0x200, (%%esp); pushl %%cs; pushl $1f; iretl; 1: nop; cli" ::: "memory", "cc");
    pit_stop();
    CHECK(ticks >= 1);
    return true;
}

/* What 25 ticks of 1 kHz take by channel 2, which counts 29829 meanwhile. */
static uint32_t take_25(void)
{
    uint32_t before, after;
    pit_start(1000);
    ticks = 0;
    __asm__ volatile("sti; hlt; cli" ::: "memory");
    outb(0x61, (uint8_t)((inb(0x61) & ~2) | 1));
    outb(0x43, 0xb0);
    outb(0x42, 0xff), outb(0x42, 0xff);
    outb(0x43, 0x80);
    before = inb(0x42);
    before |= (uint32_t)inb(0x42) << 8;
    ticks = 0;
    while (ticks < 25)
        __asm__ volatile("sti; hlt; cli" ::: "memory");
    outb(0x43, 0x80);
    after = inb(0x42);
    after |= (uint32_t)inb(0x42) << 8;
    pit_stop();
    return (before - after) & 0xffff;
}

/* The divider's rate holds, in one of many tries: a busy host is late, and makes up for it. */
static bool rate(void)
{
    uint32_t passed = 0;

    for (unsigned tries = 0; tries < 40 && !(passed > 20000 && passed < 60000); tries++)
        passed = take_25();
    CHECK(passed > 20000 && passed < 60000);
    return true;
}

/* Halting for two seconds, long enough for ticks to come several at a time (--idle-slack):
 * each comes, by the PM timer, which counts three times as fast as the 8254; what a busy
 * host still owes then, in a while. */
static bool idle_ticks(void)
{
    enum { PM_TIMER = 0x608, COUNT = 4772, PER_TICK = 3 * COUNT, PM_HZ = 3579545 };
    uint32_t began, passed;

    ticks = 0;
    began = inl(PM_TIMER);
    pit_start(PIT_HZ / COUNT);
    do {
        __asm__ volatile("sti; hlt; cli" ::: "memory");
        passed = (inl(PM_TIMER) - began) & 0xffffff;
    } while (passed < 2u * PM_HZ || (ticks + 1 < passed / PER_TICK && passed < 4u * PM_HZ));
    pit_stop();
    if (ticks + 1 < passed / PER_TICK || ticks > passed / PER_TICK + 1)
        print("  ticks "), print_hex(ticks), print(" in "), print_hex(passed), print("\n");
    CHECK(ticks + 1 >= passed / PER_TICK && ticks <= passed / PER_TICK + 1);
    return true;
}

static const struct test tests[] = {
    { "masks", masks, NULL }, { "timer_counts", timer_counts, NULL }, { "ticks_arrive", ticks_arrive, NULL },
    { "masked_stays_out", masked_stays_out, NULL }, { "halt_wakes", halt_wakes, NULL }, { "endless_loop", endless_loop, NULL },
    { "shadows", shadows, NULL }, { "popf_enables", popf_enables, NULL }, { "rate", rate, NULL },
    { "idle_ticks", idle_ticks, "loses ticks of the 8254 when its host is busy" }, { NULL, NULL, NULL },
};
const struct test_group group_interrupt = { "interrupt", tests, prepare };
