/* SPDX-License-Identifier: BSD-2-Clause
 * Page tables that change, and what a CPU may still remember of them: until a page
 * is flushed (INVLPG, or a load of CR3 where it is not global) either is
 * right, behind that only what the tables say, accessed and dirty bits too. */
#include "guest.h"

enum { PAGES = 320, FRAMES = 48, STEPS = 12000, TAG = 0xf00d0000 };
#define AT (SCRATCH + 0x200000)
#define FRAME_AT (SCRATCH + 0x3a0000)

static struct { bool pending; } pages[PAGES]; /* changed, and not flushed since */
static uint32_t seed;

static uint32_t any(uint32_t below)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 10) % below;
}

static uint32_t linear(unsigned page) { return AT + page * 0x1000; }
static volatile uint32_t *frame_words(uint32_t entry) { return (volatile uint32_t *)(entry & ~0xfffu); }

static void flushed(bool global_too)
{
    for (unsigned i = 0; i < PAGES; i++)
        if (global_too || !(*pages_entry(linear(i)) & PTE_G))
            pages[i].pending = false;
}

static void change(unsigned page)
{
    static const uint32_t rights[] = { PTE_P | PTE_W, PTE_P | PTE_W | PTE_U, PTE_P | PTE_W | PTE_A | PTE_D, PTE_P | PTE_W | PTE_G, PTE_P, 0,
                                       PTE_P | PTE_W };
    uint32_t *entry = pages_entry(linear(page)), was = *entry;

    if (any(4) == 0)
        *entry &= ~(uint32_t)(any(2) ? PTE_A | PTE_D : PTE_D);
    else
        *entry = (FRAME_AT + any(FRAMES) * 0x1000) | rights[any(sizeof rights / sizeof *rights)];
    pages[page].pending = true;
    if (any(2) == 0 || (was | *entry) & PTE_G) { /* a global one is not to be forgotten by a load of CR3 */
        invlpg(linear(page));
        pages[page].pending = false;
    }
}

/* The first word, read by an instruction of another kind. */
uint32_t stale_esp, stale_value;
static uint32_t pop_all(uint32_t address)
{
    __asm__ volatile("pushal; movl %%esp, stale_esp; movl %0, %%esp; popal; movl %%edi, stale_value; movl stale_esp, %%esp; popal"
                     ::"a"(address) : "memory");
    return stale_value;
}

static void touch(void *address) { *(volatile uint32_t *)address = 1; }
static void look(void *address) { (void)*(volatile uint32_t *)address; }

static bool access_right(unsigned page)
{
    uint32_t *entry = pages_entry(linear(page)), value = any(0x1000000);
    bool write = any(2), pending = pages[page].pending;
    struct frame f;

    if (pending && (*entry & (PTE_P | PTE_W)) != (PTE_P | PTE_W))
        return true; /* may fault or not */
    if (!(*entry & PTE_P) || (write && !(*entry & PTE_W))) {
        CHECK(catch_fault(write ? touch : look, (void *)(linear(page) + 8), &f) && f.vector == 14);
        return true;
    }
    if (write)
        *(volatile uint32_t *)(linear(page) + 4) = value;
    else
        value = *(volatile uint32_t *)linear(page);
    if (pending)
        return true;
    CHECK(write ? frame_words(*entry)[1] == value : value == (TAG | (*entry >> 12 & 0xfff)));
    CHECK(*entry & PTE_A && (!write || *entry & PTE_D));
    return true;
}

static bool step_right(unsigned page)
{
    switch (any(12)) {
    case 0: case 1:
        change(page);
        return true;
    case 2:
        invlpg(linear(page));
        pages[page].pending = false;
        return true;
    case 3:
        WRITE_CR(3, READ_CR(3));
        flushed(false);
        return true;
    case 4:
        if (any(20) == 0) {
            WRITE_CR(4, READ_CR(4) ^ 0x80); /* PGE */
            flushed(true);
        }
        return true;
    case 5:
        return pages[page].pending || !(*pages_entry(linear(page)) & PTE_P) || pop_all(linear(page)) >> 16 == TAG >> 16;
    default:
        return access_right(page);
    }
}

static bool anyhow(void)
{
    for (unsigned i = 0; i < FRAMES; i++)
        *(volatile uint32_t *)(FRAME_AT + i * 0x1000) = TAG | ((FRAME_AT + i * 0x1000) >> 12 & 0xfff);
    for (unsigned i = 0; i < PAGES; i++)
        pages_map(linear(i), FRAME_AT | PTE_P | PTE_W);
    flushed(true);
    seed = 1;
    for (unsigned step = 0; step < STEPS; step++)
        CHECK(step_right(any(4) ? any(24) : any(PAGES)));
    WRITE_CR(4, READ_CR(4) | 0x80);
    for (unsigned i = 0; i < PAGES; i++)
        pages_map(linear(i), linear(i) | PTE_P | PTE_W | PTE_U);
    return true;
}

