/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See pc_calls.h.
 */
#include "x86vm/translate/pc_calls.h"

#include "x86vm/translate/build.h"

enum { THUNK_SIZE = 4, NO_REGISTER = 8 };

/* --- finding --- */

/* The register of `mov r32, [esp]; ret`. */
static unsigned thunk_register(const uint8_t *code)
{
    unsigned reg = code[1] >> 3 & 7;

    return code[0] == 0x8b && (code[1] & 0xc7) == 0x04 && code[2] == 0x24 && code[3] == 0xc3 && reg != CPU_ESP ? reg : NO_REGISTER;
}

/* The physical page that code on the linear page is fetched from, without a fault and the accessed bit of
 * fetching it: the guest's CPU has not. */
static bool physical_page(struct translator *t, uint32_t linear, uint32_t *page)
{
    struct cpu *cpu = translator_cpu(t);
    uint64_t addend = cpu->tables[VIEW_EXEC / 8 + (linear >> PAGE_SHIFT)];
    uint32_t physical;

    if (addend)
        physical = (uint32_t)(addend + linear - (uint64_t)(uintptr_t)t->ram);
    else if (!view_probe(cpu, linear, VIEW_FOR_EXEC, cpu->cpl == 3, &physical) || !phys_is_ram(t->phys, physical))
        return false;
    *page = physical >> PAGE_SHIFT;
    return true;
}

/* The lower half of the page's addend; 0, which no guard may expect: that of a page that is not there. */
static uint32_t addend_of(const struct translator *t, uint32_t linear, uint32_t page)
{
    return (uint32_t)(uintptr_t)t->ram + (page << PAGE_SHIFT) - (linear & ~(uint32_t)(PAGE_SIZE - 1));
}

/* The thunk's page becomes the block's other one. */
static bool take_page(struct build *b, uint32_t linear, uint32_t page)
{
    struct block *block = b->block;

    if (block->other_page != block->physical >> PAGE_SHIFT || page == block->other_page || !addend_of(b->t, linear, page)
        || blocks_page_full(b->t, page))
        return false;
    block->other_page = page;
    block->other_start = (uint16_t)(linear & (PAGE_SIZE - 1));
    block->other_end = (uint16_t)(block->other_start + THUNK_SIZE);
    b->thunk_linear = linear;
    return true;
}

static enum pc_call find_thunk(struct build *b, struct insn *insn)
{
    uint32_t first = b->block->cs_base + b->block->eip, linear = b->block->cs_base + insn->target, page = b->block->physical >> PAGE_SHIFT;
    bool away = (linear ^ first) >= PAGE_SIZE;
    unsigned reg;

    if ((linear & (PAGE_SIZE - 1)) > PAGE_SIZE - THUNK_SIZE)
        return PC_CALL_NONE;
    if (away && !physical_page(b->t, linear, &page)) {
        b->block->unseen = true;
        return PC_CALL_NONE;
    }
    reg = thunk_register(b->t->ram + ((size_t)page << PAGE_SHIFT) + (linear & (PAGE_SIZE - 1)));
    if (reg == NO_REGISTER || (away && !take_page(b, linear, page)))
        return PC_CALL_NONE;
    insn->regs_written |= (uint8_t)(1u << reg);
    return away ? PC_CALL_AWAY : PC_CALL_HERE;
}

void pc_calls_find(struct build *b, struct insn *insn)
{
    enum pc_call kind = PC_CALL_NONE;

    if (insn->kind == INSN_CALL && rewrite_comes_back(b) && !rewrite_is_call(b, insn))
        kind = insn->target == insn->eip + insn->length ? PC_CALL_NEXT : find_thunk(b, insn);
    b->pc_calls[insn - b->insns] = kind;
}

unsigned pc_calls_register(const struct insn *insn)
{
    return (unsigned)__builtin_ctz(insn->regs_written & ~(1u << CPU_ESP));
}

void pc_calls_depend(struct build *b)
{
    struct block *block = b->block;

    for (unsigned i = 0; i < b->count; i++) {
        uint32_t start = (block->physical & (PAGE_SIZE - 1)) + b->insns[i].target - block->eip;
        if (b->pc_calls[i] != PC_CALL_HERE)
            continue;
        if (start < block->depends_start)
            block->depends_start = (uint16_t)start;
        if (start + THUNK_SIZE > block->depends_end)
            block->depends_end = (uint16_t)(start + THUNK_SIZE);
    }
}

/* --- the block --- */

int32_t pc_calls_esp(const struct build *b, unsigned i)
{
    return b->pc_calls[i] == PC_CALL_NEXT ? 0 : 4;
}

static uint32_t place_of(const struct translator *t, const uint8_t *p) { return (uint32_t)(p - t->cache_rw); }

void pc_calls_guard(struct build *b)
{
    struct translator *t = b->t;
    struct emit *e = b->cold;
    struct host_mem entry = build_exec_entry(b, b->thunk_linear);
    uint32_t expected = addend_of(t, b->thunk_linear, b->block->other_page);
    uint8_t *jump = emit_jmp_later(b->hot), *elsewhere;

    emit_patch32(jump, b->hot->to_exec, emit_pc(e));
    b->block->thunk = (struct block_thunk){ .place = place_of(t, jump), .entry = place_of(t, b->hot->p), .guard_entry = place_of(t, e->p),
                                            .linear = b->thunk_linear >> PAGE_SHIFT };
    elsewhere = build_emit_expected(e, entry, expected);
    emit_jmp(e, emit_pc(b->hot));
    emit_patch32(elsewhere, e->to_exec, emit_pc(e));
}

static void lead(struct translator *t, const struct block *block, uint32_t to)
{
    emit_patch32(t->cache_rw + block->thunk.place, t->hot.to_exec, (uint64_t)(uintptr_t)t->cache_rx + to);
}

void pc_calls_added(struct translator *t, const struct block *block)
{
    const struct block_thunk *thunk = &block->thunk;

    if (thunk->place)
        lead(t, block, far_links_add_jump(t, block->mode, thunk->linear, block->other_page,
                                          (struct far_link){ .place = thunk->place, .entry = thunk->entry, .guard_entry = thunk->guard_entry }));
}

/* --- copies --- */

bool pc_calls_may_move(const struct translator *t, const struct block *from, uint32_t eip)
{
    uint32_t linear = (from->thunk.linear << PAGE_SHIFT) + (eip - from->eip);

    return !from->thunk.place || (addend_of(t, linear, from->other_page) && !blocks_page_full(t, from->other_page));
}

void pc_calls_moved(struct translator *t, struct block *copy)
{
    if (copy->thunk.place)
        lead(t, copy, copy->thunk.guard_entry);
}

bool pc_calls_alike(struct translator *t, const struct block *copy)
{
    uint32_t page;

    return !copy->unseen && (!copy->thunk.place || (physical_page(t, copy->thunk.linear << PAGE_SHIFT, &page) && page == copy->other_page));
}
