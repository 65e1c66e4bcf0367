/* SPDX-License-Identifier: BSD-2-Clause
 * The x87's instruction and data pointers and its opcode, as FNSTENV, FSAVE and FXSAVE
 * store them: of the last instruction that was executed and is none of control, wherever
 * in a block it stands. What it computed is group_fpu.c's affair. */
#include "guest.h"

static uint8_t area[512] __attribute__((aligned(16))), area2[512] __attribute__((aligned(16)));

struct environment32 { uint32_t control, status, tag, ip, cs_opcode, dp, ds; } __attribute__((packed));
struct environment16 { uint16_t control, status, tag, ip, cs, dp, ds; } __attribute__((packed));

static uint32_t operand_at(const void *p) { return (uint32_t)p; }

/* Of the last non-control instruction, and of the last with an operand. */
static bool last(void)
{
    struct environment32 e;
    struct environment16 n;
    static float value = 1.5f;
    uint32_t load, add;
    uint16_t control;

    __asm__ volatile("fninit; fnstenv %0" : "=m"(e)::"memory");
    CHECK(e.ip == 0 && (e.cs_opcode & 0x7ffffff) == 0 && e.dp == 0 && (uint16_t)e.ds == 0);
    __asm__ volatile("movl $1f, %1; movl $2f, %2; 1: flds %4; fnstcw %3; 2: fadd %%st(0), %%st; fnclex; fnstenv %0"
                     : "=m"(e), "=&r"(load), "=&r"(add), "=m"(control) : "m"(value) : "memory");
    CHECK(e.ip == add && (uint16_t)e.cs_opcode == SEL_KERNEL_CODE);
    CHECK(e.dp == operand_at(&value) && (uint16_t)e.ds == SEL_KERNEL_DATA);
    __asm__ volatile("fldcw %0" ::"m"(control)); /* FNSTENV has masked everything */
    __asm__ volatile("fsts %1; fnstenv %0" : "=m"(e), "=m"(value)::"memory");
    __asm__ volatile(".byte 0x66; fnstenv %0" : "=m"(n)::"memory");
    CHECK(n.ip == (uint16_t)e.ip && n.cs == SEL_KERNEL_CODE && n.dp == (uint16_t)e.dp && n.ds == SEL_KERNEL_DATA);
    __asm__ volatile("fninit; fnstenv %0" : "=m"(e)::"memory");
    CHECK(e.ip == 0 && (uint16_t)e.cs_opcode == 0 && e.dp == 0 && (uint16_t)e.ds == 0);
    return true;
}

/* FOP: the low three bits of the opcode and the ModRM byte. */
static bool opcode(void)
{
    struct environment32 e;
    static float value = 1.5f;
    __asm__ volatile("fninit; fld1; fld1; faddp; fnstenv %0" : "=m"(e)::"memory");
    CHECK(e.cs_opcode >> 16 == 0x6c1);
    __asm__ volatile("flds (%1); fnstenv %0" : "=m"(e) : "b"(&value) : "memory");
    CHECK(e.cs_opcode >> 16 == 0x103);
    __asm__ volatile("fninit");
    return true;
}

/* The offset, not the linear address, and the selector that the access went through. */
static bool by_segment(void)
{
    struct environment32 e;
    static float value[4] = { 1, 2, 3, 4 };
    gdt_set(SEL_SPARE, (uint32_t)value, 0xffff, 0x93, 0x4);
    __asm__ volatile("movl %1, %%fs; fninit; flds %%fs:8; movl %2, %%fs; fld1; fnstenv %0"
                     : "=m"(e) : "r"((uint32_t)SEL_SPARE), "r"(0) : "memory");
    CHECK(e.dp == 8 && (uint16_t)e.ds == SEL_SPARE);
    gdt_set(SEL_SPARE, (uint32_t)value, 0xfffff, 0x93, 0xc);
    __asm__ volatile("movl %1, %%fs; movl $12, %%ebx; fninit; flds %%fs:(%%ebx); fnstenv %0; movl %2, %%fs"
                     : "=m"(e) : "r"((uint32_t)SEL_SPARE), "r"(0) : "memory", "ebx");
    CHECK(e.dp == 12 && (uint16_t)e.ds == SEL_SPARE);
    __asm__ volatile("movl %1, %%fs; movl $0x10004, %%ebx; fninit; addr16 flds %%fs:(%%bx); fnstenv %0; movl %2, %%fs"
                     : "=m"(e) : "r"((uint32_t)SEL_SPARE), "r"(0) : "memory", "ebx");
    CHECK(e.dp == 4);
    __asm__ volatile("fninit");
    return true;
}

