/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The check of a group (group.c): that of an operand as large as the whole range.
 * Its last byte's page and the one below may be reached through the window, or
 * the range lies in one such page. Where it does not hold, the block is left and
 * run from that instruction on by a translation without groups (MODE_UNGROUPED).
 */
#include "x86vm/translate/build.h"
#include "x86vm/translate/rewrite.h"

enum { LESS_IF_CONSTANT = 2 }; /* host instructions, than GROUP_CHECK_PLAIN */

static struct host_mem sum_at(struct group_sum sum, int32_t disp)
{
    return mem_full(sum.base == INSN_NO_REG ? NO_REG : (int8_t)host_of[sum.base],
                              sum.index == INSN_NO_REG ? NO_REG : (int8_t)host_of[sum.index], sum.scale, disp);
}

static struct host_mem range_end(const struct build *b, const struct group *g, int32_t offset)
{
    return sum_at(g->sum, offset + (g->sum.base == CPU_ESP ? b->esp_delta - g->esp_moved : 0));
}

static void emit_range_end(struct emit *e, enum host_reg to, const struct build *b, const struct group *g, int32_t offset)
{
    if (group_is_constant(g->sum))
        emit_mov_imm32(e, to, (uint32_t)offset);
    else
        emit_lea32(e, to, range_end(b, g, offset));
}

static uint32_t last_page(const struct group *g)
{
    return (uint32_t)(g->high - 1) >> PAGE_SHIFT;
}

static struct host_mem verdict(const struct build *b, uint32_t table)
{
    return mem_full(R12, R10, 0, view_table(b, table));
}

/* The byte for the last page, whose number goes to R10 unless it is known. */
static struct host_mem emit_verdict(struct build *b, const struct group *g)
{
    struct host_mem byte = verdict(b, g->write ? VIEW_WRITE_PAIR : VIEW_READ_PAIR);

    if (group_is_constant(g->sum))
        return mem_at(R12, byte.disp + (int32_t)last_page(g));
    emit_lea32(b->hot, R10, range_end(b, g, g->high - 1));
    if (b->t->bmi2)
        emit_shrx32(b->hot, R10, R10, R14);
    else
        emit_shr32_imm(b->hot, R10, PAGE_SHIFT);
    return byte;
}

/* The whole range in one page, and that page in the window: goes on at `inside`.
 * An entry that is there and only not in the window is nothing for C: jumps to
 * where the returned place is made to lead. */
static uint8_t *try_one_page(struct build *b, const struct group *g, uint64_t inside)
{
    struct emit *e = b->cold;
    uint8_t *crosses, *has_entry;

    if (group_is_constant(g->sum))
        emit_mov_imm32(e, R10, last_page(g));
    emit_range_end(e, R9, b, g, g->low);
    emit_range_end(e, R11, b, g, g->high - 1);
    emit_xor32(e, R11, R9);
    emit_test32_imm(e, R11, ~(PAGE_SIZE - 1));
    crosses = emit_jcc_later(e, CC_NZ);
    emit_cmp8(e, verdict(b, g->write ? VIEW_WRITE_IN : VIEW_READ_IN), R14);
    emit_jcc(e, CC_Z, inside);
    emit_load64(e, R9, mem_full(R12, R10, 3, view_table(b, g->write ? VIEW_WRITE : 0)));
    emit_test64(e, R9, R9);
    has_entry = emit_jcc_later(e, CC_NZ);
    if (!e->overflow)
        emit_patch32(crosses, e->to_exec, emit_pc(e));
    return has_entry;
}

/* C looks whether the entries can be filled and the check made again; if not,
 * the translation without groups goes on, linked like any jump. */
static void cold_missing(struct build *b, const struct group *g, uint64_t inside, uint8_t *has_entry)
{
    struct emit *e = b->cold;
    struct site *site;
    uint32_t number = blocks_new_site(b->t, &site);

    emit_range_end(e, R9, b, g, g->low);
    emit_mov_imm32(e, R11, number);
    emit_mark(e, MARK_SITE, number);
    emit_jmp(e, b->t->stubs.group);
    *site = (struct site){ .eip = b->insn->eip, .size = (uint16_t)(g->high - g->low), .write = g->write, .estimated = g->estimated, .block = b->block,
                           .hot = inside, .esp_delta = b->esp_delta, .bounce = emit_pc(e) };
    if (has_entry && !e->overflow)
        emit_patch32(has_entry, e->to_exec, emit_pc(e));
    if (b->esp_delta)
        emit_lea32(e, R8, mem_at(R8, b->esp_delta));
    rewrite_cold_jump(b, b->insn->eip);
}

static void open_group(struct build *b, const struct group *g)
{
    struct emit *e = b->hot;
    bool live = b->flags_live;
    uint8_t *missing, *has_entry = NULL;
    struct host_mem byte;
    uint64_t inside;

    if (live)
        access_island(b, false);
    byte = emit_verdict(b, g);
    if (live) {
        emit_mov64(e, R11, RCX);
        emit_load8(e, RCX, byte);
        missing = emit_jrcxz_later(e);
        emit_mov64(e, RCX, R11);
        b->exits[b->exit_count++] = (struct short_exit){ missing, emit_pc(b->cold) };
    } else {
        emit_cmp8(e, byte, R14);
        missing = emit_jcc_later(e, CC_NZ);
        if (!e->overflow)
            emit_patch32(missing, e->to_exec, emit_pc(b->cold));
    }
    inside = emit_pc(e);
    blocks_map_cold(b->t, b->insn->eip, b->esp_delta);
    if (live)
        emit_mov64(b->cold, RCX, R11);
    else
        has_entry = try_one_page(b, g, inside);
    cold_missing(b, g, inside, has_entry);
    if (live)
        access_island(b, false);
}

static bool worth_it(const struct build *b, const struct group *g)
{
    return g->alone > (b->flags_live ? GROUP_CHECK_FLAGS : GROUP_CHECK_PLAIN) - (group_is_constant(g->sum) ? LESS_IF_CONSTANT : 0);
}

void group_open(struct build *b, unsigned i)
{
    if (!(b->groups_begin >> i & 1))
        return;
    for (unsigned k = 0; k < b->group_count; k++) {
        struct group *g = &b->groups[k];
        if (g->first != i || !worth_it(b, g) || (b->flags_live && !b->t->bmi2))
            continue;
        open_group(b, g);
        g->ready = true;
    }
}

bool group_covers(const struct build *b, int8_t group)
{
    return group >= 0 && b->groups[group].ready;
}
