/* SPDX-License-Identifier: BSD-2-Clause
 * The same code at several linear addresses in turns, often enough to be settled:
 * whatever tells where it runs (return addresses, frames of faults, traps and
 * interrupts, the x87 instruction pointer) tells the address of this time. */
#include "guest.h"

enum { PLACES = 3, ROUNDS = 400, TF = 0x100 };
#define PAGE (SCRATCH + 0x3f0000)
#define NOWHERE 0x3ffff000u
static const uint32_t places[PLACES] = { 0x10000000, 0x2a5b3000, 0x2a5b7000 };

/* Each is called at its place with EDX = NOWHERE; what must be where is by the labels behind. */
extern uint8_t alias_begin[], alias_end[], alias_next[], alias_next_at[], alias_through[], alias_through_at[], alias_loop[], alias_page[],
    alias_page_at[], alias_divide[], alias_divide_at[], alias_undefined[], alias_undefined_at[],
    alias_trap[], alias_trap_at[], alias_bound[], alias_bound_at[], alias_string[], alias_string_at[], alias_sse[], alias_sse_at[],
    alias_x87[], alias_x87_at[], alias_store[], alias_store_at[], alias_step[], alias_step_at[], alias_tail[], alias_tail_at[];
__asm__(".text\n.balign 4096\nalias_begin:\n"
        "alias_next: call alias_next_at; alias_next_at: popl %eax; ret\n"
        "alias_through: call 1f; alias_through_at: ret; 1: movl (%esp), %eax; ret\n"
        "alias_tail: pushl %ebx; movl $3, %ebx; 2: call 3f; alias_tail_at: decl %ebx; jnz 2b; popl %ebx; ret\n"
        "3: cmpl $1, %ebx; ja 4f; movl (%esp), %eax; 4: ret\n"
        "alias_loop: call 1f; 1: popl %eax; addl $(5f - 1b), %eax; movl $20, %ecx; jmp *%eax; ud2; 5: decl %ecx; jnz 5b; ret\n"
        "alias_page: movl $1, %eax; addl $2, %eax; alias_page_at: movl (%edx), %ecx; ret\n"
        "alias_store: movl $1, %eax; alias_store_at: addl %eax, 8(%edx); ret\n"
        "alias_divide: xorl %edx, %edx; xorl %ecx, %ecx; movl $7, %eax; alias_divide_at: divl %ecx; ret\n"
        "alias_undefined: nop; alias_undefined_at: ud2; ret\n"
        "alias_trap: nop; nop; int3; alias_trap_at: ret\n"
        "alias_bound: pushl $2; pushl $1; xorl %eax, %eax; alias_bound_at: bound %eax, (%esp); addl $8, %esp; ret\n"
        "alias_string: movl %edx, %esi; movl %edx, %edi; movl $5, %ecx; alias_string_at: rep movsb; ret\n"
        "alias_sse: movl $1, %eax; alias_sse_at: movaps 4(%edx), %xmm0; ret\n"
        "alias_x87: fninit; fldz; fldz; alias_x87_at: faddp; subl $28, %esp; fnstenv (%esp); movl 12(%esp), %eax; addl $28, %esp; fninit; ret\n"
        "alias_step: pushfl; orl $0x100, (%esp); popfl; nop; alias_step_at: nop; ret\n"
        ".balign 4096\nalias_end:\n");

struct row { const char *name; const uint8_t *code, *at; uint8_t vector; /* 0: EAX is the address */ };
static const struct row rows[] = {
    { "call next", alias_next, alias_next_at, 0 }, { "call", alias_through, alias_through_at, 0 }, { "calls in a loop", alias_tail, alias_tail_at, 0 },
    { "x87", alias_x87, alias_x87_at, 0 }, { "load", alias_page, alias_page_at, 14 }, { "add to memory", alias_store, alias_store_at, 14 },
    { "divide", alias_divide, alias_divide_at, 0x80 /* #DE */ }, { "undefined", alias_undefined, alias_undefined_at, 6 },
    { "int3", alias_trap, alias_trap_at, 3 }, { "bound", alias_bound, alias_bound_at, 5 }, { "string", alias_string, alias_string_at, 14 },
    { "alignment", alias_sse, alias_sse_at, 13 }, { "single step", alias_step, alias_step_at, 1 },
};

