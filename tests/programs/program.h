/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Random programs: functions that call each other through every kind of CALL,
 * jump and RET, loop, change their own code and compute, and that always end, with INT3.
 * One means the same on any CPU: no instruction reads a flag that the manual
 * leaves undefined, and nothing reads below ESP.
 *
 * A program fills the code window of tests/insn/insn.h and runs at any of its two
 * addresses, going from one to the other; its data lies in the data window.
 */
#ifndef TESTS_PROGRAMS_PROGRAM_H
#define TESTS_PROGRAMS_PROGRAM_H

#include "tests/insn/insn.h"

#include <stdbool.h>
#include <stdint.h>

/* Pages of the data window, beside the stack's two. */
enum {
    PROGRAM_DEVICE_PAGE = 4, /* plain memory natively; may be a device that behaves so */
    PROGRAM_CELLS_PAGE = 15, /* what keeps a program going, and a second stack */
};
#define PROGRAM_FUEL (INSN_DATA + PROGRAM_CELLS_PAGE * INSN_PAGE)

struct program {
    uint8_t code[INSN_CODE_SIZE];
    struct insn_state input;
    bool shows_flags; /* stores images of EFLAGS, whose TF is the debugger's affair */
    unsigned functions;
};

void program_make(uint64_t seed, uint64_t number, struct program *out);

#endif
