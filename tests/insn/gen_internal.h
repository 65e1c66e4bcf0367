/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of the generator share: gen.c makes single instructions,
 * gen_operand.c their memory operands, gen_setup.c what has to come before them,
 * gen_flow.c transfers of control, gen_state.c what a case begins with.
 */
#ifndef TESTS_INSN_GEN_INTERNAL_H
#define TESTS_INSN_GEN_INTERNAL_H

#include "tests/insn/gen.h"

#include <Zydis/Zydis.h>

enum { EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI };
#define ARITHMETIC 0x8d5u
#define FLAG_DF 0x400u
#define FLAG_AC 0x40000u

/* Offsets from the data window's start (insn.h). */
enum { AT_STACK = INSN_STACK - INSN_DATA, AT_STACK_END = INSN_STACK_END - INSN_DATA };

struct gen {
    struct gen_rng rng;
    struct gen_sequence *out;
    const struct gen_options *options;
    ZydisDecoder decoder;
    uint32_t data;         /* offset of the data window in DS, ES and SS */
    bool known[8];
    uint32_t value[8];     /* of ESP: roughly, while esp_in_stack */
    uint32_t touched;      /* registers written, for loops */
    bool esp_in_stack;
    bool in_subroutine;    /* [ESP] holds the return address */
    bool conditional;      /* the code being made may be jumped over */
    bool full;
    uint32_t undefined;
};

static inline uint32_t below(struct gen *g, uint32_t limit) { return (uint32_t)(gen_random(&g->rng) % limit); }
static inline bool percent(struct gen *g, unsigned n) { return below(g, 100) < n; }

/* EIP of what comes next. */
static inline uint32_t here(const struct gen *g) { return g->out->base + g->out->length; }

/* A number; an offset in the data window, mostly good; one where nothing goes wrong. */
uint32_t interesting(struct gen *g);
uint32_t pick_target(struct gen *g, bool align);
uint32_t safe_target(struct gen *g);

/* Appends an instruction, given as 32-bit code; false: there is no room. */
bool put(struct gen *g, const uint8_t *bytes, unsigned length, uint16_t form, uint8_t kind);
void set_register(struct gen *g, unsigned reg, uint32_t value);
void set_memory(struct gen *g, uint32_t address, uint32_t value);
void set_word(struct gen *g, uint32_t address, uint16_t value);
void ensure_stack(struct gen *g);

struct operand {
    uint8_t prefix[3];
    unsigned prefixes;
    uint8_t bytes[6]; /* ModRM without the reg field, SIB, displacement */
    unsigned length;
};

/* Any, of known registers mostly, with its prefixes; one of an address alone. */
void pick_operand(struct gen *g, struct operand *op, bool align);
void absolute_operand(struct gen *g, struct operand *op, uint32_t offset);

/* Runs what has to come before a form of that kind (enum form_setup); true when its memory operand is to be `*target`. */
bool run_setup(struct gen *g, unsigned setup, bool is16, uint32_t *target);
/* What FLDENV, FRSTOR or FXRSTOR is going to load: saves it, and goes on with something else. */
void save_fpu(struct gen *g, const struct insn_form *load, uint32_t target, bool is16);
/* FNSTENV, FNSAVE and FXSAVE store the host's instruction and data pointers: not compared. */
void blank_fpu_pointers(struct gen *g, const struct insn_form *form, uint32_t target, bool is16);
/* A place on the stack; the selector of the data segments. */
uint32_t stack_pointer(struct gen *g);
uint32_t data_selector(const struct gen *g);

/* An instruction of the table; one that may be in a loop or a subroutine. */
void emit_any(struct gen *g, bool in_body);
/* That, or something with a jump in it. */
void emit_item(struct gen *g);

void random_state(struct gen *g);

#endif
