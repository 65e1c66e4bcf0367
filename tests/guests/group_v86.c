/* SPDX-License-Identifier: BSD-2-Clause
 * Virtual-8086 mode: small programs of 16-bit code against what they have to leave
 * behind, the faults that it raises, and what IOPL forbids. */
#include "guest.h"

enum { VM = 0x20000, IOPL3 = 0x3000, BREAKPOINT = 3, SS_FAULT = 12, GP = 13, CODE_SEG = 0x2000, DATA_SEG = 0x2100, EXTRA_SEG = 0x2200,
       STACK_SEG = 0x2300, STACK_TOP = 0x800 };

struct registers { uint32_t eax, ecx, edx, ebx, esi, edi; };

struct program {
    const char *name;
    uint8_t code[32];
    struct registers in;
    uint8_t vector;       /* that ended it */
    uint16_t eip;         /* of its frame */
    struct registers out; /* EAX, ECX, EBX, ESI, EDI are looked at */
    uint16_t sp;
};

/* Byte n of the data segment is 7 n + 3. */
static const struct program programs[] = {
    { "16-bit addresses", { 0x8b, 0x40, 0x02, 0x01, 0xc8, 0x89, 0x05, 0x8b, 0x1d, 0xcc }, { .eax = 0xdead0000, .ecx = 0x1111, .ebx = 0x10, .esi = 4, .edi = 0x40 },
      BREAKPOINT, 10, { .eax = 0xdeadb5ae, .ecx = 0x1111, .ebx = 0xb5ae, .esi = 4, .edi = 0x40 }, STACK_TOP },
    { "addresses wrap around", { 0x8b, 0x00, 0xcc }, { .ebx = 0xfff0, .esi = 0x20 }, BREAKPOINT, 3, { .eax = 0x7a73, .ebx = 0xfff0, .esi = 0x20 }, STACK_TOP },
    { "segments are paragraphs", { 0x1e, 0x07, 0x8c, 0xc0, 0x26, 0x8b, 0x1e, 0x10, 0x00, 0xcc }, { 0 }, BREAKPOINT, 10, { .eax = DATA_SEG, .ebx = 0x7a73 }, STACK_TOP },
    { "rep movsb", { 0xfc, 0xf3, 0xa4, 0x26, 0x8b, 0x45, 0xfb, 0xcc }, { .ecx = 5, .esi = 8, .edi = 0x30 }, BREAKPOINT, 8,
      { .eax = 0x423b, .esi = 0xd, .edi = 0x35 }, STACK_TOP },
    { "32-bit operands", { 0x66, 0xb8, 0x78, 0x56, 0x34, 0x12, 0x66, 0x0f, 0xc8, 0xcc }, { 0 }, BREAKPOINT, 10, { .eax = 0x78563412 }, STACK_TOP },
    { "32-bit addresses", { 0x66, 0x67, 0x8b, 0x03, 0xcc }, { .ebx = 0x20 }, BREAKPOINT, 5, { .eax = 0xf8f1eae3, .ebx = 0x20 }, STACK_TOP },
    { "far call and return", { 0x9a, 9, 0, 0, 0x20, 0xb3, 0x55, 0xcc, 0x90, 0xb8, 0x77, 0x77, 0xcb }, { 0 }, BREAKPOINT, 8, { .eax = 0x7777, .ebx = 0x55 }, STACK_TOP },
    { "les", { 0xc4, 0x1c, 0x8c, 0xc0, 0xcc }, { .esi = 0x50 }, BREAKPOINT, 5, { .eax = 0x4841, .ebx = 0x3a33, .esi = 0x50 }, STACK_TOP },
    { "the stack wraps around", { 0xbc, 0, 0, 0xb8, 0xcd, 0xab, 0x50, 0x31, 0xc0, 0x36, 0x8b, 0x1e, 0xfe, 0xff, 0xcc }, { 0 }, BREAKPOINT, 15, { .ebx = 0xabcd }, 0xfffe },
    { "loop", { 0xb9, 3, 0, 0x31, 0xc0, 0x40, 0xe2, 0xfd, 0xcc }, { 0 }, BREAKPOINT, 9, { .eax = 3 }, STACK_TOP },
    { "cli, pushf, popf", { 0xfa, 0x9c, 0x58, 0x0d, 0x01, 0, 0x50, 0x9d, 0x9c, 0x5b, 0xcc }, { 0 }, BREAKPOINT, 11, { .eax = 0x3003, .ebx = 0x3003 }, STACK_TOP },
};

