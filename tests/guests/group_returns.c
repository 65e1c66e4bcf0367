/* SPDX-License-Identifier: BSD-2-Clause
 * What may happen between a CALL and the code behind it: that code changes or is
 * mapped away, the callee goes back elsewhere or on another stack, segments and
 * control registers change, traps are asked for. */
#include "guest.h"

enum { DB = 1, NM = 7, GP = 13, PF = 14, CR0_WP = 0x10000, CR4_PGE = 0x80, TURNS = 6 };

/* Linear pages, and physical ones that are mapped there in turn. */
#define AT (SCRATCH + 0x40000)
#define FIRST (SCRATCH + 0x50000)
#define SECOND (SCRATCH + 0x60000)
#define ALIAS (SCRATCH + 0x70000)
#define STACK (SCRATCH + 0x100000)

typedef uint32_t code_at(void);

static void (*action)(void); /* what the callee does */
void returns_act(void);
void returns_act(void) { action(); }
static void nothing(void) {}

static bool faults(code_at *code, struct frame *f) { return catch_fault((void (*)(void *))(uint32_t)code, NULL, f); }

code_at returns_direct, returns_through, returns_skipped, returns_popped, returns_dropped, returns_moved, returns_released,
    returns_far, returns_self, returns_into, returns_deep, returns_unwound, returns_gs, returns_fs, returns_ds, returns_store, returns_jump,
    returns_jump_remapped, returns_watched;
extern uint8_t returns_callee[], returns_point[], returns_later[], returns_self_point[], returns_ds_point[],
    returns_store_point[], returns_watched_callee[];
uint32_t returns_turn, returns_saved, returns_where[2], returns_selector;

__asm__(".text\n"
        "returns_callee: pushal; call returns_act; popal; ret\n"
        "returns_direct: call returns_callee\n"
        "returns_point: movl $1, %eax; nop; nop\n"
        "returns_later: addl $0x10, %eax; ret\n"
        "returns_through: movl $returns_callee, %edx; call *%edx; movl $2, %eax; ret\n"
        /* the callee goes back 5 bytes further each second time */
        "returns_skipped: movl $7, %eax; call 1f; movl $1, %eax; ret\n"
        "1: incl returns_turn; testb $1, returns_turn; jz 2f; addl $5, (%esp); 2: ret\n"
        "returns_popped: movl $7, %eax; call 1f; movl $1, %eax; ret\n"
        "1: popl %edx; incl returns_turn; testb $1, returns_turn; jz 2f; addl $5, %edx; 2: jmp *%edx\n"
        "returns_dropped: call 1f; movl $1, %eax; ret\n"
        "1: incl returns_turn; testb $1, returns_turn; jz 2f; addl $4, %esp; movl $7, %eax; ret; 2: ret\n"
        /* on another stack, to elsewhere */
        "returns_moved: call 1f; 3: movl $1, %eax; ret; 4: movl $7, %eax; movl %edx, %esp; popl %ecx; ret\n"
        "1: incl returns_turn; testb $1, returns_turn; jz 2f; movl %esp, %edx; movl $returns_where + 4, %esp; pushl $4b; 2: ret\n"
        "returns_released: movl %esp, %edx; pushl $5; pushl $6; call 1f; movl %edx, %eax; subl %esp, %eax; movl %edx, %esp; ret\n"
        "1: incl returns_turn; testb $1, returns_turn; jz 2f; ret $4; 2: ret $8\n"
        "returns_far: pushl %cs; call 1f; movl $1, %eax; ret; 1: lretl\n"
        /* the CALL's own push is the next instruction's operand */
        "returns_self: movl %esp, %ecx; movl $returns_self_point + 5, %esp; call 1f\n"
        "returns_self_point: movl $0x11111111, %eax; movl %ecx, %esp; ret; 1: ret\n"
        "returns_into: pushfl; pushl %cs; pushl $returns_point; iretl\n"
        /* 3000 deep; and back from there at once */
        "returns_deep: movl %esp, %edx; movl $" "0x500000" ", %esp; movl $3000, %ecx; xorl %eax, %eax; call 1f; movl %edx, %esp; ret\n"
        "1: pushl %ecx; decl %ecx; jz 2f; call 1b; 2: popl %ecx; addl %ecx, %eax; ret\n"
        "returns_unwound: movl %esp, %edx; movl $" "0x500000" ", %esp; movl $1500, %ecx; call 1f; movl %edx, %esp; movl $9, %eax; ret\n"
        "1: decl %ecx; jz 2f; call 1b; ret; 2: movl $" "0x500000" " - 4, %esp; ret\n"
        "returns_gs: call 1f; movl %gs:0, %eax; ret; 1: movl returns_selector, %eax; movl %eax, %gs; ret\n"
        "returns_fs: call 1f; movl %fs:0, %eax; ret; 1: movl returns_selector, %eax; movl %eax, %fs; ret\n"
        "returns_ds: call 1f; returns_ds_point: movl 0x500000, %eax; movl %ss, %edx; movl %edx, %ds; ret\n"
        "1: movl returns_selector, %eax; movl %eax, %ds; ret\n"
        "returns_store: call returns_callee; returns_store_point: movl $5, 0x440000; movl $1, %eax; ret\n"
        "returns_jump: jmp 0x440000\n"
        "returns_jump_remapped: movl 4(%esp), %eax; movl 8(%esp), %edx; movl %eax, (%edx); invlpg 0x440000; jmp 0x440000\n"
        "returns_watched: movl %esp, %edx; movl $0x500000, %esp; call returns_watched_callee; movl %edx, %esp; ret\n"
        "returns_watched_callee: ret\n");

