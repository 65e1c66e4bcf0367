/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The generator's control flow: jumps over code, loops, subroutines, indirect
 * and far transfers.
 */
#include "tests/insn/gen_internal.h"

#include <string.h>

/* Whether a transfer has the operand size of 16 bits (its address, what it
 * pushes): where code lies above 64 KiB it would lead nowhere. */
static bool narrow(struct gen *g) { return g->options->small && percent(g, 60); }

/* put() with 66h and 67h before it. */
static bool put_sized(struct gen *g, bool operand16, bool address16, const uint8_t *bytes, unsigned length)
{
    uint8_t with[18];
    unsigned at = 0;

    if (operand16)
        with[at++] = 0x66;
    if (address16)
        with[at++] = 0x67;
    memcpy(with + at, bytes, length);
    return put(g, with, at + length, GEN_GLUE, 0);
}

static void patch(struct gen *g, uint32_t at, unsigned size, uint32_t value)
{
    if (!g->full)
        memcpy(g->out->code + at, &value, size);
}

/* Code that may be jumped over. */
static void emit_skippable(struct gen *g, uint32_t undefined_at_jump)
{
    g->conditional = true;
    for (unsigned n = 1 + below(g, 3); n; n--)
        emit_any(g, false);
    g->conditional = false;
    g->undefined |= undefined_at_jump;
}

static void emit_jcc(struct gen *g)
{
    bool near = percent(g, 50), is16 = narrow(g);
    uint8_t condition = (uint8_t)below(g, 16);
    uint8_t bytes[6] = { 0x0f, (uint8_t)(0x80 | condition) };
    unsigned size = !near ? 1 : is16 ? 2 : 4;
    if (!near)
        bytes[0] = 0x70 | condition;
    if (!put_sized(g, is16, false, bytes, near ? 2 + size : 2))
        return;
    uint32_t start = g->out->length;
    emit_skippable(g, g->undefined);
    uint32_t distance = g->out->length - start;
    if (!near && distance > 127)
        distance = 0; /* out of reach: jumps nowhere */
    patch(g, start - size, size, distance);
}

static void emit_jecxz(struct gen *g)
{
    bool is16 = percent(g, g->options->small ? 60 : 20);
    if (percent(g, 40))
        set_register(g, ECX, percent(g, 50) ? 0 : 0x10000);
    if (!put_sized(g, narrow(g), is16, (uint8_t[]){ 0xe3, 0 }, 2))
        return;
    uint32_t start = g->out->length;
    emit_skippable(g, g->undefined);
    patch(g, start - 1, 1, g->out->length - start > 127 ? 0 : g->out->length - start);
}

/* A counted loop: what the body writes is unknown in it, and so are the flags. */
static void emit_loop(struct gen *g)
{
    bool known[8];
    bool cx = g->options->small && percent(g, 60);
    set_register(g, ECX, (1 + below(g, 4)) | (cx ? (uint32_t)gen_random(&g->rng) << 16 : 0));
    if (g->full)
        return;
    memcpy(known, g->known, sizeof known);
    memset(g->known, 0, sizeof g->known);
    g->touched = 0;
    g->undefined = ARITHMETIC;
    uint32_t start = g->out->length;
    for (unsigned n = 1 + below(g, 2); n; n--)
        emit_any(g, true);
    if (g->touched & 1u << ECX)
        set_register(g, ECX, 1);
    uint8_t opcode = (uint8_t)(0xe0 + below(g, 3));
    put_sized(g, narrow(g), cx, (uint8_t[]){ opcode, 0 }, 2);
    patch(g, g->out->length - 1, 1, start - g->out->length);
    for (unsigned reg = 0; reg < 8; reg++)
        g->known[reg] = known[reg] && !(g->touched >> reg & 1);
    g->known[ECX] = false;
}