/* An entry of before, remembered when the page is used again in another way. */
static bool remembered(void)
{
    uint32_t first = FRAME_AT, second = FRAME_AT + 0x1000, value;

    *(volatile uint32_t *)first = 1;
    *(volatile uint32_t *)second = 2;
    for (unsigned i = 0; i < 8; i++) {
        volatile uint32_t *at = (uint32_t *)linear(i);
        pages_map(linear(i), first | PTE_P | PTE_W);
        CHECK(pop_all(linear(i)) == 1);
        *pages_entry(linear(i)) = second | PTE_P | PTE_W;
        value = *at; /* the one or the other */
        CHECK(value == 1 || value == 2);
        WRITE_CR(3, READ_CR(3));
        CHECK(*at == 2);
        *pages_entry(linear(i)) = second | PTE_P | PTE_A;
        *(volatile uint32_t *)linear(20) = i;
        WRITE_CR(3, READ_CR(3));
        CHECK(*at == 2);
    }
    return true;
}

/* --- a program's pages, in two address spaces ------------------------------------ */

enum { SPACES = 2, USER_PAGES = 64, USER_STEPS = 6000 };
#define USER_AT 0x30000000u
#define TABLES_AT (SCRATCH + 0x380000) /* a page table for each space, then the second directory */

static volatile uint32_t user_address, user_value;
static volatile bool user_writes;
static bool user_pending[USER_PAGES];

static void user_access(void)
{
    if (user_writes)
        ((volatile uint32_t *)user_address)[1] = user_value;
    else
        user_value = *(volatile uint32_t *)user_address;
    user_exit();
}

static void in_user(void *code) { run_user((void (*)(void))code); }
static uint32_t *user_entry(unsigned space, unsigned page) { return (uint32_t *)(TABLES_AT + space * 0x1000) + page; }

static void load_space(unsigned space)
{
    WRITE_CR(3, space ? (uint32_t *)(TABLES_AT + 0x2000) : pages_directory());
    for (unsigned i = 0; i < USER_PAGES; i++)
        user_pending[i] = false;
}

/* Each space has an empty table of its own from USER_AT on, and all else in common. */
static void begin_spaces(void)
{
    uint32_t *other = (uint32_t *)(TABLES_AT + 0x2000), *mine = pages_directory();

    for (unsigned i = 0; i < 1024; i++) {
        *user_entry(0, i) = *user_entry(1, i) = 0;
        other[i] = mine[i];
    }
    mine[USER_AT >> 22] = TABLES_AT | PTE_P | PTE_W | PTE_U;
    other[USER_AT >> 22] = (TABLES_AT + 0x1000) | PTE_P | PTE_W | PTE_U;
}

static void end_spaces(void)
{
    pages_directory()[USER_AT >> 22] = 0;
    load_space(0);
}

static bool user_access_right(unsigned space, unsigned page)
{
    uint32_t *entry = user_entry(space, page), need = PTE_P | PTE_U | (any(2) ? PTE_W : 0), value = any(0x1000000);
    bool writes = need & PTE_W, allowed = (*entry & need) == need, pending = user_pending[page];
    struct frame f;

    if (pending && (*entry & (PTE_P | PTE_U | PTE_W)) != (PTE_P | PTE_U | PTE_W))
        return true;
    user_address = USER_AT + page * 0x1000;
    user_writes = writes;
    user_value = value;
    if (!allowed) {
        CHECK(catch_fault(in_user, user_access, &f) && f.vector == 14 && (f.cs & 3) == 3);
        return true;
    }
    run_user(user_access);
    if (pending)
        return true;
    CHECK(writes ? frame_words(*entry)[1] == value : user_value == (TAG | (*entry >> 12 & 0xfff)));
    CHECK(*entry & PTE_A && (!writes || *entry & PTE_D));
    return true;
}

static bool user_step_right(unsigned *space, unsigned page)
{
    static const uint32_t rights[] = { PTE_P | PTE_W | PTE_U, PTE_P | PTE_W | PTE_U, PTE_P | PTE_U | PTE_A, PTE_P | PTE_W | PTE_U | PTE_A | PTE_D, PTE_P | PTE_W, 0 };
    unsigned other = any(SPACES);

    switch (any(10)) {
    case 0:
        *user_entry(other, page) = any(4) ? (FRAME_AT + any(FRAMES) * 0x1000) | rights[any(6)] : *user_entry(other, page) & ~(uint32_t)(PTE_A | PTE_D);
        user_pending[page] |= other == *space;
        return true;
    case 1:
        invlpg(USER_AT + page * 0x1000);
        user_pending[page] = false;
        return true;
    case 2:
        load_space(*space = any(SPACES));
        return true;
    default:
        return user_access_right(*space, page);
    }
}

