/* SPDX-License-Identifier: BSD-2-Clause
 * The same pages of a program's code at many addresses: whatever depends on EIP is
 * right at each of them, a change of the bytes counts at all, and other code
 * segments and addresses near both ends of the space give nothing away. */
#include "guest.h"

enum { DE = 0, BYTES = 0x2000, SEEN = 10 };

/* The frames with the code, others, and where they are mapped. */
#define CODE (SCRATCH + 0x180000)
#define OTHER (SCRATCH + 0x190000)
#define LOW 0x30000000u
#define HIGH 0xbf800000u
#define LAST 0xffffe000u

extern uint8_t moves_code[], moves_code_end[], moves_fault[], moves_short[], moves_immediate[], moves_hop[], moves_x87[];
uint32_t moves_seen[SEEN], moves_table[101], moves_environment[7];
struct { uint32_t eip; uint16_t cs; } __attribute__((packed)) moves_pointer;

/* Two pages that need no fixed place; what they write does. */
__asm__(".text; .p2align 12\n"
        "moves_code: call 1f\n"
        "1: popl %eax; movl %eax, moves_seen\n"
        "xorl %edx, %edx; movl $100, %ecx\n"
        "2: addl moves_table(,%ecx,4), %edx; addl %ecx, moves_seen + 4; decl %ecx; jnz 2b\n"
        "movl %edx, moves_seen + 8\n"
        "leal moves_add - 1b(%eax), %ecx; call *%ecx; call moves_add\n"
        "pushl %ecx; call *(%esp); popl %ecx; movl %edx, moves_seen + 12\n"
        "fninit; fld1; flds moves_table + 4; fadds moves_table + 8; moves_x87: faddp; fnstenv moves_environment\n"
        "movl $3, %ecx; xorl %ebx, %ebx; 4: incl %ebx; loop 4b; movl %ebx, moves_seen + 16\n"
        "moves_immediate: movl $0x1111, %edi; movl %edi, moves_seen + 20\n"
        "movl $6, %ebp; movl $moves_table, %esi; movl 4(%esi), %eax; addl 8(%esi), %eax; addl %eax, 12(%esi)\n"
        "5: cmpl $3, %ebp; ja 6f; pushl %ebp; popl moves_seen + 24; jmp moves_far\n"
        "6: decl %ebp; jmp 5b\n"
        "moves_add: movl (%esp), %edi; subl %eax, %edi; addl %edi, moves_seen + 28; addl $7, %edx; ret\n"
        "moves_short: movl $1, moves_seen; int $0x81\n"
        "moves_divide: xorl %ecx, %ecx; xorl %edx, %edx; movl moves_table, %eax\n"
        "moves_fault: divl %ecx; int $0x81\n"
        "moves_hop: ljmp *moves_pointer\n"
        ".skip moves_code + 4096 - ., 0x90\n"
        "moves_far: call 1f; 1: popl moves_seen + 32; testl %ebx, %ebx; jz moves_code; int $0x81\n"
        ".skip moves_code + 8192 - ., 0x90\n"
        "moves_code_end:\n");
extern uint8_t moves_divide[];

/* A page that jumps to the next one or does not; the third is there in the second's place at times. */
extern uint8_t moves_ahead[];
uint32_t moves_words[1024] __attribute__((aligned(4096))); /* no code beside them: stores are not looked at one by one */
enum { AHEAD_PAGES = 3, AHEAD_IMMEDIATE = 0x1006, AHEAD_TOUCH = 0x1080 };
__asm__(".text; .p2align 12\n"
        "moves_ahead: cmpl $0, moves_words + 4; jne 1f; movl $5, moves_words; int $0x81\n"
        ".skip moves_ahead + 4096 - ., 0x90\n"
        "1: movl $1, moves_words; int $0x81\n"
        ".skip moves_ahead + 4096 + 0x80 - ., 0x90\n"
        "movl $3, moves_words; int $0x81\n"
        ".skip moves_ahead + 8192 - ., 0x90\n"
        "movl $2, moves_words; int $0x81\n"
        ".skip moves_ahead + 8192 + 0x80 - ., 0x90\n"
        "movl $4, moves_words; int $0x81\n"
        ".skip moves_ahead + 12288 - ., 0x90\n");

