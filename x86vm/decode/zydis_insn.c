/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From Zydis' decoded form to struct insn: see zydis_insn.h. The two tables here
 * say what the advertised CPU has (by ISA set) and what is rewritten how (by
 * mnemonic); everything else of an allowed ISA set is INSN_PLAIN.
 */
#include "x86vm/decode/zydis_insn.h"

#include <string.h>

#include <Zydis/Zydis.h>

#include "x86vm/cpu/cpu.h"

static ZydisDecoder decoders[2];
static bool isa_allowed[ZYDIS_ISA_SET_MAX_VALUE + 1];
static uint8_t kind_of[ZYDIS_MNEMONIC_MAX_VALUE + 1];

/* What CPUID tells the guest (protection/cpuid.c): an i686 with SSE2, */
static const ZydisISASet allowed_sets[] = {
    ZYDIS_ISA_SET_I86, ZYDIS_ISA_SET_I186, ZYDIS_ISA_SET_I286PROTECTED, ZYDIS_ISA_SET_I286REAL,
    ZYDIS_ISA_SET_I386, ZYDIS_ISA_SET_I486, ZYDIS_ISA_SET_I486REAL, ZYDIS_ISA_SET_PENTIUMREAL,
    ZYDIS_ISA_SET_PENTIUMMMX, ZYDIS_ISA_SET_PPRO, ZYDIS_ISA_SET_CMOV, ZYDIS_ISA_SET_FCMOV,
    ZYDIS_ISA_SET_X87, ZYDIS_ISA_SET_FXSAVE, ZYDIS_ISA_SET_SSE, ZYDIS_ISA_SET_SSE2,
    ZYDIS_ISA_SET_SSE2MMX, ZYDIS_ISA_SET_SSEMXCSR, ZYDIS_ISA_SET_SSE_PREFETCH, ZYDIS_ISA_SET_PREFETCH_NOP,
    ZYDIS_ISA_SET_FAT_NOP, ZYDIS_ISA_SET_PAUSE, ZYDIS_ISA_SET_LAHF, ZYDIS_ISA_SET_RDPMC, ZYDIS_ISA_SET_CLFSH,
};
/* and what the host has of these. */
static const struct { ZydisISASet set; uint32_t feature; } feature_sets[] = {
    { ZYDIS_ISA_SET_SSE3, CPU_SSE3 }, { ZYDIS_ISA_SET_SSE3X87, CPU_SSE3 }, { ZYDIS_ISA_SET_SSSE3, CPU_SSSE3 },
    { ZYDIS_ISA_SET_SSSE3MMX, CPU_SSSE3 }, { ZYDIS_ISA_SET_SSE4, CPU_SSE41 }, { ZYDIS_ISA_SET_SSE42, CPU_SSE42 },
    { ZYDIS_ISA_SET_POPCNT, CPU_POPCNT },
};

struct kind_row { ZydisMnemonic mnemonic; enum insn_kind kind; };

