/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Comparison of results and their printing: see compare.h. What is left out of
 * the comparison is listed here and nowhere else: undefined flags (flags.c),
 * the x87 instruction and data pointers while no exception is pending, MXCSR_MASK,
 * the fetch bit of page-fault codes (the host has NX, the guest has not), what POPA
 * had loaded and PUSHA and the like stored before they faulted, which byte MASKMOV
 * and CMPS fault at, which of two faults of BOUND and of a string instruction comes
 * first, the alignment that MASKMOVDQU needs, and cases that strayed into memory
 * which only the helper has.
 */
#include "tests/insn/compare.h"

#include <Zydis/Zydis.h>
#include <string.h>

enum { VECTOR_BP = 3, VECTOR_OF = 4, VECTOR_BR = 5, VECTOR_SS = 12, VECTOR_GP = 13, VECTOR_PF = 14, VECTOR_AC = 17 };
#define ERROR_PRESENT 1u
#define ERROR_FETCH 0x10u

static const char *const reg_names[8] = { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi" };
static const uint8_t page_numbers[INSN_WRITABLE] = INSN_WRITABLE_PAGES;

/* Bytes of an FXSAVE image that are compared. */
static bool fx_compared(unsigned i)
{
    if (i < 5)
        return true;
    if (i < 24)
        return false;
    if (i < 28)
        return true;
    if (i < 32)
        return false;
    if (i < 160)
        return i % 16 < 10;
    return i < 288;
}

unsigned part_of_end(const struct gen_sequence *sequence, const struct insn_output *out)
{
    if (out->vector == VECTOR_BP || out->vector == VECTOR_OF) {
        unsigned part = gen_find_part(sequence, out->state.eip - 1);
        if (part < sequence->count && sequence->part[part].length == 1)
            return part;
        return gen_find_part(sequence, out->state.eip - 2);
    }
    return gen_find_part(sequence, out->state.eip);
}

/* The helper's image, the shared memory, and whatever the kernel put on top. */
static bool belongs_to_helper(uint32_t address)
{
    return address - 0x08048000u + 0x1000 < 0x40000 || address - INSN_SHARED_AT < sizeof(struct insn_shared) + INSN_PAGE ||
           address >= 0xf7000000u;
}

static bool strayed(const struct insn_output *out)
{
    return out->vector == VECTOR_PF && belongs_to_helper(out->cr2);
}

/* The form that the case ended at; a nameless one when it is no form's. */
static const struct insn_form *form_of_end(const struct gen_sequence *sequence, const struct insn_output *out)
{
    static const struct insn_form none = { .name = "" };
    unsigned part = part_of_end(sequence, out);
    bool is_form = part < sequence->count && sequence->part[part].form != GEN_GLUE;
    return is_form ? &insn_forms[sequence->part[part].form] : &none;
}

/* An x87 store that an unmasked exception cancels: the CPU may not look at the
 * operand at all. */
static bool cancelled_store(const struct gen_sequence *sequence, const struct insn_output *out)
{
    return (out->vector == VECTOR_PF || out->vector == VECTOR_GP) && form_of_end(sequence, out)->class == CLASS_X87 && (out->state.fx[0] & 0x3f) != 0x3f;
}

/* A string instruction with two operands, each with a fault of its own: which comes first is the CPU's affair. */
static bool two_bad_operands(const struct gen_sequence *sequence, const struct insn_output *native, const struct insn_output *other)
{
    const struct insn_form *form = form_of_end(sequence, native);
    return form->setup == SETUP_STRING && native->vector != other->vector && native->vector >= VECTOR_SS
        && other->vector >= VECTOR_SS && native->state.eip == other->state.eip;
}

/* MASKMOVDQU: which alignment is checked, if any, differs between CPU models. */
static bool mask_move_unaligned(const struct gen_sequence *sequence, const struct insn_output *native, const struct insn_output *other)
{
    return other->vector == VECTOR_AC && form_of_end(sequence, other)->setup == SETUP_EDI
        && (native->vector != other->vector || native->state.eip != other->state.eip);
}

/* AMD's CPUs store 32 bits for a pushed segment register, Intel's (and the engine) 16 of them. */
static bool pushed_half(const struct gen_sequence *sequence, const struct insn_output *native, const struct insn_output *other)
{
    bool beyond = native->vector == VECTOR_SS; /* 32 bits wrap around the segment's end where 16 do not */
    return (native->vector == VECTOR_PF || beyond) && form_of_end(sequence, native)->setup == SETUP_PUSH_SEGMENT
        && (native->state.eip != other->state.eip || (beyond && other->vector == VECTOR_AC));
}

/* CALL near to beyond the limit, with a stack that faults: AMD's CPUs push before they look at the target, Intel's
 * (SDM vol. 2, CALL: near relative) and the engine after. */
static bool near_call_order(const struct gen_sequence *sequence, const struct insn_output *native, const struct insn_output *other)
{
    unsigned part = part_of_end(sequence, native), at = 0;
    const struct gen_part *end = &sequence->part[part];
    int32_t distance;

    if (part >= sequence->count || !sequence->small || end->form != GEN_GLUE || native->state.eip != other->state.eip
        || native->vector < VECTOR_SS || native->vector == VECTOR_GP || other->vector != VECTOR_GP)
        return false;
    while (sequence->code[end->offset + at] == 0x66 || sequence->code[end->offset + at] == 0x67)
        at++;
    if (sequence->code[end->offset + at] != 0xe8 || end->length != at + 5)
        return false;
    memcpy(&distance, sequence->code + end->offset + at + 1, sizeof distance);
    return native->state.eip + end->length + (uint32_t)distance > 0xffff;
}

/* CALL far has stored CS when the store of EIP faults, on some CPUs, and both when the target is beyond the limit. */
static bool far_call_half(const struct gen_sequence *sequence, const struct insn_output *native)
{
    unsigned part = part_of_end(sequence, native);
    const uint8_t *code = part < sequence->count ? sequence->code + sequence->part[part].offset : NULL;

    while (code && (*code == 0x66 || *code == 0x67))
        code++;
    return code && sequence->part[part].form == GEN_GLUE && (code[0] == 0x9a || (code[0] == 0xff && code[1] == 0x1d));
}

static bool is_80_bit(const struct insn_form *form)
{
    return form->class == CLASS_X87 && ((form->opcode == 0xdb && (form->digit == 5 || form->digit == 7)) ||
                                        (form->opcode == 0xdf && (form->digit == 4 || form->digit == 6)));
}

/* An operand that is misaligned and beyond the segment's limit: the order is the
 * CPU's affair for SSE operands, and for 80-bit ones, which are two accesses. */
static bool limit_or_alignment(const struct gen_sequence *sequence, const struct insn_output *native, const struct insn_output *other)
{
    const struct insn_form *form = form_of_end(sequence, native);
    bool wide = is_80_bit(form);

    if (native->state.eip != other->state.eip)
        return false;
    return (form->attributes & ALIGNED && native->vector == VECTOR_GP && other->vector == VECTOR_SS)
        || (wide && native->vector == VECTOR_AC && (other->vector == VECTOR_GP || other->vector == VECTOR_SS));
}

/* The last bytes of GS, which is not flat: it begins with the data and ends right before it. */
static bool ends_gs(uint32_t linear) { return INSN_DATA - 1 - linear < 9; }

/* An 80-bit operand or MASKMOV's at the end of a 64 KiB segment: AMD's CPUs access it in parts, whose addresses wrap around.
 * So they do with an 80-bit one at 4 GiB: the page of the first part may fault before the second part is beyond the limit. */
static bool wrapped_operand(const struct gen_sequence *sequence, const struct insn_output *native, const struct insn_output *other)
{
    const struct insn_form *form = form_of_end(sequence, other);

    if (other->vector != VECTOR_GP && other->vector != VECTOR_SS)
        return false;
    if (!sequence->small)
        return is_80_bit(form) && native->vector == VECTOR_PF && ends_gs(native->cr2) && native->state.eip == other->state.eip;
    return (is_80_bit(form) || form->setup == SETUP_EDI) && (native->vector != other->vector || native->state.eip != other->state.eip);
}

/* BOUND below its lower bound: AMD's CPUs have read the upper one too by then,
 * Intel's, like the engine, have not. */
static bool bound_unread(const struct gen_sequence *sequence, const struct insn_output *native, const struct insn_output *other)
{
    const struct insn_form *form = form_of_end(sequence, native);
    return form->opcode == 0x62 && !form->escape && native->vector >= VECTOR_SS && other->vector == VECTOR_BR
        && native->state.eip == other->state.eip;
}

/* The pointers of a pending exception's instruction, which every CPU saves
 * (AMD's none else; and a 64-bit kernel's image has no selectors). */
static bool same_pointers(const struct insn_output *native, const struct insn_output *other, char *what, size_t size)
{
    enum { OPCODE = 6, IP = 8, DP = 16, EXCEPTION_SUMMARY = 0x80 };
    static const struct { const char *name; unsigned at, size; } rows[] = { { "opcode", OPCODE, 2 }, { "ip", IP, 4 }, { "dp", DP, 4 } };
    uint32_t zero = 0;

    if (!(native->state.fx[2] & EXCEPTION_SUMMARY) || !memcmp(native->state.fx + IP, &zero, 4))
        return true;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t a = 0, b = 0;
        memcpy(&a, native->state.fx + rows[i].at, rows[i].size);
        memcpy(&b, other->state.fx + rows[i].at, rows[i].size);
        if (a != b) {
            snprintf(what, size, "x87 %s: %x, not %x", rows[i].name, b, a);
            return false;
        }
    }
    return true;
}

