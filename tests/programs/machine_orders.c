/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What an interrupt asks the monitor for: pages that come, go and move under the
 * programs, code that a device changes, and what monitor.S does by itself. The host
 * checks here what must come of it.
 */
#include "tests/programs/machine_internal.h"

#include <string.h>

/* A page of some program, by its addresses; false: one that has to stay as it is. */
struct page { unsigned p, count; uint32_t linear[3]; bool code; };

static bool pick_page(struct machine *m, struct page *page)
{
    unsigned p = fuzz_below(&m->random, m->count);

    *page = (struct page){ .p = p, .code = fuzz_one_in(&m->random, 2) };
    if (page->code) {
        uint32_t offset = fuzz_below(&m->random, CODE_PAGES) * INSN_PAGE;
        page->count = 3;
        page->linear[0] = INSN_CODE + offset;
        page->linear[1] = INSN_CODE_ALIAS + offset;
        page->linear[2] = INSN_CODE_WRITABLE + offset;
        return true;
    }
    uint32_t number = fuzz_one_in(&m->random, 5) ? INSN_READONLY_PAGE : machine_writable[fuzz_below(&m->random, INSN_WRITABLE)];
    page->count = 1;
    page->linear[0] = INSN_DATA + number * INSN_PAGE;
    return !(m->programs[p].kernel && (number == 8 || number == 9 || number == PROGRAM_CELLS_PAGE)); /* its stacks */
}

static void put_entry(struct machine *m, unsigned i, unsigned p, uint32_t linear, uint32_t value)
{
    poke32(m, order(ORDER_LIST) + i * 12, MONITOR + machine_entry_at(p, linear));
    poke32(m, order(ORDER_LIST) + i * 12 + 4, value);
    poke32(m, order(ORDER_LIST) + i * 12 + 8, linear);
}

/* Takes the page away, or its right to be written, or what is known of its use. */
static bool ask_entries(struct machine *m)
{
    static const uint32_t takes[] = { PTE_P, PTE_P, PTE_W, PTE_A | PTE_D, PTE_P | PTE_W, 0 };
    const uint32_t take = takes[fuzz_below(&m->random, sizeof takes / sizeof *takes)];
    struct page page;

    if (!pick_page(m, &page))
        return false;
    for (unsigned i = 0; i < page.count; i++)
        put_entry(m, i, page.p, page.linear[i], peek32(m, machine_entry_at(page.p, page.linear[i])) & ~take);
    poke32(m, order(ORDER_ENTRIES), page.count);
    return true;
}

static struct copy *copy_of(struct machine *m, const struct page *page)
{
    return page->code ? NULL : &m->copies[page->p][(page->linear[0] - INSN_DATA) / INSN_PAGE];
}

/* A frame that is shared until somebody writes: nobody has written to it. */
static void check_copy(struct machine *m, struct copy *copy)
{
    uint8_t now[INSN_PAGE];

    if (!copy || !copy->frame)
        return;
    phys_dma_read(m->phys, copy->frame, now, sizeof now);
    m->spoiled |= memcmp(now, copy->bytes, sizeof now) != 0;
    copy->frame = 0;
}

/* The first write moves the page; where it was, everything stays. */
static bool ask_share(struct machine *m)
{
    struct page page;
    struct copy *copy;
    uint32_t entry;

    if (!pick_page(m, &page) || page.code)
        return false;
    copy = copy_of(m, &page);
    check_copy(m, copy);
    entry = peek32(m, machine_entry_at(page.p, page.linear[0]));
    if (!(entry & ENTRY_WRITABLE) || entry >= DEVICE || m->programs[page.p].kernel)
        return false; /* ring 0 may write to any page while CR0.WP is off */
    copy->frame = entry & ~0xfffu;
    phys_dma_read(m->phys, copy->frame, copy->bytes, sizeof copy->bytes);
    put_entry(m, 0, page.p, page.linear[0], (entry & ~(uint32_t)PTE_W) | ENTRY_SHARED);
    poke32(m, order(ORDER_ENTRIES), 1);
    return true;
}

static bool ask_move(struct machine *m)
{
    struct page page;
    uint32_t from, to;

    if (!pick_page(m, &page))
        return false;
    check_copy(m, copy_of(m, &page));
    from = peek32(m, machine_entry_at(page.p, page.linear[0])) & ~0xfffu;
    to = from ^ INSN_PAGE;
    if (from >= DEVICE)
        return false;
    poke32(m, order(ORDER_FROM), EVERYTHING + from);
    poke32(m, order(ORDER_TO), EVERYTHING + to);
    poke32(m, order(ORDER_KEEP), fuzz_below(&m->random, 2)); /* old code, which may be changed at its new place */
    for (unsigned i = 0; i < page.count; i++)
        put_entry(m, i, page.p, page.linear[i], (peek32(m, machine_entry_at(page.p, page.linear[i])) & 0xfff & ~ENTRY_SHARED) | to);
    poke32(m, order(ORDER_ENTRIES), page.count);
    return true;
}

