/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Groups: accesses off the same unchanged base and index registers, close
 * together, get one check for all of them; each access is then the operation
 * alone, on [window + register + displacement], or with an index or a large
 * displacement a LEA and the operation. ESP counts as unchanged while its motion
 * is known (PUSH, POP, ADD ESP, constant): within a block it is moved at
 * translation time only, b->esp_delta being what R8 lacks.
 *
 * The check is that of an operand as large as the whole range: its last byte's
 * page and the one below may be reached through the window, or the range lies in
 * one such page. Where it does not hold, the block is left and run from that
 * instruction on by a translation without groups (MODE_UNGROUPED).
 */
#include <string.h>

#include "x86vm/translate/build.h"
#include "x86vm/translate/rewrite.h"

enum { RANGE_MAX = 1024, DISP_MAX = 0x10000, DISP_FAR = 0x7fff0000 };

/* Host instructions of an access's own check, and of a group's. */
enum { CHECK_PLAIN = 4, CHECK_FLAGS = 6 };

/* One access of an instruction: [sum + disp], with ESP as the instruction finds it. */
struct touch { struct group_sum sum; int32_t disp; uint16_t size; bool write, stack; };

static const struct group_sum esp_alone = { CPU_ESP, INSN_NO_REG, 0 };

struct analysis {
    struct build *b;
    uint32_t open;        /* groups being collected, one bit each */
    int32_t esp_moved;    /* since ESP was last unknown */
    int32_t esp_at[BLOCK_MAX_INSNS];    /* the same before each instruction */
    uint8_t changed[BLOCK_MAX_INSNS];   /* registers unknown behind each instruction; all behind a call into C */
};

bool group_esp_adjust(const struct build *b, unsigned i, int32_t *by)
{
    const struct insn *insn = &b->insns[i];
    bool immediate = insn->opcode_length == 1 && (insn->opcode == 0x81 || insn->opcode == 0x83);

    if (insn->opsize != 4 || !insn->has_modrm)
        return false;
    if (insn->kind == INSN_LEA && insn_reg(insn) == CPU_ESP && insn->addrsize == 4 && insn->mem.base == CPU_ESP
        && insn->mem.index == INSN_NO_REG) {
        *by = insn->mem.disp;
        return *by > -DISP_MAX && *by < DISP_MAX;
    }
    if (insn->kind != INSN_PLAIN || !immediate || insn_mod(insn) != 3 || insn_rm(insn) != CPU_ESP
        || b->live_after[i] & insn->flags_killed)
        return false;
    if (insn_reg(insn) != 0 && insn_reg(insn) != 5)
        return false;
    *by = insn_reg(insn) == 0 ? (int32_t)insn->imm : -(int32_t)insn->imm;
    return *by > -DISP_MAX && *by < DISP_MAX;
}

/* --- collecting --- */

static bool explicit_touch(const struct build *b, const struct insn *insn, struct touch *out)
{
    const struct insn_mem *mem = &insn->mem;

    if (!insn->has_mem || insn->addrsize != 4 || (mem->base == INSN_NO_REG && mem->index == INSN_NO_REG) || mem->size == 0
        || mem->size > 16 || mem->disp <= -DISP_FAR || mem->disp >= DISP_FAR || insn->high_byte)
        return false; /* the operation on a high byte has ESI in use, and the host may fault in a group */
    if (access_segment(b, mem->seg, mem->write) != SEG_FLAT)
        return false;
    switch (insn->kind) {
    case INSN_PLAIN: case INSN_PUSH: case INSN_POP: case INSN_CALL_INDIRECT: case INSN_JMP_INDIRECT:
        *out = (struct touch){ { mem->base, mem->index, mem->index == INSN_NO_REG ? 0 : mem->scale }, mem->disp, mem->size,
                               mem->write, false };
        return true;
    default:
        return false;
    }
}

static bool stack_touch(const struct insn *insn, struct touch *out, int32_t *moves)
{
    switch (insn->kind) {
    case INSN_PUSH: case INSN_CALL: case INSN_CALL_INDIRECT: case INSN_PUSH_SEG: case INSN_PUSHF:
        *out = (struct touch){ esp_alone, -4, 4, true, true };
        *moves = -4;
        return true;
    case INSN_POP: case INSN_RET:
        *out = (struct touch){ esp_alone, 0, 4, false, true };
        *moves = 4;
        return true;
    default:
        return false;
    }
}

