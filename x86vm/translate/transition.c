/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Transitions: see transition.h.
 */
#include "x86vm/translate/transition.h"

#include "x86vm/cpu/x87.h"

#include "x86vm/translate/calls.h"
#include "x86vm/translate/operand.h"
#include "x86vm/translate/rewrite.h"

enum { DESCRIPTOR_SIZE = 8, SELECTOR_IN_LDT = 4, KEPT_RCX = 3 /* of cpu->scratch */ };

_Static_assert(sizeof(struct cpu_segment) == 12, "copied as 8 and 4 bytes, two of them as 3 times 8");

/* --- the C side --- */

void transition_note(struct translator *t, int which)
{
    t->noted = which;
    t->noted_key = translator_cpu(t)->lookup_key;
    t->noted_mode = t->area->mode;
}

void transition_note_load(struct translator *t, enum cpu_seg seg)
{
    const struct cpu *cpu = translator_cpu(t);
    uint16_t selector = cpu->seg[seg].selector;

    if ((seg == CPU_DS || seg == CPU_ES || seg == CPU_FS) && cpu->cpl == 0 && !(selector & SELECTOR_IN_LDT)
        && (selector > 3 || selector == 0))
        transition_note(t, TRANSITION_LOAD + 2 * (int)seg + (selector != 0));
}

void transition_forget(struct translator *t)
{
    for (unsigned i = 0; i < TRANSITION_COUNT; i++)
        t->area->transition[i].negated_key = 1; /* no key sums to zero with it */
    t->noted = -1;
}

static bool keep_descriptor(struct translator *t, struct transition *m, uint16_t selector)
{
    struct cpu *cpu = translator_cpu(t);
    uint64_t descriptor = 0;

    m->negated_selector = -(uint32_t)selector;
    m->linear = cpu->gdtr.base + (selector & 0xfff8u);
    if ((m->linear & (PAGE_SIZE - 1)) + DESCRIPTOR_SIZE > PAGE_SIZE)
        return false;
    if (selector)
        view_read(cpu, m->linear, &descriptor, sizeof descriptor, false);
    m->negated_descriptor = -descriptor;
    return true;
}

void transition_complete(struct translator *t)
{
    struct cpu *cpu = translator_cpu(t);
    struct transition *m = &t->area->transition[t->noted];
    int which = t->noted;

    t->noted = -1;
    m->negated_key = 1;
    if ((cpu->lookup_key | t->noted_key) & LOOKUP_POISON || cpu->mode_dirty || cpu_checks_alignment(cpu))
        return;
    m->negated_mode = -t->noted_mode;
    m->negated_epoch = -t->area->key_epoch[which == TRANSITION_SYSEXIT];
    m->key = cpu->lookup_key;
    m->mode = t->area->mode;
    m->tables = cpu->tables;
    m->shadow_reset = t->shadow.reset[cpu->cpl == 3 ? SHADOW_USER : SHADOW_SUPERVISOR];
    m->bare = cpu->bare;
    m->negated_bare = -(uint64_t)(uintptr_t)cpu->bare;
    if (which < TRANSITION_LOAD) {
        m->seg[0] = cpu->seg[CPU_CS];
        m->seg[1] = cpu->seg[CPU_SS];
    } else {
        unsigned seg = (unsigned)(which - TRANSITION_LOAD) / 2;

        m->seg[0] = cpu->seg[seg];
        if (!keep_descriptor(t, m, cpu->seg[seg].selector) || (seg != CPU_FS && m->key != t->noted_key))
            return; /* DS and ES go on in their block */
    }
    m->negated_key = -t->noted_key;
}

/* --- emitted code --- */

static enum cpu_seg loaded_segment(const struct insn *insn)
{
    if (insn->kind == INSN_MOV_TO_SEG)
        return insn_reg(insn);
    return insn->opcode_length == 2 ? (insn->opcode >= 0xa8 ? CPU_GS : CPU_FS) : insn->opcode >> 3 & 3u;
}

