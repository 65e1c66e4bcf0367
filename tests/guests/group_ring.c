/* SPDX-License-Identifier: BSD-2-Clause
 * Ring 3: INT and SYSENTER into the kernel and back, what is forbidden there, and
 * that the sensitive unprivileged instructions show the guest's own state. */
#include "guest.h"

static volatile uint32_t seen[8];
static uint32_t entry_cs, entry_esp, entry_ss;

static void on_system_call(struct frame *f)
{
    entry_cs = f->cs;
    entry_esp = f->esp;
    entry_ss = f->ss;
    f->eax = f->eax * 2 + 1;
}

static void user_calls(void)
{
    uint32_t r = 20;
    __asm__ volatile("int $0x80" : "+a"(r)::"memory");
    seen[0] = r;
    for (int i = 0; i < 1000; i++)
        __asm__ volatile("int $0x80" : "+a"(r)::"memory");
    seen[1] = r;
    __asm__ volatile("movl %%cs, %0" : "=r"(r));
    seen[2] = r;
    user_exit();
}

static bool system_call(void)
{
    trap_set_handler(0x80, on_system_call);
    run_user(user_calls);
    CHECK(seen[0] == 41 && seen[2] == SEL_USER_CODE);
    uint32_t r = 41;
    for (int i = 0; i < 1000; i++)
        r = r * 2 + 1;
    CHECK(seen[1] == r);
    CHECK((entry_cs & 3) == 3 && entry_ss == SEL_USER_DATA);
    CHECK(entry_esp > (uint32_t)user_stack && entry_esp <= (uint32_t)user_stack + sizeof user_stack);
    return true;
}

/* --- what ring 3 may not do ---------------------------------------------- */

static void user_cli(void) { __asm__ volatile("cli"); }
static void user_hlt(void) { __asm__ volatile("hlt"); }
static void user_in(void) { inb(0x64); }
static void user_cr0(void) { READ_CR(0); }
static void user_lgdt(void) { __asm__ volatile("lgdt 0x400000"); }
static void user_invlpg(void) { __asm__ volatile("invlpg 0x400000"); }
static void user_clts(void) { __asm__ volatile("clts"); }
static void user_msr(void) { __asm__ volatile("rdmsr" ::"c"(0x174) : "eax", "edx"); }
static void user_int(void) { __asm__ volatile("int $0x20"); }
static void user_load_kernel_ds(void) { __asm__ volatile("movl %0, %%ds" ::"r"(SEL_KERNEL_DATA)); }
static void user_iret_to_kernel(void)
{
    __asm__ volatile("pushl $2; pushl $8; pushl $1f; iretl; 1:" ::: "memory");
}
static void user_ltr(void) { __asm__ volatile("ltr %w0" ::"r"(SEL_TSS)); }

static void in_user(void *code) { run_user((void (*)(void))code); }

static bool forbidden(void)
{
    static const struct {
        void (*code)(void);
        uint32_t error;
    } cases[] = {
        { user_cli, 0 }, { user_hlt, 0 }, { user_in, 0 }, { user_cr0, 0 }, { user_lgdt, 0 }, { user_invlpg, 0 },
        { user_clts, 0 }, { user_msr, 0 }, { user_int, 0x20 * 8 + 2 }, { user_load_kernel_ds, SEL_KERNEL_DATA },
        { user_iret_to_kernel, 8 }, { user_ltr, 0 },
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct frame f;
        CHECK(catch_fault(in_user, cases[i].code, &f));
        CHECK(f.vector == 13 && f.error == cases[i].error);
        CHECK((f.cs & 3) == 3);
    }
    return true;
}

static void user_in_allowed(void)
{
    seen[0] = inb(0x64);
    seen[1] = 1;
    user_exit();
}
static void user_in_neighbour(void) { inb(0x65); }

static bool io_permissions(void)
{
    struct frame f;
    seen[1] = 0;
    gdt_set(SEL_TSS, (uint32_t)&main_tss, sizeof main_tss - 1, 0x89, 0);
    main_tss.io_map = offsetof(struct tss, io_bits);
    memory_set(main_tss.io_bits, 0xff, sizeof main_tss.io_bits);
    main_tss.io_bits[0x64 / 8] &= (uint8_t)~(1 << (0x64 % 8));
    __asm__ volatile("ltr %w0" ::"r"(SEL_TSS));
    bool allowed_faults = catch_fault(in_user, user_in_allowed, &f);
    bool neighbour_faults = catch_fault(in_user, user_in_neighbour, &f);
    main_tss.io_map = sizeof main_tss;
    CHECK(!allowed_faults && seen[1] == 1 && neighbour_faults && f.vector == 13);
    return true;
}

/* --- the guest must not be able to tell ----------------------------------- */

