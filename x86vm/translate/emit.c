/* SPDX-License-Identifier: BSD-2-Clause
 *
 * x86-64 encoding: see emit.h. SDM vol. 2, ch. 2.
 */
#include "x86vm/translate/emit.h"

#include <stddef.h>
#include <string.h>

void emit_bytes(struct emit *e, const void *bytes, unsigned count)
{
    if (e->end - e->p < (ptrdiff_t)count) {
        e->overflow = true;
        return;
    }
    memcpy(e->p, bytes, count);
    e->p += count;
}

void emit_byte(struct emit *e, uint8_t byte) { emit_bytes(e, &byte, 1); }
void emit_u32(struct emit *e, uint32_t value) { emit_bytes(e, &value, 4); }
void emit_u64(struct emit *e, uint64_t value) { emit_bytes(e, &value, 8); }

static void emit_prefixes(struct emit *e, unsigned flags, unsigned reg, unsigned index, unsigned base)
{
    uint8_t rex = (uint8_t)((flags & EMIT_W ? 8 : 0) | (reg & 8) >> 1 | (index & 8) >> 2 | (base & 8) >> 3);

    if (flags & EMIT_66)
        emit_byte(e, 0x66);
    if (flags & EMIT_F2)
        emit_byte(e, 0xf2);
    if (flags & EMIT_F3)
        emit_byte(e, 0xf3);
    if (rex || flags & EMIT_REX)
        emit_byte(e, 0x40 | rex);
}

static void emit_modrm_mem(struct emit *e, unsigned reg, struct host_mem m)
{
    unsigned r = (reg & 7) << 3;
    bool sib = m.index != NO_REG || m.base == NO_REG || (m.base & 7) == RSP;
    uint8_t mod = m.base == NO_REG ? 0 : m.disp == 0 && (m.base & 7) != RBP ? 0 : m.disp == (int8_t)m.disp ? 0x40 : 0x80;

    if (sib) {
        unsigned base = m.base == NO_REG ? 5 : m.base & 7;
        unsigned index = m.index == NO_REG ? 4 : m.index & 7;
        emit_byte(e, (uint8_t)(mod | r | 4));
        emit_byte(e, (uint8_t)(m.scale << 6 | index << 3 | base));
    } else {
        emit_byte(e, (uint8_t)(mod | r | (m.base & 7)));
    }
    if (m.base == NO_REG || mod == 0x80)
        emit_u32(e, (uint32_t)m.disp);
    else if (mod == 0x40)
        emit_byte(e, (uint8_t)m.disp);
}

enum { PREFIX_GS = 0x65, PREFIX_ADDRESS_32 = 0x67 };

void emit_op_mem(struct emit *e, unsigned flags, const uint8_t *opcode, unsigned opcode_length, unsigned reg, struct host_mem mem)
{
    if (mem.bare)
        emit_byte(e, PREFIX_GS);
    if (mem.bare && (mem.index != NO_REG || mem.disp != 0)) /* a register alone wraps nowhere */
        emit_byte(e, PREFIX_ADDRESS_32);
    emit_prefixes(e, flags, reg, mem.index == NO_REG ? 0 : mem.index, mem.base == NO_REG ? 0 : mem.base);
    emit_bytes(e, opcode, opcode_length);
    emit_modrm_mem(e, reg, mem);
}

void emit_op_reg(struct emit *e, unsigned flags, const uint8_t *opcode, unsigned opcode_length, unsigned reg, unsigned rm)
{
    emit_prefixes(e, flags, reg, 0, rm);
    emit_bytes(e, opcode, opcode_length);
    emit_byte(e, (uint8_t)(0xc0 | (reg & 7) << 3 | (rm & 7)));
}

static void op1_mem(struct emit *e, unsigned flags, uint8_t opcode, unsigned reg, struct host_mem mem)
{
    emit_op_mem(e, flags, &opcode, 1, reg, mem);
}

