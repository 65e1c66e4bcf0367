/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One decoded guest instruction, in the terms that the translator needs: what
 * kind of rewriting it wants, where its bytes are, which general registers and
 * which memory it names, which flags it reads and overwrites. Zydis does the
 * decoding (zydis_insn.c), once for each form of an instruction; insn.c does it
 * from then on.
 */
#ifndef X86VM_DECODE_INSN_H
#define X86VM_DECODE_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { INSN_MAX_LENGTH = 15 };

/* How an instruction is rewritten. */
enum insn_kind {
    INSN_UNDEFINED,   /* not an instruction of the advertised CPU: #UD */
    INSN_PLAIN,       /* re-encoded as it stands, memory operand redirected */
    INSN_NOP,         /* no effect (NOP, PAUSE, prefetches, fences, CLFLUSH) */
    INSN_LEA,
    INSN_MOFFS,       /* MOV accumulator <-> absolute address */
    INSN_XLAT,
    INSN_BIT_STRING,  /* BT/BTS/BTR/BTC memory, register */
    INSN_PUSH, INSN_POP, INSN_LEAVE,
    INSN_JCC, INSN_LOOP, INSN_JMP, INSN_JMP_INDIRECT, INSN_CALL, INSN_CALL_INDIRECT, INSN_RET,
    INSN_CLD, INSN_STD,
    INSN_CLI, INSN_STI, INSN_PUSHF, INSN_POPF,
    INSN_MASKMOV,     /* MASKMOVQ, MASKMOVDQU: implicit [EDI] */
    /* From here on: a call into C (translate/calls_*.c). */
    INSN_PUSHA, INSN_POPA, INSN_ENTER,
    INSN_STRING,      /* MOVS, STOS, LODS, CMPS, SCAS, with or without REP */
    INSN_INS, INSN_OUTS,
    INSN_PUSH_SEG, INSN_POP_SEG, INSN_MOV_FROM_SEG, INSN_MOV_TO_SEG, INSN_LOAD_FAR_POINTER,
    INSN_FAR_JMP, INSN_FAR_CALL, INSN_FAR_RET,
    INSN_INT, INSN_INT3, INSN_INT1, INSN_INTO, INSN_IRET, INSN_SYSENTER, INSN_SYSEXIT,
    INSN_HLT, INSN_IN, INSN_OUT,
    INSN_CPUID, INSN_RDTSC, INSN_RDPMC, INSN_RDMSR, INSN_WRMSR,
    INSN_MOV_FROM_CR, INSN_MOV_TO_CR, INSN_MOV_FROM_DR, INSN_MOV_TO_DR,
    INSN_CLTS, INSN_LMSW, INSN_SMSW,
    INSN_SGDT, INSN_SIDT, INSN_LGDT, INSN_LIDT, INSN_SLDT, INSN_STR, INSN_LLDT, INSN_LTR,
    INSN_LAR, INSN_LSL, INSN_VERR, INSN_VERW, INSN_ARPL,
    INSN_INVLPG, INSN_INVD,
    INSN_BOUND, INSN_BCD, /* AAA AAS AAM AAD DAA DAS SALC */
    INSN_FXSAVE, INSN_FXRSTOR, INSN_FNSAVE, INSN_FRSTOR, INSN_FNSTENV, INSN_FLDENV, INSN_LDMXCSR,
    INSN_KIND_COUNT
};

/* Which host execution unit's state the instruction needs (CR0.TS/EM gates). */
enum insn_unit { INSN_UNIT_INTEGER, INSN_UNIT_X87, INSN_UNIT_MMX, INSN_UNIT_SSE };

enum { INSN_NO_REG = 0xff };

/* A memory operand: [seg: base + (index << scale) + disp], wrapping at addrsize. */
struct insn_mem {
    uint8_t seg;   /* enum cpu_seg */
    uint8_t base;  /* enum cpu_reg or INSN_NO_REG */
    uint8_t index; /* enum cpu_reg or INSN_NO_REG */
    uint8_t scale; /* log2 */
    int32_t disp;
    uint16_t size; /* bytes accessed; 0 for an address only (LEA, INVLPG) */
    bool read, write;
    bool aligned;  /* must be 16-aligned, else #GP (and not #PF) */
};

struct insn {
    uint32_t eip;
    uint8_t bytes[INSN_MAX_LENGTH];
    uint8_t length;
    uint8_t kind;          /* enum insn_kind */
    uint8_t unit;          /* enum insn_unit */
    uint8_t opsize;        /* operand size in bytes: 1, 2 or 4 */
    uint8_t addrsize;      /* 2 or 4 */
    uint8_t rep;           /* 0, 0xf2 or 0xf3, on string instructions */
    bool lock;
    bool copy_66;          /* 66h belongs to the encoding */
    uint8_t mandatory;     /* 0, 0xf2 or 0xf3 that belongs to the encoding */
    uint8_t opcode_offset; /* of the 0Fh escape or the opcode byte, in bytes[] */
    uint8_t opcode_length; /* 1..3 */
    uint8_t opcode;        /* last opcode byte */
    bool has_modrm;
    uint8_t modrm;
    uint8_t tail_offset;   /* immediates: bytes[tail_offset .. length) */
    bool reg_is_gpr;       /* ModRM.reg names a 16/32-bit general register */
    bool rm_is_gpr;        /* ModRM.rm names a 16/32-bit general register */
    bool opcode_is_gpr;    /* the opcode's low bits name a 16/32-bit general register */
    bool high_byte;        /* an explicit operand is AH, CH, DH or BH */
    uint8_t condition;     /* Jcc: low four opcode bits */
    uint8_t regs_written;  /* general registers written in whole or part, one bit each, implicit ones too */
    uint16_t flags_read;   /* arithmetic flags */
    uint16_t flags_killed; /* arithmetic flags overwritten (or left undefined) on every path */
    bool has_mem;
    struct insn_mem mem;
    uint32_t imm;          /* first immediate, sign-extended to opsize; far: offset */
    uint32_t imm2;         /* second: ENTER level, far selector */
    uint32_t target;       /* near relative branches */
};

static inline unsigned insn_mod(const struct insn *i) { return i->modrm >> 6; }
static inline unsigned insn_reg(const struct insn *i) { return i->modrm >> 3 & 7; }
static inline unsigned insn_rm(const struct insn *i) { return i->modrm & 7; }

enum insn_mode { INSN_MODE_16, INSN_MODE_32 };

/* Prepares the tables, for a CPU with these of CPU_FEATURES (cpu/cpu.h). */
void insn_init(uint32_t features);

/* Decodes one instruction from `size` readable bytes at guest address `eip`.
 * INSN_TRUNCATED: more bytes are needed. An encoding that does not exist
 * decodes as INSN_UNDEFINED; one longer than 15 bytes as INSN_TOO_LONG. */
enum insn_status { INSN_OK, INSN_TRUNCATED, INSN_TOO_LONG };
enum insn_status insn_decode(struct insn *insn, const uint8_t *bytes, size_t size, uint32_t eip, enum insn_mode mode);

/* Whether the instruction ends a run of straight-line code. */
bool insn_ends_block(const struct insn *insn);

#endif
