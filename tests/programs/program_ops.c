/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Instructions of a random program that compute, on the operands of program_operand.c.
 * Whatever an instruction leaves undefined is not read before it is defined again.
 */
#include "tests/programs/program_internal.h"

/* --- integer --- */

enum { ADC = 2, SBB = 3, CMP = 7 };

static unsigned pick_alu(struct maker *m)
{
    unsigned op = below(m, 8);

    if (op == ADC || op == SBB)
        need_flags(m, F_C);
    return op;
}

static void alu_done(struct maker *m, unsigned op)
{
    m->defined = op == 1 || op == 4 || op == 6 ? LOGIC : F_ALL;
}

static void op_alu_registers(struct maker *m)
{
    unsigned op = pick_alu(m), size = pick_size(m), to = size == 1 ? free_byte(m) : free_register(m);

    put_sized(m, NULL, size, (uint8_t)(op << 3));
    put8(m, 0xc0 | any_register(m) << 3 | to);
    alu_done(m, op);
}

static void op_alu_memory(struct maker *m)
{
    const unsigned size = pick_size(m);
    const bool to_memory = percent(m, 50), lock = percent(m, 15);
    const uint32_t carry = percent(m, 30) ? F_C : 0;
    struct operand o;
    unsigned op;

    if (carry)
        need_flags(m, F_C);
    o = memory_operand(m, size, 1, carry);
    op = carry && m->defined & F_C ? ADC + below(m, 2) : (unsigned[]){ 0, 1, 4, 5, 6, 7 }[below(m, 6)];
    if (to_memory && lock && op != CMP)
        put8(m, 0xf0);
    put_sized(m, &o, size, (uint8_t)(op << 3 | (to_memory ? 0 : 2)));
    put_operand(m, &o, to_memory ? any_register(m) : size == 1 ? free_byte(m) : free_register(m));
    alu_done(m, op);
}

static void op_alu_immediate(struct maker *m)
{
    unsigned op = pick_alu(m), size = pick_size(m);

    put_sized(m, NULL, size, 0x80);
    put8(m, 0xc0 | op << 3 | (size == 1 ? free_byte(m) : free_register(m)));
    put_immediate(m, size);
    alu_done(m, op);
}

static void op_alu_memory_immediate(struct maker *m)
{
    const unsigned size = pick_size(m), op = (unsigned[]){ 0, 1, 4, 5, 6, 7 }[below(m, 6)];
    const struct operand o = memory_operand(m, size, 1, 0);

    put_sized(m, &o, size, 0x80);
    put_operand(m, &o, op);
    put_immediate(m, size);
    alu_done(m, op);
}

static void op_unary(struct maker *m)
{
    const unsigned size = pick_size(m), op = below(m, 4); /* INC, DEC; NOT, NEG */
    const bool in_memory = percent(m, 50), keep = op < 2 && percent(m, 50);
    struct operand o = { 0 };

    if (in_memory)
        o = memory_operand(m, size, 1, keep);
    put_sized(m, &o, size, op < 2 ? 0xfe : 0xf6);
    if (in_memory)
        put_operand(m, &o, op);
    else
        put8(m, 0xc0 | op << 3 | (size == 1 ? free_byte(m) : free_register(m)));
    if (op < 2)
        m->defined |= F_ALL & ~F_C;
    else if (op == 3)
        m->defined = F_ALL;
}

static void op_shift(struct maker *m)
{
    const unsigned op = (unsigned[]){ 0, 1, 2, 3, 4, 5, 7 }[below(m, 7)], reg = free_register(m), count = 1 + below(m, 31);
    const bool by_cl = percent(m, 30), rotate = op < 4;

    if (op == 2 || op == 3)
        need_flags(m, F_C);
    if (by_cl) {
        PUT(m, 0xd3, (uint8_t)(0xc0 | op << 3 | reg)); /* a count of 0 leaves all as it was */
        m->defined &= rotate ? ~(uint32_t)F_O : ~(uint32_t)(F_O | F_A);
        return;
    }
    PUT(m, 0xc1, (uint8_t)(0xc0 | op << 3 | reg), (uint8_t)count);
    if (rotate)
        m->defined = (m->defined | F_C) & ~(uint32_t)F_O;
    else
        m->defined = F_ALL & ~(F_O | F_A);
    if (count == 1)
        m->defined |= F_O;
}

