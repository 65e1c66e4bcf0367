/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The generator: a case, and an instruction of the table (forms.h). It knows the
 * register values that it chose itself until an instruction writes the register,
 * and aims memory operands at the data window with them; it follows the undefined
 * flags, and puts a CMP before an instruction that would read one.
 */
#include "tests/insn/gen_internal.h"

#include <stddef.h>
#include <string.h>

uint64_t gen_random(struct gen_rng *rng)
{
    uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t interesting(struct gen *g)
{
    static const uint32_t special[] = { 0, 1, 2, 7, 8, 15, 16, 31, 32, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff,
                                        0x10000, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff };
    switch (below(g, 4)) {
    case 0: return special[below(g, sizeof special / sizeof *special)];
    case 1: return below(g, 256) - 128;
    default: return (uint32_t)gen_random(&g->rng);
    }
}

/* --- appending code --- */

/* CMP r32, imm32 defines all six flags. */
static void define_flags(struct gen *g)
{
    uint32_t imm = interesting(g);
    uint8_t bytes[6] = { 0x81, (uint8_t)(0xf8 | below(g, 8)) };
    memcpy(bytes + 2, &imm, 4);
    put(g, bytes, 6, GEN_GLUE, 0);
}

static void register_written(struct gen *g, unsigned reg)
{
    g->known[reg] = false;
    g->touched |= 1u << reg;
}

static bool moves_stack(ZydisInstructionCategory category, ZydisMnemonic m)
{
    return category == ZYDIS_CATEGORY_PUSH || category == ZYDIS_CATEGORY_POP || category == ZYDIS_CATEGORY_CALL ||
           category == ZYDIS_CATEGORY_RET || m == ZYDIS_MNEMONIC_ENTER || m == ZYDIS_MNEMONIC_LEAVE;
}

static void follow_registers(struct gen *g, const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *operands)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const ZydisDecodedOperand *op = &operands[i];
        if (op->type != ZYDIS_OPERAND_TYPE_REGISTER || !(op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
            continue;
        ZydisRegister full = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LEGACY_32, op->reg.value);
        if (full < ZYDIS_REGISTER_EAX || full > ZYDIS_REGISTER_EDI)
            continue;
        unsigned reg = (unsigned)(full - ZYDIS_REGISTER_EAX);
        register_written(g, reg);
        bool explicit_esp = reg == ESP && op->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT;
        if (reg == ESP && (explicit_esp || !moves_stack(insn->meta.category, insn->mnemonic)))
            g->esp_in_stack = false;
    }
    if (insn->mnemonic == ZYDIS_MNEMONIC_POPA || insn->mnemonic == ZYDIS_MNEMONIC_POPAD)
        for (unsigned reg = 0; reg < 8; reg++)
            if (reg != ESP)
                register_written(g, reg);
}

bool put(struct gen *g, const uint8_t *bytes, unsigned length, uint16_t form, uint8_t kind)
{
    struct gen_sequence *out = g->out;
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    uint8_t bytes16[15];
    bool decoded = ZYAN_SUCCESS(ZydisDecoderDecodeFull(&g->decoder, bytes, length, &insn, operands)) && insn.length == length;
    struct gen_flags flags = { .undefined_after = g->undefined };
    if (decoded) {
        flags = gen_flags_of(&insn, bytes, g->undefined, g->known[ECX] ? (int)(g->value[ECX] & 0xff) : -1);
        if (flags.tested & g->undefined) {
            define_flags(g);
            flags = gen_flags_of(&insn, bytes, g->undefined, g->known[ECX] ? (int)(g->value[ECX] & 0xff) : -1);
        }
    }
    if (g->options->code16) {
        length = gen_code16(bytes, length, bytes16);
        bytes = bytes16;
        if (!length)
            return false;
    }
    if (out->count + 4 > GEN_PARTS_MAX || out->length + length + 16 > GEN_CODE_MAX) {
        g->full = true;
        return false;
    }
    struct gen_part *part = &out->part[out->count++];
    *part = (struct gen_part){ .offset = (uint16_t)out->length, .form = form, .length = (uint8_t)length, .kind = kind,
                               .undefined_before = g->undefined, .lost = flags.lost };
    memcpy(out->code + out->length, bytes, length);
    out->length += length;
    g->undefined = flags.undefined_after;
    if (decoded)
        follow_registers(g, &insn, operands);
    return true;
}