#define M(name) ZYDIS_MNEMONIC_##name
static const struct kind_row kind_rows[] = {
    { M(UD0), INSN_UNDEFINED }, { M(UD1), INSN_UNDEFINED }, { M(UD2), INSN_UNDEFINED }, { M(RSM), INSN_UNDEFINED },
    { M(NOP), INSN_NOP }, { M(PAUSE), INSN_NOP }, { M(PREFETCH), INSN_NOP }, { M(PREFETCHW), INSN_NOP },
    { M(PREFETCHNTA), INSN_NOP }, { M(PREFETCHT0), INSN_NOP }, { M(PREFETCHT1), INSN_NOP },
    { M(PREFETCHT2), INSN_NOP }, { M(CLFLUSH), INSN_NOP }, { M(LFENCE), INSN_NOP }, { M(MFENCE), INSN_NOP },
    { M(SFENCE), INSN_NOP }, { M(FENI8087_NOP), INSN_NOP }, { M(FDISI8087_NOP), INSN_NOP },
    { M(FSETPM287_NOP), INSN_NOP },
    { M(LEA), INSN_LEA }, { M(XLAT), INSN_XLAT },
    { M(BT), INSN_BIT_STRING }, { M(BTS), INSN_BIT_STRING }, { M(BTR), INSN_BIT_STRING }, { M(BTC), INSN_BIT_STRING },
    { M(PUSH), INSN_PUSH }, { M(POP), INSN_POP }, { M(LEAVE), INSN_LEAVE },
    { M(JB), INSN_JCC }, { M(JBE), INSN_JCC }, { M(JL), INSN_JCC }, { M(JLE), INSN_JCC }, { M(JNB), INSN_JCC },
    { M(JNBE), INSN_JCC }, { M(JNL), INSN_JCC }, { M(JNLE), INSN_JCC }, { M(JNO), INSN_JCC }, { M(JNP), INSN_JCC },
    { M(JNS), INSN_JCC }, { M(JNZ), INSN_JCC }, { M(JO), INSN_JCC }, { M(JP), INSN_JCC }, { M(JS), INSN_JCC },
    { M(JZ), INSN_JCC },
    { M(JCXZ), INSN_LOOP }, { M(JECXZ), INSN_LOOP }, { M(LOOP), INSN_LOOP }, { M(LOOPE), INSN_LOOP },
    { M(LOOPNE), INSN_LOOP },
    { M(JMP), INSN_JMP }, { M(CALL), INSN_CALL }, { M(RET), INSN_RET },
    { M(CLD), INSN_CLD }, { M(STD), INSN_STD }, { M(CLI), INSN_CLI }, { M(STI), INSN_STI },
    { M(PUSHF), INSN_PUSHF }, { M(PUSHFD), INSN_PUSHF }, { M(POPF), INSN_POPF }, { M(POPFD), INSN_POPF },
    { M(MASKMOVQ), INSN_MASKMOV }, { M(MASKMOVDQU), INSN_MASKMOV },
    { M(PUSHA), INSN_PUSHA }, { M(PUSHAD), INSN_PUSHA }, { M(POPA), INSN_POPA }, { M(POPAD), INSN_POPA },
    { M(ENTER), INSN_ENTER },
    { M(MOVSB), INSN_STRING }, { M(MOVSW), INSN_STRING }, { M(STOSB), INSN_STRING }, { M(STOSW), INSN_STRING },
    { M(STOSD), INSN_STRING }, { M(LODSB), INSN_STRING }, { M(LODSW), INSN_STRING }, { M(LODSD), INSN_STRING },
    { M(CMPSB), INSN_STRING }, { M(CMPSW), INSN_STRING }, { M(SCASB), INSN_STRING }, { M(SCASW), INSN_STRING },
    { M(SCASD), INSN_STRING },
    { M(INSB), INSN_INS }, { M(INSW), INSN_INS }, { M(INSD), INSN_INS },
    { M(OUTSB), INSN_OUTS }, { M(OUTSW), INSN_OUTS }, { M(OUTSD), INSN_OUTS },
    { M(LDS), INSN_LOAD_FAR_POINTER }, { M(LES), INSN_LOAD_FAR_POINTER }, { M(LSS), INSN_LOAD_FAR_POINTER },
    { M(LFS), INSN_LOAD_FAR_POINTER }, { M(LGS), INSN_LOAD_FAR_POINTER },
    { M(INT), INSN_INT }, { M(INT3), INSN_INT3 }, { M(INT1), INSN_INT1 }, { M(INTO), INSN_INTO },
    { M(IRET), INSN_IRET }, { M(IRETD), INSN_IRET }, { M(SYSENTER), INSN_SYSENTER }, { M(SYSEXIT), INSN_SYSEXIT },
    { M(HLT), INSN_HLT }, { M(IN), INSN_IN }, { M(OUT), INSN_OUT }, { M(CPUID), INSN_CPUID },
    { M(RDTSC), INSN_RDTSC }, { M(RDPMC), INSN_RDPMC }, { M(RDMSR), INSN_RDMSR }, { M(WRMSR), INSN_WRMSR },
    { M(CLTS), INSN_CLTS }, { M(LMSW), INSN_LMSW }, { M(SMSW), INSN_SMSW },
    { M(SGDT), INSN_SGDT }, { M(SIDT), INSN_SIDT }, { M(LGDT), INSN_LGDT }, { M(LIDT), INSN_LIDT },
    { M(SLDT), INSN_SLDT }, { M(STR), INSN_STR }, { M(LLDT), INSN_LLDT }, { M(LTR), INSN_LTR },
    { M(LAR), INSN_LAR }, { M(LSL), INSN_LSL }, { M(VERR), INSN_VERR }, { M(VERW), INSN_VERW }, { M(ARPL), INSN_ARPL },
    { M(INVLPG), INSN_INVLPG }, { M(INVD), INSN_INVD }, { M(WBINVD), INSN_INVD },
    { M(BOUND), INSN_BOUND },
    { M(AAA), INSN_BCD }, { M(AAS), INSN_BCD }, { M(AAM), INSN_BCD }, { M(AAD), INSN_BCD }, { M(DAA), INSN_BCD },
    { M(DAS), INSN_BCD }, { M(SALC), INSN_BCD },
    { M(FXSAVE), INSN_FXSAVE }, { M(FXRSTOR), INSN_FXRSTOR }, { M(FNSAVE), INSN_FNSAVE }, { M(FRSTOR), INSN_FRSTOR },
    { M(FNSTENV), INSN_FNSTENV }, { M(FLDENV), INSN_FLDENV }, { M(LDMXCSR), INSN_LDMXCSR },
};
#undef M