static void op1_reg(struct emit *e, unsigned flags, uint8_t opcode, unsigned reg, unsigned rm)
{
    emit_op_reg(e, flags, &opcode, 1, reg, rm);
}

static void op2_reg(struct emit *e, unsigned flags, uint8_t opcode, unsigned reg, unsigned rm)
{
    emit_op_reg(e, flags, (const uint8_t[]){ 0x0f, opcode }, 2, reg, rm);
}

void emit_mov_imm32(struct emit *e, enum host_reg to, uint32_t value)
{
    emit_prefixes(e, 0, 0, 0, to);
    emit_byte(e, 0xb8 | (to & 7));
    emit_u32(e, value);
}

void emit_mov_imm64(struct emit *e, enum host_reg to, uint64_t value)
{
    if (value <= UINT32_MAX) {
        emit_mov_imm32(e, to, (uint32_t)value);
        return;
    }
    emit_prefixes(e, EMIT_W, 0, 0, to);
    emit_byte(e, 0xb8 | (to & 7));
    emit_u64(e, value);
}

void emit_mov32(struct emit *e, enum host_reg to, enum host_reg from) { op1_reg(e, 0, 0x8b, to, from); }
void emit_mov64(struct emit *e, enum host_reg to, enum host_reg from) { op1_reg(e, EMIT_W, 0x8b, to, from); }
void emit_load32(struct emit *e, enum host_reg to, struct host_mem from) { op1_mem(e, 0, 0x8b, to, from); }
void emit_load64(struct emit *e, enum host_reg to, struct host_mem from) { op1_mem(e, EMIT_W, 0x8b, to, from); }
void emit_store32(struct emit *e, struct host_mem to, enum host_reg from) { op1_mem(e, 0, 0x89, from, to); }
void emit_store64(struct emit *e, struct host_mem to, enum host_reg from) { op1_mem(e, EMIT_W, 0x89, from, to); }
void emit_store16(struct emit *e, struct host_mem to, enum host_reg from) { op1_mem(e, EMIT_66, 0x89, from, to); }

void emit_store32_imm(struct emit *e, struct host_mem to, uint32_t value)
{
    op1_mem(e, 0, 0xc7, 0, to);
    emit_u32(e, value);
}

void emit_lea32(struct emit *e, enum host_reg to, struct host_mem from) { op1_mem(e, 0, 0x8d, to, from); }
void emit_lea64(struct emit *e, enum host_reg to, struct host_mem from) { op1_mem(e, EMIT_W, 0x8d, to, from); }
void emit_movzx16(struct emit *e, enum host_reg to, enum host_reg from) { op2_reg(e, 0, 0xb7, to, from); }
void emit_movzx8(struct emit *e, enum host_reg to, enum host_reg from) { op2_reg(e, from >= RSP ? EMIT_REX : 0, 0xb6, to, from); }

void emit_load8(struct emit *e, enum host_reg to, struct host_mem from) { emit_op_mem(e, 0, (const uint8_t[]){ 0x0f, 0xb6 }, 2, to, from); }
void emit_store8(struct emit *e, struct host_mem to, enum host_reg from) { op1_mem(e, from >= RSP ? EMIT_REX : 0, 0x88, from, to); }
void emit_cmp8(struct emit *e, struct host_mem mem, enum host_reg reg) { op1_mem(e, reg >= RSP ? EMIT_REX : 0, 0x38, reg, mem); }

/* VEX.LZ.pp.0F38.W0 op: three-operand BMI2 instructions. */
static void emit_bmi2(struct emit *e, uint8_t pp, uint8_t opcode, unsigned reg, unsigned vvvv, unsigned rm)
{
    emit_byte(e, 0xc4);
    emit_byte(e, (uint8_t)((reg & 8 ? 0 : 0x80) | 0x40 | (rm & 8 ? 0 : 0x20) | 2));
    emit_byte(e, (uint8_t)((~vvvv & 15) << 3 | pp));
    emit_byte(e, opcode);
    emit_byte(e, (uint8_t)(0xc0 | (reg & 7) << 3 | (rm & 7)));
}