void set_register(struct gen *g, unsigned reg, uint32_t value)
{
    uint8_t bytes[5] = { (uint8_t)(0xb8 | reg) };
    memcpy(bytes + 1, &value, 4);
    put(g, bytes, 5, GEN_GLUE, 0);
    if (!g->conditional) {
        g->known[reg] = true;
        g->value[reg] = value;
    }
    if (reg == ESP)
        g->esp_in_stack = value - g->data - AT_STACK < AT_STACK_END - AT_STACK;
}

/* MOV dword [address], value */
void set_memory(struct gen *g, uint32_t address, uint32_t value)
{
    uint8_t bytes[10] = { 0xc7, 0x05 };
    memcpy(bytes + 2, &address, 4);
    memcpy(bytes + 6, &value, 4);
    put(g, bytes, 10, GEN_GLUE, 0);
}

/* MOV word [address], value */
void set_word(struct gen *g, uint32_t address, uint16_t value)
{
    uint8_t bytes[9] = { 0x66, 0xc7, 0x05 };
    memcpy(bytes + 3, &address, 4);
    memcpy(bytes + 7, &value, 2);
    put(g, bytes, 9, GEN_GLUE, 0);
}

/* --- plain forms --- */

static unsigned pick_register(struct gen *g, bool any)
{
    unsigned reg = below(g, 8);
    return reg == ESP && !any && !percent(g, 15) ? below(g, 4) : reg;
}

struct bytes {
    uint8_t at[24];
    unsigned length;
};

static void add(struct bytes *b, uint32_t value, unsigned size)
{
    memcpy(b->at + b->length, &value, size);
    b->length += size;
}

static void add_immediate(struct gen *g, struct bytes *b, const struct insn_form *form, bool is16, bool addr16)
{
    switch (form->imm) {
    case IMM_8: add(b, form->setup == SETUP_DOUBLE_SHIFT ? below(g, is16 ? 17 : 256) : interesting(g), 1); break;
    case IMM_16: /* ENTER */
        add(b, below(g, 64), 2);
        add(b, percent(g, 60) ? 0 : below(g, 5), 1);
        break;
    case IMM_Z: add(b, interesting(g), is16 ? 2 : 4); break;
    case IMM_MOFFS: add(b, pick_target(g, false) - (addr16 ? g->data : 0), addr16 ? 2 : 4); break;
    default: break;
    }
}

static void add_bit_offset_setup(struct gen *g, const struct insn_form *form, uint8_t *reg)
{
    if (form->setup != SETUP_BIT_OFFSET || percent(g, 10))
        return;
    *reg = (uint8_t)(unsigned[]){ EAX, ECX, EDX, EBX }[below(g, 4)];
    set_register(g, *reg, percent(g, 50) ? below(g, 64) : below(g, 8000) - 4000);
}

static void add_repeat(struct gen *g, struct bytes *b, const struct insn_form *form)
{
    if (form->setup != SETUP_STRING)
        return;
    if (percent(g, 60))
        add(b, percent(g, 50) ? 0xf3 : 0xf2, 1);
    if (percent(g, 8))
        add(b, (uint8_t[]){ 0x26, 0x36, 0x3e, 0x64, 0x65 }[below(g, g->options->integer_only ? 3 : 5)], 1);
    if (!g->options->small && percent(g, 2))
        add(b, 0x67, 1);
}

/* In 16-bit code, an address that no ModRM byte gives has 16 bits, too. */
static void add_narrow_address(struct gen *g, struct bytes *b, const struct insn_form *form)
{
    bool implicit = form->setup == SETUP_STRING || form->setup == SETUP_XLAT || form->setup == SETUP_EDI;

    if (g->options->small && implicit && percent(g, 70))
        add(b, 0x67, 1);
}