static bool fits(const struct group *g, int32_t low, int32_t high)
{
    int64_t new_low = low < g->low ? low : g->low, new_high = high > g->high ? high : g->high;
    return new_high - new_low <= RANGE_MAX;
}

static uint8_t registers_of(struct group_sum sum)
{
    return (uint8_t)((sum.base == INSN_NO_REG ? 0 : 1u << sum.base) | (sum.index == INSN_NO_REG ? 0 : 1u << sum.index));
}

/* The open group that the access may join, or a new one; -1 when there are too many. */
static int find_group(struct analysis *a, unsigned i, const struct touch *touch, int32_t low, int32_t high)
{
    struct build *b = a->b;

    for (unsigned k = 0; k < b->group_count; k++) {
        const struct group *g = &b->groups[k];
        if (a->open >> k & 1 && g->sum.base == touch->sum.base && g->sum.index == touch->sum.index
            && g->sum.scale == touch->sum.scale && fits(g, low, high))
            return (int)k;
    }
    if (b->group_count == GROUPS_MAX)
        return -1;
    a->open |= 1u << b->group_count;
    b->groups[b->group_count] = (struct group){ .sum = touch->sum, .low = low, .high = high, .first = (uint8_t)i,
                                                .esp_moved = a->esp_moved };
    return (int)b->group_count++;
}

static void collect(struct analysis *a, unsigned i, const struct touch *touch)
{
    struct build *b = a->b;
    int32_t low = touch->disp + (touch->sum.base == CPU_ESP ? a->esp_moved : 0), high = low + touch->size;
    int number = find_group(a, i, touch, low, high);
    struct group *g;

    if (number < 0)
        return;
    g = &b->groups[number];
    g->low = low < g->low ? low : g->low;
    g->high = high > g->high ? high : g->high;
    g->write |= touch->write;
    g->count++;
    g->alone = (uint16_t)(g->alone + (b->live_before[i] ? CHECK_FLAGS : CHECK_PLAIN));
    if (touch->stack)
        b->stack_group[i] = (int8_t)number;
    else
        b->memory_group[i] = (int8_t)number;
}

static void forget(struct analysis *a, unsigned i, uint8_t registers)
{
    a->changed[i] = registers;
    for (unsigned k = 0; k < a->b->group_count; k++)
        if (registers_of(a->b->groups[k].sum) & registers)
            a->open &= ~(1u << k);
    if (registers >> CPU_ESP & 1)
        a->esp_moved = 0;
}

static void analyse_insn(struct analysis *a, unsigned i)
{
    struct build *b = a->b;
    const struct insn *insn = &b->insns[i];
    uint8_t written = insn->regs_written;
    struct touch touch;
    int32_t moves = 0, by;
    bool stack = stack_touch(insn, &touch, &moves), pop_memory = insn->kind == INSN_POP && insn->has_mem;
    struct touch explicit;

    a->esp_at[i] = a->esp_moved;
    if (rewrite_is_call(b, insn) || insn->kind == INSN_UNDEFINED) {
        forget(a, i, 0xff);
        return;
    }
    if (!pop_memory && explicit_touch(b, insn, &explicit))
        collect(a, i, &explicit);
    if (stack)
        collect(a, i, &touch);
    if (pop_memory && explicit_touch(b, insn, &explicit)) {
        explicit.disp += explicit.sum.base == CPU_ESP ? 4 : 0;
        collect(a, i, &explicit);
    }
    a->esp_moved += moves;
    if (group_esp_adjust(b, i, &by)) {
        a->esp_moved += by;
        written &= (uint8_t)~(1u << CPU_ESP);
    } else if (stack && !(insn->kind == INSN_POP && !insn->has_mem && insn->opcode_is_gpr && (insn->opcode & 7) == CPU_ESP)) {
        written &= (uint8_t)~(1u << CPU_ESP);
    }
    forget(a, i, written);
}

/* The check has no effect of its own: where flags are live at the first access
 * it is made earlier, at the last instruction where they are dead and the
 * register is the same already. */