/* --- the same behind several instructions of one block --- */

static float sequence_value[4] = { 1, 2, 3, 4 };

static void spare_segment(void)
{
    gdt_set(SEL_SPARE, (uint32_t)sequence_value, 0xfffff, 0x93, 0xc);
    __asm__ volatile("movl %0, %%fs; fninit" ::"r"((uint32_t)SEL_SPARE) : "memory");
}

static bool environment_is(const struct environment32 *e, uint32_t ip, uint32_t dp, uint16_t ds)
{
    __asm__ volatile("movl %0, %%fs; fninit" ::"r"(0) : "memory");
    CHECK(e->ip == ip && (uint16_t)e->cs_opcode == SEL_KERNEL_CODE);
    CHECK(e->dp == dp && (uint16_t)e->ds == ds);
    return true;
}

/* Runs `code`, whose last x87 instruction is at label 1, with FS:8 a float and %2 another. */
#define SEQUENCE(code)                                                                              \
    (spare_segment(), ({ __asm__ volatile("movl $1f, %1; " code "; fnstenv %0"                      \
                                          : "=m"(e), "=&d"(at)                                      \
                                          : "m"(sequence_value[0]), "m"(made), "c"(0)               \
                                          : "memory", "cc", "eax"); }))
#define IS(dp, ds) environment_is(&e, at, dp, ds)

static bool in_sequence(void)
{
    const uint32_t flat = operand_at(sequence_value);
    struct environment32 e, made = { .control = 0x37f, .tag = 0xffff };
    uint32_t at;

    SEQUENCE("flds %2; fld1; 1: faddp");
    CHECK(IS(flat, SEL_KERNEL_DATA));
    SEQUENCE("flds %2; 1: fmuls %%fs:8");
    CHECK(IS(8, SEL_SPARE));
    SEQUENCE("flds %2; fmuls %%fs:8; fld1; incl %%eax; leal 4(%%eax), %%eax; 1: fxch");
    CHECK(IS(8, SEL_SPARE));
    SEQUENCE("flds %%fs:8; fmuls %2; testl %4, %4; jnz 2f; fldcw %3; 1: fld1; 2:");
    CHECK(IS(flat, SEL_KERNEL_DATA));
    SEQUENCE("flds %%fs:8; 1: fld1; testl %4, %4; jz 2f; fadds %2; 2:");
    CHECK(IS(8, SEL_SPARE));
    SEQUENCE("flds %2; call 3f; 1: fld1; jmp 2f; 3: flds %%fs:8; ret; 2:");
    CHECK(IS(8, SEL_SPARE));
    SEQUENCE("pushl %%fs; flds %%fs:8; fld1; movl %4, %%fs; fld1; popl %%fs; 1: fld1");
    CHECK(IS(8, SEL_SPARE));
    SEQUENCE("flds %%fs:8; fld1; movl %4, %%fs; 1: fld1");
    CHECK(IS(8, SEL_SPARE));
    SEQUENCE("flds %2; fld1; fninit; 1: fld1");
    CHECK(IS(0, 0));
    return true;
}

/* ... which another instruction has loaded in between. */
static bool loaded_between(void)
{
    struct environment32 e, made = { .control = 0x37f, .tag = 0xffff, .ip = 1, .cs_opcode = 2, .dp = 0x66778899, .ds = 0xaa };
    uint32_t at;

    SEQUENCE("flds %2; fldenv %3; 1: fld1");
    CHECK(IS(0x66778899, 0xaa));
    SEQUENCE("flds %2; fld1; fxsave area; fmuls %%fs:8; fxrstor area; 1: faddp");
    CHECK(IS(operand_at(sequence_value), SEL_KERNEL_DATA));
    SEQUENCE("flds %%fs:8; fsave area; flds %2; frstor area; 1: fld1");
    CHECK(IS(8, SEL_SPARE));
    SEQUENCE("flds %2; fsave area; 1: fld1");
    CHECK(IS(0, 0));
    return true;
}

static uint32_t sequence_at;
static void fault_in_sequence(void *unused)
{
    (void)unused;
    __asm__ volatile("movl $1f, sequence_at; fninit; flds %0; flds %%fs:8; 1: fld1; fadds 0x3f000000; fmuls %0; fld1"
                     ::"m"(sequence_value[0]) : "memory");
}