/* Behind the jump lies what is longer than any instruction, until it is written over. */
extern uint8_t moves_overlong[];
enum { OVERLONG = 4 + 12 };
__asm__(".text; .p2align 12\n"
        "moves_overlong: 1: movl $6, moves_words; int $0x81\n"
        "cmpl %esp, %esp; je 1b; .fill 16, 1, 0x66; nop\n"
        ".skip moves_overlong + 4096 - ., 0x90\n");

static void prepare(void)
{
    outb(0x21, 0xff); /* no timer in ring 3 */
    pages_on();
    for (unsigned i = 0; i < BYTES; i++)
        ((volatile uint8_t *)CODE)[i] = moves_code[i];
}

static void map(uint32_t at, uint32_t frame)
{
    pages_map(at, frame | PTE_P | PTE_W | PTE_U);
    pages_map(at + 0x1000, (frame + 0x1000) | PTE_P | PTE_W | PTE_U);
}

static uint32_t offset(const uint8_t *label) { return (uint32_t)(label - moves_code); }
static void in_user(void *code) { run_user((void (*)(void))code); }

/* Runs the code mapped at `at`, whose EIPs are `base` less. */
static bool runs(uint32_t at, uint32_t value)
{
    uint32_t sum = 0;
    struct frame f;

    for (unsigned i = 0; i <= 100; i++)
        sum += moves_table[i] = i * i + 3;
    sum -= moves_table[0];
    memory_set(moves_seen, 0, sizeof moves_seen);
    memory_set(moves_environment, 0, sizeof moves_environment);
    run_user((void (*)(void))at);
    CHECK(moves_seen[0] == at + 5 && moves_seen[1] == 5050 && moves_seen[2] == sum && moves_seen[3] == sum + 21);
    CHECK(moves_environment[3] == at + offset(moves_x87));
    CHECK(moves_seen[4] == 3 && moves_seen[5] == value && moves_seen[6] == 3 && moves_seen[8] == at + 0x1005);
    CHECK(moves_table[3] == 12 + 4 + 7);
    for (unsigned i = 0; i < 2; i++)
        CHECK(catch_fault(in_user, (void *)(at + offset(moves_divide)), &f) && f.vector == DE && f.eip == at + offset(moves_fault));
    return true;
}

static bool everywhere(void)
{
    static const uint32_t step[] = { 0x2000, 0x11000, 0x9000 };
    uint32_t returns = 0;

    for (unsigned turn = 0; turn < 3; turn++) {
        for (unsigned i = 0; i < 24; i++) {
            uint32_t at = (i & 1 ? LOW : HIGH) + i * step[turn];
            map(at, CODE);
            CHECK(runs(at, 0x1111) && runs(at, 0x1111));
            CHECK(!returns || returns == moves_seen[7]);
            returns = moves_seen[7];
        }
    }
    return true;
}

/* One page of code at a thousand addresses; and nothing of it later where others are mapped. */
static bool thousand(void)
{
    for (unsigned turn = 0; turn < 2; turn++)
        for (uint32_t i = 0; i < 1022; i++) {
            uint32_t at = LOW + i * 0x1000;
            pages_map(at, (i & 1) == turn ? CODE | PTE_P | PTE_W | PTE_U : OTHER | PTE_P | PTE_W | PTE_U);
        }
    for (unsigned i = 0; i < sizeof(uint32_t[1024]); i++)
        ((volatile uint8_t *)OTHER)[i] = ((uint8_t *)CODE)[i];
    *(volatile uint32_t *)(OTHER + offset(moves_short) + 6) = 2;
    for (uint32_t i = 0; i < 1022; i++) {
        run_user((void (*)(void))(LOW + i * 0x1000 + offset(moves_short)));
        CHECK(moves_seen[0] == ((i & 1) == 1 ? 1 : 2));
    }
    return true;
}

