/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Holds the generator's table of forms against the decoder: every encoding of
 * one to three opcode bytes that the engine takes for an instruction has a form,
 * or a kind that is left out for a reason.
 *
 * usage: insn_opcodes [--list]
 */
#include "tests/insn/forms.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/decode/insn.h"

#include <stdio.h>
#include <string.h>

/* Kinds that random sequences do not take from the table. */
static const char *const reasons[INSN_KIND_COUNT] = {
#define GLUE "made by the generator's control flow"
    [INSN_JCC] = GLUE, [INSN_LOOP] = GLUE, [INSN_JMP] = GLUE, [INSN_CALL] = GLUE, [INSN_RET] = GLUE,
    [INSN_JMP_INDIRECT] = GLUE, [INSN_CALL_INDIRECT] = GLUE, [INSN_FAR_JMP] = GLUE, [INSN_FAR_CALL] = GLUE,
    [INSN_FAR_RET] = GLUE, [INSN_IRET] = GLUE, [INSN_INT] = GLUE,
#define VARIES "gives another result each time"
    [INSN_CPUID] = VARIES, [INSN_RDTSC] = VARIES, [INSN_RDPMC] = VARIES,
#define TABLES "shows the host's own tables"
    [INSN_SGDT] = TABLES, [INSN_SIDT] = TABLES, [INSN_SLDT] = TABLES, [INSN_STR] = TABLES, [INSN_SMSW] = TABLES,
#define PRIVILEGED "privileged: another form of it has the same fault"
    [INSN_LGDT] = PRIVILEGED, [INSN_LIDT] = PRIVILEGED, [INSN_LLDT] = PRIVILEGED, [INSN_LTR] = PRIVILEGED,
    [INSN_LMSW] = PRIVILEGED, [INSN_MOV_FROM_CR] = PRIVILEGED, [INSN_MOV_TO_CR] = PRIVILEGED, [INSN_MOV_FROM_DR] = PRIVILEGED,
    [INSN_MOV_TO_DR] = PRIVILEGED, [INSN_INS] = PRIVILEGED, [INSN_OUTS] = PRIVILEGED, [INSN_IN] = PRIVILEGED, [INSN_OUT] = PRIVILEGED,
    [INSN_HLT] = PRIVILEGED, [INSN_CLI] = PRIVILEGED, [INSN_STI] = PRIVILEGED, [INSN_CLTS] = PRIVILEGED, [INSN_INVD] = PRIVILEGED,
    [INSN_INVLPG] = PRIVILEGED, [INSN_RDMSR] = PRIVILEGED, [INSN_WRMSR] = PRIVILEGED,
#define LEAVES "leaves the program"
    [INSN_INTO] = LEAVES, [INSN_INT3] = LEAVES, [INSN_SYSENTER] = LEAVES, [INSN_SYSEXIT] = LEAVES, [INSN_INT1] = LEAVES,
};

/* The opcode maps: one byte, 0F, 0F 38, 0F 3A. */
enum { MAPS = 4 };
static const uint8_t second_escape[MAPS] = { 0, 0, 0x38, 0x3a };
static const char *const map_names[MAPS] = { "", "0f ", "0f 38 ", "0f 3a " };

struct encoding { uint8_t prefix, opcode, modrm, map; bool has_modrm; };

static bool covers(const struct insn_form *f, const struct encoding *e)
{
    unsigned span = f->span ? f->span : 1, mod = e->modrm >> 6;
    bool repeats = f->setup == SETUP_STRING && (e->prefix == 0xf2 || e->prefix == 0xf3);
    bool o16 = e->prefix == 0x66 && !f->prefix && f->attributes & O16;

    if ((f->escape != 0) != (e->map != 0) || f->escape2 != second_escape[e->map] || !(f->prefix == e->prefix || o16 || repeats) || (f->rm != RM_NONE) != e->has_modrm)
        return false;
    if (f->rm == RM_FIXED)
        return e->opcode == f->opcode && e->modrm >= f->modrm && e->modrm - f->modrm < (int)span;
    if (e->opcode < f->opcode || e->opcode - f->opcode >= (int)span)
        return false;
    if (!e->has_modrm)
        return true;
    return !(f->rm == RM_MEM && mod == 3) && !(f->rm == RM_REG && mod != 3) && (f->digit < 0 || f->digit == (e->modrm >> 3 & 7));
}

/* False: not an instruction, or its prefix says nothing. */
static bool decode(struct encoding *e, struct insn *insn)
{
    uint8_t bytes[INSN_MAX_LENGTH] = { 0 };
    unsigned length = 0;

    if (e->prefix)
        bytes[length++] = e->prefix;
    if (e->map)
        bytes[length++] = 0x0f;
    if (second_escape[e->map])
        bytes[length++] = second_escape[e->map];
    bytes[length++] = e->opcode;
    bytes[length] = e->modrm;
    if (insn_decode(insn, bytes, sizeof bytes, 0x1000, INSN_MODE_32) != INSN_OK || insn->kind == INSN_UNDEFINED)
        return false;
    if (insn->opcode != e->opcode || insn->opcode_length != (e->map < 2 ? 1 + e->map : 3))
        return false;
    e->has_modrm = insn->has_modrm;
    if (e->prefix == 0x66)
        return insn->copy_66;
    return !e->prefix || insn->mandatory == e->prefix;
}

/* Prefetches and reserved NOPs; and BSWAP of 16 bits, whose result is undefined. */
static bool is_hint(const struct encoding *e)
{
    if (e->map == 1 && e->prefix == 0x66 && (e->opcode & 0xf8) == 0xc8)
        return true;
    return e->map == 1 && (e->opcode == 0x0d || (e->opcode >= 0x18 && e->opcode <= 0x1f));
}

static bool has_form(const struct encoding *e)
{
    for (unsigned i = 0; i < insn_form_count; i++)
        if (covers(&insn_forms[i], e))
            return true;
    return false;
}

int main(int argc, char **argv)
{
    static const uint8_t prefixes[] = { 0, 0x66, 0xf2, 0xf3 };
    bool list = argc > 1 && !strcmp(argv[1], "--list");
    unsigned covered = 0, excused = 0, missing = 0;

    insn_init(CPU_FEATURES);
    for (unsigned n = 0; n < 4 * MAPS * 256 * 256; n++) {
        struct encoding e = { .prefix = prefixes[n >> 18], .map = n >> 16 & (MAPS - 1), .opcode = (uint8_t)(n >> 8), .modrm = (uint8_t)n };
        struct insn insn;
        if (!decode(&e, &insn) || (!e.has_modrm && e.modrm))
            continue;
        if (has_form(&e)) {
            covered++;
        } else if (reasons[insn.kind] || is_hint(&e)) {
            excused++;
            if (list)
                printf("  %02x %s%02x %02x: %s\n", e.prefix, map_names[e.map], e.opcode, e.modrm,
                       reasons[insn.kind] ? reasons[insn.kind] : "a hint, or undefined");
        } else {
            missing++;
            printf("  no form generates %02x %s%02x %02x (kind %u)\n", e.prefix, map_names[e.map], e.opcode, e.modrm, insn.kind);
        }
    }
    printf("%s insn opcodes: %u encodings have a form, %u are left out for a reason, %u have neither\n", missing ? "FAIL" : "ok  ",
           covered, excused, missing);
    return missing != 0;
}
