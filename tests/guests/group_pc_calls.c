/* SPDX-License-Identifier: BSD-2-Clause
 * CALLs that are only there for their return address, of thunks and of what stands behind
 * them: what they leave in registers, flags and below the stack; thunks that change, are
 * mapped away or are not there; words that cannot be pushed or read back; traps between. */
#include "guest.h"

enum { DB = 1, PF = 14, FLAG_CF = 1, NONE = 0x400, TURNS = 6, MOVES = 12 };

/* Two pages of code, frames for them, and where they are mapped. */
#define CODE (SCRATCH + 0x1c0000)
#define OTHER (SCRATCH + 0x1d0000)
#define AT 0x28000000u
#define ALIAS 0x28100000u
#define STACK 0x28200000u

typedef uint32_t code_at(void);
enum kind { HERE, AWAY, NEXT };

extern uint8_t pc_code[], pc_thunk_ebx[], pc_flags_read[], pc_flags_point[], pc_change_point[], pc_pushed_call[], pc_based_point[],
    pc_change[], pc_pushed[], pc_based[], pc_here_thunk_ebx[], pc_renewed[], pc_above[], pc_above_point[], pc_below[], pc_below_point[],
    pc_stepped[], pc_stepped_point[];
uint32_t pc_value, pc_word, pc_flags, pc_stack, pc_frames[2], pc_cell[4], pc_words[1024] __attribute__((aligned(4096)));

#define KEEP "pushl %ebx; pushl %esi; pushl %edi; pushl %ebp;"
#define BACK "popl %ebp; popl %edi; popl %esi; popl %ebx; ret\n"
#define THUNK(where, r) "pc_" where "_thunk_" r ": movl (%esp), %" r "; ret\n"
#define FORM(kind, r, call) \
    "pc_" kind "_" r ": " KEEP "movl %esp, pc_frames; stc; " call "; pc_" kind "_" r "_point: movl %" r ", pc_value\n" \
    "movl %esp, pc_frames + 4; movl -4(%esp), %" r "; movl %" r ", pc_word; pushfl; popl pc_flags;" BACK
#define EACH(r) \
    FORM("here", r, "call pc_here_thunk_" r) FORM("away", r, "call pc_away_thunk_" r) FORM("next", r, "call 1f; 1: popl %" r) \
    THUNK("here", r)

__asm__(".text; .p2align 12\n"
        "pc_code:\n"
        EACH("eax") EACH("ecx") EACH("edx") EACH("ebx") EACH("ebp") EACH("esi") EACH("edi")
        /* what stands for the thunk may read the flags, which nobody reads behind it; on a stack where each push is looked at */
        "pc_flags_read: pushl %ebx; movl %esp, %edx; movl $pc_words + 2048, %esp; xorl %ebx, %ebx; stc; call pc_thunk_ebx\n"
        "pc_flags_point: addl $0x100, %ebx; movl %edx, %esp; movl %ebx, %eax; popl %ebx; ret\n"
        /* the block stores into the thunk that it calls next */
        "pc_change: movl 4(%esp), %eax; movl 8(%esp), %edx; pushl %ebx; movb %dl, (%eax); call pc_thunk_ebx\n"
        "pc_change_point: movl %ebx, %eax; popl %ebx; ret\n"
        /* on another stack */
        "pc_pushed: pushl %ebx; movl %esp, %edx; movl pc_stack, %esp; pc_pushed_call: call pc_thunk_ebx\n"
        "movl %edx, %esp; movl %ebx, %eax; popl %ebx; ret\n"
        /* accesses off a register that what stands for the thunk may change */
        "pc_based: " KEEP "movl $pc_cell, %esi; movl (%esi), %eax; addl 4(%esi), %eax; call pc_thunk_ebx\n"
        "pc_based_point: addl 8(%esi), %eax; addl 12(%esi), %eax; addl (%esp), %eax; subl (%esp), %eax;" BACK
        /* a register whose accesses share a check gets the EIP; a store off it changes the code ahead */
        "pc_renewed: pushl %ebx; movl $pc_cell, %ebx; movl 4(%esp), %ecx; movl $20, 4(%ebx); movl $300, 8(%ebx); call pc_thunk_ebx\n"
        "1: movl 8(%esp), %ecx; movl %ecx, pc_renewed_point + 1 - 1b(%ebx); popl %ebx; pc_renewed_point: movl $0, %eax; ret\n"
        /* stack accesses on both sides share a check, of just what they reach */
        "pc_above: pushl %ebx; movl %esp, %edx; movl pc_stack, %esp; movl (%esp), %eax; call pc_thunk_ebx\n"
        "movl (%esp), %ecx; pc_above_point: movl 4(%esp), %eax; movl %edx, %esp; popl %ebx; ret\n"
        "pc_below: movl %esp, %edx; movl pc_stack, %esp; movl (%esp), %eax; call 1f\n"
        "1: movl (%esp), %ecx; pc_below_point: pushl %eax; movl %edx, %esp; ret\n"
        "pc_stepped: pushl %ebx; pushfl; orl $0x100, (%esp); popfl; call pc_thunk_ebx\n"
        "pc_stepped_point: pushfl; andl $~0x100, (%esp); popfl; movl %ebx, %eax; popl %ebx; ret\n"
        ".skip pc_code + 4096 - ., 0x90\n"
        ".skip 0x80, 0x90\n"
        "pc_thunk_ebx:" THUNK("away", "ebx")
        THUNK("away", "eax")
        THUNK("away", "ecx") THUNK("away", "edx") THUNK("away", "ebp") THUNK("away", "esi") THUNK("away", "edi")
        ".skip pc_code + 8192 - ., 0x90\n");

