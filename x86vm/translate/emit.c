/* SPDX-License-Identifier: BSD-2-Clause
 *
 * x86-64 encoding: see emit.h. SDM vol. 2, ch. 2.
 */
#include "x86vm/translate/emit.h"

#include <stddef.h>
#include <string.h>

/* What one function writes at most: it looks for room once. */
enum { LONGEST = 32, INT3 = 0xcc };

static inline bool has_room(struct emit *e, ptrdiff_t size)
{
    if (e->end - e->p >= size)
        return true;
    e->overflow = true;
    return false;
}

void emit_bytes(struct emit *e, const void *bytes, unsigned count)
{
    if (!has_room(e, (ptrdiff_t)count))
        return;
    switch (count) { /* the usual ones, without a call */
    case 0: return;
    case 1: memcpy(e->p, bytes, 1); break;
    case 2: memcpy(e->p, bytes, 2); break;
    case 4: memcpy(e->p, bytes, 4); break;
    default: memcpy(e->p, bytes, count);
    }
    e->p += count;
}

void emit_byte(struct emit *e, uint8_t byte)
{
    if (has_room(e, 1))
        *e->p++ = byte;
}

void emit_u32(struct emit *e, uint32_t value) { emit_bytes(e, &value, 4); }
void emit_u64(struct emit *e, uint64_t value) { emit_bytes(e, &value, 8); }

/* --- what a copy must change --- */

static void add_mark(struct emit *e, uint8_t *place, enum emit_mark_kind kind)
{
    struct emit_marks *marks = e->marks;

    if (marks->count < EMIT_MARKS_MAX)
        marks->marks[marks->count++] = (struct emit_mark){ place, kind };
    else
        marks->lost = true;
}

/* A small displacement may have been emitted as one byte. */
void emit_mark_before(struct emit *e, enum emit_mark_kind kind, uint32_t value, unsigned behind)
{
    uint8_t *place = e->p - behind - 4;
    bool small = kind < MARK_SITE && (uint32_t)(int8_t)value == value;

    if (!e->marks || e->overflow)
        return;
    if (small || memcmp(place, &value, 4) != 0)
        e->marks->lost = true;
    else
        add_mark(e, place, kind);
}

/* --- parts of an instruction, from p on; they return where it goes on --- */

static inline uint8_t *put8(uint8_t *p, unsigned value)
{
    *p = (uint8_t)value;
    return p + 1;
}

static inline uint8_t *put32(uint8_t *p, uint32_t value)
{
    memcpy(p, &value, 4);
    return p + 4;
}

static inline uint8_t *put_prefixes(uint8_t *p, unsigned flags, unsigned reg, unsigned index, unsigned base)
{
    unsigned rex = (flags & EMIT_W ? 8 : 0) | (reg & 8) >> 1 | (index & 8) >> 2 | (base & 8) >> 3;

    if (flags & EMIT_66)
        p = put8(p, 0x66);
    if (flags & EMIT_F2)
        p = put8(p, 0xf2);
    if (flags & EMIT_F3)
        p = put8(p, 0xf3);
    return rex || flags & EMIT_REX ? put8(p, 0x40 | rex) : p;
}

static inline uint8_t *put_opcode(uint8_t *p, const uint8_t *opcode, unsigned length)
{
    p[0] = opcode[0];
    if (length > 1)
        p[1] = opcode[1];
    if (length > 2)
        p[2] = opcode[2];
    return p + length;
}

static uint8_t *put_modrm_mem(uint8_t *p, unsigned reg, struct host_mem m)
{
    unsigned r = (reg & 7) << 3;
    bool sib = m.index != NO_REG || m.base == NO_REG || (m.base & 7) == RSP;
    unsigned mod = m.base == NO_REG ? 0 : m.disp == 0 && (m.base & 7) != RBP ? 0 : m.disp == (int8_t)m.disp ? 0x40 : 0x80;

    if (sib) {
        unsigned base = m.base == NO_REG ? 5 : m.base & 7;
        unsigned index = m.index == NO_REG ? 4 : m.index & 7;
        p = put8(p, mod | r | 4);
        p = put8(p, (unsigned)m.scale << 6 | index << 3 | base);
    } else {
        p = put8(p, mod | r | (m.base & 7));
    }
    if (m.base == NO_REG || mod == 0x80)
        return put32(p, (uint32_t)m.disp);
    return mod == 0x40 ? put8(p, (uint8_t)m.disp) : p;
}

enum { PREFIX_GS = 0x65, PREFIX_ADDRESS_32 = 0x67 };