/* fninit; fld [10h], which is at 20002; an environment or all of the state to [40h], in the
 * layouts of 16 and 32 bits for linear addresses: both pointers and the opcode. */
#define LOAD 0xdb, 0xe3, 0xd9, 0x06, 0x10, 0x00
#define WORDS 0xa1, 0x46, 0, 0x8b, 0x1e, 0x48, 0, 0x8b, 0x0e, 0x4a, 0, 0x8b, 0x36, 0x4c, 0, 0xcc
#define DWORDS 0xa1, 0x4c, 0, 0x66, 0x8b, 0x1e, 0x50, 0, 0x8b, 0x0e, 0x54, 0, 0x66, 0x8b, 0x36, 0x58, 0, 0xcc
#define POINTERS { .eax = 2, .ebx = 0x2106, .ecx = 0x1010, .esi = 0x2000 }
static const struct program environments[] = {
    { "fnstenv", { LOAD, 0xd9, 0x36, 0x40, 0, WORDS }, { 0 }, BREAKPOINT, 26, POINTERS, STACK_TOP },
    { "fnstenv of 32 bits", { LOAD, 0x66, 0xd9, 0x36, 0x40, 0, DWORDS }, { 0 }, BREAKPOINT, 29, POINTERS, STACK_TOP },
    { "fnsave", { LOAD, 0xdd, 0x36, 0x40, 0, WORDS }, { 0 }, BREAKPOINT, 26, POINTERS, STACK_TOP },
    { "fnsave of 32 bits", { LOAD, 0x66, 0xdd, 0x36, 0x40, 0, DWORDS }, { 0 }, BREAKPOINT, 29, POINTERS, STACK_TOP },
};

static const struct program too_far[] = {
    { "an address beyond 64 KiB", { 0x67, 0x8b, 0x03, 0xcc }, { .ebx = 0x10000 }, GP, 0, { .ebx = 0x10000 }, STACK_TOP },
    { "a word over the end", { 0xa1, 0xff, 0xff, 0xcc }, { 0 }, GP, 0, { 0 }, STACK_TOP },
    { "a word over the stack's end", { 0x36, 0xa1, 0xff, 0xff, 0xcc }, { 0 }, SS_FAULT, 0, { 0 }, STACK_TOP },
};

static const struct program forbidden[] = {
    { "cli", { 0xfa }, { 0 }, GP, 0, { 0 }, STACK_TOP }, { "sti", { 0xfb }, { 0 }, GP, 0, { 0 }, STACK_TOP },
    { "pushf", { 0x9c }, { 0 }, GP, 0, { 0 }, STACK_TOP }, { "popf", { 0x9d }, { 0 }, GP, 0, { 0 }, STACK_TOP },
    { "int", { 0xcd, 0x21 }, { 0 }, GP, 0, { 0 }, STACK_TOP }, { "iret", { 0xcf }, { 0 }, GP, 0, { 0 }, STACK_TOP },
    { "hlt", { 0xf4 }, { 0 }, GP, 0, { 0 }, STACK_TOP }, { "mov cr0", { 0x0f, 0x20, 0xc0 }, { 0 }, GP, 0, { 0 }, STACK_TOP },
    { "lar", { 0x0f, 0x02, 0xc0 }, { 0 }, 6, 0, { 0 }, STACK_TOP }, { "lar over the end", { 0x0f, 0x02, 0x06, 0xff, 0xff }, { 0 }, 6, 0, { 0 }, STACK_TOP },
    { "lsl over the end", { 0x0f, 0x03, 0x06, 0xff, 0xff }, { 0 }, 6, 0, { 0 }, STACK_TOP },
    { "verr over the end", { 0x0f, 0x00, 0x26, 0xff, 0xff }, { 0 }, 6, 0, { 0 }, STACK_TOP },
    { "verw over the end", { 0x0f, 0x00, 0x2e, 0xff, 0xff }, { 0 }, 6, 0, { 0 }, STACK_TOP },
    { "arpl over the end", { 0x63, 0x06, 0xff, 0xff }, { 0 }, 6, 0, { 0 }, STACK_TOP },
    { "lldt over the end", { 0x0f, 0x00, 0x16, 0xff, 0xff }, { 0 }, 6, 0, { 0 }, STACK_TOP },
    { "str over the end", { 0x0f, 0x00, 0x0e, 0xff, 0xff }, { 0 }, 6, 0, { 0 }, STACK_TOP }, { "int3", { 0xcc }, { 0 }, BREAKPOINT, 1, { 0 }, STACK_TOP },
};

