/* SPDX-License-Identifier: BSD-2-Clause
 * Call gates and interrupt gates between rings 3, 1 and 0: frames slot by slot with and
 * without parameters, both widths, conforming code, and what each check reports. */
#include "guest.h"

enum { GP = 13, NP = 11, TS = 10, SS = 12, CODE1 = 0x50, DATA1 = 0x58, OTHER_CODE = 0x60, OTHER_STACK = 0x68, GATE = 0x70,
       GATE1 = 0x78, SLOTS = 40, PARAMETERS_MOST = 31, VECTOR = 0x90 };
enum { ACCESS_CALL16 = 0xe4, ACCESS_CALL32 = 0xec, SP_AT = 0x1000, WINDOW = 0xffff };

uint32_t gates_seen[SLOTS], gates_seen_esp, gates_seen_ss, gates_seen_cs, gates_back_esp, gates_back_ds, gates_back_es;
uint32_t gates_values; /* how many parameters to push */
static uint8_t stack1[4096] __attribute__((aligned(16)));

static void prepare(void)
{
    pages_on();
    gdt_set(CODE1, 0, 0xfffff, 0xba, 0xc);
    gdt_set(DATA1, 0, 0xfffff, 0xb2, 0xc);
    main_tss.ss1 = DATA1 | 1;
    main_tss.esp1 = (uint32_t)(stack1 + sizeof stack1);
}

/* --- frames --------------------------------------------------------------- */

/* The inner ends: all that is on the stack goes into gates_seen[], then back by `lret`, which
 * releases 4 (or 2) bytes a parameter; the count is the program's, so the instruction is
 * chosen among all of them. Their code segments may begin anywhere. */
#define NOTE_FRAME \
    "movl %esp, gates_seen_esp; movw %ss, gates_seen_ss; movw %cs, gates_seen_cs; movl $0x10, %eax; movl %eax, %es;" \
    "leal (%esp), %esi; movl $gates_seen, %edi; movl $40, %ecx; cld; 1: ss; movsl; loop 1b;"
/* `gates_seen` and the rest by DS, which is still the program's: flat. */
extern char gates_wide[], gates_narrow[], gates_wide_call[], gates_wide_back[], gates_narrow_call[], gates_narrow_base[], gates_narrow_back[];
__asm__(".text; .globl gates_wide; .align 16; gates_wide:" NOTE_FRAME
        "movl gates_values, %eax; leal gates_returns(,%eax,4), %eax; jmp *%eax;"
        ".align 4; gates_returns: .set n, 0; .rept 32; lret $4 * n; nop; .set n, n + 1; .endr;"
        ".globl gates_narrow; .align 16; gates_narrow:" NOTE_FRAME
        "movl gates_values, %eax; leal gates_narrow_returns - gates_narrow(,%eax,4), %eax; jmp *%eax;"
        ".align 4; gates_narrow_returns: .set n, 0; .rept 32; lretw $2 * n; .set n, n + 1; .endr;"
        /* the programs */
        ".globl gates_wide_call; gates_wide_call: movl gates_values, %ecx; jecxz 2f; 1: leal 0x1000(%ecx), %eax; pushl %eax; loop 1b;"
        "2: lcall $0x73, $0x12345678; .globl gates_wide_back; gates_wide_back: movl %esp, gates_back_esp; movw %ds, gates_back_ds; movw %es, gates_back_es; int $0x81;"
        ".globl gates_narrow_call; gates_narrow_call: movl $0x6b, %eax; movl %eax, %ss; movl $0x1000, %esp; ljmp $0x63, $gates_narrow_go - gates_narrow_base;"
        ".globl gates_narrow_base; gates_narrow_base:"
        "gates_narrow_go: movl gates_values, %ecx; jecxz 2f; 1: leal 0x1000(%ecx), %eax; pushw %ax; loop 1b;"
        "2: lcall $0x73, $0x12345678; .globl gates_narrow_back; gates_narrow_back: movl %esp, gates_back_esp; movw %ds, gates_back_ds; movw %es, gates_back_es; int $0x81");

static uint32_t slot(unsigned i, bool wide)
{
    return wide ? gates_seen[i] : ((uint16_t *)gates_seen)[i];
}