static void copy(uint32_t to, const void *from, uint32_t size)
{
    const uint8_t *bytes = from;

    for (uint32_t i = 0; i < size; i++)
        ((volatile uint8_t *)to)[i] = bytes[i];
}

/* --- the code behind the CALL changes ---------------------------------------- */

static uint32_t patch;
static void write_point(void) { copy((uint32_t)returns_point + 1, &patch, 4); }
static void write_later(void) { copy((uint32_t)returns_later + 2, &patch, 1); }

static void write_alias(void)
{
    uint32_t point = (uint32_t)returns_point + 1;
    copy(ALIAS | (point & 0xfff), &patch, 4);
}

static void write_string(void)
{
    const void *from = &patch;
    void *to = returns_point + 1;
    uint32_t count = 4;
    __asm__ volatile("cld; rep movsb" : "+S"(from), "+D"(to), "+c"(count)::"memory");
}

static void write_push(void)
{
    __asm__ volatile("movl %%esp, %%edx; movl %0, %%esp; pushl %1; movl %%edx, %%esp" ::"r"(returns_point + 5), "r"(patch) : "edx", "memory");
}

static void write_add(void) { __asm__ volatile("lock addl $3, 1(%0)" ::"r"(returns_point) : "memory"); }

static bool rewritten(void)
{
    static void (*const ways[])(void) = { write_point, write_alias, write_string, write_push };

    pages_map(ALIAS, ((uint32_t)returns_point & ~0xfffu) | PTE_P | PTE_W);
    for (unsigned w = 0; w < sizeof ways / sizeof *ways; w++)
        for (patch = 100; patch < 100 + TURNS; patch++) {
            action = ways[w];
            CHECK(returns_direct() == patch + 0x10);
            action = nothing;
            CHECK(returns_direct() == patch + 0x10);
        }
    action = write_add;
    for (unsigned i = 1; i < TURNS; i++)
        CHECK(returns_direct() == 105 + 3 * i + 0x10);
    patch = 1;
    write_point();
    action = write_later;
    for (patch = 0x20; patch < 0x20 + TURNS; patch++)
        CHECK(returns_direct() == 1 + patch);
    patch = 0x10;
    write_later();
    return true;
}

static bool overwritten_by_call(void)
{
    for (uint32_t i = 0; i < TURNS; i++) {
        copy((uint32_t)returns_self_point + 1, &i, 4);
        CHECK(returns_self() == (uint32_t)returns_self_point);
    }
    return true;
}

/* --- it is mapped anew -------------------------------------------------------- */

static uint32_t entry_to_be, page_to_be;
static void map_it(void) { pages_map(page_to_be, entry_to_be); }
static void map_and_load(void)
{
    *pages_entry(page_to_be) = entry_to_be;
    WRITE_CR(3, READ_CR(3));
}
static void map_and_toggle(void)
{
    *pages_entry(page_to_be) = entry_to_be;
    WRITE_CR(4, READ_CR(4) & ~(uint32_t)CR4_PGE);
    WRITE_CR(4, READ_CR(4) | CR4_PGE);
}

/* MOV EDX, callee; CALL EDX; MOV EAX, value; RET, at `offset` of two pages in a row. */
static uint32_t make_caller(uint32_t pages, uint32_t offset, uint32_t value)
{
    uint8_t code[] = { 0xba, 0, 0, 0, 0, 0xff, 0xd2, 0xb8, 0, 0, 0, 0, 0xc3 };
    uint32_t callee = (uint32_t)returns_callee;

    __builtin_memcpy(code + 1, &callee, 4);
    __builtin_memcpy(code + 8, &value, 4);
    copy(pages + offset, code, sizeof code);
    return offset + 7;
}

