/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Decoding by Zydis, which is visible in zydis_insn.c only: what an instruction
 * is on the advertised CPU. It takes some 300 ns an instruction; insn.c asks once
 * for each form, and for what it leaves to it. Also the oracle of insn.c's tests.
 */
#ifndef X86VM_DECODE_ZYDIS_INSN_H
#define X86VM_DECODE_ZYDIS_INSN_H

#include "x86vm/decode/insn.h"

/* How instructions of the same prefix, opcode and ModRM.reg differ from each other. */
struct insn_rules {
    uint8_t imm_size;  /* bytes; 0: none */
    bool imm_signed;   /* extended with its sign */
    bool relative;     /* the immediate leads to `target` */
    bool second_imm;   /* there is another */
    bool absolute;     /* an address stands in its place (MOV moffs) */
    bool shift_by_imm; /* which leaves the flags alone when it is zero */
    bool rm_is_byte;   /* ModRM.rm names an 8-bit register */
    bool rm_written;   /* ModRM.rm names a general register that is written, */
    uint8_t written;   /* regs_written of the others */
};

void zydis_insn_init(uint32_t features);
/* As insn_decode(); `rules`, unless NULL, of what is not INSN_UNDEFINED. */
enum insn_status zydis_insn_decode(struct insn *insn, const uint8_t *bytes, size_t size, uint32_t eip, enum insn_mode mode,
                                   struct insn_rules *rules);

#endif
