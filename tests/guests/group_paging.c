/* SPDX-License-Identifier: BSD-2-Clause
 * Paging: rights and error codes, accessed and dirty bits, aliases, accesses that
 * cross a page, INVLPG, global and 4 MiB pages, string instructions that fault. */
#include "guest.h"

/* Virtual addresses that the tests map as they like; physical pages below. */
enum { V = 0x10000000, V2 = 0x10001000, W = 0x10400000, P1 = SCRATCH + 0x10000, P2 = SCRATCH + 0x20000 };

static void read_at(void *address) { (void)*(volatile uint32_t *)address; }
static void write_at(void *address) { *(volatile uint32_t *)address = 0x12345678; }
static void jump_to(void *address) { ((void (*)(void))address)(); }

static bool faults(void)
{
    struct frame f;
    pages_map(V, 0);
    CHECK(catch_fault(read_at, (void *)(V + 8), &f));
    CHECK(f.vector == 14 && f.error == 0 && caught_cr2 == V + 8);
    CHECK(catch_fault(write_at, (void *)(V + 12), &f));
    CHECK(f.vector == 14 && f.error == 2 && caught_cr2 == V + 12);
    CHECK(catch_fault(jump_to, (void *)(V + 16), &f));
    CHECK(f.vector == 14 && f.error == 0 && caught_cr2 == V + 16 && f.eip == V + 16);
    pages_map(V, P1 | PTE_P);
    CHECK(!catch_fault(read_at, (void *)V, &f));
    CHECK(catch_fault(write_at, (void *)V, &f));
    CHECK(f.vector == 14 && f.error == 3);
    /* Without CR0.WP the kernel may write read-only pages. */
    WRITE_CR(0, READ_CR(0) & ~0x10000u);
    CHECK(!catch_fault(write_at, (void *)V, &f));
    CHECK(*(volatile uint32_t *)P1 == 0x12345678);
    WRITE_CR(0, READ_CR(0) | 0x10000);
    CHECK(catch_fault(write_at, (void *)V, &f));
    /* A directory entry's rights count as well. */
    uint32_t *pde = &pages_directory()[V >> 22];
    pages_map(V, P1 | PTE_P | PTE_W);
    *pde &= ~(uint32_t)PTE_W;
    WRITE_CR(3, READ_CR(3));
    CHECK(catch_fault(write_at, (void *)V, &f));
    CHECK(f.error == 3);
    *pde |= PTE_W;
    WRITE_CR(3, READ_CR(3));
    CHECK(!catch_fault(write_at, (void *)V, &f));
    return true;
}

static void user_read(void)
{
    (void)*(volatile uint32_t *)V;
    user_exit();
}
static void user_write(void)
{
    *(volatile uint32_t *)V = 1;
    user_exit();
}
static void in_user(void *code) { run_user((void (*)(void))code); }

static bool user_rights(void)
{
    struct frame f;
    pages_map(V, P1 | PTE_P | PTE_W);
    CHECK(catch_fault(in_user, user_read, &f));
    CHECK(f.vector == 14 && f.error == 5 && (f.cs & 3) == 3);
    pages_map(V, P1 | PTE_P | PTE_U);
    CHECK(!catch_fault(in_user, user_read, &f));
    CHECK(catch_fault(in_user, user_write, &f));
    CHECK(f.error == 7);
    pages_map(V, 0);
    CHECK(catch_fault(in_user, user_write, &f));
    CHECK(f.error == 6);
    pages_map(V, P1 | PTE_P | PTE_W | PTE_U);
    CHECK(!catch_fault(in_user, user_write, &f));
    return true;
}

/* Where CPUID has no PAT its bit is reserved, but only with CR4.PSE. */
static bool pat_bit(void)
{
    uint32_t *pde = &pages_directory()[W >> 22];
    struct frame f;

    pages_map(V, P1 | PTE_P | PTE_W | 0x80);
    *pde = (P1 & 0xffc00000) | PTE_P | PTE_W | PTE_PS | 0x1000;
    invlpg(W);
    for (unsigned i = 0; i < 2; i++) {
        CHECK(catch_fault(write_at, (void *)V, &f) == !pages_have_pat());
        CHECK(pages_have_pat() || (f.vector == 14 && f.error == 11 && caught_cr2 == V));
        CHECK(catch_fault(read_at, (void *)W, &f) == !pages_have_pat());
        CHECK(pages_have_pat() || (f.vector == 14 && f.error == 9 && caught_cr2 == W));
    }
    *pde = 0;
    WRITE_CR(4, READ_CR(4) & ~0x10u);
    WRITE_CR(3, READ_CR(3));
    CHECK(!catch_fault(write_at, (void *)V, &f));
    WRITE_CR(4, READ_CR(4) | 0x10);
    invlpg(V);
    CHECK(catch_fault(write_at, (void *)V, &f) == !pages_have_pat());
    pages_map(V, 0);
    return true;
}