static void prepare(void)
{
    uint8_t *to = (uint8_t *)PAGE;

    pages_on();
    WRITE_CR(0, (READ_CR(0) & ~0xcu) | 2);
    WRITE_CR(4, READ_CR(4) | 0x600);
    for (const uint8_t *from = alias_begin; from < alias_end; from++)
        *to++ = *from;
    for (unsigned i = 0; i < PLACES; i++)
        pages_map(places[i], PAGE | PTE_P | PTE_U);
    pages_map(NOWHERE, 0);
}

static uint32_t call_at(uint32_t address)
{
    uint32_t eax;
    __asm__ volatile("call *%1" : "=a"(eax) : "b"(address), "d"(NOWHERE) : "ecx", "esi", "edi", "cc", "memory");
    return eax;
}

static void run(void *argument) { call_at((uint32_t)argument); }

/* The same in ring 3, which returns to an instruction that faults. */
extern uint8_t alias_user_end[];
static void run_in_ring3(void *argument)
{
    uint32_t *stack = (uint32_t *)(user_stack + sizeof user_stack) - 8;

    *stack = (uint32_t)alias_user_end;
    __asm__ volatile("movl %2, %%ds; movl %2, %%es; pushl %2; pushl %1; pushl $2; pushl %3; pushl %0; iretl\n.globl alias_user_end\n"
                     "alias_user_end: hlt" ::"b"(argument), "a"(stack), "S"(SEL_USER_DATA), "D"(SEL_USER_CODE), "d"(NOWHERE) : "memory");
    __builtin_unreachable();
}

static bool right(const struct row *row, unsigned place, bool ring3)
{
    const uint32_t code = places[place] + (uint32_t)(row->code - alias_begin), at = places[place] + (uint32_t)(row->at - alias_begin);
    struct frame f = { 0 };
    uint32_t got;
    bool good;

    if (ring3) {
        good = catch_fault(run_in_ring3, (void *)code, &f) && (row->vector ? f.vector == (row->vector & 0x7f) && f.eip == at
                                                               : f.vector == 13 && f.eip == (uint32_t)alias_user_end && f.eax == at);
        got = row->vector ? f.eip : f.eax;
    } else if (row->vector) {
        good = catch_fault(run, (void *)code, &f) && f.vector == (row->vector & 0x7f) && f.eip == at;
        got = f.eip;
    } else {
        got = call_at(code);
        good = got == at;
    }
    if (!good)
        print("  "), print(row->name), print(" at "), print_hex(at), print(" is "), print_hex(got), print(" vector "), print_hex(f.vector), print("\n");
    return good;
}

static bool in_turns(bool ring3)
{
    bool good = true;

    for (unsigned round = 0; round < ROUNDS && good; round++)
        for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
            good &= right(&rows[i], (round >> 2) % PLACES, ring3);
    return good;
}

static bool one_after_another(bool ring3)
{
    bool good = true;

    for (unsigned round = 0; round < ROUNDS && good; round++)
        for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
            good &= right(&rows[i], (round + i) % PLACES, ring3);
    return good;
}

static bool kernel(void)
{
    CHECK(in_turns(false) && one_after_another(false));
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned place = 0; place < PLACES; place++)
            call_at(places[place] + (uint32_t)(alias_loop - alias_begin));
    return true;
}

static bool user(void)
{
    bool good;

    trap_set_gate(3, NULL, 3, false);
    good = in_turns(true) && one_after_another(true);
    trap_set_gate(3, NULL, 0, false);
    CHECK(good);
    return true;
}

/* What changes by one address is changed at all. */
static bool changed(void)
{
    volatile uint8_t *constant = (uint8_t *)PAGE + (alias_page - alias_begin) + 1;
    volatile uint32_t *word = (uint32_t *)(SCRATCH + 0x3e0000);
    bool good = true;

    for (unsigned round = 0; round < 64 && good; round++) {
        *constant = (uint8_t)round; /* the immediate of its MOV */
        *word = round;
        for (unsigned place = 0; place < PLACES; place++) {
            uint32_t eax, ecx;
            __asm__ volatile("call *%2" : "=a"(eax), "=c"(ecx) : "b"(places[place] + (uint32_t)(alias_page - alias_begin)), "d"(word) : "cc", "memory");
            good &= eax == round + 2 && ecx == round;
        }
    }
    CHECK(good);
    return true;
}

static const struct test tests[] = { { "kernel", kernel, "keeps no x87 pointer of it" }, { "user", user, "keeps no x87 pointer of it" },
    { "changed", changed, NULL }, { NULL, NULL, NULL } };
const struct test_group group_alias = { "alias", tests, prepare };
