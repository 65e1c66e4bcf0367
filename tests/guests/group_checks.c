/* SPDX-License-Identifier: BSD-2-Clause
 * What is checked behind a program's back: alignment, the code segment's limit at
 * branches, offsets at 64 KiB, breakpoints on ports. */
#include "guest.h"

enum { CR0_AM = 0x40000, CR4_DE = 8, AC = 0x40000, GP = 13, ALIGNMENT = 17, DB = 1, TOO_FAR = 0x2000 };

/* --- alignment ------------------------------------------------------------- */

static uint8_t operand[64] __attribute__((aligned(16)));
static volatile uint32_t user_passed;

#define CHECKED "pushfl; orl $0x40000, (%%esp); popfl;"
#define UNCHECKED "; pushfl; andl $~0x40000, (%%esp); popfl"
#define USER_ACCESS(name, code, offset)                                                                        \
    static void name(void)                                                                                     \
    {                                                                                                          \
        __asm__ volatile(CHECKED code UNCHECKED ::"S"(operand + (offset)), "D"(operand + 32) : "eax", "memory"); \
        user_passed++;                                                                                         \
        user_exit();                                                                                           \
    }
USER_ACCESS(load4, "movl (%%esi), %%eax", 4)
USER_ACCESS(load2_odd, "movw (%%esi), %%ax", 1)
USER_ACCESS(load1_odd, "movb (%%esi), %%al", 1)
USER_ACCESS(load4_odd, "movl (%%esi), %%eax", 2)
USER_ACCESS(store4_odd, "movl %%eax, (%%esi)", 6)
USER_ACCESS(add4_odd, "addl $0, (%%esi)", 6)
USER_ACCESS(float8_odd, "fldl (%%esi); fstp %%st(0)", 4)
USER_ACCESS(float8, "fldl (%%esi); fstp %%st(0)", 8)
USER_ACCESS(string_odd, "movsl", 2)
USER_ACCESS(bits_odd, "btl $3, (%%esi)", 2)
USER_ACCESS(push_odd, "movl %%esp, %%eax; leal 14(%%esi), %%esp; pushl %%eax; popl %%esp", 0)
USER_ACCESS(pusha_odd, "movl %%esp, %%eax; leal 50(%%esi), %%esp; pushal; movl %%eax, %%esp", 0)

static void in_user(void *code) { run_user((void (*)(void))code); }

static bool alignment(void)
{
    static void (*const good[])(void) = { load4, load1_odd, float8 };
    static void (*const bad[])(void) = { load2_odd, load4_odd, store4_odd, add4_odd, float8_odd, string_odd, bits_odd, push_odd, pusha_odd };
    struct frame f;
    bool right = true;

    __asm__ volatile("fninit");
    WRITE_CR(0, READ_CR(0) | CR0_AM);
    user_passed = 0;
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++)
        right &= !catch_fault(in_user, good[i], &f);
    right &= user_passed == sizeof good / sizeof *good;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        right &= catch_fault(in_user, bad[i], &f) && f.vector == ALIGNMENT && f.error == 0 && (f.cs & 3) == 3 && f.eflags & AC;
    WRITE_CR(0, READ_CR(0) & ~(uint32_t)CR0_AM);
    CHECK(right);
    return true;
}

/* Not without CR0.AM, and never in ring 0. */
static bool alignment_unchecked(void)
{
    struct frame f;

    user_passed = 0;
    CHECK(!catch_fault(in_user, load4_odd, &f) && !catch_fault(in_user, push_odd, &f) && user_passed == 2);
    WRITE_CR(0, READ_CR(0) | CR0_AM);
    __asm__ volatile(CHECKED "movl 1(%0), %%eax; pushl 2(%0); addl $4, %%esp" UNCHECKED ::"r"(operand) : "eax", "memory", "cc");
    WRITE_CR(0, READ_CR(0) & ~(uint32_t)CR0_AM);
    return true;
}

/* --- the code segment's limit ---------------------------------------------- */

static void put_code(uint32_t at, const uint8_t *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        ((volatile uint8_t *)SCRATCH)[at + i] = bytes[i];
}

static void call_spare(void *at)
{
    struct {
        uint32_t offset;
        uint16_t selector;
    } __attribute__((packed)) target = { (uint32_t)at, SEL_SPARE };
    __asm__ volatile("lcall *%0" ::"m"(target) : "eax", "ebx", "ecx", "edx", "esi", "edi", "memory", "cc");
}