#define LABELS(r) \
    extern uint8_t pc_here_##r[], pc_away_##r[], pc_next_##r[], pc_here_##r##_point[], pc_away_##r##_point[], pc_next_##r##_point[];
LABELS(eax) LABELS(ecx) LABELS(edx) LABELS(ebx) LABELS(ebp) LABELS(esi) LABELS(edi)
static const struct { uint8_t *code, *point; enum kind kind; } forms[] = {
#define ROW(r) { pc_here_##r, pc_here_##r##_point, HERE }, { pc_away_##r, pc_away_##r##_point, AWAY }, { pc_next_##r, pc_next_##r##_point, NEXT },
    ROW(eax) ROW(ecx) ROW(edx) ROW(ebx) ROW(ebp) ROW(esi) ROW(edi)
};

static uint32_t place(uint32_t at, const uint8_t *label) { return at + (uint32_t)(label - pc_code); }
static void put(uint32_t to, const void *from, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
}
static void show(uint32_t at, uint32_t code, uint32_t thunk)
{
    pages_map(at, code | PTE_P | PTE_W | PTE_U);
    pages_map(at + 0x1000, thunk | (thunk ? PTE_P | PTE_W | PTE_U : 0));
}

/* CODE as it was assembled; OTHER the same with something else for the thunk. */
static void fresh(const void *instead, uint32_t size)
{
    put(CODE, pc_code, 8192);
    put(OTHER, pc_code, 8192);
    put(place(OTHER, pc_thunk_ebx), instead, size);
    show(AT, CODE, CODE + 0x1000);
}

static uint32_t user_code, user_result;
static void in_user(void)
{
    user_result = ((code_at *)user_code)();
    user_exit();
}
static uint32_t run(bool user, uint32_t at, const uint8_t *label)
{
    if (!user)
        return ((code_at *)place(at, label))();
    user_code = place(at, label);
    run_user(in_user);
    return user_result;
}
static void body(void *label) { run(false, AT, label); }

static void prepare(void)
{
    outb(0x21, 0xff); /* no timer in ring 3 */
    pages_on();
    pc_cell[0] = 1, pc_cell[1] = 20, pc_cell[2] = 300, pc_cell[3] = 4000;
}

static bool every_form(void)
{
    fresh("", 0);
    for (unsigned turn = 0; turn < 2 * TURNS; turn++)
        for (unsigned i = 0; i < sizeof forms / sizeof *forms; i++) {
            uint32_t point = place(AT, forms[i].point), word = forms[i].kind == NEXT ? point - 1 : point;
            run(turn & 1, AT, forms[i].code);
            CHECK(pc_value == word && pc_word == word && pc_flags & FLAG_CF && pc_frames[0] == pc_frames[1]);
        }
    return true;
}

