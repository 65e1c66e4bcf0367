/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Builds one block: decodes guest code up to the next jump out, the page's
 * end or BLOCK_MAX_INSNS; finds out where the guest's flags are live; emits
 * prologues and instructions. A block goes on past conditional jumps, and past
 * calls where the RET comes back by the shadow stack. An
 * instruction that straddles two pages is a block of its own, guarded on entry
 * by the second page's mapping.
 */
#include <string.h>

#include "x86vm/translate/build.h"
#include "x86vm/translate/cache.h"
#include "x86vm/translate/count.h"
#include "x86vm/translate/moves.h"
#include "x86vm/translate/transition.h"

/* --- fetching and decoding --- */

struct fetch {
    const uint8_t *page;   /* host address of the first page's byte 0 */
    uint32_t offset;       /* of the block's first byte in it */
    uint32_t eip;          /* of the block */
    uint32_t limit;        /* CS limit */
    enum insn_mode mode;
};

static bool beyond_limit(const struct fetch *f, const struct insn *insn)
{
    return insn->eip > f->limit || f->limit - insn->eip < (uint32_t)insn->length - 1;
}

/* The only instruction of a straddling block; faults of the second page are the guest's, but that
 * page is not looked at where the segment ends before it. */
static void fetch_straddling(struct build *b, const struct fetch *f, struct insn *insn)
{
    struct cpu *cpu = translator_cpu(b->t);
    uint8_t bytes[INSN_MAX_LENGTH];
    uint32_t here = PAGE_SIZE - f->offset, physical;
    uint32_t next = (cpu->seg_base[CPU_CS] + f->eip + here) & ~(PAGE_SIZE - 1);
    uint64_t addend;

    if (f->eip > f->limit || f->limit - f->eip < here)
        cpu_fault_error(cpu, VEC_GP, 0);
    addend = view_fill(cpu, next, VIEW_FOR_EXEC, &physical);
    if (!addend)
        cpu_fault(cpu, VEC_UD); /* code in device memory is not supported */
    memcpy(bytes, f->page + f->offset, here);
    memcpy(bytes + here, (const uint8_t *)(uintptr_t)(addend + next), INSN_MAX_LENGTH - here);
    if (insn_decode(insn, bytes, INSN_MAX_LENGTH, f->eip, f->mode) != INSN_OK)
        cpu_fault_error(cpu, VEC_GP, 0);
    b->block->other_page = physical >> PAGE_SHIFT;
    b->block->other_end = (uint16_t)(insn->length - here);
}

static bool is_near_call(const struct insn *insn)
{
    return insn->kind == INSN_CALL || insn->kind == INSN_CALL_INDIRECT;
}

static bool ends_block(const struct build *b, const struct insn *insn)
{
    return is_near_call(insn) ? !rewrite_comes_back(b) : insn_ends_block(insn) || transition_ends_block(b, insn);
}

static bool uses_gs(const struct insn *insn)
{
    for (unsigned p = 0; p < insn->opcode_offset; p++)
        if (insn->bytes[p] == 0x65)
            return true;
    return false;
}

/* A kernel runs with whatever GS its user left: its blocks must not depend on
 * it, and one that does must not be come back to (rewrite_flow.c). So it ends
 * before the first use of GS that a call stands before. */
static bool gs_after_call(const struct build *b, const struct insn *insn, bool called)
{
    return called && !(b->mode & MODE_USER) && uses_gs(insn);
}

/* What stands behind bytes that are no instruction, on this page: as much as one can have. */
static uint32_t behind_none(uint32_t offset)
{
    return offset + INSN_MAX_LENGTH < PAGE_SIZE ? offset + INSN_MAX_LENGTH : PAGE_SIZE;
}

static void decode_block(struct build *b, const struct fetch *f)
{
    struct cpu *cpu = translator_cpu(b->t);
    unsigned partial = (b->mode & MODE_PARTIAL) >> MODE_PARTIAL_SHIFT;
    unsigned most = b->mode & MODE_SINGLE ? 1 : partial ? partial : BLOCK_MAX_INSNS;
    uint32_t offset = f->offset, eip = f->eip, none = 0;
    bool called = false;

    while (b->count < most && offset < PAGE_SIZE) {
        struct insn *insn = &b->insns[b->count];
        enum insn_status status = insn_decode(insn, f->page + offset, PAGE_SIZE - offset, eip, f->mode);
        if (status != INSN_OK) {
            none = behind_none(offset);
            if (b->count)
                break;
            if (status == INSN_TOO_LONG)
                cpu_fault_error(cpu, VEC_GP, 0);
            fetch_straddling(b, f, insn);
        }
        if (beyond_limit(f, insn)) {
            if (b->count)
                break;
            cpu_fault_error(cpu, VEC_GP, 0);
        }
        if (gs_after_call(b, insn, called))
            break;
        pc_calls_find(b, insn);
        b->count++;
        offset += insn->length;
        eip += insn->length; /* IP does not wrap by itself, in 16-bit code either */
        if (ends_block(b, insn))
            break;
        called |= is_near_call(insn);
    }
    b->block->length = (uint16_t)(offset - f->offset);
    b->block->insn_count = (uint16_t)b->count;
    b->end_eip = eip;
    b->block->depends_start = (uint16_t)f->offset;
    if (block_straddles(b->block) && b->block->other_page == b->block->physical >> PAGE_SHIFT)
        b->block->depends_start = 0; /* the same page twice in a row */
    b->block->depends_end = (uint16_t)(none ? none : offset < PAGE_SIZE ? offset : PAGE_SIZE);
    pc_calls_depend(b);
}