static bool remapped_at(uint32_t offset, uint32_t flags, void (*how)(void))
{
    code_at *caller = (code_at *)(AT + offset);
    uint32_t point = make_caller(FIRST, offset, 0x01010101);
    uint32_t first = point >= 0xffc && point < 0xfff ? 0xfff - point : 0; /* bytes of the operand that stay */
    uint32_t stay = (1u << first * 8) - 1;
    struct frame f;

    make_caller(SECOND, offset, 0x02020202);
    page_to_be = AT + (point > 0xffb ? 0x1000 : 0); /* where the operand's last byte is */
    for (unsigned i = 0; i < TURNS; i++) {
        uint32_t from = i & 1 ? SECOND : FIRST, to = i & 1 ? FIRST : SECOND;
        pages_map(AT, FIRST | flags);
        pages_map(AT + 0x1000, (FIRST + 0x1000) | flags);
        pages_map(page_to_be, (from + page_to_be - AT) | flags);
        uint32_t before = (i & 1 ? 0x02020202 & ~stay : 0x01010101 & ~stay) | (0x01010101 & stay);
        uint32_t after = (i & 1 ? 0x01010101 & ~stay : 0x02020202 & ~stay) | (0x01010101 & stay);
        action = nothing;
        CHECK(caller() == before && caller() == before);
        entry_to_be = (to + page_to_be - AT) | flags;
        action = how;
        CHECK(caller() == after);
        action = nothing;
        CHECK(caller() == after);
    }
    /* and away */
    entry_to_be = 0;
    action = how;
    CHECK(faults(caller, &f));
    CHECK(f.vector == PF && f.eip == AT + point && caught_cr2 == (page_to_be > f.eip ? page_to_be : f.eip) && f.error == 0);
    pages_map(AT, AT | PTE_P | PTE_W | PTE_U);
    pages_map(AT + 0x1000, (AT + 0x1000) | PTE_P | PTE_W | PTE_U);
    return true;
}

static bool remapped(void)
{
    static const uint32_t offsets[] = { 0x100, 0xff9, 0xffa, 0xff6, 0xff8, 0xff4 };

    for (unsigned i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        CHECK(remapped_at(offsets[i], PTE_P | PTE_W | PTE_U, map_it));
        CHECK(remapped_at(offsets[i], PTE_P | PTE_W, map_and_load));
        CHECK(remapped_at(offsets[i], PTE_P | PTE_W | PTE_G, map_it));
        CHECK(remapped_at(offsets[i], PTE_P | PTE_W | PTE_G, map_and_toggle));
    }
    return true;
}

/* A program's: the kernel maps its code anew while it is in a system call. */
static uint32_t user_result;
static void on_system_call(struct frame *f)
{
    (void)f;
    action();
}

/* call 1f; mov eax, value; mov [user_result], eax; int 0x81; 1: int 0x80; ret */
static void make_program(uint32_t page, uint32_t value)
{
    uint8_t code[] = { 0xe8, 12, 0, 0, 0, 0xb8, 0, 0, 0, 0, 0xa3, 0, 0, 0, 0, 0xcd, 0x81, 0xcd, 0x80, 0xc3 };
    uint32_t result = (uint32_t)&user_result;

    __builtin_memcpy(code + 6, &value, 4);
    __builtin_memcpy(code + 11, &result, 4);
    copy(page, code, sizeof code);
}

static bool remapped_in_system_call(void)
{
    static void (*const ways[])(void) = { map_it, map_and_load, map_and_toggle };

    trap_set_handler(0x80, on_system_call);
    make_program(FIRST, 1);
    make_program(SECOND, 2);
    page_to_be = AT;
    for (unsigned i = 0; i < 3 * TURNS; i++) {
        pages_map(AT, FIRST | PTE_P | PTE_W | PTE_U);
        action = nothing;
        run_user((void (*)(void))AT);
        CHECK(user_result == 1);
        entry_to_be = SECOND | PTE_P | PTE_W | PTE_U;
        action = ways[i % 3];
        run_user((void (*)(void))AT);
        CHECK(user_result == 2);
    }
    pages_map(AT, AT | PTE_P | PTE_W | PTE_U);
    return true;
}

