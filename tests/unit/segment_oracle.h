/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What test_protection_native and its i386 helper (segment_oracle.c) agree on:
 * an LDT, cases to run with it, and what the host's CPU made of each.
 */
#ifndef TESTS_UNIT_SEGMENT_ORACLE_H
#define TESTS_UNIT_SEGMENT_ORACLE_H

#include <stdint.h>

enum { ORACLE_CODE = 0x20000000, ORACLE_CODE_SIZE = 0x20000, /* filled with INT3 */
       ORACLE_DATA = 0x20040000, ORACLE_DATA_SIZE = 0x20000, ORACLE_LDT = 24, ORACLE_POKES = 3 };

/* The instructions under test, X(name). Stubs of the helper, in this order. */
#define ORACLE_KINDS(X)                                                                                        \
    X(LOAD_DS) X(LOAD_ES) X(LOAD_FS) X(LOAD_SS) X(JMP32) X(JMP16) X(CALL32) X(CALL16) X(RET32) X(RET16)        \
    X(RET32N) X(RET16N) X(IRET32) X(IRET16) X(LAR) X(LSL) X(VERR) X(VERW) X(READ1) X(READ2) X(READ4)           \
    X(WRITE1) X(WRITE2) X(WRITE4) X(STACK_READ4) X(STACK_WRITE2) X(PUSH32) X(PUSH16) X(POP32) X(POP16)
#define ORACLE_ENUM(name) ORACLE_##name,
enum oracle_kind { ORACLE_KINDS(ORACLE_ENUM) ORACLE_KIND_COUNT };

/* As struct user_desc of the kernel's modify_ldt. */
struct oracle_entry {
    uint32_t base, limit;
    uint8_t wide, contents, read_only, in_pages, absent, available;
    uint8_t pad[2];
};

struct oracle_case {
    uint32_t kind;
    uint32_t fs, ss, esp;        /* loaded first; must be loadable */
    uint32_t selector, offset;   /* operand: far pointer, or selector alone */
    uint32_t eax, ecx;           /* ecx: offset of READ, WRITE in FS or SS */
    struct { uint32_t address, value; } pokes[ORACLE_POKES]; /* into the data area, before; address 0: none */
};

struct oracle_result {
    uint32_t trap, error; /* trap 3: it went through, to an INT3 */
    uint32_t eip, esp, eflags, eax;
    uint16_t cs, ss, ds, es, fs, pad;
    uint32_t stub;      /* linear address of the instruction */
    uint32_t data_hash; /* of the data area afterwards */
};

/* The file the helper maps (fd 3): a batch has its own LDT. */
struct oracle_batch {
    struct oracle_entry ldt[ORACLE_LDT];
    struct oracle_case cases[100];
    struct oracle_result results[100];
};

static inline uint32_t oracle_hash(const void *data)
{
    const uint32_t *words = data;
    uint32_t hash = 2166136261u;
    for (unsigned i = 0; i < ORACLE_DATA_SIZE / 4; i++)
        hash = (hash ^ words[i]) * 16777619u;
    return hash;
}

static inline void oracle_fill(uint8_t *data)
{
    uint32_t x = 12345;
    for (unsigned i = 0; i < ORACLE_DATA_SIZE; i++) {
        x = x * 1664525u + 1013904223u;
        data[i] = x >> 24;
    }
}

#endif
