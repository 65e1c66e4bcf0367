/* SPDX-License-Identifier: BSD-2-Clause
 * Segment limits at every kind of access: each instruction below at the first and last
 * place where its operand is inside, a byte further, and wholly outside, in segments that
 * expand up and down, of 32 and 16 bits, by FS and by SS; pushes and pops at the ends of
 * their stack. In ring 3, several times from the same place, as code that has settled;
 * after a fault nothing may have changed. */
#include "guest.h"

enum { GP = 13, STACK = 12, LIMIT = 0x2fff, TIMES = 5, AROUND = 512, SIZE = 0x20000, ESP = 0x2000 };
#define BASE (SCRATCH + 0x10000)

uint32_t limits_at; /* where the operand is, or ESP */

#define CODE(name, begin, body) \
    __asm__(".text; limits_" #name ": movl $0x3b, %edi; movl limits_at, %esi; " begin body "int $0x81"); \
    extern char limits_##name[] __asm__("limits_" #name);
#define BY_FS "movl %edi, %fs;"
#define BY_SS "movl %edi, %ss; movl $0x2000, %esp;" /* ESP */
#define BOTH(name, before, op) CODE(fs_##name, BY_FS before "fs; ", op) CODE(ss_##name, BY_SS before "ss; ", op)
#define ZERO "xorl %eax, %eax;"

BOTH(load1, , "movb (%esi), %al;")
BOTH(load2, , "movw (%esi), %ax;")
BOTH(load4, , "movl (%esi), %eax;")
BOTH(load4_indexed, ZERO, "movl (%esi,%eax,4), %eax;")
BOTH(store1, , "movb $1, (%esi);")
BOTH(store2, , "movw $0x101, (%esi);")
BOTH(store4, , "movl %esp, (%esi);")
BOTH(add4, , "addl $1, (%esi);")
BOTH(add1, , "incb (%esi);")
BOTH(compare4, , "cmpl $0, (%esi);")
BOTH(extend1, , "movzbl (%esi), %eax;")
BOTH(extend2, , "movswl (%esi), %eax;")
BOTH(multiply4, , "imull (%esi), %eax;")
BOTH(exchange4, , "xchgl %edi, (%esi);")
BOTH(compare_exchange4, ZERO, "cmpxchgl %edi, (%esi);")
BOTH(exchange8, ZERO "cltd; ", "cmpxchg8b (%esi);")
BOTH(bits4, ZERO, "btsl %eax, (%esi);")
BOTH(set1, "testl %esp, %esp; ", "setne (%esi);")
BOTH(shift4, , "notl (%esi);")
BOTH(lods1, "cld; ", "lodsb;")
BOTH(lods4, "cld; ", "lodsl;")
BOTH(movs4, "cld; movl $limits_here, %edi; ", "movsl;")
BOTH(rep_movs4, "cld; movl $1, %ecx; movl $limits_here, %edi; ", "rep; movsl;")
BOTH(rep_lods2, "cld; movl $1, %ecx; ", "rep; lodsw;")
BOTH(cmps4, "cld; movl $limits_here, %edi; ", "cmpsl;")
BOTH(float4, , "flds (%esi);")
BOTH(float8, , "fldl (%esi);")
BOTH(float10, , "fldt (%esi);")
BOTH(float_store10, "fldpi; ", "fstpt (%esi);")
BOTH(integer2, , "filds (%esi);")
BOTH(environment, , "fnstenv (%esi);")
BOTH(fpu_save, , "fnsave (%esi);")
BOTH(control, , "fnstcw (%esi);")
BOTH(vector16, , "movups (%esi), %xmm0;")
BOTH(vector_store16, "pcmpeqd %xmm0, %xmm0; ", "movups %xmm0, (%esi);")
BOTH(vector8, , "movq (%esi), %mm0;")
BOTH(vector_add4, , "addss (%esi), %xmm1;")
BOTH(bounds, ZERO, "boundl %eax, (%esi);")
BOTH(table, , "sgdtl (%esi);")
BOTH(far_pointer, , "lesl (%esi), %eax;")
BOTH(selector2, , "verr (%esi);")
BOTH(store_segment, , "movw %cs, (%esi);")
BOTH(load_segment, , "movw (%esi), %es;")
BOTH(push_operand4, , "pushl (%esi);")
BOTH(pop_operand4, "pushl $0x1234; ", "popl (%esi);")
CODE(fs_translate1, BY_FS "movl %esi, %ebx;" ZERO "fs; ", "xlatb;") CODE(ss_translate1, BY_SS "movl %esi, %ebx;" ZERO "ss; ", "xlatb;")
CODE(fs_several, BY_FS, "fs; movl (%esi), %eax; fs; movl 8(%esi), %ecx; fs; movl 4(%esi), %edx; fs; addl $1, 8(%esi);")
CODE(ss_several, BY_SS, "ss; movl (%esi), %eax; ss; movl 8(%esi), %ecx; ss; movl 4(%esi), %edx; ss; addl $1, 8(%esi);")
uint32_t limits_here;

struct shape {
    const char *name, *fs, *ss;
    uint16_t size;
    bool writes;
};
#define ROW(name, size, writes) { #name, limits_fs_##name, limits_ss_##name, size, writes }
static const struct shape shapes[] = {
    ROW(load1, 1, false), ROW(load2, 2, false), ROW(load4, 4, false), ROW(load4_indexed, 4, false), ROW(store1, 1, true), ROW(store2, 2, true),
    ROW(store4, 4, true), ROW(add4, 4, true), ROW(add1, 1, true), ROW(compare4, 4, false), ROW(extend1, 1, false), ROW(extend2, 2, false),
    ROW(multiply4, 4, false), ROW(exchange4, 4, true), ROW(compare_exchange4, 4, true), ROW(exchange8, 8, true), ROW(bits4, 4, true),
    ROW(set1, 1, true), ROW(shift4, 4, true), ROW(lods1, 1, false), ROW(lods4, 4, false), ROW(movs4, 4, false), ROW(rep_movs4, 4, false),
    ROW(rep_lods2, 2, false), ROW(cmps4, 4, false), ROW(float4, 4, false), ROW(float8, 8, false), ROW(float10, 10, false),
    ROW(float_store10, 10, true), ROW(integer2, 2, false), ROW(environment, 28, true), ROW(fpu_save, 108, true), ROW(control, 2, true),
    ROW(vector16, 16, false), ROW(vector_store16, 16, true), ROW(vector8, 8, false), ROW(vector_add4, 4, false), ROW(bounds, 8, false),
    ROW(table, 6, true), ROW(far_pointer, 6, false), ROW(selector2, 2, false), ROW(store_segment, 2, true), ROW(load_segment, 2, false),
    ROW(push_operand4, 4, false), ROW(pop_operand4, 4, true), ROW(translate1, 1, false), ROW(several, 12, true),
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void in_user(void *code)
{
    __asm__ volatile("fninit");
    run_user((void (*)(void))code);
}

static bool complain(const char *name, const char *what)
{
    print("  "), print(name), print(" at "), print_hex(limits_at), print(": "), print(what), print("\n");
    return false;
}

/* Whether nothing but zeros is about `at`, the stack's top apart. */
static bool untouched(uint32_t at)
{
    const uint8_t *memory = (uint8_t *)BASE;

    for (uint32_t i = at - AROUND; i != at + AROUND; i++)
        if (memory[i & (SIZE - 1)] != 0 && (i < ESP - 8 || i >= ESP))
            return false;
    return true;
}

/* Runs it with its operand at `at`, which must fault as `vector`, or not at all where that is 0. */
static bool try(const char *name, const char *code, uint32_t at, unsigned vector)
{
    struct frame f;

    limits_at = at;
    const bool faulted = catch_fault(in_user, (void *)code, &f);
    if (!vector)
        return !faulted || complain(name, "a fault");
    if (!faulted)
        return complain(name, "no fault");
    if (f.vector != vector || f.error != 0)
        return complain(name, "another fault");
    return (f.esi == at && untouched(at)) || complain(name, "something changed");
}

static void clear(void) { memory_set((void *)BASE, 0, SIZE); }

/* `first` and `last` byte inside. */
static bool edges(bool stack, uint32_t first, uint32_t last)
{
    const unsigned vector = stack ? STACK : GP;

    for (const struct shape *s = shapes; s < shapes + SHAPES; s++) {
        const char *code = stack ? s->ss : s->fs;
        for (unsigned n = 0; n < TIMES; n++) {
            clear();
            CHECK(try(s->name, code, last + 1 - s->size, 0) && try(s->name, code, first, 0));
            clear();
            if (code != limits_fs_several && code != limits_ss_several) { /* a part of those is inside */
                CHECK(try(s->name, code, last + 2 - s->size, vector));
                CHECK(first == 0 || try(s->name, code, first - 1, vector));
            }
            CHECK(try(s->name, code, last + 1, vector) && try(s->name, code, last + 0x801, vector));
            CHECK(try(s->name, code, first - s->size, vector)); /* 4 GiB less some where first is 0 */
        }
    }
    return true;
}

static bool up(void)
{
    gdt_set(SEL_SPARE, BASE, LIMIT, 0xf2, 0x4);
    CHECK(edges(false, 0, LIMIT));
    CHECK(edges(true, 0, LIMIT));
    return true;
}

/* What expands down is outside up to its limit; where it is small it ends at 64 KiB. */
static bool down(void)
{
    gdt_set(SEL_SPARE, BASE, 0xfff, 0xf6, 0x0);
    CHECK(edges(false, 0x1000, 0xffff));
    CHECK(edges(true, 0x1000, 0xffff));
    gdt_set(SEL_SPARE, BASE, 0xfff, 0xf6, 0x4);
    for (const struct shape *s = shapes; s < shapes + SHAPES; s++)
        for (unsigned n = 0; n < TIMES; n++) {
            clear();
            CHECK(try(s->name, s->fs, 0x1000, 0) && try(s->name, s->fs, 0x10000 - s->size / 2, 0));
            clear();
            CHECK(try(s->name, s->fs, 0xfff, GP) && try(s->name, s->ss, 0xfff, STACK));
        }
    return true;
}

/* Nothing is written to read-only data, nor to code. */
static bool rights(void)
{
    static const uint8_t kinds[] = { 0xf0, 0xfa, 0xfe };

    for (unsigned k = 0; k < sizeof kinds; k++) {
        gdt_set(SEL_SPARE, BASE, LIMIT, kinds[k], 0x4);
        for (const struct shape *s = shapes; s < shapes + SHAPES; s++)
            for (unsigned n = 0; n < TIMES; n++) {
                clear();
                CHECK(try(s->name, s->fs, 0x400, s->writes ? GP : 0));
            }
    }
    return true;
}

/* Code that may be run alone is not read, not even by itself, flat or not. */
extern char limits_read_code[];
__asm__(".text; limits_read_code: cs; movl limits_here, %eax; lret");
static void read_code(void *offset)
{
    const struct __attribute__((packed)) { uint32_t offset; uint16_t selector; } pointer = { (uint32_t)offset, SEL_SPARE };
    __asm__ volatile("lcall *%0" ::"m"(pointer) : "eax", "memory");
}

static bool unreadable(void)
{
    static const uint32_t limits[] = { 0xfffff, 0x7ffff };
    struct frame f;

    for (unsigned n = 0; n < TIMES; n++)
        for (unsigned k = 0; k < 2; k++) {
            gdt_set(SEL_SPARE, 0, limits[k], 0x9a, 0xc);
            CHECK(!catch_fault(read_code, limits_read_code, &f));
            gdt_set(SEL_SPARE, 0, limits[k], 0x98, 0xc);
            CHECK(catch_fault(read_code, limits_read_code, &f) && f.vector == GP && f.error == 0 && f.eip == (uint32_t)limits_read_code);
        }
    return true;
}

/* --- pushes and pops ------------------------------------------------------------------ */

#define STACKS(name, body) CODE(stack_##name, "movl %edi, %ss; movl %esi, %esp; movl %esi, %ebp; ", body)
STACKS(push4, "pushl %esi;")
STACKS(push2, "pushw %si;")
STACKS(push_byte, "pushl $1;")
STACKS(push_flags, "pushfl;")
STACKS(push_all, "pushal;")
STACKS(push_all2, "pushaw;")
STACKS(call, "call 1f; 1:")
STACKS(call_indirect, "movl $1f, %eax; call *%eax; 1:")
STACKS(call_far, "lcall $0x1b, $1f; 1:")
STACKS(push_two, "pushl %esi; pushl %esi;")
STACKS(enter, "enter $0, $0;")
STACKS(enter_frame, "enter $12, $0;")
STACKS(pop4, "popl %eax;")
STACKS(pop2, "popw %ax;")
STACKS(pop_flags, "popfl;")
STACKS(pop_all, "popal;")
STACKS(pop_two, "popl %eax; popl %ecx;")
STACKS(leave, "leave;")
STACKS(ret, "ss; movl $1f, (%esi); ret; 1:") /* the store faults itself when it is outside */
STACKS(read_top, "movl (%esp), %eax;")
STACKS(read_frame, "movl (%ebp), %eax;")

static const struct {
    const char *name, *code;
    int8_t size; /* negative: pushed */
} stacks[] = {
#define STACK_ROW(name, size) { #name, limits_stack_##name, size }
    STACK_ROW(push4, -4), STACK_ROW(push2, -2), STACK_ROW(push_byte, -4), STACK_ROW(push_flags, -4), STACK_ROW(push_all, -32),
    STACK_ROW(push_all2, -16), STACK_ROW(call, -4), STACK_ROW(call_indirect, -4), STACK_ROW(call_far, -8), STACK_ROW(push_two, -8), STACK_ROW(enter, -4), STACK_ROW(enter_frame, -16),
    STACK_ROW(pop4, 4), STACK_ROW(pop2, 2), STACK_ROW(pop_flags, 4), STACK_ROW(pop_all, 32), STACK_ROW(pop_two, 8), STACK_ROW(leave, 4),
    STACK_ROW(ret, 4), STACK_ROW(read_top, 4), STACK_ROW(read_frame, 4),
};

/* As try(), without a look at memory: a first push may have been made. */
static bool try_stack(unsigned i, uint32_t esp, bool inside)
{
    struct frame f;

    limits_at = esp;
    const bool faulted = catch_fault(in_user, (void *)stacks[i].code, &f);
    if (faulted == inside)
        return complain(stacks[i].name, inside ? "a fault" : "no fault");
    if (faulted && (f.vector != STACK || f.error != 0))
        return complain(stacks[i].name, "another fault");
    /* Two in a block may leave the first done; one instruction leaves ESP alone. */
    return !faulted || f.esp == esp || f.esp == esp + (stacks[i].size < 0 ? -4u : 4u) || complain(stacks[i].name, "ESP moved");
}

static bool stack_ends(uint32_t first, uint32_t last)
{
    for (unsigned i = 0; i < sizeof stacks / sizeof *stacks; i++)
        for (unsigned n = 0; n < TIMES; n++) {
            const uint32_t size = (uint32_t)(stacks[i].size < 0 ? -stacks[i].size : stacks[i].size);
            const uint32_t bottom = stacks[i].size < 0 ? size : 0; /* of ESP above what it uses */
            clear();
            CHECK(try_stack(i, first + bottom, true) && try_stack(i, last + 1 - size + bottom, true));
            CHECK(try_stack(i, first + bottom - 1, false) && try_stack(i, last + 2 - size + bottom, false));
            CHECK(try_stack(i, last + 0x800, false));
        }
    return true;
}

static bool stack_up(void)
{
    gdt_set(SEL_SPARE, BASE, LIMIT, 0xf2, 0x4);
    CHECK(stack_ends(0, LIMIT));
    return true;
}

static bool stack_down(void)
{
    gdt_set(SEL_SPARE, BASE + 0x10000, 0xffff8, 0xf6, 0xc); /* ffff9000 and up, the same memory */
    for (unsigned i = 0; i < sizeof stacks / sizeof *stacks; i++)
        for (unsigned n = 0; n < TIMES; n++) {
            const uint32_t bottom = stacks[i].size < 0 ? (uint32_t)-stacks[i].size : 0;
            clear();
            CHECK(try_stack(i, 0xffff9000 + bottom, true) && try_stack(i, 0xffff9000 + bottom - 1, false));
        }
    return true;
}

/* --- fetches ----------------------------------------------------------------------------- */

enum { PF = 14, MOV_EAX = 0xb8, LRET = 0xcb };

static void call_end(void *at)
{
    const struct __attribute__((packed)) { uint32_t offset; uint16_t selector; } pointer = { (uint32_t)at, SEL_SPARE };
    __asm__ volatile("lcall *%0" ::"m"(pointer) : "eax", "memory");
}

/* MOV EAX, 4 bytes, and a return, of which `inside` bytes are on the first page. */
static void write_code(uint32_t inside)
{
    uint8_t *code = (uint8_t *)BASE + 0x1000 - inside;

    code[0] = MOV_EAX, code[1] = code[2] = code[3] = code[4] = 0, code[5] = LRET;
}

/* CR2: of the second page, when that is what faults. */
static bool fetched(uint32_t inside, uint32_t limit, unsigned vector)
{
    const uint32_t at = 0x1000 - inside;
    struct frame f;

    gdt_set(SEL_SPARE, BASE, limit, 0x9a, 0x4);
    const bool faulted = catch_fault(call_end, (void *)at, &f);
    if (faulted != (vector != 0))
        return complain("fetch", faulted ? "a fault" : "no fault");
    if (!faulted)
        return true;
    CHECK(f.vector == vector && f.eip == at && f.cs == SEL_SPARE);
    CHECK(vector == GP ? f.error == 0 : caught_cr2 == BASE + 0x1000);
    return true;
}

/* A NOP is the segment's last byte: what stands behind it is fetched from nowhere. */
static bool runs_out(void)
{
    const uint32_t at = 0xfff;
    struct frame f;

    ((uint8_t *)BASE)[at] = 0x90;
    gdt_set(SEL_SPARE, BASE, at, 0x9a, 0x4);
    CHECK(catch_fault(call_end, (void *)at, &f) && f.vector == GP && f.error == 0 && f.eip == at + 1 && f.cs == SEL_SPARE);
    return true;
}

/* Of an instruction that begins inside and ends outside: the limit comes before the page behind it. */
static bool code_end(void)
{
    const uint32_t second = BASE + 0x1000, entry = second | PTE_P | PTE_W | PTE_U;
    bool ok = true;

    limits_at = BASE;
    for (unsigned n = 0; ok && n < TIMES; n++)
        for (uint32_t inside = 1; ok && inside < 5; inside++) {
            pages_map(second, entry);
            ok = runs_out();
            write_code(inside);
            ok = ok && fetched(inside, 0x1fff, 0) && fetched(inside, 0xfff, GP) && fetched(inside, 0x1000 - inside + 3, GP);
            pages_map(second, 0);
            ok = ok && fetched(inside, 0xfff, GP) && fetched(inside, 0x1fff, PF) && runs_out();
        }
    pages_map(second, entry);
    return ok;
}

static const struct test tests[] = {
    { "up", up, "checks no limits" }, { "down", down, "checks no limits" }, { "rights", rights, "checks no rights of segments" }, { "unreadable", unreadable, "checks no rights of segments" },
    { "stack_up", stack_up, "checks no limits" }, { "stack_down", stack_down, "checks no limits" }, { "code_end", code_end, "checks no limits" }, { NULL, NULL, NULL },
};
static void prepare(void)
{
    pages_on();
    WRITE_CR(0, READ_CR(0) & ~0xcu); /* EM, TS */
    WRITE_CR(4, READ_CR(4) | 0x200);  /* OSFXSR */
}
const struct test_group group_limits = { "limits", tests, prepare };