/* Copies of the code at other addresses, with the thunk's page or another behind it. */
static bool moved(void)
{
    static const uint8_t instead[] = { 0x31, 0xdb, 0xc3 }; /* xor ebx, ebx; ret */
    struct frame f;

    fresh(instead, sizeof instead);
    for (unsigned turn = 0; turn < 2; turn++)
        for (uint32_t i = 0; i < MOVES; i++) {
            uint32_t at = AT + 0x400000 + i * 0x5000;
            bool other = (i + turn) % 3 == 2;
            show(at, CODE, (other ? OTHER : CODE) + 0x1000);
            CHECK(turn || run(true, AT, pc_flags_read) == place(AT, pc_flags_point) + 0x100); /* what is copied is in use */
            for (unsigned again = 0; again < 2; again++)
                CHECK(run(true, at, pc_flags_read) == 0x100 + (other ? 0 : place(at, pc_flags_point)));
        }
    fresh("", 0);
    for (uint32_t i = 0; i < MOVES; i++) { /* a page that nothing was known of, at first */
        uint32_t at = AT + 0x500000 + i * 0x5000;
        show(at, CODE, i & 1 ? CODE + 0x1000 : 0);
        user_code = place(at, pc_flags_read);
        CHECK(catch_fault((void (*)(void *))run_user, in_user, &f) == !(i & 1));
        CHECK(i & 1 ? user_result == place(at, pc_flags_point) + 0x100 : f.eip == place(at, pc_thunk_ebx));
    }
    return true;
}

/* Other bytes in its place: by its own mapping, by another, by the block that calls it next. */
static bool modified(void)
{
    static const uint8_t ebx_from_ecx[] = { 0x8b, 0x0c, 0x24, 0xc3 }; /* another register's */

    fresh("", 0);
    pages_map(ALIAS, (CODE + 0x1000) | PTE_P | PTE_W | PTE_U);
    for (unsigned turn = 0; turn < 2 * TURNS; turn++) {
        uint32_t thunk = place(turn & 2 ? ALIAS - 0x1000 : AT, pc_thunk_ebx), right = place(AT, pc_flags_point) + 0x100;
        CHECK(run(turn & 1, AT, pc_flags_read) == right);
        put(thunk, ebx_from_ecx, sizeof ebx_from_ecx);
        CHECK(run(turn & 1, AT, pc_flags_read) == 0x100);
        put(thunk, pc_thunk_ebx, 4);
        CHECK(run(turn & 1, AT, pc_flags_read) == right);
        put(thunk + 4, "\x90", 1); /* beside it */
        CHECK(run(turn & 1, AT, pc_flags_read) == right);
        put(thunk + 4, pc_thunk_ebx + 4, 1);
    }
    for (unsigned turn = 0; turn < TURNS; turn++) { /* MOV from [ESP] to EBX and EDX; NOP and RET */
        uint32_t (*change)(uint32_t, uint32_t) = (uint32_t(*)(uint32_t, uint32_t))place(AT, pc_change);
        uint32_t at = place(turn & 1 ? ALIAS - 0x1000 : AT, pc_thunk_ebx), point = place(AT, pc_change_point);
        CHECK(change(at + 1, 0x1c) == point);
        CHECK(change(at + 1, 0x14) != point);
        CHECK(change(at + 1, 0x1c) == point);
    }
    return true;
}

/* One on the page of its callers, and a store off the register that a thunk loads. */
static bool modified_here(void)
{
    fresh("", 0);
    for (unsigned turn = 0; turn < 2 * TURNS; turn++) {
        uint32_t (*renewed)(uint32_t) = (uint32_t(*)(uint32_t))place(AT, pc_renewed), thunk = place(AT, pc_here_thunk_ebx);
        run(turn & 1, AT, pc_here_ebx);
        CHECK(pc_value == place(AT, pc_here_ebx_point));
        put(thunk, "\x89\xe3\x90", 3); /* mov ebx, esp; nop */
        run(turn & 1, AT, pc_here_ebx);
        CHECK(pc_value == pc_frames[0] - 4);
        put(thunk, pc_here_thunk_ebx, 3);
        CHECK(renewed(turn) == turn);
    }
    return true;
}