/* The immediate of one instruction, written by way of any mapping. */
static bool modified(void)
{
    uint32_t at[3] = { LOW + 0x40000, HIGH + 0x7000, LOW + 0x123000 };

    for (unsigned i = 0; i < 3; i++)
        map(at[i], CODE);
    for (uint32_t turn = 0; turn < 12; turn++) {
        uint32_t by = turn % 4 == 3 ? CODE : at[turn % 4];
        CHECK(runs(at[turn % 3], turn ? turn - 1 : 0x1111));
        *(volatile uint32_t *)(by + offset(moves_immediate) + 1) = turn;
        for (unsigned i = 0; i < 3; i++)
            CHECK(runs(at[(turn + i) % 3], turn));
        map(HIGH + 0x9000 + turn * 0x2000, CODE);
        CHECK(runs(HIGH + 0x9000 + turn * 0x2000, turn));
    }
    *(volatile uint32_t *)(CODE + offset(moves_immediate) + 1) = 0x1111;
    return true;
}

/* A block ends where the next bytes are no instruction; when they become one, it would be another block. */
static bool overlong(void)
{
    for (unsigned i = 0; i < 4096; i++)
        ((volatile uint8_t *)OTHER)[i] = moves_overlong[i];
    for (unsigned turn = 0; turn < 8; turn++) {
        uint32_t at = LOW + 0x300000 + turn * 0x3000;
        map(at, OTHER);
        moves_words[0] = 0;
        run_user((void (*)(void))(at + OVERLONG - 4));
        CHECK(moves_words[0] == 6);
        if (turn % 2)
            memory_set((void *)(OTHER + OVERLONG), turn % 4 == 1 ? 0x90 : 0x66, 5);
    }
    return true;
}

/* Near both ends of the address space, where a call's own address wraps around. */
static bool ends(void)
{
    static const uint32_t at[] = { LOW, LAST, 0xfff00000, HIGH, 0x10000, 0x8000, LAST, 0xffff0000, LAST - 0x2000, LOW + 0x2000 };

    for (unsigned turn = 0; turn < 2; turn++)
        for (unsigned i = 0; i < sizeof at / sizeof *at; i++) {
            map(at[i], CODE);
            CHECK(runs(at[i], 0x1111));
        }
    map(0x8000, 0x8000);
    map(0x10000, 0x10000);
    return true;
}

static uint32_t seen_eax;
static void note_eax(struct frame *f) { seen_eax = f->eax; }

/* From a flat segment into another of the same privilege. */
static bool by_segment(uint16_t selector, uint32_t eip, uint32_t eax)
{
    moves_pointer.eip = eip;
    moves_pointer.cs = selector;
    seen_eax = 0;
    run_user((void (*)(void))(CODE + offset(moves_hop)));
    return seen_eax == eax;
}

/* The same bytes in segments with a base, with a limit, and of 16 bits. */
static bool segments(void)
{
    static const uint8_t code[] = { 0xb8, 1, 0, 0x90, 0x90, 0xcd, 0x80, 0xcd, 0x81 }; /* mov eax, 90900001h, or mov ax, 1; int 80h; int 81h */
    static const uint8_t where[] = { 0xe8, 0, 0, 0, 0, 0x58, 0xcd, 0x80, 0xcd, 0x81 }; /* call 1f; 1: pop eax; ... */
    struct frame f;

    trap_set_handler(0x80, note_eax);
    for (unsigned i = 0; i < sizeof code; i++)
        ((volatile uint8_t *)OTHER)[i] = code[i];
    for (unsigned i = 0; i < sizeof where; i++)
        ((volatile uint8_t *)OTHER)[0x100 + i] = where[i];
    for (unsigned turn = 0; turn < 4; turn++) {
        uint32_t at = LOW + 0x8000 + turn * 0x3000;
        map(at, OTHER);
        gdt_set(SEL_SPARE, 0, 0xfffff, 0xfa, 0xc);
        CHECK(by_segment(SEL_SPARE | 3, at, 0x90900001) && by_segment(SEL_SPARE | 3, at + 0x100, at + 0x105));
        gdt_set(SEL_SPARE, at, 0xfffff, 0xfa, 0xc);
        CHECK(by_segment(SEL_SPARE | 3, 0, 0x90900001) && by_segment(SEL_SPARE | 3, 0x100, 0x105));
        gdt_set(SEL_SPARE, at - 0x200000, 0xfffff, 0xfa, 0xc);
        CHECK(by_segment(SEL_SPARE | 3, 0x200100, 0x200105));
        gdt_set(SEL_SPARE, at, 0xffff, 0xfa, 0);
        CHECK((by_segment(SEL_SPARE | 3, 0, 1) || (seen_eax & 0xffff) == 1) && seen_eax != 0x90900001);
        gdt_set(SEL_SPARE, 0, (at >> 12) - 1, 0xfa, 0xc); /* ends before it */
        moves_pointer.eip = at;
        CHECK(catch_fault(in_user, (void *)(CODE + offset(moves_hop)), &f) && f.vector == 13);
        gdt_set(SEL_SPARE, 0, at >> 12, 0xfa, 0xc); /* ends behind its page */
        CHECK(by_segment(SEL_SPARE | 3, at + 0x100, at + 0x105));
    }
    return true;
}

