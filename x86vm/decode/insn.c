/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The decoder. What instructions with the same prefix, opcode and ModRM.reg have
 * in common is their form: a struct insn that Zydis decoded once (zydis_insn.c).
 * Another one of a known form is that with its own registers, address and
 * immediate. 16-bit code, several prefixes of the same sort, 67h, the last bytes
 * of a page and whatever is no instruction go to Zydis each time.
 */
#include "x86vm/decode/insn.h"

#include <string.h>

#include "x86vm/cpu/cpu.h"
#include "x86vm/decode/zydis_insn.h"

/* --- forms --- */

struct form {
    struct insn insn;
    struct insn_rules rules;
};

enum opcode_map { MAP_1, MAP_0F, MAP_0F38, MAP_0F3A, MAP_COUNT };
enum prefix_class { CLASS_NONE, CLASS_66, CLASS_F2, CLASS_F3, CLASS_LOCK, CLASS_COUNT };
enum { DETAILS = 16, X87_DETAILS = 64, X87_OPCODES = 8 }; /* ModRM: mod = 3 and reg; or of x87 instructions on registers all but mod */
enum { PLACES_X87 = CLASS_COUNT * MAP_COUNT * 256 * DETAILS, PLACES = PLACES_X87 + CLASS_COUNT * X87_OPCODES * X87_DETAILS };
enum { FORM_UNKNOWN, FORM_NONE /* is left to Zydis */, FORM_FIRST, FORMS_MAX = 1 << 15 /* there are some 16,000 */ };

static uint16_t form_at[PLACES]; /* a guest asks for some thousand of them */
static struct form forms[FORMS_MAX];
static unsigned form_count = FORM_FIRST;

/* Opcodes with a ModRM byte, by their high half; of the two last maps all have one. */
static const uint16_t modrm_rows[2][16] = {
    { 0x0f0f, 0x0f0f, 0x0f0f, 0x0f0f, 0, 0, 0x0a0c, 0, 0xffff, 0, 0, 0, 0x00f3, 0xff0f, 0, 0xc0c0 },
    { 0xa00f, 0xffff, 0xff0f, 0, 0xffff, 0xffff, 0xffff, 0xff7f, 0, 0xffff, 0xf838, 0xffff, 0x00ff, 0xffff, 0xffff, 0xffff },
};

void insn_init(uint32_t features)
{
    zydis_insn_init(features);
    if (form_count != FORM_FIRST)
        memset(form_at, 0, sizeof form_at);
    form_count = FORM_FIRST;
}

/* --- the bytes in front of the operands --- */

struct head {
    uint8_t length;    /* with ModRM */
    uint8_t prefixes;  /* how many */
    uint8_t segment;   /* enum cpu_seg, or INSN_NO_REG */
    uint8_t class, map, opcode, modrm;
    bool has_modrm;
};

enum { IS_SEGMENT = 8, IS_CLASS = 16, IS_OTHER = 32 };
static const uint8_t prefix_kinds[256] = {
    [0x26] = IS_SEGMENT | CPU_ES, [0x2e] = IS_SEGMENT | CPU_CS, [0x36] = IS_SEGMENT | CPU_SS, [0x3e] = IS_SEGMENT | CPU_DS,
    [0x64] = IS_SEGMENT | CPU_FS, [0x65] = IS_SEGMENT | CPU_GS,
    [0x66] = IS_CLASS | CLASS_66, [0xf2] = IS_CLASS | CLASS_F2, [0xf3] = IS_CLASS | CLASS_F3, [0xf0] = IS_CLASS | CLASS_LOCK,
    [0x67] = IS_OTHER,
};

/* False: prefixes that are left to Zydis. */
static bool take_prefixes(struct head *h, const uint8_t *bytes)
{
    uint8_t kind;

    h->length = 0;
    h->segment = INSN_NO_REG;
    h->class = CLASS_NONE;
    while ((kind = prefix_kinds[bytes[h->length]]) != 0) {
        if (kind & IS_SEGMENT && h->segment == INSN_NO_REG)
            h->segment = kind & 7;
        else if (kind & IS_CLASS && h->class == CLASS_NONE)
            h->class = kind & 7;
        else
            return false;
        h->length++;
    }
    h->prefixes = h->length;
    return true;
}