static bool accessed_dirty(void)
{
    uint32_t *pte = pages_entry(V);
    pages_map(V, P1 | PTE_P | PTE_W);
    (void)*(volatile uint32_t *)V;
    CHECK((*pte & (PTE_A | PTE_D)) == PTE_A);
    *(volatile uint32_t *)V = 5;
    CHECK((*pte & (PTE_A | PTE_D)) == (PTE_A | PTE_D));
    /* Cleared bits are set again after INVLPG. */
    *pte &= ~(uint32_t)(PTE_A | PTE_D);
    invlpg(V);
    __asm__ volatile("incl %0" : "+m"(*(volatile uint32_t *)V)::"cc");
    CHECK((*pte & (PTE_A | PTE_D)) == (PTE_A | PTE_D));
    CHECK(pages_directory()[V >> 22] & PTE_A);
    return true;
}

static bool aliases(void)
{
    pages_map(V, P1 | PTE_P | PTE_W);
    pages_map(V2, P1 | PTE_P | PTE_W);
    volatile uint32_t *a = (uint32_t *)V, *b = (uint32_t *)V2;
    for (uint32_t i = 0; i < 100; i++) {
        *a = i;
        CHECK(*b == i && *(volatile uint32_t *)P1 == i);
    }
    /* The same address, another page, after a switch of page tables entry. */
    *(volatile uint32_t *)P2 = 4711;
    pages_map(V, P2 | PTE_P | PTE_W);
    CHECK(*a == 4711 && *b == 99);
    return true;
}

static bool crossing(void)
{
    struct frame f;
    volatile uint8_t *p1 = (uint8_t *)P1, *p2 = (uint8_t *)P2;
    pages_map(V, P1 | PTE_P | PTE_W);
    pages_map(V2, P2 | PTE_P | PTE_W);
    p1[4094] = p1[4095] = p2[0] = p2[1] = 0;
    *(volatile uint32_t *)(V + 4094) = 0x44332211;
    CHECK(p1[4094] == 0x11 && p1[4095] == 0x22 && p2[0] == 0x33 && p2[1] == 0x44);
    CHECK(*(volatile uint32_t *)(V + 4094) == 0x44332211);
    __asm__ volatile("addl $1, %0" : "+m"(*(volatile uint32_t *)(V + 4094))::"cc");
    CHECK(p1[4094] == 0x12);
    /* The address of the fault is in the second page, and nothing was written. */
    pages_map(V2, P2 | PTE_P);
    CHECK(catch_fault(write_at, (void *)(V + 4094), &f));
    CHECK(f.error == 3 && caught_cr2 == V2 && p1[4094] == 0x12 && p1[4095] == 0x22);
    pages_map(V2, 0);
    CHECK(catch_fault(read_at, (void *)(V + 4094), &f));
    CHECK(f.error == 0 && caught_cr2 == V2);
    return true;
}

static bool stale_until_invlpg(void)
{
    /* Only what is promised: after INVLPG, or a load of CR3, the new entry rules. */
    pages_map(V, P1 | PTE_P | PTE_W);
    *(volatile uint32_t *)P1 = 1;
    *(volatile uint32_t *)P2 = 2;
    CHECK(*(volatile uint32_t *)V == 1);
    *pages_entry(V) = P2 | PTE_P | PTE_W;
    invlpg(V);
    CHECK(*(volatile uint32_t *)V == 2);
    *pages_entry(V) = P1 | PTE_P | PTE_W;
    WRITE_CR(3, READ_CR(3));
    CHECK(*(volatile uint32_t *)V == 1);
    /* Global: switching CR4.PGE off and on drops it as well. */
    pages_map(V, P1 | PTE_P | PTE_W | PTE_G);
    CHECK(*(volatile uint32_t *)V == 1);
    *pages_entry(V) = P2 | PTE_P | PTE_W;
    WRITE_CR(4, READ_CR(4) & ~0x80u);
    WRITE_CR(4, READ_CR(4) | 0x80);
    CHECK(*(volatile uint32_t *)V == 2);
    return true;
}