/* A jump to another page, which leads elsewhere since. */
static bool jump_remapped(void)
{
    typedef uint32_t remap(uint32_t entry, uint32_t *at);
    static const uint8_t one[] = { 0xb8, 1, 0, 0, 0, 0xc3 }, two[] = { 0xb8, 2, 0, 0, 0, 0xc3 };
    remap *jump = (remap *)(uint32_t)returns_jump_remapped;

    copy(FIRST, one, sizeof one);
    copy(SECOND, two, sizeof two);
    for (uint32_t flags = PTE_P | PTE_W; flags <= (PTE_P | PTE_W | PTE_G); flags += PTE_G) {
        pages_map(AT, FIRST | flags);
        for (unsigned i = 0; i < 50; i++)
            CHECK(returns_jump() == 1 && jump(FIRST | flags, pages_entry(AT)) == 1);
        CHECK(jump(SECOND | flags, pages_entry(AT)) == 2 && returns_jump() == 2 && returns_jump() == 2);
        CHECK(jump(FIRST | flags, pages_entry(AT)) == 1 && returns_jump() == 1);
        entry_to_be = SECOND | flags;
        page_to_be = AT;
        map_and_toggle();
        CHECK(returns_jump() == 2);
    }
    pages_map(AT, AT | PTE_P | PTE_W | PTE_U);
    return true;
}

/* --- the callee goes back elsewhere ------------------------------------------- */

static bool elsewhere(void)
{
    returns_turn = 0;
    for (unsigned i = 0; i < TURNS; i++) {
        CHECK(returns_skipped() == 7 && returns_skipped() == 1);
        CHECK(returns_popped() == 7 && returns_popped() == 1);
        CHECK(returns_dropped() == 7 && returns_dropped() == 1);
        CHECK(returns_moved() == 7 && returns_moved() == 1);
        CHECK(returns_released() == 4 && returns_released() == 0);
        CHECK(returns_far() == 1 && returns_into() == 0x11);
        CHECK(returns_unwound() == 9);
        CHECK(returns_deep() == 3000u * 3001 / 2);
    }
    return true;
}

/* --- segments and control registers --------------------------------------------- */

static uint32_t cells[2] = { 0x1234, 0x5678 };

static bool segments(void)
{
    struct frame f;

    gdt_set(SEL_SPARE, (uint32_t)&cells[0], 3, 0x92, 4);
    gdt_set(SEL_SPARE2, (uint32_t)&cells[1], 0xfff, 0x92, 4);
    for (unsigned i = 0; i < TURNS; i++) {
        returns_selector = i & 1 ? SEL_SPARE2 : SEL_SPARE;
        CHECK(returns_gs() == cells[i & 1] && returns_fs() == cells[i & 1]);
        returns_selector = SEL_KERNEL_DATA;
        CHECK(returns_gs() == *(volatile uint32_t *)0 && returns_fs() == *(volatile uint32_t *)0);
        CHECK(!faults(returns_ds, &f));
        returns_selector = SEL_SPARE;
        CHECK(faults(returns_ds, &f));
        CHECK(f.vector == GP && f.eip == (uint32_t)returns_ds_point);
    }
    return true;
}

static void protect(void) { WRITE_CR(0, READ_CR(0) | CR0_WP); }
static void unprotect(void) { WRITE_CR(0, READ_CR(0) & ~(uint32_t)CR0_WP); }
static void task_switched(void) { WRITE_CR(0, READ_CR(0) | CR0_TS); }

static bool control(void)
{
    static const uint8_t use_fpu[] = { 0xba, 0, 0, 0, 0, 0xff, 0xd2, 0xdb, 0xe3, 0xc3 }; /* mov edx; call edx; fninit; ret */
    uint32_t callee = (uint32_t)returns_callee;
    struct frame f;

    pages_map(AT, AT | PTE_P);
    for (unsigned i = 0; i < TURNS; i++) {
        action = unprotect;
        CHECK(!faults(returns_store, &f));
        action = protect;
        CHECK(faults(returns_store, &f));
        CHECK(f.vector == PF && f.eip == (uint32_t)returns_store_point && caught_cr2 == AT);
    }
    pages_map(AT, AT | PTE_P | PTE_W | PTE_U);
    copy(AT, use_fpu, sizeof use_fpu);
    copy(AT + 1, &callee, 4);
    for (unsigned i = 0; i < TURNS; i++) {
        action = nothing;
        CHECK(!faults((code_at *)AT, &f));
        action = task_switched;
        CHECK(faults((code_at *)AT, &f));
        CHECK(f.vector == NM && f.eip == AT + 7);
        __asm__ volatile("clts");
    }
    return true;
}

/* --- traps ------------------------------------------------------------------------ */

