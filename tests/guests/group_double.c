/* SPDX-License-Identifier: BSD-2-Clause
 * Faults in the delivery of others: which make a double fault, what the error codes say, and
 * double faults through a task gate, from ring 0 without a stack and from ring 3. */
#include "guest.h"

enum { DE = 0, UD = 6, NM = 7, DF = 8, NP = 11, GP = 13, PF = 14, EXT = 1, IN_IDT = 2, SOFTWARE = 0x90, NOWHERE = 0x3c000000,
       NO_STACK = 0x3000 };

static void closed(unsigned vector) { trap_set_gate_to(vector, SEL_KERNEL_CODE, 0, 0x0e); /* not present */ }
static void open(unsigned vector) { trap_set_gate(vector, NULL, vector == SOFTWARE ? 3 : 0, false); }

static void divide(void *unused)
{
    (void)unused;
    __asm__ volatile("xorl %%edx, %%edx; divl %%edx" ::: "eax", "edx", "cc");
}
static void undefined(void *unused)
{
    (void)unused;
    __asm__ volatile("ud2");
}
static void no_unit(void *unused)
{
    (void)unused;
    __asm__ volatile("fld1" :);
}
static void load_bad(void *unused)
{
    (void)unused;
    __asm__ volatile("movl %0, %%fs" ::"r"(0x7f8));
}
static void touch_nothing(void *unused)
{
    (void)unused;
    *(volatile uint32_t *)NOWHERE = 1;
}
static void interrupt(void *unused)
{
    (void)unused;
    __asm__ volatile("int $0x90");
}

static bool with_closed(unsigned vector, void (*body)(void *), struct frame *f)
{
    closed(vector);
    bool caught = catch_fault(body, NULL, f);
    open(vector);
    return caught;
}

static bool which(void)
{
    struct frame f;

    pages_on();
    CHECK(with_closed(DE, divide, &f) && f.vector == DF && f.error == 0);
    CHECK(with_closed(GP, load_bad, &f) && f.vector == DF && f.error == 0);
    CHECK(with_closed(PF, touch_nothing, &f) && f.vector == DF && f.error == 0 && caught_cr2 == NOWHERE);
    CHECK(with_closed(UD, undefined, &f) && f.vector == NP && f.error == (UD * 8 | IN_IDT | EXT));
    WRITE_CR(0, READ_CR(0) | CR0_TS);
    CHECK(with_closed(NM, no_unit, &f) && f.vector == NP && f.error == (NM * 8 | IN_IDT | EXT));
    WRITE_CR(0, READ_CR(0) & ~(uint32_t)CR0_TS);
    CHECK(with_closed(SOFTWARE, interrupt, &f) && f.vector == NP && f.error == (SOFTWARE * 8 | IN_IDT) && *(uint8_t *)f.eip == 0xcd);
    return true;
}

/* A gate that leads to a segment that is none, or not there, and a page fault behind a contributory one. */
static bool by_gates(void)
{
    struct frame f;

    trap_set_gate_to(UD, SEL_KERNEL_DATA, 0, 0x8e);
    CHECK(catch_fault(undefined, NULL, &f) && f.vector == GP && f.error == (SEL_KERNEL_DATA | EXT));
    trap_set_gate_to(UD, 0, 0, 0x8e);
    CHECK(catch_fault(undefined, NULL, &f) && f.vector == GP && f.error == EXT);
    trap_set_gate_to(UD, 0x7f8, 0, 0x8e);
    CHECK(catch_fault(undefined, NULL, &f) && f.vector == GP && f.error == (0x7f8 | EXT));
    gdt_set(SEL_SPARE, 0, 0xfffff, 0x1a, 0xc);
    trap_set_gate_to(UD, SEL_SPARE, 0, 0x8e);
    CHECK(catch_fault(undefined, NULL, &f) && f.vector == NP && f.error == (SEL_SPARE | EXT));
    trap_set_gate_to(SOFTWARE, SEL_SPARE, 0, 0xee);
    CHECK(catch_fault(interrupt, NULL, &f) && f.vector == NP && f.error == SEL_SPARE);
    trap_set_gate_to(SOFTWARE, SEL_KERNEL_CODE, 0, 0xe9); /* of no kind */
    CHECK(catch_fault(interrupt, NULL, &f) && f.vector == GP && f.error == (SOFTWARE * 8 | IN_IDT));
    open(UD);
    open(SOFTWARE);
    return true;
}

