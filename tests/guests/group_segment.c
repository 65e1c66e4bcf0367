/* SPDX-License-Identifier: BSD-2-Clause
 * Segments that are not flat, descriptor queries, far transfers, task switches. */
#include "guest.h"

static uint8_t *const area = (uint8_t *)SCRATCH;

static bool based(void)
{
    uint32_t r;
    gdt_set(SEL_SPARE, SCRATCH, 0xfff, 0x92, 0x4);
    *(uint32_t *)(area + 0x10) = 0xcafe;
    __asm__ volatile("movl %1, %%gs; movl %%gs:0x10, %0; movl $0xbeef, %%gs:0x14" : "=r"(r) : "r"(SEL_SPARE) : "memory");
    CHECK(r == 0xcafe && *(uint32_t *)(area + 0x14) == 0xbeef);
    /* The hidden part stays until the register is loaded again. */
    gdt_set(SEL_SPARE, SCRATCH + 4, 0xfff, 0x92, 0x4);
    __asm__ volatile("movl %%gs:0x10, %0" : "=r"(r));
    CHECK(r == 0xcafe);
    __asm__ volatile("movl %1, %%gs; movl %%gs:0x10, %0" : "=r"(r) : "r"(SEL_SPARE));
    CHECK(r == 0xbeef);
    return true;
}

static void read_fs(void *offset)
{
    uint32_t r;
    __asm__ volatile("movl %%fs:(%1), %0" : "=r"(r) : "r"(offset));
}
static void load_fs(void *selector) { __asm__ volatile("movl %0, %%fs" ::"r"(selector)); }

/* The same load over and over: each must see what the descriptor says now, and a
 * null selector between them unloads. */
static bool loaded_again(void)
{
    struct frame f;
    uint32_t fs, es;
    for (uint32_t i = 0; i < 40; i++)
        *(uint32_t *)(area + 4 * i) = 1000 + i;
    for (uint32_t i = 0; i < 40; i++) {
        uint32_t at = i / 3 % 5;
        gdt_set(SEL_SPARE, SCRATCH + 4 * at, 0xfff, 0x92, 0x4);
        __asm__ volatile("pushl %%es; movl %2, %%fs; movl %%fs:0, %0; pushl %2; popl %%es; movl %%es:4, %1; popl %%es;"
                         "movl %3, %%fs" : "=&r"(fs), "=&r"(es) : "r"(SEL_SPARE), "r"(i % 7 ? 0 : SEL_KERNEL_DATA));
        CHECK(fs == 1000 + at && es == 1001 + at);
    }
    for (uint32_t i = 0; i < 10; i++) {
        __asm__ volatile("pushl %0; popl %%fs; pushl %1; popl %%fs" ::"r"(SEL_SPARE), "r"(0));
        CHECK(catch_fault(read_fs, (void *)0, &f) && f.vector == 13);
    }
    gdt_set(SEL_SPARE, SCRATCH, 0xfff, 0x12, 0x4); /* not present any more */
    CHECK(catch_fault(load_fs, (void *)SEL_SPARE, &f) && f.vector == 11 && f.error == SEL_SPARE);
    return true;
}

/* POP SS moves ESP as the stack is that it pops from, 32 bits or 16. */
static bool pop_other_width(void)
{
    uint32_t narrow, wide, esp;

    gdt_set(SEL_SPARE, 0, 0xfffff, 0x92, 0x8);
    *(uint32_t *)(SCRATCH + 0xfffc) = SEL_SPARE;
    __asm__ volatile("movl %%esp, %1; movl %2, %%esp; popl %%ss; movl %%esp, %0; movl %3, %%ss; movl %1, %%esp"
                     : "=&r"(narrow), "=&r"(esp) : "r"(SCRATCH + 0xfffc), "r"(SEL_KERNEL_DATA) : "memory");
    gdt_set(SEL_SPARE, SCRATCH, 0xfffff, 0x92, 0x8);
    *(uint32_t *)(SCRATCH + 0xfffc) = SEL_KERNEL_DATA;
    __asm__ volatile("movl %%esp, %1; movl %3, %%ss; movl %2, %%esp; popl %%ss; movl %%esp, %0; movl %1, %%esp"
                     : "=&r"(wide), "=&r"(esp) : "r"(SCRATCH + 0xfffc), "r"(SEL_SPARE) : "memory");
    CHECK(narrow == SCRATCH + 0x10000 && wide == SCRATCH);
    return true;
}