static uint8_t ring0_stack[4096] __attribute__((aligned(16)));
static struct { uint32_t eip, cs, eflags, esp, ss, es, ds, fs, gs; } entry __asm__("entry_frame") __attribute__((used));

static void enter(void *argument)
{
    const struct program *p = argument;

    __asm__ volatile("movl $entry_frame, %%esp; iretl"
                     ::"a"(p->in.eax), "b"(p->in.ebx), "c"(p->in.ecx), "d"(p->in.edx), "S"(p->in.esi), "D"(p->in.edi) : "memory");
    __builtin_unreachable();
}

static bool run(const struct program *p, uint32_t flags)
{
    uint8_t *data = (uint8_t *)(DATA_SEG << 4), *code = (uint8_t *)(CODE_SEG << 4);
    struct frame f;
    bool good;

    for (unsigned i = 0; i < 256; i++)
        data[i] = (uint8_t)(7 * i + 3);
    for (unsigned i = 0; i < sizeof p->code; i++)
        code[i] = p->code[i];
    entry.eip = 0, entry.cs = CODE_SEG, entry.eflags = VM | flags | 2, entry.esp = STACK_TOP, entry.ss = STACK_SEG;
    entry.es = EXTRA_SEG, entry.ds = entry.fs = entry.gs = DATA_SEG;
    if (!catch_fault(enter, (void *)p, &f))
        return false;
    good = f.vector == p->vector && f.eip == p->eip && f.cs == CODE_SEG && (f.eflags & (VM | IOPL3)) == (VM | (flags & IOPL3)) && f.ss == STACK_SEG &&
           (f.esp & 0xffff) == p->sp && f.eax == p->out.eax && f.ebx == p->out.ebx && f.ecx == p->out.ecx && f.esi == p->out.esi && f.edi == p->out.edi;
    if (!good) {
        print(p->name);
        print(": vector "), print_hex(f.vector), print(" eip "), print_hex(f.eip), print(" eax "), print_hex(f.eax);
        print(" ebx "), print_hex(f.ebx), print(" ecx "), print_hex(f.ecx), print(" esp "), print_hex(f.esp), print("\n");
    }
    return good;
}

static bool run_all(const struct program *p, unsigned count, uint32_t flags)
{
    const uint32_t esp0 = main_tss.esp0;
    bool good = true;

    main_tss.esp0 = (uint32_t)(ring0_stack + sizeof ring0_stack);
    trap_set_gate(BREAKPOINT, NULL, 3, false);
    for (unsigned i = 0; i < count; i++)
        good &= run(&p[i], flags);
    trap_set_gate(BREAKPOINT, NULL, 0, false);
    main_tss.esp0 = esp0;
    return good;
}

static bool computes(void)
{
    CHECK(run_all(programs, sizeof programs / sizeof *programs, IOPL3));
    return true;
}

