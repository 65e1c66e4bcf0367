/* SPDX-License-Identifier: BSD-2-Clause
 * Breakpoints of the debug registers: each length at each alignment against each access
 * near it, on ports, on instructions with RF, all four at once; the single-step bit, DR7.GD,
 * DR4 and DR5; in both rings, in code that has settled. */
#include "guest.h"

enum { DB = 1, UD = 6, NONE = 0x400, BS = 0x4000, BD = 0x2000, GD = 0x2000, CR4_DE = 8, FLAG_RF = 0x10000, FLAG_TF = 0x100,
       WRITES = 1, PORTS = 2, ACCESSES = 3, BYTES = 64 };

static unsigned traps;
static uint32_t trap_eip, trap_status, trap_flags, trap_cs;
static uint32_t set_flags; /* in the frame, before it returns */

static uint32_t status_take(void)
{
    uint32_t status;
    __asm__ volatile("movl %%dr6, %0; movl %1, %%dr6" : "=&r"(status) : "r"(0));
    return status;
}

static void on_debug(struct frame *f)
{
    traps++;
    trap_eip = f->eip;
    trap_flags = f->eflags;
    trap_cs = f->cs;
    trap_status = status_take();
    f->eflags |= set_flags;
}

/* Breakpoint `n` at `at`, with G set; `length` 1, 2 or 4. */
static void arm(unsigned n, uint32_t at, unsigned kind, unsigned length)
{
    uint32_t control;
    __asm__ volatile("movl %%dr7, %0" : "=r"(control));
    control = (control & ~(0xfu << (16 + 4 * n))) | (kind | (length - 1) << 2) << (16 + 4 * n) | 2u << 2 * n;
    switch (n) {
    case 0: __asm__ volatile("movl %0, %%dr0" ::"r"(at)); break;
    case 1: __asm__ volatile("movl %0, %%dr1" ::"r"(at)); break;
    case 2: __asm__ volatile("movl %0, %%dr2" ::"r"(at)); break;
    default: __asm__ volatile("movl %0, %%dr3" ::"r"(at)); break;
    }
    __asm__ volatile("movl %0, %%dr7" ::"r"(control));
    traps = 0;
}
static void disarm(void) { __asm__ volatile("movl %0, %%dr7" ::"r"(NONE)); }

static void prepare(void)
{
    pages_on();
    WRITE_CR(0, READ_CR(0) & ~0xcu); /* EM, TS */
    WRITE_CR(4, READ_CR(4) | 0x200); /* OSFXSR */
    __asm__ volatile("fninit");
    trap_set_handler(DB, on_debug);
    status_take();
}

/* --- data ------------------------------------------------------------------------ */

static uint8_t bytes[BYTES] __attribute__((aligned(4096)));

#define ACCESS(name, code) \
    static void name(uint8_t *at) { __asm__ volatile(code ::"S"(at), "D"(at) : "eax", "ecx", "edx", "memory", "cc"); }
ACCESS(load1, "movb (%%esi), %%al")
ACCESS(load2, "movw (%%esi), %%ax")
ACCESS(load4, "movl (%%esi), %%eax")
ACCESS(store1, "movb $0, (%%esi)")
ACCESS(store2, "movw $0, (%%esi)")
ACCESS(store4, "movl $0, (%%esi)")
ACCESS(add4, "addl $0, (%%esi)")
ACCESS(push4, "xchgl %%esi, %%esp; leal 4(%%esp), %%esp; pushl $0; xchgl %%esi, %%esp")
ACCESS(pop4, "movl %%esp, %%ecx; movl %%esi, %%esp; popl %%eax; movl %%ecx, %%esp")
ACCESS(float8, "fldl (%%esi); fstp %%st(0)")
ACCESS(float10, "fldz; fstpt (%%esi)")
ACCESS(load16, "movups (%%esi), %%xmm0")
ACCESS(store16, "pxor %%xmm0, %%xmm0; movups %%xmm0, (%%esi)")
ACCESS(stos2, "cld; xorl %%eax, %%eax; stosw")
ACCESS(lods4, "cld; lodsl")
ACCESS(pusha, "movl %%esp, %%ecx; leal 32(%%esi), %%esp; pushal; movl %%ecx, %%esp")
ACCESS(xchg1, "xorl %%eax, %%eax; xchgb %%al, (%%esi)")