static void read_gs(void *offset)
{
    uint32_t r;
    __asm__ volatile("movl %%gs:(%1), %0" : "=r"(r) : "r"(offset));
}
static void write_gs(void *offset) { __asm__ volatile("movl $1, %%gs:(%0)" ::"r"(offset) : "memory"); }

static bool limits(void)
{
    struct frame f;
    gdt_set(SEL_SPARE, SCRATCH, 0x100f, 0x90, 0x4); /* read only, last byte 0x100f */
    __asm__ volatile("movl %0, %%gs" ::"r"(SEL_SPARE));
    CHECK(!catch_fault(read_gs, (void *)0x100c, &f));
    CHECK(catch_fault(read_gs, (void *)0x100d, &f));
    CHECK(f.vector == 13 && f.error == 0);
    __asm__ volatile("movl %0, %%gs" ::"r"(SEL_SPARE));
    CHECK(catch_fault(write_gs, (void *)0, &f));
    CHECK(f.vector == 13);
    gdt_set(SEL_SPARE, SCRATCH, 0xfff, 0x96, 0x4); /* expand down: above 0xfff is inside */
    __asm__ volatile("movl %0, %%gs" ::"r"(SEL_SPARE));
    CHECK(!catch_fault(write_gs, (void *)0x1000, &f));
    CHECK(catch_fault(write_gs, (void *)0xffd, &f));
    CHECK(f.vector == 13);
    __asm__ volatile("movl %0, %%gs" ::"r"(0));
    CHECK(catch_fault(read_gs, (void *)0, &f));
    CHECK(f.vector == 13 && f.error == 0);
    return true;
}

static bool queries(void)
{
    uint32_t r, ok;
    gdt_set(SEL_SPARE, 0, 0x12345, 0x92, 0xc);
    __asm__ volatile("lsll %2, %0; sete %b1" : "=r"(r), "=q"(ok) : "r"(SEL_SPARE) : "cc");
    CHECK((ok & 1) && r == 0x12345fff);
    __asm__ volatile("larl %2, %0; sete %b1" : "=r"(r), "=q"(ok) : "r"(SEL_SPARE) : "cc");
    CHECK((ok & 1) && (r & 0xf0ff00) == 0xc09200);
    __asm__ volatile("verw %w1; sete %b0" : "=q"(ok) : "r"(SEL_KERNEL_CODE) : "cc");
    CHECK(!(ok & 1));
    __asm__ volatile("verr %w1; sete %b0" : "=q"(ok) : "r"(SEL_KERNEL_CODE) : "cc");
    CHECK(ok & 1);
    __asm__ volatile("larl %2, %0; sete %b1" : "=r"(r), "=q"(ok) : "r"(0x7ff8) : "cc");
    CHECK(!(ok & 1));
    uint16_t tr;
    __asm__ volatile("str %0" : "=m"(tr));
    CHECK(tr == SEL_TSS);
    struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) gdtr;
    __asm__ volatile("sgdt %0" : "=m"(gdtr));
    CHECK(gdtr.limit == 127);
    return true;
}

static bool ldt(void)
{
    uint64_t *table = (uint64_t *)(area + 0x2000);
    uint32_t r;
    descriptor_set(&table[1], SCRATCH + 0x3000, 0xff, 0x92, 0x4);
    gdt_set(SEL_LDT, (uint32_t)table, 15, 0x82, 0);
    *(uint32_t *)(area + 0x3008) = 0x1d7;
    __asm__ volatile("lldt %w1; movl %2, %%gs; movl %%gs:8, %0; movl %3, %%gs; lldt %w3"
                     : "=&r"(r) : "r"(SEL_LDT), "r"(0x0c), "r"(0) : "memory");
    CHECK(r == 0x1d7);
    return true;
}

static bool far_transfers(void)
{
    uint32_t r;
    gdt_set(SEL_SPARE, 0, 0xfffff, 0x9a, 0xc);
    __asm__ volatile("lcall %1, $1f; jmp 2f; 1: movl %%cs, %0; lret; 2:" : "=&a"(r) : "i"(SEL_SPARE) : "memory");
    CHECK(r == SEL_SPARE);
    __asm__ volatile("pushl %1; pushl $1f; lret; 1: movl %%cs, %0; ljmp %2, $2f; 2:"
                     : "=&a"(r) : "i"(SEL_SPARE), "i"(SEL_KERNEL_CODE));
    CHECK(r == SEL_SPARE);
    /* A call gate of the same privilege ignores the offset in the instruction. */
    __asm__ volatile("movl $1f, %0; jmp 2f; 1: movl $0x6a7e, %%eax; lret; 2:" : "=&r"(r)::"eax");
    gdt_set_gate(SEL_SPARE2, SEL_KERNEL_CODE, r, 0x8c, 0);
    __asm__ volatile("lcall %1, $0" : "=a"(r) : "i"(SEL_SPARE2) : "memory");
    CHECK(r == 0x6a7e);
    return true;
}