bool transition_inline(const struct build *b, const struct insn *insn)
{
    bool alone = b->mode & (MODE_SINGLE | MODE_PARTIAL) || b->t->counting || !b->t->bmi2;
    bool kernel = b->mode & MODE_CPL0 && b->mode & MODE_CODE32;
    bool stack32 = b->mode & MODE_STACK32 && mode_seg(b->mode, CPU_SS) == SEG_FLAT && insn->opsize == 4;

    if (alone)
        return false;
    switch (insn->kind) {
    case INSN_SYSENTER:
        return !(b->mode & MODE_CPL0);
    case INSN_SYSEXIT:
        return kernel;
    case INSN_POP_SEG: case INSN_MOV_TO_SEG:
        if (!kernel || (insn->kind == INSN_POP_SEG && !stack32))
            return false;
        return loaded_segment(insn) == CPU_DS || loaded_segment(insn) == CPU_ES || loaded_segment(insn) == CPU_FS;
    default:
        return false;
    }
}

bool transition_ends_block(const struct build *b, const struct insn *insn)
{
    return (insn->kind == INSN_POP_SEG || insn->kind == INSN_MOV_TO_SEG) && transition_inline(b, insn)
           && loaded_segment(insn) == CPU_FS;
}

static struct host_mem area_member(size_t offset) { return mem_at(R15, (int32_t)offset); }
#define AREA(member) area_member(offsetof(struct cpu_area, member))
#define OF(base, member) mem_at(base, (int32_t)offsetof(struct transition, member))

/* Places that jump to C. */
struct slow { uint8_t *place[6]; unsigned count; };

/* Goes on when RCX (or ECX) is zero; the guest's flags are kept. */
static void expect_zero(struct emit *e, struct slow *slow, bool wide)
{
    uint8_t *ok = wide ? emit_jrcxz_later(e) : emit_jecxz_later(e);

    slow->place[slow->count++] = emit_jmp_later(e);
    emit_patch8(e, ok);
}

static void expect_clear(struct emit *e, struct slow *slow, struct host_mem word, uint32_t mask)
{
    emit_load32(e, RCX, word);
    emit_mov_imm32(e, R11, mask);
    emit_pext32(e, RCX, RCX, R11);
    expect_zero(e, slow, false);
}

/* RCX + [negated] == 0 */
static void expect64(struct emit *e, struct slow *slow, struct host_mem value, struct host_mem negated)
{
    emit_load64(e, RCX, value);
    emit_load64(e, R11, negated);
    emit_lea64(e, RCX, mem_sum(RCX, R11));
    expect_zero(e, slow, true);
}

static void expect32(struct emit *e, struct slow *slow, struct host_mem value, struct host_mem negated)
{
    emit_load32(e, RCX, value);
    emit_load32(e, R11, negated);
    emit_lea32(e, RCX, mem_sum(RCX, R11));
    expect_zero(e, slow, false);
}

static void copy64(struct emit *e, struct host_mem to, struct host_mem from)
{
    emit_load64(e, R11, from);
    emit_store64(e, to, R11);
}

static void copy32(struct emit *e, struct host_mem to, struct host_mem from)
{
    emit_load32(e, R11, from);
    emit_store32(e, to, R11);
}

static struct host_mem kept_rcx(void) { return cpu_member(offsetof(struct cpu, scratch) + 8 * KEPT_RCX); }

/* The key of the new mode, and on to the guest address in R9. A request of
 * another thread may have poisoned the key that this overwrites; what it set
 * before that is seen behind the exchange. */
static void enter_mode(struct build *b)
{
    struct emit *e = b->hot;
    uint8_t *none;

    emit_load64(e, R11, OF(R10, key));
    emit_xchg64_mem(e, CPU_MEM(lookup_key), R11);
    emit_load32(e, RCX, CPU_MEM(exit_request));
    none = emit_jecxz_later(e);
    emit_load64(e, RCX, kept_rcx());
    emit_jmp(e, b->t->stubs.indirect);
    emit_patch8(e, none);
    emit_load64(e, RCX, kept_rcx());
    emit_dispatch(b->t, e, emit_jmp_mem); /* to a block of another mode: no site (jump_map.h) */
}

static void finish_slow(struct build *b, const struct insn *insn, const struct slow *slow)
{
    for (unsigned i = 0; i < slow->count; i++)
        emit_patch32(slow->place[i], b->hot->to_exec, emit_pc(b->cold));
    emit_load64(b->cold, RCX, kept_rcx());
    rewrite_cold_call(b, insn, calls_function(insn->kind));
}

/* The base of GS, as stubs.c loads it; the guest's flags are kept. */
static void copy_bare(struct emit *e)
{
    uint8_t *same;

    emit_load64(e, RCX, CPU_MEM(bare_loaded));
    emit_load64(e, R11, OF(R10, negated_bare));
    emit_lea64(e, RCX, mem_sum(RCX, R11));
    same = emit_jrcxz_later(e);
    emit_load64(e, R11, OF(R10, bare));
    emit_store64(e, CPU_MEM(bare), R11);
    emit_store64(e, CPU_MEM(bare_loaded), R11);
    emit_wrgsbase(e, R11);
    emit_patch8(e, same);
}