/* CALL over a jump to a body that ends in RET. */
static void emit_subroutine(struct gen *g)
{
    const bool is16 = narrow(g), jump16 = narrow(g);
    const unsigned size = is16 ? 2 : 4;
    ensure_stack(g);
    if (!put_sized(g, is16, false, (uint8_t[]){ 0xe8, 2, 0, 0, 0 }, 1 + size))
        return;
    uint32_t called = g->out->length;
    put_sized(g, jump16, false, (uint8_t[]){ 0xeb, 0 }, 2);
    uint32_t start = g->out->length;
    patch(g, called - size, size, start - called);
    g->in_subroutine = true;
    for (unsigned n = below(g, 3); n; n--)
        emit_any(g, true);
    g->in_subroutine = false;
    bool release = percent(g, 30);
    put_sized(g, is16 != (g->options->small && percent(g, 4)), false, (uint8_t[]){ release ? 0xc2 : 0xc3, 8, 0 }, release ? 3 : 1);
    uint32_t distance = g->out->length - start;
    if (distance > 127)
        g->full = true;
    patch(g, start - 1, 1, distance);
}

/* A transfer to a label behind itself: how long it is depends on the code segment. */
struct transfer {
    unsigned kind, reg;
    uint32_t cell;
    bool is16;
    void (*emit)(struct gen *g, const struct transfer *t, uint32_t label);
};

static bool transfer(struct gen *g, const struct transfer *t, unsigned gap)
{
    const struct gen before = *g;
    const uint32_t length = g->out->length, count = g->out->count;
    uint32_t size;

    if (g->out->count + 8 > GEN_PARTS_MAX || g->out->length + 96 > GEN_CODE_MAX)
        return false;
    t->emit(g, t, g->out->base);
    size = g->out->length - length;
    *g = before;
    g->out->length = length;
    g->out->count = count;
    t->emit(g, t, here(g) + size + gap);
    return true;
}

static void indirect(struct gen *g, const struct transfer *t, uint32_t label)
{
    const unsigned size = t->is16 ? 2 : 4;
    uint8_t through[6] = { 0xff, t->kind == 2 ? 0x15 : 0x25 }, push[5] = { 0x68 };

    memcpy(through + 2, &t->cell, 4);
    memcpy(push + 1, &label, 4);
    if (t->kind < 2) {
        set_register(g, t->reg, label | (t->is16 ? 0xabcd0000 : 0));
        put_sized(g, t->is16, false, (uint8_t[]){ 0xff, (uint8_t)((t->kind ? 0xd0 : 0xe0) | t->reg) }, 2);
    } else if (t->kind < 4) {
        set_memory(g, t->cell, label | (t->is16 ? 0xabcd0000 : 0));
        put_sized(g, t->is16, false, through, 6);
    } else {
        put_sized(g, t->is16, false, push, 1 + size);
        put_sized(g, t->is16, false, (uint8_t[]){ 0xc3 }, 1);
    }
}

/* JMP or CALL through a register or memory, RET to a pushed address. */
static void emit_indirect(struct gen *g)
{
    static const uint8_t trap[] = { 0xcc, 0xcc, 0xcc };
    const unsigned kind = below(g, 5), gap = below(g, 3);
    const struct transfer t = { .kind = kind, .reg = (unsigned[]){ EAX, ECX, EDX, EBX, ESI, EDI }[below(g, 6)],
                                .cell = safe_target(g), .is16 = narrow(g), .emit = indirect };

    ensure_stack(g);
    if (!transfer(g, &t, gap))
        return;
    for (unsigned i = 0; i < gap; i++)
        put(g, trap + i, 1, GEN_GLUE, 0);
}