static bool large_pages(void)
{
    uint32_t *pde = &pages_directory()[0x20000000 >> 22];
    *pde = SCRATCH | PTE_P | PTE_W | PTE_PS;
    invlpg(0x20000000);
    *(volatile uint32_t *)(0x20000000 + 0x23456c) = 0xfeed;
    CHECK(*(volatile uint32_t *)(SCRATCH + 0x23456c) == 0xfeed);
    CHECK((*pde & (PTE_A | PTE_D)) == (PTE_A | PTE_D));
    *pde = 0;
    invlpg(0x20000000);
    struct frame f;
    CHECK(catch_fault(read_at, (void *)0x20000000, &f) && f.vector == 14);
    return true;
}

/* INVLPG of any address in a large page is for all of it. */
static bool large_page_flushed(void)
{
    uint32_t *pde = &pages_directory()[0x20000000 >> 22];
    volatile uint32_t *at = (uint32_t *)0x20300000, *user_at = (uint32_t *)0x20301004;
    static const uint8_t one[] = { 0xb8, 1, 0, 0, 0, 0xc3 }, two[] = { 0xb8, 2, 0, 0, 0, 0xc3 };
    uint32_t (*code)(void) = (uint32_t (*)(void))0x20302000;

    for (unsigned i = 0; i < sizeof one; i++) {
        *(volatile uint8_t *)(SCRATCH + 0x302000 + i) = one[i];
        *(volatile uint8_t *)(SCRATCH + 0x702000 + i) = two[i];
    }
    for (unsigned turn = 0; turn < 12; turn++) {
        uint32_t frame = SCRATCH + (turn & 1) * 0x400000;
        *pde = frame | PTE_P | PTE_W | PTE_PS | (turn & 2 ? PTE_G : 0) | (turn & 4 ? PTE_U : 0);
        invlpg(turn & 1 ? 0x20000000 : 0x203ff000);
        *(volatile uint32_t *)(frame + 0x300000) = turn;
        CHECK(*at == turn);
        for (unsigned i = 0; i < 300; i++)
            *user_at = i + turn;
        CHECK(*(volatile uint32_t *)(frame + 0x301004) == 299 + turn && code() == (turn & 1) + 1);
    }
    *pde = 0;
    invlpg(0x20000000);
    struct frame f;
    CHECK(catch_fault(read_at, (void *)at, &f) && f.vector == 14);
    return true;
}

/* Another directory: the kernel half the same, one page different. */
static bool address_spaces(void)
{
    uint32_t *other = (uint32_t *)(SCRATCH + 0x30000), *table = (uint32_t *)(SCRATCH + 0x31000);
    uint32_t *mine = pages_directory();
    for (int i = 0; i < 1024; i++) {
        other[i] = mine[i];
        table[i] = 0;
    }
    other[V >> 22] = (uint32_t)table | PTE_P | PTE_W | PTE_U;
    table[V >> 12 & 1023] = P2 | PTE_P | PTE_W;
    pages_map(V, P1 | PTE_P | PTE_W);
    *(volatile uint32_t *)P1 = 100;
    *(volatile uint32_t *)P2 = 200;
    for (int i = 0; i < 50; i++) {
        WRITE_CR(3, other);
        *(volatile uint32_t *)V += 1;
        WRITE_CR(3, mine);
        *(volatile uint32_t *)V += 2;
    }
    CHECK(*(volatile uint32_t *)P1 == 200 && *(volatile uint32_t *)P2 == 250);
    return true;
}

/* --- string instructions that fault ---------------------------------------- */

static unsigned fixed_faults;
static bool map_for_user; /* what the handler maps is for ring 3 */
static uint32_t fault_ecx, fault_esi, fault_edi;

static void on_page_fault(struct frame *f)
{
    fixed_faults++;
    fault_ecx = f->ecx, fault_esi = f->esi, fault_edi = f->edi;
    uint32_t page = READ_CR(2) & ~0xfffu;
    pages_map(page, (page == V ? P1 : P2) | PTE_P | PTE_W | (map_for_user ? PTE_U : 0));
}

