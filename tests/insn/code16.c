/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The same instruction in a segment of 16-bit code, where 66h and 67h mean the
 * opposite: of the ways to have or not to have them, the first that Zydis takes
 * for the same with the same operands.
 */
#include "tests/insn/gen.h"

#include <Zydis/Zydis.h>
#include <string.h>

struct decoded {
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

static bool decode(ZydisMachineMode mode, const uint8_t *bytes, unsigned length, struct decoded *out)
{
    ZydisDecoder decoder;

    ZydisDecoderInit(&decoder, mode, ZYDIS_STACK_WIDTH_32);
    return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, length, &out->insn, out->operands)) && out->insn.length == length;
}

static bool is_branch(ZydisInstructionCategory c)
{
    return c == ZYDIS_CATEGORY_COND_BR || c == ZYDIS_CATEGORY_UNCOND_BR || c == ZYDIS_CATEGORY_CALL || c == ZYDIS_CATEGORY_RET;
}

static bool same_register(ZydisRegister a, ZydisRegister b)
{
    return a == b || (ZydisRegisterGetClass(a) == ZYDIS_REGCLASS_IP && ZydisRegisterGetClass(b) == ZYDIS_REGCLASS_IP) ||
           (ZydisRegisterGetClass(a) == ZYDIS_REGCLASS_FLAGS && ZydisRegisterGetClass(b) == ZYDIS_REGCLASS_FLAGS);
}

static bool same_operand(const ZydisDecodedOperand *a, const ZydisDecodedOperand *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        return same_register(a->reg.value, b->reg.value);
    case ZYDIS_OPERAND_TYPE_MEMORY:
        return a->size == b->size && a->mem.segment == b->mem.segment && a->mem.base == b->mem.base && a->mem.index == b->mem.index &&
               a->mem.scale == b->mem.scale && a->mem.disp.value == b->mem.disp.value;
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        return a->imm.value.u == b->imm.value.u;
    default:
        return a->ptr.segment == b->ptr.segment && a->ptr.offset == b->ptr.offset;
    }
}

static bool same(const struct decoded *a, const struct decoded *b)
{
    if (a->insn.mnemonic != b->insn.mnemonic || a->insn.operand_count != b->insn.operand_count ||
        (is_branch(a->insn.meta.category) && a->insn.operand_width != b->insn.operand_width))
        return false;
    for (unsigned i = 0; i < a->insn.operand_count; i++) {
        const ZydisDecodedOperand *x = &a->operands[i], *y = &b->operands[i];
        if (!same_operand(x, y))
            return false;
        if (x->type == ZYDIS_OPERAND_TYPE_MEMORY && a->insn.address_width != b->insn.address_width &&
            x->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
            return false; /* an address that wraps around elsewhere */
    }
    return true;
}

static bool is_prefix(uint8_t byte)
{
    return byte && strchr("\xf0\xf2\xf3\x2e\x36\x3e\x26\x64\x65\x66\x67", byte);
}

/* `bytes` with `prefix` where there was none, or without it. */
static unsigned toggle(uint8_t prefix, const uint8_t *bytes, unsigned length, uint8_t *out)
{
    unsigned i;

    for (i = 0; i < length && is_prefix(bytes[i]); i++)
        if (bytes[i] == prefix) {
            memcpy(out, bytes, i);
            memcpy(out + i, bytes + i + 1, length - i - 1);
            return length - 1;
        }
    out[0] = prefix;
    memcpy(out + 1, bytes, length);
    return length + 1;
}

unsigned gen_code16(const uint8_t *bytes, unsigned length, uint8_t out[15])
{
    struct decoded wanted, got;

    if (!decode(ZYDIS_MACHINE_MODE_LEGACY_32, bytes, length, &wanted))
        return 0;
    for (unsigned way = 0; way < 4; way++) {
        uint8_t first[20], second[20];
        unsigned size = length;

        memcpy(first, bytes, length);
        if (way & 1)
            size = toggle(0x66, first, size, second), memcpy(first, second, size);
        if (way & 2)
            size = toggle(0x67, first, size, second), memcpy(first, second, size);
        if (size <= 15 && decode(ZYDIS_MACHINE_MODE_LEGACY_16, first, size, &got) && same(&wanted, &got)) {
            memcpy(out, first, size);
            return size;
        }
    }
    return 0;
}