/* The branch itself faults, and nothing has changed yet. */
static bool branches_at_limit(void)
{
    static const struct {
        uint32_t start, eip;
        uint8_t code[8];
    } cases[] = {
        { 0x100, 0x100, { 0xe9, 0, TOO_FAR >> 8, 0, 0 } },                   /* jmp */
        { 0x110, 0x112, { 0x39, 0xc0, 0x0f, 0x84, 0, TOO_FAR >> 8, 0, 0 } }, /* cmp eax, eax; jz */
        { 0x120, 0x120, { 0xe8, 0, TOO_FAR >> 8, 0, 0 } },                   /* call */
        { 0x130, 0x135, { 0xb8, 0, TOO_FAR >> 8, 0, 0, 0xff, 0xe0 } },       /* mov eax; jmp eax */
        { 0x140, 0x145, { 0x68, 0, TOO_FAR >> 8, 0, 0, 0xc3 } },             /* push; ret */
        { 0xfe0, 0xfe5, { 0xb9, 5, 0, 0, 0, 0xe2, 0x40 } },                  /* mov ecx, 5; loop */
        { 0xff0, 0xff2, { 0x31, 0xc9, 0xe3, 0x40 } },                        /* xor ecx, ecx; jecxz */
        { 0xffe, 0x1000, { 0x90, 0x90 } },                                   /* off the end */
    };
    struct frame f;

    gdt_set(SEL_SPARE, SCRATCH, 0xfff, 0x9a, 0x4);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_code(cases[i].start, cases[i].code, cases[i].start < 0xffe ? 8 : 2);
        CHECK(catch_fault(call_spare, (void *)cases[i].start, &f));
        CHECK(f.vector == GP && f.error == 0 && f.cs == SEL_SPARE && f.eip == cases[i].eip);
        CHECK(cases[i].code[5] != 0xe2 || f.ecx == 5);
    }
    return true;
}

/* LOOP and Jcc whose way is not taken go on. */
static bool untaken_at_limit(void)
{
    static const uint8_t code[] = { 0xb9, 1, 0, 0, 0, 0xe2, 0x40, 0x39, 0xc0, 0x75, 0x40, 0xcb }; /* mov ecx, 1; loop; cmp; jnz; lret */
    struct frame f;

    gdt_set(SEL_SPARE, SCRATCH, 0xfff, 0x9a, 0x4);
    put_code(0xfe0, code, sizeof code);
    CHECK(!catch_fault(call_spare, (void *)0xfe0, &f));
    return true;
}

/* Execution runs on past 64 KiB in 16-bit code; a branch's target is cut. */
static bool past_64k(void)
{
    static const uint8_t straight[] = { 0xb8, 0x34, 0x12, 0x66, 0xcb }; /* mov ax, 0x1234; lretl */
    static const uint8_t jump[] = { 0xeb, 0x20 }, back[] = { 0xb8, 0x78, 0x56, 0x66, 0xcb };
    struct frame f;
    uint32_t eax;

    gdt_set(SEL_SPARE, SCRATCH, 0x1ffff, 0x9a, 0x0);
    put_code(0xfffd, straight, sizeof straight);
    __asm__ volatile("lcall %1, $0xfffd" : "=a"(eax) : "i"(SEL_SPARE), "0"(0) : "memory");
    CHECK(eax == 0x1234);
    put_code(0xfff0, jump, sizeof jump);
    put_code(0x12, back, sizeof back);
    __asm__ volatile("lcall %1, $0xfff0" : "=a"(eax) : "i"(SEL_SPARE), "0"(0) : "memory");
    CHECK(eax == 0x5678);
    gdt_set(SEL_SPARE, SCRATCH, 0xffff, 0x9a, 0x0);
    CHECK(catch_fault(call_spare, (void *)0xfffd, &f));
    CHECK(f.vector == GP && f.cs == SEL_SPARE && f.eip == 0x10000);
    return true;
}

/* SP of a 16-bit stack wraps; the upper half of ESP stays. */
static bool stack_at_64k(void)
{
    uint32_t eax, ebx;

    gdt_set(SEL_SPARE, SCRATCH, 0xffff, 0x92, 0x0);
    __asm__ volatile("movl %%esp, %%edx; movl %2, %%ss; movl $0xabcd0000, %%esp; pushl $0x11223344; movl %%esp, %1; popl %0;"
                     "movl %3, %%ss; movl %%edx, %%esp"
                     : "=&a"(eax), "=&b"(ebx) : "r"(SEL_SPARE), "r"(SEL_KERNEL_DATA) : "edx", "memory");
    CHECK(ebx == 0xabcdfffc && eax == 0x11223344 && *(volatile uint32_t *)(SCRATCH + 0xfffc) == 0x11223344);
    return true;
}

