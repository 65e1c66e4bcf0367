/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Flags that the decoder calls killed, on this host's CPU: an instruction runs
 * with all arithmetic flags clear and with all set, and what it kills must be
 * the same behind both. That includes flags that the manual leaves undefined.
 */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/unit/unit.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/decode/insn.h"

/* Registers only, and no EBX, EBP or ESP: they run in the middle of a C function. */
static const struct { const char *name; uint8_t length, bytes[4]; bool kills_all; } rows[] = {
    { "and", 2, { 0x21, 0xc8 }, true }, { "and al", 2, { 0x24, 0x5a }, true }, { "and imm", 3, { 0x83, 0xe0, 0x0f }, true },
    { "or", 2, { 0x09, 0xc8 }, true }, { "or 16", 3, { 0x66, 0x09, 0xc8 }, true }, { "xor", 2, { 0x31, 0xc8 }, true },
    { "test", 2, { 0x85, 0xc8 }, true }, { "test al", 2, { 0xa8, 0x81 }, true }, { "test 8", 2, { 0x84, 0xc8 }, true },
    { "add", 2, { 0x01, 0xc8 }, true }, { "sub", 2, { 0x29, 0xc8 }, true }, { "cmp", 2, { 0x39, 0xc8 }, true }, { "neg", 2, { 0xf7, 0xd8 }, true },
    { "shl 1", 2, { 0xd1, 0xe0 }, true }, { "shl 3", 3, { 0xc1, 0xe0, 3 }, true }, { "shl 8 by 20", 3, { 0xc0, 0xe0, 20 }, true },
    { "shr 1", 2, { 0xd1, 0xe8 }, true }, { "shr 31", 3, { 0xc1, 0xe8, 31 }, true }, { "shr 16 by 17", 4, { 0x66, 0xc1, 0xe8, 17 }, true },
    { "sar 1", 2, { 0xd1, 0xf8 }, true }, { "sar 4", 3, { 0xc1, 0xf8, 4 }, true }, { "sal 5", 3, { 0xc1, 0xf0, 5 }, true },
    { "shl by 32", 3, { 0xc1, 0xe0, 32 }, false }, { "shl cl", 2, { 0xd3, 0xe0 }, false }, { "rol 3", 3, { 0xc1, 0xc0, 3 }, false },
    { "ror 1", 2, { 0xd1, 0xc8 }, false }, { "shld 3", 4, { 0x0f, 0xa4, 0xc8, 3 }, false }, { "shrd cl", 3, { 0x0f, 0xad, 0xc8 }, false },
    { "mul", 2, { 0xf7, 0xe1 }, false }, { "imul", 2, { 0xf7, 0xe9 }, false }, { "imul reg", 3, { 0x0f, 0xaf, 0xc1 }, false },
    { "bt", 3, { 0x0f, 0xa3, 0xc8 }, false }, { "bts", 3, { 0x0f, 0xab, 0xc8 }, false }, { "bsf", 3, { 0x0f, 0xbc, 0xc1 }, false },
    { "xadd", 3, { 0x0f, 0xc1, 0xc8 }, true }, { "cmpxchg", 3, { 0x0f, 0xb1, 0xc8 }, true }, { "not", 2, { 0xf7, 0xd0 }, false },
    { "cmc", 1, { 0xf5 }, false }, { "stc", 1, { 0xf9 }, false }, { "sahf", 1, { 0x9e }, false }, { "bswap", 2, { 0x0f, 0xc8 }, false },
};

/* RDI: flags in; RSI, RDX: operands for EAX and ECX. RAX: flags out. */
typedef uint64_t run(uint64_t flags, uint64_t first, uint64_t second);

static run *place_code(uint8_t *page, const uint8_t *bytes, unsigned length)
{
    static const uint8_t before[] = { 0x89, 0xf0, 0x89, 0xd1, 0x57, 0x9d }; /* MOV EAX, ESI; MOV ECX, EDX; PUSH RDI; POPFQ */
    static const uint8_t behind[] = { 0x9c, 0x58, 0xc3 };                   /* PUSHFQ; POP RAX; RET */
    run *code;

    memcpy(page, before, sizeof before);
    memcpy(page + sizeof before, bytes, length);
    memcpy(page + sizeof before + length, behind, sizeof behind);
    memcpy(&code, &page, sizeof code);
    return code;
}

static uint32_t differs(run *code)
{
    uint32_t differs = 0, random = 1;

    for (unsigned i = 0; i < 4000; i++) {
        uint32_t first = random = random * 1664525 + 1013904223, second = random = random * 1664525 + 1013904223;
        if (i & 1)
            first >>= 25;
        if (i & 2)
            second = (second >> 27) | 1;
        differs |= (uint32_t)(code(2, first, second) ^ code(2 | FLAGS_ARITH, first, second));
    }
    return differs & FLAGS_ARITH;
}

static void killed_flags_are_overwritten(void)
{
    uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CU_ASSERT_FATAL(page != MAP_FAILED);
    insn_init(CPU_FEATURES);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct insn insn;
        CU_ASSERT_FATAL(insn_decode(&insn, rows[i].bytes, rows[i].length, 0x1000, INSN_MODE_32) == INSN_OK);
        CU_ASSERT_EQUAL(insn.length, rows[i].length);
        uint32_t wrong = differs(place_code(page, rows[i].bytes, rows[i].length)) & insn.flags_killed & ~(uint32_t)insn.flags_read;
        if (wrong)
            printf("%s does not overwrite %#x\n", rows[i].name, wrong);
        CU_ASSERT(wrong == 0);
        if (rows[i].kills_all != (insn.flags_killed == FLAGS_ARITH))
            printf("%s kills %#x\n", rows[i].name, insn.flags_killed);
        CU_ASSERT(rows[i].kills_all == (insn.flags_killed == FLAGS_ARITH));
    }
    munmap(page, 4096);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "killed flags are overwritten", killed_flags_are_overwritten },
        CU_TEST_INFO_NULL,
    };

    return unit_run("insn flags", tests);
}
