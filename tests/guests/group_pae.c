/* SPDX-License-Identifier: BSD-2-Clause
 * PAE: three levels, 2 MiB pages, NX, reserved bits of each level and what they report, and
 * the four top entries, which MOV CR3 loads (and refuses) and memory no longer changes. */
#include "guest.h"

enum { CR4_PAE = 0x20, EFER = 0xc0000080, NXE = 0x800, PF = 14, GP = 13, V = 0x40000000, W2 = 0x40200000,
       P1 = SCRATCH + 0x200000, P2 = SCRATCH + 0x201000 };
#define NX (1ull << 63)
#define ALL (PTE_P | PTE_W | PTE_U)

static uint64_t pointers[4] __attribute__((aligned(32))), directories[2][512] __attribute__((aligned(4096))),
    table[512] __attribute__((aligned(4096)));
static uint32_t legacy_cr3;

static void efer(uint32_t value) { __asm__ volatile("wrmsr" ::"c"(EFER), "a"(value), "d"(0)); }
static uint32_t efer_read(void)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(EFER));
    return low;
}

/* From ordinary page tables, and back: paging is off between. */
static void enter(void)
{
    pages_on();
    legacy_cr3 = READ_CR(3);
    for (unsigned i = 0; i < 512; i++) {
        directories[0][i] = i < 8 ? (uint64_t)i << 21 | ALL | PTE_PS : 0;
        directories[1][i] = table[i] = 0;
    }
    directories[1][0] = (uint32_t)table | ALL;
    pointers[0] = (uint32_t)directories[0] | PTE_P;
    pointers[1] = (uint32_t)directories[1] | PTE_P;
    pointers[2] = pointers[3] = 0;
    WRITE_CR(0, READ_CR(0) & ~0x80000000u);
    WRITE_CR(4, READ_CR(4) | CR4_PAE);
    WRITE_CR(3, pointers);
    WRITE_CR(0, READ_CR(0) | 0x80000000u);
    efer(NXE);
}

static void leave(void)
{
    efer(0);
    WRITE_CR(0, READ_CR(0) & ~0x80000000u);
    WRITE_CR(4, READ_CR(4) & ~(uint32_t)CR4_PAE);
    WRITE_CR(3, legacy_cr3);
    WRITE_CR(0, READ_CR(0) | 0x80000000u);
}

static void map(uint32_t at, uint64_t entry)
{
    table[at >> 12 & 511] = entry;
    invlpg(at);
}

static void read4(void *at) { __asm__ volatile("movl (%0), %%eax" ::"r"(at) : "eax"); }
static void write4(void *at) { __asm__ volatile("movl $1, (%0)" ::"r"(at) : "memory"); }
static void execute(void *at) { __asm__ volatile("call *%0" ::"r"(at) : "eax", "memory"); }

static void *user_at;
static void user_reads(void) { read4(user_at), user_exit(); }
static void user_executes(void) { execute(user_at), user_exit(); }
static void in_user(void *code) { run_user((void (*)(void))code); }

static bool faults(void (*body)(void *), void *argument, uint32_t error, uint32_t address)
{
    struct frame f;
    CHECK(catch_fault(body, argument, &f));
    CHECK(f.vector == PF && f.error == error && caught_cr2 == address);
    return true;
}

static bool fine(void (*body)(void *), void *argument)
{
    struct frame f;
    return !catch_fault(body, argument, &f);
}

static bool no_execute(void)
{
    *(volatile uint8_t *)P1 = 0xc3; /* ret */
    for (unsigned n = 0; n < 3; n++) {
        map(V, P1 | ALL);
        CHECK(fine(execute, (void *)V));
        map(V, P1 | ALL | NX);
        CHECK(fine(read4, (void *)V) && *(volatile uint8_t *)V == 0xc3);
        CHECK(faults(execute, (void *)V, 0x11, V));
        user_at = (void *)V;
        CHECK(fine(in_user, user_reads) && faults(in_user, user_executes, 0x15, V));
        map(V, 0);
        CHECK(faults(execute, (void *)V, 0x10, V));
        /* NX of the directory's entry is that of all below it. */
        map(V, P1 | ALL);
        directories[1][0] |= NX;
        WRITE_CR(3, pointers);
        CHECK(faults(execute, (void *)V, 0x11, V) && fine(read4, (void *)V));
        directories[1][0] &= ~NX;
        WRITE_CR(3, pointers);
        CHECK(fine(execute, (void *)V));
    }
    return true;
}

/* Without EFER.NXE the bit is a reserved one, and fetches are not told apart. */
static bool no_execute_off(void)
{
    map(V, P1 | ALL | NX);
    efer(0);
    WRITE_CR(3, pointers);
    bool right = efer_read() == 0 && faults(read4, (void *)V, 9, V) && faults(execute, (void *)V, 9, V);
    map(V, 0);
    right = right && faults(execute, (void *)V, 0, V);
    efer(NXE);
    CHECK(right);
    return true;
}

