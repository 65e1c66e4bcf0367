/* SPDX-License-Identifier: BSD-2-Clause
 * The classic sensitive instructions, which ring 3 may execute or half execute: each
 * has to show the guest's own state and to respect the guest's own privilege. */
#include "guest.h"

enum { GP = 13, EFLAGS_IF = 0x200, EFLAGS_IOPL = 0x3000, EFLAGS_DF = 0x400, EFLAGS_ID = 0x200000, ZF = 0x40 };

static volatile uint32_t seen[4];
struct table {
    uint16_t limit;
    uint32_t base;
} __attribute__((packed));
static volatile struct table seen_table;

static void in_user(void *code) { run_user((void (*)(void))code); }

#define IN_USER(name, ...)     \
    static void name(void)     \
    {                          \
        __VA_ARGS__;           \
        user_exit();           \
    }

/* True when the code ended in #GP with that error code, in ring 3. */
static bool refused(void (*code)(void), uint32_t error)
{
    struct frame f;
    return catch_fault(in_user, code, &f) && f.vector == GP && f.error == error && (f.cs & 3) == 3;
}

/* --- what shows system registers -------------------------------------------- */

IN_USER(user_sgdt, __asm__ volatile("sgdt %0" : "=m"(seen_table)))
static bool sgdt(void)
{
    struct table own;
    __asm__ volatile("sgdt %0" : "=m"(own));
    run_user(user_sgdt);
    CHECK(seen_table.limit == own.limit && seen_table.base == own.base && own.limit == 127);
    return true;
}

IN_USER(user_sidt, __asm__ volatile("sidt %0" : "=m"(seen_table)))
static bool sidt(void)
{
    struct table own;
    __asm__ volatile("sidt %0" : "=m"(own));
    run_user(user_sidt);
    CHECK(seen_table.limit == own.limit && seen_table.base == own.base && own.limit == 2047);
    return true;
}

IN_USER(user_sldt, uint32_t r; __asm__ volatile("sldt %0" : "=r"(r)); seen[0] = r & 0xffff)
static bool sldt(void)
{
    static uint64_t table[2];
    run_user(user_sldt);
    CHECK(seen[0] == 0);
    gdt_set(SEL_LDT, (uint32_t)table, sizeof table - 1, 0x82, 0);
    __asm__ volatile("lldt %w0" ::"r"(SEL_LDT));
    run_user(user_sldt);
    __asm__ volatile("lldt %w0" ::"r"(0));
    CHECK(seen[0] == SEL_LDT);
    return true;
}

IN_USER(user_str, uint32_t r; __asm__ volatile("str %0" : "=r"(r)); seen[0] = r & 0xffff)
static bool str(void)
{
    run_user(user_str);
    CHECK(seen[0] == SEL_TSS);
    return true;
}

IN_USER(user_smsw, uint32_t r; __asm__ volatile("smsw %0" : "=r"(r)); seen[0] = r)
static bool smsw(void)
{
    run_user(user_smsw);
    CHECK((seen[0] & 0xffff) == (READ_CR(0) & 0xffff) && seen[0] & 1);
    return true;
}

IN_USER(user_pushf, seen[0] = eflags_get())
static bool pushf(void)
{
    run_user(user_pushf);
    CHECK((seen[0] & (EFLAGS_IF | EFLAGS_IOPL)) == EFLAGS_IF);
    return true;
}

/* Neither IF nor IOPL changes, and nothing faults; the rest does. */
IN_USER(user_popf, uint32_t now = eflags_get();
        __asm__ volatile("pushl %0; popfl" ::"r"((now ^ EFLAGS_ID ^ EFLAGS_IF ^ EFLAGS_IOPL) | EFLAGS_DF) : "cc");
        seen[0] = now; seen[1] = eflags_get(); __asm__ volatile("cld"))
static bool popf(void)
{
    run_user(user_popf);
    CHECK((seen[0] ^ seen[1]) == (EFLAGS_ID | EFLAGS_DF));
    return true;
}

/* --- what asks about descriptors -------------------------------------------- */

#define QUERY(name, code, selector)                                                                                     \
    IN_USER(name, uint32_t r = 0; uint32_t flags;                                                                       \
            __asm__ volatile(code "; pushfl; popl %1" : "+r"(r), "=r"(flags) : "r"((uint32_t)(selector)) : "cc"); \
            seen[0] = r; seen[1] = flags & ZF)
QUERY(lar_user, "larl %2, %0", SEL_USER_CODE)
QUERY(lar_kernel, "larl %2, %0", SEL_KERNEL_CODE)
QUERY(lsl_user, "lsll %2, %0", SEL_USER_DATA)
QUERY(lsl_kernel, "lsll %2, %0", SEL_KERNEL_DATA)
QUERY(verr_user, "verr %w2", SEL_USER_CODE)
QUERY(verr_kernel, "verr %w2", SEL_KERNEL_DATA)
QUERY(verw_user, "verw %w2", SEL_USER_DATA)
QUERY(verw_code, "verw %w2", SEL_USER_CODE)

static bool answers(void (*code)(void), bool zf, uint32_t value)
{
    run_user(code);
    return (seen[1] != 0) == zf && seen[0] == value;
}
static bool lar(void)
{
    run_user(lar_user);
    CHECK(seen[1] && (seen[0] & 0xf0fe00) == 0xc0fa00);
    CHECK(answers(lar_kernel, false, 0));
    return true;
}
static bool lsl(void)
{
    CHECK(answers(lsl_user, true, 0xffffffff) && answers(lsl_kernel, false, 0));
    return true;
}
static bool verr(void)
{
    CHECK(answers(verr_user, true, 0) && answers(verr_kernel, false, 0));
    return true;
}
static bool verw(void)
{
    CHECK(answers(verw_user, true, 0) && answers(verw_code, false, 0));
    return true;
}