/* When an MMX instruction faults, some CPUs have set TOP to 0 and the tags to
 * valid already: takes those from the other side, with the registers in its order. */
static void undo_mmx(uint8_t *native, const uint8_t *other)
{
    unsigned from = native[3] >> 3 & 7, to = other[3] >> 3 & 7;
    uint8_t registers[8][16];
    memcpy(registers, native + 32, sizeof registers);
    for (unsigned i = 0; i < 8; i++)
        memcpy(native + 32 + 16 * i, registers[(i + to - from) & 7], 16);
    native[3] = (uint8_t)((native[3] & ~0x38) | (other[3] & 0x38));
    native[4] = other[4];
}

bool compare_possible(const struct gen_sequence *sequence, const struct insn_output *native)
{
    return sequence->mode != GEN_REAL || (native->vector != VECTOR_PF && native->vector != VECTOR_AC);
}

/* Overwritten by the frame of the exception that ended the case, on its own stack. */
static bool in_frame(const struct insn_output *other, uint32_t offset)
{
    return ((offset - other->frame_at) & 0xffff) < other->frame_size;
}

/* Why a case that natively had a right end says nothing of this one. */
static bool cannot_tell(const struct gen_sequence *sequence, const struct insn_output *native, const struct insn_output *other)
{
    return (cancelled_store(sequence, other) && (native->vector != other->vector || native->state.eip != other->state.eip)) ||
           bound_unread(sequence, native, other) || near_call_order(sequence, native, other) || wrapped_operand(sequence, native, other) ||
           limit_or_alignment(sequence, native, other) || pushed_half(sequence, native, other) ||
           mask_move_unaligned(sequence, native, other) || two_bad_operands(sequence, native, other);
}

