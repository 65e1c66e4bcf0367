/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Indirect jumps and calls that compare with where they mostly lead (translate/jump_sites.h):
 * what becomes of a site, and that each jump reaches what is there, whatever the
 * site has learnt. A guest program goes through a pointer again and again.
 */
#include "tests/unit/engine_fixture.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

enum { CACHE = 2 << 20, FAR_AWAY = 0x40000, NEAR_BY = CODE + 0x800, APART = 16, FRAMES = 0x60000, SOON = 20, OFTEN = 2000 };

/* EBX, and in turns EDX: ECX times in all. Every target is followed by what its kind comes back with. */
__asm__(".pushsection .rodata\n.code32\n"
        "call_start: call *%ebx\n"
        "add %eax, %edi\n"
        "xchg %ebx, %edx\n"
        "dec %ecx\n"
        "jnz call_start\n"
        "cli\n"
        "hlt\n"
        "call_end:\n"
        "jump_start: jmp *%ebx\n"
        "add %eax, %edi\n"
        "xchg %ebx, %edx\n"
        "dec %ecx\n"
        "jnz jump_start\n"
        "cli\n"
        "hlt\n"
        "jump_end:\n.code64\n.popsection\n");
extern const char call_start[], call_end[], jump_start[], jump_end[];

static const struct way { const char *set; bool calls; uint32_t targets; } ways[] = {
    { NULL, true, FAR_AWAY }, { NULL, true, NEAR_BY }, { NULL, false, FAR_AWAY }, { NULL, false, NEAR_BY }, { "X86VM_EAGER_BARE", true, FAR_AWAY },
    { "X86VM_EAGER_BARE", false, NEAR_BY }, { "X86VM_NO_BMI2", true, FAR_AWAY }, { "X86VM_NO_SHADOW", true, FAR_AWAY },
};
enum { WAYS = sizeof ways / sizeof ways[0] };
static const struct way *way;

static void begin(const struct way *which)
{
    way = which;
    if (way->set)
        setenv(way->set, "1", 1);
    engine_start_paged(CACHE);
    if (way->set)
        unsetenv(way->set);
    if (way->calls)
        poke(CODE, call_start, (uint32_t)(call_end - call_start));
    else
        poke(CODE, jump_start, (uint32_t)(jump_end - jump_start));
}

static uint32_t target(unsigned number) { return way->targets + number * APART; }

/* MOV EAX, value; and RET or a jump behind the site's. */
static void make_target_at(uint32_t physical, uint32_t linear, uint32_t value)
{
    uint8_t code[10] = { 0xb8, 0, 0, 0, 0, 0xc3 };
    const uint32_t back = CODE + 2 - (linear + sizeof code);

    memcpy(code + 1, &value, sizeof value);
    if (!way->calls) {
        code[5] = 0xe9;
        memcpy(code + 6, &back, sizeof back);
    }
    poke(physical, code, sizeof code);
}

static void make_target(unsigned number, uint32_t value) { make_target_at(target(number), target(number), value); }

/* The sum of what they answered. */
static uint32_t go(unsigned one, unsigned other, uint32_t times)
{
    cpu->regs[CPU_EBX] = target(one);
    cpu->regs[CPU_EDX] = target(other);
    cpu->regs[CPU_ECX] = times;
    cpu->regs[CPU_EDI] = 0;
    cpu->regs[CPU_ESP] = STACK;
    cpu->eip = CODE;
    cpu->halted = false;
    CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_DEAD);
    return cpu->regs[CPU_EDI];
}

static struct x86vm_counters counters(void)
{
    struct x86vm_counters c;

    x86vm_get_counters(vm, &c);
    return c;
}

/* One target, then another one: each is known after a while. */
static void test_learns(void)
{
    for (unsigned i = 0; i < WAYS; i++) {
        begin(&ways[i]);
        make_target(0, 1);
        make_target(1, 100);
        CU_ASSERT_EQUAL(go(0, 0, 1), 1);
        CU_ASSERT_EQUAL(counters().jump_caches, 0); /* once is not worth it */
        CU_ASSERT_EQUAL(go(0, 0, SOON), SOON);
        CU_ASSERT_TRUE(counters().jump_caches > 0);
        CU_ASSERT_EQUAL(go(1, 1, 1), 100);
        CU_ASSERT_EQUAL(go(1, 0, 1), 100);
        CU_ASSERT_EQUAL(go(1, 1, OFTEN), 100 * OFTEN);
        CU_ASSERT_TRUE(counters().jump_caches > 1);
        CU_ASSERT_EQUAL(counters().jump_lookups, 0);
        engine_end();
    }
}

/* It does not pay for one that leads to either of two in turns. */
static void test_gives_up(void)
{
    for (unsigned i = 0; i < WAYS; i++) {
        begin(&ways[i]);
        make_target(0, 1);
        make_target(1, 100);
        CU_ASSERT_EQUAL(go(0, 1, OFTEN), 101 * OFTEN / 2);
        CU_ASSERT_EQUAL(go(1, 0, OFTEN), 101 * OFTEN / 2);
        CU_ASSERT_EQUAL(go(1, 1, OFTEN), 100 * OFTEN);
        CU_ASSERT_TRUE(counters().jump_lookups > 0);
        if (way->set && !strcmp(way->set, "X86VM_EAGER_BARE"))
            CU_ASSERT_TRUE(counters().jump_sites > 0);
        engine_end();
    }
}

