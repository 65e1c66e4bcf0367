/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A full code cache that goes back to where it was before most copies were made
 * (translate/keep.h): a program of two pages is run at many addresses, as by processes that
 * are started one after another, until the cache has been full several times.
 */
#include <stdlib.h>

#include "x86vm/translate/cache.h"
#include "x86vm/translate/translator.h"

#include "tests/unit/engine_fixture.h"
#include "tests/unit/unit.h"

enum { PTE_U = 4, USER_CODE = 0x1b, USER_DATA = 0x23, TSS = 0x6000, KERNEL_STACK = 0x8000 };
enum { CACHE = 1 << 20, CACHE_LITTLE = 384 << 10, FRAME = 0x40000, TAIL = 0x60000, BRIDGE = 0x61000, OTHER_BRIDGE = BRIDGE + 0x100, MADE_LATE = 0x62000, ALIASES = 0x200000, BRIDGED = 5, STARTS = 60 };
enum { ONES = 500 /* blocks of a page */, TAIL_ADDS = 7, TAILS = 3, PROGRAMS = 0x100000, PROGRAMS_MOST = 64, FAULT_AT = 2 * PAGE_SIZE - 64, NOWHERE_AT = 0x3f0000 };

static uint32_t alias(unsigned number) { return ALIASES + number * 2 * PAGE_SIZE; }

static void map(uint32_t linear, uint32_t frame) { engine_map(linear, frame | PTE_P | PTE_W | PTE_U); }

/* What EAX is behind a program, where TAIL adds so much. */
static uint32_t answer(uint32_t tail) { return 2 * ONES + TAILS * tail; }

/* INC EAX, and a jump to the next instruction, many times; then a jump to the next page. */
static void put_page(uint32_t at)
{
    uint32_t end = at + ONES * 3;

    for (uint32_t i = at; i < end; i += 3)
        poke(i, "\x40\xeb\x00", 3);
    poke(end, "\xe9", 1);
    poke32(end + 1, (at & ~(uint32_t)(PAGE_SIZE - 1)) + PAGE_SIZE - (end + 5));
}

static void put_code(uint32_t frame)
{
    put_page(frame);
    put_page(frame + PAGE_SIZE);
    poke(frame + PAGE_SIZE + ONES * 3, "\xba", 1); /* MOV EDX, TAIL; CALL EDX three times; HLT, which a user may not */
    poke32(frame + PAGE_SIZE + ONES * 3 + 1, TAIL);
    poke(frame + PAGE_SIZE + ONES * 3 + 5, "\xff\xd2\xff\xd2\xff\xd2\xf4", 7);
    poke(frame + FAULT_AT, "\x40\x8b\x0d", 3); /* INC EAX; MOV ECX, [NOWHERE_AT] */
    poke32(frame + FAULT_AT + 3, NOWHERE_AT);
}

static void put_program(void)
{
    put_code(FRAME);
    poke(TAIL, "\x83\xc0\x07\xc3", 4); /* ADD EAX, 7; RET */
    poke(BRIDGE, "\xe9", 1);
    poke32(BRIDGE + 1, alias(BRIDGED) - (BRIDGE + 5));
    poke(OTHER_BRIDGE, "\xba", 1); /* MOV EDX, the same; JMP EDX */
    poke32(OTHER_BRIDGE + 1, alias(BRIDGED));
    poke(OTHER_BRIDGE + 5, "\xff\xe2", 2);
    for (unsigned i = 0; i < 3; i++)
        map(TAIL + i * PAGE_SIZE, TAIL + i * PAGE_SIZE);
}

/* With that in the environment: which code is without checks must not depend on time. */
static void start(const char *set, uint32_t cache)
{
    setenv(set, "1", 1);
    engine_start_paged(cache);
    unsetenv(set);
    poke32(DIRECTORY, TABLE | PTE_P | PTE_W | PTE_U);
    poke32(TSS + 4, KERNEL_STACK);
    poke32(TSS + 8, 16);
    cpu->tr = (struct cpu_segment){ .base = TSS, .limit = 0x67, .selector = 0x28, .access = 0x8b };
    put_program();
    view_flush_all(cpu);
}

