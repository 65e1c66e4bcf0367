/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Groups: accesses off the same unchanged base and index registers, close
 * together, get one check for all of them (group_check.c); each access is then
 * the operation alone, on [window + register + displacement], or with an index or
 * a large displacement a LEA and the operation. Here they are found. ESP counts
 * as unchanged while its motion is known (PUSH, POP, ADD ESP, constant): within a
 * block it is moved at translation time only, b->esp_delta being what R8 lacks.
 *
 * A register that is known to be small (MOVZX, AND, SHR in the block) widens the
 * range instead of being part of what must stay unchanged; a table at a constant
 * address then has a check of constant pages.
 */
#include <string.h>

#include "x86vm/translate/build.h"
#include "x86vm/translate/rewrite.h"

enum { RANGE_MAX = 1024, BOUNDED_MAX = 2048, DISP_MAX = 0x10000, DISP_FAR = 0x7fff0000 };

/* One access of an instruction: [sum + disp], with ESP as the instruction finds it. */
struct touch { struct group_sum sum; int32_t disp; uint16_t size; bool write, stack, bounded; };

static const struct group_sum esp_alone = { CPU_ESP, INSN_NO_REG, 0 };

struct analysis {
    struct build *b;
    uint32_t open;        /* groups being collected, one bit each */
    uint32_t most[8];     /* a register's value is no more than that */
    int32_t esp_moved;    /* since ESP was last unknown */
    int32_t esp_at[BLOCK_MAX_INSNS];    /* the same before each instruction */
    uint8_t changed[BLOCK_MAX_INSNS];   /* registers unknown behind each instruction; all behind a call into C */
};

