/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The generator. It knows the register values that it chose itself until an
 * instruction writes the register, and aims memory operands at the data window
 * with them; it follows the undefined flags, and puts a CMP before an
 * instruction that would read one.
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
                               .undefined_before = g->undefined, .written = flags.written,
                               .tested = flags.tested, .lost = flags.lost };
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
static void set_word(struct gen *g, uint32_t address, uint16_t value)
{
    uint8_t bytes[9] = { 0x66, 0xc7, 0x05 };
    memcpy(bytes + 3, &address, 4);
    memcpy(bytes + 7, &value, 2);
    put(g, bytes, 9, GEN_GLUE, 0);
}

static void clear_word(struct gen *g, uint32_t address) { set_word(g, address, 0); }

/* --- memory operands --- */

static uint32_t aligned_below(struct gen *g, uint32_t limit, bool align)
{
    unsigned shift = align && !percent(g, 4) ? 4 : (unsigned[]){ 4, 4, 2, 0 }[below(g, 4)];
    return below(g, limit) >> shift << shift;
}

/* A writable place where nothing goes wrong. */
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

struct operand {
    uint8_t prefix[3];
    unsigned prefixes;
    uint8_t bytes[6]; /* ModRM without the reg field, SIB, displacement */
    unsigned length;
};

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

static void absolute(struct gen *g, struct operand *op, uint32_t offset)
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

static void pick_operand(struct gen *g, struct operand *op, bool align)
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
        absolute(g, op, target);
    }
}

/* --- set-ups --- */

static void mov_high_byte(struct gen *g, uint8_t value)
{
    put(g, (uint8_t[]){ 0xb4, value }, 2, GEN_GLUE, 0);
}

static void setup_string(struct gen *g)
{
    if (!percent(g, 4))
        set_register(g, ESI, pick_target(g, false));
    if (!percent(g, 4))
        set_register(g, EDI, pick_target(g, false));
    set_register(g, ECX, percent(g, 80) ? below(g, 40) : percent(g, 90) ? below(g, 3000) : interesting(g));
}

static uint32_t data_selector(const struct gen *g)
{
    return g->options->small ? INSN_SEL_SMALL_DATA : INSN_SEL_DATA;
}

/* A place on the stack. */
uint32_t stack_pointer(struct gen *g)
{
    return g->data + AT_STACK + 0x400 + below(g, 0x1800) / 4 * 4;
}

/* For EBP; where the stack has 16 bits, only BP matters. */
static uint32_t frame_pointer(struct gen *g)
{
    uint32_t high = g->options->small && percent(g, 30) ? (uint32_t)gen_random(&g->rng) << 16 : 0;
    return high | (g->data + AT_STACK + 0x800 + below(g, 0x1000) / 4 * 4);
}

static void setup_segment(struct gen *g)
{
    set_register(g, EAX, percent(g, 95) ? data_selector(g) : INSN_SEL_FS);
}

/* One that means the same in both descriptor tables, or nothing in either. */
static uint32_t any_selector(struct gen *g)
{
    static const uint16_t selectors[] = { INSN_SEL_CODE, INSN_SEL_DATA, INSN_SEL_GS, INSN_SEL_FS, INSN_SEL_DATA & ~3, 0, 3, 0xfff8, 0x4007 };
    return selectors[below(g, sizeof selectors / sizeof *selectors)] | (percent(g, 30) ? 0x10000 : 0);
}