static void fault_at_second(void *unused)
{
    (void)unused;
    __asm__ volatile("movl $1f, sequence_at; fninit; 1: flds %%fs:8; fadds 0x3f000000; fld1" ::: "memory");
}

static void fault_at_store(void *unused)
{
    (void)unused;
    __asm__ volatile("movl $1f, sequence_at; fninit; flds %%fs:8; 1: fadds %0; fstps 0x3f000000; flds %%fs:8"
                     ::"m"(sequence_value[0]) : "memory");
}

/* Pointers behind `run`, which ends in a page fault; the second time, it is known to fault there. */
static bool at_fault(void (*run)(void *), uint32_t dp, uint16_t ds)
{
    struct environment32 e;
    struct frame f;

    for (unsigned time = 0; time < 2; time++) {
        spare_segment();
        CHECK(catch_fault(run, NULL, &f) && f.vector == 14);
        __asm__ volatile("fnstenv %0" : "=m"(e)::"memory");
        CHECK(environment_is(&e, sequence_at, dp, ds));
    }
    return true;
}

static bool at_fault_in_sequence(void)
{
    CHECK(at_fault(fault_in_sequence, 8, SEL_SPARE));
    CHECK(at_fault(fault_at_second, 8, SEL_SPARE));
    return true;
}

static bool at_fault_of_store(void)
{
    CHECK(at_fault(fault_at_store, operand_at(sequence_value), SEL_KERNEL_DATA));
    return true;
}

/* Operands of all kinds, whose address is no longer in registers at the fault, or is again. */
#define FAULTS(name, code)                                                                                        \
    static void name(void *unused)                                                                                \
    {                                                                                                             \
        (void)unused;                                                                                             \
        __asm__ volatile("movl $1f, sequence_at; fninit; " code "; fadds 0x3f000000; fld1; fmuls %0"              \
                         ::"m"(sequence_value[0]), "b"(sequence_value), "c"(2) : "memory", "cc", "edx");           \
    }
FAULTS(fault_behind_moved_base, "1: flds 4(%%ebx); leal 8(%%ebx), %%ebx")
FAULTS(fault_behind_moved_index, "flds %0; 1: fmuls (%%ebx,%%ecx,4); incl %%ecx")
FAULTS(fault_behind_indexed, "1: flds 4(%%ebx,%%ecx,4)")
FAULTS(fault_behind_16_bit, "movl $0x10004, %%edx; xchgl %%edx, %%ebx; 1: addr16 flds %%fs:4(%%bx)")
FAULTS(fault_behind_stack, "movl %%esp, %%edx; movl %%ebx, %%esp; 1: flds 12(%%esp); xchgl %%edx, %%esp; xchgl %%edx, %%ebx")
FAULTS(fault_behind_many, "flds %0; fadds %%fs:8; fld1; leal 8(%%ebx), %%edx; faddp; fxch; 1: fxch")

FAULTS(fault_behind_fninit, "flds %0; fadds %%fs:8; fninit; 1:")
FAULTS(fault_behind_stored, "flds %0; fadds %%fs:8; movl (%%ebx), %%edx; 1: fadds (%%ebx,%%ecx,4); movl $0, %%ecx")

static bool at_fault_behind_fninit(void)
{
    struct environment32 e;
    struct frame f;

    spare_segment();
    CHECK(catch_fault(fault_behind_fninit, NULL, &f) && f.vector == 14);
    __asm__ volatile("fnstenv %0" : "=m"(e)::"memory");
    __asm__ volatile("movl %0, %%fs; fninit" ::"r"(0) : "memory");
    CHECK(e.ip == 0 && e.dp == 0 && e.cs_opcode == 0 && (uint16_t)e.ds == 0);
    return true;
}

static bool at_fault_behind_operands(void)
{
    const uint32_t flat = operand_at(sequence_value);

    CHECK(at_fault(fault_behind_moved_base, flat + 4, SEL_KERNEL_DATA));
    CHECK(at_fault(fault_behind_moved_index, flat + 8, SEL_KERNEL_DATA));
    CHECK(at_fault(fault_behind_indexed, flat + 12, SEL_KERNEL_DATA));
    CHECK(at_fault(fault_behind_stack, flat + 12, SEL_KERNEL_DATA));
    CHECK(at_fault(fault_behind_many, 8, SEL_SPARE));
    CHECK(at_fault(fault_behind_stored, flat + 8, SEL_KERNEL_DATA));
    return true;
}

