/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The decoder on what SSE3 to SSE4.2 brought: size, direction and alignment of
 * each memory operand, unit and flags, by the manual's instruction pages (SDM
 * vol. 2) and not by the library that decodes; and that none of it exists on a
 * CPU that lacks its feature.
 */
#include <string.h>

#include "tests/unit/unit.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/decode/insn.h"

enum { NONE = 0, P66 = 0x66, F2 = 0xf2, F3 = 0xf3, M0F = 0, M38 = 0x38, M3A = 0x3a };
enum { READ = 1, WRITE = 2, ALIGNED = 4, NO_MMX = 8 /* without a prefix it is none */, REGISTERS = 16 /* exists without memory */ };
enum { CLEARS = FLAGS_ARITH };
#define X87 INSN_UNIT_X87
#define SSE INSN_UNIT_SSE
#define INT INSN_UNIT_INTEGER

struct row {
    uint32_t feature;
    uint8_t prefix, map, first, last; /* opcodes */
    uint8_t unit, size, is;
    uint32_t flags;
};

/* The MMX forms of SSSE3 are made from its XMM rows. */
static const struct row rows[] = {
    { CPU_SSE3, P66, M0F, 0xd0, 0xd0, SSE, 16, READ | ALIGNED | REGISTERS, 0 }, { CPU_SSE3, F2, M0F, 0xd0, 0xd0, SSE, 16, READ | ALIGNED | REGISTERS, 0 },
    { CPU_SSE3, P66, M0F, 0x7c, 0x7d, SSE, 16, READ | ALIGNED | REGISTERS, 0 }, { CPU_SSE3, F2, M0F, 0x7c, 0x7d, SSE, 16, READ | ALIGNED | REGISTERS, 0 },
    { CPU_SSE3, F2, M0F, 0xf0, 0xf0, SSE, 16, READ, 0 }, /* LDDQU */
    { CPU_SSE3, F2, M0F, 0x12, 0x12, SSE, 8, READ | REGISTERS, 0 }, /* MOVDDUP */
    { CPU_SSE3, F3, M0F, 0x12, 0x12, SSE, 16, READ | ALIGNED | REGISTERS, 0 }, { CPU_SSE3, F3, M0F, 0x16, 0x16, SSE, 16, READ | ALIGNED | REGISTERS, 0 },
    { CPU_SSSE3, P66, M38, 0x00, 0x0b, SSE, 16, READ | ALIGNED | REGISTERS, 0 }, { CPU_SSSE3, P66, M38, 0x1c, 0x1e, SSE, 16, READ | ALIGNED | REGISTERS, 0 },
    { CPU_SSSE3, P66, M3A, 0x0f, 0x0f, SSE, 16, READ | ALIGNED | REGISTERS, 0 },
    { CPU_SSE41, P66, M38, 0x10, 0x10, SSE, 16, READ | ALIGNED | REGISTERS | NO_MMX, 0 },
    { CPU_SSE41, P66, M38, 0x14, 0x15, SSE, 16, READ | ALIGNED | REGISTERS | NO_MMX, 0 },
    { CPU_SSE41, P66, M38, 0x17, 0x17, SSE, 16, READ | ALIGNED | REGISTERS | NO_MMX, CLEARS },
    { CPU_SSE41, P66, M38, 0x20, 0x20, SSE, 8, READ | REGISTERS | NO_MMX, 0 }, { CPU_SSE41, P66, M38, 0x30, 0x30, SSE, 8, READ | REGISTERS | NO_MMX, 0 },
    { CPU_SSE41, P66, M38, 0x21, 0x21, SSE, 4, READ | REGISTERS | NO_MMX, 0 }, { CPU_SSE41, P66, M38, 0x31, 0x31, SSE, 4, READ | REGISTERS | NO_MMX, 0 },
    { CPU_SSE41, P66, M38, 0x22, 0x22, SSE, 2, READ | REGISTERS | NO_MMX, 0 }, { CPU_SSE41, P66, M38, 0x32, 0x32, SSE, 2, READ | REGISTERS | NO_MMX, 0 },
    { CPU_SSE41, P66, M38, 0x23, 0x23, SSE, 8, READ | REGISTERS | NO_MMX, 0 }, { CPU_SSE41, P66, M38, 0x33, 0x33, SSE, 8, READ | REGISTERS | NO_MMX, 0 },
    { CPU_SSE41, P66, M38, 0x24, 0x24, SSE, 4, READ | REGISTERS | NO_MMX, 0 }, { CPU_SSE41, P66, M38, 0x34, 0x34, SSE, 4, READ | REGISTERS | NO_MMX, 0 },
    { CPU_SSE41, P66, M38, 0x25, 0x25, SSE, 8, READ | REGISTERS | NO_MMX, 0 }, { CPU_SSE41, P66, M38, 0x35, 0x35, SSE, 8, READ | REGISTERS | NO_MMX, 0 },
    { CPU_SSE41, P66, M38, 0x28, 0x29, SSE, 16, READ | ALIGNED | REGISTERS | NO_MMX, 0 }, { CPU_SSE41, P66, M38, 0x2a, 0x2a, SSE, 16, READ | ALIGNED | NO_MMX, 0 },
    { CPU_SSE41, P66, M38, 0x2b, 0x2b, SSE, 16, READ | ALIGNED | REGISTERS | NO_MMX, 0 },
    { CPU_SSE41, P66, M38, 0x38, 0x41, SSE, 16, READ | ALIGNED | REGISTERS | NO_MMX, 0 },
    { CPU_SSE41, P66, M3A, 0x08, 0x09, SSE, 16, READ | ALIGNED | REGISTERS | NO_MMX, 0 },
    { CPU_SSE41, P66, M3A, 0x0a, 0x0a, SSE, 4, READ | REGISTERS | NO_MMX, 0 }, { CPU_SSE41, P66, M3A, 0x0b, 0x0b, SSE, 8, READ | REGISTERS | NO_MMX, 0 },
    { CPU_SSE41, P66, M3A, 0x0c, 0x0e, SSE, 16, READ | ALIGNED | REGISTERS | NO_MMX, 0 },
    { CPU_SSE41, P66, M3A, 0x14, 0x14, SSE, 1, WRITE | REGISTERS | NO_MMX, 0 }, { CPU_SSE41, P66, M3A, 0x15, 0x15, SSE, 2, WRITE | REGISTERS | NO_MMX, 0 },
    { CPU_SSE41, P66, M3A, 0x16, 0x17, SSE, 4, WRITE | REGISTERS | NO_MMX, 0 },
    { CPU_SSE41, P66, M3A, 0x20, 0x20, SSE, 1, READ | REGISTERS | NO_MMX, 0 }, { CPU_SSE41, P66, M3A, 0x21, 0x22, SSE, 4, READ | REGISTERS | NO_MMX, 0 },
    { CPU_SSE41, P66, M3A, 0x40, 0x42, SSE, 16, READ | ALIGNED | REGISTERS | NO_MMX, 0 },
    { CPU_SSE42, P66, M38, 0x37, 0x37, SSE, 16, READ | ALIGNED | REGISTERS | NO_MMX, 0 },
    { CPU_SSE42, P66, M3A, 0x60, 0x63, SSE, 16, READ | REGISTERS | NO_MMX, CLEARS },
    { CPU_SSE42, F2, M38, 0xf0, 0xf0, INT, 1, READ | REGISTERS, 0 }, { CPU_SSE42, F2, M38, 0xf1, 0xf1, INT, 4, READ | REGISTERS, 0 },
    { CPU_POPCNT, F3, M0F, 0xb8, 0xb8, INT, 4, READ | REGISTERS, CLEARS },
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static struct insn insn;

/* [ESI], or register 2. */
static uint8_t decode(uint8_t prefix, uint8_t map, uint8_t opcode, bool memory)
{
    uint8_t bytes[INSN_MAX_LENGTH] = { 0 }, length = 0;

    if (prefix)
        bytes[length++] = prefix;
    bytes[length++] = 0x0f;
    if (map)
        bytes[length++] = map;
    bytes[length++] = opcode;
    bytes[length++] = memory ? 0x0e : 0xca;
    length = (uint8_t)(length + (map == M3A));
    CU_ASSERT_EQUAL(insn_decode(&insn, bytes, sizeof bytes, 0x1000, INSN_MODE_32), INSN_OK);
    return length;
}

static bool as_manual_says(const struct row *row, uint8_t prefix, uint8_t opcode, uint8_t unit, uint8_t size, bool aligned)
{
    uint8_t length = decode(prefix, row->map, opcode, true);
    bool good = insn.kind == INSN_PLAIN && insn.length == length && insn.unit == unit && insn.has_mem && insn.mem.size == size
        && insn.mem.read == ((row->is & READ) != 0) && insn.mem.write == ((row->is & WRITE) != 0) && insn.mem.aligned == aligned
        && insn.flags_read == 0 && insn.flags_killed == row->flags && insn.opcode == opcode;

    decode(prefix, row->map, opcode, false);
    return good && insn.kind == (row->is & REGISTERS ? INSN_PLAIN : INSN_UNDEFINED);
}

static bool is_undefined(uint8_t prefix, uint8_t map, uint8_t opcode)
{
    bool memory;

    decode(prefix, map, opcode, true);
    memory = insn.kind == INSN_UNDEFINED;
    decode(prefix, map, opcode, false);
    return memory && insn.kind == INSN_UNDEFINED;
}

static void check_rows(uint32_t features)
{
    insn_init(features);
    for (unsigned i = 0; i < ROWS; i++)
        for (unsigned opcode = rows[i].first; opcode <= rows[i].last; opcode++) {
            const struct row *r = &rows[i];
            bool exists = features & r->feature;
            bool good = exists ? as_manual_says(r, r->prefix, (uint8_t)opcode, r->unit, r->size, r->is & ALIGNED)
                               : is_undefined(r->prefix, r->map, (uint8_t)opcode);
            if (exists && r->feature == CPU_SSSE3)
                good &= as_manual_says(r, NONE, (uint8_t)opcode, INSN_UNIT_MMX, 8, false);
            else if (r->feature == CPU_SSSE3 || r->is & NO_MMX)
                good &= is_undefined(NONE, r->map, (uint8_t)opcode);
            if (!good)
                printf("features %08x: %02x 0f %02x %02x\n", features, r->prefix, r->map, opcode);
            CU_ASSERT_TRUE(good);
        }
}

static void test_all(void) { check_rows(CPU_FEATURES); }
static void test_none(void) { check_rows(0); }

static void test_each(void)
{
    static const uint32_t each[] = { CPU_SSE3, CPU_SSSE3, CPU_SSE41, CPU_SSE42, CPU_POPCNT };

    for (unsigned i = 0; i < sizeof each / sizeof each[0]; i++)
        check_rows(each[i]);
    insn_init(CPU_FEATURES);
}

static void test_fisttp(void)
{
    static const struct { uint8_t opcode, size; } forms[] = { { 0xdb, 4 }, { 0xdd, 8 }, { 0xdf, 2 } };

    for (unsigned i = 0; i < 6; i++) {
        uint8_t bytes[INSN_MAX_LENGTH] = { forms[i % 3].opcode, 0x0e };
        insn_init(i < 3 ? CPU_FEATURES : CPU_FEATURES & ~CPU_SSE3);
        insn_decode(&insn, bytes, sizeof bytes, 0, INSN_MODE_32);
        if (i < 3) {
            CU_ASSERT_TRUE(insn.kind == INSN_PLAIN && insn.unit == X87 && insn.mem.size == forms[i].size && insn.mem.write && !insn.mem.read);
        } else {
            CU_ASSERT_EQUAL(insn.kind, INSN_UNDEFINED);
        }
    }
    insn_init(CPU_FEATURES);
}

/* Integer operands of 16 bits: by prefix in 32-bit code, by default in 16-bit code. */
static void test_operand_sizes(void)
{
    static const uint8_t popcnt[] = { 0x66, 0xf3, 0x0f, 0xb8, 0xca }, crc32[] = { 0x66, 0xf2, 0x0f, 0x38, 0xf1, 0xca };

    for (unsigned k = 0; k < 4; k++) {
        uint8_t bytes[INSN_MAX_LENGTH] = { 0 };
        bool wide = k == 1 || k == 2; /* without 66h in 32-bit code, with it in 16-bit code */
        memcpy(bytes, popcnt + (k & 1), sizeof popcnt - (k & 1));
        insn_decode(&insn, bytes, sizeof bytes, 0, k < 2 ? INSN_MODE_32 : INSN_MODE_16);
        CU_ASSERT_TRUE(insn.kind == INSN_PLAIN && insn.mandatory == F3 && insn.copy_66 == !wide && insn.reg_is_gpr && insn.rm_is_gpr
                       && insn.regs_written == 1 << CPU_ECX);
        memset(bytes, 0, sizeof bytes);
        memcpy(bytes, crc32 + (k & 1), sizeof crc32 - (k & 1));
        insn_decode(&insn, bytes, sizeof bytes, 0, k < 2 ? INSN_MODE_32 : INSN_MODE_16);
        CU_ASSERT_TRUE(insn.kind == INSN_PLAIN && insn.mandatory == F2 && insn.copy_66 == !wide && insn.reg_is_gpr && insn.rm_is_gpr
                       && insn.regs_written == 1 << CPU_ECX);
    }
}

/* Their neighbours, which came later or elsewhere: MONITOR, MWAIT, MOVBE, AES, PCLMULQDQ, SSE4a. */
static void test_neighbours(void)
{
    static const uint8_t others[][5] = {
        { 0x0f, 0x01, 0xc8 }, { 0x0f, 0x01, 0xc9 }, { 0x0f, 0x38, 0xf0, 0x0e }, { 0x0f, 0x38, 0xf1, 0x0e },
        { 0x66, 0x0f, 0x38, 0xdc, 0xca }, { 0x66, 0x0f, 0x3a, 0x44, 0xca }, { 0xf2, 0x0f, 0x79, 0xca }, { 0xf2, 0x0f, 0x2b, 0x0e },
        { 0x0f, 0xb8, 0xca },
    };

    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++) {
        uint8_t bytes[INSN_MAX_LENGTH] = { 0 };
        memcpy(bytes, others[i], sizeof others[i]);
        insn_decode(&insn, bytes, sizeof bytes, 0, INSN_MODE_32);
        CU_ASSERT_EQUAL(insn.kind, INSN_UNDEFINED);
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "all features", test_all },
        { "none", test_none },
        { "each alone", test_each },
        { "FISTTP", test_fisttp },
        { "operand sizes", test_operand_sizes },
        { "neighbours", test_neighbours },
        CU_TEST_INFO_NULL,
    };

    return unit_run("insn", tests);
}