static bool frame_is(bool wide, uint32_t eip, uint32_t cs, uint32_t esp, uint32_t ss)
{
    const uint32_t size = wide ? 4 : 2;

    CHECK(gates_seen_esp == main_tss.esp0 - size * (4 + gates_values) && (uint16_t)gates_seen_ss == SEL_KERNEL_DATA);
    CHECK(slot(0, wide) == eip && (uint16_t)slot(1, wide) == cs);
    for (uint32_t i = 0; i < gates_values; i++)
        CHECK(slot(2 + i, wide) == 0x1001 + i);
    CHECK(slot(2 + gates_values, wide) == esp - size * gates_values && (uint16_t)slot(3 + gates_values, wide) == ss);
    CHECK(gates_back_esp == esp && (uint16_t)gates_back_ds == SEL_USER_DATA && (uint16_t)gates_back_es == 0); /* ES was ring 0's */
    return true;
}

static bool parameters(void)
{
    for (gates_values = 0; gates_values <= PARAMETERS_MOST; gates_values++) {
        gdt_set_gate(GATE, SEL_KERNEL_CODE, (uint32_t)gates_wide, ACCESS_CALL32, (uint8_t)gates_values);
        run_user((void (*)(void))gates_wide_call);
        CHECK((uint16_t)gates_seen_cs == SEL_KERNEL_CODE);
        CHECK(frame_is(true, (uint32_t)gates_wide_back, SEL_USER_CODE, (uint32_t)user_stack + sizeof user_stack, SEL_USER_DATA));
    }
    return true;
}

/* 16 bits of everything: the program runs in segments that begin where it is. */
static bool parameters_narrow(void)
{
    gdt_set(OTHER_CODE, (uint32_t)gates_narrow_base, WINDOW, 0xfa, 0x4);
    gdt_set(OTHER_STACK, (uint32_t)user_stack, WINDOW, 0xf2, 0x4);
    gdt_set(SEL_SPARE, (uint32_t)gates_narrow, WINDOW, 0x9a, 0x4);
    for (gates_values = 0; gates_values <= PARAMETERS_MOST; gates_values++) {
        gdt_set_gate(GATE, SEL_SPARE, 0xabcd0000, ACCESS_CALL16, (uint8_t)gates_values); /* the upper half does not count */
        run_user((void (*)(void))gates_narrow_call);
        CHECK((uint16_t)gates_seen_cs == SEL_SPARE);
        CHECK(frame_is(false, (uint32_t)(gates_narrow_back - gates_narrow_base), OTHER_CODE | 3, SP_AT, OTHER_STACK | 3));
    }
    return true;
}

/* --- ring 3 to 1 to 0 and back ---------------------------------------------- */

uint32_t gates_way[16];
extern char gates_ring1[], gates_ring0[], gates_start[];
__asm__(".text; .globl gates_start; gates_start: lcall $0x7b, $0; movl %ds, %eax; ss; movl %eax, gates_way; movl %es, %eax; ss; movl %eax, gates_way+4;"
        "movl $0x23, %eax; movl %eax, %ds; movl %esp, gates_way+8; int $0x81;"
        ".globl gates_ring1; gates_ring1: movw %cs, gates_way+12; movw %ss, gates_way+16; movl $0x59, %eax; movl %eax, %ds; movl $0x23, %eax; movl %eax, %es;"
        "lcall $0x71, $0; movw %cs, gates_way+20; movw %ss, gates_way+24; movw %ds, gates_way+28; movl %esp, gates_way+32; lret;"
        ".globl gates_ring0; gates_ring0: movw %cs, gates_way+36; movw %ss, gates_way+40; lret");

static bool through_rings(void)
{
    gdt_set_gate(GATE1, CODE1, (uint32_t)gates_ring1, ACCESS_CALL32, 0);
    gdt_set_gate(GATE, SEL_KERNEL_CODE, (uint32_t)gates_ring0, 0xac, 0); /* for ring 1 */
    run_user((void (*)(void))gates_start);
    CHECK((uint16_t)gates_way[3] == (CODE1 | 1) && (uint16_t)gates_way[4] == (DATA1 | 1));
    CHECK((uint16_t)gates_way[9] == SEL_KERNEL_CODE && (uint16_t)gates_way[10] == SEL_KERNEL_DATA);
    CHECK((uint16_t)gates_way[5] == (CODE1 | 1) && (uint16_t)gates_way[6] == (DATA1 | 1) && (uint16_t)gates_way[7] == (DATA1 | 1));
    CHECK(gates_way[8] == main_tss.esp1 - 16);
    CHECK((uint16_t)gates_way[0] == 0 && (uint16_t)gates_way[1] == SEL_USER_DATA && gates_way[2] == (uint32_t)user_stack + sizeof user_stack);
    return true;
}