static bool limits(void)
{
    CHECK(run_all(too_far, sizeof too_far / sizeof *too_far, IOPL3));
    return true;
}

static bool pointers(void)
{
    WRITE_CR(0, READ_CR(0) & ~0xcu); /* EM, TS */
    CHECK(run_all(environments, sizeof environments / sizeof *environments, IOPL3));
    return true;
}

static bool forbids(void)
{
    CHECK(run_all(forbidden, sizeof forbidden / sizeof *forbidden, 0));
    return true;
}

/* --- CR4.VME, CR4.PVI: the virtual interrupt flag ------------------------------------------------ */

enum { VIF = 0x80000, VIP = 0x100000, VME = 1, PVI = 2, BITMAP_SIZE = 32, HANDLER = 0x10 };

/* INT 40h and, as 41h is not redirected, INT 41h. */
static const struct program virtual_if[] = {
    { "sti shows in pushf", { 0xfb, 0x9c, 0x5b, 0xcc }, { 0 }, BREAKPOINT, 4, { .ebx = 0x3202 }, STACK_TOP },
    { "cli shows in pushf", { 0xfb, 0xfa, 0x9c, 0x5b, 0xcc }, { 0 }, BREAKPOINT, 5, { .ebx = 0x3002 }, STACK_TOP },
    { "popf", { 0x68, 0x03, 0x42, 0x9d, 0x9c, 0x5b, 0xcc }, { 0 }, BREAKPOINT, 7, { .ebx = 0x7203 }, STACK_TOP }, /* NT and CF, too */
    { "popf of TF", { 0x68, 0x02, 0x01, 0x9d }, { 0 }, GP, 3, { 0 }, STACK_TOP - 2 },
    { "pushf of 32 bits", { 0x66, 0x9c }, { 0 }, GP, 0, { 0 }, STACK_TOP },
    { "popf of 32 bits", { 0x66, 0x9d }, { 0 }, GP, 0, { 0 }, STACK_TOP },
    { "iret", { 0x68, 0x02, 0x02, 0x0e, 0x6a, 0x07, 0xcf, 0x9c, 0x5b, 0xcc }, { 0 }, BREAKPOINT, 10, { .ebx = 0x3202 }, STACK_TOP },
    { "iret of TF", { 0x68, 0x02, 0x01, 0x0e, 0x6a, 0x07, 0xcf }, { 0 }, GP, 6, { 0 }, STACK_TOP - 6 },
    { "iret of 32 bits", { 0x66, 0xcf }, { 0 }, GP, 0, { 0 }, STACK_TOP },
    { "int redirected", { 0xfb, 0xcd, 0x40, [HANDLER] = 0x9c, 0x5e, 0x58, 0x5b, 0x59, 0xcc }, { 0 }, BREAKPOINT, HANDLER + 6,
      { .eax = 3, .ebx = CODE_SEG, .ecx = 0x3202, .esi = 0x3002 }, STACK_TOP },
    { "int not redirected", { 0xcd, 0x41 }, { 0 }, GP, 0, { 0 }, STACK_TOP },
    { "hlt", { 0xf4 }, { 0 }, GP, 0, { 0 }, STACK_TOP },
};
static const struct program virtual_pending[] = {
    { "sti", { 0xfb }, { 0 }, GP, 0, { 0 }, STACK_TOP },
    { "cli", { 0xfa, 0x9c, 0x5b, 0xcc }, { 0 }, BREAKPOINT, 4, { .ebx = 0x3002 }, STACK_TOP },
    { "popf of IF", { 0x68, 0x02, 0x02, 0x9d }, { 0 }, GP, 3, { 0 }, STACK_TOP - 2 },
    { "popf", { 0x68, 0x03, 0x00, 0x9d, 0x9c, 0x5b, 0xcc }, { 0 }, BREAKPOINT, 7, { .ebx = 0x3003 }, STACK_TOP },
    { "iret of IF", { 0x68, 0x02, 0x02, 0x0e, 0x6a, 0x07, 0xcf }, { 0 }, GP, 6, { 0 }, STACK_TOP - 6 },
};
/* With IOPL 3 it is the true flag, and what is not redirected goes to the gate. */
static const struct program true_if[] = {
    { "int redirected", { 0xcd, 0x40, [HANDLER] = 0x9c, 0x5e, 0x58, 0x5b, 0x59, 0xcc }, { 0 }, BREAKPOINT, HANDLER + 6,
      { .eax = 2, .ebx = CODE_SEG, .ecx = 0x3002, .esi = 0x3002 }, STACK_TOP },
    { "int 3 by its long form", { 0xcd, 0x03 }, { 0 }, BREAKPOINT, 2, { 0 }, STACK_TOP },
    { "pushf of 32 bits", { 0x66, 0x9c, 0x66, 0x5b, 0xcc }, { 0 }, BREAKPOINT, 5, { .ebx = 0x3002 }, STACK_TOP },
};

