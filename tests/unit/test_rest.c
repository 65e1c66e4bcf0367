/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What an idle guest's code takes is given back (x86vm_rest()): it is dropped, not too
 * often, and made again when it is wanted, as it is by then.
 */
#include "tests/unit/engine_fixture.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

enum { ADDITIONS = 2000 };

static bool additions_are(uint32_t times)
{
    for (uint32_t i = 0; i < ADDITIONS; i++) {
        uint32_t value;
        if (!phys_dma_read(phys, DATA + 4 * i, &value, 4) || value != times)
            return false;
    }
    return true;
}

static void run_additions(void)
{
    cpu->eip = CODE;
    cpu->halted = false;
    CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_DEAD);
}

static struct x86vm_counters counted(void)
{
    struct x86vm_counters c;
    x86vm_get_counters(vm, &c);
    return c;
}

static void test_rest(void)
{
    const uint64_t minute = 60ull * 1000000000;
    uint64_t code;

    setenv("X86VM_NO_BARE", "1", 1); /* with checks there is more of it */
    engine_start(1 << 20);
    unsetenv("X86VM_NO_BARE");
    for (uint32_t i = 0; i < ADDITIONS; i++) {
        poke(CODE + 6 * i, "\xff\x05", 2); /* inc dword [] */
        poke32(CODE + 6 * i + 2, DATA + 4 * i);
    }
    poke(CODE + 6 * ADDITIONS, "\xfa\xf4", 2); /* cli; hlt */
    run_additions();
    code = counted().code_bytes;
    CU_ASSERT_TRUE(code > 128 << 10); /* enough to be worth dropping */
    x86vm_rest(vm, minute);
    CU_ASSERT_EQUAL(counted().cache_flushes, 1);
    CU_ASSERT_EQUAL(counted().code_bytes, 0);
    run_additions();
    CU_ASSERT_TRUE(additions_are(2));
    CU_ASSERT_EQUAL(counted().code_bytes, code);
    x86vm_rest(vm, 2 * minute); /* too soon to drop it again: only a mapping is let go */
    CU_ASSERT_EQUAL(counted().code_bytes, code);
    run_additions();
    CU_ASSERT_TRUE(additions_are(3));
    poke(CODE, "\xeb\x04", 2); /* jmp over the first */
    poke32(DATA, 4);
    run_additions();
    CU_ASSERT_TRUE(additions_are(4));
    x86vm_rest(vm, 60 * minute);
    CU_ASSERT_EQUAL(counted().cache_flushes, 2);
    poke(CODE, "\x90\x90\x90\x90\x90\x90", 6);
    poke32(DATA, 5);
    run_additions();
    CU_ASSERT_TRUE(additions_are(5));
    engine_end();
}

/* What a recording counts must not depend on when the guest was idle. */
static void test_rest_when_counting(void)
{
    engine_start(1 << 20);
    x86vm_count(vm);
    for (uint32_t i = 0; i < ADDITIONS; i++) {
        poke(CODE + 6 * i, "\xff\x05", 2);
        poke32(CODE + 6 * i + 2, DATA + 4 * i);
    }
    poke(CODE + 6 * ADDITIONS, "\xfa\xf4", 2);
    run_additions();
    x86vm_rest(vm, 1);
    CU_ASSERT_EQUAL(counted().cache_flushes, 0);
    run_additions();
    CU_ASSERT_TRUE(additions_are(2));
    engine_end();
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "an idle guest's code is dropped and made again", test_rest },
        { "not while instructions are counted", test_rest_when_counting },
        CU_TEST_INFO_NULL,
    };

    return unit_run("rest", tests);
}
