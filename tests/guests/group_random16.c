/* SPDX-License-Identifier: BSD-2-Clause
 * Random 16-bit code in virtual-8086 and in real mode: loads and stores of segments, flags as
 * images, far transfers, INT and IRET. What each sequence leaves goes into a sum,
 * which is printed: run.sh wants the engine's and QEMU's to be the same. No
 * sequence reads what the manual leaves undefined, or goes beyond a segment. */
#include "guest.h"

enum { VM = 0x20000, IOPL3 = 0x3000, CODE_SEG = 0x2000, DATA_SEG = 0x2100, STACK_SEG = 0x2300, STACK_TOP = 0x4000, SEGMENTS = 64,
       HANDLERS = 0x800, CODE_SIZE = 0x600, DATA_SIZE = 0x8000, REACH = 0x12000 /* of all segments */, VECTORS = 0x60, ROUNDS = 12, SEQUENCES = 250, MASK = 0xed5,
       STUB = 0x900, BLOCK = 0xb00 };

static uint32_t state;
static uint8_t *code;  /* where the next byte goes */
static uint32_t sum;

static uint32_t random(void)
{
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    return state;
}

static uint32_t below(uint32_t n) { return (random() >> 8) % n; }

static void put8(uint32_t v) { *code++ = (uint8_t)v; }
static void put16(uint32_t v) { put8(v), put8(v >> 8); }

/* Any paragraph of the data, which overlap; an address that stays in it wherever it begins. */
static uint32_t segment(void) { return DATA_SEG + below(SEGMENTS); }
static uint32_t offset(void) { return below(0x400); }
static uint32_t general(void) { return (uint32_t[]){ 0, 1, 2, 3, 5, 6, 7 }[below(7)]; }
/* An alias of the code segment, and where `at` is in it. */
static uint32_t code_alias(uint32_t *at)
{
    uint32_t back = below(16);
    *at += back * 16;
    return CODE_SEG - back;
}
static uint32_t here(void) { return (uint32_t)code - (CODE_SEG << 4); }

static void prefix(void)
{
    if (below(3) == 0)
        put8((uint32_t[]){ 0x26, 0x36, 0x3e, 0x64, 0x65 }[below(5)]);
}

static void arithmetic(void)
{
    uint32_t op = (uint32_t[]){ 0, 2, 3, 5, 7 }[below(5)]; /* ADD ADC SBB SUB CMP */
    bool wide = below(3) == 0;

    prefix();
    if (wide)
        put8(0x66);
    put8(op << 3 | (below(2) ? 1 : 3));
    if (below(2)) {
        put8(general() << 3 | 6), put16(offset());
    } else {
        put8(0xc0 | general() << 3 | general());
    }
}

static void load_segment(void)
{
    uint32_t seg = (uint32_t[]){ 0, 2, 3, 4, 5 }[below(5)], at = offset(), reg = general();

    switch (below(4)) {
    case 0: /* MOV reg, imm; MOV seg, reg */
        put8(0xb8 | reg), put16(segment()), put8(0x8e), put8(0xc0 | seg << 3 | reg);
        break;
    case 1: /* PUSH imm; POP seg */
        seg = (uint32_t[]){ 0x07, 0x1f }[below(2)];
        put8(0x68), put16(segment()), put8(seg);
        break;
    case 2: /* MOV [at], offset; MOV [at + 2], segment; LES, LDS, LFS or LGS */
        put8(0xc7), put8(6), put16(at), put16(offset()), put8(0xc7), put8(6), put16(at + 2), put16(segment());
        if (below(2))
            put8(0xc4 | below(2));
        else
            put8(0x0f), put8(0xb4 | below(2));
        put8(reg << 3 | 6), put16(at);
        break;
    default: /* PUSH seg; POP seg */
        put8((uint32_t[]){ 0x06, 0x16, 0x1e }[below(3)]), put8((uint32_t[]){ 0x07, 0x1f }[below(2)]);
        break;
    }
}

/* To another stack and back. */
static void switch_stack(void)
{
    put8(0x16), put8(0x89), put8(0xe0);                                       /* PUSH SS; MOV AX, SP */
    put8(0xbb), put16(segment()), put8(0x8e), put8(0xd3), put8(0xbc), put16(0x7000 + below(8) * 2); /* MOV BX; MOV SS, BX; MOV SP */
    put8(0x50), put8(0x1e), put8(0x59), put8(0x58);                           /* PUSH AX; PUSH DS; POP CX; POP AX */
    put8(0xbb), put16(STACK_SEG), put8(0x8e), put8(0xd3), put8(0x89), put8(0xc4), put8(0x5b); /* and back; POP BX */
}

