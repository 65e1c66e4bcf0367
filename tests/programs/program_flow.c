/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What jumps in a random program: conditions, loops that keep flags over their
 * backward jump, calls and returns of every kind, jump tables, code that changes.
 */
#include "tests/programs/program_internal.h"

enum { COUNT_MAX = 9, SECOND_STACK = PROGRAM_CELLS_PAGE * INSN_PAGE + 0xf00, STACK_CELL = PROGRAM_FUEL + 128 };

static void inner(struct maker *m, unsigned count)
{
    m->depth++;
    emit_items(m, count);
    m->depth--;
}

static unsigned pick_leaf(struct maker *m, bool quiet)
{
    return m->functions - (quiet ? 1 + below(m, QUIET) : 1 + below(m, LEAVES));
}

/* Whom this function may call; a leaf, nobody. */
static unsigned pick_function(struct maker *m)
{
    return below(m, m->functions);
}

/* --- conditions --- */

static uint32_t put_jcc(struct maker *m)
{
    const unsigned condition = below(m, 16);

    need_flags(m, condition_reads[condition >> 1]);
    PUT(m, 0x0f, (uint8_t)(0x80 | condition), 0, 0, 0, 0);
    return m->at;
}

static void flow_skip(struct maker *m)
{
    const uint32_t from = put_jcc(m), before = m->defined;

    inner(m, 1 + below(m, 3));
    patch_rel32(m, from);
    m->defined &= before;
}

static void flow_either(struct maker *m)
{
    const uint32_t from = put_jcc(m), before = m->defined;
    uint32_t end, after;

    inner(m, 1 + below(m, 3));
    PUT(m, 0xe9, 0, 0, 0, 0);
    end = m->at;
    after = m->defined;
    patch_rel32(m, from);
    m->defined = before;
    inner(m, 1 + below(m, 3));
    patch_rel32(m, end);
    m->defined &= after;
}

/* --- loops --- */

static void back(struct maker *m, uint32_t start)
{
    put32(m, start - (m->at + 4));
}

/* Counted in memory: the body may do anything. */
static void flow_loop(struct maker *m)
{
    uint32_t start;

    PUT(m, 0x6a, (uint8_t)(1 + below(m, m->depth ? 3 : COUNT_MAX)));
    m->pushed = 0; /* what lies below the counter only: nobody may change that */
    start = m->at;
    m->defined = 0;
    inner(m, 1 + below(m, 4));
    PUT(m, 0xff, 0x0c, 0x24, 0x0f, 0x85); /* DEC dword [ESP]; JNZ */
    back(m, start);
    PUT(m, 0x83, 0xc4, 4);
    m->pushed = 0;
    m->defined = F_ALL;
}

/* A chain of carries: ADC and SBB, the counter kept by DEC or by LEA and JECXZ. */
static void flow_carry(struct maker *m)
{
    const bool all = percent(m, 50);
    const uint32_t area = INSN_DATA + (percent(m, 10) ? 0x3000 : 0) + below(m, 0x1e00);
    uint32_t start;

    if (m->busy & (1 << ECX | 1 << EAX))
        return;
    put8(m, 0xb9); /* MOV ECX, n */
    put32(m, 1 + below(m, 60));
    PUT(m, 0x39, 0xd8); /* CMP EAX, EBX */
    start = m->at;
    PUT(m, 0x8b, 0x04, 0x8d); /* MOV EAX, [ECX * 4 + area] */
    put32(m, area);
    PUT(m, percent(m, 50) ? 0x11 : 0x19, 0xd8); /* ADC or SBB EAX, EBX */
    if (percent(m, 40)) { /* over a CALL, too */
        put8(m, 0xe8);
        put_fixup(m, FIX_RELATIVE, pick_leaf(m, true));
        PUT(m, 0xb9, 1, 0, 0, 0); /* MOV ECX, 1: it may have used that */
    }
    PUT(m, 0x89, 0x04, 0x8d); /* MOV [ECX * 4 + area], EAX */
    put32(m, area);
    if (all) {
        PUT(m, 0x8d, 0x49, 0xff, 0xe3, 5, 0xe9); /* LEA ECX, [ECX - 1]; JECXZ; JMP */
        back(m, start);
    } else {
        PUT(m, 0x49, 0x0f, 0x85); /* DEC ECX; JNZ */
        back(m, start);
    }
    m->defined = F_ALL;
}