static bool same_registers(const struct insn_output *native, const struct insn_output *other, char *what, size_t size)
{
    for (unsigned i = 0; i < 8; i++)
        if (native->state.regs[i] != other->state.regs[i]) {
            snprintf(what, size, "%s: %08x, not %08x", reg_names[i], other->state.regs[i], native->state.regs[i]);
            return false;
        }
    return true;
}

static bool same_flags(const struct gen_sequence *sequence, const struct insn_output *native, const struct insn_output *other,
                       char *what, size_t size)
{
    const uint32_t ignored = gen_ignored_flags(sequence, part_of_end(sequence, native), native->vector);

    if (!((native->state.eflags ^ other->state.eflags) & ~ignored))
        return true;
    snprintf(what, size, "eflags: %08x, not %08x (ignoring %03x)", other->state.eflags, native->state.eflags, ignored);
    return false;
}

static bool same_fpu(const struct insn_form *form, const struct insn_output *native, const struct insn_output *other, char *what,
                     size_t size)
{
    uint8_t fx[512];

    memcpy(fx, native->state.fx, sizeof fx);
    if (form->class == CLASS_MMX)
        undo_mmx(fx, other->state.fx);
    for (unsigned i = 0; i < sizeof fx; i++)
        if (fx_compared(i) && fx[i] != other->state.fx[i]) {
            snprintf(what, size, "%s: byte %u of the FXSAVE image is %02x, not %02x", i < 5 ? "x87 control" : i < 32 ? "mxcsr" :
                     i < 160 ? "st" : "xmm", i, other->state.fx[i], fx[i]);
            return false;
        }
    return true;
}

