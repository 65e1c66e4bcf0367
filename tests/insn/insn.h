/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the instruction oracle's two processes share: where the windows of a
 * test case lie in linear memory, and the batch of cases in a memfd. Included
 * by the 64-bit test and by the i386 helper: fixed-width members only.
 *
 * A case starts with a state, runs from its EIP in the code window, and ends in
 * an exception: INT3 when all went well. Its data lies in the data window:
 *
 *   DATA + 0x0000  writable     the contents of the writable pages is the
 *        + 0x1000  writable     batch's `pattern` before each case
 *        + 0x2000  read-only
 *        + 0x3000  writable
 *        + 0x4000  writable
 *        + 0x5000  not mapped
 *        + 0x8000  writable     stack
 *        + 0x9000  writable     stack
 *        + 0xa000  not mapped
 *        + 0xf000  writable     where 16-bit offsets end
 *
 * GS has base DATA, so that 16-bit addresses reach it; FS a base and a limit. All
 * else is flat. Or else all segments are of 64 KiB and 16 bits, as real mode
 * has them: CS at CODE, FS at SMALL_FS, the others at DATA.
 */
#ifndef TESTS_INSN_INSN_H
#define TESTS_INSN_INSN_H

#include <stdint.h>

#define INSN_PAGE 4096u
#define INSN_CODE 0x10000000u
#define INSN_CODE_ALIAS 0x18000000u    /* the same memory, for the programs of tests/programs alone */
#define INSN_CODE_WRITABLE 0x19000000u
#define INSN_SLOT 0x400u /* bytes of code window a case */
#define INSN_BATCH 64u
#define INSN_CODE_SIZE (INSN_BATCH * INSN_SLOT + INSN_PAGE)
#define INSN_DATA 0x20000000u
#define INSN_READONLY_PAGE 2u
#define INSN_STACK (INSN_DATA + 0x8000u)
#define INSN_STACK_END (INSN_DATA + 0xa000u)
#define INSN_WRITABLE 7u
/* Page numbers within the data window of the writable pages. */
#define INSN_WRITABLE_PAGES { 0, 1, 3, 4, 8, 9, 15 }

#define INSN_FS_BASE (INSN_DATA + 0x804u)
#define INSN_FS_LIMIT 0x16f9u /* last byte; in the second page */

#define INSN_SMALL_FS (INSN_DATA + 0x810u)
#define INSN_SMALL_LIMIT 0xffffu

/* Selectors of a 32-bit process under a 64-bit Linux, used for the guest too. */
#define INSN_SEL_CODE 0x23
#define INSN_SEL_CODE16 0x07 /* in the LDT: flat, too, but a segment of 16-bit code */
#define INSN_SEL_SMALL_CODE 0x0f
#define INSN_SEL_SMALL_DATA 0x17
#define INSN_SEL_SMALL_FS 0x1f
#define INSN_SEL_DATA 0x2b
#define INSN_SEL_GS 0x63
#define INSN_SEL_FS 0x6b

struct insn_state {
    uint32_t regs[8]; /* EAX ECX EDX EBX ESP EBP ESI EDI */
    uint32_t eip, eflags;
    uint32_t cs;      /* of an input */
    uint8_t fx[512];  /* FXSAVE image */
};

enum insn_status { INSN_NOT_RUN, INSN_DONE, INSN_HUNG, INSN_SKIPPED };

struct insn_output {
    uint32_t status;
    uint32_t vector, error, cr2; /* the exception that ended the case */
    struct insn_state state;
    uint8_t memory[INSN_WRITABLE][INSN_PAGE];
    uint32_t frame_at, frame_size; /* of the memory, from DATA on: what the exception itself has overwritten */
};

#define INSN_PAGE_ALIGNED __attribute__((aligned(4096)))

struct insn_shared {
    uint32_t first, count, current; /* cases to run; the one running */
    uint32_t aliases;               /* the helper maps the code window's, too */
    struct insn_output output[INSN_BATCH];
    /* From here on the helper cannot write: a case may stray. */
    INSN_PAGE_ALIGNED uint8_t readonly[INSN_PAGE];
    uint8_t pattern[INSN_WRITABLE][INSN_PAGE];
    uint8_t code[INSN_CODE_SIZE];
    struct insn_state input[INSN_BATCH];
} INSN_PAGE_ALIGNED;

/* Where the helper maps all of it (a wild access there is no guest's fault). */
#define INSN_SHARED_AT 0x30000000u

#endif