/* The page with the thunk shows another frame, or none. */
static bool remapped(void)
{
    static const struct { uint8_t code[8]; uint8_t size; bool adds; uint32_t value; } instead[] = {
        { { 0xbb, 7, 0, 0, 0, 0xc3 }, 6, false, 7 },           /* mov ebx, 7 */
        { { 0x83, 0xdb, 0, 0x90, 0xc3 }, 5, false, UINT32_MAX }, /* sbb ebx, 0: it reads the flags */
        { { 0x8b, 0x1c, 0x24, 0x43, 0xc3 }, 5, true, 1 },       /* mov ebx, [esp]; inc ebx */
        { { 0x5b, 0xff, 0xe3 }, 3, true, 0 },                   /* pop ebx; jmp ebx */
        { { 0x8b, 0x1c, 0x24, 0xc3 }, 4, true, 0 },             /* the same */
    };
    struct frame f;

    for (unsigned turn = 0; turn < 4 * TURNS; turn++) {
        unsigned way = turn / 2 % (sizeof instead / sizeof *instead);
        uint32_t point = place(AT, pc_flags_point), other = instead[way].value + (instead[way].adds ? point : 0) + 0x100;
        fresh(instead[way].code, instead[way].size);
        for (unsigned again = 0; again < 3; again++) {
            CHECK(run(turn & 1, AT, pc_flags_read) == point + 0x100);
            show(AT, CODE, OTHER + 0x1000);
            CHECK(run(turn & 1, AT, pc_flags_read) == other && run(turn & 1, AT, pc_flags_read) == other);
            show(AT, CODE, CODE + 0x1000);
        }
        CHECK(run(turn & 1, AT, pc_flags_read) == point + 0x100);
        show(AT, CODE, 0);
        CHECK(catch_fault(body, pc_flags_read, &f) && f.vector == PF && f.eip == place(AT, pc_thunk_ebx) && caught_cr2 == f.eip);
        CHECK(f.ebx == 0 && f.eflags & FLAG_CF && *(uint32_t *)(f.esp_at_pusha + 20) == point); /* above the frame */
        show(AT, CODE, CODE + 0x1000);
    }
    return true;
}

/* What the block has looked at may be another when the CALL was one after all. */
static bool based(void)
{
    static const uint8_t elsewhere[] = { 0xbe, 0, 0, 0x40, 0x28, 0x8b, 0x1c, 0x24, 0xc3 }; /* mov esi, 28400000h; and the thunk */
    struct frame f;

    fresh(elsewhere, sizeof elsewhere);
    pages_map(0x28400000, 0);
    for (unsigned turn = 0; turn < TURNS; turn++) {
        CHECK(run(turn & 1, AT, pc_based) == 4321);
        show(AT, CODE, OTHER + 0x1000);
        CHECK(catch_fault(body, pc_based, &f) && f.vector == PF && f.eip == place(AT, pc_based_point) && caught_cr2 == 0x28400008);
        show(AT, CODE, CODE + 0x1000);
    }
    return true;
}

/* What is no thunk, though most of its bytes are one's. */
static bool near_misses(void)
{
    static const struct { uint8_t code[6]; bool adds; int32_t value; } others[] = {
        { { 0x2b, 0x1c, 0x24, 0xc3 }, false, 0 },       /* sub ebx, [esp] */
        { { 0x8b, 0x1a, 0xc3, 0xc3 }, true, 0 },        /* mov ebx, [edx] */
        { { 0x8b, 0x1c, 0x22, 0xc3 }, true, 0 },        /* the same with a SIB byte */
        { { 0x8b, 0x5c, 0x24, 0xc3, 0xc3 }, true, 0 },  /* mov ebx, [esp - 61] */
        { { 0x8b, 0x1c, 0x24, 0x43, 0xc3 }, true, 1 },  /* and inc ebx */
    };

    for (unsigned i = 0; i < sizeof others / sizeof *others; i++) {
        uint32_t point = place(AT, pc_flags_point), right;
        fresh("", 0);
        put(place(CODE, pc_thunk_ebx), others[i].code, sizeof others[i].code);
        for (unsigned turn = 0; turn < TURNS; turn++) {
            uint32_t result = run(turn & 1, AT, pc_flags_read) - 0x100;
            right = i == 0 ? -point : i == 4 ? point + 1 : result;
            CHECK(result == right && (i == 0 || i == 4 || result != point));
        }
    }
    return true;
}

