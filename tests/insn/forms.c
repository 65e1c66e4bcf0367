/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The table of instruction forms: see forms.h. Opcodes are the SDM's, vol. 2.
 */
#include "tests/insn/forms.h"

#define REG (-1)

/* Integer: NAME, opcode, span, digit, rm, imm, attributes, setup. Z: 0F map. */
#define I(n, op, sp, dg, r, im, at, su) \
    { .name = n, .class = CLASS_INTEGER, .opcode = op, .span = sp, .digit = dg, .rm = r, .imm = im, \
      .attributes = at, .setup = su }
#define Z(n, op, sp, dg, r, im, at, su) \
    { .name = n, .class = CLASS_INTEGER, .escape = 0x0f, .opcode = op, .span = sp, .digit = dg, .rm = r, \
      .imm = im, .attributes = at, .setup = su }
/* x87: memory form with a digit; register forms by ModRM range. */
#define FM(n, op, dg, at, su) \
    { .name = n, .class = CLASS_X87, .opcode = op, .span = 1, .digit = dg, .rm = RM_MEM, .attributes = at, .setup = su }
#define FR(n, op, mr, sp, at) \
    { .name = n, .class = CLASS_X87, .opcode = op, .span = sp, .rm = RM_FIXED, .modrm = mr, .attributes = at }
/* MMX and SSE: prefix, opcode, /r. */
#define M(n, op, sp, r, im, at) \
    { .name = n, .class = CLASS_MMX, .escape = 0x0f, .opcode = op, .span = sp, .digit = REG, .rm = r, .imm = im, \
      .attributes = BYTES | (at) }
#define S(n, pf, op, sp, r, im, at) \
    { .name = n, .class = CLASS_SSE, .prefix = pf, .escape = 0x0f, .opcode = op, .span = sp, .digit = REG, .rm = r, \
      .imm = im, .attributes = BYTES | (at) }
#define SD(n, c, pf, op, dg, r, im, at, su) \
    { .name = n, .class = c, .prefix = pf, .escape = 0x0f, .opcode = op, .span = 1, .digit = dg, .rm = r, .imm = im, \
      .attributes = BYTES | (at), .setup = su }
