/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Jump maps (translate/jump_map.h) that are emptied: what they led to before is not
 * jumped to. A guest program calls one place after the other through a pointer.
 */
#include "tests/unit/engine_fixture.h"
#include "tests/unit/unit.h"
#include "x86vm/translate/jump_map.h"

#include <stdlib.h>
#include <string.h>

enum { CACHE = 2 << 20, TARGETS = 0x40000, APART = 16, TARGETS_MOST = JUMP_MISSES_MOST + 2, ANSWER = 42 };

__asm__(".pushsection .rodata\n.code32\n"
        "caller_start: call *%ebx\n"
        "add $16, %ebx\n"
        "dec %ecx\n"
        "jnz caller_start\n"
        "cli\n"
        "hlt\n"
        "caller_end:\n.code64\n.popsection\n");
extern const char caller_start[], caller_end[];

static void begin(void)
{
    setenv("X86VM_EAGER_JUMPS", "1", 1);
    engine_start_paged(CACHE);
    unsetenv("X86VM_EAGER_JUMPS");
    poke(CODE, caller_start, (uint32_t)(caller_end - caller_start));
}

/* MOV EAX, value; RET. */
static void make_target(unsigned number, uint32_t value)
{
    uint8_t code[6] = { 0xb8, 0, 0, 0, 0, 0xc3 };

    memcpy(code + 1, &value, sizeof value);
    poke(TARGETS + number * APART, code, sizeof code);
}

/* What the last of them answered. */
static uint32_t call_targets(unsigned first, unsigned count)
{
    cpu->regs[CPU_EBX] = TARGETS + first * APART;
    cpu->regs[CPU_ECX] = count;
    cpu->eip = CODE;
    cpu->halted = false;
    CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_DEAD);
    return cpu->regs[CPU_EAX];
}

static uint64_t misses(void)
{
    struct x86vm_counters counters;

    x86vm_get_counters(vm, &counters);
    return counters.jump_misses;
}

/* All translations go while the map has none, one or two entries, because it was just emptied. */
static void test_dropped_when_emptied(void)
{
    for (unsigned count = JUMP_MISSES_MOST; count <= TARGETS_MOST; count++) {
        begin();
        for (unsigned i = 0; i < TARGETS_MOST; i++)
            make_target(i, i);
        CU_ASSERT_EQUAL(call_targets(0, count), count - 1);
        CU_ASSERT_EQUAL(misses(), count);
        x86vm_rest(vm, UINT64_C(1) << 50);
        for (unsigned i = 0; i < TARGETS_MOST; i++)
            make_target(i, ANSWER + i);
        for (unsigned i = count; i-- > count - 4;)
            CU_ASSERT_EQUAL(call_targets(i, 1), ANSWER + i);
        CU_ASSERT_EQUAL(misses(), count + 4);
        engine_end();
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "translations dropped when a map was just emptied", test_dropped_when_emptied },
        CU_TEST_INFO_NULL,
    };

    return unit_run("jump_map", tests);
}
