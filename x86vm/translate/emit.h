/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The emitter: writes x86-64 instructions as bytes. It knows the host's
 * encoding and nothing of guests, blocks or memory views. Every function
 * appends at e->p; running out of room sets e->overflow instead of writing, so
 * callers check once at the end.
 */
#ifndef X86VM_TRANSLATE_EMIT_H
#define X86VM_TRANSLATE_EMIT_H

#include <stdbool.h>
#include <stdint.h>

enum host_reg { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, NO_REG = -1 };

/* Condition codes as in Jcc. */
enum host_cc { CC_O, CC_NO, CC_B, CC_NB, CC_Z, CC_NZ, CC_BE, CC_NBE, CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_NL, CC_LE, CC_NLE };

/* Four bytes that would be others if the same were emitted for code at another
 * EIP, or in another place: what a copy must change (moves.h). */
enum emit_mark_kind {
    MARK_REL,       /* where a jump or CALL leads to; the emitter marks these itself */
    MARK_EIP,       /* a guest EIP, plus a constant */
    MARK_MINUS_EIP, /* less one */
    MARK_PAGE,      /* its page's number times eight */
    MARK_SITE, MARK_CALL, MARK_LINK, /* numbers in the translator's tables */
    MARK_KINDS
};
enum { EMIT_MARKS_MAX = 1024 };
struct emit_marks {
    unsigned count;
    bool lost; /* something could not be marked */
    struct emit_mark { uint8_t *place; enum emit_mark_kind kind; } marks[EMIT_MARKS_MAX];
};

/* A region being written: the bytes go to p (the writable view of the code
 * cache) and will run at p + to_exec. */
struct emit {
    uint8_t *p;
    uint8_t *end;
    intptr_t to_exec;
    bool overflow;
    struct emit_marks *marks; /* NULL: nobody wants to know */
};

/* [base + (index << scale) + disp]; base may be NO_REG, index may be NO_REG.
 * `bare`: behind the base of GS, with the sum wrapped at 4 GiB. */
struct host_mem {
    int8_t base, index;
    uint8_t scale;
    int32_t disp;
    bool bare;
};

static inline struct host_mem mem_at(enum host_reg base, int32_t disp)
{
    return (struct host_mem){ .base = (int8_t)base, .index = NO_REG, .disp = disp };
}
static inline struct host_mem mem_sum(enum host_reg base, enum host_reg index)
{
    return (struct host_mem){ .base = (int8_t)base, .index = (int8_t)index };
}
static inline struct host_mem mem_full(int base, int index, uint8_t scale, int32_t disp)
{
    return (struct host_mem){ .base = (int8_t)base, .index = (int8_t)index, .scale = scale, .disp = disp };
}

/* Where the next byte will run. */
static inline uint64_t emit_pc(const struct emit *e) { return (uint64_t)(uintptr_t)e->p + (uint64_t)e->to_exec; }

void emit_byte(struct emit *e, uint8_t byte);
void emit_bytes(struct emit *e, const void *bytes, unsigned count);
void emit_u32(struct emit *e, uint32_t value);
void emit_u64(struct emit *e, uint64_t value);

/* The general form: legacy prefixes, REX, opcode, ModRM for register `reg`
 * (or opcode extension) with a register or memory operand. */
enum { EMIT_W = 1, EMIT_66 = 2, EMIT_F2 = 4, EMIT_F3 = 8, EMIT_REX = 16 /* needed for SPL..DIL */ };
void emit_op_mem(struct emit *e, unsigned flags, const uint8_t *opcode, unsigned opcode_length, unsigned reg, struct host_mem mem);
void emit_op_reg(struct emit *e, unsigned flags, const uint8_t *opcode, unsigned opcode_length, unsigned reg, unsigned rm);

/* Marks the last four bytes emitted (or those before the last `behind` bytes), which are `value`. */
void emit_mark_before(struct emit *e, enum emit_mark_kind kind, uint32_t value, unsigned behind);
static inline void emit_mark(struct emit *e, enum emit_mark_kind kind, uint32_t value) { emit_mark_before(e, kind, value, 0); }