/* The supervisor's shadow stack begins empty; the user's is as it was, if it had
 * the key that is entered with. */
static void change_shadow(struct emit *e, bool enters)
{
    uint8_t *same;

    copy64(e, CPU_MEM(shadow_reset), OF(R10, shadow_reset));
    if (enters) {
        emit_store64(e, CPU_MEM(user_shadow), RSP);
        copy64(e, CPU_MEM(user_negated_key), OF(R10, negated_key));
        emit_load64(e, RSP, CPU_MEM(shadow_reset));
        return;
    }
    emit_load64(e, RSP, CPU_MEM(user_shadow));
    emit_load64(e, RCX, CPU_MEM(user_negated_key));
    emit_load64(e, R11, OF(R10, key));
    emit_lea64(e, RCX, mem_sum(RCX, R11));
    same = emit_jrcxz_later(e);
    emit_load64(e, RSP, CPU_MEM(shadow_reset));
    emit_patch8(e, same);
    emit_mov_imm32(e, R11, 1); /* once: the user may come back another way than it goes */
    emit_store64(e, CPU_MEM(user_negated_key), R11);
}

static void emit_fast_call(struct build *b, const struct insn *insn)
{
    struct emit *e = b->hot;
    bool enters = insn->kind == INSN_SYSENTER;
    size_t at = offsetof(struct cpu_area, transition) + sizeof(struct transition) * (enters ? TRANSITION_SYSENTER : TRANSITION_SYSEXIT);
    size_t segments = offsetof(struct cpu, seg) + CPU_CS * sizeof(struct cpu_segment);
    struct slow slow = { .count = 0 };

    emit_store64(e, kept_rcx(), RCX);
    emit_lea64(e, R10, area_member(at));
    expect64(e, &slow, CPU_MEM(lookup_key), OF(R10, negated_key));
    expect32(e, &slow, AREA(mode), OF(R10, negated_mode));
    expect32(e, &slow, area_member(offsetof(struct cpu_area, key_epoch) + (enters ? 0 : 4)), OF(R10, negated_epoch));
    expect_clear(e, &slow, CPU_MEM(x87_info), X87_CODE_OPEN | X87_DATA_OPEN);
    if (!enters)
        expect_clear(e, &slow, CPU_MEM(eflags), FLAG_AC);
    for (unsigned i = 0; i < 3; i++)
        copy64(e, cpu_member(segments + 8 * i), mem_at(R10, (int32_t)(offsetof(struct transition, seg) + 8 * i)));
    emit_mov_imm32(e, R11, 0);
    emit_store64(e, cpu_member(offsetof(struct cpu, seg_base) + 4 * CPU_CS), R11);
    emit_op_mem(e, 0, (const uint8_t[]){ 0xc6 }, 1, 0, CPU_MEM(cpl));
    emit_byte(e, enters ? 0 : 3);
    emit_op_mem(e, 0, (const uint8_t[]){ 0xc6 }, 1, 0, CPU_MEM(user_ran));
    emit_byte(e, 1);
    copy32(e, AREA(mode), OF(R10, mode));
    copy64(e, CPU_MEM(tables), OF(R10, tables));
    if (b->t->bare)
        copy_bare(e);
    if (b->t->shadow.map)
        change_shadow(e, enters);
    if (enters) {
        emit_load32(e, R9, CPU_MEM(eflags));
        emit_mov_imm32(e, R11, ~(uint32_t)(FLAG_VM | FLAG_IF | FLAG_RF));
        emit_pext32(e, R9, R9, R11);
        emit_pdep32(e, R9, R9, R11);
        emit_store32(e, CPU_MEM(eflags), R9);
        emit_load32(e, R8, CPU_MEM(sysenter_esp));
        emit_load32(e, R9, CPU_MEM(sysenter_eip));
    } else {
        emit_load32(e, R8, kept_rcx());
        emit_mov32(e, R9, RDX);
    }
    enter_mode(b);
    finish_slow(b, insn, &slow);
}