/* LOOP, LOOPE, LOOPNE with a body of one. */
static void flow_loop_instruction(struct maker *m)
{
    uint32_t start;

    if (m->busy & 1 << ECX)
        return;
    put8(m, 0xb9);
    put32(m, 1 + below(m, 30));
    m->busy |= 1 << ECX;
    start = m->at;
    m->defined = 0;
    emit_op(m);
    emit_op(m);
    need_flags(m, F_Z);
    PUT(m, (uint8_t)(0xe0 | below(m, 3)), 0);
    m->code[m->at - 1] = m->at - start <= 128 ? (uint8_t)(start - m->at) : 0;
    m->busy &= (uint8_t)~(1 << ECX);
}

/* --- calls --- */

static void called(struct maker *m) { m->defined = F_ALL; }

static void flow_call(struct maker *m)
{
    put8(m, 0xe8);
    put_fixup(m, FIX_RELATIVE, pick_function(m));
    called(m);
}

static void flow_call_quiet(struct maker *m)
{
    put8(m, 0xe8);
    put_fixup(m, FIX_RELATIVE, pick_leaf(m, true));
}

static void flow_call_register(struct maker *m)
{
    const unsigned reg = free_register(m);

    put8(m, 0xb8 | reg);
    put_fixup(m, FIX_ABSOLUTE, pick_function(m));
    PUT(m, 0xff, (uint8_t)(0xd0 | reg));
    called(m);
}

/* A table of 4 functions in the code, by a register; by way of CALL or of PUSH and JMP. */
static void flow_call_table(struct maker *m)
{
    const unsigned reg = free_register(m);
    const bool jump = percent(m, 30);
    uint32_t table, over;

    PUT(m, 0xeb, 16);
    table = here(m);
    for (unsigned i = 0; i < 4; i++)
        put_fixup(m, FIX_ABSOLUTE, pick_function(m));
    PUT(m, 0x83, (uint8_t)(0xe0 | reg), 3); /* AND reg, 3 */
    if (jump) {
        PUT(m, 0xe8, 2, 0, 0, 0, 0xeb, 9); /* CALL over a JMP to the end; [ESP] is its address */
        over = m->at;
        PUT(m, 0xff, 0x24, (uint8_t)(0x85 | reg << 3)); /* JMP [reg * 4 + table] */
        put32(m, table);
        PUT(m, 0xcc, 0xcc);
        m->code[over - 1] = (uint8_t)(m->at - over);
    } else {
        PUT(m, 0xff, 0x14, (uint8_t)(0x85 | reg << 3));
        put32(m, table);
    }
    called(m);
}

/* Arguments, which the callee does not take: the caller does. */
static void flow_call_arguments(struct maker *m)
{
    const unsigned words = 1 + below(m, 3);

    for (unsigned i = 0; i < words; i++)
        put8(m, 0x50 | below(m, 8));
    put8(m, 0xe8);
    put_fixup(m, FIX_RELATIVE, pick_function(m));
    PUT(m, 0x83, 0xc4, (uint8_t)(words * 4));
    called(m);
}

/* CALL to what follows, which takes its return address: the register knows where this runs. */
static void flow_call_next(struct maker *m)
{
    PUT(m, 0xe8, 0, 0, 0, 0, (uint8_t)(0x58 | free_register(m)));
}

/* A local subroutine that returns somewhere else than behind its CALL, takes words, or jumps back. */
static void flow_return(struct maker *m)
{
    const unsigned kind = below(m, 4), reg = free_register(m);

    switch (kind) {
    case 0: /* CALL over INT3s; ADD [ESP], 3; RET */
        PUT(m, 0xe8, 5, 0, 0, 0, 0xcc, 0xcc, 0xcc, 0xeb, 5, 0x83, 0x04, 0x24, 3, 0xc3);
        break;
    case 1: /* PUSH; CALL; RET 4 */
        PUT(m, (uint8_t)(0x50 | reg), 0xe8, 2, 0, 0, 0, 0xeb, 3, 0xc2, 4, 0);
        break;
    case 2: /* CALL; POP reg; JMP reg */
        PUT(m, 0xe8, 2, 0, 0, 0, 0xeb, 3, (uint8_t)(0x58 | reg), 0xff, (uint8_t)(0xe0 | reg));
        break;
    default: /* CALL; CALL; the inner one drops the outer's return address and returns for it */
        PUT(m, 0xe8, 2, 0, 0, 0, 0xeb, 11, 0xe8, 1, 0, 0, 0, 0xcc, 0x8d, 0x64, 0x24, 4, 0xc3, 0x90);
        break;
    }
    if (kind == 0)
        m->defined = F_ALL;
}