/* It goes on with what is mostly right, however often that has been wrong. */
static void test_majority(void)
{
    for (unsigned i = 0; i < WAYS; i++) {
        begin(&ways[i]);
        make_target(0, 1);
        make_target(1, 100);
        for (unsigned turn = 0; turn < OFTEN; turn++) {
            CU_ASSERT_EQUAL(go(0, 0, 20), 20);
            CU_ASSERT_EQUAL(go(1, 1, 1), 100);
        }
        CU_ASSERT_EQUAL(counters().jump_lookups, 0);
        CU_ASSERT_TRUE(counters().jump_caches > 1);
        engine_end();
    }
}

/* Somebody writes to it, so its block is dead. */
static void test_written(void)
{
    for (unsigned i = 0; i < WAYS; i++) {
        begin(&ways[i]);
        for (uint32_t turn = 1; turn < 5; turn++) {
            make_target(0, turn);
            CU_ASSERT_EQUAL(go(0, 0, 1), turn);
            CU_ASSERT_EQUAL(go(0, 0, OFTEN), turn * OFTEN);
            CU_ASSERT_TRUE(counters().jump_caches >= turn);
        }
        CU_ASSERT_EQUAL(counters().jump_lookups, 0);
        engine_end();
    }
}

/* Another page is mapped there. */
static void test_remapped(void)
{
    for (unsigned i = 0; i < WAYS; i++) {
        begin(&ways[i]);
        for (uint32_t turn = 0; turn < 6 && way->targets == FAR_AWAY; turn++) {
            uint32_t frame = FRAMES + turn % 3 * PAGE_SIZE;
            make_target_at(frame, FAR_AWAY, turn % 3 + 1);
            engine_map(FAR_AWAY, frame | PTE_P | PTE_W | (turn & 1 ? PTE_G : 0));
            CU_ASSERT_EQUAL(go(0, 0, 1), turn % 3 + 1);
            CU_ASSERT_EQUAL(go(0, 0, OFTEN), (turn % 3 + 1) * OFTEN);
        }
        engine_end();
    }
}

static void set_code_segment(uint32_t base, uint32_t limit)
{
    const struct cpu_segment code = { .base = base, .limit = limit, .selector = 8, .access = 0x9b | SEG_G | SEG_DB };

    cpu_set_segment(cpu, CPU_CS, &code);
    cpu->mode_dirty = true;
}

/* The code segment ends before it, for as long as it does. */
static void test_beyond_limit(void)
{
    for (unsigned i = 0; i < WAYS; i++) {
        begin(&ways[i]);
        make_target(0, 1);
        CU_ASSERT_EQUAL(go(0, 0, OFTEN), OFTEN);
        for (unsigned turn = 0; turn < 20; turn++) {
            set_code_segment(0, way->targets - 1);
            go(0, 0, 1);
            CU_ASSERT_EQUAL(engine_halted_in(), VEC_GP);
        }
        set_code_segment(0, UINT32_MAX);
        CU_ASSERT_EQUAL(go(0, 0, OFTEN), OFTEN);
        engine_end();
    }
}

/* Site and target have EIPs of one page, and lie on two. */
static void test_odd_base(void)
{
    enum { BASE = CODE + 0x800, BEGIN = 0x7f8, AT = BEGIN + APART };
    static const uint8_t indirect[] = { 0xff, 0xe3 }, direct[] = { 0xeb, APART - 2 }; /* JMP EBX; JMP AT */

    for (unsigned i = 0; i < 2; i++) {
        begin(&ways[0]);
        poke(BASE + BEGIN, i ? direct : indirect, 2);
        set_code_segment(BASE, UINT32_MAX);
        for (unsigned turn = 0; turn < 60; turn++) {
            unsigned frame = turn / 20 % 2;
            const uint8_t answer[] = { 0xb8, (uint8_t)frame, 0, 0, 0, 0xfa, 0xf4 }; /* MOV EAX; CLI; HLT */
            if (turn % 20 == 0) {
                poke(FRAMES + frame * PAGE_SIZE + (BASE + AT) % PAGE_SIZE, answer, sizeof answer);
                engine_map(BASE + AT, (FRAMES + frame * PAGE_SIZE) | PTE_P | PTE_W | PTE_G);
            }
            cpu->regs[CPU_EBX] = AT;
            cpu->eip = BEGIN;
            cpu->halted = false;
            CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_DEAD);
            CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], frame);
        }
        engine_end();
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "a site learns its target, and another", test_learns },
        { "gives up one that leads to two", test_gives_up },
        { "keeps what is mostly right", test_majority },
        { "a target that is written to", test_written },
        { "a target's page that is mapped elsewhere", test_remapped },
        { "a target beyond the code segment's limit", test_beyond_limit },
        { "pages are the linear ones, not EIP's", test_odd_base },
        CU_TEST_INFO_NULL,
    };

    return unit_run("jump_sites", tests);
}
