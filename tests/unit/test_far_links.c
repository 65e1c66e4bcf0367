/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Jumps between pages without guards (translate/far_links.h) that come back: a jump
 * reaches what the target's page shows now, whatever it showed before, and goes without
 * a guard again where that is what the jump was made for.
 */
#include "tests/unit/engine_fixture.h"
#include "tests/unit/unit.h"

enum { CACHE = 2 << 20, TARGET = 0x20000, FRAMES = 0x40000, ANSWER = 100 };

/* A jump leads to TARGET, where each frame answers its number. */
static void begin(void)
{
    static const uint8_t jump[] = { 0xe9, 0xfb, 0xff, 0, 0 };

    engine_start_paged(CACHE);
    poke(CODE, jump, sizeof jump);
    for (unsigned i = 0; i < 3; i++) {
        const uint8_t answer[] = { 0xb8, (uint8_t)(ANSWER + i), 0, 0, 0, 0xfa, 0xf4 }; /* MOV EAX; CLI; HLT */
        poke(FRAMES + i * PAGE_SIZE, answer, sizeof answer);
    }
}

static void show(unsigned frame)
{
    engine_map(TARGET, (FRAMES + frame * PAGE_SIZE) | PTE_P | PTE_W | PTE_G);
}

static uint32_t jumped(void)
{
    cpu->eip = CODE;
    cpu->halted = false;
    CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_DEAD);
    return cpu->regs[CPU_EAX] - ANSWER;
}

static uint64_t come_back(void)
{
    struct x86vm_counters counters;

    x86vm_get_counters(vm, &counters);
    return counters.far_links_back;
}

static void test_come_back(void)
{
    begin();
    show(0);
    CU_ASSERT_EQUAL(jumped(), 0);
    CU_ASSERT_EQUAL(jumped(), 0);
    for (unsigned turn = 1; turn <= 5; turn++) {
        show(1);
        CU_ASSERT_EQUAL(jumped(), 1);
        CU_ASSERT_EQUAL(jumped(), 1);
        show(2);
        CU_ASSERT_EQUAL(jumped(), 2);
        CU_ASSERT_EQUAL(come_back(), turn - 1);
        show(0);
        CU_ASSERT_EQUAL(jumped(), 0);
        CU_ASSERT_EQUAL(come_back(), turn);
        CU_ASSERT_EQUAL(jumped(), 0);
    }
    engine_end();
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "jumps without guards come back, where they were made for what is there", test_come_back },
        CU_TEST_INFO_NULL,
    };

    return unit_run("far_links", tests);
}