static bool same_memory(const struct insn_output *native, const struct insn_output *other, char *what, size_t size)
{
    for (unsigned page = 0; page < INSN_WRITABLE; page++)
        for (unsigned i = 0; i < INSN_PAGE; i++)
            if (native->memory[page][i] != other->memory[page][i] && !in_frame(other, page_numbers[page] * INSN_PAGE + i)) {
                snprintf(what, size, "memory: byte at %08x is %02x, not %02x", INSN_DATA + page_numbers[page] * INSN_PAGE + i,
                         other->memory[page][i], native->memory[page][i]);
                return false;
            }
    return true;
}

/* What the exception was, and where it came. */
static enum verdict compare_ends(const struct gen_sequence *sequence, const struct insn_form *form, const struct insn_output *native,
                                 const struct insn_output *other, char *what, size_t size)
{
    /* MASKMOV may name any of its bytes; string instructions, either operand. */
    const uint32_t unsure = form->setup == SETUP_EDI ? INSN_PAGE - 1 : form->setup == SETUP_STRING ? ~0u : 0;

    if (native->vector != other->vector) {
        snprintf(what, size, "vector: %u, not %u", other->vector, native->vector);
        return DIFFERENT;
    }
    if ((native->state.eip ^ other->state.eip) & (sequence->mode == GEN_REAL ? 0xffff : ~0u)) {
        snprintf(what, size, "eip: %08x, not %08x", other->state.eip, native->state.eip);
        return DIFFERENT;
    }
    if (form->setup == SETUP_EDI && (native->cr2 ^ other->cr2) >= INSN_PAGE && native->cr2 - other->cr2 + 16 <= 32)
        return NOT_COMPARABLE; /* across two bad pages */
    if ((native->error ^ other->error) & ~(native->vector == VECTOR_PF ? ERROR_FETCH : 0)) {
        snprintf(what, size, "error code: %x, not %x", other->error, native->error);
        return DIFFERENT;
    }
    if (native->vector == VECTOR_PF && (native->cr2 ^ other->cr2) & ~unsure) {
        snprintf(what, size, "cr2: %08x, not %08x", other->cr2, native->cr2);
        return DIFFERENT;
    }
    return SAME;
}

enum verdict compare(const struct gen_sequence *sequence, const struct insn_output *native,
                     const struct insn_output *other, char *what, size_t size)
{
    const struct insn_form *form;
    enum verdict ends;
    bool stopped_within;

    if (native->status != INSN_DONE || strayed(native) || !compare_possible(sequence, native))
        return NOT_COMPARABLE;
    if (native->vector == VECTOR_PF && (native->error & (ERROR_FETCH | ERROR_PRESENT)) == (ERROR_FETCH | ERROR_PRESENT))
        return NOT_COMPARABLE; /* jumped into data */
    if (other->status == INSN_SKIPPED || (other->status == INSN_DONE && strayed(other)))
        return NOT_COMPARABLE;
    if (other->status == INSN_HUNG) {
        snprintf(what, size, "hang: the case does not end");
        return DIFFERENT;
    }
    if (cannot_tell(sequence, native, other))
        return NOT_COMPARABLE;
    form = form_of_end(sequence, native);
    ends = compare_ends(sequence, form, native, other, what, size);
    if (ends != SAME)
        return ends;
    stopped_within = native->vector == VECTOR_PF || native->vector == VECTOR_SS;
    if (!(stopped_within && form->setup == SETUP_POPA) && !same_registers(native, other, what, size)) /* popped half */
        return DIFFERENT;
    if (!same_flags(sequence, native, other, what, size) || !same_fpu(form, native, other, what, size) ||
        !same_pointers(native, other, what, size))
        return DIFFERENT;
    if ((stopped_within && form->attributes & PIECEWISE) ||
        ((stopped_within || native->vector == VECTOR_GP) && far_call_half(sequence, native)))
        return SAME;
    return same_memory(native, other, what, size) ? SAME : DIFFERENT;
}