void zydis_insn_init(uint32_t features)
{
    static const ZydisDecoderMode off[] = { ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET, ZYDIS_DECODER_MODE_LZCNT,
        ZYDIS_DECODER_MODE_TZCNT, ZYDIS_DECODER_MODE_WBNOINVD, ZYDIS_DECODER_MODE_CLDEMOTE };

    ZydisDecoderInit(&decoders[INSN_MODE_16], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
    ZydisDecoderInit(&decoders[INSN_MODE_32], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    for (size_t d = 0; d < 2; d++)
        for (size_t i = 0; i < sizeof off / sizeof off[0]; i++)
            ZydisDecoderEnableMode(&decoders[d], off[i], ZYAN_FALSE);
    for (size_t i = 0; i < sizeof allowed_sets / sizeof allowed_sets[0]; i++)
        isa_allowed[allowed_sets[i]] = true;
    for (size_t i = 0; i < sizeof feature_sets / sizeof feature_sets[0]; i++)
        isa_allowed[feature_sets[i].set] = features & feature_sets[i].feature;
    memset(kind_of, INSN_PLAIN, sizeof kind_of);
    for (size_t i = 0; i < sizeof kind_rows / sizeof kind_rows[0]; i++)
        kind_of[kind_rows[i].mnemonic] = kind_rows[i].kind;
}

static bool reg_is_gpr(ZydisRegister reg, bool *high_byte)
{
    switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_GPR8:
        if (ZydisRegisterGetId(reg) >= 4)
            *high_byte = true;
        return false;
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
        return true;
    default:
        return false;
    }
}

static uint8_t gpr_id(ZydisRegister reg)
{
    return reg == ZYDIS_REGISTER_NONE ? INSN_NO_REG : (uint8_t)ZydisRegisterGetId(reg);
}

static uint8_t segment_id(ZydisRegister reg)
{
    switch (reg) {
    case ZYDIS_REGISTER_ES: return CPU_ES;
    case ZYDIS_REGISTER_CS: return CPU_CS;
    case ZYDIS_REGISTER_SS: return CPU_SS;
    case ZYDIS_REGISTER_FS: return CPU_FS;
    case ZYDIS_REGISTER_GS: return CPU_GS;
    default: return CPU_DS;
    }
}

static void take_memory(struct insn *insn, const ZydisDecodedOperand *op)
{
    struct insn_mem *mem = &insn->mem;

    if (insn->has_mem)
        return; /* the first one is the explicit one */
    insn->has_mem = true;
    mem->seg = segment_id(op->mem.segment);
    mem->base = gpr_id(op->mem.base);
    mem->index = gpr_id(op->mem.index);
    mem->scale = op->mem.scale == 8 ? 3 : op->mem.scale == 4 ? 2 : op->mem.scale == 2 ? 1 : 0;
    mem->disp = op->mem.disp.has_displacement ? (int32_t)op->mem.disp.value : 0;
    mem->size = op->mem.type == ZYDIS_MEMOP_TYPE_AGEN ? 0 : op->size / 8;
    mem->read = op->actions & ZYDIS_OPERAND_ACTION_MASK_READ;
    mem->write = op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
}

/* Operands of 16 bytes are aligned ones, but for these. */
static bool may_be_unaligned(ZydisMnemonic mnemonic)
{
    static const ZydisMnemonic rows[] = {
        ZYDIS_MNEMONIC_MOVUPS, ZYDIS_MNEMONIC_MOVUPD, ZYDIS_MNEMONIC_MOVDQU, ZYDIS_MNEMONIC_LDDQU, ZYDIS_MNEMONIC_MASKMOVDQU,
        ZYDIS_MNEMONIC_PCMPESTRM, ZYDIS_MNEMONIC_PCMPESTRI, ZYDIS_MNEMONIC_PCMPISTRM, ZYDIS_MNEMONIC_PCMPISTRI,
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (mnemonic == rows[i])
            return true;
    return false;
}

/* The general register that the operand writes in whole or part, one bit. */
static uint8_t written_register(const ZydisDecodedOperand *op)
{
    ZydisRegister whole;

    if (op->type != ZYDIS_OPERAND_TYPE_REGISTER || !(op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
        return 0;
    whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LEGACY_32, op->reg.value);
    return ZydisRegisterGetClass(whole) == ZYDIS_REGCLASS_GPR32 ? (uint8_t)(1u << ZydisRegisterGetId(whole)) : 0;
}

static void take_operands(struct insn *insn, const ZydisDecodedInstruction *z, const ZydisDecodedOperand *ops)
{
    for (unsigned i = 0; i < z->operand_count; i++)
        insn->regs_written |= written_register(&ops[i]);
    for (unsigned i = 0; i < z->operand_count_visible; i++) {
        const ZydisDecodedOperand *op = &ops[i];
        if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
            take_memory(insn, op);
        } else if (op->type == ZYDIS_OPERAND_TYPE_REGISTER) {
            bool gpr = reg_is_gpr(op->reg.value, &insn->high_byte);
            insn->reg_is_gpr |= gpr && op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG;
            insn->rm_is_gpr |= gpr && op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM;
            insn->opcode_is_gpr |= gpr && op->encoding == ZYDIS_OPERAND_ENCODING_OPCODE;
        } else if (op->type == ZYDIS_OPERAND_TYPE_POINTER) {
            insn->imm = op->ptr.offset;
            insn->imm2 = op->ptr.segment;
        } else if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && !op->imm.is_relative) {
            if (op->encoding != ZYDIS_OPERAND_ENCODING_NONE && z->raw.imm[1].size && op->imm.value.u == z->raw.imm[1].value.u
                && i > 0 && ops[i - 1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
                insn->imm2 = (uint32_t)op->imm.value.u;
            else
                insn->imm = (uint32_t)op->imm.value.u;
        }
    }
}

/* 66h as the 64-bit host needs it: a mandatory one stays; as an operand-size
 * prefix it is there when the operand has 16 bits, whatever the code's default. */
static bool needs_66(const struct insn *insn, const ZydisDecodedInstruction *z, ZydisPrefixType type)
{
    if (type == ZYDIS_PREFIX_TYPE_MANDATORY)
        return true;
    if (insn->unit != INSN_UNIT_INTEGER || z->mnemonic == ZYDIS_MNEMONIC_MOVNTI) /* 66h makes it undefined */
        return false;
    return z->operand_width == 16;
}

static void take_prefixes(struct insn *insn, const ZydisDecodedInstruction *z)
{
    ZydisPrefixType type_66 = ZYDIS_PREFIX_TYPE_IGNORED;

    for (unsigned i = 0; i < z->raw.prefix_count; i++) {
        uint8_t value = z->raw.prefixes[i].value;
        ZydisPrefixType type = z->raw.prefixes[i].type;
        if (value == 0x66 && type_66 != ZYDIS_PREFIX_TYPE_MANDATORY) /* of several, Zydis names one mandatory */
            type_66 = type;
        else if (value == 0xf2 || value == 0xf3) {
            insn->rep = value;
            if (type == ZYDIS_PREFIX_TYPE_MANDATORY)
                insn->mandatory = value;
        }
    }
    insn->copy_66 = needs_66(insn, z, type_66);
    insn->lock = z->attributes & ZYDIS_ATTRIB_HAS_LOCK;
}

static bool is_shift(const ZydisDecodedInstruction *z)
{
    switch (z->mnemonic) {
    case ZYDIS_MNEMONIC_ROL: case ZYDIS_MNEMONIC_ROR: case ZYDIS_MNEMONIC_RCL: case ZYDIS_MNEMONIC_RCR:
    case ZYDIS_MNEMONIC_SHL: case ZYDIS_MNEMONIC_SHR: case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_SHLD: case ZYDIS_MNEMONIC_SHRD:
        return true;
    default:
        return false;
    }
}

/* A count of zero leaves the flags alone, so these do not kill them. */
static bool flags_conditional(const ZydisDecodedInstruction *z, const struct insn *insn)
{
    if (!is_shift(z))
        return insn->kind == INSN_STRING;
    if (insn->opcode == 0xd0 || insn->opcode == 0xd1)
        return false;
    if (z->raw.imm[0].size)
        return (insn->bytes[insn->length - 1] & 31) == 0;
    return true;
}

/* What an instruction leaves undefined may in fact be left unchanged, as MUL and
 * BT do on some CPUs. These overwrite it, on all: AF, and OF of most shifts. */
static bool overwrites_undefined(const ZydisDecodedInstruction *z)
{
    switch (z->mnemonic) {
    case ZYDIS_MNEMONIC_AND: case ZYDIS_MNEMONIC_OR: case ZYDIS_MNEMONIC_XOR: case ZYDIS_MNEMONIC_TEST:
    case ZYDIS_MNEMONIC_SHL: case ZYDIS_MNEMONIC_SHR: case ZYDIS_MNEMONIC_SAR:
        return true;
    default:
        return false;
    }
}

static void take_flags(struct insn *insn, const ZydisDecodedInstruction *z)
{
    if (!z->cpu_flags)
        return;
    insn->flags_read = z->cpu_flags->tested & FLAGS_ARITH;
    insn->flags_killed = (z->cpu_flags->modified | z->cpu_flags->set_0 | z->cpu_flags->set_1 | z->cpu_flags->undefined)
        & FLAGS_ARITH;
    if (flags_conditional(z, insn))
        insn->flags_killed = 0;
    if (!overwrites_undefined(z))
        insn->flags_killed &= (uint16_t)~(z->cpu_flags->undefined & ~z->cpu_flags->modified);
}

static bool is_segment_register(const ZydisDecodedOperand *op)
{
    return op->type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_SEGMENT;
}

static bool in_class(const ZydisDecodedOperand *op, ZydisRegisterClass class)
{
    return op->type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(op->reg.value) == class;
}

static enum insn_kind mov_kind(const struct insn *insn, const ZydisDecodedOperand *ops)
{
    if (insn->opcode_length == 1 && insn->opcode >= 0xa0 && insn->opcode <= 0xa3)
        return INSN_MOFFS;
    if (is_segment_register(&ops[0]))
        return INSN_MOV_TO_SEG;
    if (is_segment_register(&ops[1]))
        return INSN_MOV_FROM_SEG;
    if (in_class(&ops[0], ZYDIS_REGCLASS_CONTROL))
        return INSN_MOV_TO_CR;
    if (in_class(&ops[1], ZYDIS_REGCLASS_CONTROL))
        return INSN_MOV_FROM_CR;
    if (in_class(&ops[0], ZYDIS_REGCLASS_DEBUG))
        return INSN_MOV_TO_DR;
    if (in_class(&ops[1], ZYDIS_REGCLASS_DEBUG))
        return INSN_MOV_FROM_DR;
    return INSN_PLAIN;
}

/* The mnemonics that stand for several kinds. */
static enum insn_kind refine_kind(const struct insn *insn, const ZydisDecodedInstruction *z, const ZydisDecodedOperand *ops)
{
    bool far_branch = z->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;

    switch (z->mnemonic) {
    case ZYDIS_MNEMONIC_MOV:
        return mov_kind(insn, ops);
    case ZYDIS_MNEMONIC_MOVSD: /* also an SSE2 move */
    case ZYDIS_MNEMONIC_CMPSD:
        return insn->opcode_length == 1 ? INSN_STRING : INSN_PLAIN;
    case ZYDIS_MNEMONIC_PUSH:
        return is_segment_register(&ops[0]) ? INSN_PUSH_SEG : INSN_PUSH;
    case ZYDIS_MNEMONIC_POP:
        return is_segment_register(&ops[0]) ? INSN_POP_SEG : INSN_POP;
    case ZYDIS_MNEMONIC_JMP:
        return far_branch ? INSN_FAR_JMP : insn->opcode == 0xff ? INSN_JMP_INDIRECT : INSN_JMP;
    case ZYDIS_MNEMONIC_CALL:
        return far_branch ? INSN_FAR_CALL : insn->opcode == 0xff ? INSN_CALL_INDIRECT : INSN_CALL;
    case ZYDIS_MNEMONIC_RET:
        return far_branch ? INSN_FAR_RET : INSN_RET;
    case ZYDIS_MNEMONIC_BT: case ZYDIS_MNEMONIC_BTS: case ZYDIS_MNEMONIC_BTR: case ZYDIS_MNEMONIC_BTC:
        return insn->has_mem && insn->opcode != 0xba ? INSN_BIT_STRING : INSN_PLAIN;
    default:
        return kind_of[z->mnemonic];
    }
}

/* What SSE added to MMX names MMX registers and none of its own, but for two conversions. */
static bool is_mmx_extension(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *ops)
{
    bool mmx = false;

    if (z->mnemonic == ZYDIS_MNEMONIC_CVTPS2PI || z->mnemonic == ZYDIS_MNEMONIC_CVTTPS2PI)
        return false;
    for (unsigned i = 0; i < z->operand_count_visible; i++) {
        if (in_class(&ops[i], ZYDIS_REGCLASS_XMM))
            return false;
        mmx |= in_class(&ops[i], ZYDIS_REGCLASS_MMX);
    }
    return mmx;
}

static enum insn_unit unit_of(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *ops)
{
    if (z->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && z->opcode >= 0xd8 && z->opcode <= 0xdf)
        return INSN_UNIT_X87; /* FCOMI and its like are no set of their own */
    switch (z->meta.isa_set) {
    case ZYDIS_ISA_SET_X87: case ZYDIS_ISA_SET_FCMOV: case ZYDIS_ISA_SET_FXSAVE:
        return INSN_UNIT_X87;
    case ZYDIS_ISA_SET_PENTIUMMMX: case ZYDIS_ISA_SET_SSE2MMX: case ZYDIS_ISA_SET_SSSE3MMX:
        return INSN_UNIT_MMX;
    case ZYDIS_ISA_SET_SSE:
        return is_mmx_extension(z, ops) ? INSN_UNIT_MMX : INSN_UNIT_SSE;
    case ZYDIS_ISA_SET_SSE2:
        return z->mnemonic == ZYDIS_MNEMONIC_MOVNTI ? INSN_UNIT_INTEGER : INSN_UNIT_SSE;
    case ZYDIS_ISA_SET_SSEMXCSR: case ZYDIS_ISA_SET_SSE3: case ZYDIS_ISA_SET_SSSE3: case ZYDIS_ISA_SET_SSE4:
        return INSN_UNIT_SSE;
    case ZYDIS_ISA_SET_SSE42:
        return z->mnemonic == ZYDIS_MNEMONIC_CRC32 ? INSN_UNIT_INTEGER : INSN_UNIT_SSE;
    default:
        return INSN_UNIT_INTEGER;
    }
}

static uint8_t operand_size(const ZydisDecodedInstruction *z)
{
    return z->operand_width == 8 ? 1 : z->operand_width == 16 ? 2 : 4;
}

static void fill(struct insn *insn, const ZydisDecodedInstruction *z, const ZydisDecodedOperand *ops)
{
    insn->length = z->length;
    insn->opsize = operand_size(z);
    insn->addrsize = z->address_width == 16 ? 2 : 4;
    insn->opcode = z->opcode;
    insn->opcode_offset = z->raw.prefix_count;
    insn->opcode_length = z->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT ? 1 : z->opcode_map == ZYDIS_OPCODE_MAP_0F ? 2 : 3;
    insn->has_modrm = z->attributes & ZYDIS_ATTRIB_HAS_MODRM;
    if (insn->has_modrm)
        insn->modrm = (uint8_t)(z->raw.modrm.mod << 6 | z->raw.modrm.reg << 3 | z->raw.modrm.rm);
    insn->tail_offset = z->raw.imm[0].size ? z->raw.imm[0].offset : z->length;
    insn->unit = unit_of(z, ops);
    take_prefixes(insn, z);
    take_operands(insn, z, ops);
    insn->mem.aligned = insn->unit == INSN_UNIT_SSE && insn->mem.size == 16 && !may_be_unaligned(z->mnemonic);
    insn->kind = refine_kind(insn, z, ops);
    if (insn->kind == INSN_JCC)
        insn->condition = insn->opcode & 15;
    if (z->raw.imm[0].is_relative) {
        insn->target = insn->eip + insn->length + (uint32_t)z->raw.imm[0].value.s;
        if (insn->opsize == 2)
            insn->target &= 0xffff;
    }
    take_flags(insn, z);
}

/* What another instruction of the same form has instead. */
static void take_rules(struct insn_rules *rules, const struct insn *insn, const ZydisDecodedInstruction *z, const ZydisDecodedOperand *ops)
{
    *rules = (struct insn_rules){ .imm_size = z->raw.imm[0].size / 8, .imm_signed = z->raw.imm[0].is_signed,
                                  .relative = z->raw.imm[0].is_relative, .second_imm = z->raw.imm[1].size != 0,
                                  .absolute = !insn->has_modrm && z->raw.disp.size != 0,
                                  .shift_by_imm = z->raw.imm[0].size && is_shift(z) };
    for (unsigned i = 0; i < z->operand_count; i++) {
        bool rm = ops[i].type == ZYDIS_OPERAND_TYPE_REGISTER && ops[i].encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM;
        if (!rm)
            rules->written |= written_register(&ops[i]);
        else if (in_class(&ops[i], ZYDIS_REGCLASS_GPR8))
            rules->rm_is_byte = true;
        if (rm && written_register(&ops[i]))
            rules->rm_written = true;
    }
}

enum insn_status zydis_insn_decode(struct insn *insn, const uint8_t *bytes, size_t size, uint32_t eip, enum insn_mode mode,
                                   struct insn_rules *rules)
{
    ZydisDecodedInstruction z;
    ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
    ZyanStatus status;

    if (size > INSN_MAX_LENGTH)
        size = INSN_MAX_LENGTH;
    memset(insn, 0, sizeof *insn);
    insn->eip = eip;
    memcpy(insn->bytes, bytes, size);
    insn->opsize = 4;
    status = ZydisDecoderDecodeFull(&decoders[mode], bytes, size, &z, ops);
    if (status == ZYDIS_STATUS_NO_MORE_DATA)
        return size < INSN_MAX_LENGTH ? INSN_TRUNCATED : INSN_TOO_LONG;
    if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG)
        return INSN_TOO_LONG;
    if (!ZYAN_SUCCESS(status) || !isa_allowed[z.meta.isa_set]) {
        insn->length = ZYAN_SUCCESS(status) ? z.length : 1;
        insn->kind = INSN_UNDEFINED;
        return INSN_OK;
    }
    fill(insn, &z, ops);
    if (rules)
        take_rules(rules, insn, &z, ops);
    return INSN_OK;
}
