/* SPDX-License-Identifier: BSD-2-Clause
 * Hardware tasks: nested ones with their back links and busy bits, task gates in interrupts
 * from ring 3, 16-bit tasks, the debug trap bit; and the edges of the I/O permission bitmap. */
#include "guest.h"

enum { GP = 13, TS = 10, DB = 1, VECTOR = 0x91, TSS3 = 0x50, TSS16 = 0x58, OTHER_LDT = 0x60, OTHER_CODE = 0x68, FLAG_NT = 0x4000,
       BUSY = 2, DR6_BT = 0x8000 };

static struct tss third_tss;
static uint8_t stack2[2048], stack3[2048];

static void prepare(void)
{
    pages_on();
    main_tss.cr3 = READ_CR(3);
}

static void fill(struct tss *tss, const void *eip, uint8_t *stack, uint16_t selector)
{
    memory_set(tss, 0, sizeof *tss);
    tss->eip = (uint32_t)eip;
    tss->esp = (uint32_t)stack + sizeof stack2;
    tss->eflags = 2;
    tss->cs = SEL_KERNEL_CODE;
    tss->ds = tss->es = tss->ss = tss->fs = tss->gs = SEL_KERNEL_DATA;
    tss->cr3 = READ_CR(3);
    tss->io_map = sizeof *tss;
    tss->ss0 = SEL_KERNEL_DATA;
    tss->esp0 = main_tss.esp0;
    gdt_set(selector, (uint32_t)tss, sizeof *tss - 1, 0x89, 0);
}

static uint32_t access_of(uint16_t selector)
{
    uint32_t rights = 0;
    __asm__ volatile("larl %1, %0" : "+r"(rights) : "r"((uint32_t)selector) : "cc");
    return rights >> 8 & 0xff;
}

/* --- nested ------------------------------------------------------------------- */

uint32_t tasks_log[32], tasks_count;
extern char tasks_outer[], tasks_inner[], tasks_busy[], tasks_busy_end[];
#define LOG(what) "movl tasks_count, %eax; movl " what ", %edx; movl %edx, tasks_log(,%eax,4); incl tasks_count;"
__asm__(".text; .globl tasks_outer; tasks_outer: 1: str %ecx;" LOG("%ecx") "pushfl; popl %ecx;" LOG("%ecx")
        "lcall $0x50, $0xdead;" "str %ecx;" LOG("%ecx") "pushfl; popl %ecx;" LOG("%ecx") LOG("%ebx") "iretl; jmp 1b;"
        ".globl tasks_inner; tasks_inner: 1: movl $0xb0b, %ebx; str %ecx;" LOG("%ecx") "pushfl; popl %ecx;" LOG("%ecx")
        ".globl tasks_busy; tasks_busy: ljmp $0x30, $0; .globl tasks_busy_end; tasks_busy_end: iretl; jmp 1b");

static struct frame fault_seen;
static void skip_busy(struct frame *f)
{
    fault_seen = *f;
    f->eip = (uint32_t)tasks_busy_end;
    tasks_log[20] = access_of(SEL_TSS), tasks_log[21] = access_of(SEL_TSS2), tasks_log[22] = access_of(TSS3);
}

static bool nested(void)
{
    for (unsigned round = 0; round < 3; round++) {
        uint32_t ebx = 0x600d, *l = tasks_log;

        if (round == 0) {
            fill(&second_tss, tasks_outer, stack2, SEL_TSS2);
            fill(&third_tss, tasks_inner, stack3, TSS3);
            second_tss.ebx = 0x5a5a;
        }
        tasks_count = 0;
        trap_set_handler(GP, skip_busy);
        __asm__ volatile("lcall %1, $0" : "+b"(ebx) : "i"(SEL_TSS2) : "memory", "cc");
        trap_set_handler(GP, NULL);
        CHECK(ebx == 0x600d && !(eflags_get() & FLAG_NT) && READ_CR(0) & CR0_TS);
        __asm__ volatile("clts");
        CHECK(tasks_count == 7);
        CHECK(l[0] == SEL_TSS2 && l[1] & FLAG_NT && l[2] == TSS3 && l[3] & FLAG_NT && l[4] == SEL_TSS2 && l[5] & FLAG_NT && l[6] == 0x5a5a);
        CHECK(fault_seen.error == SEL_TSS2 && fault_seen.eip == (uint32_t)tasks_busy); /* a busy task is not jumped to */
        CHECK(l[20] & BUSY && l[21] & BUSY && l[22] & BUSY);
        CHECK((uint16_t)second_tss.link == SEL_TSS && (uint16_t)third_tss.link == SEL_TSS2);
        CHECK(access_of(SEL_TSS) & BUSY && !(access_of(SEL_TSS2) & BUSY) && !(access_of(TSS3) & BUSY));
        CHECK(third_tss.ebx == 0xb0b && third_tss.eip == (uint32_t)tasks_busy_end + 1 && !(third_tss.eflags & FLAG_NT));
    }
    return true;
}