static bool of_programs(void)
{
    unsigned space = 0;
    bool right = true;

    begin_spaces();
    for (unsigned i = 0; i < FRAMES; i++)
        *(volatile uint32_t *)(FRAME_AT + i * 0x1000) = TAG | ((FRAME_AT + i * 0x1000) >> 12 & 0xfff);
    load_space(0);
    seed = 7;
    for (unsigned step = 0; right && step < USER_STEPS; step++)
        right = user_step_right(&space, any(4) ? any(8) : any(USER_PAGES));
    end_spaces();
    return right;
}

/* --- a program's code on pages that change, in two address spaces ------------------ */

enum { CODE_PAGES = 8, CODE_FRAMES = 12, CODE_STEPS = 6000, OUT = 0x40 };

static volatile uint32_t user_start, user_turns;
static uint32_t constants[CODE_FRAMES];

static uint32_t code_frame(unsigned frame) { return FRAME_AT + frame * 0x1000; }

static uint8_t *put32(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        *at++ = (uint8_t)(value >> 8 * i);
    return at;
}

/* EAX = EAX * 31 + the frame's constant, ECX times: then on to the page's next one, by a jump, a condition or a call. */
static void write_code(unsigned frame)
{
    static const uint8_t begin[] = { 0x69, 0xc0, 31, 0, 0, 0, 0x05 }, jump[][2] = { { 0xe9 }, { 0x0f, 0x85 }, { 0xe8 } };
    uint8_t *first = (uint8_t *)code_frame(frame), *at = first;
    unsigned kind = frame % 3;

    for (unsigned i = 0; i < sizeof begin; i++)
        *at++ = begin[i];
    at = put32(at, constants[frame] = any(1 << 20));
    *at++ = 0x49; /* DEC ECX; JZ OUT */
    *at++ = 0x74;
    at++;
    at[-1] = (uint8_t)(first + OUT - at);
    *at++ = jump[kind][0];
    if (jump[kind][1])
        *at++ = jump[kind][1];
    put32(at, (uint32_t)(first + 0x1000 - (at + 4)));
    at = first + OUT;
    *at++ = 0xa3; /* MOV user_value, EAX; INT 0x81 */
    at = put32(at, (uint32_t)&user_value);
    *at++ = 0xcd;
    *at = 0x81;
}

static void user_jumps(void)
{
    __asm__ volatile("jmp *%0" ::"r"(user_start), "a"(user_value), "c"(user_turns));
}

static bool jumps_right(unsigned space)
{
    unsigned first = any(CODE_PAGES), count = 1 + any(CODE_PAGES - first), page;
    uint32_t value = any(1000), missing = 0;
    struct frame f;

    user_start = USER_AT + first * 0x1000;
    user_turns = count;
    user_value = value;
    for (page = first; page < first + count; page++) {
        uint32_t entry = *user_entry(space, page);
        if (user_pending[page])
            return true; /* either is right */
        if ((entry & (PTE_P | PTE_U)) != (PTE_P | PTE_U))
            break;
        value = value * 31 + constants[((entry & ~0xfffu) - FRAME_AT) / 0x1000];
    }
    missing = page < first + count ? USER_AT + page * 0x1000 : 0;
    if (missing) {
        CHECK(catch_fault(in_user, user_jumps, &f) && f.vector == 14 && f.eip == missing && (f.cs & 3) == 3);
        return true;
    }
    run_user(user_jumps);
    CHECK(user_value == value);
    return true;
}

static bool code_step_right(unsigned *space, unsigned page)
{
    unsigned other = any(SPACES);

    switch (any(24)) {
    case 0: case 1:
        *user_entry(other, page) = any(5) ? code_frame(any(CODE_FRAMES)) | PTE_P | PTE_U : 0;
        user_pending[page] |= other == *space;
        return true;
    case 2: case 3:
        invlpg(USER_AT + page * 0x1000);
        user_pending[page] = false;
        return true;
    case 4:
        load_space(*space = any(SPACES));
        return true;
    case 5:
        write_code(any(CODE_FRAMES));
        return true;
    default:
        return jumps_right(*space);
    }
}

static bool of_jumps(void)
{
    unsigned space = 0;
    bool right = true;

    begin_spaces();
    seed = 11;
    for (unsigned i = 0; i < CODE_FRAMES; i++)
        write_code(i);
    for (unsigned i = 0; i < CODE_PAGES; i++)
        *user_entry(0, i) = *user_entry(1, i) = code_frame(i) | PTE_P | PTE_U;
    load_space(0);
    for (unsigned step = 0; right && step < CODE_STEPS; step++)
        right = code_step_right(&space, any(CODE_PAGES));
    end_spaces();
    return right;
}

static const struct test tests[] = { { "anyhow", anyhow, NULL }, { "remembered", remembered, NULL }, { "of_programs", of_programs, NULL }, { "of_jumps", of_jumps, NULL },
                                     { NULL, NULL, NULL } };
static void prepare(void)
{
    outb(0x21, 0xff); /* programs run with interrupts enabled */
    outb(0xa1, 0xff);
    pages_on();
}

const struct test_group group_stale = { "stale", tests, prepare };