/* --- conforming code ---------------------------------------------------------- */

extern char gates_conform[], gates_conform_handler[], gates_conform_call[];
__asm__(".text; .globl gates_conform; gates_conform: movw %cs, gates_way; movl %esp, gates_way+4; lret;"
        ".globl gates_conform_handler; gates_conform_handler: movw %cs, gates_way+8; movl %esp, gates_way+12; movl (%esp), %eax; movl %eax, gates_way+16; iretl;"
        ".globl gates_conform_call; gates_conform_call: movl %esp, gates_way+20; lcall $0x60, $gates_conform; lcall $0x73, $0; int $0x90; 1: movl $1b, gates_way+24;"
        "lcall $0x60, $gates_conform; cli");

static void in_user(void *code) { run_user((void (*)(void))code); }

static bool conforming(void)
{
    struct frame f;

    memory_set(gates_way, 0, sizeof gates_way);
    gdt_set(OTHER_CODE, 0, 0xfffff, 0x9e, 0xc);
    gdt_set_gate(GATE, OTHER_CODE, (uint32_t)gates_conform, ACCESS_CALL32, 3); /* no stack is switched, nothing copied */
    trap_set_gate_to(VECTOR, OTHER_CODE, (uint32_t)gates_conform_handler, 0xef);
    CHECK(catch_fault(in_user, gates_conform_call, &f));
    trap_set_gate(VECTOR, NULL, 3, false);
    CHECK(f.vector == GP && f.error == 0 && f.cs == SEL_USER_CODE); /* CLI: still ring 3 */
    CHECK((uint16_t)gates_way[0] == (OTHER_CODE | 3) && gates_way[1] == gates_way[5] - 8);
    CHECK((uint16_t)gates_way[2] == (OTHER_CODE | 3) && gates_way[3] == gates_way[5] - 12 && gates_way[4] == gates_way[6]);
    return true;
}

/* --- interrupts into ring 1, and of 16 bits ------------------------------------ */

extern char gates_handler1[], gates_handler16[], gates_int[], gates_int_behind[];
__asm__(".text; .globl gates_handler1; gates_handler1: movw %cs, gates_seen_cs; movw %ss, gates_seen_ss; movl %esp, gates_seen_esp; pushl (%esp); popl gates_seen;"
        "pushfl; popl gates_seen+4; iretl;"
        ".globl gates_handler16; gates_handler16: movw %cs, gates_seen_cs; movw %ss, gates_seen_ss; movl %esp, gates_seen_esp; pushl (%esp); popl gates_seen; pushl 4(%esp); popl gates_seen+4;"
        "int $0x81;"
        ".globl gates_int; gates_int: movl %esp, gates_back_esp; int $0x90; .globl gates_int_behind; gates_int_behind: subl %esp, gates_back_esp; int $0x81");

static bool inner_interrupts(void)
{
    trap_set_gate_to(VECTOR, CODE1, (uint32_t)gates_handler1, 0xef);
    run_user((void (*)(void))gates_int);
    CHECK((uint16_t)gates_seen_cs == (CODE1 | 1) && (uint16_t)gates_seen_ss == (DATA1 | 1) && gates_seen_esp == main_tss.esp1 - 20);
    CHECK(gates_seen[0] == (uint32_t)gates_int_behind && gates_seen[1] & 0x200 && gates_back_esp == 0);
    gdt_set(SEL_SPARE, (uint32_t)gates_handler16, WINDOW, 0x9a, 0x4);
    trap_set_gate_to(VECTOR, SEL_SPARE, 0xabcd0000, 0xe6);
    run_user((void (*)(void))gates_int);
    trap_set_gate(VECTOR, NULL, 3, false);
    CHECK((uint16_t)gates_seen_cs == SEL_SPARE && gates_seen_esp == main_tss.esp0 - 10);
    CHECK(gates_seen[0] == ((uint32_t)gates_int_behind & 0xffff) + (SEL_USER_CODE << 16) && (gates_seen[1] & 0x200) && gates_seen[1] >> 16 == (gates_back_esp & 0xffff));
    return true;
}