/* A jump with a 16-bit target is to the first 64 KiB from wherever it stands. */
static bool cut(void)
{
    static const uint8_t code[] = { 0x66, 0x0f, 0x84, 0xfc, 0x00, 0x31, 0xc0, 0x66, 0xe9, 0xf5, 0x00 }; /* jz $ + 101h; xor eax, eax; jmp $ + f9h */
    uint32_t at[] = { LOW + 0x8000, LOW + 0x19000, HIGH + 0x1a000, LOW + 0x9000 };

    for (unsigned i = 0; i < 4; i++) {
        pages_map(at[i], OTHER | PTE_P | PTE_W | PTE_U);
        pages_map(at[i] & 0xffff, (OTHER + 0x1000 + (at[i] & 0x1000)) | PTE_P | PTE_W | PTE_U);
    }
    for (unsigned i = 0; i < sizeof code; i++)
        ((volatile uint8_t *)OTHER)[i] = code[i];
    for (uint32_t frame = OTHER + 0x1000; frame <= OTHER + 0x3000; frame += 0x1000) { /* mov dword [moves_seen], frame; int 81h */
        volatile uint8_t *to = (uint8_t *)frame + 0x100;
        for (unsigned i = 0; i < 12; i++)
            to[i] = moves_short[i];
        *(volatile uint32_t *)(frame + 0x106) = frame;
    }
    for (unsigned turn = 0; turn < 3; turn++)
        for (unsigned i = 0; i < 4; i++) {
            run_user((void (*)(void))at[i]);
            CHECK(moves_seen[0] == OTHER + 0x1000 + (at[i] & 0x1000));
        }
    for (uint32_t low = 0x8000; low < 0xb000; low += 0x1000)
        pages_map(low, low | PTE_P | PTE_W | PTE_U);
    return true;
}

/* Constants that look like what the engine itself writes for an indirect jump stay constants. */
static bool lookalike(void)
{
    static const uint8_t code[] = {
        0xb8, 0, 0, 0, 0, 0x89, 0xc3,                                           /* mov eax, moves_seen; mov ebx, eax */
        0xc7, 0x03, 0x4d, 0x8b, 0x9f, 0x11, 0xc7, 0x00, 0x43, 0xff, 0x24, 0xcb, /* mov dword [ebx], MOV R11, [R15 + ..]; mov dword [eax], JMP [R11 + R9 * 8] */
        0xc7, 0x03, 0x11, 0x4d, 0x8b, 0x9f, 0xc7, 0x00, 0x43, 0xff, 0x24, 0xcb, /* the same with a byte more between them */
        0xc7, 0x40, 4, 1, 2, 3, 4, 0xc7, 0x40, 8, 5, 6, 7, 8, 0xc7, 0x40, 12, 9, 9, 9, 9,
        0xc7, 0x40, 16, 7, 7, 7, 7, 0xc7, 0x40, 20, 6, 6, 6, 6, 0xcd, 0x81,      /* .. int 81h */
    };
    uint32_t at[] = { LOW + 0x8000, LOW + 0x19000, HIGH + 0x1a000, LOW + 0x9000 };

    for (unsigned i = 0; i < sizeof code; i++)
        ((volatile uint8_t *)OTHER)[i] = code[i];
    *(volatile uint32_t *)(OTHER + 1) = (uint32_t)moves_seen;
    for (unsigned turn = 0; turn < 12; turn++) {
        memory_set(moves_seen, 0, sizeof moves_seen);
        map(at[turn % 4], OTHER);
        run_user((void (*)(void))at[turn % 4]);
        CHECK(moves_seen[0] == 0xcb24ff43 && moves_seen[1] == 0x04030201 && moves_seen[2] == 0x08070605);
        CHECK(moves_seen[3] == 0x09090909 && moves_seen[4] == 0x07070707 && moves_seen[5] == 0x06060606);
    }
    return true;
}