bool group_esp_adjust(const struct build *b, unsigned i, int32_t *by)
{
    const struct insn *insn = &b->insns[i];
    bool immediate = insn->opcode == 0x81 || insn->opcode == 0x83;

    if (insn->opcode_length != 1 || (!immediate && insn->opcode != 0x8d) || insn->opsize != 4)
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

enum { EVERYTHING = 0xff }; /* changed by a call into C, mappings too */

/* Takes small registers out of the sum, into the range. */
static void bound_sum(const struct analysis *a, struct touch *touch)
{
    struct group_sum *sum = &touch->sum;
    uint64_t wide = touch->size, by;

    if (sum->index != INSN_NO_REG && (by = (uint64_t)a->most[sum->index] << sum->scale) + wide <= BOUNDED_MAX) {
        wide += by;
        sum->index = INSN_NO_REG;
        sum->scale = 0;
    }
    if (sum->base != INSN_NO_REG && a->most[sum->base] + wide <= BOUNDED_MAX) {
        wide += a->most[sum->base];
        sum->base = INSN_NO_REG;
        if (sum->scale == 0) { /* what is left is one register: alike wherever it stood */
            sum->base = sum->index;
            sum->index = INSN_NO_REG;
        }
    }
    touch->bounded = wide > touch->size;
    touch->size = (uint16_t)wide;
}

static bool explicit_touch(const struct analysis *a, const struct insn *insn, struct touch *out)
{
    const struct build *b = a->b;
    const struct insn_mem *mem = &insn->mem;

    if (!insn->has_mem || insn->addrsize != 4 || (mem->base == INSN_NO_REG && mem->index == INSN_NO_REG) || mem->size == 0
        || mem->size > 16 || mem->disp <= -DISP_FAR || mem->disp >= DISP_FAR || insn->high_byte)
        return false; /* the operation on a high byte has ESI in use, and the host may fault in a group */
    if (access_segment(b, mem->seg, mem->write) != SEG_FLAT)
        return false;
    switch (insn->kind) {
    case INSN_PLAIN: case INSN_PUSH: case INSN_POP: case INSN_CALL_INDIRECT: case INSN_JMP_INDIRECT:
        *out = (struct touch){ { mem->base, mem->index, mem->index == INSN_NO_REG ? 0 : mem->scale }, mem->disp, mem->size,
                               mem->write, false, false };
        bound_sum(a, out);
        return true;
    default:
        return false;
    }
}

static bool stack_touch(const struct insn *insn, struct touch *out, int32_t *moves)
{
    switch (insn->kind) {
    case INSN_PUSH: case INSN_CALL: case INSN_CALL_INDIRECT: case INSN_PUSH_SEG: case INSN_PUSHF:
        *out = (struct touch){ esp_alone, -4, 4, true, true, false };
        *moves = -4;
        return true;
    case INSN_POP: case INSN_RET:
        *out = (struct touch){ esp_alone, 0, 4, false, true, false };
        *moves = 4;
        return true;
    default:
        return false;
    }
}

/* POP ESP, in both encodings: where the stack is then is not known. */
static bool pops_esp(const struct insn *insn)
{
    return insn->kind == INSN_POP && !insn->has_mem && (insn->opcode_is_gpr ? insn->opcode & 7 : insn_rm(insn)) == CPU_ESP;
}

static bool fits(const struct group *g, int32_t low, int32_t high)
{
    int64_t new_low = low < g->low ? low : g->low, new_high = high > g->high ? high : g->high;
    return new_high - new_low <= RANGE_MAX || (low >= g->low && high <= g->high);
}

static uint8_t registers_of(struct group_sum sum)
{
    return (uint8_t)((sum.base == INSN_NO_REG ? 0 : 1u << sum.base) | (sum.index == INSN_NO_REG ? 0 : 1u << sum.index));
}

/* The open group that the access may join, or a new one; -1 when there are too many. */
static int find_group(struct analysis *a, unsigned i, const struct touch *touch, int32_t low, int32_t high)
{
    struct build *b = a->b;

    for (uint32_t open = a->open; open; open &= open - 1) {
        unsigned k = (unsigned)__builtin_ctz(open);
        const struct group *g = &b->groups[k];
        if (g->sum.base == touch->sum.base && g->sum.index == touch->sum.index
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
    g->estimated |= touch->bounded;
    g->alone = (uint16_t)(g->alone + (b->live_before[i] ? GROUP_CHECK_FLAGS : GROUP_CHECK_PLAIN));
    b->constant_range[i] = touch->bounded && group_is_constant(touch->sum);
    if (touch->stack)
        b->stack_group[i] = (int8_t)number;
    else
        b->memory_group[i] = (int8_t)number;
}

static void forget(struct analysis *a, unsigned i, uint8_t registers)
{
    a->changed[i] = registers;
    if (registers == EVERYTHING)
        a->open = 0;
    for (uint32_t open = registers ? a->open : 0; open; open &= open - 1) {
        unsigned k = (unsigned)__builtin_ctz(open);
        if (registers_of(a->b->groups[k].sum) & registers)
            a->open &= ~(1u << k);
    }
    if (registers >> CPU_ESP & 1)
        a->esp_moved = 0;
}

/* C ran, or a program's function. */
static void forget_everything(struct analysis *a, unsigned i)
{
    forget(a, i, EVERYTHING);
    memset(a->most, 0xff, sizeof a->most);
}

static uint32_t at_most(uint64_t value) { return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX; }

/* The largest number with as many bits. */
static uint32_t ones(uint32_t value) { return value ? UINT32_MAX >> __builtin_clz(value) : 0; }

/* The sum of registers and a constant that LEA leaves at most. */
static uint32_t most_of_lea(const struct analysis *a, const struct insn_mem *mem)
{
    uint64_t most = (uint32_t)mem->disp;

    if (mem->base != INSN_NO_REG)
        most += a->most[mem->base];
    if (mem->index != INSN_NO_REG)
        most += (uint64_t)a->most[mem->index] << mem->scale;
    return at_most(most);
}

/* What an instruction on registers leaves in the one it writes at most, in 32-bit code. */
static uint32_t most_after(const struct analysis *a, const struct insn *insn, unsigned *reg)
{
    bool two = insn->has_modrm && !insn->has_mem;
    unsigned rm = insn_rm(insn);
    uint32_t most = a->most[rm];

    *reg = rm;
    if (insn->opcode_length == 2) {
        *reg = insn_reg(insn);
        return insn->opcode == 0xb6 ? 0xff : insn->opcode == 0xb7 ? 0xffff : UINT32_MAX; /* MOVZX */
    }
    if (two && (insn->opcode == 0x81 || insn->opcode == 0x83) && insn_reg(insn) == 4) /* AND */
        return insn->imm < most ? insn->imm : most;
    if (insn->opcode == 0x25) { /* AND EAX */
        *reg = CPU_EAX;
        return insn->imm < a->most[CPU_EAX] ? insn->imm : a->most[CPU_EAX];
    }
    if (two && insn->opcode == 0xc1 && insn_reg(insn) == 5) /* SHR */
        return most >> (insn->imm & 31);
    if (two && insn->opcode == 0xc1 && insn_reg(insn) == 4) /* SHL */
        return at_most((uint64_t)most << (insn->imm & 31));
    if (two && (insn->opcode == 0x0b || insn->opcode == 0x09)) { /* OR */
        *reg = insn->opcode == 0x0b ? insn_reg(insn) : rm;
        return ones(most | a->most[insn_reg(insn)]);
    }
    if (two && (insn->opcode == 0x03 || insn->opcode == 0x01)) { /* ADD */
        *reg = insn->opcode == 0x03 ? insn_reg(insn) : rm;
        return at_most((uint64_t)most + a->most[insn_reg(insn)]);
    }
    if (two && (insn->opcode == 0x33 || insn->opcode == 0x31) && insn_reg(insn) == rm) /* XOR */
        return 0;
    if (two && insn->opcode == 0x8b) { /* MOV */
        *reg = insn_reg(insn);
        return most;
    }
    if (two && insn->opcode == 0x89) {
        *reg = rm;
        return a->most[insn_reg(insn)];
    }
    return UINT32_MAX;
}

static void bound_registers(struct analysis *a, const struct insn *insn)
{
    bool wide = a->b->mode & MODE_CODE32 && insn->kind == INSN_PLAIN && insn->unit == INSN_UNIT_INTEGER && insn->opsize == 4
                && !insn->copy_66 && !insn->mandatory && insn->opcode_length <= 2;
    unsigned reg = CPU_ESP;
    uint32_t most = wide ? most_after(a, insn, &reg) : UINT32_MAX;

    if (insn->kind == INSN_LEA && insn->addrsize == 4 && insn->opsize == 4) {
        reg = insn_reg(insn);
        most = most_of_lea(a, &insn->mem);
    }
    for (unsigned written = insn->regs_written; written; written &= written - 1) {
        unsigned k = (unsigned)__builtin_ctz(written);
        a->most[k] = k == reg && k != CPU_ESP ? most : UINT32_MAX;
    }
}

static void analyse_insn(struct analysis *a, unsigned i)
{
    struct build *b = a->b;
    const struct insn *insn = &b->insns[i];
    uint8_t written = insn->regs_written;
    struct touch touch;
    int32_t moves = 0, by;
    bool bare = b->mode & MODE_BARE && !build_bare_useless(b, insn);
    bool stack = stack_touch(insn, &touch, &moves), pop_memory = insn->kind == INSN_POP && insn->has_mem;
    struct touch explicit;

    a->esp_at[i] = a->esp_moved;
    if (rewrite_is_call(b, insn) || insn->kind == INSN_UNDEFINED) {
        forget_everything(a, i);
        return;
    }
    if (!bare && !pop_memory && explicit_touch(a, insn, &explicit))
        collect(a, i, &explicit);
    if (!bare && stack)
        collect(a, i, &touch);
    if (!bare && pop_memory && explicit_touch(a, insn, &explicit)) {
        explicit.disp += explicit.sum.base == CPU_ESP ? 4 : 0;
        collect(a, i, &explicit);
    }
    a->esp_moved += moves;
    if (group_esp_adjust(b, i, &by)) {
        a->esp_moved += by;
        written &= (uint8_t)~(1u << CPU_ESP);
    } else if (stack && !pops_esp(insn)) {
        written &= (uint8_t)~(1u << CPU_ESP);
    }
    bound_registers(a, insn);
    forget(a, i, written);
    if (b->pc_calls[i])
        a->esp_moved += pc_calls_esp(b, i);
    else if (insn->kind == INSN_CALL || insn->kind == INSN_CALL_INDIRECT)
        forget_everything(a, i);
}

/* The check has no effect of its own: where flags are live at the first access
 * it is made earlier, at the last instruction where they are dead and the
 * register is the same already. */
static void hoist(const struct analysis *a, struct group *g)
{
    const struct build *b = a->b;
    unsigned i = g->first;

    while (b->live_before[i] && i > 0 && a->changed[i - 1] != EVERYTHING && !(a->changed[i - 1] & registers_of(g->sum)))
        i--;
    if (b->live_before[i])
        return;
    g->first = (uint8_t)i;
    g->esp_moved = a->esp_at[i];
}

/* Whether no access has a check of its own. */
static bool all_bare(const struct build *b)
{
    if (!(b->mode & MODE_BARE))
        return false;
    for (unsigned i = 0; i < b->count; i++)
        if (build_bare_useless(b, &b->insns[i]))
            return false;
    return true;
}

void group_analyse(struct build *b)
{
    struct analysis a;

    memset(b->memory_group, -1, b->count);
    memset(b->stack_group, -1, b->count);
    memset(b->constant_range, 0, b->count);
    b->group_count = 0;
    b->groups_begin = 0;
    if (b->mode & (MODE_SINGLE | MODE_UNGROUPED) || patience_groups_useless(b->t, b->block->physical) || all_bare(b))
        return;
    a.b = b;
    a.open = 0;
    a.esp_moved = 0;
    memset(a.most, 0xff, sizeof a.most);
    for (unsigned i = 0; i < b->count; i++)
        analyse_insn(&a, i);
    for (unsigned k = 0; k < b->group_count; k++) {
        hoist(&a, &b->groups[k]);
        b->groups_begin |= 1ull << b->groups[k].first;
    }
}
