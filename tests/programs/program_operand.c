/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What instructions of a random program work on: registers that may be written, flags
 * that are defined, and memory: the two areas of the data window that are writable, one
 * of which ends in the device, and the function's own words on the stack.
 */
#include "tests/programs/program_internal.h"

const uint16_t condition_reads[8] = { F_O, F_C, F_Z, F_C | F_Z, F_S, F_P, F_S | F_O, F_Z | F_S | F_O };

unsigned free_register(struct maker *m)
{
    unsigned reg;

    do
        reg = below(m, 8);
    while (reg == ESP || (m->busy >> reg & 1));
    return reg;
}

unsigned free_byte(struct maker *m)
{
    unsigned reg;

    do
        reg = below(m, 8);
    while (m->busy >> (reg & 3) & 1);
    return reg;
}

void need_flags(struct maker *m, uint32_t flags)
{
    if ((m->defined & flags) == flags)
        return;
    PUT(m, 0x39, (uint8_t)(0xc0 | any_register(m) << 3 | any_register(m))); /* CMP */
    m->defined = F_ALL;
}

/* --- operands --- */

static void take_absolute(struct operand *o, uint32_t address)
{
    o->bytes[0] = 0x05;
    memcpy(o->bytes + 1, &address, 4);
    o->length = 5;
}

/* [reg + displacement] or [reg * 2^scale + displacement] */
static void take_indexed(struct maker *m, struct operand *o, unsigned reg, unsigned scale, uint32_t displacement)
{
    if (!scale && percent(m, 70)) {
        o->bytes[0] = (uint8_t)(0x80 | reg);
        memcpy(o->bytes + 1, &displacement, 4);
        o->length = 5;
    } else {
        o->bytes[0] = 0x04;
        o->bytes[1] = (uint8_t)(scale << 6 | reg << 3 | 5);
        memcpy(o->bytes + 2, &displacement, 4);
        o->length = 6;
    }
}

/* A word that this function has pushed. */
static void take_stack(struct maker *m, struct operand *o, unsigned size)
{
    o->bytes[0] = 0x44;
    o->bytes[1] = 0x24;
    o->bytes[2] = (uint8_t)(below(m, m->pushed * 4 - size + 1));
    o->length = 3;
}

struct operand memory_operand(struct maker *m, unsigned size, unsigned align, uint32_t wanted)
{
    struct operand o = { 0 };
    const bool b = percent(m, 30);
    const uint32_t area = INSN_DATA + (b ? AREA_B : 0);
    unsigned reg = free_register(m), scale = below(m, 4), kind = below(m, 100);
    uint32_t mask;

    if (m->pushed * 4 >= size && align == 1 && percent(m, 20)) {
        take_stack(m, &o, size);
        return o;
    }
    if (kind < 40 || m->quiet) {
        take_absolute(&o, area + below(m, AREA_SIZE - size + 1) / align * align);
    } else if (kind < 55 || wanted) { /* MOVZX reg, r8 */
        PUT(m, 0x0f, 0xb6, (uint8_t)(0xc0 | reg << 3 | any_register(m)));
        take_indexed(m, &o, reg, align > 1 ? 0 : scale, area + below(m, AREA_SIZE - size - (255u << scale)) / align * align);
        if (align > 1)
            take_absolute(&o, area + below(m, AREA_SIZE - size + 1) / align * align);
    } else {
        mask = (uint32_t[]){ 0x1f, 0xff, 0x3fc, 0xff0, 0x7e0, 0x1c00 }[below(m, 6)] & ~(align - 1);
        scale = mask << scale > 0x1c00 ? 0 : scale;
        PUT(m, 0x81, (uint8_t)(0xe0 | reg)); /* AND reg, mask */
        put32(m, mask);
        m->defined = LOGIC;
        take_indexed(m, &o, reg, scale, area + below(m, AREA_SIZE - size - (mask << scale) + 1) / align * align);
    }
    if (percent(m, 8) && align == 1 && o.length == 5 && o.bytes[0] == 0x05) { /* by GS, whose base is the window's */
        uint32_t offset;
        memcpy(&offset, o.bytes + 1, 4);
        offset -= INSN_DATA;
        memcpy(o.bytes + 1, &offset, 4);
        o.prefix = 0x65;
    }
    return o;
}

void put_operand(struct maker *m, const struct operand *o, unsigned reg)
{
    uint8_t bytes[7];

    memcpy(bytes, o->bytes, sizeof bytes);
    bytes[0] |= (uint8_t)(reg << 3);
    put(m, bytes, o->length);
}

void put_sized(struct maker *m, const struct operand *o, unsigned size, uint8_t opcode)
{
    if (o && o->prefix)
        put8(m, o->prefix);
    if (size == 2)
        put8(m, 0x66);
    put8(m, opcode | (size > 1));
}

void put_immediate(struct maker *m, unsigned size)
{
    const uint32_t value = fuzz_value(&m->r);

    put(m, &value, size);
    if (size == 4)
        note_patch(m);
}