static const struct access {
    const char *name;
    void (*run)(uint8_t *at);
    uint8_t size;
    bool writes, reads; /* a stack that is elsewhere for a moment takes no trap of ring 0: see in_user */
} accesses[] = {
#define ROW(name, size, writes, reads) { #name, name, size, writes, reads }
    ROW(load1, 1, false, true), ROW(load2, 2, false, true), ROW(load4, 4, false, true), ROW(store1, 1, true, false),
    ROW(store2, 2, true, false), ROW(store4, 4, true, false), ROW(add4, 4, true, true), ROW(push4, 4, true, false),
    ROW(pop4, 4, false, true), ROW(float8, 8, false, true), ROW(float10, 10, true, false), ROW(load16, 16, false, true),
    ROW(store16, 16, true, false), ROW(stos2, 2, true, false), ROW(lods4, 4, false, true), ROW(pusha, 32, true, false),
    ROW(xchg1, 1, true, true),
};

/* What ring 3 runs, so that the trap's frame goes to another stack. */
static const struct access *user_access;
static uint8_t *user_at;
static void user_runs(void)
{
    user_access->run(user_at);
    user_exit();
}

static bool data(void)
{
    static const unsigned lengths[] = { 1, 2, 4 }, kinds[] = { WRITES, ACCESSES };

    for (user_access = accesses; user_access < accesses + sizeof accesses / sizeof *accesses; user_access++)
        for (unsigned k = 0; k < 6; k++)
            for (uint32_t at = 28; at < 34; at++) {
                const unsigned length = lengths[k / 2], kind = kinds[k & 1];
                const uint32_t from = at & ~(length - 1); /* the low bits do not count */
                arm(k & 3, (uint32_t)&bytes[at], kind, length);
                for (uint32_t a = 0; a <= 36 && a + user_access->size <= BYTES; a += a < 24 ? 12 : 1) {
                    const bool meets = a < from + length && from < a + user_access->size;
                    const bool hits = meets && (user_access->writes || kind == ACCESSES);
                    traps = 0;
                    user_at = &bytes[a];
                    run_user(user_runs);
                    if (traps != hits || (hits && (trap_status & 15) != 1u << (k & 3))) {
                        print("  "), print(user_access->name), print(" at "), print_hex(a), print(", watched "), print_hex(at);
                        print(" length "), print_hex(length), print(" kind "), print_hex(kind), print(": "), print_hex(traps), print(", DR6 "), print_hex(trap_status), print("\n");
                        disarm();
                        return false;
                    }
                }
                disarm();
            }
    return true;
}

/* Several breakpoints by one instruction make one trap that names all; so do one that
 * is on and one that is only in DR7's other bits, which a CPU may name or not. */
static bool several(void)
{
    arm(0, (uint32_t)&bytes[8], WRITES, 4);
    arm(1, (uint32_t)&bytes[11], ACCESSES, 1);
    arm(2, (uint32_t)&bytes[12], WRITES, 1);
    arm(3, (uint32_t)&bytes[10], ACCESSES, 2);
    *(volatile uint32_t *)&bytes[8] = 0;
    disarm();
    CHECK(traps == 1 && (trap_status & 15) == 11);
    return true;
}

/* FXSAVE and FXRSTOR meet what they store and load, not all that has to be there. (A CPU
 * that was asked left out MXCSR_MASK and met the last four bytes when it loaded: not asked here.) */
static bool whole_state(void)
{
    static uint8_t image[512] __attribute__((aligned(4096)));

    __asm__ volatile("fxsave (%0)" ::"r"(image) : "memory");
    for (uint32_t at = 0; at < sizeof image - 4; at += 4) {
        const bool used = at < 288;
        arm(1, (uint32_t)&image[at], WRITES, 4);
        __asm__ volatile("fxsave (%0)" ::"r"(image) : "memory");
        CHECK(traps == used);
        __asm__ volatile("fxrstor (%0)" ::"r"(image) : "memory");
        CHECK(traps == used);
        if (at == 28)
            continue;
        arm(1, (uint32_t)&image[at], ACCESSES, 4);
        __asm__ volatile("fxrstor (%0)" ::"r"(image) : "memory");
        CHECK(traps == used && (!used || (trap_status & 15) == 2));
    }
    disarm();
    return true;
}

/* In code that ran a thousand times before, on a page used as often, and again after. */
static bool settled(void)
{
    uint32_t behind = 0;

    for (unsigned n = 0; n < 3000; n++) {
        if (n == 1500)
            arm(0, (uint32_t)&bytes[20], WRITES, 4);
        __asm__ volatile("movl %1, (%2); 1: movl $1b, %0" : "=&r"(behind) : "r"(n), "r"(&bytes[n >= 1490 && n < 1510 ? 20 : 40]) : "memory");
        if (n == 1510)
            disarm();
    }
    CHECK(traps == 10 && trap_eip == behind);
    return true;
}