static void op_double_shift(struct maker *m)
{
    PUT(m, 0x0f, percent(m, 50) ? 0xa4 : 0xac, (uint8_t)(0xc0 | any_register(m) << 3 | free_register(m)), (uint8_t)(1 + below(m, 31)));
    m->defined = F_ALL & ~(F_O | F_A);
}

static void op_multiply(struct maker *m)
{
    if (percent(m, 60)) {
        const struct operand o = memory_operand(m, 4, 1, 0);
        if (o.prefix)
            put8(m, o.prefix);
        PUT(m, 0x0f, 0xaf);
        put_operand(m, &o, free_register(m));
    } else if (!(m->busy & (1 << EAX | 1 << EDX))) {
        PUT(m, 0xf7, (uint8_t)(0xe0 | below(m, 2) << 3 | any_register(m)));
    } else {
        return;
    }
    m->defined = F_C | F_O;
}

static void op_divide(struct maker *m)
{
    if (m->busy & (1 << EAX | 1 << EDX | 1 << ECX))
        return;
    PUT(m, 0x31, 0xd2, 0x83, 0xc9, 0x01, 0xf7, 0xf1); /* XOR EDX, EDX; OR ECX, 1; DIV ECX */
    m->defined = 0;
}

static void op_move(struct maker *m)
{
    const unsigned size = pick_size(m);
    struct operand o;

    if (percent(m, 25)) {
        put8(m, 0xb8 | free_register(m));
        put_immediate(m, 4);
        return;
    }
    o = memory_operand(m, size, 1, percent(m, 50));
    if (percent(m, 50)) {
        put_sized(m, &o, size, 0x88);
        put_operand(m, &o, any_register(m));
    } else {
        put_sized(m, &o, size, 0x8a);
        put_operand(m, &o, size == 1 ? free_byte(m) : free_register(m));
    }
}

static void op_widen(struct maker *m)
{
    const unsigned wide = below(m, 2);
    const struct operand o = memory_operand(m, 1 + wide, 1, percent(m, 50));

    if (o.prefix)
        put8(m, o.prefix);
    PUT(m, 0x0f, (uint8_t)((percent(m, 50) ? 0xb6 : 0xbe) | wide));
    put_operand(m, &o, free_register(m));
}

static void op_lea(struct maker *m)
{
    const unsigned reg = free_register(m);
    const uint32_t displacement = fuzz_value(&m->r);

    PUT(m, 0x8d, (uint8_t)(0x84 | reg << 3), (uint8_t)(below(m, 4) << 6 | (unsigned[]){ EAX, ECX, EDX, EBX, EBP, ESI, EDI }[below(m, 7)] << 3 | any_register(m)));
    put32(m, displacement);
    note_patch(m);
}

static void op_exchange(struct maker *m)
{
    const unsigned kind = below(m, 4);
    struct operand o;

    if (kind == 0) {
        PUT(m, 0x87, (uint8_t)(0xc0 | free_register(m) << 3 | free_register(m)));
        return;
    }
    if (kind == 3 && m->busy & 1 << EAX)
        return;
    o = memory_operand(m, 4, 1, kind == 1);
    if (o.prefix)
        put8(m, o.prefix);
    if (kind != 1 && percent(m, 40))
        put8(m, 0xf0);
    if (kind == 1)
        put8(m, 0x87);
    else
        PUT(m, 0x0f, kind == 2 ? 0xc1 : 0xb1); /* XADD, CMPXCHG */
    put_operand(m, &o, free_register(m));
    if (kind != 1)
        m->defined = F_ALL;
}

