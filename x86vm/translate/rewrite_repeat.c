/* SPDX-License-Identifier: BSD-2-Clause
 *
 * REP MOVS, STOS, CMPS and SCAS in a bare window: the same instruction on host
 * addresses, because ES has no other segment in its place. Where the window does
 * not show a page, host_fault.c takes the host addresses for guest ones again
 * and C does the rest. R13 has the elements that RCX does not: a long string is
 * done in chunks, between which the run loop gets its chance.
 */
#include "x86vm/translate/build.h"
#include "x86vm/translate/rewrite.h"

enum { CHUNK_BITS = 16 };
enum { OP_MOVS = 0xa4, OP_CMPS = 0xa6, OP_LODS = 0xac, OP_SCAS = 0xae };

static unsigned operation(const struct insn *insn) { return insn->opcode & ~1u; }
static bool compares(const struct insn *insn) { return operation(insn) == OP_CMPS || operation(insn) == OP_SCAS; }
static bool has_source(const struct insn *insn) { return operation(insn) == OP_MOVS || operation(insn) == OP_CMPS; }

bool rewrite_repeat_is_bare(const struct build *b, const struct insn *insn)
{
    return b->mode & MODE_BARE && !build_bare_useless(b, insn) && operation(insn) != OP_LODS;
}

/* Jumps to the returned place when the direction flag is set. R10, R11, R13 are lost. */
static uint8_t *unless_upwards(struct emit *e)
{
    uint8_t *upwards, *other;

    emit_mov64(e, R13, RCX);
    emit_load32(e, R10, CPU_MEM(eflags));
    emit_mov_imm32(e, R11, FLAG_DF);
    emit_pext32(e, RCX, R10, R11);
    upwards = emit_jecxz_later(e);
    emit_mov64(e, RCX, R13);
    other = emit_jmp_later(e);
    emit_patch8(e, upwards);
    emit_mov64(e, RCX, R13);
    return other;
}

/* RCX = elements of this chunk, R13 = the others. R10 and R11 are lost. */
static void split_count(struct emit *e)
{
    uint8_t *one_chunk;

    emit_mov64(e, R10, RCX);
    emit_mov_imm32(e, R11, CHUNK_BITS);
    emit_shrx32(e, RCX, RCX, R11);
    emit_mov_imm32(e, R13, 0);
    one_chunk = emit_jrcxz_later(e);
    emit_lea32(e, R13, mem_at(R10, -(1 << CHUNK_BITS)));
    emit_mov_imm32(e, R10, 1u << CHUNK_BITS);
    emit_patch8(e, one_chunk);
    emit_mov64(e, RCX, R10);
}

static void emit_repeated(struct emit *e, const struct insn *insn)
{
    emit_load64(e, R11, CPU_MEM(bare));
    emit_lea64(e, RDI, mem_sum(RDI, R11));
    if (has_source(insn))
        emit_lea64(e, RSI, mem_sum(RSI, R11));
    if (insn->opcode & 1 && insn->opsize == 2)
        emit_byte(e, 0x66);
    emit_byte(e, insn->rep);
    emit_byte(e, insn->opcode);
    emit_load64(e, R11, CPU_MEM(bare));
    emit_not32(e, R11);
    emit_lea32(e, RDI, mem_full(RDI, R11, 0, 1));
    if (has_source(insn))
        emit_lea32(e, RSI, mem_full(RSI, R11, 0, 1));
}

/* Starts the instruction again unless all is done or a comparison has ended it. */
static void next_chunk(struct build *b, const struct insn *insn)
{
    struct emit *e = b->hot;
    uint8_t *chunk_done, *ended, *all_done, *equality = NULL;

    emit_lea32(e, R11, mem_sum(RCX, R13));
    chunk_done = emit_jrcxz_later(e);
    emit_mov64(e, RCX, R11);
    ended = emit_jmp8_later(e);
    emit_patch8(e, chunk_done);
    emit_mov64(e, RCX, R13);
    all_done = emit_jrcxz_later(e);
    if (compares(insn))
        equality = emit_jcc_later(e, insn->rep == 0xf3 ? CC_NZ : CC_Z);
    rewrite_jump(b, insn->eip);
    emit_patch8(e, ended);
    emit_patch8(e, all_done);
    if (equality && !e->overflow)
        emit_patch32(equality, e->to_exec, emit_pc(e));
}

void rewrite_repeat_bare(struct build *b, const struct insn *insn)
{
    uint8_t *other;

    rewrite_settle_esp(b);
    access_island_now(b);
    blocks_map_hot(b->t, insn->eip, b->esp_delta);
    other = unless_upwards(b->hot);
    split_count(b->hot);
    emit_repeated(b->hot, insn);
    next_chunk(b, insn);
    if (!b->hot->overflow)
        emit_patch32(other, b->hot->to_exec, emit_pc(b->cold));
    rewrite_cold_call(b, insn, calls_function(insn->kind));
}
