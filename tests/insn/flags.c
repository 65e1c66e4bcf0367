/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which arithmetic flags the manual leaves undefined after an instruction, from
 * Zydis' tables, but for the shifts and repeated string instructions: there it
 * depends on the count.
 */
#include "tests/insn/gen.h"

#include <Zydis/Zydis.h>

enum { VECTOR_BP = 3, VECTOR_OF = 4 };

#define CF ZYDIS_CPUFLAG_CF
#define PF ZYDIS_CPUFLAG_PF
#define AF ZYDIS_CPUFLAG_AF
#define ZF ZYDIS_CPUFLAG_ZF
#define SF ZYDIS_CPUFLAG_SF
#define OF ZYDIS_CPUFLAG_OF
#define ARITHMETIC (CF | PF | AF | ZF | SF | OF)

static bool is_rotate(ZydisMnemonic m)
{
    return m == ZYDIS_MNEMONIC_ROL || m == ZYDIS_MNEMONIC_ROR || m == ZYDIS_MNEMONIC_RCL || m == ZYDIS_MNEMONIC_RCR;
}

static bool is_shift(ZydisMnemonic m)
{
    return m == ZYDIS_MNEMONIC_SHL || m == ZYDIS_MNEMONIC_SHR || m == ZYDIS_MNEMONIC_SAR;
}

static bool is_double_shift(ZydisMnemonic m)
{
    return m == ZYDIS_MNEMONIC_SHLD || m == ZYDIS_MNEMONIC_SHRD;
}

/* Masked count, or -1 when it is in an unknown CL. */
static int shift_count(const ZydisDecodedInstruction *insn, int known_cl)
{
    if (insn->raw.imm[0].size)
        return (int)(insn->raw.imm[0].value.u & 31);
    if (insn->opcode == 0xd0 || insn->opcode == 0xd1)
        return 1;
    return known_cl < 0 ? -1 : known_cl & 31;
}

static uint32_t shift_undefined(const ZydisDecodedInstruction *insn, const uint8_t *bytes, int known_cl, uint32_t before)
{
    (void)bytes;
    int count = shift_count(insn, known_cl);
    int size = insn->opcode == 0xd0 || insn->opcode == 0xd2 || insn->opcode == 0xc0 ? 8 : insn->operand_width;
    if (count == 0)
        return before;
    uint32_t undefined = count == 1 ? 0 : OF;
    uint32_t defined = CF | (count == 1 ? OF : 0);
    if (!is_rotate(insn->mnemonic)) {
        undefined |= AF;
        defined |= SF | ZF | PF;
        if (insn->mnemonic != ZYDIS_MNEMONIC_SAR && (count < 0 || count >= size)) {
            undefined |= CF;
            defined &= ~CF;
        }
        if (is_double_shift(insn->mnemonic) && (count < 0 ? size == 16 : count > size)) {
            undefined |= ARITHMETIC;
            defined = 0;
        }
    } else if (insn->mnemonic == ZYDIS_MNEMONIC_RCL || insn->mnemonic == ZYDIS_MNEMONIC_RCR) {
        defined &= ~CF; /* a whole turn leaves it as it was */
    }
    return (count < 0 ? before : before & ~defined) | undefined;
}

struct gen_flags gen_flags_of(const ZydisDecodedInstruction *insn, const uint8_t *bytes, uint32_t undefined_before,
                              int known_cl)
{
    const ZydisAccessedFlags *flags = insn->cpu_flags;
    struct gen_flags result = { .undefined_after = undefined_before };
    if (!flags)
        return result;
    result.tested = flags->tested & ARITHMETIC;
    ZydisMnemonic m = insn->mnemonic;
    if (is_shift(m) || is_rotate(m) || is_double_shift(m)) {
        result.undefined_after = shift_undefined(insn, bytes, known_cl, undefined_before);
        return result;
    }
    uint32_t written = (flags->modified | flags->set_0 | flags->set_1 | flags->undefined) & ARITHMETIC;
    uint32_t defined = written & ~flags->undefined;
    if (insn->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE)) {
        result.lost = written; /* a fault comes between iterations: each of them writes the flags */
        defined = 0; /* but a count of zero leaves them alone */
    }
    result.undefined_after = (undefined_before & ~defined) | (flags->undefined & ARITHMETIC);
    return result;
}

unsigned gen_find_part(const struct gen_sequence *sequence, uint32_t eip)
{
    for (unsigned i = 0; i < sequence->count; i++)
        if (sequence->base + sequence->part[i].offset == eip)
            return i;
    return sequence->count;
}

/* A trap (#BP, #OF) is no fault: what comes between iterations is not lost. */
uint32_t gen_ignored_flags(const struct gen_sequence *sequence, unsigned index, uint32_t vector)
{
    if (index >= sequence->count)
        return ARITHMETIC;
    uint32_t ignored = sequence->part[index].undefined_before;
    if (vector != VECTOR_BP && vector != VECTOR_OF)
        ignored |= sequence->part[index].lost;
    return ignored;
}
