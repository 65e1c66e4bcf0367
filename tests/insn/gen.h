/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Random instruction sequences for the oracle, and what is known of each of
 * their instructions.
 */
#ifndef TESTS_INSN_GEN_H
#define TESTS_INSN_GEN_H

#include "tests/insn/forms.h"
#include "tests/insn/insn.h"

#include <stdbool.h>
#include <stdint.h>

#define GEN_PARTS_MAX 64
#define GEN_CODE_MAX (INSN_SLOT - 64)
#define GEN_GLUE 0xffff /* form index of set-up and control-flow instructions */

enum gen_mode { GEN_PROTECTED, GEN_V8086, GEN_REAL };

struct gen_part {
    uint16_t offset, form;
    uint8_t length;
    uint8_t kind;              /* coverage: bit 0 has 66h, bit 1 memory operand */
    uint32_t undefined_before; /* arithmetic flags that the manual leaves undefined here */
    uint32_t lost;             /* arithmetic flags that are anything once it has faulted */
};

struct gen_sequence {
    uint32_t base; /* EIP of the first byte; in a small segment an offset from INSN_CODE */
    uint8_t code[GEN_CODE_MAX];
    uint32_t length;
    unsigned count;
    struct gen_part part[GEN_PARTS_MAX]; /* the last one is the final INT3 */
    struct insn_state input;
    bool code16, small; /* of the options */
    enum gen_mode mode;
};

struct gen_options {
    bool inexact;      /* also forms whose result is not the same on all CPUs */
    bool integer_only; /* no FPU, no segments, no privilege */
    bool code16;       /* in a segment of 16-bit code: the same instructions with the prefixes that they need there */
    bool small;        /* that, and every segment, the stack's too, is one of 64 KiB and 16 bits */
    enum gen_mode mode; /* of the backend's CPU: only what means the same there as in protected mode */
    uint32_t features; /* enum form_feature: what CPU and backend have */
};

struct gen_rng { uint64_t state; };
uint64_t gen_random(struct gen_rng *rng);

/* The batch's memory; and case `number` of a seed, to lie in slot `slot`. */
void gen_memory(uint64_t seed, uint64_t batch, struct insn_shared *shared);
void gen_case(uint64_t seed, uint64_t number, unsigned slot, const struct gen_options *options,
              struct gen_sequence *out);

/* Where in the code window a case lies. */
static inline uint32_t gen_place(const struct gen_sequence *sequence)
{
    return sequence->base - (sequence->small ? 0 : INSN_CODE);
}

/* What `bytes` of 32-bit code are in 16-bit code (code16.c): the length, 0: there is no such thing. */
unsigned gen_code16(const uint8_t *bytes, unsigned length, uint8_t out[15]);

/* Undefined-flag bookkeeping (flags.c), for one decoded instruction. */
struct gen_flags { uint32_t tested, lost, undefined_after; };
struct ZydisDecodedInstruction_;
struct gen_flags gen_flags_of(const struct ZydisDecodedInstruction_ *insn, const uint8_t *bytes,
                              uint32_t undefined_before, int known_cl);

/* Arithmetic flags not to be compared when the case ended at part `index` (of
 * `count`: nowhere in the sequence) by exception `vector`. */
uint32_t gen_ignored_flags(const struct gen_sequence *sequence, unsigned index, uint32_t vector);
/* Index of the part at `eip`; `count` when it is no part's start. */
unsigned gen_find_part(const struct gen_sequence *sequence, uint32_t eip);

#endif