/* --- through a task gate ------------------------------------------------------------------- */

static uint8_t task_stack[2048];
extern char double_task[];
uint32_t double_error, double_cr2, double_count, double_saved_esp, double_eip, double_back, double_cs;
__asm__(".text; .globl double_task; double_task: 1: popl double_error; movl %cr2, %eax; movl %eax, double_cr2; incl double_count;"
        "movl main_tss+0x20, %eax; movl %eax, double_eip;"
        "movl main_tss+0x4c, %eax; movl %eax, double_cs; movl double_back, %eax; movl %eax, main_tss+0x20; movl double_saved_esp, %eax; movl %eax, main_tss+0x38;"
        "movl $8, main_tss+0x4c; movl $0x10, main_tss+0x50; movl $0x10, main_tss+0x54; movl $0x10, main_tss+0x48; movl $2, main_tss+0x24; iretl; jmp 1b");

static void prepare_task(void)
{
    memory_set(&second_tss, 0, sizeof second_tss);
    second_tss.eip = (uint32_t)double_task;
    second_tss.esp = (uint32_t)task_stack + sizeof task_stack;
    second_tss.eflags = 2;
    second_tss.cs = SEL_KERNEL_CODE;
    second_tss.ds = second_tss.es = second_tss.ss = second_tss.fs = second_tss.gs = SEL_KERNEL_DATA;
    second_tss.cr3 = main_tss.cr3 = READ_CR(3);
    second_tss.io_map = sizeof second_tss;
    gdt_set(SEL_TSS2, (uint32_t)&second_tss, sizeof second_tss - 1, 0x89, 0);
    trap_set_task_gate(DF, SEL_TSS2);
    double_error = 0xffffffff;
    double_cr2 = 0;
}

/* ESP leads nowhere: the page fault of the push cannot be pushed either. */
static bool without_stack(void)
{
    extern char double_push[];

    for (unsigned i = 1; i < 4; i++) {
        prepare_task();
        double_count = i - 1;
        __asm__ volatile("pushal; movl %%esp, double_saved_esp; movl $double_recovered, double_back; movl %0, %%esp; .globl double_push; double_push: pushl $1; double_recovered: popal; clts"
                         ::"r"(NOWHERE + NO_STACK) : "memory");
        open(DF);
        CHECK(double_count == i && double_error == 0 && double_eip == (uint32_t)double_push);
        CHECK(double_cr2 >= NOWHERE + NO_STACK - 16 && double_cr2 < NOWHERE + NO_STACK);
    }
    return true;
}

static void user_touches(void)
{
    *(volatile uint32_t *)NOWHERE = 1;
    __builtin_unreachable();
}

/* From ring 3, whose kernel has no stack. */
static bool user_without_stack(void)
{
    const uint32_t esp0 = main_tss.esp0;

    prepare_task();
    double_count = 0;
    main_tss.esp0 = NOWHERE + NO_STACK;
    __asm__ volatile("pushal; movl %%esp, double_saved_esp; pushl %1; pushl %2; pushl $2; pushl %3; pushl %0; movl $double_user_back, double_back; iretl;"
                     "double_user_back: popal; clts" ::"r"(user_touches), "i"(SEL_USER_DATA), "r"(user_stack + sizeof user_stack), "i"(SEL_USER_CODE) : "memory");
    open(DF);
    main_tss.esp0 = esp0;
    CHECK(double_count == 1 && double_error == 0 && double_cr2 >= NOWHERE + NO_STACK - 32 && double_cr2 < NOWHERE + NO_STACK);
    CHECK(double_cs == SEL_USER_CODE && second_tss.link == SEL_TSS);
    return true;
}

static const struct test tests[] = {
    { "which", which, "sets no EXT" }, { "by_gates", by_gates, "sets no EXT" }, { "without_stack", without_stack, NULL },
    { "user_without_stack", user_without_stack, NULL }, { NULL, NULL, NULL },
};
const struct test_group group_double = { "double", tests, pages_on };