/* Beside code, on a page that is only run before it is read, and by code of both rings. */
extern char watch_beside[];
extern uint32_t watch_beside_datum;
__asm__(".text; .globl watch_beside; watch_beside: ret; .balign 4; .globl watch_beside_datum; watch_beside_datum: .long 0");

static bool beside_code(void)
{
    static const unsigned kinds[] = { ACCESSES, WRITES };

    for (unsigned n = 0; n < 40; n++) {
        const bool writes = kinds[n & 1] == WRITES;
        arm(n & 3, (uint32_t)&watch_beside_datum, kinds[n & 1], 4);
        __asm__ volatile("call watch_beside" ::: "memory");
        if (writes)
            __asm__ volatile("movl $1, watch_beside_datum" ::: "memory");
        else
            __asm__ volatile("movl watch_beside_datum, %%eax" ::: "eax", "memory");
        CHECK(traps == 1 && (trap_status & 15) == 1u << (n & 3));
        disarm();
        __asm__ volatile("movl watch_beside_datum, %%eax" ::: "eax", "memory");
        CHECK(traps == 1);
    }
    return true;
}

/* --- ports ------------------------------------------------------------------------- */

static bool ports(void)
{
    static const struct {
        uint16_t watched;
        uint8_t length, port, size;
        bool hits;
    } cases[] = {
        { 0x80, 1, 0x80, 1, true }, { 0x81, 1, 0x80, 1, false }, { 0x81, 1, 0x80, 2, true }, { 0x83, 1, 0x80, 4, true },
        { 0x84, 1, 0x80, 4, false }, { 0x82, 2, 0x83, 1, true }, { 0x83, 2, 0x82, 1, true }, { 0x80, 4, 0x83, 1, true },
        { 0x80, 4, 0x84, 1, false }, { 0x82, 4, 0x80, 1, true },
    };
    uint32_t behind;

    WRITE_CR(4, READ_CR(4) | CR4_DE);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        for (unsigned n = 0; n < 3; n++) {
            arm(2, cases[i].watched, PORTS, cases[i].length);
            if (cases[i].size == 1)
                __asm__ volatile("inb %%dx, %%al; 1: movl $1b, %0" : "=&r"(behind) : "d"((uint32_t)cases[i].port) : "eax");
            else if (cases[i].size == 2)
                __asm__ volatile("outw %%ax, %%dx; 1: movl $1b, %0" : "=&r"(behind) : "d"((uint32_t)cases[i].port), "a"(0));
            else
                __asm__ volatile("outl %%eax, %%dx; 1: movl $1b, %0" : "=&r"(behind) : "d"((uint32_t)cases[i].port), "a"(0));
            disarm();
            if (traps != cases[i].hits || (traps && (trap_eip != behind || (trap_status & 15) != 4))) {
                print("  case "), print_hex(i), print("\n");
                WRITE_CR(4, READ_CR(4) & ~(uint32_t)CR4_DE);
                return false;
            }
        }
    /* By a string, and not without DE. */
    arm(2, 0x80, PORTS, 1);
    __asm__ volatile("cld; outsb" ::"d"(0x80), "S"(bytes) : "cc");
    bool string = traps == 1;
    WRITE_CR(4, READ_CR(4) & ~(uint32_t)CR4_DE);
    traps = 0;
    outb(0x80, 0);
    disarm();
    CHECK(string && traps == 0);
    return true;
}

/* --- instructions -------------------------------------------------------------------- */

extern char watch_code[], watch_code_second[];
__asm__(".text; .globl watch_code; watch_code: incl %eax; .globl watch_code_second; watch_code_second: incl %eax; incl %eax; ret");

static uint32_t run_code(void)
{
    uint32_t count = 0;
    __asm__ volatile("call watch_code" : "+a"(count)::"memory", "cc");
    return count;
}

/* A fault, before the instruction: with RF it goes on, and the next time it comes again. */
static bool instructions(void)
{
    for (unsigned n = 0; n < 500; n++)
        run_code();
    set_flags = FLAG_RF;
    arm(1, (uint32_t)watch_code_second, 0, 1);
    for (unsigned n = 1; n <= 5; n++) {
        CHECK(run_code() == 3);
        CHECK(traps == n && trap_eip == (uint32_t)watch_code_second && (trap_status & 0xe00f) == 2);
    }
    /* Its length must be 1, its address exact. */
    arm(1, (uint32_t)watch_code_second + 1, 0, 1);
    CHECK(run_code() == 3 && traps == 1 && trap_eip == (uint32_t)watch_code_second + 1);
    set_flags = 0;
    disarm();
    CHECK(run_code() == 3 && traps == 1);
    return true;
}