/* What came later: feature, prefix, second escape. */
#define N(n, c, ft, pf, e2, op, sp, r, im, at, su) \
    { .name = n, .class = c, .prefix = pf, .escape = 0x0f, .escape2 = e2, .opcode = op, .span = sp, .digit = REG, .rm = r, \
      .imm = im, .attributes = at, .setup = su, .feature = FEATURE_##ft }
#define N3(n, pf, op, sp, r, at) N(n, CLASS_SSE, SSE3, pf, 0, op, sp, r, 0, BYTES | (at), 0)
#define NS(n, op, sp) \
    N(n " mm", CLASS_MMX, SSSE3, 0, 0x38, op, sp, RM_ANY, 0, BYTES, 0), \
    N(n " xmm", CLASS_SSE, SSSE3, 0x66, 0x38, op, sp, RM_ANY, 0, BYTES | ALIGNED, 0)
#define N4(n, op, sp, r, at) N(n, CLASS_SSE, SSE41, 0x66, 0x38, op, sp, r, 0, BYTES | (at), 0)
#define N4I(n, op, sp, at) N(n, CLASS_SSE, SSE41, 0x66, 0x3a, op, sp, RM_ANY, IMM_8, at, 0)
#define FISTTP(n, op) \
    { .name = n, .class = CLASS_X87, .opcode = op, .span = 1, .digit = 1, .rm = RM_MEM, .feature = FEATURE_SSE3 }
/* Ends in an exception. */
#define X(n, esc, op, sp, dg, r, im, mr) \
    { .name = n, .class = CLASS_FAULT, .escape = esc, .opcode = op, .span = sp, .digit = dg, .rm = r, .imm = im, \
      .modrm = mr, .attributes = ENDS | BYTES }

#define ALU(n, op, digit, lock) \
    I(n " Eb,Gb", op, 1, REG, RM_ANY, 0, BYTES | (lock), 0), \
    I(n " Ev,Gv", op + 1, 1, REG, RM_ANY, 0, O16 | (lock), 0), \
    I(n " Gb,Eb", op + 2, 1, REG, RM_ANY, 0, BYTES, 0), \
    I(n " Gv,Ev", op + 3, 1, REG, RM_ANY, 0, O16, 0), \
    I(n " AL,Ib", op + 4, 1, 0, RM_NONE, IMM_8, 0, 0), \
    I(n " eAX,Iz", op + 5, 1, 0, RM_NONE, IMM_Z, O16, 0), \
    I(n " Eb,Ib", 0x80, 1, digit, RM_ANY, IMM_8, BYTES | (lock), 0), \
    I(n " Ev,Iz", 0x81, 1, digit, RM_ANY, IMM_Z, O16 | (lock), 0), \
    I(n " Eb,Ib (82)", 0x82, 1, digit, RM_ANY, IMM_8, BYTES, 0), \
    I(n " Ev,Ib", 0x83, 1, digit, RM_ANY, IMM_8, O16 | (lock), 0)

#define SHIFT(n, digit) \
    I(n " Eb,Ib", 0xc0, 1, digit, RM_ANY, IMM_8, BYTES, 0), \
    I(n " Ev,Ib", 0xc1, 1, digit, RM_ANY, IMM_8, O16, 0), \
    I(n " Eb,1", 0xd0, 1, digit, RM_ANY, 0, BYTES, 0), \
    I(n " Ev,1", 0xd1, 1, digit, RM_ANY, 0, O16, 0), \
    I(n " Eb,CL", 0xd2, 1, digit, RM_ANY, 0, BYTES, 0), \
    I(n " Ev,CL", 0xd3, 1, digit, RM_ANY, 0, O16, 0)

#define STRING(n, op) \
    I(n "b", op, 1, 0, RM_NONE, 0, 0, SETUP_STRING), \
    I(n "v", (op) + 1, 1, 0, RM_NONE, 0, O16, SETUP_STRING)

#define BIT(n, op, digit, lock) \
    Z(n " Ev,Gv", op, 1, REG, RM_ANY, 0, O16 | (lock), SETUP_BIT_OFFSET), \
    Z(n " Ev,Ib", 0xba, 1, digit, RM_ANY, IMM_8, O16 | (lock), 0)

#define X87_ARITH(n, digit) \
    FM(n " m32", 0xd8, digit, 0, 0), FM(n " m64", 0xdc, digit, 0, 0), \
    FM(n " m16i", 0xde, digit, 0, 0), FM(n " m32i", 0xda, digit, 0, 0)

/* Packed and scalar float, all four prefixes. */
#define FLOAT4(n, op, at) \
    S(n "ps", 0, op, 1, RM_ANY, 0, ALIGNED | (at)), S(n "pd", 0x66, op, 1, RM_ANY, 0, ALIGNED | (at)), \
    S(n "ss", 0xf3, op, 1, RM_ANY, 0, at), S(n "sd", 0xf2, op, 1, RM_ANY, 0, at)
#define FLOAT2(n, op, at) \
    S(n "ps", 0, op, 1, RM_ANY, 0, ALIGNED | (at)), S(n "pd", 0x66, op, 1, RM_ANY, 0, ALIGNED | (at))
/* The same on MMX and XMM registers. */
#define PACKED(n, op, sp) \
    M(n " mm", op, sp, RM_ANY, 0, 0), S(n " xmm", 0x66, op, sp, RM_ANY, 0, ALIGNED)
#define PACKED_SHIFT(n, op, dg) \
    SD(n " mm,Ib", CLASS_MMX, 0, op, dg, RM_REG, IMM_8, 0, 0), SD(n " xmm,Ib", CLASS_SSE, 0x66, op, dg, RM_REG, IMM_8, 0, 0)

const struct insn_form insn_forms[] = {
    /* --- integer --- */
    ALU("add", 0x00, 0, LOCKABLE), ALU("or", 0x08, 1, LOCKABLE), ALU("adc", 0x10, 2, LOCKABLE),
    ALU("sbb", 0x18, 3, LOCKABLE), ALU("and", 0x20, 4, LOCKABLE), ALU("sub", 0x28, 5, LOCKABLE),
    ALU("xor", 0x30, 6, LOCKABLE), ALU("cmp", 0x38, 7, 0),
    I("daa", 0x27, 1, 0, RM_NONE, 0, O16, 0), I("das", 0x2f, 1, 0, RM_NONE, 0, O16, 0),
    I("aaa", 0x37, 1, 0, RM_NONE, 0, O16, 0), I("aas", 0x3f, 1, 0, RM_NONE, 0, O16, 0),
    I("aam", 0xd4, 1, 0, RM_NONE, IMM_8, O16, 0), I("aad", 0xd5, 1, 0, RM_NONE, IMM_8, O16, 0),
    I("inc r", 0x40, 8, 0, RM_NONE, 0, O16, 0), I("dec r", 0x48, 8, 0, RM_NONE, 0, O16, 0),
    I("push r", 0x50, 8, 0, RM_NONE, 0, O16 | STACK, 0), I("pop r", 0x58, 8, 0, RM_NONE, 0, O16 | STACK, 0),
    I("pusha", 0x60, 1, 0, RM_NONE, 0, O16 | STACK | PIECEWISE, 0), I("popa", 0x61, 1, 0, RM_NONE, 0, O16 | STACK, SETUP_POPA),
    I("bound", 0x62, 1, REG, RM_MEM, 0, O16, 0), I("bound in range", 0x62, 1, REG, RM_MEM, 0, 0, SETUP_BOUND),
    I("push Iz", 0x68, 1, 0, RM_NONE, IMM_Z, O16 | STACK, 0), I("push Ib", 0x6a, 1, 0, RM_NONE, IMM_8, O16 | STACK, 0),
    I("imul Gv,Ev,Iz", 0x69, 1, REG, RM_ANY, IMM_Z, O16, 0), I("imul Gv,Ev,Ib", 0x6b, 1, REG, RM_ANY, IMM_8, O16, 0),
    I("test Eb,Gb", 0x84, 1, REG, RM_ANY, 0, BYTES, 0), I("test Ev,Gv", 0x85, 1, REG, RM_ANY, 0, O16, 0),
    I("xchg Eb,Gb", 0x86, 1, REG, RM_ANY, 0, BYTES | LOCKABLE, 0), I("xchg Ev,Gv", 0x87, 1, REG, RM_ANY, 0, O16 | LOCKABLE, 0),
    I("mov Eb,Gb", 0x88, 1, REG, RM_ANY, 0, BYTES, 0), I("mov Ev,Gv", 0x89, 1, REG, RM_ANY, 0, O16, 0),
    I("mov Gb,Eb", 0x8a, 1, REG, RM_ANY, 0, BYTES, 0), I("mov Gv,Ev", 0x8b, 1, REG, RM_ANY, 0, O16, 0),
    I("mov Ev,es", 0x8c, 1, 0, RM_ANY, 0, O16 | SYSTEM, 0), I("mov Ev,cs", 0x8c, 1, 1, RM_ANY, 0, O16 | SYSTEM, 0),
    I("mov Ev,ss", 0x8c, 1, 2, RM_ANY, 0, O16 | SYSTEM, 0), I("mov Ev,ds", 0x8c, 1, 3, RM_ANY, 0, O16 | SYSTEM, 0),
    I("mov Ev,fs", 0x8c, 1, 4, RM_ANY, 0, O16 | SYSTEM, 0), I("mov Ev,gs", 0x8c, 1, 5, RM_ANY, 0, O16 | SYSTEM, 0),
    I("mov es,Ew", 0x8e, 1, 0, RM_REG, 0, O16 | SYSTEM, SETUP_SEGMENT), I("mov ss,Ew", 0x8e, 1, 2, RM_REG, 0, O16 | SYSTEM, SETUP_SEGMENT),
    I("mov ds,Ew", 0x8e, 1, 3, RM_REG, 0, O16 | SYSTEM, SETUP_SEGMENT), I("mov fs,Ew", 0x8e, 1, 4, RM_REG, 0, O16 | SYSTEM, SETUP_SEGMENT),
    I("les", 0xc4, 1, REG, RM_MEM, 0, O16 | SYSTEM, SETUP_FAR_POINTER), I("lds", 0xc5, 1, REG, RM_MEM, 0, O16 | SYSTEM, SETUP_FAR_POINTER),
    Z("lss", 0xb2, 1, REG, RM_MEM, 0, O16 | SYSTEM, SETUP_FAR_POINTER), Z("lfs", 0xb4, 1, REG, RM_MEM, 0, O16 | SYSTEM, SETUP_FAR_POINTER),
    I("mov es,Mw", 0x8e, 1, 0, RM_MEM, 0, O16 | SYSTEM, SETUP_SEGMENT_MEMORY), I("mov ss,Mw", 0x8e, 1, 2, RM_MEM, 0, O16 | SYSTEM, SETUP_SEGMENT_MEMORY),
    I("mov ds,Mw", 0x8e, 1, 3, RM_MEM, 0, O16 | SYSTEM, SETUP_SEGMENT_MEMORY), I("mov fs,Mw", 0x8e, 1, 4, RM_MEM, 0, O16 | SYSTEM, SETUP_SEGMENT_MEMORY),
    I("mov gs,Ew", 0x8e, 1, 5, RM_REG, 0, O16 | SYSTEM, SETUP_GS), I("mov gs,Mw", 0x8e, 1, 5, RM_MEM, 0, O16 | SYSTEM, SETUP_GS_MEMORY), Z("lgs", 0xb5, 1, REG, RM_MEM, 0, O16 | SYSTEM, SETUP_GS_POINTER),
    Z("pop gs", 0xa9, 1, 0, RM_NONE, 0, O16 | STACK | SYSTEM, SETUP_POP_GS), I("arpl", 0x63, 1, REG, RM_ANY, 0, O16 | SYSTEM, 0),
    Z("lar", 0x02, 1, REG, RM_REG, 0, O16 | SYSTEM, SETUP_SELECTOR), Z("lsl", 0x03, 1, REG, RM_REG, 0, O16 | SYSTEM, SETUP_SELECTOR),
    Z("verr", 0x00, 1, 4, RM_REG, 0, O16 | SYSTEM, SETUP_SELECTOR), Z("verw", 0x00, 1, 5, RM_REG, 0, O16 | SYSTEM, SETUP_SELECTOR),
    Z("lar mem", 0x02, 1, REG, RM_MEM, 0, O16 | SYSTEM, SETUP_SELECTOR_MEMORY), Z("lsl mem", 0x03, 1, REG, RM_MEM, 0, O16 | SYSTEM, SETUP_SELECTOR_MEMORY),
    Z("verr mem", 0x00, 1, 4, RM_MEM, 0, O16 | SYSTEM, SETUP_SELECTOR_MEMORY), Z("verw mem", 0x00, 1, 5, RM_MEM, 0, O16 | SYSTEM, SETUP_SELECTOR_MEMORY),
    I("push es", 0x06, 1, 0, RM_NONE, 0, O16 | STACK | SYSTEM, SETUP_PUSH_SEGMENT),
    I("push cs", 0x0e, 1, 0, RM_NONE, 0, O16 | STACK | SYSTEM, SETUP_PUSH_SEGMENT),
    I("push ss", 0x16, 1, 0, RM_NONE, 0, O16 | STACK | SYSTEM, SETUP_PUSH_SEGMENT),
    I("push ds", 0x1e, 1, 0, RM_NONE, 0, O16 | STACK | SYSTEM, SETUP_PUSH_SEGMENT),
    Z("push fs", 0xa0, 1, 0, RM_NONE, 0, O16 | STACK | SYSTEM, SETUP_PUSH_SEGMENT),
    Z("push gs", 0xa8, 1, 0, RM_NONE, 0, O16 | STACK | SYSTEM, SETUP_PUSH_SEGMENT),
    I("pop es", 0x07, 1, 0, RM_NONE, 0, O16 | STACK | SYSTEM, SETUP_POP_SEGMENT),
    I("pop ss", 0x17, 1, 0, RM_NONE, 0, O16 | STACK | SYSTEM, SETUP_POP_SEGMENT),
    I("pop ds", 0x1f, 1, 0, RM_NONE, 0, O16 | STACK | SYSTEM, SETUP_POP_SEGMENT),
    Z("pop fs", 0xa1, 1, 0, RM_NONE, 0, O16 | STACK | SYSTEM, SETUP_POP_SEGMENT),
    I("lea", 0x8d, 1, REG, RM_MEM, 0, O16, 0), I("pop Ev", 0x8f, 1, 0, RM_ANY, 0, O16 | STACK, 0),
    I("xchg eAX,r", 0x90, 8, 0, RM_NONE, 0, O16, 0), I("cbw", 0x98, 1, 0, RM_NONE, 0, O16, 0), I("cwd", 0x99, 1, 0, RM_NONE, 0, O16, 0),
    I("pushf", 0x9c, 1, 0, RM_NONE, 0, O16 | STACK | IMAGE, 0), I("popf", 0x9d, 1, 0, RM_NONE, 0, O16 | STACK | SYSTEM, SETUP_POPF),
    I("sahf", 0x9e, 1, 0, RM_NONE, 0, O16, 0), I("lahf", 0x9f, 1, 0, RM_NONE, 0, O16, 0),
    I("mov AL,Ob", 0xa0, 1, 0, RM_NONE, IMM_MOFFS, 0, 0), I("mov eAX,Ov", 0xa1, 1, 0, RM_NONE, IMM_MOFFS, O16, 0),
    I("mov Ob,AL", 0xa2, 1, 0, RM_NONE, IMM_MOFFS, 0, 0), I("mov Ov,eAX", 0xa3, 1, 0, RM_NONE, IMM_MOFFS, O16, 0),
    I("test AL,Ib", 0xa8, 1, 0, RM_NONE, IMM_8, 0, 0), I("test eAX,Iz", 0xa9, 1, 0, RM_NONE, IMM_Z, O16, 0),
    STRING("movs", 0xa4), STRING("cmps", 0xa6), STRING("stos", 0xaa), STRING("lods", 0xac), STRING("scas", 0xae),
    I("mov rb,Ib", 0xb0, 8, 0, RM_NONE, IMM_8, 0, 0), I("mov r,Iz", 0xb8, 8, 0, RM_NONE, IMM_Z, O16, 0),
    SHIFT("rol", 0), SHIFT("ror", 1), SHIFT("rcl", 2), SHIFT("rcr", 3), SHIFT("shl", 4), SHIFT("shr", 5),
    SHIFT("sal", 6), SHIFT("sar", 7),
    I("mov Eb,Ib", 0xc6, 1, 0, RM_ANY, IMM_8, BYTES, 0), I("mov Ev,Iz", 0xc7, 1, 0, RM_ANY, IMM_Z, O16, 0),
    I("enter", 0xc8, 1, 0, RM_NONE, IMM_16, O16 | STACK | PIECEWISE, SETUP_ENTER), I("leave", 0xc9, 1, 0, RM_NONE, 0, O16 | STACK, SETUP_LEAVE),
    I("salc", 0xd6, 1, 0, RM_NONE, 0, O16, 0), I("xlat", 0xd7, 1, 0, RM_NONE, 0, O16, SETUP_XLAT),
    I("cmc", 0xf5, 1, 0, RM_NONE, 0, O16, 0), I("clc", 0xf8, 1, 0, RM_NONE, 0, O16, 0), I("stc", 0xf9, 1, 0, RM_NONE, 0, O16, 0),
    I("cld", 0xfc, 1, 0, RM_NONE, 0, O16, 0), I("std", 0xfd, 1, 0, RM_NONE, 0, O16, 0), I("nop", 0x90, 1, 0, RM_NONE, 0, O16, 0),
    I("test Eb,Ib", 0xf6, 1, 0, RM_ANY, IMM_8, BYTES, 0), I("test Ev,Iz", 0xf7, 1, 0, RM_ANY, IMM_Z, O16, 0),
    I("test Eb,Ib (/1)", 0xf6, 1, 1, RM_ANY, IMM_8, BYTES, 0), I("test Ev,Iz (/1)", 0xf7, 1, 1, RM_ANY, IMM_Z, O16, 0),
    I("not Eb", 0xf6, 1, 2, RM_ANY, 0, BYTES | LOCKABLE, 0), I("not Ev", 0xf7, 1, 2, RM_ANY, 0, O16 | LOCKABLE, 0),
    I("neg Eb", 0xf6, 1, 3, RM_ANY, 0, BYTES | LOCKABLE, 0), I("neg Ev", 0xf7, 1, 3, RM_ANY, 0, O16 | LOCKABLE, 0),
    I("mul Eb", 0xf6, 1, 4, RM_ANY, 0, BYTES, 0), I("mul Ev", 0xf7, 1, 4, RM_ANY, 0, O16, 0),
    I("imul Eb", 0xf6, 1, 5, RM_ANY, 0, BYTES, 0), I("imul Ev", 0xf7, 1, 5, RM_ANY, 0, O16, 0),
    I("div Eb", 0xf6, 1, 6, RM_ANY, 0, BYTES, SETUP_DIV8), I("div Ev", 0xf7, 1, 6, RM_ANY, 0, O16, SETUP_DIV),
    I("idiv Eb", 0xf6, 1, 7, RM_ANY, 0, BYTES, SETUP_DIV8), I("idiv Ev", 0xf7, 1, 7, RM_ANY, 0, O16, SETUP_IDIV),
    I("inc Eb", 0xfe, 1, 0, RM_ANY, 0, BYTES | LOCKABLE, 0), I("dec Eb", 0xfe, 1, 1, RM_ANY, 0, BYTES | LOCKABLE, 0),
    I("inc Ev", 0xff, 1, 0, RM_ANY, 0, O16 | LOCKABLE, 0), I("dec Ev", 0xff, 1, 1, RM_ANY, 0, O16 | LOCKABLE, 0),
    I("push Ev", 0xff, 1, 6, RM_ANY, 0, O16 | STACK, 0),
    Z("cmov", 0x40, 16, REG, RM_ANY, 0, O16, 0), Z("set", 0x90, 16, REG, RM_ANY, 0, BYTES, 0),
    Z("nop Ev", 0x1f, 1, 0, RM_ANY, 0, O16, 0), Z("hint nops", 0x18, 7, REG, RM_ANY, 0, O16, 0),
    { .name = "pause", .class = CLASS_INTEGER, .prefix = 0xf3, .opcode = 0x90, .span = 1, .rm = RM_NONE },
    BIT("bt", 0xa3, 4, 0), BIT("bts", 0xab, 5, LOCKABLE), BIT("btr", 0xb3, 6, LOCKABLE), BIT("btc", 0xbb, 7, LOCKABLE),
    Z("shld Ev,Gv,Ib", 0xa4, 1, REG, RM_ANY, IMM_8, O16, SETUP_DOUBLE_SHIFT), Z("shld Ev,Gv,CL", 0xa5, 1, REG, RM_ANY, 0, O16, SETUP_SHIFT16),
    Z("shrd Ev,Gv,Ib", 0xac, 1, REG, RM_ANY, IMM_8, O16, SETUP_DOUBLE_SHIFT), Z("shrd Ev,Gv,CL", 0xad, 1, REG, RM_ANY, 0, O16, SETUP_SHIFT16),
    Z("imul Gv,Ev", 0xaf, 1, REG, RM_ANY, 0, O16, 0),
    Z("cmpxchg Eb,Gb", 0xb0, 1, REG, RM_ANY, 0, BYTES | LOCKABLE, 0), Z("cmpxchg Ev,Gv", 0xb1, 1, REG, RM_ANY, 0, O16 | LOCKABLE, 0),
    Z("movzx Gv,Eb", 0xb6, 1, REG, RM_ANY, 0, O16, 0), Z("movzx Gv,Ew", 0xb7, 1, REG, RM_ANY, 0, O16, 0),
    Z("movsx Gv,Eb", 0xbe, 1, REG, RM_ANY, 0, O16, 0), Z("movsx Gv,Ew", 0xbf, 1, REG, RM_ANY, 0, O16, 0),
    Z("bsf", 0xbc, 1, REG, RM_ANY, 0, O16, 0), Z("bsr", 0xbd, 1, REG, RM_ANY, 0, O16, 0),
    Z("xadd Eb,Gb", 0xc0, 1, REG, RM_ANY, 0, BYTES | LOCKABLE, 0), Z("xadd Ev,Gv", 0xc1, 1, REG, RM_ANY, 0, O16 | LOCKABLE, 0),
    Z("cmpxchg8b", 0xc7, 1, 1, RM_MEM, 0, LOCKABLE, 0), Z("bswap", 0xc8, 8, 0, RM_NONE, 0, 0, 0),
    Z("movnti", 0xc3, 1, REG, RM_MEM, 0, 0, 0),

    /* --- x87 --- */
    X87_ARITH("fadd", 0), X87_ARITH("fmul", 1), X87_ARITH("fcom", 2), X87_ARITH("fcomp", 3),
    X87_ARITH("fsub", 4), X87_ARITH("fsubr", 5), X87_ARITH("fdiv", 6), X87_ARITH("fdivr", 7),
    FR("D8 st,sti", 0xd8, 0xc0, 64, 0), FR("DC sti,st", 0xdc, 0xc0, 16, 0), FR("DC sti,st sub/div", 0xdc, 0xe0, 32, 0),
    FR("DE sti,st", 0xde, 0xc0, 16, 0), FR("fcompp", 0xde, 0xd9, 1, 0), FR("DE sti,st sub/div", 0xde, 0xe0, 32, 0),
    FM("fld m32", 0xd9, 0, 0, 0), FM("fst m32", 0xd9, 2, 0, 0), FM("fstp m32", 0xd9, 3, 0, 0),
    FM("fld m64", 0xdd, 0, 0, 0), FM("fst m64", 0xdd, 2, 0, 0), FM("fstp m64", 0xdd, 3, 0, 0),
    FM("fild m32", 0xdb, 0, 0, 0), FM("fist m32", 0xdb, 2, 0, 0), FM("fistp m32", 0xdb, 3, 0, 0),
    FM("fild m16", 0xdf, 0, 0, 0), FM("fist m16", 0xdf, 2, 0, 0), FM("fistp m16", 0xdf, 3, 0, 0),
    FM("fild m64", 0xdf, 5, 0, 0), FM("fistp m64", 0xdf, 7, 0, 0), FM("fld m80", 0xdb, 5, 0, 0), FM("fstp m80", 0xdb, 7, PIECEWISE, 0),
    FM("fbld", 0xdf, 4, 0, 0), FM("fbstp", 0xdf, 6, PIECEWISE, 0), FM("fldcw", 0xd9, 5, 0, SETUP_FLDCW), FM("fnstcw", 0xd9, 7, 0, 0),
    FM("fnstsw m", 0xdd, 7, 0, 0), FM("fnstenv", 0xd9, 6, O16 | PIECEWISE, SETUP_FPU_STORE), FM("fnsave", 0xdd, 6, O16 | PIECEWISE, SETUP_FPU_STORE),
    FM("fldenv", 0xd9, 4, O16 | PIECEWISE, SETUP_FPU_LOAD), FM("frstor", 0xdd, 4, O16 | PIECEWISE, SETUP_FPU_LOAD),
    FR("fld sti", 0xd9, 0xc0, 8, 0), FR("fxch", 0xd9, 0xc8, 8, 0), FR("fnop", 0xd9, 0xd0, 1, 0), FR("fchs fabs", 0xd9, 0xe0, 2, 0),
    FR("ftst fxam", 0xd9, 0xe4, 2, 0), FR("fld const", 0xd9, 0xe8, 7, 0), FR("f2xm1 fyl2x fptan fpatan", 0xd9, 0xf0, 4, INEXACT),
    FR("fxtract", 0xd9, 0xf4, 1, 0), FR("fprem1", 0xd9, 0xf5, 1, 0), FR("fdecstp fincstp", 0xd9, 0xf6, 2, 0), FR("fprem", 0xd9, 0xf8, 1, 0),
    FR("fyl2xp1", 0xd9, 0xf9, 1, INEXACT), FR("fsqrt", 0xd9, 0xfa, 1, 0), FR("fsincos", 0xd9, 0xfb, 1, INEXACT), FR("frndint fscale", 0xd9, 0xfc, 2, 0),
    FR("fsin fcos", 0xd9, 0xfe, 2, INEXACT), FR("fcmov", 0xda, 0xc0, 32, 0), FR("fucompp", 0xda, 0xe9, 1, 0), FR("fcmovn", 0xdb, 0xc0, 32, 0),
    FR("fnclex", 0xdb, 0xe2, 1, 0), FR("fninit", 0xdb, 0xe3, 1, 0), FR("fucomi fcomi", 0xdb, 0xe8, 16, 0), FR("ffree", 0xdd, 0xc0, 8, 0),
    FR("fst fstp", 0xdd, 0xd0, 16, 0), FR("fucom fucomp", 0xdd, 0xe0, 16, 0), FR("fnstsw ax", 0xdf, 0xe0, 1, 0), FR("fucomip fcomip", 0xdf, 0xe8, 16, 0),
    FR("fstp1 (alias)", 0xd9, 0xd8, 8, 0), FR("feni fdisi (nop)", 0xdb, 0xe0, 2, 0), FR("fsetpm (nop)", 0xdb, 0xe4, 1, 0),
    FR("fcom2 fcomp3 (alias)", 0xdc, 0xd0, 16, 0), FR("fxch4 (alias)", 0xdd, 0xc8, 8, 0), FR("fcomp5 (alias)", 0xde, 0xd0, 8, 0),
    FR("ffreep", 0xdf, 0xc0, 8, 0), FR("fxch7 (alias)", 0xdf, 0xc8, 8, 0), FR("fstp8 fstp9 (alias)", 0xdf, 0xd0, 16, 0),
    { .name = "fwait", .class = CLASS_X87, .opcode = 0x9b, .span = 1, .rm = RM_NONE },

    /* --- MMX and their XMM twins --- */
    PACKED("punpckl..packss", 0x60, 4), PACKED("pcmpgt", 0x64, 3), PACKED("packus..packssdw", 0x67, 5), S("punpck qdq", 0x66, 0x6c, 2, RM_ANY, 0, ALIGNED),
    { .name = "movd mm,Ed", .class = CLASS_MMX, .escape = 0x0f, .opcode = 0x6e, .span = 1, .digit = REG, .rm = RM_ANY },
    { .name = "movd Ed,mm", .class = CLASS_MMX, .escape = 0x0f, .opcode = 0x7e, .span = 1, .digit = REG, .rm = RM_ANY },
    { .name = "movd xmm,Ed", .class = CLASS_SSE, .prefix = 0x66, .escape = 0x0f, .opcode = 0x6e, .span = 1, .digit = REG, .rm = RM_ANY },
    { .name = "movd Ed,xmm", .class = CLASS_SSE, .prefix = 0x66, .escape = 0x0f, .opcode = 0x7e, .span = 1, .digit = REG, .rm = RM_ANY },
    M("movq mm,Qq", 0x6f, 1, RM_ANY, 0, 0), M("movq Qq,mm", 0x7f, 1, RM_ANY, 0, 0),
    M("pshufw", 0x70, 1, RM_ANY, IMM_8, 0), S("pshufd", 0x66, 0x70, 1, RM_ANY, IMM_8, ALIGNED),
    S("pshufhw", 0xf3, 0x70, 1, RM_ANY, IMM_8, ALIGNED), S("pshuflw", 0xf2, 0x70, 1, RM_ANY, IMM_8, ALIGNED),
    PACKED_SHIFT("psrlw", 0x71, 2), PACKED_SHIFT("psraw", 0x71, 4), PACKED_SHIFT("psllw", 0x71, 6),
    PACKED_SHIFT("psrld", 0x72, 2), PACKED_SHIFT("psrad", 0x72, 4), PACKED_SHIFT("pslld", 0x72, 6),
    PACKED_SHIFT("psrlq", 0x73, 2), PACKED_SHIFT("psllq", 0x73, 6),
    SD("psrldq", CLASS_SSE, 0x66, 0x73, 3, RM_REG, IMM_8, 0, 0), SD("pslldq", CLASS_SSE, 0x66, 0x73, 7, RM_REG, IMM_8, 0, 0),
    PACKED("pcmpeq", 0x74, 3), { .name = "emms", .class = CLASS_MMX, .escape = 0x0f, .opcode = 0x77, .span = 1, .rm = RM_NONE },
    PACKED("psrl", 0xd1, 3), PACKED("paddq", 0xd4, 1), PACKED("pmullw", 0xd5, 1), PACKED("psubus..pand", 0xd8, 4), PACKED("paddus..pandn", 0xdc, 4),
    PACKED("pavg..psra", 0xe0, 4), PACKED("pmulh", 0xe4, 2), PACKED("psubs..por", 0xe8, 4), PACKED("padds..pxor", 0xec, 4),
    PACKED("psll", 0xf1, 3), PACKED("pmuludq pmaddwd psadbw", 0xf4, 3), PACKED("psub", 0xf8, 4), PACKED("padd", 0xfc, 3),
    M("movntq", 0xe7, 1, RM_MEM, 0, 0), M("pmovmskb mm", 0xd7, 1, RM_REG, 0, 0), S("pmovmskb xmm", 0x66, 0xd7, 1, RM_REG, 0, 0),
    M("pinsrw mm", 0xc4, 1, RM_ANY, IMM_8, 0), S("pinsrw xmm", 0x66, 0xc4, 1, RM_ANY, IMM_8, 0),
    M("pextrw mm", 0xc5, 1, RM_REG, IMM_8, 0), S("pextrw xmm", 0x66, 0xc5, 1, RM_REG, IMM_8, 0),
    SD("maskmovq", CLASS_MMX, 0, 0xf7, REG, RM_REG, 0, 0, SETUP_EDI), SD("maskmovdqu", CLASS_SSE, 0x66, 0xf7, REG, RM_REG, 0, 0, SETUP_EDI),

    /* --- SSE, SSE2 --- */
    S("movups x,W", 0, 0x10, 1, RM_ANY, 0, 0), S("movups W,x", 0, 0x11, 1, RM_ANY, 0, 0), S("movupd x,W", 0x66, 0x10, 1, RM_ANY, 0, 0), S("movupd W,x", 0x66, 0x11, 1, RM_ANY, 0, 0),
    S("movss x,W", 0xf3, 0x10, 1, RM_ANY, 0, 0), S("movss W,x", 0xf3, 0x11, 1, RM_ANY, 0, 0), S("movsd x,W", 0xf2, 0x10, 1, RM_ANY, 0, 0), S("movsd W,x", 0xf2, 0x11, 1, RM_ANY, 0, 0),
    S("movlps/movhlps", 0, 0x12, 1, RM_ANY, 0, 0), S("movlps M,x", 0, 0x13, 1, RM_MEM, 0, 0), S("movlpd x,M", 0x66, 0x12, 1, RM_MEM, 0, 0), S("movlpd M,x", 0x66, 0x13, 1, RM_MEM, 0, 0),
    S("unpck ps", 0, 0x14, 2, RM_ANY, 0, ALIGNED), S("unpck pd", 0x66, 0x14, 2, RM_ANY, 0, ALIGNED),
    S("movhps/movlhps", 0, 0x16, 1, RM_ANY, 0, 0), S("movhps M,x", 0, 0x17, 1, RM_MEM, 0, 0), S("movhpd x,M", 0x66, 0x16, 1, RM_MEM, 0, 0), S("movhpd M,x", 0x66, 0x17, 1, RM_MEM, 0, 0),
    S("movaps x,W", 0, 0x28, 1, RM_ANY, 0, ALIGNED), S("movaps W,x", 0, 0x29, 1, RM_ANY, 0, ALIGNED), S("movapd x,W", 0x66, 0x28, 1, RM_ANY, 0, ALIGNED), S("movapd W,x", 0x66, 0x29, 1, RM_ANY, 0, ALIGNED),
    S("cvtpi2ps", 0, 0x2a, 1, RM_ANY, 0, 0), S("cvtpi2pd", 0x66, 0x2a, 1, RM_ANY, 0, 0), S("cvtsi2ss", 0xf3, 0x2a, 1, RM_ANY, 0, 0), S("cvtsi2sd", 0xf2, 0x2a, 1, RM_ANY, 0, 0),
    S("movntps", 0, 0x2b, 1, RM_MEM, 0, ALIGNED), S("movntpd", 0x66, 0x2b, 1, RM_MEM, 0, ALIGNED), S("movntdq", 0x66, 0xe7, 1, RM_MEM, 0, ALIGNED),
    S("cvt(t)ps2pi", 0, 0x2c, 2, RM_ANY, 0, 0), S("cvt(t)pd2pi", 0x66, 0x2c, 2, RM_ANY, 0, ALIGNED), S("cvt(t)ss2si", 0xf3, 0x2c, 2, RM_ANY, 0, 0), S("cvt(t)sd2si", 0xf2, 0x2c, 2, RM_ANY, 0, 0),
    S("(u)comiss", 0, 0x2e, 2, RM_ANY, 0, 0), S("(u)comisd", 0x66, 0x2e, 2, RM_ANY, 0, 0), S("movmskps", 0, 0x50, 1, RM_REG, 0, 0), S("movmskpd", 0x66, 0x50, 1, RM_REG, 0, 0),
    FLOAT4("sqrt", 0x51, 0), S("rsqrtps", 0, 0x52, 1, RM_ANY, 0, ALIGNED | INEXACT), S("rsqrtss", 0xf3, 0x52, 1, RM_ANY, 0, INEXACT),
    S("rcpps", 0, 0x53, 1, RM_ANY, 0, ALIGNED | INEXACT), S("rcpss", 0xf3, 0x53, 1, RM_ANY, 0, INEXACT),
    FLOAT2("and", 0x54, 0), FLOAT2("andn", 0x55, 0), FLOAT2("or", 0x56, 0), FLOAT2("xor", 0x57, 0),
    FLOAT4("add", 0x58, 0), FLOAT4("mul", 0x59, 0), FLOAT4("sub", 0x5c, 0), FLOAT4("min", 0x5d, 0), FLOAT4("div", 0x5e, 0), FLOAT4("max", 0x5f, 0),
    S("cvtps2pd", 0, 0x5a, 1, RM_ANY, 0, 0), S("cvtpd2ps", 0x66, 0x5a, 1, RM_ANY, 0, ALIGNED), S("cvtss2sd", 0xf3, 0x5a, 1, RM_ANY, 0, 0), S("cvtsd2ss", 0xf2, 0x5a, 1, RM_ANY, 0, 0),
    S("cvtdq2ps", 0, 0x5b, 1, RM_ANY, 0, ALIGNED), S("cvtps2dq", 0x66, 0x5b, 1, RM_ANY, 0, ALIGNED), S("cvttps2dq", 0xf3, 0x5b, 1, RM_ANY, 0, ALIGNED),
    S("cvttpd2dq", 0x66, 0xe6, 1, RM_ANY, 0, ALIGNED), S("cvtdq2pd", 0xf3, 0xe6, 1, RM_ANY, 0, 0), S("cvtpd2dq", 0xf2, 0xe6, 1, RM_ANY, 0, ALIGNED),
    S("movdqa x,W", 0x66, 0x6f, 1, RM_ANY, 0, ALIGNED), S("movdqa W,x", 0x66, 0x7f, 1, RM_ANY, 0, ALIGNED), S("movdqu x,W", 0xf3, 0x6f, 1, RM_ANY, 0, 0), S("movdqu W,x", 0xf3, 0x7f, 1, RM_ANY, 0, 0),
    S("movq x,W", 0xf3, 0x7e, 1, RM_ANY, 0, 0), S("movq W,x", 0x66, 0xd6, 1, RM_ANY, 0, 0), S("movq2dq", 0xf3, 0xd6, 1, RM_REG, 0, 0), S("movdq2q", 0xf2, 0xd6, 1, RM_REG, 0, 0),
    S("cmpps", 0, 0xc2, 1, RM_ANY, IMM_8, ALIGNED), S("cmppd", 0x66, 0xc2, 1, RM_ANY, IMM_8, ALIGNED), S("cmpss", 0xf3, 0xc2, 1, RM_ANY, IMM_8, 0), S("cmpsd", 0xf2, 0xc2, 1, RM_ANY, IMM_8, 0),
    S("shufps", 0, 0xc6, 1, RM_ANY, IMM_8, ALIGNED), S("shufpd", 0x66, 0xc6, 1, RM_ANY, IMM_8, ALIGNED),
    SD("prefetch", CLASS_SSE, 0, 0x18, 1, RM_MEM, 0, 0, 0), SD("ldmxcsr", CLASS_SSE, 0, 0xae, 2, RM_MEM, 0, 0, SETUP_LDMXCSR), SD("stmxcsr", CLASS_SSE, 0, 0xae, 3, RM_MEM, 0, 0, 0),
    SD("fxsave", CLASS_SSE, 0, 0xae, 0, RM_MEM, 0, PIECEWISE, SETUP_FPU_STORE), SD("fxrstor", CLASS_SSE, 0, 0xae, 1, RM_MEM, 0, PIECEWISE, SETUP_FPU_LOAD),
    SD("clflush", CLASS_SSE, 0, 0xae, 7, RM_MEM, 0, 0, 0),
    { .name = "lfence", .class = CLASS_SSE, .escape = 0x0f, .opcode = 0xae, .span = 8, .rm = RM_FIXED, .modrm = 0xe8 },
    { .name = "mfence", .class = CLASS_SSE, .escape = 0x0f, .opcode = 0xae, .span = 8, .rm = RM_FIXED, .modrm = 0xf0 },
    { .name = "sfence", .class = CLASS_SSE, .escape = 0x0f, .opcode = 0xae, .span = 8, .rm = RM_FIXED, .modrm = 0xf8 },

    /* --- SSE3 --- */
    N3("addsubpd", 0x66, 0xd0, 1, RM_ANY, ALIGNED), N3("addsubps", 0xf2, 0xd0, 1, RM_ANY, ALIGNED), N3("hadd hsub pd", 0x66, 0x7c, 2, RM_ANY, ALIGNED),
    N3("hadd hsub ps", 0xf2, 0x7c, 2, RM_ANY, ALIGNED), N3("lddqu", 0xf2, 0xf0, 1, RM_MEM, 0), N3("movddup", 0xf2, 0x12, 1, RM_ANY, 0),
    N3("movsldup", 0xf3, 0x12, 1, RM_ANY, ALIGNED), N3("movshdup", 0xf3, 0x16, 1, RM_ANY, ALIGNED),
    FISTTP("fisttp m32", 0xdb), FISTTP("fisttp m64", 0xdd), FISTTP("fisttp m16", 0xdf),

    /* --- SSSE3 --- */
    NS("pshufb..phaddsw", 0x00, 4), NS("pmaddubsw", 0x04, 1), NS("phsub", 0x05, 3), NS("psign", 0x08, 3), NS("pmulhrsw", 0x0b, 1), NS("pabs", 0x1c, 3),
    N("palignr mm", CLASS_MMX, SSSE3, 0, 0x3a, 0x0f, 1, RM_ANY, IMM_8, BYTES, 0), N("palignr xmm", CLASS_SSE, SSSE3, 0x66, 0x3a, 0x0f, 1, RM_ANY, IMM_8, BYTES | ALIGNED, 0),

    /* --- SSE4.1 --- */
    N4("pblendvb", 0x10, 1, RM_ANY, ALIGNED), N4("blendv", 0x14, 2, RM_ANY, ALIGNED), N4("ptest", 0x17, 1, RM_ANY, ALIGNED),
    N4("pmovsxbw", 0x20, 1, RM_ANY, 0), N4("pmovsxbd", 0x21, 1, RM_ANY, 0), N4("pmovsxbq", 0x22, 1, RM_ANY, 0),
    N4("pmovsxwd", 0x23, 1, RM_ANY, 0), N4("pmovsxwq", 0x24, 1, RM_ANY, 0), N4("pmovsxdq", 0x25, 1, RM_ANY, 0),
    N4("pmuldq pcmpeqq", 0x28, 2, RM_ANY, ALIGNED), N4("movntdqa", 0x2a, 1, RM_MEM, ALIGNED), N4("packusdw", 0x2b, 1, RM_ANY, ALIGNED),
    N4("pmovzxbw", 0x30, 1, RM_ANY, 0), N4("pmovzxbd", 0x31, 1, RM_ANY, 0), N4("pmovzxbq", 0x32, 1, RM_ANY, 0),
    N4("pmovzxwd", 0x33, 1, RM_ANY, 0), N4("pmovzxwq", 0x34, 1, RM_ANY, 0), N4("pmovzxdq", 0x35, 1, RM_ANY, 0),
    N4("pmin", 0x38, 4, RM_ANY, ALIGNED), N4("pmax", 0x3c, 4, RM_ANY, ALIGNED), N4("pmulld", 0x40, 1, RM_ANY, ALIGNED), N4("phminposuw", 0x41, 1, RM_ANY, ALIGNED),
    N4I("round p", 0x08, 2, BYTES | ALIGNED), N4I("roundss", 0x0a, 1, BYTES), N4I("roundsd", 0x0b, 1, BYTES), N4I("blend", 0x0c, 3, BYTES | ALIGNED),
    N4I("pextrb", 0x14, 1, 0), N4I("pextrw Ew", 0x15, 1, 0), N4I("pextrd", 0x16, 1, 0), N4I("extractps", 0x17, 1, 0),
    N4I("pinsrb", 0x20, 1, 0), N4I("insertps", 0x21, 1, BYTES), N4I("pinsrd", 0x22, 1, 0),
    N4I("dpps", 0x40, 1, BYTES | ALIGNED), N4I("dppd", 0x41, 1, BYTES | ALIGNED), N4I("mpsadbw", 0x42, 1, BYTES | ALIGNED),

    /* --- SSE4.2, POPCNT --- */
    N("pcmpgtq", CLASS_SSE, SSE42, 0x66, 0x38, 0x37, 1, RM_ANY, 0, BYTES | ALIGNED, 0),
    N("pcmpestrm", CLASS_SSE, SSE42, 0x66, 0x3a, 0x60, 1, RM_ANY, IMM_8, BYTES, SETUP_STRING_LENGTHS),
    N("pcmpestri", CLASS_SSE, SSE42, 0x66, 0x3a, 0x61, 1, RM_ANY, IMM_8, BYTES, SETUP_STRING_LENGTHS),
    N("pcmpistrm", CLASS_SSE, SSE42, 0x66, 0x3a, 0x62, 1, RM_ANY, IMM_8, BYTES, 0), N("pcmpistri", CLASS_SSE, SSE42, 0x66, 0x3a, 0x63, 1, RM_ANY, IMM_8, BYTES, 0),
    N("crc32 Gd,Eb", CLASS_INTEGER, SSE42, 0xf2, 0x38, 0xf0, 1, RM_ANY, 0, 0, 0), N("crc32 Gd,Ev", CLASS_INTEGER, SSE42, 0xf2, 0x38, 0xf1, 1, RM_ANY, 0, O16, 0),
    N("popcnt", CLASS_INTEGER, POPCNT, 0xf3, 0, 0xb8, 1, RM_ANY, 0, O16, 0),

    /* --- exceptions by design --- */
    X("hlt", 0, 0xf4, 1, 0, RM_NONE, 0, 0), X("cli sti", 0, 0xfa, 2, 0, RM_NONE, 0, 0), X("in imm", 0, 0xe4, 2, 0, RM_NONE, IMM_8, 0), X("out imm", 0, 0xe6, 2, 0, RM_NONE, IMM_8, 0),
    X("in out dx", 0, 0xec, 4, 0, RM_NONE, 0, 0), X("ins outs", 0, 0x6c, 4, 0, RM_NONE, 0, 0), X("clts", 0x0f, 0x06, 1, 0, RM_NONE, 0, 0),
    X("invd wbinvd", 0x0f, 0x08, 2, 0, RM_NONE, 0, 0), X("wrmsr", 0x0f, 0x30, 1, 0, RM_NONE, 0, 0), X("rdmsr", 0x0f, 0x32, 1, 0, RM_NONE, 0, 0),
    X("mov r,cr0", 0x0f, 0x20, 1, 0, RM_FIXED, 0, 0xc0), X("mov cr0,r", 0x0f, 0x22, 1, 0, RM_FIXED, 0, 0xc0), X("mov cr3,r", 0x0f, 0x22, 1, 0, RM_FIXED, 0, 0xd8),
    X("mov r,dr7", 0x0f, 0x21, 1, 0, RM_FIXED, 0, 0xf8), X("lgdt", 0x0f, 0x01, 1, 2, RM_MEM, 0, 0), X("lidt", 0x0f, 0x01, 1, 3, RM_MEM, 0, 0), X("lmsw", 0x0f, 0x01, 1, 6, RM_REG, 0, 0),
    X("invlpg", 0x0f, 0x01, 1, 7, RM_MEM, 0, 0), X("lldt", 0x0f, 0x00, 1, 2, RM_REG, 0, 0), X("ltr", 0x0f, 0x00, 1, 3, RM_REG, 0, 0), X("ud2", 0x0f, 0x0b, 1, 0, RM_NONE, 0, 0),
    X("into", 0, 0xce, 1, 0, RM_NONE, 0, 0), X("int3", 0, 0xcc, 1, 0, RM_NONE, 0, 0), X("FE /7", 0, 0xfe, 1, 7, RM_REG, 0, 0), X("FF /7", 0, 0xff, 1, 7, RM_REG, 0, 0),
    X("C6 /3", 0, 0xc6, 1, 3, RM_MEM, IMM_8, 0), X("lea r,r", 0, 0x8d, 1, REG, RM_REG, 0, 0), X("8F /2", 0, 0x8f, 1, 2, RM_REG, 0, 0), X("mov Ev,s6", 0, 0x8c, 1, 6, RM_REG, 0, 0),
    X("mov cs,Ew", 0, 0x8e, 1, 1, RM_REG, 0, 0), X("rsm", 0x0f, 0xaa, 1, 0, RM_NONE, 0, 0), X("D9 D1", 0, 0xd9, 1, 0, RM_FIXED, 0, 0xd1), X("BA /2", 0x0f, 0xba, 1, 2, RM_ANY, IMM_8, 0),
    X("cmpxchg8b r", 0x0f, 0xc7, 1, 0, RM_FIXED, 0, 0xc8), X("jmp far r", 0, 0xff, 1, 5, RM_REG, 0, 0), X("call far r", 0, 0xff, 1, 3, RM_REG, 0, 0),
};

const unsigned insn_form_count = sizeof insn_forms / sizeof *insn_forms;
