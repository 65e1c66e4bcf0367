/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Functions of the engine led through a test program's own (ld --wrap), and the
 * mutation that is chosen among those of such a program (tests/mutants.sh).
 */
#ifndef TESTS_MUTATE_H
#define TESTS_MUTATE_H

#include <stdlib.h>

/* Opens the definition of what is called instead of NAME; __real_NAME is NAME itself. */
#define WRAP(result, name, parameters) \
    result __real_##name parameters; \
    result __wrap_##name parameters; \
    result __wrap_##name parameters

/* The number in the environment's `variable`; 0, no mutation, where there is none. Ends the program with 77 where there
 * are not that many: mutants.sh stops there. */
static inline int mutation_chosen(const char *variable, int count)
{
    const char *text = getenv(variable);
    int number = text ? atoi(text) : 0;

    if (number >= count)
        exit(77);
    return number;
}

#endif