static void user_looks(void)
{
    struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) table;
    uint32_t r = 0;
    seen[0] = eflags_get();
    __asm__ volatile("pushl $0x3202; popfl" ::: "cc"); /* IOPL 3: ignored; IF stays */
    seen[1] = eflags_get();
    __asm__ volatile("sgdt %0" : "=m"(table));
    seen[2] = table.limit;
    __asm__ volatile("sidt %0" : "=m"(table));
    seen[3] = table.limit;
    __asm__ volatile("str %w0" : "+r"(r));
    seen[4] = r;
    __asm__ volatile("smsw %0" : "=r"(r));
    seen[5] = r;
    __asm__ volatile("movl %%ss, %0" : "=r"(r));
    seen[6] = r;
    __asm__ volatile("pushl %%cs; popl %0" : "=r"(r));
    seen[7] = r;
    user_exit();
}

static bool sensitive(void)
{
    run_user(user_looks);
    CHECK((seen[0] & 0x3200) == 0x200 && (seen[1] & 0x3200) == 0x200);
    CHECK(seen[2] == 127 && seen[3] == 2047 && seen[4] == SEL_TSS);
    CHECK((seen[5] & 0xffff) == (READ_CR(0) & 0xffff));
    CHECK((seen[6] & 0xffff) == SEL_USER_DATA && (seen[7] & 0xffff) == SEL_USER_CODE);
    return true;
}

/* --- SYSENTER and SYSEXIT -------------------------------------------------- */

static void wrmsr(uint32_t msr, uint32_t value)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"(value), "d"(0));
}

extern char sysenter_entry[];
__asm__(".text; sysenter_entry: movl %cs, %eax; movl %ss, %ebx; addl $1, sysenter_count; sysexit");
uint32_t sysenter_count;

static void user_sysenter(void)
{
    uint32_t cs = 0, ss = 0, after;
    for (int i = 0; i < 500; i++)
        __asm__ volatile("movl %%esp, %%ecx; movl $1f, %%edx; sysenter; 1:" : "+a"(cs), "+b"(ss)::"ecx", "edx", "memory");
    seen[0] = cs & 0xffff;
    seen[1] = ss & 0xffff;
    __asm__ volatile("movl %%cs, %0" : "=r"(after));
    seen[2] = after & 0xffff;
    user_exit();
}

/* A second entry point, taken after the MSRs changed. */
extern char sysenter_other[];
__asm__(".text; sysenter_other: movl %cs, %eax; movl %ss, %ebx; addl $1000, sysenter_count; sysexit");

static bool sysenter_msrs(void)
{
    static uint8_t stack[512];
    sysenter_count = 0;
    for (unsigned i = 0; i < 6; i++) {
        wrmsr(0x174, SEL_KERNEL_CODE);
        wrmsr(0x175, (uint32_t)(stack + sizeof stack));
        wrmsr(0x176, (uint32_t)(i % 2 ? sysenter_other : sysenter_entry));
        run_user(user_sysenter);
    }
    CHECK(sysenter_count == 3 * 500 + 3 * 500 * 1000);
    return true;
}

static bool sysenter(void)
{
    static uint8_t stack[512];
    wrmsr(0x174, SEL_KERNEL_CODE);
    wrmsr(0x175, (uint32_t)(stack + sizeof stack));
    wrmsr(0x176, (uint32_t)sysenter_entry);
    sysenter_count = 0;
    run_user(user_sysenter);
    CHECK(sysenter_count == 500 && seen[0] == SEL_KERNEL_CODE && seen[1] == SEL_KERNEL_DATA);
    CHECK(seen[2] == SEL_USER_CODE);
    return true;
}

/* A call gate from ring 3 switches stacks and copies its parameters. */
extern char gate_entry[];
__asm__(".text; gate_entry: movl 8(%esp), %eax; addl 12(%esp), %eax; movl %cs, %edx; lret $8");

static void user_gate(void)
{
    uint32_t sum, cs;
    __asm__ volatile("pushl $30; pushl $12; lcall %2, $0" : "=&a"(sum), "=&d"(cs) : "i"(SEL_SPARE2 | 3) : "ecx", "memory");
    seen[0] = sum;
    seen[1] = cs & 0xffff;
    user_exit();
}

static bool call_gate(void)
{
    gdt_set_gate(SEL_SPARE2, SEL_KERNEL_CODE, (uint32_t)gate_entry, 0xec, 2);
    run_user(user_gate);
    CHECK(seen[0] == 42 && seen[1] == SEL_KERNEL_CODE);
    return true;
}

static const struct test tests[] = {
    { "system_call", system_call, NULL }, { "forbidden", forbidden, NULL }, { "io_permissions", io_permissions, NULL },
    { "sensitive", sensitive, NULL }, { "sysenter", sysenter, NULL },
    { "sysenter_msrs", sysenter_msrs, NULL }, { "call_gate", call_gate, NULL }, { NULL, NULL, NULL },
};
const struct test_group group_ring = { "ring", tests, pages_on };