static void store_segment(void)
{
    if (below(3) == 0) {
        put8((uint32_t[]){ 0x06, 0x0e, 0x16, 0x1e }[below(4)]), put8(0x58 | general()); /* PUSH seg; POP reg */
        return;
    }
    prefix();
    put8(0x8c);
    if (below(2))
        put8(0xc0 | below(6) << 3 | general());
    else
        put8(below(6) << 3 | 6), put16(offset());
}

/* PUSHF and POPF, of 16 and 32 bits, an image that has been changed; CLI, STI, CLD, STD. */
static void flags(void)
{
    bool wide = below(3) == 0;

    switch (below(5)) {
    case 0:
        if (wide)
            put8(0x66);
        put8(0x9c);
        if (wide)
            put8(0x66);
        put8(0x58 | general());
        break;
    case 1: /* PUSH imm; POPF */
        put8(0x68), put16((random() & (MASK & ~0x100u)) | 2 | below(4) << 12), put8(0x9d);
        break;
    case 2:
        put8((uint32_t[]){ 0xfa, 0xfb, 0xfc, 0xfd, 0xf5, 0xf8, 0xf9 }[below(7)]);
        break;
    case 3:
        put8(0x9f), put8(0x9e); /* LAHF; SAHF */
        break;
    default:
        put8(0x9c), put8(0x9d);
        break;
    }
}

static void far_transfer(void)
{
    uint32_t at, cs;

    switch (below(4)) {
    case 0: /* JMP far to the next instruction */
        at = here() + 5, cs = code_alias(&at);
        put8(0xea), put16(at), put16(cs);
        break;
    case 1: /* CALL far over a jump to its RETF */
        at = here() + 7, cs = code_alias(&at);
        put8(0x9a), put16(at), put16(cs), put8(0xeb), put8(3), put8(0x8c), put8(0xc8 | general()), put8(0xcb);
        break;
    case 2: /* PUSHF, PUSH CS and IP; IRET */
        at = here() + 8, cs = code_alias(&at);
        put8(0x9c), put8(0x68), put16(cs), put8(0x68), put16(at), put8(0xcf);
        break;
    default: /* PUSH CS and IP; RETF 2, with a word below */
        at = here() + 10, cs = code_alias(&at);
        put8(0x50), put8(0x68), put16(cs), put8(0x68), put16(at), put8(0xca), put16(2);
        break;
    }
}

static void interrupt(void) { put8(0xcd), put8(VECTORS + below(4)); }

static void string(void)
{
    put8(0xbe), put16(0x400 + offset()), put8(0xbf), put16(0x400 + offset()), put8(0xb9), put16(below(20));
    prefix();
    if (below(2))
        put8(0xf3);
    put8((uint32_t[]){ 0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xad }[below(6)]);
}

static void frame(void)
{
    put8(0xc8), put16(below(16) * 2), put8(below(3)); /* ENTER; MOV; LEAVE */
    put8(0x8b), put8(0x46 | below(4) << 3), put8(0xfe), put8(0xc9); /* not BP, SP: QEMU's RETF does not wrap around */
}

static void make(void)
{
    static void (*const kinds[])(void) = { arithmetic, arithmetic, arithmetic, load_segment, load_segment, store_segment, switch_stack,
                                           flags, flags, far_transfer, far_transfer, interrupt, string, frame };

    code = (uint8_t *)(CODE_SEG << 4);
    for (unsigned n = 1 + below(14); n; n--)
        kinds[below(sizeof kinds / sizeof kinds[0])]();
    put8(0x39), put8(0xc8), put8(0xcc); /* CMP AX, CX; INT3 */
}

/* --- running it --- */

static uint8_t ring0_stack[4096] __attribute__((aligned(16)));
static struct { uint32_t eip, cs, eflags, esp, ss, es, ds, fs, gs; } entry __asm__("random_entry_frame") __attribute__((used));

static void enter(void *unused)
{
    (void)unused;
    __asm__ volatile("movl %0, %%eax; movl %1, %%edx; movl $random_entry_frame, %%esp; xorl %%ebx, %%ebx; xorl %%ecx, %%ecx;"
                     "xorl %%esi, %%esi; xorl %%edi, %%edi; movl $0x3000, %%ebp; iretl" :: "m"(state), "m"(sum) : "memory");
    __builtin_unreachable();
}