static bool has_vme(void)
{
    uint32_t a = 1, b, c, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    return d & 2;
}

static bool virtual_flag(void)
{
    uint32_t *vector = (uint32_t *)(0x40 * 4), before = *vector;
    uint8_t bits[BITMAP_SIZE];
    bool good;

    CHECK(has_vme());
    for (unsigned i = 0; i < BITMAP_SIZE; i++)
        bits[i] = main_tss.io_bits[i], main_tss.io_bits[i] = 0xff;
    main_tss.io_bits[0x40 / 8] = 0xfe;
    main_tss.io_map = (uint16_t)(offsetof(struct tss, io_bits) + BITMAP_SIZE);
    *vector = (uint32_t)CODE_SEG << 16 | HANDLER;
    WRITE_CR(4, READ_CR(4) | VME);
    good = run_all(virtual_if, sizeof virtual_if / sizeof *virtual_if, 0);
    good &= run_all(virtual_pending, sizeof virtual_pending / sizeof *virtual_pending, VIP);
    good &= run_all(true_if, sizeof true_if / sizeof *true_if, IOPL3);
    WRITE_CR(4, READ_CR(4) & ~(uint32_t)VME);
    *vector = before;
    main_tss.io_map = sizeof main_tss;
    for (unsigned i = 0; i < BITMAP_SIZE; i++)
        main_tss.io_bits[i] = bits[i];
    CHECK(good);
    return true;
}

static volatile uint32_t flags_set, flags_clear;
static void user_flags(void)
{
    uint32_t set, clear;
    __asm__ volatile("sti; pushfl; popl %0; cli; pushfl; popl %1" : "=&r"(set), "=r"(clear)::"memory", "cc");
    flags_set = set, flags_clear = clear;
    user_exit();
}
static void user_sti(void *unused)
{
    (void)unused;
    run_user(user_flags);
}

/* The same for programs of ring 3, whose PUSHF shows VIF itself. */
static bool virtual_flag_in_ring3(void)
{
    struct frame f;

    WRITE_CR(4, READ_CR(4) | PVI);
    run_user(user_flags);
    WRITE_CR(4, READ_CR(4) & ~(uint32_t)PVI);
    CHECK(flags_set & VIF && !(flags_set & VIP) && !(flags_clear & VIF));
    CHECK(!((flags_set ^ flags_clear) & 0x200));
    CHECK(catch_fault(user_sti, NULL, &f) && f.vector == GP && *(uint8_t *)f.eip == 0xfb);
    return true;
}

static const struct test tests[] = { { "computes", computes, NULL }, { "forbids", forbids, NULL },
    { "pointers", pointers, "keeps no opcode" }, { "limits", limits, "segment limits are not looked at" },
    { "virtual_flag", virtual_flag, "has no VME" }, { "virtual_flag_in_ring3", virtual_flag_in_ring3, "has no PVI" }, { NULL, NULL, NULL } };
const struct test_group group_v86 = { "v86", tests, NULL };