static void iret_nested(void *link)
{
    main_tss.link = (uint32_t)link;
    __asm__ volatile("pushfl; orl $0x4000, (%%esp); popfl; iretl" ::: "memory", "cc");
}

/* The back link must lead to a busy task. */
static bool bad_links(void)
{
    static const uint16_t links[] = { 0, SEL_TSS2, SEL_KERNEL_CODE, SEL_TSS2 | 4, 0xfff8 };
    struct frame f;

    fill(&second_tss, tasks_outer, stack2, SEL_TSS2);
    for (unsigned i = 0; i < sizeof links / sizeof *links; i++) {
        CHECK(catch_fault(iret_nested, (void *)(uint32_t)links[i], &f));
        CHECK(f.vector == TS && f.error == links[i] && f.eflags & FLAG_NT);
        CHECK(access_of(SEL_TSS) & BUSY);
    }
    main_tss.link = 0;
    return true;
}

/* --- task gates -------------------------------------------------------------------- */

extern char tasks_handler[], tasks_error_handler[];
__asm__(".text; .globl tasks_handler; tasks_handler: 1: movw %cs, tasks_log+40; str %ecx; movl %ecx, tasks_log+44; movl %esp, tasks_log+48; incl tasks_log+52; iretl; jmp 1b;"
        ".globl tasks_error_handler; tasks_error_handler: 1: popl tasks_log+56; movl %esp, tasks_log+60; incl tasks_log+52; addl $2, main_tss+0x20; iretl; jmp 1b");

static volatile uint32_t user_kept, user_segments;
static void user_interrupts(void)
{
    uint32_t kept = 0x1234abcd, ds;
    __asm__ volatile("int $0x91; int $0x91" : "+b"(kept)::"memory");
    __asm__ volatile("movl %%ds, %0" : "=r"(ds));
    user_kept = kept;
    user_segments = ds;
    user_exit();
}
static void user_null_selector(void)
{
    __asm__ volatile("movl $0x38, %%eax; movl %%eax, %%es; movl %%eax, %%ebx" ::: "eax", "ebx", "memory");
    user_exit();
}

static bool gates_from_user(void)
{
    fill(&second_tss, tasks_handler, stack2, SEL_TSS2);
    tasks_log[13] = 0;
    trap_set_gate_to(VECTOR, SEL_TSS2, 0, 0xe5);
    run_user(user_interrupts);
    trap_set_gate(VECTOR, NULL, 3, false);
    CHECK(tasks_log[13] == 2 && (uint16_t)tasks_log[10] == SEL_KERNEL_CODE && tasks_log[11] == SEL_TSS2);
    CHECK(tasks_log[12] == (uint32_t)stack2 + sizeof stack2 && user_kept == 0x1234abcd && (uint16_t)user_segments == SEL_USER_DATA);
    CHECK(main_tss.ss == SEL_USER_DATA && main_tss.cs == SEL_USER_CODE && main_tss.eflags & 0x200 && !(eflags_get() & FLAG_NT));
    /* A fault with an error code: on the new task's stack, and the old EIP is the instruction's. */
    gdt_set(SEL_SPARE, 0, 0xfffff, 0x72, 0xc); /* not present: #NP */
    fill(&second_tss, tasks_error_handler, stack2, SEL_TSS2);
    trap_set_gate_to(11, SEL_TSS2, 0, 0x85);
    run_user(user_null_selector);
    trap_set_gate(11, NULL, 0, false);
    __asm__ volatile("clts");
    CHECK(tasks_log[13] == 3 && tasks_log[14] == SEL_SPARE && tasks_log[15] == (uint32_t)stack2 + sizeof stack2);
    return true;
}