static void far(struct gen *g, const struct transfer *t, uint32_t label)
{
    const uint8_t selector = g->options->small ? INSN_SEL_SMALL_CODE : g->options->code16 ? INSN_SEL_CODE16 : INSN_SEL_CODE;
    const unsigned size = t->is16 ? 2 : 4;
    uint8_t direct[7] = { t->kind == 1 ? 0xea : 0x9a }, through[6] = { 0xff, t->kind == 3 ? 0x2d : 0x1d }, push[5] = { 0x68 };

    memcpy(push + 1, &label, 4);
    memcpy(direct + 1, &label, 4);
    direct[1 + size] = selector;
    direct[2 + size] = 0;
    memcpy(through + 2, &t->cell, 4);
    if (t->kind == 0 || t->kind == 5) {
        put_sized(g, t->is16, false, (uint8_t[]){ 0x6a, selector }, 2);
        put_sized(g, t->is16, false, push, 1 + size);
        put_sized(g, t->is16, false, (uint8_t[]){ t->kind ? 0xcf : 0xcb }, 1);
    } else if (t->kind < 3) {
        put_sized(g, t->is16, false, direct, 3 + size);
    } else {
        set_memory(g, t->cell, label);
        set_memory(g, t->cell + size, selector);
        put_sized(g, t->is16, false, through, 6);
    }
}

/* Far jumps, calls and returns to the same code segment, IRET. */
static void emit_far(struct gen *g)
{
    const struct transfer t = { .kind = below(g, 6), .cell = safe_target(g), .is16 = narrow(g), .emit = far };

    ensure_stack(g);
    if (t.kind == 5)
        put_sized(g, t.is16, false, (uint8_t[]){ 0x9c }, 1);
    if (transfer(g, &t, 0) && (t.kind == 2 || t.kind == 4)) /* the return address */
        put(g, (uint8_t[]){ 0x83, 0xc4, t.is16 ? 4 : 8 }, 3, GEN_GLUE, 0);
}

/* JMP over what it must not run. */
static void emit_jump(struct gen *g)
{
    const bool near = percent(g, 50), is16 = narrow(g);
    const unsigned size = !near ? 1 : is16 ? 2 : 4, gap = below(g, 6);

    if (!put_sized(g, is16, false, (uint8_t[]){ near ? 0xe9 : 0xeb, 0, 0, 0, 0 }, 1 + size))
        return;
    patch(g, g->out->length - size, size, gap);
    for (unsigned i = 0; i < gap; i++)
        put(g, (uint8_t[]){ 0xcc }, 1, GEN_GLUE, 0);
}

/* With 66h a near jump cuts EIP to 16 bits: lands where nothing is mapped. In a small
 * segment one without it leads beyond the limit. */
static void emit_truncating_jump(struct gen *g)
{
    if (g->options->small)
        put(g, (uint8_t[]){ 0xe9, (uint8_t)below(g, 256), (uint8_t)below(g, 256), 1, 0 }, 5, GEN_GLUE, 0);
    else if (percent(g, 50))
        put(g, (uint8_t[]){ 0x66, 0xeb, (uint8_t)below(g, 256) }, 3, GEN_GLUE, 0);
    else
        put(g, (uint8_t[]){ 0x66, 0xe9, (uint8_t)below(g, 256), 0x10 }, 4, GEN_GLUE, 0);
}

static void emit_int(struct gen *g)
{
    static const uint8_t vectors[] = { 0, 1, 3, 4, 6, 13, 14, 0x21, 0xff };
    put(g, (uint8_t[]){ 0xcd, vectors[below(g, sizeof vectors)] }, 2, GEN_GLUE, 0);
}

void emit_item(struct gen *g)
{
    unsigned r = below(g, 1000);
    if (r < 40)
        emit_jcc(g);
    else if (r < 50)
        emit_jecxz(g);
    else if (r < 65)
        emit_loop(g);
    else if (r < 85)
        emit_subroutine(g);
    else if (r < 105)
        emit_indirect(g);
    else if (r < 115 && !g->options->integer_only && g->options->mode == GEN_PROTECTED)
        emit_far(g);
    else if (r < 117 && !g->options->integer_only)
        emit_truncating_jump(g);
    else if (r < 119 && !g->options->integer_only && g->options->mode == GEN_PROTECTED)
        emit_int(g);
    else if (r < 135 && g->options->small)
        emit_jump(g);
    else
        emit_any(g, false);
}