/* --- pages ----------------------------------------------------------------------- */

/* PUSH EBX; CALL; MOV EAX, EBX; POP EBX; RET, at an offset of CODE. */
static uint32_t put_caller(uint32_t offset, uint32_t target)
{
    static const uint8_t before[] = { 0x53, 0xe8 }, behind[] = { 0x89, 0xd8, 0x5b, 0xc3 };
    uint32_t by = target - (offset + 6);

    put(CODE + offset, before, sizeof before);
    put(CODE + offset + 2, &by, 4);
    put(CODE + offset + 6, behind, sizeof behind);
    return AT + offset + 6;
}

static uint32_t called(bool user, uint32_t offset) { return run(user, AT + offset, pc_code); }

/* A CALL that ends with its page, a thunk that does not. */
static bool page_ends(void)
{
    static const uint8_t popped[] = { 0x58, 0x5b, 0xc3 }; /* pop eax; pop ebx; ret */

    for (unsigned turn = 0; turn < 2 * TURNS; turn++) {
        bool user = turn & 1;
        fresh("", 0);
        put(CODE + 0xe00, pc_thunk_ebx, 4);
        CHECK(put_caller(0xffa, turn & 2 ? 0xe00 : 0x1080) == called(user, 0xffa) && called(user, 0xffa) == AT + 0x1000);
        put_caller(0xffa, 0x1000);
        put(CODE + 0x1000, popped, sizeof popped);
        CHECK(called(user, 0xffa) == AT + 0x1000);
        put_caller(0xe20, 0x1ffe);
        put(CODE + 0x1ffe, pc_thunk_ebx, 4); /* on two neighbouring frames, but the next page shows another */
        put(OTHER + 0x2000, "\x24\x43\xc3", 3);
        pages_map(AT + 0x2000, (OTHER + 0x2000) | PTE_P | PTE_W | PTE_U);
        CHECK(called(user, 0xe20) == AT + 0xe27);
    }
    return true;
}

/* Two thunks, on two other pages; on another page that shows the caller's own frame. */
static bool pages(void)
{
    static const uint8_t first[] = { 0x53, 0x56, 0xe8 }, sum[] = { 0x8d, 0x04, 0x33, 0x5e, 0x5b, 0xc3 }; /* lea eax, [ebx + esi] .. */
    static const uint8_t esi_too[] = { 0x8b, 0x34, 0x24, 0xc3 }, cleared[] = { 0x31, 0xdb, 0xc3, 0xc3 }, esi_cleared[] = { 0x31, 0xf6, 0xc3, 0xc3 };
    const uint32_t to_first = 0x1080 - 0xe07, to_second = 0x2080 - 0xe0c, one = AT + 0xe07, other = AT + 0xe0c;

    for (unsigned turn = 0; turn < 2 * TURNS; turn++) {
        bool user = turn & 1;
        fresh("", 0);
        pages_map(AT + 0x2000, (CODE + 0x2000) | PTE_P | PTE_W | PTE_U);
        put(CODE + 0xe00, first, 3), put(CODE + 0xe03, &to_first, 4), put(CODE + 0xe07, first + 2, 1), put(CODE + 0xe08, &to_second, 4);
        put(CODE + 0xe0c, sum, sizeof sum);
        put(CODE + 0x2080, esi_too, 4);
        CHECK(called(user, 0xe00) == one + other && called(user, 0xe00) == one + other);
        put(CODE + (turn & 2 ? 0x1080 : 0x2080), turn & 2 ? cleared : esi_cleared, 4);
        CHECK(called(user, 0xe00) == (turn & 2 ? other : one));

        fresh("", 0);
        put(CODE + 0xe00, pc_thunk_ebx, 4);
        pages_map(AT + 0x1000, CODE | PTE_P | PTE_W | PTE_U);
        CHECK(put_caller(0xe20, 0x1e00) == called(user, 0xe20));
        put(CODE + 0xe00, cleared, 4);
        CHECK(called(user, 0xe20) == 0);
    }
    return true;
}