/* PUSH address; RET, to the same place at any of the two addresses. */
static void flow_push_return(struct maker *m)
{
    const uint32_t next = m->at + 6 + (percent(m, 50) ? INSN_CODE : INSN_CODE_ALIAS);

    put8(m, 0x68);
    put32(m, next);
    put8(m, 0xc3);
}

/* A leaf on another stack. */
static void flow_other_stack(struct maker *m)
{
    PUT(m, 0x89, 0x25); /* MOV [cell], ESP */
    put32(m, STACK_CELL);
    put8(m, 0xbc); /* MOV ESP, ... */
    put32(m, INSN_DATA + SECOND_STACK);
    put8(m, 0xe8);
    put_fixup(m, FIX_RELATIVE, pick_leaf(m, false));
    PUT(m, 0x8b, 0x25);
    put32(m, STACK_CELL);
    called(m);
}

static void flow_switch(struct maker *m)
{
    const unsigned reg = free_register(m);
    uint32_t at, ends[4];

    PUT(m, 0x83, (uint8_t)(0xe0 | reg), 3, 0xff, 0x24, (uint8_t)(0x85 | reg << 3)); /* AND reg, 3; JMP [reg * 4 + table] */
    put32(m, here(m) + 4);
    at = m->at;
    for (unsigned i = 0; i < 4; i++)
        put32(m, 0);
    if (m->full)
        return;
    for (unsigned i = 0; i < 4; i++) {
        const uint32_t label = (percent(m, 60) ? INSN_CODE : INSN_CODE_ALIAS) + m->at;
        memcpy(m->code + at + 4 * i, &label, 4);
        m->defined = 0;
        inner(m, 1 + below(m, 2));
        PUT(m, 0xe9, 0, 0, 0, 0);
        ends[i] = m->at;
    }
    for (unsigned i = 0; i < 4; i++)
        patch_rel32(m, ends[i]);
    m->defined = 0;
}

/* Changes an immediate of some instruction, then IRET, which serializes. */
static void flow_modify(struct maker *m)
{
    const bool byte = percent(m, 40);

    PUT(m, byte ? 0x88 : 0x89, (uint8_t)(0x05 | below(m, 8) << 3));
    put_fixup(m, byte ? FIX_PATCH_BYTE : FIX_PATCH, 0);
    PUT(m, 0x9c, 0x0e, 0xe8, 0, 0, 0, 0, 0x83, 0x04, 0x24, 5, 0xcf); /* PUSHFD; PUSH CS; CALL next; ADD [ESP], 5; IRET */
}

struct flow { uint8_t weight; bool calls, short_one; void (*emit)(struct maker *m); };
static const struct flow flows[] = {
    { 10, false, false, flow_skip }, { 5, false, false, flow_either }, { 6, false, false, flow_loop }, { 4, false, true, flow_carry },
    { 3, false, true, flow_loop_instruction }, { 12, true, true, flow_call }, { 5, true, true, flow_call_quiet },
    { 4, true, true, flow_call_register }, { 4, true, true, flow_call_table }, { 4, true, true, flow_call_arguments },
    { 3, false, true, flow_call_next }, { 4, false, true, flow_return }, { 3, false, true, flow_push_return },
    { 1, true, true, flow_other_stack }, { 3, false, false, flow_switch }, { 5, false, true, flow_modify },
};

static void emit_flow(struct maker *m)
{
    unsigned sum = 0, r;
    size_t i;

    for (i = 0; i < sizeof flows / sizeof *flows; i++)
        sum += flows[i].weight;
    r = below(m, sum);
    for (i = 0; r >= flows[i].weight; i++)
        r -= flows[i].weight;
    if (m->leaf ? !flows[i].short_one || flows[i].calls : m->depth >= DEPTH_MAX && !flows[i].short_one)
        return;
    if (m->busy && flows[i].calls)
        return;
    flows[i].emit(m);
}

/* PUSH, something that may use it, POP. */
static void emit_pushed(struct maker *m)
{
    put8(m, 0x50 | below(m, 8));
    m->pushed++;
    inner(m, 1 + below(m, 3));
    m->pushed -= m->pushed > 0;
    put8(m, 0x58 | free_register(m));
}

void emit_items(struct maker *m, unsigned count)
{
    while (count-- && !m->full) {
        unsigned kind = below(m, 100);
        if (m->quiet || kind < 65)
            emit_op(m);
        else if (kind < 70 && m->depth < DEPTH_MAX)
            emit_pushed(m);
        else
            emit_flow(m);
    }
}