static void hoist(const struct analysis *a, struct group *g)
{
    const struct build *b = a->b;
    unsigned i = g->first;

    while (b->live_before[i] && i > 0 && !(a->changed[i - 1] & registers_of(g->sum)))
        i--;
    if (b->live_before[i])
        return;
    g->first = (uint8_t)i;
    g->esp_moved = a->esp_at[i];
}

static bool worth_it(const struct build *b, const struct group *g)
{
    return g->alone > (b->flags_live ? CHECK_FLAGS : CHECK_PLAIN);
}

void group_analyse(struct build *b)
{
    struct analysis a = { .b = b };

    memset(b->memory_group, -1, sizeof b->memory_group);
    memset(b->stack_group, -1, sizeof b->stack_group);
    b->group_count = 0;
    if (b->mode & (MODE_SINGLE | MODE_UNGROUPED) || blocks_groups_useless(b->t, b->block->physical))
        return;
    for (unsigned i = 0; i < b->count; i++)
        analyse_insn(&a, i);
    for (unsigned k = 0; k < b->group_count; k++)
        hoist(&a, &b->groups[k]);
}

/* --- checking --- */

static struct host_mem sum_at(struct group_sum sum, int32_t disp)
{
    return (struct host_mem){ sum.base == INSN_NO_REG ? NO_REG : (int8_t)host_of[sum.base],
                              sum.index == INSN_NO_REG ? NO_REG : (int8_t)host_of[sum.index], sum.scale, disp };
}

static struct host_mem range_end(const struct build *b, const struct group *g, int32_t offset)
{
    return sum_at(g->sum, offset + (g->sum.base == CPU_ESP ? b->esp_delta - g->esp_moved : 0));
}

static struct host_mem verdict(const struct build *b, uint32_t table)
{
    return (struct host_mem){ R12, R10, 0, view_table(b, table) };
}

/* The whole range in one page, and that page in the window: goes on at `inside`.
 * An entry that is there and only not in the window is nothing for C: jumps to
 * where the returned place is made to lead. */
static uint8_t *try_one_page(struct build *b, const struct group *g, uint64_t inside)
{
    struct emit *e = b->cold;
    uint8_t *crosses, *has_entry;

    emit_lea32(e, R9, range_end(b, g, g->low));
    emit_lea32(e, R11, range_end(b, g, g->high - 1));
    emit_xor32(e, R11, R9);
    emit_test32_imm(e, R11, ~(PAGE_SIZE - 1));
    crosses = emit_jcc_later(e, CC_NZ);
    emit_cmp8(e, verdict(b, g->write ? VIEW_WRITE_IN : VIEW_READ_IN), R14);
    emit_jcc(e, CC_Z, inside);
    emit_load64(e, R9, (struct host_mem){ R12, R10, 3, view_table(b, g->write ? VIEW_WRITE : 0) });
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

    emit_lea32(e, R9, range_end(b, g, g->low));
    emit_mov_imm32(e, R11, number);
    emit_jmp(e, b->t->stubs.group);
    *site = (struct site){ .eip = b->insn->eip, .size = (uint16_t)(g->high - g->low), .write = g->write, .block = b->block,
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
    uint64_t inside;

    if (live)
        access_island(b, false);
    emit_lea32(e, R10, range_end(b, g, g->high - 1));
    if (b->t->bmi2)
        emit_shrx32(e, R10, R10, R14);
    else
        emit_shr32_imm(e, R10, PAGE_SHIFT);
    if (live) {
        emit_mov64(e, R11, RCX);
        emit_load8(e, RCX, verdict(b, g->write ? VIEW_WRITE_PAIR : VIEW_READ_PAIR));
        missing = emit_jrcxz_later(e);
        emit_mov64(e, RCX, R11);
        b->exits[b->exit_count++] = (struct short_exit){ missing, emit_pc(b->cold) };
    } else {
        emit_cmp8(e, verdict(b, g->write ? VIEW_WRITE_PAIR : VIEW_READ_PAIR), R14);
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

void group_open(struct build *b, unsigned i)
{
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

struct host_mem group_operand(const struct build *b, int8_t group, int32_t disp)
{
    const struct group *g = &b->groups[group];

    return sum_at(g->sum, disp + (g->sum.base == CPU_ESP ? b->esp_delta : 0));
}