/* R9 = the selector. */
static void load_selector(struct build *b, const struct insn *insn)
{
    if (insn->kind == INSN_POP_SEG) {
        rewrite_load_stack_top(b, R9);
        emit_movzx16(b->hot, R9, R9);
    } else if (insn->has_mem) {
        rewrite_load_word(b, insn, R9);
    } else {
        emit_movzx16(b->hot, R9, host_of[insn_rm(insn)]);
    }
}

/* R10 = the transition of the selector in R9, whose descriptor is the same still. */
static void find_load(struct build *b, enum cpu_seg seg, struct slow *slow)
{
    struct emit *e = b->hot;
    size_t null = offsetof(struct cpu_area, transition) + sizeof(struct transition) * (TRANSITION_LOAD + 2 * (size_t)seg);
    uint8_t *is_null, *over, *mapped;

    emit_store64(e, kept_rcx(), RCX);
    emit_lea64(e, R10, area_member(null));
    emit_mov32(e, RCX, R9);
    is_null = emit_jecxz_later(e);
    over = emit_jmp8_later(e);
    emit_patch8(e, is_null);
    is_null = emit_jmp_later(e);
    emit_patch8(e, over);
    emit_lea64(e, R10, mem_at(R10, sizeof(struct transition)));
    emit_load32(e, R11, OF(R10, negated_selector));
    emit_lea32(e, RCX, mem_sum(RCX, R11));
    expect_zero(e, slow, false);
    emit_load32(e, R11, OF(R10, linear));
    emit_shrx32(e, RCX, R11, R14);
    emit_load64(e, R9, CPU_MEM(tables));
    emit_load64(e, RCX, mem_full(R9, RCX, 3, 0));
    mapped = emit_jrcxz_later(e);
    over = emit_jmp8_later(e);
    emit_patch8(e, mapped);
    slow->place[slow->count++] = emit_jmp_later(e);
    emit_patch8(e, over);
    emit_lea64(e, R9, mem_sum(RCX, R11));
    expect64(e, slow, mem_at(R9, 0), OF(R10, negated_descriptor));
    emit_patch32(is_null, e->to_exec, emit_pc(e));
    expect64(e, slow, CPU_MEM(lookup_key), OF(R10, negated_key));
}

/* Writes the segment's two bits in the mode. */
static void store_state(struct emit *e, enum cpu_seg seg)
{
    unsigned shift = MODE_SEG_SHIFT + 2 * (unsigned)seg;

    emit_load32(e, R9, AREA(mode));
    emit_mov_imm32(e, R11, ~(3u << shift));
    emit_pext32(e, R9, R9, R11);
    emit_pdep32(e, R9, R9, R11);
    emit_load32(e, RCX, OF(R10, mode));
    emit_not32(e, R11);
    emit_pext32(e, RCX, RCX, R11);
    emit_pdep32(e, RCX, RCX, R11);
    emit_lea32(e, R9, mem_sum(R9, RCX));
    emit_store32(e, AREA(mode), R9);
}

static void emit_load(struct build *b, const struct insn *insn)
{
    struct emit *e = b->hot;
    enum cpu_seg seg = loaded_segment(insn);
    size_t segment = offsetof(struct cpu, seg) + seg * sizeof(struct cpu_segment);
    struct slow slow = { .count = 0 };

    load_selector(b, insn);
    access_island_now(b);
    find_load(b, seg, &slow);
    expect_clear(e, &slow, CPU_MEM(x87_info), X87_DATA_OPEN);
    copy64(e, cpu_member(segment), OF(R10, seg));
    copy32(e, cpu_member(segment + 8), mem_at(R10, (int32_t)offsetof(struct transition, seg) + 8));
    copy32(e, cpu_member(offsetof(struct cpu, seg_base) + 4 * seg), OF(R10, seg[0].base));
    if (insn->kind == INSN_POP_SEG)
        emit_lea32(e, R8, mem_at(R8, 4));
    if (seg == CPU_FS) {
        store_state(e, seg);
        if (b->t->shadow.map)
            emit_load64(e, RSP, CPU_MEM(shadow_reset));
        emit_mov_imm32(e, R9, insn->eip + insn->length);
        emit_mark(e, MARK_EIP, insn->eip + insn->length);
        enter_mode(b);
    } else {
        emit_load64(e, RCX, kept_rcx());
    }
    finish_slow(b, insn, &slow);
}

void transition_emit(struct build *b, const struct insn *insn)
{
    access_island_now(b);
    if (insn->kind == INSN_SYSENTER || insn->kind == INSN_SYSEXIT)
        emit_fast_call(b, insn);
    else
        emit_load(b, insn);
}