/* As if a process was started there. What EAX is when it ends. */
static uint32_t run_at(uint32_t eip)
{
    const struct cpu_segment code = { .limit = UINT32_MAX, .selector = USER_CODE, .access = 0xfb | SEG_G | SEG_DB },
                             data = { .limit = UINT32_MAX, .selector = USER_DATA, .access = 0xf3 | SEG_G | SEG_DB };

    for (unsigned i = 0; i < CPU_SEG_COUNT; i++)
        cpu_set_segment(cpu, i, i == CPU_CS ? &code : &data);
    cpu->cpl = 3;
    cpu->mode_dirty = true;
    view_select(cpu);
    cpu->eip = eip;
    cpu->regs[CPU_EAX] = 0;
    cpu->regs[CPU_ESP] = MADE_LATE + PAGE_SIZE;
    cpu->halted = false;
    CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_DEAD);
    return cpu->regs[CPU_EAX];
}

/* --- whether all tables agree --- */

static bool leads_there(const struct translator *t, const struct link *link, const struct block *block)
{
    uint64_t *recalled = recall_target(translator_current, link->place);
    uint64_t target = recalled ? *recalled : emit_target32(t->cache_rw + link->place, t->hot.to_exec);

    return target == block->entry || target == block->guard_entry;
}

static bool is_hashed(const struct translator *t, const struct block *block) { return *block->hash_at == block && t->page_count[block->physical >> PAGE_SHIFT]; }

/* Each jump that is linked is in one list, that of a living block which it leads to. */
static bool links_agree(void)
{
    const struct translator *t = translator_current;
    uint32_t linked = 0, listed = 0;

    for (uint32_t i = 0; i < t->links.count; i++)
        linked += t->links.items[i].linked;
    for (uint32_t i = 0; i < t->order.count; i++) {
        const struct block *block = t->order.items[i];
        if (block->dead ? block->incoming : !is_hashed(t, block))
            return false;
        for (uint32_t next = block->incoming; next; next = t->links.items[next - 1].next_incoming, listed++)
            if (next > t->links.count || listed > linked || !t->links.items[next - 1].linked || !leads_there(t, &t->links.items[next - 1], block))
                return false;
    }
    return linked == listed;
}

static bool is_code(const struct translator *t, uint32_t place)
{
    const uint8_t *at = t->cache_rw + place;

    return at < t->hot.end ? at < t->hot.p : at < t->cold.p;
}

/* None is of code that is not there. */
static bool far_links_agree(void)
{
    const struct translator *t = translator_current;

    for (unsigned user = 0; user < 2; user++)
        for (uint32_t i = 0; i < t->far[user].count; i++)
            for (uint32_t next = t->far[user].pages[i].links; next; next = t->far[user].links.items[next - 1].next)
                if (!is_code(t, t->far[user].links.items[next - 1].place) || !is_code(t, t->far[user].links.items[next - 1].entry))
                    return false;
    return true;
}

/* All blocks that a list of a page has are there, and as many as are counted. */
static bool pages_agree(void)
{
    const struct translator *t = translator_current;
    uint32_t living = 0, listed = 0;

    for (uint32_t i = 0; i < t->order.count; i++)
        living += t->order.items[i]->dead ? 0 : 1 + (t->order.items[i]->other_page != t->order.items[i]->physical >> PAGE_SHIFT);
    for (uint32_t page = 0; page < RAM >> PAGE_SHIFT; page++)
        listed += t->page_count[page];
    return living == listed;
}

static bool maps_to(const struct code_map *map, uint32_t place, const struct block *block)
{
    struct code_row row;

    return code_map_find(map, place, &row) && row.eip - block->eip < block->length;
}