static bool at_fault_behind_16_bit(void)
{
    CHECK(at_fault(fault_behind_16_bit, 8, SEL_SPARE));
    return true;
}

static void divide_in_sequence(void *unused)
{
    uint16_t control = 0x37f & ~4;
    (void)unused;
    __asm__ volatile("movl $1f, sequence_at; fninit; fldcw %0; flds %1; 1: fdivs %%fs:16; incl %%eax; fmuls %1; fld1"
                     ::"m"(control), "m"(sequence_value[0]) : "memory", "cc", "eax");
}

/* The exception is found by the next instruction, whose operand is another. */
static bool of_exception_in_sequence(void)
{
    static float zero_behind[5] = { 1, 1, 1, 1, 0 };
    struct environment32 e;
    struct frame f;

    gdt_set(SEL_SPARE, (uint32_t)zero_behind, 0xfffff, 0x93, 0xc);
    __asm__ volatile("movl %0, %%fs; fninit" ::"r"((uint32_t)SEL_SPARE) : "memory");
    CHECK(catch_fault(divide_in_sequence, NULL, &f));
    __asm__ volatile("fnstenv %0" : "=m"(e)::"memory");
    CHECK(f.vector == 16 && environment_is(&e, sequence_at, 16, SEL_SPARE));
    return true;
}

static bool saved(void)
{
    struct environment32 e;
    static float value = 1.5f;
    uint32_t at;
    memory_set(area, 0xee, sizeof area);
    __asm__ volatile("movl $1f, %2; fninit; 1: flds %3; fxsave %0; fninit; fxrstor %0; fnstenv %1"
                     : "=m"(area), "=m"(e), "=&r"(at) : "m"(value) : "memory");
    CHECK(*(uint32_t *)(area + 8) == at && *(uint16_t *)(area + 12) == SEL_KERNEL_CODE);
    CHECK(*(uint32_t *)(area + 16) == operand_at(&value) && *(uint16_t *)(area + 20) == SEL_KERNEL_DATA);
    CHECK(e.ip == at && e.dp == operand_at(&value));
    __asm__ volatile("fnsave %0; fnstenv %1" : "=m"(area2), "=m"(e)::"memory"); /* initializes */
    CHECK(((struct environment32 *)area2)->ip == at && e.ip == 0 && e.dp == 0);
    __asm__ volatile("frstor %0; fnstenv %1" : "=m"(area2), "=m"(e)::"memory");
    CHECK(e.ip == at && e.dp == operand_at(&value));
    struct environment32 made = { .control = 0x37f, .tag = 0xffff, .ip = 0x11223344, .cs_opcode = 0x55, .dp = 0x66778899, .ds = 0xaa };
    __asm__ volatile("fldenv %1; fnstenv %0" : "=m"(e) : "m"(made) : "memory");
    CHECK(e.ip == 0x11223344 && (uint16_t)e.cs_opcode == 0x55 && e.dp == 0x66778899 && (uint16_t)e.ds == 0xaa);
    __asm__ volatile("fninit");
    return true;
}

static void divide_then_add(void *at)
{
    uint16_t control = 0x37f & ~4;
    __asm__ volatile("movl $1f, (%1); fninit; fldcw %0; fld1; fldz; 1: fdivrp; nop; fld1" ::"m"(control), "r"(at) : "memory");
}

/* At #MF: those of the instruction whose exception it is, not of the one that found it. */
static bool of_exception(void)
{
    struct environment32 e;
    struct frame f;
    uint32_t divide;
    CHECK(catch_fault(divide_then_add, &divide, &f));
    __asm__ volatile("fnstenv %0; fninit" : "=m"(e)::"memory");
    CHECK(f.vector == 16 && f.eip == divide + 3 && e.ip == divide);
    return true;
}

static void load_unmapped(void *unused)
{
    (void)unused;
    __asm__ volatile("flds 0x3f000000");
}

/* An instruction that faults has not been executed; and what runs in the handler has its own CS. */
static bool over_fault(void)
{
    struct environment32 e;
    struct frame f;
    uint32_t at;
    __asm__ volatile("movl $1f, %0; fninit; 1: fld1" : "=r"(at)::"memory");
    CHECK(catch_fault(load_unmapped, NULL, &f) && f.vector == 14);
    __asm__ volatile("fnstenv %0; fninit" : "=m"(e)::"memory");
    CHECK(e.ip == at && e.dp == 0);
    return true;
}