/* Bits of physical addresses that CPUID says there are not, and those of large pages. */
static bool reserved(void)
{
    uint32_t size = 0x80000008, b, c, d;
    __asm__ volatile("cpuid" : "+a"(size), "=b"(b), "=c"(c), "=d"(d));

    for (unsigned bit = size & 0xff; bit < 52; bit++) {
        map(V, P1 | ALL | 1ull << bit);
        CHECK(faults(read4, (void *)V, 9, V) && faults(write4, (void *)V, 11, V));
    }
    map(V, P1 | ALL);
    CHECK(fine(write4, (void *)V));
    for (unsigned bit = 13; bit <= 20; bit++) {
        directories[1][1] = P1 | ALL | PTE_PS | 1ull << bit;
        invlpg(W2);
        CHECK(faults(read4, (void *)W2, 9, W2));
    }
    directories[1][1] = P1 | ALL | PTE_PS;
    invlpg(W2);
    CHECK(fine(write4, (void *)(W2 + 0x1ffffc)));
    directories[1][1] = P1 | ALL | PTE_PS | 0x1000;
    invlpg(W2);
    CHECK(pages_have_pat() ? fine(read4, (void *)W2) : faults(read4, (void *)W2, 9, W2));
    map(V, P1 | ALL | 0x80);
    CHECK(pages_have_pat() ? fine(read4, (void *)V) : faults(read4, (void *)V, 9, V));
    /* ... no fault where there is no page, whatever else is set */
    map(V, (P1 | ALL | 1ull << 50) & ~1ull);
    CHECK(faults(read4, (void *)V, 0, V));
    map(V, P1 | ALL);
    return true;
}

static void load_cr3(void *unused)
{
    (void)unused;
    WRITE_CR(3, pointers);
}
static void set_pge(void *unused)
{
    (void)unused;
    WRITE_CR(4, READ_CR(4) ^ 0x80);
}

/* MOV CR3 refuses a present top entry with a reserved bit, and changes nothing then. */
static bool top_refused(void)
{
    static const uint64_t bits[] = { PTE_W, PTE_U, PTE_A, PTE_D, PTE_PS, PTE_G, NX, 1ull << 51 };
    struct frame f;

    *(volatile uint32_t *)P1 = 77;
    map(V, P1 | ALL);
    for (unsigned i = 0; i < sizeof bits / sizeof *bits; i++) {
        pointers[2] = (uint32_t)directories[1] | PTE_P | bits[i];
        CHECK(catch_fault(load_cr3, NULL, &f) && f.vector == GP && f.error == 0);
        CHECK(catch_fault(set_pge, NULL, &f) && f.vector == GP && f.error == 0);
        CHECK(READ_CR(3) == (uint32_t)pointers && *(volatile uint32_t *)V == 77);
        pointers[2] &= ~1ull; /* not present: no bit counts */
        CHECK(fine(load_cr3, NULL));
        pointers[2] = 0;
    }
    pointers[2] = (uint32_t)directories[1] | PTE_P | 0xe00; /* free for software, and 3, 4 for caches */
    CHECK(fine(load_cr3, NULL));
    return true;
}

/* What is written to a top entry counts from the next load of CR3 on. */
static bool top_loaded(void)
{
    map(V, P1 | ALL); /* and 80000000 */
    for (unsigned n = 0; n < 3; n++) {
        pointers[2] = 0;
        WRITE_CR(3, pointers);
        pointers[2] = (uint32_t)directories[1] | PTE_P;
        invlpg(0x80000000);
        CHECK(faults(read4, (void *)0x80000000, 0, 0x80000000));
        WRITE_CR(3, pointers);
        CHECK(fine(read4, (void *)0x80000000));
        pointers[2] = 0;
        invlpg(0x80000000);
        invlpg(0x80000004);
        CHECK(fine(read4, (void *)0x80000004));
        WRITE_CR(3, pointers);
        CHECK(faults(read4, (void *)0x80000000, 0, 0x80000000));
    }
    return true;
}

static bool accessed_dirty(void)
{
    map(V, P1 | ALL);
    directories[1][0] &= ~(uint64_t)PTE_A;
    WRITE_CR(3, pointers);
    CHECK(fine(read4, (void *)V) && (table[0] & (PTE_A | PTE_D)) == PTE_A && directories[1][0] & PTE_A);
    CHECK(fine(write4, (void *)V) && table[0] & PTE_D && !(pointers[1] & (PTE_A | PTE_D)));
    directories[1][1] = P1 | ALL | PTE_PS;
    invlpg(W2);
    CHECK(fine(write4, (void *)(W2 + 0x1000)) && (directories[1][1] & (PTE_A | PTE_D)) == (PTE_A | PTE_D));
    CHECK(*(volatile uint32_t *)P2 == 1);
    return true;
}

/* Each test between the two ways of paging. */
#define IN_PAE(name) static bool name##_pae(void) { enter(); bool right = name(); leave(); return right; }
IN_PAE(no_execute) IN_PAE(no_execute_off) IN_PAE(reserved) IN_PAE(top_refused) IN_PAE(top_loaded) IN_PAE(accessed_dirty)

static const struct test tests[] = {
    { "no_execute", no_execute_pae, NULL }, { "no_execute_off", no_execute_off_pae, "reports reserved bits without P" }, { "reserved", reserved_pae, "does not say how wide addresses are" },
    { "top_refused", top_refused_pae, "reads top entries as it walks" }, { "top_loaded", top_loaded_pae, "reads top entries as it walks" },
    { "accessed_dirty", accessed_dirty_pae, "sets A in top entries" }, { NULL, NULL, NULL },
};
const struct test_group group_pae = { "pae", tests, NULL };