static void take_opcode(struct head *h, const uint8_t *bytes)
{
    uint8_t opcode = bytes[h->length++];

    h->map = MAP_1;
    if (opcode == 0x0f) {
        opcode = bytes[h->length++];
        h->map = opcode == 0x38 ? MAP_0F38 : opcode == 0x3a ? MAP_0F3A : MAP_0F;
        if (h->map != MAP_0F)
            opcode = bytes[h->length++];
    }
    h->opcode = opcode;
    h->has_modrm = h->map > MAP_0F || modrm_rows[h->map][opcode >> 4] >> (opcode & 15) & 1;
    h->modrm = h->has_modrm ? bytes[h->length++] : 0;
}

static unsigned place_of(const struct head *h)
{
    unsigned detail = (h->modrm >> 3 & 7) | (h->modrm >= 0xc0 ? 8 : 0);

    if (h->map == MAP_1 && h->opcode >> 3 == 0xd8 >> 3 && h->modrm >= 0xc0)
        return PLACES_X87 + (h->class * X87_OPCODES + (h->opcode & 7u)) * X87_DETAILS + (h->modrm & 63);
    return ((h->class * MAP_COUNT + h->map) * 256u + h->opcode) * DETAILS + detail;
}

/* --- learning a form --- */

/* Several instructions that only ModRM.rm tells apart. */
static bool rm_is_opcode(const struct head *h)
{
    return h->map == MAP_0F && h->modrm >= 0xc0 && (h->opcode == 0x01 || h->opcode == 0xae || h->opcode == 0xc7);
}

/* The form's instruction on [EAX] or EAX, with an immediate of 1; returns how long all of that is at least. */
static unsigned make_sample(const struct head *h, uint8_t bytes[INSN_MAX_LENGTH])
{
    static const uint8_t class_bytes[CLASS_COUNT] = { 0, 0x66, 0xf2, 0xf3, 0xf0 }, second_escapes[MAP_COUNT] = { 0, 0, 0x38, 0x3a };
    unsigned n = 0;

    memset(bytes, 0, INSN_MAX_LENGTH);
    if (h->class != CLASS_NONE)
        bytes[n++] = class_bytes[h->class];
    if (h->map != MAP_1)
        bytes[n++] = 0x0f;
    if (h->map > MAP_0F)
        bytes[n++] = second_escapes[h->map];
    bytes[n++] = h->opcode;
    if (h->has_modrm && h->opcode >> 3 == 0xd8 >> 3 && h->map == MAP_1 && h->modrm >= 0xc0)
        bytes[n++] = h->modrm;
    else if (h->has_modrm)
        bytes[n++] = (uint8_t)((h->modrm >= 0xc0 ? 0xc0 : 0) | (h->modrm & 0x38));
    bytes[n] = 1;
    return n;
}

static bool is_as_expected(const struct form *form, const struct head *h, unsigned length)
{
    const struct insn *insn = &form->insn;
    static const uint8_t opcode_lengths[MAP_COUNT] = { 1, 2, 3, 3 };

    if (insn->opcode != h->opcode || insn->opcode_length != opcode_lengths[h->map] || insn->has_modrm != h->has_modrm
        || form->rules.second_imm || insn->length != length + form->rules.imm_size + (form->rules.absolute ? 4 : 0))
        return false;
    if (!insn->has_mem)
        return h->modrm >= 0xc0 || !insn->rm_is_gpr; /* MOV of control registers: a register whatever mod is */
    return form->rules.absolute || (h->modrm < 0xc0 && h->has_modrm && insn->mem.base == CPU_EAX && insn->mem.index == INSN_NO_REG
                                    && insn->mem.seg == CPU_DS);
}

static unsigned learn(const struct head *h)
{
    struct form *form = &forms[form_count];
    uint8_t bytes[INSN_MAX_LENGTH];
    unsigned length = make_sample(h, bytes);
    struct insn *insn = &form->insn;

    if (form_count == FORMS_MAX || rm_is_opcode(h)
        || zydis_insn_decode(insn, bytes, sizeof bytes, 0, INSN_MODE_32, &form->rules) != INSN_OK
        || insn->opcode_length == 0 || !is_as_expected(form, h, length))
        return FORM_NONE;
    insn->mem.disp = 0;
    insn->target = 0;
    if (form->rules.imm_size)
        insn->imm = 0;
    insn->regs_written = form->rules.written;
    return form_count++;
}

static const struct form *find_form(const struct head *h)
{
    uint16_t *number = &form_at[place_of(h)];

    if (*number == FORM_UNKNOWN)
        *number = (uint16_t)learn(h);
    return *number == FORM_NONE ? NULL : &forms[*number];
}

/* --- one instruction of a known form --- */

static uint32_t read32(const uint8_t *p)
{
    uint32_t value;

    memcpy(&value, p, sizeof value);
    return value;
}

