/* SPDX-License-Identifier: BSD-2-Clause
 * The interrupt shadow of STI and of a load of SS: one instruction long, however often the engine
 * has to begin that one. */
#include "guest.h"

enum { PIT_HZ = 1193182, RATE = 4000, HOLE = 0xa0000 /* a slow read there takes up an interrupt's cause */, TICKS = 400 };

static volatile unsigned ticks, early;
static volatile uint32_t tick_eip;
static uint32_t forbidden; /* where no interrupt may come */

static void on_tick(struct frame *f)
{
    if (ticks++ == 0)
        tick_eip = f->eip;
    early += f->eip == forbidden;
    outb(0x20, 0x20);
}

static void prepare(void)
{
    pages_on();
    irqs_on();
    trap_set_handler(IRQ_BASE, on_tick);
}

static void start(uint8_t mask)
{
    ticks = early = 0;
    outb(0x43, 0x34);
    outb(0x40, (uint8_t)(PIT_HZ / RATE)), outb(0x40, PIT_HZ / RATE >> 8);
    outb(0x21, mask);
}

static void stop(void)
{
    outb(0x21, 0xff);
    outb(0x43, 0x30);
}

static void wait_pending(void)
{
    do
        outb(0x20, 0x0a);
    while (!(inb(0x20) & 1));
}

/* --- it is over behind that instruction --- */

/* `code` has "MOV AL, FEh; OUT 21h, AL" at `out`, which lets a waiting interrupt in at once. */
static bool is_over(const uint8_t *code, unsigned size, unsigned out)
{
    uint8_t *at = (uint8_t *)SCRATCH + 0x1000;

    for (unsigned i = 0; i < size; i++)
        at[i - 1] = code[i];
    for (unsigned i = 0; i < 5; i++) {
        start(0xff);
        wait_pending();
        ((void (*)(void))(at - 1))();
        stop();
        CHECK(ticks && tick_eip == (uint32_t)at - 1 + out + 4); /* a late host may bring another at once */
    }
    return true;
}

/* STI is the last instruction of its page. */
static bool sti_ends(void)
{
    static const uint8_t code[] = { 0xfb, 0x90, 0xb0, 0xfe, 0xe6, 0x21, 0x90, 0x90, 0xfa, 0xc3 };
    return is_over(code, sizeof code, 2);
}

static bool ss_ends(void)
{
    static const uint8_t code[] = { 0xfb, 0x90, 0x8c, 0xd0, 0x8e, 0xd0, 0x90, 0xb0, 0xfe, 0xe6, 0x21, 0x90, 0x90, 0xfa, 0xc3 };
    return is_over(code, sizeof code, 7);
}

/* --- it lasts through that instruction --- */

#define READS_8 "movl (%%edi), %%eax;movl (%%edi), %%eax;movl (%%edi), %%eax;movl (%%edi), %%eax;" \
                "movl (%%edi), %%eax;movl (%%edi), %%eax;movl (%%edi), %%eax;movl (%%edi), %%eax;"
#define READS READS_8 READS_8 READS_8 READS_8

static bool kept(void (*body)(void), const char *behind)
{
    forbidden = (uint32_t)behind;
    start(0xfe);
    for (unsigned i = 0; i < 4000000 && ticks < TICKS; i++)
        body();
    stop();
    if (early)
        print("  early "), print_hex(early), print(" of "), print_hex(ticks), print("\n");
    CHECK(ticks >= TICKS && !early);
    return true;
}

/* It writes the code behind it. */
extern char shadow_smc[], shadow_watch[], shadow_fault[], shadow_fault_out[], shadow_group[];
static void body_smc(void)
{
    __asm__ volatile(READS "sti; .globl shadow_smc; shadow_smc: movb $0x90, 1f; nop; 1: nop; nop; cli" ::"D"(HOLE) : "eax", "memory");
}
static bool writes_code(void) { return kept(body_smc, shadow_smc); }

static void on_debug(struct frame *f) { (void)f; }
static uint32_t watched;
static void body_watch(void)
{
    __asm__ volatile(READS "sti; .globl shadow_watch; shadow_watch: movl %%eax, %0; nop; nop; cli" : "=m"(watched) : "D"(HOLE) : "eax", "memory");
}
static bool trips_watch(void)
{
    trap_set_handler(1, on_debug);
    __asm__ volatile("movl %0, %%dr0; movl %1, %%dr7" ::"r"(&watched), "r"(0xd0001 | 0x300));
    bool ok = kept(body_watch, shadow_watch);
    __asm__ volatile("movl %0, %%dr7" ::"r"(0));
    trap_set_handler(1, NULL);
    return ok;
}

/* Its operand is on the last page, which is not there. */
enum { ALIAS = 0x2000000 };
static void on_page_fault(struct frame *f) { f->eip = (uint32_t)shadow_fault_out; }
static void body_fault(void)
{
    __asm__ volatile(READS "sti; .globl shadow_fault; shadow_fault: movl (%%esi), %%eax; .globl shadow_fault_out; shadow_fault_out: nop; cli"
                     ::"D"(HOLE), "S"(0xfffff800) : "eax", "memory");
}
static bool faults(void)
{
    trap_set_handler(14, on_page_fault);
    bool ok = kept(body_fault, shadow_fault);
    trap_set_handler(14, NULL);
    return ok;
}

/* It is the first of several accesses to a page that leads elsewhere each time. The slow reads are off four registers,
 * because several off one would have a check in common, too. */
static void body_group(void)
{
    static uint32_t frame;

    frame = (frame + 0x7000) % SCRATCH_SIZE;
    pages_map(ALIAS, (SCRATCH + frame) | PTE_P | PTE_W);
    __asm__ volatile("movl (%%ebx), %%eax; movl (%%ecx), %%eax; movl (%%edx), %%eax; movl (%%edi), %%eax; sti;"
                     ".globl shadow_group; shadow_group: movl (%%esi), %%eax; movl 4(%%esi), %%eax; movl 8(%%esi), %%eax;"
                     "movl 12(%%esi), %%eax; movl 16(%%esi), %%eax; cli"
                     ::"b"(HOLE), "c"(HOLE), "d"(HOLE), "D"(HOLE), "S"(ALIAS) : "eax", "memory");
}
static bool shares_check(void) { return kept(body_group, shadow_group); }

static const struct test tests[] = {
    { "sti_ends", sti_ends, "looks for interrupts behind blocks only" }, { "ss_ends", ss_ends, "looks for interrupts behind blocks only" },
    { "writes_code", writes_code, NULL },
    { "trips_watch", trips_watch, NULL }, { "faults", faults, NULL }, { "shares_check", shares_check, NULL }, { NULL, NULL, NULL },
};
const struct test_group group_shadow = { "shadow", tests, prepare };