/* Each block's code belongs to its instructions, and not to those of one that was there before. */
static bool maps_agree(void)
{
    const struct translator *t = translator_current;
    uint32_t cold_end = (uint32_t)(t->cold.p - t->cache_rw);

    for (uint32_t i = t->order.count; i-- > 0;) {
        const struct block *block = t->order.items[i];
        if (!maps_to(&t->hot_map, (uint32_t)(block->entry - (uint64_t)(uintptr_t)t->cache_rx), block)
            || (block->cold_at < cold_end && !maps_to(&t->cold_map, block->cold_at, block)))
            return false;
        cold_end = block->cold_at; /* one without cold code has the next one's place */
    }
    return true;
}

static unsigned pieces(void)
{
    unsigned count = 0;

    for (const struct arena *a = translator_current->arena; a; a = a->next)
        count++;
    return count;
}

static void check_tables(void)
{
    CU_ASSERT_TRUE(maps_agree());
    CU_ASSERT_TRUE(links_agree());
    CU_ASSERT_TRUE(far_links_agree());
    CU_ASSERT_TRUE(pages_agree());
    CU_ASSERT(translator_current->keep.copies <= translator_current->order.count);
}

/* --- tests --- */

static struct x86vm_counters counted(void)
{
    struct x86vm_counters c;
    x86vm_get_counters(vm, &c);
    return c;
}

/* A page fault tells the instruction. */
static void check_fault(unsigned number)
{
    uint32_t eip;

    CU_ASSERT_EQUAL(run_at(alias(number) + FAULT_AT), 1);
    CU_ASSERT_TRUE(phys_dma_read(phys, cpu->regs[CPU_ESP] + 4, &eip, sizeof eip));
    CU_ASSERT_EQUAL(eip, alias(number) + FAULT_AT + 1);
    CU_ASSERT_EQUAL(cpu->cr2, NOWHERE_AT);
}

/* At that alias, of the program in these two pages. */
static void start_process_of(unsigned number, uint32_t frame)
{
    uint64_t drops = counted().copies_dropped;

    map(alias(number), frame);
    map(alias(number) + PAGE_SIZE, frame + PAGE_SIZE);
    view_flush_nonglobal(cpu); /* another process */
    for (unsigned again = 0; again < 3; again++)
        CU_ASSERT_EQUAL(run_at(alias(number)), answer(TAIL_ADDS));
    check_fault(number);
    if (counted().copies_dropped != drops)
        check_tables();
}

static void start_process(unsigned number) { start_process_of(number, FRAME); }

/* Of a page that was copied from and kept, of one that is linked to what was dropped, and of code that changes. */
static void check_runs(void)
{
    uint64_t before = counted().blocks_translated;

    CU_ASSERT_EQUAL(run_at(alias(0)), answer(TAIL_ADDS));
    CU_ASSERT(counted().blocks_translated < before + ONES / 10);
    CU_ASSERT_EQUAL(run_at(BRIDGE), answer(TAIL_ADDS));
    poke(TAIL + 2, "\x09", 1);
    CU_ASSERT_EQUAL(run_at(alias(0)), answer(9));
    CU_ASSERT_EQUAL(run_at(OTHER_BRIDGE), answer(9));
    poke(TAIL + 2, "\x07", 1);
    CU_ASSERT_EQUAL(run_at(BRIDGE), answer(TAIL_ADDS));
    check_fault(0);
    check_tables();
}

/* The memory of what was dropped is used again, or given back. */
static void run_many(const char *set)
{
    struct x86vm_counters c;
    unsigned most = 0;

    start(set, CACHE);
    CU_ASSERT_EQUAL(run_at(BRIDGE), 0); /* a page fault: its block is there, and leads nowhere */
    for (unsigned i = 0; i < STARTS; i++) {
        start_process(i);
        if (counted().copies_dropped == 0)
            most = pieces() > most ? pieces() : most;
        CU_ASSERT(pieces() <= most + 1);
        if (i % 16 == 15)
            check_runs();
    }
    c = counted();
    CU_ASSERT(c.copies_dropped >= 3);
    CU_ASSERT_EQUAL(c.cache_flushes, 0);
    CU_ASSERT(c.blocks_translated - c.blocks_moved < c.blocks_translated / 10);
    engine_end();
}