/* What a monitor does for INT n: IP, CS and FLAGS on the guest's stack, IF off, to the handler. */
static void reflect(struct frame *f)
{
    uint16_t *stack;
    uint32_t sp = f->esp & 0xffff;

    sp = (sp - 6) & 0xffff;
    stack = (uint16_t *)((f->ss << 4) + sp);
    stack[0] = (uint16_t)f->eip, stack[1] = (uint16_t)f->cs, stack[2] = (uint16_t)f->eflags;
    f->esp = (f->esp & 0xffff0000) | sp;
    f->eflags &= ~0x200u;
    f->eip = HANDLERS + (f->vector - VECTORS) * 16;
    f->cs = CODE_SEG;
}

static void make_handlers(void)
{
    for (unsigned i = 0; i < 4; i++) {
        code = (uint8_t *)(CODE_SEG << 4) + HANDLERS + i * 16;
        put8(0x2e), put8(0xff), put8(6), put16(HANDLERS + 0x80 + i * 2); /* INC word [CS:..] */
        put8(0x05), put16(random());                                     /* ADD AX, imm */
        put8(0xcf);                                                      /* IRET */
        trap_set_handler(VECTORS + i, reflect);
        trap_set_gate(VECTORS + i, NULL, 3, false);
    }
}

static void add(uint32_t value) { sum = (sum << 5 | sum >> 27) + value * 0x9e3779b1u; }

static void add_memory(void)
{
    const uint32_t *words = (const uint32_t *)(DATA_SEG << 4);

    for (unsigned i = 0; i < DATA_SIZE / 4; i++)
        add(words[i]);
    for (unsigned i = 0; i < 2; i++)
        add(((const uint32_t *)((CODE_SEG << 4) + HANDLERS + 0x80))[i]);
}

static void add_words(const uint32_t *words, unsigned count)
{
    while (count--)
        add(*words++);
}

static bool run_v86(void)
{
    const uint32_t *segments = (const uint32_t *)(ring0_stack + sizeof ring0_stack) - 4;
    struct frame f;

    make();
    entry.eip = 0, entry.cs = CODE_SEG, entry.eflags = VM | IOPL3 | 2, entry.esp = STACK_TOP, entry.ss = STACK_SEG;
    entry.es = segment(), entry.ds = segment(), entry.fs = segment(), entry.gs = segment();
    if (!catch_fault(enter, NULL, &f))
        return false;
    if (f.vector != 3) {
        print(" vector "), print_hex(f.vector), print(" at "), print_hex(f.cs), print(":"), print_hex(f.eip), print(" code");
        for (uint8_t *at = (uint8_t *)(CODE_SEG << 4); at < code; at += 4)
            print(" "), print_hex(*(uint32_t *)at);
        return false;
    }
    add(f.eax), add(f.ecx), add(f.edx), add(f.ebx), add(f.ebp), add(f.esi), add(f.edi);
    add(f.esp), add(f.ss), add(f.cs), add(f.eip), add(f.eflags & (MASK | IOPL3 | VM));
    add_words(segments, 4);
    return true;
}

/* --- real mode --- */

/* At BLOCK of the code segment: what a sequence begins with, and what it leaves. */
struct block {
    uint16_t es, ds, fs, gs, ss, unused;
    uint32_t esp, eax, edx;
    uint32_t out[8];         /* EAX ECX EDX EBX ESP EBP ESI EDI, at 0x18 */
    uint16_t out_segments[6], ip, cs, flags, unused2; /* ES DS FS GS SS, at 0x38 */
};

extern uint8_t real_begin[], real_out[], real_end[];
static uint32_t real_esp __asm__("real_esp") __attribute__((used)), real_cr0 __asm__("real_cr0") __attribute__((used));
__asm__(".text\n.code16\n"
        "real_begin: movl %cr0, %eax; andl $0x7ffffffe, %eax; movl %eax, %cr0; ljmp $0x2000, $(0x900 + real_in - real_begin)\n"
        "real_in: movw %cs:0xb00, %es; movw %cs:0xb02, %ds; movw %cs:0xb04, %fs; movw %cs:0xb06, %gs\n"
        "movw %cs:0xb08, %ss; movl %cs:0xb0c, %esp; movl %cs:0xb10, %eax; movl %cs:0xb14, %edx\n"
        "xorl %ebx, %ebx; xorl %ecx, %ecx; xorl %esi, %esi; xorl %edi, %edi; movl $0x3000, %ebp; pushw $2; popfw; ljmp $0x2000, $0\n"
        "real_out: movl %eax, %cs:0xb18; movl %ecx, %cs:0xb1c; movl %edx, %cs:0xb20; movl %ebx, %cs:0xb24\n"
        "movl %esp, %cs:0xb28; movl %ebp, %cs:0xb2c; movl %esi, %cs:0xb30; movl %edi, %cs:0xb34\n"
        "movw %es, %cs:0xb38; movw %ds, %cs:0xb3a; movw %fs, %cs:0xb3c; movw %gs, %cs:0xb3e; movw %ss, %cs:0xb40\n"
        "popw %cs:0xb44; popw %cs:0xb46; popw %cs:0xb48\n"
        "movl %cr0, %eax; orl $1, %eax; movl %eax, %cr0; ljmpl $0x08, $real_back\n"
        "real_end:\n.code32\n"
        "real_go: pushal; movl %esp, real_esp; movl %cr0, %eax; movl %eax, real_cr0\n"
        "movl $0x40, %eax; movl %eax, %ds; movl %eax, %es; movl %eax, %ss; movl %eax, %fs; movl %eax, %gs; ljmp $0x38, $0x900\n"
        "real_back: movl $0x10, %eax; movl %eax, %ds; movl %eax, %es; movl %eax, %ss; movl %eax, %fs; movl %eax, %gs\n"
        "movl real_esp, %esp; movl real_cr0, %eax; movl %eax, %cr0; cld; popal; ret\n");

