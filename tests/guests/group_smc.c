/* SPDX-License-Identifier: BSD-2-Clause
 * Code that changes: the next instruction, a function written anew, through another
 * mapping, a page that holds code and data, a page replaced under its address. */
#include "guest.h"

enum { V = 0x18000000, P1 = SCRATCH + 0x100000, P2 = SCRATCH + 0x101000 };

/* Writes `mov eax, value; ret` at `at`. */
static void put_function(volatile void *at, uint32_t value)
{
    volatile uint8_t *p = at;
    p[0] = 0xb8;
    p[1] = (uint8_t)value, p[2] = (uint8_t)(value >> 8), p[3] = (uint8_t)(value >> 16), p[4] = (uint8_t)(value >> 24);
    p[5] = 0xc3;
}

static uint32_t call(uint32_t at)
{
    return ((uint32_t(*)(void))at)();
}

static bool rewritten(void)
{
    for (uint32_t i = 0; i < 300; i++) {
        put_function((void *)P1, i * 7);
        CHECK(call(P1) == i * 7);
    }
    return true;
}

/* Patches an instruction of the block that is running. */
static bool next_instruction(void)
{
    static const uint8_t code[] = {
        0xc6, 0x05, 0, 0, 0, 0, 0x40, /* movb $0x40, (patch): inc eax */
        0x31, 0xc0,                   /* xor eax, eax; flags apart */
        0x90,                         /* patch: nop */
        0xc3,
    };
    volatile uint8_t *p = (uint8_t *)P1;
    for (int run = 0; run < 3; run++) {
        for (unsigned i = 0; i < sizeof code; i++)
            p[i] = code[i];
        *(volatile uint32_t *)(p + 2) = P1 + 9;
        CHECK(call(P1) == 1);
        p[9] = 0x90;
        p[6] = 0x90;
        CHECK(call(P1) == 0);
    }
    return true;
}

/* The instruction behind a store, rewritten by each kind of store. `where` is the
 * offset of the address in the code, `source` that of the new bytes' address. */
static bool next_by_each_store(void)
{
    static const uint8_t fresh[8] = { 0x40, 0x89, 0xdc, 0xc3, 0x90, 0x90, 0x90, 0x90 }; /* inc eax; mov esp, ebx; ret */
    static const struct {
        uint8_t length, where, source, past; /* past: the address is that much behind */
        uint8_t code[24];
    } stores[] = {
        { 11, 6, 1, 0, { 0xbe, 0, 0, 0, 0, 0xbf, 0, 0, 0, 0, 0xa4 } },                                     /* movsb */
        { 17, 6, 1, 0, { 0xbe, 0, 0, 0, 0, 0xbf, 0, 0, 0, 0, 0xb9, 1, 0, 0, 0, 0xf3, 0xa4 } },             /* rep movsb */
        { 17, 6, 1, 0, { 0xbe, 0, 0, 0, 0, 0xbf, 0, 0, 0, 0, 0xb9, 2, 0, 0, 0, 0xf3, 0xa5 } },             /* rep movsd */
        { 10, 1, 0, 4, { 0xbc, 0, 0, 0, 0, 0x68, 0x40, 0x89, 0xdc, 0xc3 } },                               /* push */
        { 16, 12, 4, 0, { 0xf3, 0x0f, 0x7e, 0x05, 0, 0, 0, 0, 0x66, 0x0f, 0xd6, 0x05, 0, 0, 0, 0 } },      /* movq [..], xmm0 */
        { 8, 4, 0, 0, { 0xb2, 0x40, 0x86, 0x15, 0, 0, 0, 0 } },                                            /* xchg */
        { 9, 5, 0, 0, { 0xb2, 0x40, 0xf0, 0x86, 0x15, 0, 0, 0, 0 } },                                      /* lock xchg */
        { 12, 8, 2, 0, { 0xdf, 0x2d, 0, 0, 0, 0, 0xdf, 0x3d, 0, 0, 0, 0 } },                               /* fild, fistp qword */
    };
    uint8_t *p = (uint8_t *)P1;

    WRITE_CR(4, READ_CR(4) | 0x200);
    for (unsigned run = 0; run < 3; run++)
        for (unsigned i = 0; i < sizeof stores / sizeof stores[0]; i++) {
            unsigned at = 0;
            uint32_t patch = P1 + 4 + stores[i].length;
            volatile uint8_t *v = p;
            v[at++] = 0x89, v[at++] = 0xe3, v[at++] = 0x31, v[at++] = 0xc0; /* mov ebx, esp; xor eax, eax */
            for (unsigned k = 0; k < stores[i].length; k++)
                v[at++] = stores[i].code[k];
            *(volatile uint32_t *)(v + 4 + stores[i].where) = patch + stores[i].past;
            if (stores[i].source)
                *(volatile uint32_t *)(v + 4 + stores[i].source) = (uint32_t)fresh;
            v[at++] = 0x90, v[at++] = 0x89, v[at++] = 0xdc, v[at++] = 0xc3; /* nop; mov esp, ebx; ret */
            uint32_t result;
            __asm__ volatile("call *%1" : "=a"(result) : "r"(P1) : "ebx", "ecx", "edx", "esi", "edi", "memory", "cc");
            CHECK(result == 1);
        }
    return true;
}