void emit_shrx32(struct emit *e, enum host_reg to, enum host_reg from, enum host_reg count) { emit_bmi2(e, 3, 0xf7, to, count, from); }
void emit_shlx32(struct emit *e, enum host_reg to, enum host_reg from, enum host_reg count) { emit_bmi2(e, 1, 0xf7, to, count, from); }
void emit_sarx32(struct emit *e, enum host_reg to, enum host_reg from, enum host_reg count) { emit_bmi2(e, 2, 0xf7, to, count, from); }
void emit_pext32(struct emit *e, enum host_reg to, enum host_reg from, enum host_reg mask) { emit_bmi2(e, 2, 0xf5, to, from, mask); }
void emit_pdep32(struct emit *e, enum host_reg to, enum host_reg from, enum host_reg mask) { emit_bmi2(e, 3, 0xf5, to, from, mask); }

void emit_rorx64(struct emit *e, enum host_reg to, enum host_reg from, uint8_t count)
{
    emit_byte(e, 0xc4);
    emit_byte(e, (uint8_t)((to & 8 ? 0 : 0x80) | 0x40 | (from & 8 ? 0 : 0x20) | 3));
    emit_byte(e, 0xfb); /* W, no second source, F2 */
    emit_byte(e, 0xf0);
    emit_byte(e, (uint8_t)(0xc0 | (to & 7) << 3 | (from & 7)));
    emit_byte(e, count);
}

void emit_not32(struct emit *e, enum host_reg reg) { op1_reg(e, 0, 0xf7, 2, reg); }

void emit_shr32_imm(struct emit *e, enum host_reg reg, uint8_t count)
{
    op1_reg(e, 0, 0xc1, 5, reg);
    emit_byte(e, count);
}

void emit_test8_imm(struct emit *e, enum host_reg reg, uint8_t mask)
{
    op1_reg(e, reg >= RSP ? EMIT_REX : 0, 0xf6, 0, reg);
    emit_byte(e, mask);
}

void emit_test32_imm(struct emit *e, enum host_reg reg, uint32_t mask)
{
    op1_reg(e, 0, 0xf7, 0, reg);
    emit_u32(e, mask);
}

void emit_test64(struct emit *e, enum host_reg a, enum host_reg b) { op1_reg(e, EMIT_W, 0x85, a, b); }
void emit_xor32(struct emit *e, enum host_reg to, enum host_reg from) { op1_reg(e, 0, 0x33, to, from); }

void emit_cmp32_mem_imm(struct emit *e, struct host_mem mem, uint32_t value)
{
    op1_mem(e, 0, 0x81, 7, mem);
    emit_u32(e, value);
}

void emit_cmp32_mem_imm8(struct emit *e, struct host_mem mem, int8_t value)
{
    op1_mem(e, 0, 0x83, 7, mem);
    emit_byte(e, (uint8_t)value);
}

void emit_xchg64(struct emit *e, enum host_reg a, enum host_reg b) { op1_reg(e, EMIT_W, 0x87, a, b); }
void emit_xchg64_mem(struct emit *e, struct host_mem mem, enum host_reg reg) { op1_mem(e, EMIT_W, 0x87, reg, mem); }

void emit_push(struct emit *e, enum host_reg reg)
{
    emit_prefixes(e, 0, 0, 0, reg);
    emit_byte(e, 0x50 | (reg & 7));
}

void emit_pop(struct emit *e, enum host_reg reg)
{
    emit_prefixes(e, 0, 0, 0, reg);
    emit_byte(e, 0x58 | (reg & 7));
}

void emit_push_mem(struct emit *e, struct host_mem mem) { op1_mem(e, 0, 0xff, 6, mem); }
void emit_pop_mem(struct emit *e, struct host_mem mem) { op1_mem(e, 0, 0x8f, 0, mem); }
void emit_pushfq(struct emit *e) { emit_byte(e, 0x9c); }
void emit_popfq(struct emit *e) { emit_byte(e, 0x9d); }