/* Named instructions; "32" and "64" are operand sizes. */
void emit_mov_imm32(struct emit *e, enum host_reg to, uint32_t value); /* zero-extends; keeps flags */
void emit_mov_imm64(struct emit *e, enum host_reg to, uint64_t value);
void emit_mov32(struct emit *e, enum host_reg to, enum host_reg from);
void emit_mov64(struct emit *e, enum host_reg to, enum host_reg from);
void emit_load32(struct emit *e, enum host_reg to, struct host_mem from);
void emit_load64(struct emit *e, enum host_reg to, struct host_mem from);
void emit_store32(struct emit *e, struct host_mem to, enum host_reg from);
void emit_store64(struct emit *e, struct host_mem to, enum host_reg from);
void emit_store16(struct emit *e, struct host_mem to, enum host_reg from);
void emit_store32_imm(struct emit *e, struct host_mem to, uint32_t value);
void emit_lea32(struct emit *e, enum host_reg to, struct host_mem from);
void emit_lea64(struct emit *e, enum host_reg to, struct host_mem from);
void emit_movzx16(struct emit *e, enum host_reg to, enum host_reg from);
void emit_movzx8(struct emit *e, enum host_reg to, enum host_reg from); /* low byte of `from` */
void emit_load8(struct emit *e, enum host_reg to, struct host_mem from); /* zero-extends */
void emit_store8(struct emit *e, struct host_mem to, enum host_reg from);
void emit_cmp8(struct emit *e, struct host_mem mem, enum host_reg reg);
void emit_shrx32(struct emit *e, enum host_reg to, enum host_reg from, enum host_reg count);
void emit_shlx32(struct emit *e, enum host_reg to, enum host_reg from, enum host_reg count);
void emit_sarx32(struct emit *e, enum host_reg to, enum host_reg from, enum host_reg count);
void emit_pext32(struct emit *e, enum host_reg to, enum host_reg from, enum host_reg mask);
void emit_pdep32(struct emit *e, enum host_reg to, enum host_reg from, enum host_reg mask);
void emit_not32(struct emit *e, enum host_reg reg);
void emit_bswap32(struct emit *e, enum host_reg reg);
void emit_rorx64(struct emit *e, enum host_reg to, enum host_reg from, uint8_t count);
void emit_shr32_imm(struct emit *e, enum host_reg reg, uint8_t count);
void emit_test32_imm(struct emit *e, enum host_reg reg, uint32_t mask);
void emit_test64(struct emit *e, enum host_reg a, enum host_reg b);
void emit_xor32(struct emit *e, enum host_reg to, enum host_reg from);
void emit_cmp32_mem_imm8(struct emit *e, struct host_mem mem, int8_t value);
void emit_xchg64(struct emit *e, enum host_reg a, enum host_reg b);
void emit_xchg64_mem(struct emit *e, struct host_mem mem, enum host_reg reg); /* a full barrier */
void emit_push(struct emit *e, enum host_reg reg);
void emit_pop(struct emit *e, enum host_reg reg);
void emit_push_mem(struct emit *e, struct host_mem mem);
void emit_pop_mem(struct emit *e, struct host_mem mem);
void emit_pushfq(struct emit *e);
void emit_popfq(struct emit *e);
void emit_movups_load(struct emit *e, unsigned xmm, struct host_mem from);
void emit_movups_store(struct emit *e, struct host_mem to, unsigned xmm);
void emit_call_abs(struct emit *e, enum host_reg scratch, const void *target);
void emit_call_mem(struct emit *e, struct host_mem mem);
void emit_jmp_mem(struct emit *e, struct host_mem mem);
void emit_wrgsbase(struct emit *e, enum host_reg from);
void emit_ret(struct emit *e);

/* The next instruction is the first of `size` bytes, a power of two; nothing runs through what is left out. */
void emit_align(struct emit *e, unsigned size);

/* Branches. Those with a target take an address in the executable view; the
 * others return the place of their rel32 (or rel8) to be set by emit_patch*. */
void emit_jmp(struct emit *e, uint64_t target);
void emit_call_near(struct emit *e, uint64_t target);
void emit_jcc(struct emit *e, enum host_cc cc, uint64_t target);
uint8_t *emit_call_later(struct emit *e);
uint8_t *emit_jmp_later(struct emit *e);
uint8_t *emit_jcc_later(struct emit *e, enum host_cc cc);
uint8_t *emit_jrcxz_later(struct emit *e);  /* rel8 */
uint8_t *emit_jecxz_later(struct emit *e);  /* rel8 */
uint8_t *emit_jmp8_later(struct emit *e);   /* rel8 */
void emit_patch32(uint8_t *place, intptr_t to_exec, uint64_t target);
/* What it leads to. */
uint64_t emit_target32(const uint8_t *place, intptr_t to_exec);
void emit_patch8(struct emit *e, uint8_t *place); /* to here; overflow when out of reach */

#endif