static bool through_alias(void)
{
    pages_map(V, P1 | PTE_P | PTE_W);
    put_function((void *)P1, 1);
    CHECK(call(V) == 1);
    put_function((void *)P1, 2);
    CHECK(call(V) == 2);
    put_function((void *)V, 3);
    CHECK(call(P1) == 3 && call(V) == 3);
    /* By a string instruction too. */
    put_function((void *)(P2 + 64), 4);
    uint32_t ecx = 6, esi = P2 + 64, edi = P1;
    __asm__ volatile("cld; rep movsb" : "+c"(ecx), "+S"(esi), "+D"(edi)::"memory");
    CHECK(call(V) == 4 && call(P1) == 4);
    return true;
}

static bool page_replaced(void)
{
    put_function((void *)P1, 10);
    put_function((void *)P2, 20);
    for (int i = 0; i < 20; i++) {
        pages_map(V, P1 | PTE_P | PTE_W);
        CHECK(call(V) == 10);
        pages_map(V, P2 | PTE_P | PTE_W);
        CHECK(call(V) == 20);
    }
    return true;
}

/* Data beside code: many writes to the page must stay right (and cheap). */
static bool mixed_page(void)
{
    volatile uint32_t *data = (uint32_t *)(P1 + 0x800);
    put_function((void *)P1, 99);
    *data = 0;
    for (int i = 0; i < 20000; i++) {
        *data += 1;
        if (i % 100 == 0)
            CHECK(call(P1) == 99);
    }
    CHECK(*data == 20000);
    return true;
}

/* A block over a page boundary: either page's change counts. */
static bool across_pages(void)
{
    uint32_t at = P1 + 4096 - 3;
    put_function((void *)at, 0x11223344);
    CHECK(call(at) == 0x11223344);
    *(volatile uint8_t *)(P2 + 1) = 0x55;
    CHECK(call(at) == 0x55223344);
    *(volatile uint8_t *)(P1 + 4095 - 1) = 0x66;
    CHECK((call(at) & 0xff) == 0x66);
    /* And so does another page mapped behind the first. */
    pages_map(V, P1 | PTE_P | PTE_W);
    pages_map(V + 4096, P2 | PTE_P | PTE_W);
    uint32_t before = call(V + 4096 - 3);
    CHECK(before == call(at));
    volatile uint8_t *other = (uint8_t *)(SCRATCH + 0x110000);
    for (int i = 0; i < 16; i++)
        other[i] = ((volatile uint8_t *)P2)[i];
    other[1] = 0x77;
    pages_map(V + 4096, (uint32_t)other | PTE_P | PTE_W);
    CHECK(call(V + 4096 - 3) >> 24 == 0x77);
    /* Its own frame, too. */
    pages_map(V + 4096, P1 | PTE_P | PTE_W);
    for (uint8_t i = 0; i < 4; i++) {
        ((volatile uint8_t *)P1)[0] = i, ((volatile uint8_t *)P1)[1] = i + 9, ((volatile uint8_t *)P1)[2] = 0xc3;
        CHECK(call(V + 4096 - 3) >> 16 == ((i + 9u) << 8 | i));
    }
    return true;
}

/* Code reached by a chained jump is patched: the chain must not go on to the old. */
static bool chained_target(void)
{
    volatile uint8_t *p = (uint8_t *)P1;
    uint32_t sum = 0;
    p[0] = 0xe9, *(volatile uint32_t *)(p + 1) = 0x100 - 5; /* jmp P1 + 0x100 */
    for (uint32_t i = 0; i < 200; i++) {
        put_function(p + 0x100, i);
        sum += call(P1);
        sum += call(P1);
    }
    CHECK(sum == 199 * 200);
    return true;
}

static uint32_t far_call(uint32_t at, uint16_t selector)
{
    const struct { uint32_t offset; uint16_t selector; } __attribute__((packed)) target = { at, selector };
    uint32_t value;

    __asm__ volatile("lcall *%1" : "=a"(value) : "m"(target) : "ecx", "edx", "cc", "memory");
    return value;
}

/* The same bytes by more code segments than a translator keeps of one page; what is
 * written to them holds for all. */