/* --- what moves selectors ----------------------------------------------------- */

IN_USER(user_mov, uint32_t cs; uint32_t ss; __asm__ volatile("movl %%cs, %0; movl %%ss, %1" : "=r"(cs), "=r"(ss)); seen[0] = cs; seen[1] = ss)
IN_USER(user_mov_kernel, __asm__ volatile("movl %0, %%es" ::"r"(SEL_KERNEL_DATA)))
static bool mov_segment(void)
{
    run_user(user_mov);
    CHECK((uint16_t)seen[0] == SEL_USER_CODE && (uint16_t)seen[1] == SEL_USER_DATA);
    CHECK(refused(user_mov_kernel, SEL_KERNEL_DATA));
    return true;
}

IN_USER(user_push, uint32_t cs; uint32_t ss; __asm__ volatile("pushl %%cs; popl %0; pushl %%ss; popl %1" : "=r"(cs), "=r"(ss)); seen[0] = cs; seen[1] = ss)
static bool push_segment(void)
{
    run_user(user_push);
    CHECK((uint16_t)seen[0] == SEL_USER_CODE && (uint16_t)seen[1] == SEL_USER_DATA);
    return true;
}

IN_USER(user_pop, uint32_t r; __asm__ volatile("pushl %1; popl %%fs; movl %%fs, %0; pushl $0; popl %%fs" : "=r"(r) : "i"(SEL_USER_DATA)); seen[0] = r)
IN_USER(user_pop_kernel, __asm__ volatile("pushl %0; popl %%fs" ::"i"(SEL_KERNEL_DATA)))
static bool pop_segment(void)
{
    run_user(user_pop);
    CHECK((uint16_t)seen[0] == SEL_USER_DATA && refused(user_pop_kernel, SEL_KERNEL_DATA));
    return true;
}

/* --- what transfers control ---------------------------------------------------- */

IN_USER(user_call, uint32_t r; __asm__ volatile("lcall %1, $1f; jmp 2f; 1: movl %%cs, %0; lret; 2:" : "=r"(r) : "i"(SEL_USER_CODE) : "memory"); seen[0] = r)
IN_USER(user_call_kernel, __asm__ volatile("lcall %0, $0" ::"i"(SEL_KERNEL_CODE)))
static bool call_far(void)
{
    run_user(user_call);
    CHECK((uint16_t)seen[0] == SEL_USER_CODE && refused(user_call_kernel, SEL_KERNEL_CODE));
    return true;
}

IN_USER(user_jmp, uint32_t r; __asm__ volatile("ljmp %1, $1f; 1: movl %%cs, %0" : "=r"(r) : "i"(SEL_USER_CODE)); seen[0] = r)
IN_USER(user_jmp_kernel, __asm__ volatile("ljmp %0, $1f; 1:" ::"i"(SEL_KERNEL_CODE)))
static bool jmp_far(void)
{
    run_user(user_jmp);
    CHECK((uint16_t)seen[0] == SEL_USER_CODE && refused(user_jmp_kernel, SEL_KERNEL_CODE));
    return true;
}

IN_USER(user_ret, uint32_t r; __asm__ volatile("pushl %1; pushl $1f; lret; 1: movl %%cs, %0" : "=r"(r) : "i"(SEL_USER_CODE)); seen[0] = r)
IN_USER(user_ret_kernel, __asm__ volatile("pushl %0; pushl $1f; lret; 1:" ::"i"(SEL_KERNEL_CODE)))
static bool ret_far(void)
{
    run_user(user_ret);
    CHECK((uint16_t)seen[0] == SEL_USER_CODE && refused(user_ret_kernel, SEL_KERNEL_CODE));
    return true;
}

IN_USER(user_iret, uint32_t before = eflags_get();
        __asm__ volatile("pushl %0; pushl %1; pushl $1f; iretl; 1:" ::"r"(before ^ EFLAGS_IF ^ EFLAGS_IOPL), "i"(SEL_USER_CODE) : "cc");
        seen[0] = before; seen[1] = eflags_get())
static bool iret(void)
{
    run_user(user_iret);
    CHECK(((seen[0] ^ seen[1]) & (EFLAGS_IF | EFLAGS_IOPL)) == 0);
    return true;
}

static void on_call(struct frame *f) { f->eax = f->cs; }
IN_USER(user_int, uint32_t r = 0; __asm__ volatile("int $0x80" : "+a"(r)); seen[0] = r)
IN_USER(user_int_closed, __asm__ volatile("int $0x20"))
static bool int_n(void)
{
    trap_set_handler(0x80, on_call);
    run_user(user_int);
    trap_set_handler(0x80, NULL);
    CHECK((uint16_t)seen[0] == SEL_USER_CODE && refused(user_int_closed, 0x20 * 8 + 2));
    return true;
}

#define TEST(name) { #name, name, NULL }
static const struct test tests[] = {
    TEST(sgdt), TEST(sidt), TEST(sldt), TEST(str), TEST(smsw), TEST(pushf), TEST(popf), TEST(lar), TEST(lsl), TEST(verr),
    TEST(verw), TEST(mov_segment), TEST(push_segment), TEST(pop_segment), TEST(call_far), TEST(jmp_far), TEST(ret_far),
    TEST(iret), TEST(int_n), { NULL, NULL, NULL },
};
const struct test_group group_sensitive = { "sensitive", tests, pages_on };