void print_sequence(FILE *to, const struct gen_sequence *sequence, unsigned end_part)
{
    ZydisDecoder decoder;
    ZydisFormatter formatter;
    ZydisDecoderInit(&decoder, sequence->code16 ? ZYDIS_MACHINE_MODE_LEGACY_16 : ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    for (unsigned i = 0; i < sequence->count; i++) {
        const struct gen_part *part = &sequence->part[i];
        const uint8_t *bytes = sequence->code + part->offset;
        char text[128] = "(bad)";
        ZydisDecodedInstruction insn;
        ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
        if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, part->length, &insn, operands)))
            ZydisFormatterFormatInstruction(&formatter, &insn, operands, insn.operand_count_visible, text, sizeof text,
                                            sequence->base + part->offset, NULL);
        fprintf(to, "  %c %08x  %-44s", i == end_part ? '>' : ' ', sequence->base + part->offset, text);
        for (unsigned j = 0; j < part->length; j++)
            fprintf(to, " %02x", bytes[j]);
        fprintf(to, "%s%s\n", part->form == GEN_GLUE ? "" : "   ; ", part->form == GEN_GLUE ? "" : insn_forms[part->form].name);
    }
}

static void print_words(FILE *to, const uint8_t *bytes, unsigned count)
{
    for (unsigned i = count; i-- > 0;)
        fprintf(to, "%02x", bytes[i]);
}

static void print_fx(FILE *to, const uint8_t *in, const uint8_t *native, const uint8_t *other)
{
    const uint8_t *images[3] = { in, native, other };
    static const char *const names[3] = { "in", "native", "other" };
    for (unsigned k = 0; k < 3; k++) {
        fprintf(to, "    %-7s fcw ", names[k]);
        print_words(to, images[k], 2);
        fprintf(to, " fsw ");
        print_words(to, images[k] + 2, 2);
        fprintf(to, " ftw %02x mxcsr ", images[k][4]);
        print_words(to, images[k] + 24, 4);
        fprintf(to, "\n");
    }
    for (unsigned i = 0; i < 16; i++) {
        unsigned at = i < 8 ? 32 + 16 * i : 160 + 16 * (i - 8), size = i < 8 ? 10 : 16;
        if (memcmp(native + at, other + at, size) == 0)
            continue;
        fprintf(to, "    %s%u in ", i < 8 ? "st" : "xmm", i & 7);
        print_words(to, in + at, size);
        fprintf(to, " native ");
        print_words(to, native + at, size);
        fprintf(to, " other ");
        print_words(to, other + at, size);
        fprintf(to, "\n");
    }
}

void print_differences(FILE *to, const struct gen_sequence *sequence, const char *name,
                       const struct insn_output *native, const struct insn_output *other)
{
    const struct insn_state *in = &sequence->input, *a = &native->state, *b = &other->state;
    fprintf(to, "           %-9s %-9s %s\n", "in", "native", name);
    for (unsigned i = 0; i < 8; i++)
        fprintf(to, "    %-6s %08x  %08x  %08x%s\n", reg_names[i], in->regs[i], a->regs[i], b->regs[i],
                a->regs[i] != b->regs[i] ? "  <<" : "");
    fprintf(to, "    eip    %08x  %08x  %08x%s\n", in->eip, a->eip, b->eip, a->eip != b->eip ? "  <<" : "");
    fprintf(to, "    eflags %08x  %08x  %08x%s\n", in->eflags, a->eflags, b->eflags, a->eflags != b->eflags ? "  <<" : "");
    fprintf(to, "    exception %u error %x cr2 %08x / %u error %x cr2 %08x\n", native->vector, native->error, native->cr2,
            other->vector, other->error, other->cr2);
    print_fx(to, in->fx, a->fx, b->fx);
    unsigned shown = 0;
    for (unsigned page = 0; page < INSN_WRITABLE; page++)
        for (unsigned i = 0; i < INSN_PAGE && shown < 16; i++)
            if (native->memory[page][i] != other->memory[page][i]) {
                fprintf(to, "    [%08x] native %02x %s %02x\n", INSN_DATA + page_numbers[page] * INSN_PAGE + i,
                        native->memory[page][i], name, other->memory[page][i]);
                shown++;
            }
}