static bool many_segments(void)
{
    enum { SEGMENTS = 20000 };

    for (uint32_t round = 1; round <= 2; round++) {
        put_function((void *)P1, round);
        *(volatile uint8_t *)(P1 + 5) = 0xcb; /* a far return */
        for (uint32_t i = 0; i < SEGMENTS; i++) {
            gdt_set(SEL_SPARE, 0, 0x10000 + i, 0x9a, 0xc);
            CHECK(far_call(P1, SEL_SPARE) == round);
        }
    }
    put_function((void *)P1, 3);
    *(volatile uint8_t *)(P1 + 5) = 0xcb;
    CHECK(far_call(P1, SEL_SPARE) == 3);
    return true;
}

/* --- code of a program that lies across two pages, and the second changes ------------------ */

enum { USER_ROUNDS = 60 };
uint32_t smc_sums[2];
extern char smc_user_caller[], smc_user_loop[];
/* By pointer and by a jump from another page, in a loop: it has to settle. */
__asm__(".text; .globl smc_user_caller; smc_user_caller: movl $60, %esi; 1: movl $0x18000ffd, %edx; movl $50, %edi;"
        "2: call *%edx; movl %eax, smc_sums; movl $0x1a000000, %eax; call *%eax; movl %eax, smc_sums+4; decl %edi; jnz 2b;"
        "int $0x92; decl %esi; jnz 1b; int $0x81");
static uint32_t smc_round, smc_wrong;
static uint32_t second_pages[2];

static void on_round(struct frame *f)
{
    (void)f;
    const uint32_t expected = smc_round & 1 ? 0x77223344 : 0x11223344;
    smc_wrong += smc_sums[0] != expected || smc_sums[1] != expected;
    smc_round++;
    pages_map(V + 4096, second_pages[smc_round & 1] | PTE_P | PTE_W | PTE_U);
}

static bool user_across_pages(void)
{
    volatile uint8_t *jump = (uint8_t *)(SCRATCH + 0x120000), *other = (uint8_t *)(SCRATCH + 0x110000);

    put_function((void *)(P1 + 4096 - 3), 0x11223344);
    for (unsigned i = 0; i < 16; i++)
        other[i] = ((volatile uint8_t *)P2)[i];
    other[1] = 0x77;
    second_pages[0] = P2, second_pages[1] = (uint32_t)other;
    jump[0] = 0xe9, *(volatile uint32_t *)(jump + 1) = V + 4096 - 3 - (0x1a000000 + 5);
    pages_map(V, P1 | PTE_P | PTE_W | PTE_U);
    pages_map(V + 4096, P2 | PTE_P | PTE_W | PTE_U);
    pages_map(0x1a000000, (uint32_t)jump | PTE_P | PTE_W | PTE_U);
    smc_round = smc_wrong = 0;
    trap_set_handler(0x92, on_round);
    run_user((void (*)(void))smc_user_caller);
    trap_set_handler(0x92, NULL);
    CHECK(smc_round == USER_ROUNDS && smc_wrong == 0);
    return true;
}

/* --- jumps to everywhere, in four address spaces: what is kept of them stays bounded -------- */

enum { SPACES = 4, LARGE = PTE_P | PTE_W | PTE_U | PTE_PS };
static uint32_t spaces[SPACES][1024] __attribute__((aligned(4096)));
extern char smc_everywhere[];
__asm__(".text; .globl smc_everywhere; smc_everywhere: movl $0x2000000, %edx; xorl %eax, %eax;"
        "1: call *%edx; incl %eax; addl $0x40000, %edx; cmpl $0xfe000000, %edx; jb 1b; movl %eax, smc_sums; int $0x81");

static bool everywhere(void)
{
    const uint32_t cr3 = READ_CR(3), jumps = (0xfe000000 - 0x2000000) / 0x40000;
    bool right = true;

    memory_set((void *)SCRATCH, 0xc3, SCRATCH_SIZE);
    for (unsigned s = 0; s < SPACES; s++)
        for (unsigned i = 0; i < 1024; i++)
            spaces[s][i] = i < 8 ? pages_directory()[i] : SCRATCH | LARGE;
    for (unsigned n = 0; n < 2 * SPACES; n++) {
        WRITE_CR(3, spaces[n % SPACES]);
        smc_sums[0] = 0;
        run_user((void (*)(void))smc_everywhere);
        right &= smc_sums[0] == jumps;
    }
    WRITE_CR(3, cr3);
    CHECK(right);
    return true;
}

static const struct test tests[] = {
    { "rewritten", rewritten, NULL }, { "next_instruction", next_instruction, NULL }, { "through_alias", through_alias, NULL },
    { "next_by_each_store", next_by_each_store, NULL },
    { "page_replaced", page_replaced, NULL }, { "mixed_page", mixed_page, NULL }, { "across_pages", across_pages, NULL },
    { "chained_target", chained_target, NULL }, { "user_across_pages", user_across_pages, NULL }, { "everywhere", everywhere, NULL }, { "many_segments", many_segments, NULL }, { NULL, NULL, NULL },
};
const struct test_group group_smc = { "smc", tests, pages_on };