static void test_many_starts(void) { run_many("X86VM_NO_BARE"); }
static void test_without_checks(void) { run_many("X86VM_EAGER_BARE"); }
static void test_jump_maps(void) { run_many("X86VM_EAGER_JUMPS"); }

static void test_jump_caches(void)
{
    setenv("X86VM_EAGER_CACHES", "1", 1);
    run_many("X86VM_EAGER_BARE");
    unsetenv("X86VM_EAGER_CACHES");
}

static void test_compared(void)
{
    setenv("X86VM_CHECK_MOVES", "1", 1);
    run_many("X86VM_EAGER_BARE");
    unsetenv("X86VM_CHECK_MOVES");
}

/* Where all is new each time, all goes. */
static void test_new_code(void)
{
    uint8_t number[4] = { 0x83, 0xc0 };

    start("X86VM_NO_BARE", CACHE);
    map(alias(0), FRAME);
    map(alias(0) + PAGE_SIZE, FRAME + PAGE_SIZE);
    for (unsigned i = 0; i < STARTS; i++) {
        put_page(FRAME); /* written, so made again */
        number[2] = (uint8_t)i;
        poke(FRAME, number, 3); /* ADD EAX */
        CU_ASSERT_EQUAL(run_at(alias(0)), answer(TAIL_ADDS) - 1 + i);
    }
    CU_ASSERT_EQUAL(counted().copies_dropped, 0);
    CU_ASSERT(counted().cache_flushes >= 3);
    check_tables();
    engine_end();
}

/* Where the room for a block is more than what would become free. */
static void test_little_cache(void)
{
    start("X86VM_NO_BARE", CACHE_LITTLE);
    for (unsigned i = 0; i < STARTS / 4; i++)
        start_process(i);
    CU_ASSERT(counted().copies_dropped + counted().cache_flushes <= STARTS / 4); /* not for every few blocks */
    check_tables();
    engine_end();
}

/* The part of the cache that is fuller, in hundredths. */
static unsigned fullness(void)
{
    const struct translator *t = translator_current;
    unsigned hot = (unsigned)((t->hot.p - t->hot_start) * 100 / (t->hot.end - t->hot_start)),
             cold = (unsigned)((t->cold.p - t->cold_start) * 100 / (t->cold.end - t->cold_start));

    return hot > cold ? hot : cold;
}

/* Where what is no copy fills nearly all of it, some of that goes, too: else the next copies would soon have no room again. */
static void test_much_that_is_no_copy(void)
{
    enum { NEARLY_FULL = 80 };
    unsigned programs = 0;

    start("X86VM_NO_BARE", 2 * CACHE);
    while (fullness() < NEARLY_FULL && programs < PROGRAMS_MOST) {
        put_code(PROGRAMS + programs * 2 * PAGE_SIZE);
        start_process_of(programs, PROGRAMS + programs * 2 * PAGE_SIZE);
        programs++;
    }
    CU_ASSERT_EQUAL(counted().copies_dropped + counted().cache_flushes, 0);
    for (unsigned i = 0; i < STARTS; i++)
        start_process_of(PROGRAMS_MOST + i, PROGRAMS);
    CU_ASSERT(counted().copies_dropped > 0);
    CU_ASSERT(counted().copies_dropped + counted().cache_flushes < STARTS / 2);
    engine_end();
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "copies go, what they were made from stays", test_many_starts },
        { "the same without checks", test_without_checks },
        { "the same with jump maps", test_jump_maps },
        { "the same with comparing sites", test_jump_caches },
        { "the same where copies are compared", test_compared },
        { "nothing is copied: all goes", test_new_code },
        { "a little cache", test_little_cache },
        { "much that is no copy", test_much_that_is_no_copy },
        CU_TEST_INFO_NULL,
    };

    return unit_run("a full code cache", tests);
}
