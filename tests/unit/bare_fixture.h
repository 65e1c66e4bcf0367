/* SPDX-License-Identifier: BSD-2-Clause
 *
 * For the tests of bare windows: a CPU with page tables of its own in several
 * address spaces, and `all_is_right()`, which compares all that the host has mapped
 * with all that is allowed.
 */
#ifndef TESTS_UNIT_BARE_FIXTURE_H
#define TESTS_UNIT_BARE_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/bare.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"
#include "x86vm/memory/view_internal.h"
#include "x86vm/memory/watch.h"

#define RAM (32u << 20)
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
enum { SPACES = 7, PAGES = 48, FIRST = 0x400000 };

extern struct cpu *cpu;
extern uint32_t refused_by; /* error code of the page fault, where touch() was refused */

/* False, with a line that says so, on a host that has no bare windows. */
bool bare_fixture_possible(void);
void bare_setup(void); /* address space 0, user mode, bare windows at once */
void bare_teardown(void);

void poke32(uint32_t address, uint32_t value);
uint32_t peek32(uint32_t address);
/* Address space n: its directory, and one table for linear 0x400000..0x7fffff. */
uint32_t directory(unsigned n);
uint32_t pte_at(unsigned n, uint32_t linear);
void set_pte(uint32_t linear, uint32_t pte); /* of address space 0 */
void become(bool user);
void load_cr3(unsigned n);
/* As a fault there does. */
enum view_bare_answer touch(uint32_t linear, bool write);

/* Bit 0: the present window shows the page, bit 1: for writing. */
int shows(uint32_t linear);
/* What the host lets be done there, as shows(): asked by system calls, which fail instead of faulting. */
int host_rights(uint8_t *at);
/* The views' windows show what their entries allow and no more, and the host agrees. */
bool all_is_right(void);
#define CHECK_SHOWS(linear, rights) do { CU_ASSERT_EQUAL(shows(linear), rights); CU_ASSERT_TRUE(all_is_right()); } while (0)
/* How many mappings the host has in a window. */
unsigned host_mappings(const struct bare_window *window);
/* As many mappings as are counted; inaccessible ones in a window that is not open. */
bool counted_right(const struct bare_window *window);

#endif