static unsigned traps;
static uint32_t trapped[16];
static void on_debug(struct frame *f)
{
    if (traps < 16)
        trapped[traps] = f->eip;
    traps++;
    f->eflags |= 0x10000; /* RF */
    if (traps > 100)
        f->eflags &= ~0x100u;
}

#define STOP "pushfl; andl $~0x100, (%%esp); popfl;"
static bool stepped(void)
{
    uint32_t behind;

    trap_set_handler(DB, on_debug);
    for (unsigned i = 0; i < TURNS; i++) {
        traps = 0;
        __asm__ volatile("pushfl; orl $0x100, (%%esp); popfl; call 1f; 3: nop; jmp 2f; 1: ret; 2:" STOP "movl $3b, %0" : "=r"(behind)::"cc", "memory");
        CHECK(traps == 4 + 3 && trapped[1] == behind);
        traps = 0; /* asked for by the callee */
        __asm__ volatile("call 1f; 3: nop; jmp 2f; 1: pushfl; orl $0x100, (%%esp); popfl; ret; 2:" STOP "movl $3b, %0" : "=r"(behind)::"cc", "memory");
        CHECK(traps == 3 + 3 && trapped[0] == behind);
        traps = 0; /* and by it no more */
        __asm__ volatile("pushfl; orl $0x100, (%%esp); popfl; call 1f; 3: nop; jmp 2f; 1:" STOP "ret; 2: movl $3b, %0" : "=r"(behind)::"cc", "memory");
        CHECK(traps == 1 + 3);
    }
    trap_set_handler(DB, NULL);
    return true;
}

static uint32_t dr7_to_be;
static void set_dr7(void) { __asm__ volatile("movl %0, %%dr7" ::"r"(dr7_to_be)); }

static bool breakpoint_behind(void)
{
    trap_set_handler(DB, on_debug);
    __asm__ volatile("movl %0, %%dr0" ::"r"(returns_point));
    for (unsigned i = 0; i < TURNS; i++) {
        traps = 0;
        action = nothing;
        CHECK(returns_direct() == 0x11 && traps == 0);
        dr7_to_be = 0x402;
        action = set_dr7;
        CHECK(returns_direct() == 0x11 && traps == 1 && trapped[0] == (uint32_t)returns_point);
        action = nothing;
        CHECK(returns_direct() == 0x11 && traps == 2 && trapped[1] == (uint32_t)returns_point);
        dr7_to_be = 0x400;
        action = set_dr7;
        CHECK(returns_direct() == 0x11 && traps == 2);
    }
    trap_set_handler(DB, NULL);
    return true;
}

/* The CALL's push is watched. */
static bool breakpoint_on_slot(void)
{
    trap_set_handler(DB, on_debug);
    __asm__ volatile("movl %0, %%dr0" ::"r"(0x500000 - 4));
    for (unsigned i = 0; i < TURNS; i++) {
        traps = 0;
        returns_watched();
        dr7_to_be = 0xd0402;
        set_dr7();
        returns_watched();
        returns_watched();
        dr7_to_be = 0x400;
        set_dr7();
        CHECK(traps == 2 && trapped[0] == (uint32_t)returns_watched_callee && trapped[1] == trapped[0]);
    }
    trap_set_handler(DB, NULL);
    return true;
}

/* --- interrupts ---------------------------------------------------------------------- */

/* Out of the callee, to the code behind the CALL: its return address is still there. */
static void on_leave(struct frame *f) { f->eip = (uint32_t)returns_point; }

static bool left_by_interrupt(void)
{
    static const uint8_t code[] = { 0xe8, 0, 0, 0, 0, 0xcd, 0x82 }; /* call next; next: int 0x82 */

    trap_set_handler(0x82, on_leave);
    copy(AT, code, sizeof code);
    for (unsigned i = 0; i < TURNS; i++)
        CHECK(((code_at *)(AT + 5))() == 0x11);
    trap_set_handler(0x82, NULL);
    return true;
}

static const struct test tests[] = {
    { "rewritten", rewritten, NULL }, { "overwritten_by_call", overwritten_by_call, NULL }, { "remapped", remapped, NULL },
    { "remapped_in_system_call", remapped_in_system_call, NULL }, { "jump_remapped", jump_remapped, NULL },
    { "elsewhere", elsewhere, NULL }, { "segments", segments, "checks no limits" }, { "control", control, NULL },
    { "stepped", stepped, NULL }, { "breakpoint_behind", breakpoint_behind, NULL }, { "breakpoint_on_slot", breakpoint_on_slot, NULL },
    { "left_by_interrupt", left_by_interrupt, NULL }, { NULL, NULL, NULL },
};
const struct test_group group_returns = { "returns", tests, pages_on };
