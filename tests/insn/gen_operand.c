/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The generator's memory operands: where they lie, and how the address is said,
 * with registers whose values are known.
 */
#include "tests/insn/gen_internal.h"

#include <string.h>

static uint32_t aligned_below(struct gen *g, uint32_t limit, bool align)
{
    unsigned shift = align && !percent(g, 4) ? 4 : (unsigned[]){ 4, 4, 2, 0 }[below(g, 4)];
    return below(g, limit) >> shift << shift;
}

uint32_t safe_target(struct gen *g)
{
    return g->data + below(g, 0x1f00) / 16 * 16;
}

uint32_t pick_target(struct gen *g, bool align)
{
    unsigned r = below(g, 100);
    if (r < 10)
        return g->data + AT_STACK + 0x800 + aligned_below(g, 0x1000, align);
    if (r < 16)
        return g->data + 0x1000 - 1 - below(g, 15) * !align;
    if (r < 20)
        return g->data + 0x3000 + aligned_below(g, 0x1f00, align);
    if (r < 24)
        return g->data + 0x2000 + aligned_below(g, 0xf00, align);
    if (r < 25)
        return g->data + 0x2000 - 1 - below(g, 15);
    if (r < 26)
        return g->data + (percent(g, 50) ? 0x3000 : 0x5000) - 1 - below(g, 15);
    if (r < 27)
        return g->data + (percent(g, 50) ? 0x5000 : 0x7ff0) + below(g, 16);
    if (r < 31 && g->options->small) /* the segment's last bytes */
        return 0xffff - below(g, percent(g, 50) ? 16 : 0x1000);
    return g->data + aligned_below(g, 0x1fc0, align);
}

static void put_displacement(struct operand *op, uint32_t displacement, unsigned size)
{
    memcpy(op->bytes + op->length, &displacement, size);
    op->length += size;
}

/* Chooses mod for a displacement: none, 8 or 32 bits. */
static void finish_displacement(struct gen *g, struct operand *op, uint32_t displacement, bool base_is_ebp)
{
    bool fits8 = displacement + 128 < 256;
    if (displacement == 0 && !base_is_ebp && percent(g, 80))
        return;
    if (fits8 && percent(g, 80)) {
        op->bytes[0] |= 0x40;
        put_displacement(op, displacement, 1);
    } else {
        op->bytes[0] |= 0x80;
        put_displacement(op, displacement, 4);
    }
}

static int pick_known(struct gen *g, bool esp_allowed)
{
    for (unsigned tries = 0; tries < 6; tries++) {
        unsigned reg = below(g, 8);
        if (reg == ESP ? esp_allowed && g->esp_in_stack : g->known[reg])
            return (int)reg;
    }
    return -1;
}

void absolute_operand(struct gen *g, struct operand *op, uint32_t offset)
{
    if (percent(g, 70)) {
        op->bytes[0] = 0x05;
        op->length = 1;
    } else {
        op->bytes[0] = 0x04;
        op->bytes[1] = 0x25;
        op->length = 2;
    }
    put_displacement(op, offset, 4);
}

static void based(struct gen *g, struct operand *op, unsigned base, uint32_t target)
{
    if (base == ESP) {
        op->bytes[0] = 0x04;
        op->bytes[1] = 0x24;
        op->length = 2;
        finish_displacement(g, op, percent(g, 95) ? below(g, 64) - 16 : below(g, 512) - 256, false);
    } else {
        op->bytes[0] = (uint8_t)base;
        op->length = 1;
        finish_displacement(g, op, target - g->value[base], base == EBP);
    }
}

static void indexed(struct gen *g, struct operand *op, int base, unsigned index, uint32_t target)
{
    unsigned scale = below(g, 4);
    uint32_t sum = g->value[index] << scale;
    op->bytes[0] = 0x04;
    op->bytes[1] = (uint8_t)(scale << 6 | index << 3 | (base < 0 ? 5 : (unsigned)base));
    op->length = 2;
    if (base < 0)
        put_displacement(op, target - sum, 4);
    else
        finish_displacement(g, op, target - sum - g->value[base], base == EBP);
}

/* 16-bit addressing: known registers and a displacement. */
static void address16(struct gen *g, struct operand *op, uint32_t offset)
{
    static const int8_t pairs[8][2] = { { EBX, ESI }, { EBX, EDI }, { EBP, ESI }, { EBP, EDI },
                                        { ESI, -1 }, { EDI, -1 }, { EBP, -1 }, { EBX, -1 } };
    unsigned rm = below(g, 8);
    bool usable = g->known[pairs[rm][0]] && (pairs[rm][1] < 0 || g->known[pairs[rm][1]]);
    op->prefix[op->prefixes++] = 0x67;
    op->length = 1;
    if (!usable) {
        op->bytes[0] = 0x06;
        put_displacement(op, offset, 2);
        return;
    }
    uint16_t sum = (uint16_t)(g->value[pairs[rm][0]] + (pairs[rm][1] < 0 ? 0 : g->value[pairs[rm][1]]));
    uint16_t displacement = (uint16_t)(offset - sum);
    bool fits8 = (uint16_t)(displacement + 128) < 256;
    op->bytes[0] = (uint8_t)((fits8 ? 0x40 : 0x80) | rm);
    put_displacement(op, displacement, fits8 ? 1 : 2);
}

void pick_operand(struct gen *g, struct operand *op, bool align)
{
    const uint32_t fs_limit = g->options->small ? 0xffff : INSN_FS_LIMIT;
    const uint32_t fs_base = g->options->small ? INSN_SMALL_FS - INSN_DATA : INSN_FS_BASE;
    uint32_t target = pick_target(g, align);
    unsigned r = below(g, 100);
    bool code_override = !g->options->integer_only && g->options->mode == GEN_PROTECTED; /* not writable there alone */
    bool narrow = g->options->small ? percent(g, 70) : r < 6 || (r / 2 == 5 && !g->options->integer_only);
    *op = (struct operand){ .prefixes = 0 };
    if (r < 10) {
        op->prefix[op->prefixes++] = 0x65;
        target -= g->data;
    } else if (r < 14 && !g->options->integer_only) { /* often at the limit's edge */
        op->prefix[op->prefixes++] = 0x64;
        target = percent(g, 20) ? fs_limit - 16 + below(g, 24) : target - fs_base;
    } else if (r < 20) {
        op->prefix[op->prefixes++] = (uint8_t[]){ 0x26, 0x36, 0x3e, 0x2e }[r == 19 && code_override ? 3 : below(g, 3)];
    }
    if (narrow) {
        address16(g, op, target);
        return;
    }
    int base = pick_known(g, !g->in_subroutine), index = pick_known(g, false);
    r = below(g, 100);
    if (r < 2) { /* wild */
        op->bytes[0] = (uint8_t)((unsigned[]){ EAX, ECX, EDX, EBX, ESI, EDI }[below(g, 6)]);
        op->length = 1;
    } else if (base >= 0 && r < 55) {
        based(g, op, (unsigned)base, target);
    } else if (base >= 0 && base != ESP && index >= 0 && r < 80) {
        indexed(g, op, base, (unsigned)index, target);
    } else if (index >= 0 && r < 88) {
        indexed(g, op, -1, (unsigned)index, target);
    } else {
        absolute_operand(g, op, target);
    }
}