/* --- the word -------------------------------------------------------------------- */

static void user_body(void *label) { run(true, AT, label); }

/* In ring 3, whose faults come on another stack. */
static bool pushed(uint32_t stack, struct frame *f)
{
    pc_stack = stack;
    return catch_fault(user_body, pc_pushed, f);
}

static bool word_cannot_be_pushed(void)
{
    struct frame f;

    fresh("", 0);
    for (unsigned turn = 0; turn < 2 * TURNS; turn++) {
        uint32_t call = place(AT, pc_pushed_call), stack = STACK + 0x1000 + (turn & 3);
        show(STACK, OTHER + 0x2000, OTHER + 0x3000);
        CHECK(!pushed(stack, &f) && user_result == call + 5 && *(uint32_t *)(stack - 4) == call + 5);
        *(uint32_t *)(stack - 4) = 5;
        pages_map(STACK, turn & 4 ? 0 : (OTHER + 0x2000) | PTE_P | PTE_U); /* none, or one to read */
        CHECK(pushed(stack, &f) && f.vector == PF && f.eip == call && f.esp == stack && caught_cr2 == stack - 4);
        CHECK(f.error == (turn & 4 ? 6u : 7u));
        pages_map(STACK, (OTHER + 0x2000) | PTE_P | PTE_W | PTE_U);
        CHECK(*(uint32_t *)(stack - 4) == 5);
    }
    return true;
}

/* The next access of the stack is on a page that was there and is not. */
static bool next_word_missing(void)
{
    struct frame f;

    fresh("", 0);
    for (unsigned turn = 0; turn < 2 * TURNS; turn++) {
        bool above = turn & 1;
        const uint8_t *code = above ? pc_above : pc_below;
        show(STACK, OTHER + 0x2000, OTHER + 0x3000);
        pc_stack = STACK + 0x1000 + (above ? -4 : 4);
        for (unsigned again = 0; again < 3; again++)
            run(true, AT, code);
        pages_map(STACK + (above ? 0x1000 : 0), 0);
        CHECK(catch_fault(user_body, (void *)(uint32_t)code, &f) && f.vector == PF && f.eip == place(AT, above ? pc_above_point : pc_below_point));
        CHECK(caught_cr2 == STACK + (above ? 0x1000 : 0xffc) && f.esp == pc_stack - (above ? 0 : 4));
    }
    return true;
}

/* Where a device would be: what is read is not what was stored. */
static bool word_cannot_be_read_back(void)
{
    struct frame f;

    fresh("", 0);
    for (unsigned turn = 0, faulted; turn < TURNS; turn++) {
        show(STACK, OTHER + 0x2000, 0xd8000000);
        CHECK(!pushed(STACK + 0x800, &f));
        pages_map(0, 0), pages_map(0xfffff000, 0);
        faulted = pushed(STACK + 0x1800, &f);
        pages_map(0, PTE_P | PTE_W | PTE_U);
        CHECK(faulted && f.vector == PF && f.eip == f.ebx && (f.eip == 0 || f.eip == UINT32_MAX) && f.esp == STACK + 0x1800);
    }
    return true;
}