/* Runs what has to come before; true when the form's memory operand is to be `*target`. */
static bool run_setup(struct gen *g, unsigned setup, bool is16, uint32_t *target)
{
    const bool at_end = g->options->small && percent(g, 20);

    *target = safe_target(g);
    switch (setup) {
    case SETUP_DIV8:
        if (percent(g, 70))
            mov_high_byte(g, (uint8_t)below(g, 8));
        return false;
    case SETUP_DIV:
        if (percent(g, 70))
            set_register(g, EDX, below(g, 3));
        return false;
    case SETUP_IDIV:
        if (percent(g, 70))
            put(g, (uint8_t[]){ 0x99 }, 1, GEN_GLUE, 0);
        return false;
    case SETUP_STRING: setup_string(g); return false;
    case SETUP_XLAT: set_register(g, EBX, pick_target(g, false) - 128); return false;
    case SETUP_LEAVE:
        if (percent(g, 90))
            set_register(g, EBP, frame_pointer(g));
        return false;
    case SETUP_ENTER:
        if (percent(g, 80))
            set_register(g, EBP, frame_pointer(g));
        return false;
    case SETUP_EDI: set_register(g, EDI, pick_target(g, false)); return false;
    case SETUP_SHIFT16: set_register(g, ECX, below(g, 17)); return false;
    case SETUP_BOUND:
        set_memory(g, *target, 0x80000000 + below(g, 100));
        set_memory(g, *target + 4, 0x7fffffff - below(g, 100));
        return true;
    case SETUP_FLDCW:
        set_memory(g, *target, (percent(g, 85) ? 0x7f : 0x40 | below(g, 64)) | (0x300 & below(g, 0x400)) | below(g, 4) << 10);
        return true;
    case SETUP_LDMXCSR:
        set_memory(g, *target, (percent(g, 85) ? 0x1f80 : below(g, 64) << 7) | below(g, 4) << 13 |
                   (percent(g, 20) ? 0x8000 : 0) | (percent(g, 20) ? 0x40 : 0) | (percent(g, 3) ? 0x10000 : 0));
        return true;
    case SETUP_SEGMENT: setup_segment(g); return false;
    case SETUP_FAR_POINTER:
    case SETUP_GS_POINTER:
        if (at_end) { /* where the segment ends; only as much as there is room for */
            *target = 0xfffa + below(g, 3) * 2;
            set_word(g, (*target + (is16 ? 2 : 4)) & 0xffff, (uint16_t)(setup == SETUP_GS_POINTER ? INSN_SEL_GS : data_selector(g)));
            return true;
        }
        set_memory(g, *target + (is16 ? 2 : 4), (uint32_t)gen_random(&g->rng) << 16 | (setup == SETUP_GS_POINTER ? INSN_SEL_GS : data_selector(g)));
        return true;
    case SETUP_SEGMENT_MEMORY:
        set_memory(g, *target, (uint32_t)gen_random(&g->rng) << 16 | data_selector(g));
        return true;
    case SETUP_GS: set_register(g, EAX, INSN_SEL_GS); return false;
    case SETUP_SELECTOR: set_register(g, EAX, any_selector(g)); return false;
    case SETUP_SELECTOR_MEMORY: set_memory(g, *target, any_selector(g)); return true;
    case SETUP_STRING_LENGTHS:
        if (percent(g, 80)) {
            set_register(g, EAX, below(g, 40) - 20);
            set_register(g, EDX, below(g, 40) - 20);
        }
        return false;
    case SETUP_GS_MEMORY: set_memory(g, *target, INSN_SEL_GS); return true;
    case SETUP_FPU_STORE:
    case SETUP_FPU_LOAD:
        *target = g->data + below(g, 0x1d00) / 16 * 16; /* 512 bytes */
        return true;
    default: return false;
    }
}

/* FNSTENV, FNSAVE and FXSAVE store the host's instruction and data pointers: not compared. */
static void blank_fpu_pointers(struct gen *g, const struct insn_form *form, uint32_t target, bool is16)
{
    if (form->escape) {
        clear_word(g, target + 6);
        for (uint32_t at = 8; at < 32; at += at == 20 ? 8 : 4)
            set_memory(g, target + at, 0);
    } else if (is16) {
        for (uint32_t at = 6; at < 14; at += 2)
            clear_word(g, target + at);
    } else {
        for (uint32_t at = 12; at < 28; at += 4)
            set_memory(g, target + at, 0);
    }
}

/* What FLDENV, FRSTOR or FXRSTOR is going to load: saves it, and goes on with something else. */
static void save_fpu(struct gen *g, const struct insn_form *load, uint32_t target, bool is16)
{
    uint8_t bytes[8], length = 0;
    unsigned digit = load->escape ? 0 : 6;
    if (is16)
        bytes[length++] = 0x66;
    if (load->escape)
        bytes[length++] = load->escape;
    bytes[length++] = load->opcode;
    bytes[length++] = (uint8_t)(0x05 | digit << 3);
    memcpy(bytes + length, &target, 4);
    put(g, bytes, length + 4u, GEN_GLUE, 0);
    blank_fpu_pointers(g, load, target, is16);
    if (percent(g, 70))
        put(g, (uint8_t[]){ 0xd9, 0xe8 }, 2, GEN_GLUE, 0); /* FLD1 */
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
        absolute(g, &op, target);
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
    out->exact_flags = options->exact_flags;
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