/* --- a stack that is somewhere else ----------------------------------------- */

#define KERNEL_PAGE (SCRATCH + 0x5000)

/* Pages that are used much need fewer checks. */
static void use_much(volatile uint32_t *at)
{
    for (unsigned i = 0; i < 1000; i++)
        *at = i;
}

#define USER_MOVES_STACK(name, code)                                                                            \
    static void name(void)                                                                                      \
    {                                                                                                           \
        __asm__ volatile("movl $1000, %%ecx; 1: pushl %%ecx; popl %%eax; loop 1b; pushl %0;" code "pushl $5"     \
                         ::"d"(KERNEL_PAGE + 8) : "eax", "ecx", "memory");                                      \
        user_exit();                                                                                            \
    }
USER_MOVES_STACK(pop_esp, "popl %%esp;")
USER_MOVES_STACK(pop_esp_long, ".byte 0x8f, 0xc4;")
USER_MOVES_STACK(mov_esp, "movl %%edx, %%esp;")
USER_MOVES_STACK(xchg_esp, "xchgl %%edx, %%esp;")
USER_MOVES_STACK(leave_esp, "movl %%edx, %%ebp; subl $4, %%ebp; movl %%ebp, %%esp;")

static bool stack_elsewhere(void)
{
    static void (*const codes[])(void) = { pop_esp, pop_esp_long, mov_esp, xchg_esp, leave_esp };
    volatile uint32_t *at = (uint32_t *)KERNEL_PAGE;
    struct frame f;

    pages_map(KERNEL_PAGE, KERNEL_PAGE | PTE_P | PTE_W);
    use_much(at + 1);
    use_much(at);
    for (unsigned i = 0; i < sizeof codes / sizeof *codes; i++) {
        CHECK(catch_fault(in_user, codes[i], &f));
        CHECK(f.vector == 14 && f.error == 7 && (caught_cr2 & ~7u) == KERNEL_PAGE && at[1] == 999 && at[0] == 999);
    }
    pages_map(KERNEL_PAGE, KERNEL_PAGE | PTE_P | PTE_W | PTE_U);
    return true;
}

/* --- breakpoints on ports --------------------------------------------------- */

static unsigned traps;
static uint32_t trapped_at;
static void on_debug(struct frame *f)
{
    traps++;
    trapped_at = f->eip;
}

static void out_watched(uint32_t *behind)
{
    __asm__ volatile("outb %%al, $0x80; 1: movl $1b, %0" : "=r"(*behind)::"memory");
}

static bool port_breakpoint(void)
{
    uint32_t behind = 0, status;

    trap_set_handler(DB, on_debug);
    traps = 0;
    __asm__ volatile("movl %0, %%dr0; movl %1, %%dr6" ::"r"(0x80), "r"(0));
    WRITE_CR(4, READ_CR(4) | CR4_DE);
    __asm__ volatile("movl %0, %%dr7" ::"r"(0x00020402));
    out_watched(&behind);
    outb(0x84, 0);
    __asm__ volatile("movl %%dr6, %0; movl %1, %%dr7; movl %1, %%dr6" : "=r"(status) : "r"(0));
    WRITE_CR(4, READ_CR(4) & ~(uint32_t)CR4_DE);
    trap_set_handler(DB, NULL);
    CHECK(traps == 1 && trapped_at == behind && (status & 15) == 1);
    return true;
}

static const struct test tests[] = {
    { "alignment", alignment, "checks no alignment" }, { "alignment_unchecked", alignment_unchecked, NULL },
    { "branches_at_limit", branches_at_limit, "checks no limits" }, { "untaken_at_limit", untaken_at_limit, NULL },
    { "past_64k", past_64k, "checks no limits" }, { "stack_at_64k", stack_at_64k, NULL },
    { "stack_elsewhere", stack_elsewhere, NULL }, { "port_breakpoint", port_breakpoint, NULL }, { NULL, NULL, NULL },
};
const struct test_group group_checks = { "checks", tests, pages_on };
