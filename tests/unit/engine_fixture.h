/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A whole engine for tests that give it a few bytes of code: flat protected mode at
 * ring 0.
 */
#ifndef TESTS_UNIT_ENGINE_FIXTURE_H
#define TESTS_UNIT_ENGINE_FIXTURE_H

#include <stdint.h>

#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"
#include "x86vm/x86vm.h"

/* Guest-physical addresses. */
enum { RAM = 2 << 20, IDT = 0x1000, GDT = 0x2000, HANDLERS = 0x3000, DIRECTORY = 0x4000, TABLE = 0x5000, CODE = 0x10000,
       DATA = 0x20000, STACK = 0x30000 };
enum { PTE_P = 1, PTE_W = 2, PTE_G = 0x100 };

/* Between start and end. */
extern struct x86vm *vm;
extern struct cpu *cpu;
extern struct phys *phys;

/* EIP is CODE, ESP is STACK; each exception and interrupt ends in a HLT of its own. cache_size: bytes of the code
 * cache, 0: the engine's own choice. */
void engine_start(uint32_t cache_size);
/* The same, with paging: RAM is mapped where it is, by pages that are global. */
void engine_start_paged(uint32_t cache_size);
void engine_end(void);

void poke(uint32_t at, const void *bytes, uint32_t size);
void poke32(uint32_t at, uint32_t value);
/* What a page of engine_start_paged() is mapped to, from now on. */
void engine_map(uint32_t linear, uint32_t entry);

/* The exception whose handler the CPU halted in; -1: not in a handler. */
int engine_halted_in(void);

#endif