/* 16-bit code: operand and address size default to 16 bits, IP wraps. */
static bool sixteen_bit_code(void)
{
    static const uint8_t code[] = {
        0xb8, 0x34, 0x12,             /* mov ax, 0x1234 */
        0x66, 0xbb, 0x78, 0x56, 0x34, 0x12, /* mov ebx, 0x12345678 */
        0x50,                         /* push ax */
        0x59,                         /* pop cx */
        0x66, 0xcb,                   /* lret with 32-bit offset and selector */
    };
    uint32_t a, b = 0, c;
    for (unsigned i = 0; i < sizeof code; i++)
        area[0x100 + i] = code[i];
    gdt_set(SEL_SPARE, SCRATCH, 0xffff, 0x9a, 0x0);
    __asm__ volatile("lcall %3, $0x100" : "=a"(a), "+b"(b), "=c"(c) : "i"(SEL_SPARE), "0"(0xffff0000), "2"(0) : "memory");
    CHECK(a == 0xffff1234 && b == 0x12345678 && c == 0x1234);
    return true;
}

/* --- hardware task switches ---------------------------------------------- */

static uint8_t task_stack[2048];
static uint32_t task_saw_flags, task_runs, task_saw_eax;

static void task_body(void)
{
    for (;;) {
        __asm__ volatile("movl %%eax, %0" : "=m"(task_saw_eax));
        task_saw_flags = eflags_get();
        task_runs++;
        __asm__ volatile("iretl");
    }
}

static void task_prepare(void)
{
    memory_set(&second_tss, 0, sizeof second_tss);
    second_tss.eip = (uint32_t)task_body;
    second_tss.esp = (uint32_t)(task_stack + sizeof task_stack);
    second_tss.eflags = 2;
    second_tss.eax = 0x7a5c;
    second_tss.cs = SEL_KERNEL_CODE;
    second_tss.ds = second_tss.es = second_tss.ss = second_tss.fs = second_tss.gs = SEL_KERNEL_DATA;
    second_tss.cr3 = main_tss.cr3 = READ_CR(3);
    second_tss.io_map = sizeof second_tss;
    gdt_set(SEL_TSS2, (uint32_t)&second_tss, sizeof second_tss - 1, 0x89, 0);
}

static bool task_switch(void)
{
    task_prepare();
    task_runs = 0;
    uint32_t kept = 0x11aa22bb;
    __asm__ volatile("lcall %1, $0" : "+b"(kept) : "i"(SEL_TSS2) : "memory");
    CHECK(task_runs == 1 && (task_saw_flags & 0x4000) && kept == 0x11aa22bb);
    CHECK(task_saw_eax == 0x7a5c && second_tss.link == SEL_TSS);
    CHECK(READ_CR(0) & 8);
    __asm__ volatile("clts");
    CHECK(!(READ_CR(0) & 8) && !(eflags_get() & 0x4000));
    __asm__ volatile("lcall %0, $0" ::"i"(SEL_TSS2) : "memory");
    __asm__ volatile("clts");
    CHECK(task_runs == 2);
    return true;
}

static bool task_gate(void)
{
    task_prepare();
    task_runs = 0;
    trap_set_task_gate(0x41, SEL_TSS2);
    __asm__ volatile("int $0x41; clts" ::: "memory");
    trap_set_gate(0x41, NULL, 0, false);
    CHECK(task_runs == 1);
    return true;
}

static const struct test tests[] = {
    { "pop_other_width", pop_other_width, NULL }, { "based", based, NULL }, { "loaded_again", loaded_again, "lets a null selector be used" }, { "limits", limits, "checks no limits" }, { "queries", queries, NULL }, { "ldt", ldt, NULL },
    { "far_transfers", far_transfers, NULL }, { "sixteen_bit_code", sixteen_bit_code, NULL },
    { "task_switch", task_switch, NULL }, { "task_gate", task_gate, NULL }, { NULL, NULL, NULL },
};
const struct test_group group_segment = { "segment", tests, NULL };
