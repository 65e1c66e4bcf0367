/* SPDX-License-Identifier: BSD-2-Clause
 *
 * For the tests of page walks and views: a CPU with RAM, a page directory and a table,
 * in ring 0 with paging and WP.
 */
#ifndef TESTS_UNIT_VIEW_FIXTURE_H
#define TESTS_UNIT_VIEW_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"

#define RAM (32u << 20)
#define DIRECTORY 0x1000u
#define TABLE 0x2000u /* linear 0x400000..0x7fffff goes through it */
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };

extern struct cpu *cpu;

void view_fixture_start(void);
void view_fixture_stop(void);

void poke32(uint32_t address, uint32_t value); /* of RAM */
uint32_t peek32(uint32_t address);
void set_pte(uint32_t linear, uint32_t pte);
uint32_t pte(uint32_t linear);

/* The page's entry in a table of one of the two views, VIEW_WRITE and so on; 0: none. */
uint64_t entry(bool user, uint32_t table, uint32_t linear);
uint64_t fill(uint32_t linear, enum view_access access); /* at the privilege that the CPU has */
/* The entry of a page that leads to `physical`. */
uint64_t expected(uint32_t physical, uint32_t linear);

#endif
