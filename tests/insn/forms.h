/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The table of instruction forms that gen.c draws from: every unprivileged
 * instruction of an i686 with SSE4.2, and the privileged ones for their faults.
 */
#ifndef TESTS_INSN_FORMS_H
#define TESTS_INSN_FORMS_H

#include <stdint.h>

enum form_rm {
    RM_NONE,  /* no ModRM byte */
    RM_ANY,   /* register or memory */
    RM_MEM,
    RM_REG,
    RM_FIXED, /* ModRM byte is `modrm`, counted up to `span` */
};

enum form_imm { IMM_NONE, IMM_8, IMM_16, IMM_Z /* 2 or 4 by operand size */, IMM_MOFFS };

enum form_attribute {
    O16 = 1,        /* has a 16-bit form with 66h */
    LOCKABLE = 2,   /* with a memory destination */
    BYTES = 4,      /* register fields do not name ESP: bytes, MMX, XMM */
    ALIGNED = 8,    /* memory operand must be 16-aligned */
    STACK = 16,     /* uses ESP implicitly */
    ENDS = 32,      /* always ends the sequence */
    SYSTEM = 256,   /* meaning depends on segments or privilege */
    PIECEWISE = 128, /* at a fault, what it has stored by then differs between CPU models */
    IMAGE = 512,    /* stores or loads an image of privileged flags */
    INEXACT = 64,   /* result differs between CPU models and emulators */
};

/* What has to come first so that the instruction does something of interest. */
enum form_setup {
    SETUP_NONE, SETUP_DIV8, SETUP_DIV, SETUP_IDIV, SETUP_BIT_OFFSET, SETUP_STRING, SETUP_XLAT, SETUP_LEAVE,
    SETUP_ENTER, SETUP_POPF, SETUP_EDI, SETUP_SHIFT16, SETUP_BOUND, SETUP_FLDCW, SETUP_LDMXCSR, SETUP_SEGMENT,
    SETUP_FAR_POINTER, SETUP_FPU_STORE, SETUP_DOUBLE_SHIFT, SETUP_PUSH_SEGMENT, SETUP_POPA, SETUP_POP_SEGMENT,
    SETUP_FPU_LOAD, SETUP_SEGMENT_MEMORY, SETUP_GS, SETUP_GS_POINTER, SETUP_POP_GS, SETUP_SELECTOR,
    SETUP_SELECTOR_MEMORY, SETUP_GS_MEMORY, SETUP_STRING_LENGTHS,
};

enum form_class { CLASS_INTEGER, CLASS_X87, CLASS_MMX, CLASS_SSE, CLASS_FAULT, CLASS_COUNT };

/* What not every CPU has: bits of CPUID leaf 1, ECX. */
enum form_feature { FEATURE_SSE3 = 1 << 0, FEATURE_SSSE3 = 1 << 9, FEATURE_SSE41 = 1 << 19, FEATURE_SSE42 = 1 << 20,
                    FEATURE_POPCNT = 1 << 23 };

struct insn_form {
    const char *name;
    uint8_t class;
    uint8_t prefix;   /* mandatory 66, F2 or F3; else 0 */
    uint8_t escape;   /* 0F before the opcode */
    uint8_t escape2;  /* 38 or 3A behind it */
    uint8_t opcode;
    uint8_t span;     /* so many consecutive opcodes (RM_FIXED: ModRM bytes) belong to the form */
    int8_t digit;     /* of the ModRM reg field; -1: a register */
    uint8_t rm;
    uint8_t imm;
    uint8_t modrm;
    uint16_t attributes;
    uint8_t setup;
    uint32_t feature; /* enum form_feature, or 0 */
};

extern const struct insn_form insn_forms[];
extern const unsigned insn_form_count;

#endif