/* POPF loads what it must not disturb: only the arithmetic flags and DF vary. */
static void push_flags_image(struct gen *g, bool is16)
{
    uint32_t image = ((uint32_t)gen_random(&g->rng) & (ARITHMETIC | FLAG_DF)) | 2 | (percent(g, 50) ? 0x200 : 0);
    if (!is16 && percent(g, 10) && !g->options->integer_only)
        image |= FLAG_AC;
    struct bytes b = { .length = 0 };
    if (is16)
        add(&b, 0x66, 1);
    add(&b, 0x68, 1);
    add(&b, image, is16 ? 2 : 4);
    put(g, b.at, b.length, GEN_GLUE, 0);
}

void ensure_stack(struct gen *g)
{
    if (!g->esp_in_stack && !percent(g, 15))
        set_register(g, ESP, stack_pointer(g));
}

static void emit_form(struct gen *g, uint16_t which)
{
    const struct insn_form *form = &insn_forms[which];
    bool is16 = form->attributes & O16 && percent(g, g->options->small ? 60 : 30);
    bool memory = form->rm == RM_MEM || (form->rm == RM_ANY && percent(g, 50));
    bool any_register = form->attributes & BYTES;
    uint32_t target = 0;
    uint8_t reg = form->digit >= 0 ? (uint8_t)form->digit : (uint8_t)pick_register(g, any_register);
    struct bytes b = { .length = 0 };
    struct operand op = { .prefixes = 0 };

    if (form->attributes & STACK)
        ensure_stack(g);
    if (form->setup == SETUP_POPF)
        push_flags_image(g, is16);
    bool fixed_target = run_setup(g, form->setup, is16, &target);
    if (form->setup == SETUP_BIT_OFFSET && memory)
        add_bit_offset_setup(g, form, &reg);
    if (form->setup == SETUP_FPU_LOAD)
        save_fpu(g, form, target, is16);
    if (form->setup == SETUP_POP_SEGMENT || form->setup == SETUP_POP_GS)
        put(g, (uint8_t[]){ 0x66, 0x6a, form->setup == SETUP_POP_GS ? INSN_SEL_GS : (uint8_t)data_selector(g) } + !is16, 2u + is16, GEN_GLUE, 0);
    if (form->setup == SETUP_PUSH_SEGMENT && !is16 && g->options->small)
        put(g, (uint8_t[]){ 0x0f, 0xb7, 0xe4 }, 3, GEN_GLUE, 0); /* MOVZX ESP, SP: for the MOV below */
    if (fixed_target)
        absolute_operand(g, &op, target);
    else if (memory)
        pick_operand(g, &op, form->attributes & ALIGNED);

    bool moffs16 = form->imm == IMM_MOFFS && percent(g, g->options->small ? 70 : 10);
    bool lock = memory && form->attributes & LOCKABLE && percent(g, 25);
    if (lock)
        add(&b, 0xf0, 1);
    for (unsigned i = 0; i < op.prefixes; i++)
        add(&b, op.prefix[i], 1);
    if (moffs16)
        add(&b, 0x6567, g->options->small ? 1 : 2);
    add_repeat(g, &b, form);
    add_narrow_address(g, &b, form);
    if (is16)
        add(&b, 0x66, 1);
    if (form->prefix)
        add(&b, form->prefix, 1);
    if (form->escape)
        add(&b, form->escape, 1);
    if (form->escape2)
        add(&b, form->escape2, 1);
    uint32_t step = form->span > 1 ? below(g, form->span) : 0;
    if (form->rm == RM_NONE && (form->opcode & 7) == 0 && form->span == 8 && (step & 7) == ESP && !percent(g, 15))
        step = EDX; /* ESP rarely, where the opcode names a register; byte registers lose a little AH */
    add(&b, form->opcode + (form->rm == RM_FIXED ? 0 : step), 1);
    if (form->rm == RM_FIXED) {
        add(&b, form->modrm + step, 1);
    } else if (memory || fixed_target) {
        op.bytes[0] |= (uint8_t)(reg << 3);
        memcpy(b.at + b.length, op.bytes, op.length);
        b.length += op.length;
    } else if (form->rm != RM_NONE) {
        bool eax = form->setup == SETUP_SEGMENT || form->setup == SETUP_GS || form->setup == SETUP_SELECTOR;
        unsigned rm = eax ? EAX : pick_register(g, any_register);
        add(&b, 0xc0u | (uint32_t)reg << 3 | rm, 1);
    }
    add_immediate(g, &b, form, is16, moffs16);
    if (b.length > 15)
        return;
    put(g, b.at, b.length, which, (uint8_t)(is16 | (memory || fixed_target) << 1));
    if (form->setup == SETUP_FPU_STORE)
        blank_fpu_pointers(g, form, target, is16);
    if (form->setup == SETUP_PUSH_SEGMENT && !is16) /* CPUs differ in whether the upper half is written */
        put(g, (uint8_t[]){ 0x66, 0xc7, 0x44, 0x24, 0x02, 0, 0 }, 7, GEN_GLUE, 0);
}

