/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A CPU with descriptor tables in guest RAM, for the tests of
 * x86vm/protection. Fixed layout, every kind of descriptor once; a test sets
 * the mode it wants, calls, and looks at registers and memory.
 */
#ifndef TESTS_UNIT_PROTECTION_MACHINE_H
#define TESTS_UNIT_PROTECTION_MACHINE_H

#include "tests/unit/unit.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/view.h"
#include "x86vm/protection/protection.h"

#include <setjmp.h>

enum {
    RAM_SIZE = 4 << 20, GDT = 0x1000, IDT = 0x2000, TSS = 0x3000, TSS_NEXT = 0x3400, TSS_SHORT = 0x3800, LDT = 0x4000,
    STACK0 = 0x9000, STACK1 = 0xa000, STACK3 = 0xb000, BASE16 = 0x20000, STACK_V86 = 0x8000,
    DIRECTORY = 0x10000, TABLE = 0x11000,
    HANDLER = 0x123456, /* where every gate of the IDT leads */
};

/* Selectors of the GDT (RPL 0) and of the LDT. */
enum {
    CODE0 = 0x08, DATA0 = 0x10, CODE3 = 0x18, DATA3 = 0x20, TSS_SEL = 0x28, LDT_SEL = 0x30, CODE16 = 0x38, DATA16 = 0x40,
    CONFORMING0 = 0x48, ABSENT_CODE0 = 0x50, ABSENT_DATA3 = 0x58, ABSENT_DATA0 = 0x60, EXEC_ONLY3 = 0x68, READONLY3 = 0x70,
    EXPAND_DOWN = 0x78, GATE32 = 0x80, GATE16 = 0x88, TASK_GATE_SEL = 0x90, TSS2_SEL = 0x98, TSS16_SEL = 0xa0,
    DATA1 = 0xa8, CODE1 = 0xb0, SHORT_CODE0 = 0xb8, ABSENT_GATE = 0xc0, GATE_TO_DATA = 0xc8, ABSENT_LDT = 0xd0,
    ABSENT_TSS = 0xd8, CONFORMING3 = 0xe0, DATA16_3 = 0xe8, GATE_TO_CONFORMING = 0xf0, SMALL_DATA3 = 0xf8,
    GDT_END = 0x100, LDT_DATA3 = 0x0f, LDT_CODE3 = 0x17,
};

extern struct cpu *cpu;
extern jmp_buf machine_env;
extern uint32_t machine_ram_size; /* of the next machine_setup() */

void machine_setup(void);    /* protected mode, ring 0, no paging */
void machine_teardown(void);
void machine_ring(unsigned cpl);
void machine_real(void);
void machine_v8086(unsigned iopl);
void machine_page(void);     /* identity paging of the first 4 MiB, user and writable */
void machine_set_pte(uint32_t linear, uint32_t bits); /* low 12 bits of its entry */

void machine_descriptor(uint32_t table, uint16_t selector, uint32_t base, uint32_t limit, unsigned access);
void machine_gate(uint32_t table, unsigned index, uint16_t selector, uint32_t offset, unsigned type_dpl_p, unsigned count);

uint32_t peek(uint32_t address);
uint16_t peek16(uint32_t address);
uint8_t peek8(uint32_t address);
void poke(uint32_t address, uint32_t value);
void poke16(uint32_t address, uint16_t value);
void poke8(uint32_t address, uint8_t value);

void machine_begin(void);
int machine_end(int vector);
bool machine_unchanged(void); /* registers as machine_begin saw them */

/* The vector that `call` raises, or -1. */
#define TRY(call) (machine_begin(), setjmp(machine_env) == 0 ? ((void)(call), machine_end(-1)) : machine_end(cpu->fault_vector))
#define CHECK_OK(call) CU_ASSERT_EQUAL(TRY(call), -1)
#define CHECK_FAULT(call, vector, code)                        \
    do {                                                       \
        CU_ASSERT_EQUAL(TRY(call), (int)(vector));             \
        CU_ASSERT_EQUAL(cpu->fault_error, (uint32_t)(code));   \
        CU_ASSERT(machine_unchanged());                        \
    } while (0)
#define CHECK_UD(call)                              \
    do {                                            \
        CU_ASSERT_EQUAL(TRY(call), (int)VEC_UD);    \
        CU_ASSERT(!cpu->fault_has_error);           \
        CU_ASSERT(machine_unchanged());             \
    } while (0)
/* Compares `count` dwords from `address` with the values that follow. */
#define CHECK_DWORDS(address, ...)                                                             \
    do {                                                                                       \
        const uint32_t expected_[] = { __VA_ARGS__ };                                          \
        for (unsigned i_ = 0; i_ < sizeof expected_ / 4; i_++)                                 \
            CU_ASSERT_EQUAL(peek((address) + 4 * i_), expected_[i_]);                          \
    } while (0)
#define CHECK_WORDS(address, ...)                                                              \
    do {                                                                                       \
        const uint16_t expected_[] = { __VA_ARGS__ };                                          \
        for (unsigned i_ = 0; i_ < sizeof expected_ / 2; i_++)                                 \
            CU_ASSERT_EQUAL(peek16((address) + 2 * i_), expected_[i_]);                        \
    } while (0)

#endif