/* --- and in ring 3 --- */

static void user_x87(void)
{
    static float value = 2;
    __asm__ volatile("fninit; flds %0; fld1" ::"m"(value));
    user_exit();
}

static bool of_user(void)
{
    struct environment32 e;
    run_user(user_x87);
    __asm__ volatile("fnstenv %0; fninit" : "=m"(e)::"memory");
    CHECK((uint16_t)e.cs_opcode == SEL_USER_CODE && (uint16_t)e.ds == SEL_USER_DATA && e.ip != 0);
    return true;
}

/* A program's block goes on behind a CALL, and behind a segment load: what the last operand was is not known there. */
static struct environment32 user_environment;
static uint32_t user_at;
#define USER_SEQUENCE(name, code)                                                                                            \
    static void name(void)                                                                                                   \
    {                                                                                                                        \
        __asm__ volatile("movl %2, %%fs; fninit; movl $1f, %1; " code "; fnstenv %0; movl %3, %%fs"                          \
                         : "=m"(user_environment), "=m"(user_at) : "r"(SEL_SPARE | 3), "r"(0), "m"(sequence_value[0])       \
                         : "memory", "cc");                                                                                  \
        user_exit();                                                                                                         \
    }
USER_SEQUENCE(user_calls_far_operand, "flds %4; call 3f; 1: fld1; jmp 2f; 3: flds %%fs:8; ret; 2:")
USER_SEQUENCE(user_calls_near_operand, "flds %%fs:8; call 3f; 1: fld1; jmp 2f; 3: flds %4; ret; 2:")
USER_SEQUENCE(user_calls_twice, "flds %4; call 3f; fmuls %4; call 3f; 1: fld1; jmp 2f; 3: fadds %%fs:8; ret; 2:")
USER_SEQUENCE(user_loads_segment, "flds %%fs:8; fld1; movl %3, %%fs; 1: fld1")
USER_SEQUENCE(user_loads_both, "flds %4; movl %3, %%fs; fld1; movl %2, %%fs; fadds %%fs:8; 1: fld1")

static bool of_user_in_sequence(void)
{
    static const struct { void (*run)(void); bool far; } rows[] = {
        { user_calls_far_operand, true }, { user_calls_near_operand, false }, { user_calls_twice, true },
        { user_loads_segment, true }, { user_loads_both, true },
    };

    gdt_set(SEL_SPARE, (uint32_t)sequence_value, 0xfffff, 0xf3, 0xc);
    for (unsigned i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        bool far = rows[i / 2].far;
        run_user(rows[i / 2].run);
        CHECK(user_environment.ip == user_at && (uint16_t)user_environment.cs_opcode == SEL_USER_CODE);
        CHECK(user_environment.dp == (far ? 8 : operand_at(sequence_value)));
        CHECK((uint16_t)user_environment.ds == (far ? SEL_SPARE | 3 : SEL_USER_DATA));
    }
    return true;
}

static const struct test tests[] = {
    { "last", last, NULL }, { "opcode", opcode, "keeps no opcode" }, { "by_segment", by_segment, "does not cut a 16-bit offset" },
    { "saved", saved, "FXSAVE has no pointers" }, { "of_exception", of_exception, "raises #MF at FWAIT alone" },
    { "in_sequence", in_sequence, NULL }, { "loaded_between", loaded_between, "FXSAVE has no pointers" },
    { "at_fault_in_sequence", at_fault_in_sequence, NULL }, { "at_fault_of_store", at_fault_of_store, NULL },
    { "at_fault_behind_operands", at_fault_behind_operands, NULL },
    { "at_fault_behind_fninit", at_fault_behind_fninit, NULL },
    { "at_fault_behind_16_bit", at_fault_behind_16_bit, "does not cut a 16-bit offset" },
    { "of_exception_in_sequence", of_exception_in_sequence, "raises #MF at FWAIT alone" },
    { "over_fault", over_fault, NULL }, { "of_user", of_user, NULL }, { "of_user_in_sequence", of_user_in_sequence, NULL },
    { NULL, NULL, NULL },
};
const struct test_group group_x87_pointers = { "x87_pointers", tests, fpu_on };