static bool suits(const struct gen *g, const struct insn_form *form, bool in_body)
{
    if ((form->attributes & INEXACT && !g->options->inexact) || form->feature & ~g->options->features)
        return false;
    if (g->options->integer_only && (form->attributes & SYSTEM || form->class != CLASS_INTEGER))
        return false;
    if (g->options->mode != GEN_PROTECTED && form->attributes & (SYSTEM | ENDS | IMAGE))
        return false;
    if (g->options->small && here(g) >= 0xff00 && (form->setup == SETUP_FPU_STORE || form->setup == SETUP_FPU_LOAD || form->setup == SETUP_PUSH_SEGMENT))
        return false; /* the segment would end before the code that blanks what differs */
    return !in_body || !(form->attributes & (STACK | ENDS));
}

/* Classes by weight, forms within a class alike. */
void emit_any(struct gen *g, bool in_body)
{
    static const uint8_t weights[CLASS_COUNT] = { 48, 14, 10, 27, 1 };
    unsigned r = below(g, 100), class = 0;
    while (r >= weights[class] && !g->options->integer_only)
        r -= weights[class++];
    for (unsigned tries = 0; tries < 10000; tries++) {
        uint16_t which = (uint16_t)below(g, insn_form_count);
        if (insn_forms[which].class == class && suits(g, &insn_forms[which], in_body)) {
            emit_form(g, which);
            return;
        }
        if (class == CLASS_FAULT && in_body)
            class = CLASS_INTEGER;
    }
}

void gen_case(uint64_t seed, uint64_t number, unsigned slot, const struct gen_options *options,
              struct gen_sequence *out)
{
    struct gen g = { .out = out, .options = options, .rng = { seed * UINT64_C(0xd1342543de82ef95) + number * UINT64_C(0x9e3779b1) } };
    memset(out, 0, sizeof *out);
    out->code16 = options->code16;
    out->small = options->small;
    out->mode = options->mode;
    g.data = options->small ? 0 : INSN_DATA;
    ZydisDecoderInit(&g.decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    /* The last quarter of a 1 KiB slot on: every fourth case lies across a page boundary. */
    out->base = (options->small ? 0 : INSN_CODE) + slot * INSN_SLOT + INSN_SLOT - 64 + below(&g, 64);
    random_state(&g);
    unsigned wanted = 1 + below(&g, 16);
    while (out->count < wanted && !g.full)
        emit_item(&g);
    struct gen_part *end = &out->part[out->count++];
    *end = (struct gen_part){ .offset = (uint16_t)out->length, .form = GEN_GLUE, .length = 1,
                              .undefined_before = g.undefined };
    out->code[out->length++] = 0xcc;
}