static uint32_t seen_at(uint32_t at, uint32_t jumps)
{
    moves_words[1] = jumps;
    run_user((void (*)(void))at);
    return moves_words[0];
}

/* A jump that was never made at an address, but at others: what it leads to is what is there
 * when it is made, whatever was there when the code before it was run first. */
static bool ahead(void)
{
    enum { KEEP, REMAP, WRITE, REMAP_SOON, BACK, WAYS };
    volatile uint32_t *immediate = (uint32_t *)(OTHER + AHEAD_IMMEDIATE);
    uint32_t value = 1;

    for (unsigned i = 0; i < AHEAD_PAGES * 0x1000; i++)
        ((volatile uint8_t *)OTHER)[i] = moves_ahead[i];
    map(LOW + 0x8000, OTHER);
    for (unsigned turn = 1; turn < 60; turn++) {
        uint32_t at = (turn & 1 ? LOW : HIGH) + 0x8000 + turn * 0x3000, way = turn % WAYS;
        uint32_t second = OTHER + (way == REMAP_SOON || way == BACK ? 0x2000 : 0x1000);
        pages_map(at, OTHER | PTE_P | PTE_W | PTE_U);
        pages_map(at + 0x1000, second | PTE_P | PTE_W | PTE_U);
        CHECK(seen_at(LOW + 0x8000, 1) == value); /* so that there is something to go by */
        CHECK(seen_at(at + AHEAD_TOUCH, 0) == (second == OTHER + 0x1000 ? 3 : 4));
        CHECK(seen_at(at, 0) == 5);
        if (way == REMAP || way == BACK)
            pages_map(at + 0x1000, (OTHER + (way == REMAP ? 0x2000 : 0x1000)) | PTE_P | PTE_W | PTE_U);
        if (way == WRITE)
            *immediate = value = turn + 100;
        CHECK(seen_at(at, 1) == (way == REMAP || way == REMAP_SOON ? 2 : value));
        CHECK(seen_at(at, 0) == 5 && seen_at(at, 1) == (way == REMAP || way == REMAP_SOON ? 2 : value));
    }
    return true;
}

/* What the translation depends on besides the bytes: here CR0.TS. */
static bool modes(void)
{
    struct frame f;

    for (unsigned i = 0; i < 8; i++) {
        uint32_t at = LOW + 0x60000 + i * 0x3000;
        map(at, CODE);
        if (i & 1) {
            WRITE_CR(0, READ_CR(0) | 8);
            CHECK(catch_fault(in_user, (void *)at, &f) && f.vector == 7 && f.eip > at && f.eip < at + 0x1000);
            __asm__ volatile("clts");
        } else {
            CHECK(runs(at, 0x1111));
        }
    }
    return true;
}

static const struct test tests[] = { { "everywhere", everywhere, NULL }, { "thousand", thousand, NULL }, { "modified", modified, NULL }, { "overlong", overlong, NULL },
    { "ends", ends, NULL }, { "cut", cut, NULL }, { "lookalike", lookalike, NULL }, { "ahead", ahead, NULL }, { "modes", modes, NULL },
    { "segments", segments, "segment limits are not looked at" }, { NULL, NULL, NULL } };
const struct test_group group_moves = { "moves", tests, prepare };
