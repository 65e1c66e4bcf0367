/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of the generator share: program.c lays functions out,
 * program_flow.c makes what jumps, program_ops.c what computes, program_operand.c
 * what it computes on.
 */
#ifndef TESTS_PROGRAMS_PROGRAM_INTERNAL_H
#define TESTS_PROGRAMS_PROGRAM_INTERNAL_H

#include "tests/fuzz/fuzz_random.h"
#include "tests/programs/program.h"

#include <string.h>

enum { EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI };
enum { F_C = 1, F_P = 4, F_A = 0x10, F_Z = 0x40, F_S = 0x80, F_O = 0x800, F_ALL = 0x8d5 };
/* The last functions are leaves, and the last of those leave flags alone. */
enum { FUNCTIONS_MAX = 48, LEAVES = 8, QUIET = 3, FIXUPS_MAX = 4096, PATCHES_MAX = 1024, DEPTH_MAX = 3 };

/* An address that is known when everything has its place. */
enum fixup_kind { FIX_RELATIVE, FIX_ABSOLUTE, FIX_PATCH, FIX_PATCH_BYTE };
struct fixup { uint32_t at; uint16_t function; uint8_t kind; };

struct maker {
    struct fuzz_random r;
    uint8_t *code;
    uint32_t at;              /* in the window */
    uint32_t defined;         /* flags that every CPU has alike here */
    uint8_t busy;             /* registers that must keep their values */
    unsigned depth;           /* of constructs about this place */
    unsigned pushed;          /* words of this function's on the stack */
    unsigned function, functions;
    bool leaf, quiet, shows_flags, full;
    uint32_t place[FUNCTIONS_MAX];
    struct fixup fixups[FIXUPS_MAX];
    uint32_t patches[PATCHES_MAX]; /* where 32-bit immediates are that may change */
    unsigned fixup_count, patch_count;
};

static inline uint32_t below(struct maker *m, uint32_t n) { return fuzz_below(&m->r, n); }
static inline bool percent(struct maker *m, unsigned n) { return fuzz_below(&m->r, 100) < n; }

/* Appends code; stops silently where the window is full. */
void put(struct maker *m, const void *bytes, unsigned size);
void put8(struct maker *m, uint32_t byte);
void put32(struct maker *m, uint32_t value);
#define PUT(m, ...) put(m, (const uint8_t[]){ __VA_ARGS__ }, sizeof (const uint8_t[]){ __VA_ARGS__ })
void put_fixup(struct maker *m, enum fixup_kind kind, unsigned function);
void note_patch(struct maker *m); /* the 32 bits that were put last may be changed by the program */

/* Of the code being made here, at the address that the program started at. */
static inline uint32_t here(const struct maker *m) { return INSN_CODE + m->at; }
void patch_rel8(struct maker *m, uint32_t from);  /* the byte before `from` leads here, or nowhere if it is too far */
void patch_rel32(struct maker *m, uint32_t from);

void need_flags(struct maker *m, uint32_t flags); /* makes them defined */
unsigned free_register(struct maker *m);          /* that may be written */
unsigned free_byte(struct maker *m);              /* an 8-bit one of which it may */
static inline unsigned any_register(struct maker *m) { return below(m, 8); }

/* The areas of the data window where operands are; the second ends in the device. */
enum { AREA_SIZE = 0x2000, AREA_B = 0x3000 };
enum { LOGIC = F_ALL & ~F_A };             /* what AND, OR, XOR and TEST define */
extern const uint16_t condition_reads[8]; /* flags that a condition reads, by its opcode's bits 1 to 3 */

struct operand {
    uint8_t prefix, bytes[7]; /* ModRM with reg 0, SIB, displacement */
    unsigned length;
};
/* An operand of `size` bytes; makes registers small first, which costs the flags unless they are wanted. */
struct operand memory_operand(struct maker *m, unsigned size, unsigned align, uint32_t wanted);
void put_operand(struct maker *m, const struct operand *o, unsigned reg);
/* The opcode of an instruction with operands of 1, 2 or 4 bytes, by its form for 1, and its prefixes; o: NULL for registers. */
void put_sized(struct maker *m, const struct operand *o, unsigned size, uint8_t opcode);
static inline unsigned pick_size(struct maker *m) { return (unsigned[]){ 1, 2, 4, 4, 4 }[below(m, 5)]; }
void put_immediate(struct maker *m, unsigned size);

void emit_op(struct maker *m);                    /* something that computes */
void emit_items(struct maker *m, unsigned count); /* and what jumps */

#endif