/* --- the T bit, and what else a switch changes ----------------------------------------- */

static uint32_t trap_eip, trap_status, trap_control, trap_tr;
static unsigned trap_count;
static void on_debug(struct frame *f)
{
    trap_count++;
    trap_eip = f->eip;
    __asm__ volatile("movl %%dr6, %0; movl %%dr7, %1; str %2" : "=r"(trap_status), "=r"(trap_control), "=r"(trap_tr));
    __asm__ volatile("movl %0, %%dr6" ::"r"(0));
}

static bool debug_bit(void)
{
    uint32_t control = 0x4ff & ~0xaau; /* all local breakpoints, G bits clear */

    fill(&second_tss, tasks_handler, stack2, SEL_TSS2);
    second_tss.trap = 1;
    trap_count = 0;
    trap_set_handler(DB, on_debug);
    __asm__ volatile("movl %0, %%dr6; movl %1, %%dr0; movl %1, %%dr1; movl %1, %%dr2; movl %1, %%dr3; movl %2, %%dr7"
                     ::"r"(0), "r"(0xfffffff0), "r"(control));
    __asm__ volatile("lcall %0, $0; clts" ::"i"(SEL_TSS2) : "memory", "cc");
    trap_set_handler(DB, NULL);
    __asm__ volatile("movl %0, %%dr7" ::"r"(0x400));
    CHECK(trap_count == 1 && trap_eip == (uint32_t)tasks_handler && trap_status & DR6_BT && trap_tr == SEL_TSS2);
    CHECK((trap_control & 0xff) == 0); /* local breakpoints belong to a task */
    return true;
}

/* What is armed for the task alone is so no more in another, nor when that has gone back; what is armed for all is. */
uint32_t tasks_words[2];
extern char tasks_stores[];
__asm__(".text; .globl tasks_stores; tasks_stores: 1: movl $1, tasks_words; movl $1, tasks_words+4; iretl; jmp 1b");

static bool local_breakpoints(void)
{
    const uint32_t control = 0x400 | 1 | 8 | 0xddu << 16; /* L0 and G1, writes of four bytes */

    trap_set_handler(DB, on_debug);
    for (unsigned n = 0; n < 5; n++) {
        fill(&second_tss, tasks_stores, stack2, SEL_TSS2);
        trap_count = 0;
        __asm__ volatile("movl %0, %%dr6; movl %1, %%dr0; movl %2, %%dr1; movl %3, %%dr7"
                         ::"r"(0), "r"(&tasks_words[0]), "r"(&tasks_words[1]), "r"(control));
        __asm__ volatile("movl $2, tasks_words; movl $2, tasks_words+4" ::: "memory");
        CHECK(trap_count == 2);
        __asm__ volatile("lcall %0, $0; clts" ::"i"(SEL_TSS2) : "memory", "cc");
        CHECK(trap_count == 3 && trap_tr == SEL_TSS2 && trap_status & 2); /* the other may be named, too */
        __asm__ volatile("movl $3, tasks_words; movl $3, tasks_words+4" ::: "memory");
        CHECK(trap_count == 4 && (trap_control & 0xff) == 8);
        __asm__ volatile("movl %0, %%dr7" ::"r"(0x400));
        /* The same of an instruction: without L0 the task's own code is run freely. */
        __asm__ volatile("movl %0, %%dr0; movl %1, %%dr7" ::"r"(tasks_stores), "r"(0x401));
        fill(&second_tss, tasks_stores, stack2, SEL_TSS2);
        __asm__ volatile("lcall %0, $0; clts; movl %1, %%dr7" ::"i"(SEL_TSS2), "r"(0x400) : "memory", "cc");
        CHECK(trap_count == 4 && tasks_words[0] == 1);
    }
    trap_set_handler(DB, NULL);
    return true;
}

/* A task goes on behind a breakpoint at its EIP when its RF says so, and only then. */
static void on_breakpoint(struct frame *f)
{
    trap_count++;
    trap_eip = f->eip;
    f->eflags |= 0x10000;
}