static bool string_restarts(void)
{
    uint32_t ecx = 100, esi = SCRATCH, edi = V + 4096 - 40;
    memory_set((void *)SCRATCH, 7, 4096);
    for (unsigned i = 0; i < 400; i++)
        ((uint8_t *)SCRATCH)[i] = (uint8_t)(i * 3);
    pages_map(V, P1 | PTE_P | PTE_W);
    pages_map(V2, 0);
    fixed_faults = 0;
    trap_set_handler(14, on_page_fault);
    __asm__ volatile("cld; rep movsl" : "+c"(ecx), "+S"(esi), "+D"(edi)::"memory");
    trap_set_handler(14, NULL);
    CHECK(fixed_faults == 1 && fault_ecx == 90 && fault_esi == SCRATCH + 40 && fault_edi == V2);
    CHECK(ecx == 0 && esi == SCRATCH + 400 && edi == V2 + 360);
    CHECK(memory_equal((void *)(P1 + 4096 - 40), (void *)SCRATCH, 40));
    CHECK(memory_equal((void *)P2, (void *)(SCRATCH + 40), 360));
    /* Backwards, with the source missing. */
    pages_map(V, 0);
    ecx = 20, esi = V2 + 9, edi = SCRATCH + 0x8000 + 19;
    fixed_faults = 0;
    trap_set_handler(14, on_page_fault);
    __asm__ volatile("std; rep movsb; cld" : "+c"(ecx), "+S"(esi), "+D"(edi)::"memory");
    trap_set_handler(14, NULL);
    CHECK(fixed_faults == 1 && fault_ecx == 10 && fault_esi == V2 - 1);
    CHECK(ecx == 0 && memory_equal((void *)(SCRATCH + 0x8000), (void *)(V2 - 10), 20));
    return true;
}

/* Instructions with several effects leave none of them when they fault. */
static volatile uint32_t pushed_esp, fault_user_esp;

static void on_user_fault(struct frame *f)
{
    fault_user_esp = f->esp;
    on_page_fault(f);
}

static void user_push(void)
{
    __asm__ volatile("movl %%esp, %%esi; movl %1, %%esp; pushl $77; movl %%esp, %0; movl %%esi, %%esp"
                     : "=m"(pushed_esp) : "r"(V2 + 4) : "esi", "memory");
    user_exit();
}

/* A handler that puts the page there, but goes on elsewhere: nobody has used it. */
static void on_fault_elsewhere(struct frame *f)
{
    on_page_fault(f);
    f->eip = f->edi;
}

static void user_write_or_go(void)
{
    __asm__ volatile("movl $1f, %%edi; movl $5, (%0); 1:" ::"r"(V2) : "edi", "memory");
    user_exit();
}

static bool unused_stays_clean(void)
{
    fixed_faults = 0;
    trap_set_handler(14, on_fault_elsewhere);
    map_for_user = true;
    for (unsigned i = 0; i < 8; i++) { /* the first times the engine sees this code */
        pages_map(V2, 0);
        run_user(user_write_or_go);
        CHECK(fixed_faults == i + 1 && (*pages_entry(V2) & (PTE_A | PTE_D)) == 0);
    }
    map_for_user = false;
    trap_set_handler(14, NULL);
    return true;
}

static void exchange_add(void *address)
{
    __asm__ volatile("movl $5, %%eax; xaddl %%eax, (%0)" ::"r"(address) : "eax", "memory", "cc");
}
static void pop_to(void *address)
{
    __asm__ volatile("pushl $1; movl %%esp, %%esi; popl (%0)" ::"r"(address) : "esi", "memory");
}

static bool partial_effects(void)
{
    struct frame f;
    pages_map(V2, 0);
    fixed_faults = 0;
    trap_set_handler(14, on_user_fault);
    map_for_user = true;
    run_user(user_push);
    map_for_user = false;
    trap_set_handler(14, NULL);
    CHECK(fixed_faults == 1 && fault_user_esp == V2 + 4 && pushed_esp == V2);
    CHECK(*(volatile uint32_t *)P2 == 77);
    pages_map(V, P1 | PTE_P);
    CHECK(catch_fault(exchange_add, (void *)V, &f));
    CHECK(f.eax == 5 && f.error == 3);
    CHECK(catch_fault(pop_to, (void *)V, &f));
    /* The frame lies right below where ESP was: POP did not move it. */
    CHECK(f.esi == f.esp_at_pusha + 20);
    return true;
}

static const struct test tests[] = {
    { "faults", faults, NULL }, { "user_rights", user_rights, NULL }, { "accessed_dirty", accessed_dirty, NULL }, { "pat_bit", pat_bit, NULL },
    { "aliases", aliases, NULL }, { "crossing", crossing, NULL }, { "stale_until_invlpg", stale_until_invlpg, NULL },
    { "large_pages", large_pages, NULL }, { "large_page_flushed", large_page_flushed, "runs the code that was there before" }, { "address_spaces", address_spaces, NULL }, { "string_restarts", string_restarts, NULL },
    { "partial_effects", partial_effects, NULL }, { "unused_stays_clean", unused_stays_clean, NULL }, { NULL, NULL, NULL },
};
const struct test_group group_paging = { "paging", tests, pages_on };