/* The word is the thunk's last byte and three more: INC EBX and RET, of where the CALL ends. */
static bool word_is_code(void)
{
    static const uint8_t call[] = { 0x53, 0x89, 0xe2, 0xbc, 0, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0x89, 0xd4, 0x89, 0xd8, 0x5b, 0xc3 };
    enum { AS_CODE = 0x2830c343, CALL_END = 13 };
    uint32_t base = AS_CODE & ~0xfffu, start = AS_CODE - CALL_END, frame = CODE + (start & 0xfff), thunk, stack, by;

    for (unsigned turn = 0; turn < 2 * TURNS; turn++) {
        fresh("", 0);
        show(base, CODE, CODE + 0x1000), show(STACK, OTHER + 0x2000, OTHER + 0x3000);
        thunk = base + 0x1080 - (turn & 4 ? 0x1000 - 0x600 : 0); /* on the next page or on this one */
        put(thunk, pc_thunk_ebx, 4);
        put(thunk + 4, "\xc3\xc3\xc3\xc3", 4);
        put(frame, call, sizeof call);
        by = thunk - AS_CODE;
        put(frame + 9, &by, 4);
        for (unsigned again = 0; again < 3; again++) {
            stack = STACK + 0x800;
            put(frame + 4, &stack, 4);
            user_code = start;
            run_user(in_user);
            CHECK(user_result == AS_CODE);
        }
        stack = thunk + 7;
        put(frame + 4, &stack, 4);
        run_user(in_user);
        CHECK(user_result == AS_CODE + 1 && *(uint32_t *)(thunk + 3) == AS_CODE);
    }
    return true;
}

/* --- traps ------------------------------------------------------------------------- */

static uint32_t trap_eip[8];
static unsigned traps;

static void on_debug(struct frame *f)
{
    if (traps < sizeof trap_eip / sizeof *trap_eip)
        trap_eip[traps++] = f->eip;
    f->eflags |= 0x10000; /* RF */
}

static bool trapped(unsigned count, uint32_t first, uint32_t second, uint32_t third)
{
    return traps >= count && trap_eip[0] == first && (count == 1 || (trap_eip[1] == second && trap_eip[2] == third));
}

/* One breakpoint, for the CALL of a thunk on a stack of its own. */
static bool watched(uint32_t at, uint32_t control, unsigned count, uint32_t first, uint32_t second, uint32_t third)
{
    struct frame f;
    bool right;

    traps = 0;
    __asm__ volatile("movl %0, %%dr0; movl %1, %%dr7" ::"r"(at), "r"(control | 2 | NONE));
    right = !pushed(STACK + 0x900, &f);
    __asm__ volatile("movl %0, %%dr7" ::"r"(NONE));
    return right && traps == count && user_result == place(AT, pc_pushed_call) + 5 && trapped(count, first, second, third);
}

static bool stepped(void)
{
    const uint32_t thunk = place(AT, pc_thunk_ebx), point = place(AT, pc_stepped_point), after = place(AT, pc_pushed_call) + 5;
    enum { WRITE = 0xd0000, ACCESS = 0xf0000 };

    fresh("", 0);
    show(STACK, OTHER + 0x2000, OTHER + 0x3000);
    trap_set_handler(DB, on_debug);
    for (unsigned turn = 0; turn < TURNS; turn++) {
        traps = 0;
        CHECK(run(turn & 1, AT, pc_stepped) == point && trapped(3, thunk, thunk + 3, point));
        CHECK(watched(thunk, 0, 1, thunk, 0, 0) && watched(thunk + 3, 0, 1, thunk + 3, 0, 0));
        CHECK(watched(STACK + 0x8fc, WRITE, 1, thunk, 0, 0) && watched(STACK + 0x8fc, ACCESS, 3, thunk, thunk + 3, after));
        traps = 0;
        CHECK(run(turn & 1, AT, pc_flags_read) == place(AT, pc_flags_point) + 0x100 && traps == 0);
    }
    trap_set_handler(DB, NULL);
    return true;
}

static const struct test tests[] = {
    { "every_form", every_form, NULL }, { "moved", moved, NULL }, { "modified", modified, NULL },
    { "modified_here", modified_here, NULL }, { "remapped", remapped, NULL }, { "based", based, NULL },
    { "near_misses", near_misses, NULL }, { "page_ends", page_ends, NULL }, { "pages", pages, NULL },
    { "word_cannot_be_pushed", word_cannot_be_pushed, NULL }, { "next_word_missing", next_word_missing, NULL },
    { "word_cannot_be_read_back", word_cannot_be_read_back, NULL },    { "word_is_code", word_is_code, NULL }, { "stepped", stepped, NULL },
    { NULL, NULL, NULL },
};
const struct test_group group_pc_calls = { "pc_calls", tests, prepare };