/* --- flag liveness --- */

/* No exception can come of it, so nobody sees the flags in front of it. */
static bool cannot_fault(const struct insn *insn)
{
    bool division = insn->opcode_length == 1 && (insn->opcode == 0xf6 || insn->opcode == 0xf7) && insn_reg(insn) >= 6;

    if (insn->kind == INSN_NOP || insn->kind == INSN_LEA)
        return true;
    return insn->kind == INSN_PLAIN && insn->unit == INSN_UNIT_INTEGER && !insn->has_mem && !division;
}

/* An exception's frame has all flags, and so has an interrupt's, which comes
 * between blocks: only between two instructions that cannot fault are any dead. */
static void find_live_flags(struct build *b)
{
    uint32_t live = FLAGS_ARITH;

    for (unsigned i = b->count; i-- > 0;) {
        const struct insn *insn = &b->insns[i];
        b->live_after[i] = live;
        live = cannot_fault(insn) ? (live & ~insn->flags_killed) | insn->flags_read : FLAGS_ARITH;
        b->live_before[i] = live;
    }
}

/* --- prologues --- */

static void emit_leave_to(struct build *b, uint32_t eip, uint64_t stub)
{
    emit_store32_imm(b->cold, CPU_MEM(eip), eip);
    emit_mark(b->cold, MARK_EIP, eip);
    emit_jmp(b->cold, stub);
}

uint8_t *build_emit_expected(struct emit *e, struct host_mem word, uint32_t expected)
{
    uint8_t *ok, *out;

    emit_mov64(e, R11, RCX);
    emit_load32(e, RCX, word);
    emit_mark(e, MARK_PAGE, (uint32_t)word.disp);
    if (expected)
        emit_lea32(e, RCX, mem_at(RCX, (int32_t)-expected));
    emit_mark(e, MARK_EIP, -expected);
    ok = emit_jecxz_later(e);
    emit_mov64(e, RCX, R11);
    out = emit_jmp_later(e);
    emit_patch8(e, ok);
    emit_mov64(e, RCX, R11);
    return out;
}

/* Goes on when the 32-bit word of the page's entry less `expected` is zero, else to
 * `stub` with EIP set. */
static void emit_guard(struct build *b, struct emit *e, struct host_mem word, uint32_t expected, uint64_t stub)
{
    uint8_t *out = build_emit_expected(e, word, expected);

    if (e != b->cold) {
        emit_patch32(out, e->to_exec, emit_pc(b->cold));
        emit_leave_to(b, b->block->eip, stub);
        return;
    }
    /* In the cold part itself: the way out lies behind a jump over it. */
    uint8_t *over = emit_jmp_later(e);
    emit_patch32(out, e->to_exec, emit_pc(e));
    emit_leave_to(b, b->block->eip, stub);
    emit_patch32(over, e->to_exec, emit_pc(e));
}

/* The low half of the addend tells one page from another, and from none where it is not 0. */
static void emit_second_guard(struct build *b, uint32_t linear, uint64_t addend)
{
    struct host_mem entry = build_exec_entry(b, linear), high = mem_at(R12, entry.disp + 4);

    emit_guard(b, b->hot, entry, (uint32_t)addend, b->t->stubs.next);
    if ((uint32_t)addend == 0)
        emit_guard(b, b->hot, high, (uint32_t)(addend >> 32), b->t->stubs.next);
}

static void emit_prologues(struct build *b, uint32_t linear, bool straddles, uint32_t addend, uint64_t second_addend)
{
    struct block *block = b->block;

    block->entry = emit_pc(b->hot);
    block->cold_at = (uint32_t)(b->cold->p - b->t->cache_rw);
    if (straddles)
        emit_second_guard(b, linear + PAGE_SIZE, second_addend);
    if (b->t->counting)
        count_emit_charge(b);
    if (addend) {
        block->guard_entry = emit_pc(b->cold);
        emit_guard(b, b->cold, build_exec_entry(b, linear), addend, b->t->stubs.next);
        emit_jmp(b->cold, block->entry);
    }
}

/* --- putting it together --- */

static bool falls_through(const struct insn *last)
{
    switch (last->kind) {
    case INSN_JMP: case INSN_JMP_INDIRECT: case INSN_CALL: case INSN_CALL_INDIRECT: case INSN_RET: case INSN_LOOP:
        return false;
    default:
        return true;
    }
}

static uint32_t mode_mask(const struct build *b)
{
    bool depends = translator_cpu(b->t)->cpl == 3;

    for (unsigned i = 0; i < b->count && !depends; i++)
        depends = uses_gs(&b->insns[i]);
    return depends ? ~0u : ~MODE_GS;
}