static void op_condition(struct maker *m)
{
    const unsigned condition = below(m, 16), wanted = condition_reads[condition >> 1];
    struct operand o;

    need_flags(m, wanted);
    if (percent(m, 30)) {
        PUT(m, 0x0f, (uint8_t)(0x90 | condition), (uint8_t)(0xc0 | free_byte(m)));
    } else if (percent(m, 50)) {
        PUT(m, 0x0f, (uint8_t)(0x40 | condition), (uint8_t)(0xc0 | free_register(m) << 3 | any_register(m)));
    } else {
        const bool set = percent(m, 50);
        o = memory_operand(m, set ? 1 : 4, 1, wanted);
        if (o.prefix)
            put8(m, o.prefix);
        PUT(m, 0x0f, (uint8_t)((set ? 0x90 : 0x40) | condition));
        put_operand(m, &o, set ? 0 : free_register(m));
    }
}

static void op_bits(struct maker *m)
{
    const uint8_t op = (uint8_t[]){ 0xa3, 0xab, 0xb3, 0xbb }[below(m, 4)];

    if (percent(m, 50)) {
        PUT(m, 0x0f, op, (uint8_t)(0xc0 | any_register(m) << 3 | free_register(m)));
    } else { /* a bit string in memory, by a small index */
        const unsigned index = free_register(m);
        const uint32_t base = INSN_DATA + (percent(m, 30) ? AREA_B : 0) + 0x100 + below(m, 0x1d00);
        PUT(m, 0x0f, 0xbe, (uint8_t)(0xc0 | index << 3 | any_register(m))); /* MOVSX */
        PUT(m, 0x0f, op, (uint8_t)(0x05 | index << 3));
        put32(m, base);
    }
    m->defined = F_C;
}

/* Flags as data. */
static void op_flags(struct maker *m)
{
    const unsigned kind = below(m, 4);

    if (kind == 0 && !(m->busy & 1 << EAX)) {
        need_flags(m, F_S | F_Z | F_A | F_P | F_C);
        put8(m, 0x9f); /* LAHF */
    } else if (kind == 1) {
        put8(m, 0x9e); /* SAHF */
        m->defined |= F_ALL & ~F_O;
    } else if (m->shows_flags && kind == 2) {
        need_flags(m, F_ALL);
        PUT(m, 0x9c, (uint8_t)(0x58 | free_register(m))); /* PUSHFD; POP */
    } else {
        PUT(m, 0x9c, 0x01, (uint8_t)(0xc0 | any_register(m) << 3 | free_register(m)), 0x9d); /* PUSHFD; ADD; POPFD */
    }
}

static void op_stack(struct maker *m)
{
    if (percent(m, 50)) {
        PUT(m, (uint8_t)(0x50 | any_register(m)), (uint8_t)(0x58 | free_register(m)));
    } else if (percent(m, 50) && !m->busy) {
        PUT(m, 0x60, 0x01, 0x04, 0x24, 0x61); /* PUSHAD; ADD [ESP], EAX; POPAD */
        m->defined = F_ALL;
    } else {
        const struct operand o = memory_operand(m, 4, 1, 1);
        if (o.bytes[0] == 0x44) /* by ESP, which POP has moved by then */
            return;
        put8(m, 0x68);
        put_immediate(m, 4);
        if (o.prefix)
            put8(m, o.prefix);
        put8(m, 0x8f);
        put_operand(m, &o, 0);
    }
}

/* --- strings, x87, SSE --- */

static void op_string(struct maker *m)
{
    static const uint8_t ops[] = { 0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xad, 0xa6, 0xa7, 0xae, 0xaf };
    const uint8_t op = ops[below(m, sizeof ops)];
    const bool compares = op == 0xa6 || op == 0xa7 || op == 0xae || op == 0xaf, device = percent(m, 15);
    const uint32_t count = device ? below(m, 12) : below(m, percent(m, 10) ? 1000 : 40), bytes = count * (op & 1 ? 4 : 1) + 4;

    if (m->busy & (1 << ECX | 1 << ESI | 1 << EDI | 1 << EAX))
        return;
    put8(m, 0xb9);
    put32(m, count);
    put8(m, 0xbe);
    put32(m, INSN_DATA + (device ? AREA_B : 0) + below(m, AREA_SIZE - bytes));
    put8(m, 0xbf);
    put32(m, INSN_DATA + (percent(m, 10) ? AREA_B : 0) + below(m, AREA_SIZE - bytes));
    if (compares)
        need_flags(m, F_ALL); /* a count of 0 leaves them */
    if (op != 0xac && op != 0xad && percent(m, 80))
        put8(m, percent(m, 50) ? 0xf3 : 0xf2 + !compares);
    put8(m, op);
}