void emit_movups_load(struct emit *e, unsigned xmm, struct host_mem from)
{
    emit_op_mem(e, 0, (const uint8_t[]){ 0x0f, 0x10 }, 2, xmm, from);
}

void emit_movups_store(struct emit *e, struct host_mem to, unsigned xmm)
{
    emit_op_mem(e, 0, (const uint8_t[]){ 0x0f, 0x11 }, 2, xmm, to);
}

void emit_call_abs(struct emit *e, enum host_reg scratch, const void *target)
{
    emit_mov_imm64(e, scratch, (uint64_t)(uintptr_t)target);
    op1_reg(e, 0, 0xff, 2, scratch);
}

void emit_call_mem(struct emit *e, struct host_mem mem) { op1_mem(e, 0, 0xff, 2, mem); }
void emit_jmp_mem(struct emit *e, struct host_mem mem) { op1_mem(e, 0, 0xff, 4, mem); }

void emit_wrgsbase(struct emit *e, enum host_reg from)
{
    emit_op_reg(e, EMIT_F3 | EMIT_W, (const uint8_t[]){ 0x0f, 0xae }, 2, 3, from);
}

void emit_ret(struct emit *e) { emit_byte(e, 0xc3); }

void emit_patch32(uint8_t *place, intptr_t to_exec, uint64_t target)
{
    int32_t rel = (int32_t)(target - ((uint64_t)(uintptr_t)place + 4 + (uint64_t)to_exec));
    memcpy(place, &rel, 4);
}

uint64_t emit_target32(const uint8_t *place, intptr_t to_exec)
{
    int32_t rel;
    memcpy(&rel, place, 4);
    return (uint64_t)(uintptr_t)place + 4 + (uint64_t)to_exec + (uint64_t)(int64_t)rel;
}

static uint8_t *rel32(struct emit *e)
{
    uint8_t *place = e->p;
    emit_u32(e, 0);
    return place;
}

uint8_t *emit_call_later(struct emit *e)
{
    emit_byte(e, 0xe8);
    return rel32(e);
}

uint8_t *emit_jmp_later(struct emit *e)
{
    emit_byte(e, 0xe9);
    return rel32(e);
}

uint8_t *emit_jcc_later(struct emit *e, enum host_cc cc)
{
    emit_byte(e, 0x0f);
    emit_byte(e, 0x80 | cc);
    return rel32(e);
}

void emit_jmp(struct emit *e, uint64_t target)
{
    uint8_t *place = emit_jmp_later(e);
    if (!e->overflow)
        emit_patch32(place, e->to_exec, target);
}

void emit_call_near(struct emit *e, uint64_t target)
{
    emit_byte(e, 0xe8);
    emit_u32(e, 0);
    if (!e->overflow)
        emit_patch32(e->p - 4, e->to_exec, target);
}

void emit_jcc(struct emit *e, enum host_cc cc, uint64_t target)
{
    uint8_t *place = emit_jcc_later(e, cc);
    if (!e->overflow)
        emit_patch32(place, e->to_exec, target);
}

static uint8_t *rel8(struct emit *e)
{
    uint8_t *place = e->p;
    emit_byte(e, 0);
    return place;
}

uint8_t *emit_jrcxz_later(struct emit *e)
{
    emit_byte(e, 0xe3);
    return rel8(e);
}

uint8_t *emit_jecxz_later(struct emit *e)
{
    emit_byte(e, 0x67);
    emit_byte(e, 0xe3);
    return rel8(e);
}

uint8_t *emit_jmp8_later(struct emit *e)
{
    emit_byte(e, 0xeb);
    return rel8(e);
}

void emit_patch8(struct emit *e, uint8_t *place)
{
    ptrdiff_t rel = e->p - (place + 1);
    if (e->overflow)
        return;
    if (rel != (int8_t)rel)
        e->overflow = true;
    else
        *place = (uint8_t)rel;
}
