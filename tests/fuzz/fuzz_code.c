/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Random guest code: see fuzz_code.h. Instructions of the table are encoded
 * without regard to what they do; a good part faults, and so reaches the
 * handlers, which are random code too.
 */
#include "tests/fuzz/fuzz_code.h"

#include "tests/fuzz/fuzz_guest.h"
#include "tests/insn/forms.h"


struct writer {
    struct fuzz_random *r;
    uint8_t *out;
    size_t at, size;
    uint32_t linear; /* of out[0] */
};

static void put(struct writer *w, uint32_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes && w->at < w->size; i++)
        w->out[w->at++] = (uint8_t)(value >> 8 * i);
}

static void put1(struct writer *w, uint32_t value) { put(w, value, 1); }

static void put_prefixes(struct writer *w, bool lock, bool operand16)
{
    static const uint8_t segments[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
    static const uint8_t others[] = { 0xf0, 0xf2, 0xf3, 0x66, 0x67 };

    if (fuzz_one_in(w->r, 8))
        put1(w, segments[fuzz_below(w->r, 6)]);
    if (operand16 && fuzz_one_in(w->r, 4))
        put1(w, 0x66);
    if (fuzz_one_in(w->r, 24))
        put1(w, 0x67);
    if (lock && fuzz_one_in(w->r, 6))
        put1(w, 0xf0);
    if (fuzz_one_in(w->r, 40))
        put1(w, others[fuzz_below(w->r, 5)]);
}

static uint32_t displacement(struct writer *w)
{
    return fuzz_one_in(w->r, 3) ? fuzz_value(w->r) : fuzz_guest_address(w->r);
}

/* ModRM for 32-bit addressing; decoded otherwise in 16-bit code, which does no harm. */
static void put_modrm(struct writer *w, unsigned reg, bool memory, bool any)
{
    unsigned mod = any ? fuzz_below(w->r, 4) : memory ? fuzz_below(w->r, 3) : 3, rm = fuzz_below(w->r, 8);
    bool sib = mod != 3 && rm == 4;
    uint8_t sib_byte = (uint8_t)fuzz_draw(w->r);

    put1(w, mod << 6 | (reg & 7) << 3 | rm);
    if (sib)
        put1(w, sib_byte);
    if (mod == 1)
        put1(w, fuzz_draw(w->r));
    else if (mod == 2 || (mod == 0 && (rm == 5 || (sib && (sib_byte & 7) == 5))))
        put(w, displacement(w), 4);
}

static void put_form(struct writer *w)
{
    const struct insn_form *f = &insn_forms[fuzz_below(w->r, insn_form_count)];
    unsigned opcode = f->opcode, modrm = f->modrm, reg = f->digit < 0 ? fuzz_below(w->r, 8) : (unsigned)f->digit;

    if (f->rm == RM_FIXED)
        modrm += fuzz_below(w->r, f->span ? f->span : 1);
    else
        opcode += fuzz_below(w->r, f->span ? f->span : 1);
    put_prefixes(w, f->attributes & LOCKABLE, f->attributes & O16);
    if (f->prefix)
        put1(w, f->prefix);
    else if (f->setup == SETUP_STRING && fuzz_one_in(w->r, 2))
        put1(w, 0xf2 + fuzz_below(w->r, 2));
    if (f->escape)
        put1(w, 0x0f);
    put1(w, opcode);
    if (f->rm == RM_FIXED)
        put1(w, modrm);
    else if (f->rm != RM_NONE)
        put_modrm(w, reg, f->rm == RM_MEM, f->rm == RM_ANY);
    if (f->imm == IMM_8)
        put1(w, fuzz_value(w->r));
    else if (f->imm == IMM_16)
        put(w, fuzz_value(w->r), 2), put1(w, fuzz_below(w->r, 40));
    else if (f->imm == IMM_Z)
        put(w, fuzz_value(w->r), 4);
    else if (f->imm == IMM_MOFFS)
        put(w, displacement(w), 4);
}

static void put_mov(struct writer *w, unsigned reg, uint32_t value)
{
    put1(w, 0xb8 + reg);
    put(w, value, 4);
}

/* --- control flow inside the code area, most of it --- */

static uint32_t code_target(struct writer *w)
{
    if (fuzz_one_in(w->r, 6))
        return fuzz_guest_address(w->r);
    return (w->linear & ~0xfffu) + fuzz_below(w->r, (uint32_t)w->size);
}

static void put_jump(struct writer *w)
{
    uint32_t target = code_target(w);

    switch (fuzz_below(w->r, 8)) {
    case 0: case 1:
        put1(w, 0x70 + fuzz_below(w->r, 16)), put1(w, fuzz_draw(w->r));
        break;
    case 2:
        put1(w, 0xe0 + fuzz_below(w->r, 4)), put1(w, fuzz_draw(w->r));
        break;
    case 3:
        put1(w, 0x0f), put1(w, 0x80 + fuzz_below(w->r, 16));
        put(w, target - (w->linear + (uint32_t)w->at + 4), 4);
        break;
    case 4:
        put1(w, 0xe8 + fuzz_below(w->r, 2));
        put(w, target - (w->linear + (uint32_t)w->at + 4), 4);
        break;
    case 5: /* through a register: jump, call */
        put_mov(w, 0, target);
        put1(w, 0xff), put1(w, fuzz_one_in(w->r, 2) ? 0xe0 : 0xd0);
        break;
    case 6: /* push, ret */
        put1(w, 0x68), put(w, target, 4);
        put1(w, fuzz_one_in(w->r, 4) ? 0xc2 : 0xc3);
        break;
    default:
        put1(w, 0xeb), put1(w, fuzz_draw(w->r));
    }
}

/* --- what only a kernel does --- */

static void put_control_register(struct writer *w)
{
    static const uint32_t cr0[] = { 0x11, 0x80000011, 0x80010031, 0x8005003b, 0x10, 0x60000010, 0x8000001f };
    static const uint32_t cr4[] = { 0, 0x10, 0x20, 0x30, 0x600, 0x690, 0x6b0, 0x1, 0x3, 0x8 };
    static const uint32_t cr3[] = { FUZZ_DIRECTORY, FUZZ_PAE_ROOT, FUZZ_TABLES, FUZZ_DATA };
    unsigned which = fuzz_below(w->r, 5);
    uint32_t value = which == 0 ? cr0[fuzz_below(w->r, 7)] : which == 3 ? cr3[fuzz_below(w->r, 4)] : cr4[fuzz_below(w->r, 10)];

    if (fuzz_one_in(w->r, 4))
        value ^= 1u << fuzz_below(w->r, 32);
    put_mov(w, 0, value);
    put1(w, 0x0f), put1(w, fuzz_one_in(w->r, 4) ? 0x20 : 0x22), put1(w, 0xc0 | which << 3);
}

static void put_debug_register(struct writer *w)
{
    unsigned which = fuzz_below(w->r, 8);

    put_mov(w, 0, which == 7 ? fuzz_draw(w->r) : fuzz_guest_address(w->r));
    put1(w, 0x0f), put1(w, fuzz_one_in(w->r, 4) ? 0x21 : 0x23), put1(w, 0xc0 | which << 3);
}

static void put_table_register(struct writer *w)
{
    /* GDTR, IDTR of garbage, LDTR, TR, INVLPG, LMSW, the reads */
    if (fuzz_one_in(w->r, 2)) {
        put_mov(w, 0, fuzz_guest_selector(w->r));
        put1(w, 0x0f), put1(w, 0x00), put1(w, 0xc0 | fuzz_below(w->r, 6) << 3);
    } else {
        unsigned digit = fuzz_one_in(w->r, 3) ? fuzz_below(w->r, 8) : 7;
        put1(w, 0x0f), put1(w, 0x01), put1(w, digit << 3 | 5);
        put(w, fuzz_guest_address(w->r), 4);
    }
}

static void put_msr(struct writer *w)
{
    static const uint32_t msrs[] = { 0x10, 0x174, 0x175, 0x176, 0x1b, 0x277, 0xc0000080, 0xfe, 0x200, 0x8b, 0x1a0, 0x2ff };

    put_mov(w, 1, fuzz_one_in(w->r, 6) ? fuzz_value(w->r) : msrs[fuzz_below(w->r, 12)]);
    put_mov(w, 0, fuzz_one_in(w->r, 2) ? fuzz_value(w->r) : fuzz_guest_address(w->r));
    put_mov(w, 2, fuzz_one_in(w->r, 2) ? 0 : fuzz_value(w->r));
    put1(w, 0x0f), put1(w, fuzz_one_in(w->r, 3) ? 0x32 : 0x30);
}

static void put_far(struct writer *w)
{
    uint16_t selector = fuzz_guest_selector(w->r);

    switch (fuzz_below(w->r, 6)) {
    case 0: case 1:
        put1(w, fuzz_one_in(w->r, 2) ? 0xea : 0x9a);
        put(w, code_target(w), 4), put(w, selector, 2);
        break;
    case 2: /* far return */
        put1(w, 0x68), put(w, selector, 4), put1(w, 0x68), put(w, code_target(w), 4);
        put1(w, 0xca + fuzz_below(w->r, 2));
        break;
    case 3: /* IRET, to an outer level too */
        put1(w, 0x68), put(w, fuzz_guest_selector(w->r), 4);
        put1(w, 0x68), put(w, fuzz_guest_address(w->r), 4);
        put1(w, 0x68), put(w, fuzz_one_in(w->r, 4) ? fuzz_draw(w->r) : 0x202 | fuzz_below(w->r, 4) << 12 | fuzz_below(w->r, 2) << 17, 4);
        put1(w, 0x68), put(w, selector, 4), put1(w, 0x68), put(w, code_target(w), 4);
        put1(w, 0xcf);
        break;
    case 4:
        put1(w, 0xcd), put1(w, fuzz_one_in(w->r, 2) ? 0x80 : fuzz_draw(w->r));
        break;
    default:
        put1(w, 0x0f), put1(w, fuzz_one_in(w->r, 2) ? 0x34 : 0x35);
    }
}

static void put_segment_load(struct writer *w)
{
    static const uint8_t pops[] = { 0x07, 0x17, 0x1f, 0xa1, 0xa9 };
    unsigned pop = fuzz_below(w->r, 5);

    if (fuzz_one_in(w->r, 2)) {
        put_mov(w, 0, fuzz_guest_selector(w->r));
        put1(w, 0x8e), put1(w, 0xc0 | fuzz_below(w->r, 6) << 3);
        return;
    }
    put1(w, 0x68), put(w, fuzz_guest_selector(w->r), 4);
    if (pop > 2)
        put1(w, 0x0f);
    put1(w, pops[pop]);
}

static void put_string(struct writer *w)
{
    static const uint8_t opcodes[] = { 0x6c, 0x6d, 0x6e, 0x6f, 0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf };

    put_mov(w, 6, fuzz_guest_address(w->r));
    put_mov(w, 7, fuzz_guest_address(w->r));
    put_mov(w, 1, fuzz_one_in(w->r, 3) ? fuzz_value(w->r) : fuzz_below(w->r, 5000));
    if (fuzz_one_in(w->r, 3))
        put1(w, 0xfc + fuzz_below(w->r, 2));
    put_prefixes(w, false, true);
    put1(w, 0xf2 + fuzz_below(w->r, 2));
    put1(w, opcodes[fuzz_below(w->r, sizeof opcodes)]);
}

/* Writes to where code lies, or tables. */
static void put_store(struct writer *w)
{
    put_mov(w, 0, fuzz_value(w->r));
    put1(w, fuzz_one_in(w->r, 2) ? 0xa3 : 0xa2);
    put(w, fuzz_one_in(w->r, 2) ? w->linear + fuzz_below(w->r, (uint32_t)w->size) : fuzz_guest_address(w->r), 4);
}

static void put_port(struct writer *w)
{
    put_mov(w, 2, fuzz_guest_port(w->r));
    put_prefixes(w, false, true);
    put1(w, 0xec + fuzz_below(w->r, 4));
}

static void put_single(struct writer *w)
{
    static const uint16_t rows[] = { 0xfa, 0xfb, 0xf4, 0x9c, 0x9d, 0xfa0f, 0x060f, 0x080f, 0x090f, 0x310f, 0xa20f, 0x330f,
                                     0x0b0f, 0xcc, 0xce, 0xf1, 0x60, 0x61, 0xaa0f };
    uint16_t row = rows[fuzz_below(w->r, sizeof rows / sizeof rows[0])];
    put(w, row, row > 0xff ? 2 : 1);
}

static void put_flags(struct writer *w)
{
    put1(w, 0x68), put(w, fuzz_draw(w->r) & (fuzz_one_in(w->r, 3) ? 0x257fd7 : 0x207ed7), 4), put1(w, 0x9d);
}

static void put_fpu_state(struct writer *w)
{
    if (fuzz_one_in(w->r, 2)) {
        put1(w, 0x0f), put1(w, 0xae), put1(w, fuzz_below(w->r, 4) << 3 | 5);
    } else {
        static const uint16_t rows[] = { 0x25d9, 0x35d9, 0x25dd, 0x35dd, 0x2dd9 };
        put(w, rows[fuzz_below(w->r, 5)], 2);
    }
    put(w, fuzz_guest_address(w->r) & (fuzz_one_in(w->r, 4) ? ~0u : ~15u), 4);
}

static void put_system(struct writer *w)
{
    static void (*const makers[])(struct writer *) = {
        put_control_register, put_debug_register, put_table_register, put_msr, put_far, put_far, put_segment_load,
        put_segment_load, put_string, put_store, put_store, put_port, put_single, put_single, put_flags, put_fpu_state,
        put_jump, put_jump, put_form, put_form,
    };
    makers[fuzz_below(w->r, sizeof makers / sizeof makers[0])](w);
}

static void put_mixed(struct writer *w)
{
    switch (fuzz_below(w->r, 8)) {
    case 0: put_system(w); break;
    case 1: case 2: put_jump(w); break;
    case 3: put1(w, fuzz_draw(w->r)); break;
    default: put_form(w);
    }
}

static void copy_real(struct writer *w, const struct fuzz_corpus *corpus)
{
    size_t from = fuzz_random64(w->r) % corpus->size, part = corpus->size - from;

    if (part > w->size - w->at)
        part = w->size - w->at;
    memcpy(w->out + w->at, corpus->bytes + from, part);
    w->at += part;
}

void fuzz_code(struct fuzz_random *r, enum fuzz_style style, const struct fuzz_corpus *corpus, uint32_t linear,
               uint8_t *out, size_t size)
{
    struct writer w = { .r = r, .out = out, .size = size, .linear = linear };

    if (style == FUZZ_REAL && !corpus->size)
        style = FUZZ_MIXED;
    if (style == FUZZ_BYTES)
        fuzz_bytes(r, out, size);
    while (style != FUZZ_BYTES && w.at < size) {
        if (style == FUZZ_REAL)
            copy_real(&w, corpus);
        else if (style == FUZZ_FORMS)
            put_form(&w);
        else if (style == FUZZ_SYSTEM)
            put_system(&w);
        else
            put_mixed(&w);
    }
    if (style == FUZZ_REAL || fuzz_one_in(r, 8))
        fuzz_mutate(r, out, size);
}