/* --- what each check reports ----------------------------------------------------- */

extern char gates_try_call[], gates_try_jump[];
__asm__(".text; .globl gates_try_call; gates_try_call: lcall $0x73, $0; int $0x81; .globl gates_try_jump; gates_try_jump: ljmp $0x73, $0");

static bool refused(void *code, unsigned vector, uint32_t error)
{
    struct frame f;

    CHECK(catch_fault(in_user, code, &f));
    CHECK(f.vector == vector && f.error == error && f.cs == SEL_USER_CODE && f.eip == (uint32_t)code);
    CHECK(f.esp == (uint32_t)user_stack + sizeof user_stack && f.ss == SEL_USER_DATA);
    return true;
}

static bool refused_by_stack(unsigned vector, uint32_t error)
{
    const uint32_t esp = main_tss.esp1;
    const bool right = refused(gates_try_call, vector, error);

    main_tss.ss1 = DATA1 | 1;
    main_tss.esp1 = esp;
    gdt_set(DATA1, 0, 0xfffff, 0xb2, 0xc);
    return right;
}

static bool refusals(void)
{
    gdt_set_gate(GATE, SEL_KERNEL_CODE, 0, 0x8c, 0);
    CHECK(refused(gates_try_call, GP, GATE)); /* DPL 0 */
    gdt_set_gate(GATE, SEL_KERNEL_CODE, 0, 0x6c, 0);
    CHECK(refused(gates_try_call, NP, GATE));
    gdt_set_gate(GATE, 0, 0, 0xec, 0);
    CHECK(refused(gates_try_call, GP, 0));
    gdt_set_gate(GATE, SEL_KERNEL_DATA, 0, 0xec, 0);
    CHECK(refused(gates_try_call, GP, SEL_KERNEL_DATA));
    gdt_set_gate(GATE, 0x80, 0, 0xec, 0); /* beyond the table */
    CHECK(refused(gates_try_call, GP, 0x80));
    gdt_set(SEL_SPARE, 0, 0xfffff, 0x1a, 0xc);
    gdt_set_gate(GATE, SEL_SPARE, 0, 0xec, 0);
    CHECK(refused(gates_try_call, NP, SEL_SPARE));
    gdt_set_gate(GATE, SEL_KERNEL_CODE, 0, 0xec, 0);
    CHECK(refused(gates_try_jump, GP, SEL_KERNEL_CODE)); /* a jump keeps its ring */
    gdt_set(SEL_SPARE, 0, 0xfff, 0xba, 0x4);
    gdt_set_gate(GATE, SEL_SPARE, 0x1000, 0xec, 0);
    CHECK(refused(gates_try_call, GP, 0)); /* beyond the limit */
    return true;
}

static bool stack_refusals(void)
{
    gdt_set_gate(GATE, CODE1, (uint32_t)gates_ring1, 0xec, 0);
    main_tss.ss1 = 1;
    CHECK(refused_by_stack(TS, 0));
    main_tss.ss1 = SEL_KERNEL_DATA;
    CHECK(refused_by_stack(TS, SEL_KERNEL_DATA));
    gdt_set(DATA1, 0, 0xfffff, 0xb0, 0xc); /* read only */
    CHECK(refused_by_stack(TS, DATA1));
    gdt_set(DATA1, 0, 0xfffff, 0x32, 0xc); /* not present */
    CHECK(refused_by_stack(SS, DATA1));
    gdt_set(DATA1, (uint32_t)stack1, 0xfff, 0xb2, 0x4);
    main_tss.esp1 = 8; /* no room for four slots */
    CHECK(refused_by_stack(SS, DATA1));
    return true;
}

static const struct test tests[] = {
    { "parameters", parameters, NULL }, { "parameters_narrow", parameters_narrow, "does not cut the offset of a 16-bit gate" }, { "through_rings", through_rings, NULL },
    { "conforming", conforming, NULL }, { "inner_interrupts", inner_interrupts, "does not cut the offset of a 16-bit gate" }, { "refusals", refusals, "does not look at the limit of a gate's target" },
    { "stack_refusals", stack_refusals, "takes a null selector for an inner stack" }, { NULL, NULL, NULL },
};
const struct test_group group_gates = { "gates", tests, prepare };