/* The rest of a memory operand's encoding, from behind ModRM; returns where it ends. */
static const uint8_t *take_address(struct insn_mem *mem, uint8_t modrm, const uint8_t *p)
{
    uint8_t mod = modrm >> 6, base = modrm & 7;

    if (base == 4) {
        uint8_t sib = *p++, index = sib >> 3 & 7;
        base = sib & 7;
        if (index != 4) {
            mem->index = index;
            mem->scale = sib >> 6;
        }
    }
    mem->base = base;
    if (mod == 0 && base == CPU_EBP) {
        mem->base = INSN_NO_REG;
        mod = 2;
    } else if (base == CPU_ESP || base == CPU_EBP) {
        mem->seg = CPU_SS;
    }
    if (mod == 1) {
        mem->disp = (int8_t)*p;
        return p + 1;
    }
    if (mod == 2) {
        mem->disp = (int32_t)read32(p);
        return p + 4;
    }
    return p;
}

static const uint8_t *take_immediate(struct insn *insn, const struct insn_rules *rules, const uint8_t *p)
{
    uint32_t value = rules->imm_size == 4 ? read32(p)
                   : rules->imm_size == 1 ? (rules->imm_signed ? (uint32_t)(int8_t)p[0] : p[0])
                   : rules->imm_signed ? (uint32_t)(int16_t)(p[0] | p[1] << 8) : p[0] | (uint32_t)p[1] << 8;

    p += rules->imm_size;
    if (rules->relative)
        insn->target = value; /* yet without EIP */
    else
        insn->imm = value;
    if (rules->shift_by_imm && (value & 31) == 0)
        insn->flags_killed = 0;
    return p;
}

static void take_register(struct insn *insn, const struct insn_rules *rules)
{
    unsigned rm = insn->modrm & 7;

    if (rules->rm_is_byte)
        insn->high_byte |= rm >= 4;
    if (rules->rm_written)
        insn->regs_written |= (uint8_t)(1u << (rules->rm_is_byte ? rm & 3 : rm));
}

static bool decode_by_form(struct insn *insn, const uint8_t *bytes, uint32_t eip)
{
    const struct form *form;
    const uint8_t *p;
    struct head h;

    if (!take_prefixes(&h, bytes))
        return false;
    take_opcode(&h, bytes);
    form = find_form(&h);
    if (!form)
        return false;
    p = bytes + h.length;
    *insn = form->insn;
    insn->eip = eip;
    memcpy(insn->bytes, bytes, INSN_MAX_LENGTH);
    insn->opcode_offset = h.prefixes;
    insn->modrm = h.modrm;
    if (h.has_modrm && h.modrm < 0xc0)
        p = take_address(&insn->mem, h.modrm, p);
    else if (h.has_modrm)
        take_register(insn, &form->rules);
    if (form->rules.absolute) {
        insn->mem.disp = (int32_t)read32(p);
        p += 4;
    }
    if (h.segment != INSN_NO_REG && insn->has_mem && insn->kind != INSN_LEA)
        insn->mem.seg = h.segment;
    insn->tail_offset = (uint8_t)(p - bytes);
    if (form->rules.imm_size)
        p = take_immediate(insn, &form->rules, p);
    insn->length = (uint8_t)(p - bytes);
    if (form->rules.relative)
        insn->target = (insn->target + eip + insn->length) & (insn->opsize == 2 ? 0xffff : UINT32_MAX);
    return true;
}

enum insn_status insn_decode(struct insn *insn, const uint8_t *bytes, size_t size, uint32_t eip, enum insn_mode mode)
{
    /* No instruction of a form is longer: two prefixes, three bytes of opcode, ModRM, SIB, two times four bytes. */
    if (mode == INSN_MODE_32 && size >= INSN_MAX_LENGTH && decode_by_form(insn, bytes, eip))
        return INSN_OK;
    return zydis_insn_decode(insn, bytes, size, eip, mode, NULL);
}

bool insn_ends_block(const struct insn *insn)
{
    switch (insn->kind) {
    case INSN_UNDEFINED: case INSN_LOOP: case INSN_JMP: case INSN_JMP_INDIRECT: case INSN_CALL: case INSN_CALL_INDIRECT:
    case INSN_RET: case INSN_FAR_JMP: case INSN_FAR_CALL: case INSN_FAR_RET: case INSN_INT: case INSN_INT3:
    case INSN_INT1: case INSN_IRET: case INSN_SYSENTER: case INSN_SYSEXIT: case INSN_HLT:
    case INSN_MOV_TO_CR: case INSN_LMSW: case INSN_CLTS: case INSN_INVLPG: case INSN_POPF:
        return true;
    default:
        return false;
    }
}
