/* SPDX-License-Identifier: BSD-2-Clause
 * Jumps that are led elsewhere later, run on the host: also to the instruction
 * behind them, where a NOP takes their place, and away from there again.
 */
#include "x86vm/translate/emit.h"

#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { SIZE = 4096, LEFT = 16 };

static uint8_t *code;

/* A jump, three ways on from it: each returns its number in EAX. */
static uint8_t *make(uint8_t *ways[3], struct emit *e)
{
    uint8_t *place;

    *e = (struct emit){ .p = code, .end = code + SIZE };
    memset(code, 0xcc, SIZE);
    place = emit_jmp_later(e);
    for (uint32_t i = 0; i < 3; i++) {
        ways[i] = e->p;
        emit_mov_imm32(e, RAX, i);
        emit_ret(e);
    }
    return place;
}

static unsigned run(void)
{
    unsigned (*function)(void);
    void *start = code;

    memcpy(&function, &start, sizeof function);
    CU_ASSERT_EQUAL_FATAL(mprotect(code, SIZE, PROT_READ | PROT_EXEC), 0);
    unsigned way = function();
    CU_ASSERT_EQUAL_FATAL(mprotect(code, SIZE, PROT_READ | PROT_WRITE), 0);
    return way;
}

/* All ways from each to each. */
static void test_led_about(void)
{
    struct emit e;
    uint8_t *ways[3], *place = make(ways, &e);

    for (unsigned from = 0; from < 3; from++)
        for (unsigned to = 0; to < 3; to++) {
            emit_patch32(place, 0, (uint64_t)(uintptr_t)ways[from]);
            emit_patch32(place, 0, (uint64_t)(uintptr_t)ways[to]);
            CU_ASSERT_EQUAL(emit_target32(place, 0), (uint64_t)(uintptr_t)ways[to]);
            CU_ASSERT_EQUAL(run(), to);
            CU_ASSERT_EQUAL(code[0] == 0xe9, to != 0); /* no jump to the next instruction */
        }
}

/* A CALL and a Jcc to the next instruction do something there, and stay. */
static void test_not_others(void)
{
    for (unsigned i = 0; i < 2; i++) {
        struct emit e = { .p = code, .end = code + SIZE };
        uint8_t *place = i ? emit_jcc_later(&e, CC_NZ) : emit_call_later(&e);
        uint8_t opcode = place[-1];
        emit_patch32(place, 0, (uint64_t)(uintptr_t)e.p);
        CU_ASSERT_EQUAL(place[-1], opcode);
        CU_ASSERT_EQUAL(emit_target32(place, 0), (uint64_t)(uintptr_t)e.p);
    }
}

/* Bytes run at another address than they are written at. */
static void test_two_views(void)
{
    struct emit e;
    uint8_t *ways[3], *place = make(ways, &e);

    emit_patch32(place, LEFT, (uint64_t)(uintptr_t)ways[0]);
    CU_ASSERT_EQUAL(code[0], 0xe9);
    emit_patch32(place, LEFT, (uint64_t)(uintptr_t)ways[0] + LEFT);
    CU_ASSERT_NOT_EQUAL(code[0], 0xe9);
    CU_ASSERT_EQUAL(emit_target32(place, LEFT), (uint64_t)(uintptr_t)ways[0] + LEFT);
}

int main(void)
{
    CU_pSuite suite;
    unsigned failures;

    code = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED || CU_initialize_registry() != CUE_SUCCESS || !(suite = CU_add_suite("emit", NULL, NULL)))
        return 1;
    CU_add_test(suite, "a jump is led about", test_led_about);
    CU_add_test(suite, "CALL and Jcc stay what they are", test_not_others);
    CU_add_test(suite, "two views of the code", test_two_views);
    CU_basic_set_mode(CU_BRM_NORMAL);
    CU_basic_run_tests();
    failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures ? 1 : 0;
}