/* A device writes into code what is there already. */
void machine_dma(struct machine *m)
{
    uint8_t bytes[64];
    unsigned p = fuzz_below(&m->random, m->count);
    uint32_t linear = INSN_CODE + fuzz_below(&m->random, INSN_CODE_SIZE - sizeof bytes), at;

    at = (peek32(m, machine_entry_at(p, linear)) & ~0xfffu) + (linear & 0xfff);
    if ((at & 0xfff) + sizeof bytes > INSN_PAGE)
        at -= sizeof bytes;
    if (phys_dma_read(m->phys, at, bytes, sizeof bytes))
        phys_dma_write(m->phys, at, bytes, sizeof bytes);
}

/* A device writes a function over some code, of the running program or another's; the monitor calls it and
 * tells the patcher, which puts back the code before anybody else runs. */
static void ask_patch(struct machine *m)
{
    static const uint32_t windows[] = { INSN_CODE, INSN_CODE_ALIAS, INSN_CODE_WRITABLE };
    const unsigned p = fuzz_below(&m->random, m->count);
    const uint32_t offset = fuzz_below(&m->random, INSN_CODE_SIZE);
    const uint32_t at = (offset & 0xfff) <= INSN_PAGE - sizeof m->patch.bytes ? offset : offset & ~0xfffu;
    const bool running = peek32(m, AT_CURRENT) == MONITOR + AT_PROCESSES + p * PROCESS_SIZE;
    uint8_t code[sizeof m->patch.bytes] = { 0xb8, 0, 0, 0, 0, 0xc3 }; /* mov eax, value; ret */

    m->patch.frame = (peek32(m, machine_entry_at(p, INSN_CODE + at)) & ~0xfffu) + (at & 0xfff);
    m->patch.value = (uint32_t)fuzz_draw(&m->random);
    memcpy(code + 1, &m->patch.value, 4);
    phys_dma_read(m->phys, m->patch.frame, m->patch.bytes, sizeof m->patch.bytes);
    phys_dma_write(m->phys, m->patch.frame, code, sizeof code);
    poke32(m, order(ORDER_ADDRESS),
           running && fuzz_one_in(&m->random, 2) ? windows[fuzz_below(&m->random, 3)] + at : EVERYTHING + m->patch.frame);
}

void machine_patch_over(void *opaque, uint32_t offset, unsigned size, uint32_t value)
{
    struct machine *m = opaque;
    (void)offset, (void)size;

    m->stale |= value != m->patch.value;
    phys_dma_write(m->phys, m->patch.frame, m->patch.bytes, sizeof m->patch.bytes);
}

static unsigned pick_order(struct machine *m)
{
    static const uint8_t weights[OP_COUNT] = {
        [OP_NONE] = 8, [OP_CR3] = 4, [OP_INVLPG] = 4, [OP_ENTRIES] = 16, [OP_MOVE] = 12, [OP_SHARE] = 12, [OP_TOUCH] = 3, [OP_NEST] = 8,
        [OP_GLOBAL] = 1, [OP_WRITE_PROTECT] = 2, [OP_LAZY_FPU] = 6, [OP_FPU] = 6, [OP_STEP] = 2, [OP_SWITCH] = 20, [OP_PATCH] = 8,
    };
    unsigned sum = 0, op = 0, r;

    for (unsigned i = 0; i < OP_COUNT; i++)
        sum += weights[i];
    for (r = fuzz_below(&m->random, sum); r >= weights[op]; op++)
        r -= weights[op];
    return op;
}

uint8_t machine_acknowledge(void *opaque)
{
    struct machine *m = opaque;
    unsigned op = pick_order(m);

    x86vm_set_intr(m->vm, false);
    poke32(m, order(ORDER_ADDRESS), INSN_CODE_WRITABLE + fuzz_below(&m->random, INSN_CODE_SIZE));
    if (op == OP_INVLPG)
        poke32(m, order(ORDER_ADDRESS), (fuzz_one_in(&m->random, 2) ? INSN_DATA : INSN_CODE_ALIAS) + fuzz_below(&m->random, 0x10000));
    if (op == OP_PATCH)
        ask_patch(m);
    if (op == OP_STEP)
        poke32(m, order(ORDER_ADDRESS), 1 + fuzz_below(&m->random, 60));
    if (op == OP_SHARE && ask_share(m))
        op = OP_ENTRIES;
    else if (op == OP_SHARE || (op == OP_STEP && !m->may_step) || (op == OP_ENTRIES && !ask_entries(m)) ||
             (op == OP_MOVE && !ask_move(m)))
        op = OP_NONE;
    poke32(m, order(ORDER_OP), op);
    if (fuzz_one_in(&m->random, 12))
        machine_dma(m);
    return VECTOR_INTERRUPT;
}

void machine_check_copies(struct machine *m)
{
    for (unsigned p = 0; p < m->count; p++)
        for (unsigned i = 0; i < DATA_PAGES; i++)
            check_copy(m, &m->copies[p][i]);
}