static inline uint8_t *put_op_mem(uint8_t *p, unsigned flags, const uint8_t *opcode, unsigned opcode_length, unsigned reg, struct host_mem mem)
{
    if (mem.bare)
        p = put8(p, PREFIX_GS);
    if (mem.bare && (mem.index != NO_REG || mem.disp != 0)) /* a register alone wraps nowhere */
        p = put8(p, PREFIX_ADDRESS_32);
    p = put_prefixes(p, flags, reg, mem.index == NO_REG ? 0 : mem.index, mem.base == NO_REG ? 0 : mem.base);
    p = put_opcode(p, opcode, opcode_length);
    return put_modrm_mem(p, reg, mem);
}

static inline uint8_t *put_op_reg(uint8_t *p, unsigned flags, const uint8_t *opcode, unsigned opcode_length, unsigned reg, unsigned rm)
{
    p = put_prefixes(p, flags, reg, 0, rm);
    p = put_opcode(p, opcode, opcode_length);
    return put8(p, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* --- instructions --- */

void emit_op_mem(struct emit *e, unsigned flags, const uint8_t *opcode, unsigned opcode_length, unsigned reg, struct host_mem mem)
{
    if (has_room(e, LONGEST))
        e->p = put_op_mem(e->p, flags, opcode, opcode_length, reg, mem);
}

void emit_op_reg(struct emit *e, unsigned flags, const uint8_t *opcode, unsigned opcode_length, unsigned reg, unsigned rm)
{
    if (has_room(e, LONGEST))
        e->p = put_op_reg(e->p, flags, opcode, opcode_length, reg, rm);
}

static void op1_mem(struct emit *e, unsigned flags, uint8_t opcode, unsigned reg, struct host_mem mem)
{
    if (has_room(e, LONGEST))
        e->p = put_op_mem(e->p, flags, &opcode, 1, reg, mem);
}

static inline void op1_reg(struct emit *e, unsigned flags, uint8_t opcode, unsigned reg, unsigned rm)
{
    if (has_room(e, LONGEST))
        e->p = put_op_reg(e->p, flags, &opcode, 1, reg, rm);
}

static void op2_reg(struct emit *e, unsigned flags, uint8_t opcode, unsigned reg, unsigned rm)
{
    emit_op_reg(e, flags, (const uint8_t[]){ 0x0f, opcode }, 2, reg, rm);
}

void emit_mov_imm32(struct emit *e, enum host_reg to, uint32_t value)
{
    if (has_room(e, LONGEST))
        e->p = put32(put8(put_prefixes(e->p, 0, 0, 0, to), 0xb8 | (to & 7)), value);
}

void emit_mov_imm64(struct emit *e, enum host_reg to, uint64_t value)
{
    if (value <= UINT32_MAX) {
        emit_mov_imm32(e, to, (uint32_t)value);
        return;
    }
    if (!has_room(e, LONGEST))
        return;
    e->p = put8(put_prefixes(e->p, EMIT_W, 0, 0, to), 0xb8 | (to & 7));
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
    const uint8_t opcode = 0xc7;

    if (has_room(e, LONGEST))
        e->p = put32(put_op_mem(e->p, 0, &opcode, 1, 0, to), value);
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
    const uint8_t bytes[] = { 0xc4, (uint8_t)((reg & 8 ? 0 : 0x80) | 0x40 | (rm & 8 ? 0 : 0x20) | 2), (uint8_t)((~vvvv & 15) << 3 | pp), opcode,
                              (uint8_t)(0xc0 | (reg & 7) << 3 | (rm & 7)) };

    emit_bytes(e, bytes, sizeof bytes);
}

void emit_shrx32(struct emit *e, enum host_reg to, enum host_reg from, enum host_reg count) { emit_bmi2(e, 3, 0xf7, to, count, from); }
void emit_shlx32(struct emit *e, enum host_reg to, enum host_reg from, enum host_reg count) { emit_bmi2(e, 1, 0xf7, to, count, from); }
void emit_sarx32(struct emit *e, enum host_reg to, enum host_reg from, enum host_reg count) { emit_bmi2(e, 2, 0xf7, to, count, from); }
void emit_pext32(struct emit *e, enum host_reg to, enum host_reg from, enum host_reg mask) { emit_bmi2(e, 2, 0xf5, to, from, mask); }
void emit_pdep32(struct emit *e, enum host_reg to, enum host_reg from, enum host_reg mask) { emit_bmi2(e, 3, 0xf5, to, from, mask); }

void emit_rorx64(struct emit *e, enum host_reg to, enum host_reg from, uint8_t count)
{
    const uint8_t bytes[] = { 0xc4, (uint8_t)((to & 8 ? 0 : 0x80) | 0x40 | (from & 8 ? 0 : 0x20) | 3), 0xfb /* W, no second source, F2 */, 0xf0,
                              (uint8_t)(0xc0 | (to & 7) << 3 | (from & 7)), count };

    emit_bytes(e, bytes, sizeof bytes);
}

void emit_bswap32(struct emit *e, enum host_reg reg)
{
    if (has_room(e, LONGEST))
        e->p = put8(put8(put_prefixes(e->p, 0, 0, 0, reg), 0x0f), 0xc8 | (reg & 7));
}

void emit_not32(struct emit *e, enum host_reg reg) { op1_reg(e, 0, 0xf7, 2, reg); }

void emit_shr32_imm(struct emit *e, enum host_reg reg, uint8_t count)
{
    op1_reg(e, 0, 0xc1, 5, reg);
    emit_byte(e, count);
}

void emit_test32_imm(struct emit *e, enum host_reg reg, uint32_t mask)
{
    op1_reg(e, 0, 0xf7, 0, reg);
    emit_u32(e, mask);
}

void emit_test64(struct emit *e, enum host_reg a, enum host_reg b) { op1_reg(e, EMIT_W, 0x85, a, b); }
void emit_xor32(struct emit *e, enum host_reg to, enum host_reg from) { op1_reg(e, 0, 0x33, to, from); }

void emit_cmp32_mem_imm8(struct emit *e, struct host_mem mem, int8_t value)
{
    op1_mem(e, 0, 0x83, 7, mem);
    emit_byte(e, (uint8_t)value);
}

void emit_xchg64(struct emit *e, enum host_reg a, enum host_reg b) { op1_reg(e, EMIT_W, 0x87, a, b); }
void emit_xchg64_mem(struct emit *e, struct host_mem mem, enum host_reg reg) { op1_mem(e, EMIT_W, 0x87, reg, mem); }

void emit_push(struct emit *e, enum host_reg reg)
{
    if (has_room(e, LONGEST))
        e->p = put8(put_prefixes(e->p, 0, 0, 0, reg), 0x50 | (reg & 7));
}

void emit_pop(struct emit *e, enum host_reg reg)
{
    if (has_room(e, LONGEST))
        e->p = put8(put_prefixes(e->p, 0, 0, 0, reg), 0x58 | (reg & 7));
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

void emit_align(struct emit *e, unsigned size)
{
    unsigned left_out = -(unsigned)(uintptr_t)e->p & (size - 1);

    if (!has_room(e, left_out))
        return;
    memset(e->p, INT3, left_out);
    e->p += left_out;
}

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

enum { NO_SECOND = -1, REL8 = 1, REL32 = 4 };

/* Opcode bytes and a displacement to be set later: the place of that. */
static uint8_t *later(struct emit *e, unsigned first, int second, unsigned displacement)
{
    uint8_t *p = e->p;

    if (!has_room(e, LONGEST))
        return p;
    p = put8(p, first);
    if (second >= 0)
        p = put8(p, (unsigned)second);
    memset(p, 0, displacement);
    e->p = p + displacement;
    if (displacement == REL32 && e->marks)
        add_mark(e, p, MARK_REL);
    return p;
}

uint8_t *emit_call_later(struct emit *e) { return later(e, 0xe8, NO_SECOND, REL32); }
uint8_t *emit_jmp_later(struct emit *e) { return later(e, 0xe9, NO_SECOND, REL32); }
uint8_t *emit_jcc_later(struct emit *e, enum host_cc cc) { return later(e, 0x0f, 0x80 | (int)cc, REL32); }
uint8_t *emit_jrcxz_later(struct emit *e) { return later(e, 0xe3, NO_SECOND, REL8); }
uint8_t *emit_jecxz_later(struct emit *e) { return later(e, 0x67, 0xe3, REL8); }
uint8_t *emit_jmp8_later(struct emit *e) { return later(e, 0xeb, NO_SECOND, REL8); }

static void patch(struct emit *e, uint8_t *place, uint64_t target)
{
    if (!e->overflow)
        emit_patch32(place, e->to_exec, target);
}

void emit_jmp(struct emit *e, uint64_t target) { patch(e, emit_jmp_later(e), target); }
void emit_call_near(struct emit *e, uint64_t target) { patch(e, emit_call_later(e), target); }
void emit_jcc(struct emit *e, enum host_cc cc, uint64_t target) { patch(e, emit_jcc_later(e, cc), target); }

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