static void op_x87(struct maker *m)
{
    const struct operand a = memory_operand(m, 8, 1, 1), b = memory_operand(m, 4, 1, 1), c = memory_operand(m, 8, 1, 1);

    if (a.prefix || b.prefix || c.prefix)
        return;
    put8(m, 0xdd); /* FLD m64; Fop m32; FSTP m64 */
    put_operand(m, &a, 0);
    put8(m, 0xd8);
    put_operand(m, &b, (unsigned[]){ 0, 1, 4, 6 }[below(m, 4)]);
    put8(m, 0xdd);
    put_operand(m, &c, 3);
}

static void op_sse(struct maker *m)
{
    static const uint8_t ops[] = { 0xfe, 0xfa, 0xd4, 0xeb, 0xef, 0xdf, 0x70, 0x6c, 0x61, 0xf4, 0x74 };
    const unsigned x = below(m, 8), kind = below(m, 5);
    const bool aligned = percent(m, 50);
    struct operand o;

    if (kind == 0) {
        const uint8_t op = ops[below(m, sizeof ops)];
        PUT(m, 0x66, 0x0f, op, (uint8_t)(0xc0 | x << 3 | below(m, 8)));
        if (op == 0x70)
            put8(m, below(m, 256));
        return;
    }
    if (kind == 1) {
        PUT(m, 0x66, 0x0f, percent(m, 50) ? 0x6e : 0x7e, (uint8_t)(0xc0 | x << 3 | free_register(m)));
        return;
    }
    o = memory_operand(m, 16, aligned ? 16 : 1, percent(m, 50));
    if (o.bytes[0] == 0x44 && aligned)
        return;
    if (o.prefix)
        put8(m, o.prefix);
    if (kind == 2 && aligned)
        PUT(m, 0x66, 0x0f, ops[below(m, 6)]);
    else
        PUT(m, 0x0f, (uint8_t)((aligned ? 0x28 : 0x10) | below(m, 2)));
    put_operand(m, &o, x);
}

static void op_convert(struct maker *m)
{
    PUT(m, 0x0f, (uint8_t)(0xc8 | free_register(m))); /* BSWAP */
    if (!(m->busy & (1 << EAX | 1 << EDX)))
        PUT(m, percent(m, 50) ? 0x98 : 0x99);
}

struct op { uint8_t weight; bool quiet; void (*emit)(struct maker *m); };
static const struct op ops[] = {
    { 12, false, op_alu_registers }, { 14, false, op_alu_memory }, { 8, false, op_alu_immediate }, { 5, false, op_alu_memory_immediate },
    { 6, false, op_unary }, { 5, false, op_shift }, { 2, false, op_double_shift }, { 3, false, op_multiply }, { 1, false, op_divide },
    { 14, true, op_move }, { 5, true, op_widen }, { 5, true, op_lea }, { 3, false, op_exchange }, { 7, false, op_condition },
    { 3, false, op_bits }, { 4, false, op_flags }, { 4, false, op_stack }, { 2, false, op_string }, { 3, true, op_x87 }, { 6, true, op_sse },
    { 2, true, op_convert },
};

void emit_op(struct maker *m)
{
    unsigned sum = 0, r;
    size_t i;

    for (i = 0; i < sizeof ops / sizeof *ops; i++)
        sum += ops[i].weight;
    do {
        r = below(m, sum);
        for (i = 0; r >= ops[i].weight; i++)
            r -= ops[i].weight;
    } while (m->quiet && !ops[i].quiet);
    ops[i].emit(m);
}