static bool resumes(void)
{
    trap_set_handler(DB, on_breakpoint);
    for (unsigned n = 0; n < 6; n++) {
        fill(&second_tss, tasks_stores, stack2, SEL_TSS2);
        second_tss.eflags = n % 2 ? 0x10002 : 2;
        trap_count = tasks_words[0] = 0;
        __asm__ volatile("movl %0, %%dr0; movl %1, %%dr7" ::"r"(tasks_stores), "r"(0x402));
        __asm__ volatile("lcall %0, $0; clts; movl %1, %%dr7" ::"i"(SEL_TSS2), "r"(0x400) : "memory", "cc");
        CHECK(trap_count == (n % 2 ? 0 : 1) && tasks_words[0] == 1 && !(second_tss.eflags & 0x10000));
    }
    trap_set_handler(DB, NULL);
    return true;
}

/* --- 16-bit tasks ------------------------------------------------------------------------ */

static uint16_t narrow[22];
enum { N_IP = 7, N_FLAGS, N_AX, N_SP = N_AX + 4, N_ES = 17, N_CS, N_SS, N_DS, N_LDT };
extern char tasks_narrow[];
__asm__(".text; .globl tasks_narrow; tasks_narrow: movl %ebx, tasks_log; movl %esp, tasks_log+4; movw %fs, tasks_log+8; movw %gs, tasks_log+10; movl %cr3, %eax;"
        "movl %eax, tasks_log+12; incl tasks_log+16; movl $0xcafe1234, %ebx; iretl");

static bool sixteen_bits(void)
{
    uint32_t ebx = 0x77778888;

    memory_set(narrow, 0, sizeof narrow);
    narrow[N_FLAGS] = 2;
    narrow[N_AX + 3] = 0xbbbb;
    narrow[N_SP] = sizeof stack2;
    narrow[N_CS] = OTHER_CODE;
    narrow[N_SS] = SEL_SPARE2;
    narrow[N_DS] = narrow[N_ES] = SEL_KERNEL_DATA;
    gdt_set(TSS16, (uint32_t)narrow, sizeof narrow - 1, 0x81, 0);
    gdt_set(OTHER_CODE, (uint32_t)tasks_narrow, 0xffff, 0x9a, 0x4);
    gdt_set(SEL_SPARE2, (uint32_t)stack2, 0xffff, 0x92, 0x0);
    tasks_log[2] = tasks_log[4] = 0;
    __asm__ volatile("lcall %1, $0; clts" : "+b"(ebx) : "i"(TSS16) : "memory", "cc");
    CHECK(ebx == 0x77778888 && tasks_log[4] == 1 && (uint16_t)tasks_log[0] == 0xbbbb && (uint16_t)tasks_log[1] == sizeof stack2);
    CHECK(tasks_log[2] == 0 && tasks_log[3] == READ_CR(3)); /* FS and GS are none, CR3 stays */
    CHECK(narrow[0] == SEL_TSS && narrow[N_AX + 3] == 0x1234 && narrow[N_CS] == OTHER_CODE && narrow[N_SS] == SEL_SPARE2);
    gdt_set(TSS16, (uint32_t)narrow, sizeof narrow - 2, 0x81, 0); /* one byte short */
    return true;
}

static void call_narrow(void *unused)
{
    (void)unused;
    __asm__ volatile("lcall %0, $0" ::"i"(TSS16) : "memory");
}
static void call_wide(void *unused)
{
    (void)unused;
    __asm__ volatile("lcall %0, $0" ::"i"(SEL_TSS2) : "memory");
}

static bool short_segments(void)
{
    struct frame f;

    CHECK(catch_fault(call_narrow, NULL, &f) && f.vector == TS && f.error == TSS16);
    gdt_set(SEL_TSS2, (uint32_t)&second_tss, 102, 0x89, 0);
    CHECK(catch_fault(call_wide, NULL, &f) && f.vector == TS && f.error == SEL_TSS2);
    CHECK(!(access_of(SEL_TSS2) & BUSY) && access_of(SEL_TSS) & BUSY);
    return true;
}

/* --- the I/O permission bitmap --------------------------------------------------------------- */