/* RF lasts for one instruction, also one that faults and is repeated. */
static bool resume_flag(void)
{
    arm(0, (uint32_t)watch_code, 0, 1);
    arm(1, (uint32_t)watch_code_second, 0, 1);
    set_flags = FLAG_RF;
    CHECK(run_code() == 3);
    set_flags = 0;
    disarm();
    CHECK(traps == 2 && trap_eip == (uint32_t)watch_code_second);
    return true;
}

/* A repeated string instruction that is interrupted goes on: its breakpoint comes once. The frame has RF, then. */
extern char watch_repeat[];
enum { PIT_COUNT = 1193182 / 2000, ROUNDS_MOST = 2000, INTERRUPTED = 20 };
static volatile unsigned interrupted, without_flag;
static void on_tick(struct frame *f)
{
    if (f->eip == (uint32_t)watch_repeat) {
        interrupted++;
        without_flag += !(f->eflags & FLAG_RF);
    }
    outb(0x20, 0x20);
}

static bool interrupted_repeat(void)
{
    unsigned rounds = 0;

    for (uint32_t page = SCRATCH; page < SCRATCH + SCRATCH_SIZE; page += 4096)
        pages_map(page, page | PTE_P | PTE_W | PTE_U); /* whatever the groups before left there */
    irqs_on();
    trap_set_handler(IRQ_BASE, on_tick);
    outb(0x43, 0x34), outb(0x40, PIT_COUNT & 255), outb(0x40, PIT_COUNT >> 8), outb(0x21, 0xfe);
    set_flags = FLAG_RF;
    interrupted = without_flag = 0;
    arm(0, (uint32_t)watch_repeat, 0, 1);
    while (rounds < ROUNDS_MOST && interrupted < INTERRUPTED) {
        uint32_t edi = SCRATCH, ecx = SCRATCH_SIZE;
        __asm__ volatile("cld; sti; .globl watch_repeat; watch_repeat: rep; stosb; cli" : "+D"(edi), "+c"(ecx) : "a"(rounds) : "memory", "cc");
        rounds++;
        if (traps != rounds || ecx)
            break;
    }
    disarm();
    outb(0x21, 0xff), outb(0x43, 0x30);
    set_flags = 0;
    trap_set_handler(IRQ_BASE, NULL);
    CHECK(traps == rounds && interrupted >= INTERRUPTED && without_flag == 0);
    return true;
}

/* --- single step ------------------------------------------------------------------------ */

static unsigned steps_of(void (*code)(void)) { traps = 0, code(); return traps; }
#define STEPPED(name, code)                                                                                                     \
    static void name(void)                                                                                                      \
    {                                                                                                                           \
        __asm__ volatile("pushfl; orl $0x100, (%%esp); popfl;" code "; pushfl; andl $~0x100, (%%esp); popfl" ::: "eax", "ecx", "edx", "memory", "cc"); \
    }
STEPPED(step_nothing, "")
STEPPED(step_nops, "nop; nop")
STEPPED(step_call, "call 1f; jmp 2f; 1: ret; 2:")
STEPPED(step_loop, "movl $3, %%ecx; 1: loop 1b")
STEPPED(step_sti, "sti; nop; cli; nop")
STEPPED(step_push_ss, "pushl %%ss; popl %%ss; nop")
STEPPED(step_cpuid, "xorl %%eax, %%eax; pushl %%ebx; cpuid; popl %%ebx")
STEPPED(step_out, "outb %%al, $0x80; inb $0x80, %%al")
STEPPED(step_string, "pushl %%edi; cld; xorl %%ecx, %%ecx; rep; stosb; popl %%edi")
STEPPED(step_tasks, "movl %%cr0, %%eax; movl %%eax, %%cr0; clts; movl %%cr3, %%eax; movl %%eax, %%cr3")
STEPPED(step_float, "fld1; fstp %%st(0); emms")