static bool run_real(void)
{
    struct block *b = (struct block *)((CODE_SEG << 4) + BLOCK);
    struct { uint16_t limit; uint32_t base; } __attribute__((packed)) real_idt = { 0x3ff, 0 }, idt;

    make();
    b->es = (uint16_t)segment(), b->ds = (uint16_t)segment(), b->fs = (uint16_t)segment(), b->gs = (uint16_t)segment();
    b->ss = STACK_SEG, b->esp = STACK_TOP, b->eax = state, b->edx = sum;
    __asm__ volatile("sidt %0" : "=m"(idt)::"memory");
    __asm__ volatile("lidt %0; call real_go; lidt %1" ::"m"(real_idt), "m"(idt) : "memory", "cc");
    add_words(b->out, 8);
    for (unsigned i = 0; i < 5; i++)
        add(b->out_segments[i]);
    add(b->ip), add(b->cs), add(b->flags & (MASK | IOPL3));
    return true;
}

static void set_vector(unsigned vector, uint32_t at)
{
    volatile uint16_t *ivt = NULL;

    __asm__("" : "+r"(ivt)); /* address 0 is one like any other */
    ivt[vector * 2] = (uint16_t)at;
    ivt[vector * 2 + 1] = CODE_SEG;
}

static void make_real(void)
{
    uint8_t *stub = (uint8_t *)(CODE_SEG << 4) + STUB;

    for (uint8_t *from = real_begin; from < real_end; from++)
        *stub++ = *from;
    gdt_set(SEL_SPARE, CODE_SEG << 4, 0xffff, 0x9a, 0);
    gdt_set(SEL_SPARE2, 0, 0xffff, 0x92, 0);
    set_vector(3, STUB + (uint32_t)(real_out - real_begin));
    for (unsigned i = 0; i < 4; i++)
        set_vector(VECTORS + i, HANDLERS + i * 16);
}

/* --- */

static bool run_many(bool (*run)(void))
{
    uint32_t *words = (uint32_t *)(DATA_SEG << 4);
    bool good = true;

    outb(0x21, 0xff), outb(0xa1, 0xff); /* the sequences enable interrupts */
    state = 0x2545f491, sum = 0;
    make_handlers();
    for (unsigned i = 0; i < REACH / 4; i++)
        words[i] = i * 0x01000193u;
    for (unsigned round = 0; round < ROUNDS && good; round++) {
        for (unsigned i = 0; i < SEQUENCES && good; i++)
            good = run();
        add_memory();
        print(" "), print_hex(sum);
    }
    print(" ");
    for (unsigned i = 0; i < 4; i++)
        trap_set_handler(VECTORS + i, NULL), trap_set_gate(VECTORS + i, NULL, 0, false);
    return good;
}

static bool v86(void)
{
    const uint32_t esp0 = main_tss.esp0;
    bool good;

    main_tss.esp0 = (uint32_t)(ring0_stack + sizeof ring0_stack);
    trap_set_gate(3, NULL, 3, false);
    good = run_many(run_v86);
    trap_set_gate(3, NULL, 0, false);
    main_tss.esp0 = esp0;
    CHECK(good);
    return true;
}

static bool real(void)
{
    make_real();
    CHECK(run_many(run_real));
    return true;
}

static const struct test tests[] = { { "v86", v86, NULL }, { "real", real, NULL }, { NULL, NULL, NULL } };
const struct test_group group_random16 = { "random16", tests, NULL };