uint32_t tasks_port, tasks_size, tasks_passed;
static void user_port(void)
{
    if (tasks_size == 1)
        __asm__ volatile("inb %%dx, %%al" ::"d"(tasks_port) : "eax");
    else if (tasks_size == 2)
        __asm__ volatile("inw %%dx, %%ax" ::"d"(tasks_port) : "eax");
    else
        __asm__ volatile("inl %%dx, %%eax" ::"d"(tasks_port) : "eax");
    tasks_passed = 1;
    user_exit();
}
static void in_user(void *code) { run_user((void (*)(void))code); }

enum { MAP = 0x80, MAP_END = MAP + 0x2000 };

static bool port_bitmap(void)
{
    static const struct {
        uint32_t limit;
        uint16_t map, port;
        uint8_t size;
        bool allowed;
    } cases[] = {
        { MAP_END, MAP, 0x80, 1, true }, { MAP_END, MAP, 0x83, 1, true }, { MAP_END, MAP, 0x80, 4, true },
        { MAP_END, MAP, 0x84, 1, false }, { MAP_END, MAP, 0x83, 2, false }, { MAP_END, MAP, 0x81, 4, false },
        { MAP_END, MAP, 0x97, 2, true }, { MAP_END, MAP, 0x95, 4, true },   /* across bytes of the map */
        { MAP_END, MAP, 0x96, 4, false },                                         /* its last bit is in the next */
        { MAP_END, MAP, 0xffff, 1, true },                                        /* the last byte, and the one behind it */
        { MAP_END - 1, MAP, 0xffff, 1, false },                                   /* ... which must be there */
        { MAP + 0x11, MAP, 0x80, 1, true }, { MAP + 0x10, MAP, 0x80, 1, false }, { MAP + 0xf, MAP, 0x80, 1, false },
        { MAP_END, 0xffff, 0x80, 1, false }, { MAP_END, MAP + 1, 0x78, 4, true }, /* any address will do */
        { 103, 103, 0, 1, false },
    };
    struct tss *tss = (struct tss *)(SCRATCH + 0xf80); /* the map crosses pages */
    struct frame f;
    uint8_t *bytes = (uint8_t *)tss;

    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        memory_set(bytes, 0xff, MAP_END + 1);
        memory_set(bytes, 0, sizeof *tss - sizeof tss->io_bits);
        tss->ss0 = SEL_KERNEL_DATA, tss->esp0 = main_tss.esp0;
        tss->io_map = cases[i].map;
        bytes[MAP + 0x80 / 8] = 0xf0;      /* 80 to 83 */
        bytes[MAP + 0x90 / 8] = 0x1f;      /* 95 to 97 */
        bytes[MAP + 0x98 / 8] = 0xfe;      /* 98 */
        bytes[MAP + 0xffff / 8] = 0x7f;    /* ffff */
        gdt_set(TSS3, (uint32_t)tss, cases[i].limit, 0x89, 0);
        __asm__ volatile("ltr %w0" ::"r"(TSS3));
        tasks_port = cases[i].port, tasks_size = cases[i].size, tasks_passed = 0;
        bool faulted = catch_fault(in_user, user_port, &f);
        gdt_set(SEL_TSS, (uint32_t)&main_tss, sizeof main_tss - 1, 0x89, 0);
        __asm__ volatile("ltr %w0" ::"r"(SEL_TSS));
        if (faulted == cases[i].allowed || tasks_passed != cases[i].allowed || (faulted && (f.vector != GP || f.error != 0))) {
            print("  case "), print_hex(i), print("\n");
            return false;
        }
    }
    return true;
}

static const struct test tests[] = {
    { "nested", nested, NULL }, { "bad_links", bad_links, NULL }, { "gates_from_user", gates_from_user, NULL },
    { "debug_bit", debug_bit, "looks at no T bit" }, { "resumes", resumes, "keeps RF or not as its blocks end" }, { "local_breakpoints", local_breakpoints, NULL }, { "sixteen_bits", sixteen_bits, NULL }, { "short_segments", short_segments, NULL },
    { "port_bitmap", port_bitmap, NULL }, { NULL, NULL, NULL },
};
const struct test_group group_tasks = { "tasks", tests, prepare };