static bool single_steps(void)
{
    static const struct {
        void (*code)(void);
        uint8_t count;
    } cases[] = {
        { step_nops, 2 }, { step_call, 3 }, { step_loop, 4 }, { step_sti, 4 }, { step_push_ss, 2 }, { step_cpuid, 4 }, { step_out, 2 },
        { step_string, 5 }, { step_tasks, 5 }, { step_float, 3 },
    };
    const unsigned none = steps_of(step_nothing);

    CHECK(none == 3); /* PUSHF, AND, POPF */
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        const unsigned count = steps_of(cases[i].code) - none;
        if (count != cases[i].count || !(trap_status & BS) || trap_status & 0xa00f) {
            print("  case "), print_hex(i), print(": "), print_hex(count), print("\n");
            return false;
        }
    }
    return true;
}

/* A data breakpoint in a step: one trap for both. */
static bool step_and_data(void)
{
    unsigned hits = 0, count = 0;

    arm(0, (uint32_t)&bytes[4], WRITES, 1);
    __asm__ volatile("pushfl; orl $0x100, (%%esp); popfl; movb $1, %0; movl %1, %2; pushfl; andl $~0x100, (%%esp); popfl"
                     : "=m"(bytes[4]) : "r"(0), "m"(hits) : "memory", "cc");
    count = traps;
    disarm();
    CHECK(count == 5);
    return true;
}

/* --- the registers themselves -------------------------------------------------------------- */

static void read_dr4(void *unused)
{
    (void)unused;
    __asm__ volatile(".byte 0x0f, 0x21, 0xe0" ::: "eax");
}
static void write_dr3(void *unused)
{
    (void)unused;
    __asm__ volatile("movl %0, %%dr3" ::"r"(0x1234));
}

static bool registers(void)
{
    struct frame f;
    uint32_t value, control;

    __asm__ volatile("movl %1, %%dr6; movl %%dr6, %0" : "=&r"(value) : "r"(0xffffffff));
    CHECK(value == 0xffffefff);
    __asm__ volatile("movl %1, %%dr6; movl %%dr6, %0" : "=&r"(value) : "r"(0));
    CHECK(value == 0xffff0ff0);
    __asm__ volatile("movl %1, %%dr7; movl %%dr7, %0; movl %1, %%dr7" : "=&r"(value) : "r"(0));
    CHECK(value == NONE);
    __asm__ volatile("movl %1, %%dr6; .byte 0x0f, 0x21, 0xe0" : "=a"(value) : "r"(1)); /* DR4 is DR6 */
    CHECK(value == 0xffff0ff1 && !catch_fault(read_dr4, NULL, &f));
    WRITE_CR(4, READ_CR(4) | CR4_DE);
    bool undefined = catch_fault(read_dr4, NULL, &f) && f.vector == UD;
    WRITE_CR(4, READ_CR(4) & ~(uint32_t)CR4_DE);
    CHECK(undefined);
    /* DR7.GD: a fault before the access, which clears GD. */
    trap_set_handler(DB, NULL);
    status_take();
    __asm__ volatile("movl %0, %%dr3; movl %1, %%dr7" ::"r"(0x5678), "r"(NONE | GD));
    bool guarded = catch_fault(write_dr3, NULL, &f);
    __asm__ volatile("movl %%dr7, %0; movl %%dr3, %1" : "=r"(control), "=r"(value));
    trap_set_handler(DB, on_debug);
    CHECK(guarded && f.vector == DB && control == NONE && value == 0x5678 && status_take() & BD);
    return true;
}

static void user_reads_dr(void) { __asm__ volatile("movl %%dr7, %%eax" ::: "eax"); }
static void in_user(void *code) { run_user((void (*)(void))code); }

static bool forbidden(void)
{
    struct frame f;
    CHECK(catch_fault(in_user, user_reads_dr, &f) && f.vector == 13 && f.error == 0);
    return true;
}

static const struct test tests[] = {
    { "data", data, "does not round an address down to the length" }, { "several", several, "does not round an address down to the length" }, { "whole_state", whole_state, "leaves out what is between the values" }, { "settled", settled, NULL }, { "beside_code", beside_code, NULL }, { "ports", ports, "does not round an address down to the length" },
    { "instructions", instructions, NULL }, { "resume_flag", resume_flag, NULL }, { "interrupted_repeat", interrupted_repeat, "lets the breakpoint come again" }, { "single_steps", single_steps, "takes no step behind STI" },
    { "step_and_data", step_and_data, "makes two traps of a step and a breakpoint" }, { "registers", registers, "lets bit 12 of DR6 be set" }, { "forbidden", forbidden, NULL },
    { NULL, NULL, NULL },
};
const struct test_group group_watch = { "watch", tests, prepare };
