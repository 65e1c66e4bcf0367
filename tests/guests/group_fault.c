/* SPDX-License-Identifier: BSD-2-Clause
 * Exceptions that need no paging: vector, error code, saved EIP and registers. */
#include "guest.h"

static void divide_by_zero(void *unused)
{
    (void)unused;
    __asm__ volatile(".globl fault_div; movl $1234, %%eax; movl $5678, %%edx; xorl %%ecx, %%ecx;"
                     "movl $0x55, %%esi; fault_div: divl %%ecx" ::: "eax", "edx", "ecx", "esi", "cc");
}
extern char fault_div[];

static bool divide(void)
{
    struct frame f;
    CHECK(catch_fault(divide_by_zero, NULL, &f));
    CHECK(f.vector == 0 && f.eip == (uint32_t)fault_div && f.cs == SEL_KERNEL_CODE);
    CHECK(f.eax == 1234 && f.edx == 5678 && f.ecx == 0 && f.esi == 0x55);
    return true;
}

static void divide_overflow(void *unused)
{
    (void)unused;
    __asm__ volatile("idivl %2" ::"a"(0), "d"(0x40000000), "r"(-1) : "cc");
}
static void divide_largest(void *unused)
{
    (void)unused;
    __asm__ volatile("idivl %2" ::"a"(0), "d"(0x80000000), "r"(-1) : "cc");
}

static void undefined(void *unused)
{
    (void)unused;
    __asm__ volatile("ud2");
}

/* VEX with a register operand is no LDS: invalid without AVX. */
static void vex(void *unused)
{
    (void)unused;
    __asm__ volatile(".byte 0xc5, 0xf8, 0x58, 0xc0");
}

static void lock_register(void *unused)
{
    (void)unused;
    __asm__ volatile(".byte 0xf0, 0x01, 0xc0");
}

static void breakpoint(void *unused)
{
    (void)unused;
    __asm__ volatile(".globl fault_int3; int3; fault_int3: nop");
}
extern char fault_int3[];

static void overflow(void *unused)
{
    (void)unused;
    __asm__ volatile("movl $0x7fffffff, %%eax; addl $1, %%eax; into; ud2" ::: "eax", "cc");
}

static void bound(void *unused)
{
    static const int32_t limits[2] = { 1, 9 };
    (void)unused;
    __asm__ volatile("boundl %0, %1" ::"r"(10), "m"(limits[0]));
}

static bool simple(void)
{
    static const struct {
        void (*body)(void *);
        unsigned vector;
        const char *after; /* saved EIP, where it is known */
    } cases[] = {
        { divide_overflow, 0, NULL }, { undefined, 6, NULL }, { vex, 6, NULL }, { lock_register, 6, NULL },
        { breakpoint, 3, fault_int3 }, { overflow, 4, NULL }, { bound, 5, NULL },
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct frame f;
        CHECK(catch_fault(cases[i].body, NULL, &f));
        CHECK(f.vector == cases[i].vector);
        CHECK(!cases[i].after || f.eip == (uint32_t)cases[i].after);
    }
    return true;
}

static void load_ds(void *selector) { __asm__ volatile("movl %0, %%ds" ::"r"(selector)); }
static void load_ss(void *selector) { __asm__ volatile("movl %0, %%ss" ::"r"(selector)); }
static void software_interrupt(void *unused)
{
    (void)unused;
    __asm__ volatile("int $0x40");
}
static void write_cr4_reserved(void *unused)
{
    (void)unused;
    WRITE_CR(4, 0x80000000);
}

static bool protection(void)
{
    struct frame f;
    CHECK(catch_fault(load_ds, (void *)0x1000, &f));
    CHECK(f.vector == 13 && f.error == 0x1000);
    CHECK(catch_fault(load_ss, (void *)0, &f));
    CHECK(f.vector == 13 && f.error == 0);
    gdt_set(SEL_SPARE, 0, 0xfffff, 0x12, 0xc); /* not present */
    CHECK(catch_fault(load_ds, (void *)SEL_SPARE, &f));
    CHECK(f.vector == 11 && f.error == SEL_SPARE);
    CHECK(catch_fault(load_ss, (void *)SEL_SPARE, &f));
    CHECK(f.vector == 12 && f.error == SEL_SPARE);
    trap_set_task_gate(0x40, SEL_KERNEL_CODE);
    CHECK(catch_fault(software_interrupt, NULL, &f));
    CHECK(f.vector == 13);
    trap_set_gate(0x40, NULL, 0, false);
    return true;
}

static bool largest_quotient(void)
{
    struct frame f;
    CHECK(catch_fault(divide_largest, NULL, &f));
    CHECK(f.vector == 0);
    return true;
}

static bool reserved_bits(void)
{
    struct frame f;
    CHECK(catch_fault(write_cr4_reserved, NULL, &f));
    CHECK(f.vector == 13 && f.error == 0);
    return true;
}

/* --- single step -------------------------------------------------------- */

static unsigned steps;
static uint32_t last_step;

static void on_step(struct frame *f)
{
    steps++;
    last_step = f->eip;
    if (steps == 100)
        f->eflags &= ~0x100u;
}

static bool single_step(void)
{
    steps = 0;
    trap_set_handler(1, on_step);
    uint32_t end;
    __asm__ volatile("pushfl; orl $0x100, (%%esp); popfl;"
                     "movl $1, %%eax; addl $2, %%eax; jmp 1f; nop; 1: nop;"
                     "pushfl; andl $~0x100, (%%esp); popfl; 2: movl $2b, %0" : "=r"(end)::"eax", "cc", "memory");
    trap_set_handler(1, NULL);
    /* mov, add, jmp, nop, pushf, and, popf */
    CHECK(steps == 7 && last_step == end);
    return true;
}

static bool hardware_breakpoint(void)
{
    static uint32_t watched;
    uint32_t status;
    steps = 0;
    trap_set_handler(1, on_step);
    __asm__ volatile("movl %0, %%dr0; movl %1, %%dr7" ::"r"(&watched), "r"(0x000d0402));
    *(volatile uint32_t *)&watched = 1;
    __asm__ volatile("movl %%dr6, %0; movl %1, %%dr7; movl %1, %%dr6" : "=r"(status) : "r"(0));
    trap_set_handler(1, NULL);
    CHECK(steps == 1 && (status & 1));
    return true;
}

static const struct test tests[] = {
    { "divide", divide, NULL }, { "simple", simple, NULL }, { "protection", protection, NULL },
    { "largest_quotient", largest_quotient, "ends with SIGFPE" },
    { "reserved_bits", reserved_bits, "repeats the instruction forever" },
    { "single_step", single_step, NULL }, { "hardware_breakpoint", hardware_breakpoint, NULL }, { NULL, NULL, NULL },
};
const struct test_group group_fault = { "fault", tests, NULL };