static void emit_block(struct build *b)
{
    const struct insn *last = &b->insns[b->count - 1];
    uint32_t next = last->eip + last->length;

    for (unsigned i = 0; i < b->count; i++)
        rewrite_insn(b, i);
    if (falls_through(last))
        rewrite_jump(b, next);
    access_island(b, true);
}

static void note_eips(struct build *b)
{
    b->block->eips = cache_alloc(b->t, b->count * sizeof *b->block->eips);
    for (unsigned i = 0; i < b->count; i++)
        b->block->eips[i] = b->insns[i].eip;
}

/* view_fill(), which walks the guest's tables, only where the entry is missing. */
static uint64_t executable_page(struct translator *t, uint32_t linear, uint32_t *physical)
{
    struct cpu *cpu = translator_cpu(t);
    uint64_t addend = cpu->tables[VIEW_EXEC / 8 + (linear >> PAGE_SHIFT)];

    if (!addend)
        return view_fill(cpu, linear, VIEW_FOR_EXEC, physical);
    *physical = (uint32_t)(addend + linear - (uint64_t)(uintptr_t)t->ram);
    return addend;
}

/* All but the arrays, which are large and filled in step by step. */
static void begin(struct build *b, struct translator *t, uint32_t mode, struct block *draft)
{
    memset(b, 0, offsetof(struct build, insns));
    b->t = t;
    b->hot = &t->hot;
    b->cold = &t->cold;
    b->mode = mode;
    b->block = draft;
}

static struct block *try_block(struct translator *t, uint32_t eip, uint32_t mode)
{
    struct cpu *cpu = translator_cpu(t);
    uint32_t linear = cpu->seg_base[CPU_CS] + eip, physical;
    uint64_t addend = executable_page(t, linear, &physical), second = 0;
    struct block draft = { .eip = eip, .physical = physical, .other_page = physical >> PAGE_SHIFT,
                           .cs_base = cpu->seg_base[CPU_CS], .cs_limit = cpu->seg[CPU_CS].limit, .mode = mode };
    struct block *copy;
    struct build b;
    struct fetch f = { .page = (const uint8_t *)(uintptr_t)(addend + (linear & ~(PAGE_SIZE - 1))), .offset = linear & (PAGE_SIZE - 1),
                       .eip = eip, .limit = cpu->seg[CPU_CS].limit, .mode = mode & MODE_CODE32 ? INSN_MODE_32 : INSN_MODE_16 };
    uint32_t hot_rows, cold_rows;
    bool straddles;

    if (!addend)
        cpu_fault(cpu, VEC_UD); /* code in device memory is not supported */
    if (blocks_full(t, physical))
        return NULL;
    if ((copy = moves_make(t, &draft)))
        return copy;
    begin(&b, t, mode, &draft);
    decode_block(&b, &f);
    straddles = block_straddles(&draft);
    if (straddles)
        second = view_fill(cpu, linear + PAGE_SIZE, VIEW_FOR_EXEC, &physical);
    b.block = cache_alloc(t, sizeof *b.block); /* no guest exception from here on: it would be lost */
    *b.block = draft;
    b.block->mode_mask = mode_mask(&b);
    if (t->counting)
        note_eips(&b);
    find_live_flags(&b);
    b.insn = &b.insns[0];
    group_analyse(&b);
    emit_align(&t->hot, BLOCK_ALIGN);
    hot_rows = blocks_map_hot_begin(t, eip);
    cold_rows = blocks_map_cold_begin(t, eip);
    b.block->first_link = t->links.count;
    moves_begin(&b);
    emit_prologues(&b, linear, straddles, (uint32_t)addend, second);
    emit_block(&b);
    if (t->hot.overflow || t->cold.overflow)
        return NULL;
    b.block->link_count = t->links.count - b.block->first_link;
    moves_note(&b, hot_rows, cold_rows);
    blocks_add(t, b.block);
    return b.block;
}

/* A short exit that does not reach its island overflows like a full cache; but
 * a flush would not help. Without BMI2 there are no short exits. */
struct block *build_one_block(struct translator *t, uint32_t eip, uint32_t mode)
{
    const struct emit hot = t->hot, cold = t->cold;
    const struct code_map_end hot_rows = t->hot_map.end, cold_rows = t->cold_map.end;
    const bool bmi2 = t->bmi2;
    struct block *block = try_block(t, eip, mode);

    if (block || !(t->hot.overflow || t->cold.overflow))
        return block;
    t->hot = hot;
    t->cold = cold;
    code_map_rewind(&t->hot_map, &hot_rows);
    code_map_rewind(&t->cold_map, &cold_rows);
    t->bmi2 = false;
    block = try_block(t, eip, mode);
    t->bmi2 = bmi2;
    return block;
}

struct block *build_block(struct translator *t, uint32_t eip, uint32_t mode)
{
    struct block *block = build_one_block(t, eip, mode);

    if (block)
        moves_follow(t, block);
    return block;
}
