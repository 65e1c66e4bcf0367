/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Groups: accesses off the same unchanged base register, close together, get
 * one check for all of them, which leaves the page's addend in
 * cpu->group_addend[]; each access is then a load of that addend and
 * the operation. ESP counts as unchanged while its motion is known (PUSH, POP,
 * ADD ESP, constant): within a block it is moved at translation time only,
 * b->esp_delta being what R8 lacks.
 *
 * The check is exact: the whole range lies in one page whose entry is there.
 * Where it does not hold, the block is left and run from that instruction on by
 * a translation without groups (MODE_UNGROUPED). The address is not wrapped at
 * 4 GiB; an access that would wrap reaches the reserved space beside guest RAM,
 * and its host fault has the same end.
 */
#include "x86vm/translate/build.h"
#include "x86vm/translate/rewrite.h"

enum { RANGE_MAX = 256, DISP_MAX = 0x10000 };

/* Host instructions: an access's own check, and a group's, with flags dead and
 * live; what each access of a group still needs. */
enum { ALONE_PLAIN = 6, ALONE_FLAGS = 12, GROUP_PLAIN = 9, GROUP_FLAGS = 14, GROUP_ACCESS = 1 };

/* One access of an instruction: [reg + disp], with ESP as the instruction finds it. */
struct touch { uint8_t reg; int32_t disp; uint16_t size; bool write, stack; };

struct analysis {
    struct build *b;
    int8_t open[8];       /* group being collected for each register, -1: none */
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

    if (!insn->has_mem || insn->addrsize != 4 || mem->base == INSN_NO_REG || mem->index != INSN_NO_REG || mem->size == 0
        || mem->size > 16 || mem->disp <= -DISP_MAX || mem->disp >= DISP_MAX)
        return false;
    if (access_segment(b, mem->seg, mem->write) != SEG_FLAT)
        return false;
    switch (insn->kind) {
    case INSN_PLAIN: case INSN_PUSH: case INSN_POP: case INSN_CALL_INDIRECT: case INSN_JMP_INDIRECT:
        *out = (struct touch){ mem->base, mem->disp, mem->size, mem->write, false };
        return true;
    default:
        return false;
    }
}

static bool stack_touch(const struct insn *insn, struct touch *out, int32_t *moves)
{
    switch (insn->kind) {
    case INSN_PUSH: case INSN_CALL: case INSN_CALL_INDIRECT: case INSN_PUSH_SEG: case INSN_PUSHF:
        *out = (struct touch){ CPU_ESP, -4, 4, true, true };
        *moves = -4;
        return true;
    case INSN_POP: case INSN_RET:
        *out = (struct touch){ CPU_ESP, 0, 4, false, true };
        *moves = 4;
        return true;
    default:
        return false;
    }
}

static bool fits(const struct group *g, int32_t low, int32_t high)
{
    int32_t new_low = low < g->low ? low : g->low, new_high = high > g->high ? high : g->high;
    return new_high - new_low <= RANGE_MAX;
}

static void collect(struct analysis *a, unsigned i, const struct touch *touch)
{
    struct build *b = a->b;
    int32_t low = touch->disp + (touch->reg == CPU_ESP ? a->esp_moved : 0), high = low + touch->size;
    int8_t *open = &a->open[touch->reg];
    struct group *g;

    if (*open >= 0 && !fits(&b->groups[*open], low, high))
        *open = -1;
    if (*open < 0) {
        if (b->group_count == GROUPS_MAX)
            return;
        *open = (int8_t)b->group_count++;
        b->groups[*open] = (struct group){ .reg = touch->reg, .low = low, .high = high, .first = (uint8_t)i,
                                           .esp_moved = a->esp_moved };
    }
    g = &b->groups[*open];
    g->low = low < g->low ? low : g->low;
    g->high = high > g->high ? high : g->high;
    g->write |= touch->write;
    g->count++;
    g->alone = (uint16_t)(g->alone + (b->live_before[i] ? ALONE_FLAGS : ALONE_PLAIN));
    if (touch->stack)
        b->stack_group[i] = *open;
    else
        b->memory_group[i] = *open;
}

static void forget(struct analysis *a, unsigned i, uint8_t registers)
{
    a->changed[i] = registers;
    for (unsigned reg = 0; reg < 8; reg++)
        if (registers >> reg & 1)
            a->open[reg] = -1;
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
        explicit.disp += explicit.reg == CPU_ESP ? 4 : 0;
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

    while (b->live_before[i] && i > 0 && !(a->changed[i - 1] >> g->reg & 1))
        i--;
    if (b->live_before[i])
        return;
    g->first = (uint8_t)i;
    g->esp_moved = a->esp_at[i];
}

static bool worth_it(const struct build *b, const struct group *g)
{
    return g->alone > (b->flags_live ? GROUP_FLAGS : GROUP_PLAIN) + GROUP_ACCESS * g->count;
}

void group_analyse(struct build *b)
{
    struct analysis a = { .b = b, .open = { -1, -1, -1, -1, -1, -1, -1, -1 } };

    for (unsigned i = 0; i < b->count; i++)
        b->memory_group[i] = b->stack_group[i] = -1;
    if (b->mode & (MODE_SINGLE | MODE_UNGROUPED) || blocks_groups_useless(b->t, b->block->physical))
        return;
    for (unsigned i = 0; i < b->count; i++)
        analyse_insn(&a, i);
    for (unsigned k = 0; k < b->group_count; k++)
        hoist(&a, &b->groups[k]);
}

/* --- checking --- */

