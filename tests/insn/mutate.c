/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Proof that the oracle can fail: the same test program, linked so that calls of
 * the emitter (x86vm/translate/emit.h) come here first (ld --wrap), where the
 * mutation chosen by INSN_MUTATION makes one kind of emission wrong. Each must
 * be caught; mutants.sh runs them all.
 */
#include "tests/mutate.h"
#include "x86vm/memory/view.h"
#include "x86vm/translate/emit.h"

#include <string.h>

enum mutation {
    NONE, LEA_DISPLACEMENT, LEA_SCALE, FLAGS_NOT_RESTORED, MEM_LOSES_66, REG_LOSES_66,
    FIRST_PAGE_UNCHECKED, FIRST_PAGE_UNCHECKED_FLAGS_LIVE, NO_16_BIT_WRAP, XLAT_INDEX, CONDITION, EIP_STORED, IMMEDIATE_BYTES, BIT_OFFSET_UNSIGNED,
    MEM_REGISTER, REG_REGISTERS, SEGMENT_BASE, LIVE_FLAGS_KILLED,
    BARE_DISPLACEMENT, BARE_SCALE, LEA_FLIPS_CARRY, MUTATION_COUNT
};

static enum mutation mutation;

__attribute__((constructor)) static void choose(void)
{
    mutation = (enum mutation)mutation_chosen("INSN_MUTATION", MUTATION_COUNT);
}

WRAP(void, emit_lea32, (struct emit *e, enum host_reg to, struct host_mem from))
{
    if (mutation == LEA_DISPLACEMENT && from.disp)
        from.disp += 1;
    if (mutation == LEA_SCALE && from.index != NO_REG && from.scale == 3)
        from.scale = 2;
    __real_emit_lea32(e, to, from);
}

WRAP(void, emit_popfq, (struct emit *e))
{
    if (mutation == FLAGS_NOT_RESTORED)
        emit_lea64(e, RSP, mem_at(RSP, 8));
    else
        __real_emit_popfq(e);
}

static struct host_mem bare_mutation(struct host_mem mem)
{
    if (mutation == BARE_DISPLACEMENT && mem.disp)
        mem.disp += 1;
    if (mutation == BARE_SCALE && mem.index != NO_REG && mem.scale == 2)
        mem.scale = 3;
    return mem;
}

WRAP(void, emit_op_mem, (struct emit *e, unsigned flags, const uint8_t *opcode, unsigned opcode_length, unsigned reg,
                         struct host_mem mem))
{
    if (mutation == MEM_LOSES_66)
        flags &= ~(unsigned)EMIT_66;
    if (mutation == MEM_REGISTER && opcode_length == 2 && reg < 8)
        reg ^= 1;
    if (mem.bare)
        mem = bare_mutation(mem);
    __real_emit_op_mem(e, flags, opcode, opcode_length, reg, mem);
    if (mutation == LEA_FLIPS_CARRY && opcode_length == 1 && opcode[0] == 0x8d)
        emit_bytes(e, "\xf5", 1);
}

WRAP(void, emit_op_reg, (struct emit *e, unsigned flags, const uint8_t *opcode, unsigned opcode_length, unsigned reg,
                         unsigned rm))
{
    if (mutation == REG_LOSES_66 && opcode_length == 1) /* not one that belongs to the opcode */
        flags &= ~(unsigned)EMIT_66;
    if (mutation == REG_REGISTERS && opcode_length == 1 && reg < 8 && rm < 8) {
        unsigned swap = reg;
        reg = rm;
        rm = swap;
    }
    __real_emit_op_reg(e, flags, opcode, opcode_length, reg, rm);
}

/* The table of pairs (memory/view.h) becomes that of single pages: an operand's
 * first page goes unchecked. */
static struct host_mem first_page_unchecked(struct host_mem mem)
{
    uint32_t table = (uint32_t)(mem.disp + 2 * (int32_t)VIEW_STRIDE) % VIEW_STRIDE;
    if (mem.base == R12 && mem.index == R10 && table >= VIEW_READ_PAIR && mem.disp < -(int32_t)VIEW_GAP)
        mem.disp -= VIEW_READ_PAIR - VIEW_READ_IN;
    return mem;
}

WRAP(void, emit_cmp8, (struct emit *e, struct host_mem mem, enum host_reg reg))
{
    __real_emit_cmp8(e, mutation == FIRST_PAGE_UNCHECKED ? first_page_unchecked(mem) : mem, reg);
}

WRAP(void, emit_load8, (struct emit *e, enum host_reg to, struct host_mem mem))
{
    __real_emit_load8(e, to, mutation == FIRST_PAGE_UNCHECKED_FLAGS_LIVE && mem.disp != VIEW_HEAT ? first_page_unchecked(mem) : mem);
}

WRAP(void, emit_movzx16, (struct emit *e, enum host_reg to, enum host_reg from))
{
    if (mutation == NO_16_BIT_WRAP && to == R9) /* an address; R10 is a place in a table */
        emit_mov32(e, to, from);
    else
        __real_emit_movzx16(e, to, from);
}

WRAP(void, emit_movzx8, (struct emit *e, enum host_reg to, enum host_reg from))
{
    if (mutation == XLAT_INDEX)
        emit_movzx16(e, to, from);
    else
        __real_emit_movzx8(e, to, from);
}

WRAP(uint8_t *, emit_jcc_later, (struct emit *e, enum host_cc cc))
{
    if (mutation == CONDITION && (cc == CC_P || cc == CC_NP))
        cc ^= 1;
    return __real_emit_jcc_later(e, cc);
}

WRAP(void, emit_store32_imm, (struct emit *e, struct host_mem to, uint32_t value))
{
    __real_emit_store32_imm(e, to, mutation == EIP_STORED ? value + 1 : value);
}

WRAP(void, emit_bytes, (struct emit *e, const void *bytes, unsigned count))
{
    uint8_t changed[16];
    if (mutation == IMMEDIATE_BYTES && count && count <= sizeof changed) {
        memcpy(changed, bytes, count);
        changed[count - 1] ^= 1;
        bytes = changed;
    }
    __real_emit_bytes(e, bytes, count);
}

WRAP(void, emit_sarx32, (struct emit *e, enum host_reg to, enum host_reg from, enum host_reg count))
{
    if (mutation == BIT_OFFSET_UNSIGNED)
        emit_shrx32(e, to, from, count);
    else
        __real_emit_sarx32(e, to, from, count);
}

WRAP(void, emit_load32, (struct emit *e, enum host_reg to, struct host_mem from))
{
    if (mutation == SEGMENT_BASE && to == R10)
        emit_mov_imm32(e, R10, 0);
    else
        __real_emit_load32(e, to, from);
}

WRAP(uint8_t *, emit_jrcxz_later, (struct emit *e))
{
    if (mutation == LIVE_FLAGS_KILLED)
        emit_test64(e, RCX, RCX);
    return __real_emit_jrcxz_later(e);
}