_Static_assert(sizeof(((struct cpu *)0)->group_addend) / 8 == GROUPS_MAX, "one for each group of a block");

static struct host_mem slot_of(const struct build *b, const struct group *g)
{
    return cpu_member(offsetof(struct cpu, group_addend) + 8 * (size_t)(g - b->groups));
}

static struct host_mem range_end(const struct build *b, const struct group *g, int32_t offset)
{
    int32_t disp = offset + (g->reg == CPU_ESP ? b->esp_delta - g->esp_moved : 0);
    return mem_at(host_of[g->reg], disp);
}

static struct host_mem entry_by_r10(const struct group *g)
{
    return (struct host_mem){ R12, R10, 3, g->write ? VIEW_WRITE : 0 };
}

static void cold_settle(struct build *b, bool rcx_in_r13)
{
    blocks_map_cold(b->t, b->insn->eip, b->esp_delta);
    if (rcx_in_r13)
        emit_mov64(b->cold, RCX, R13);
    if (b->esp_delta)
        emit_lea32(b->cold, R8, mem_at(R8, b->esp_delta));
}

/* The range lies in two pages: goes on in a translation without groups, linked
 * like any jump. */
static void cold_crossing(struct build *b, uint8_t *from, bool rcx_in_r13)
{
    emit_patch32(from, b->hot->to_exec, emit_pc(b->cold));
    cold_settle(b, rcx_in_r13);
    rewrite_cold_jump(b, b->insn->eip);
}

/* No entry: C fills it and comes back to `again`, or leaves. */
static void cold_missing(struct build *b, const struct group *g, uint64_t again, bool rcx_in_r13)
{
    struct emit *e = b->cold;
    struct site *site;
    uint32_t number = blocks_new_site(b->t, &site);

    cold_settle(b, rcx_in_r13);
    emit_mov_imm32(e, R11, number);
    emit_jmp(e, b->t->stubs.group);
    *site = (struct site){ .eip = b->insn->eip, .size = (uint16_t)(g->high - g->low), .write = g->write, .block = b->block,
                           .hot = emit_pc(e) };
    if (b->esp_delta)
        emit_lea32(e, R8, mem_at(R8, -b->esp_delta));
    emit_jmp(e, again);
}

static void check_plainly(struct build *b, const struct group *g)
{
    struct emit *e = b->hot;
    uint64_t again = emit_pc(e);
    uint8_t *crosses, *missing;

    emit_lea32(e, R9, range_end(b, g, g->low));
    emit_lea32(e, R11, range_end(b, g, g->high - 1));
    if (b->t->bmi2) {
        emit_shrx32(e, R10, R9, R14);
    } else {
        emit_mov32(e, R10, R9);
        emit_shr32_imm(e, R10, PAGE_SHIFT);
    }
    emit_xor32(e, R11, R9);
    emit_load64(e, R10, entry_by_r10(g));
    emit_test32_imm(e, R11, ~(PAGE_SIZE - 1));
    crosses = emit_jcc_later(e, CC_NZ);
    emit_test64(e, R10, R10);
    missing = emit_jcc_later(e, CC_Z);
    emit_store64(e, slot_of(b, g), R10);
    b->r10_holds = (int8_t)(g - b->groups);
    cold_crossing(b, crosses, false);
    emit_patch32(missing, e->to_exec, emit_pc(b->cold));
    cold_missing(b, g, again, false);
}

static void check_keeping_flags(struct build *b, const struct group *g)
{
    struct emit *e = b->hot;
    uint64_t again;
    uint8_t *same, *crosses, *missing;

    access_island(b, false);
    again = emit_pc(e);
    emit_lea32(e, R9, range_end(b, g, g->low));
    emit_lea32(e, R11, range_end(b, g, g->high - 1));
    emit_shrx32(e, R10, R9, R14);
    emit_shrx32(e, R11, R11, R14);
    emit_not32(e, R11);
    emit_mov64(e, R13, RCX);
    emit_lea32(e, RCX, (struct host_mem){ R10, R11, 0, 1 });
    same = emit_jecxz_later(e);
    crosses = emit_jmp_later(e);
    emit_patch8(e, same);
    emit_load64(e, RCX, entry_by_r10(g));
    missing = emit_jrcxz_later(e);
    emit_store64(e, slot_of(b, g), RCX);
    emit_mov64(e, R10, RCX);
    emit_mov64(e, RCX, R13);
    b->r10_holds = (int8_t)(g - b->groups);
    cold_crossing(b, crosses, true);
    b->exits[b->exit_count++] = (struct short_exit){ missing, emit_pc(b->cold) };
    cold_missing(b, g, again, true);
    access_island(b, false);
}

void group_open(struct build *b, unsigned i)
{
    for (unsigned k = 0; k < b->group_count; k++) {
        struct group *g = &b->groups[k];
        if (g->first != i || !worth_it(b, g) || (b->flags_live && !b->t->bmi2))
            continue;
        if (b->flags_live)
            check_keeping_flags(b, g);
        else
            check_plainly(b, g);
        g->ready = true;
    }
}

bool group_covers(const struct build *b, int8_t group)
{
    return group >= 0 && b->groups[group].ready;
}

struct host_mem group_operand(struct build *b, int8_t group, int32_t disp)
{
    const struct group *g = &b->groups[group];

    if (b->r10_holds != group)
        emit_load64(b->hot, R10, slot_of(b, g));
    b->r10_holds = group;
    return (struct host_mem){ R10, (int8_t)host_of[g->reg], 0, disp + (g->reg == CPU_ESP ? b->esp_delta : 0) };
}
