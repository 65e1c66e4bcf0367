/* SPDX-License-Identifier: BSD-2-Clause
 * SSE3 to SSE4.2 and POPCNT: there exactly when CPUID says so, some results that
 * the manual gives, which bits of CR0 and CR4 switch them off, and alignment. */
#include "guest.h"

enum { CF = 1, PF = 4, AF = 0x10, ZF = 0x40, SF = 0x80, OF = 0x800, ARITHMETIC = 0x8d5 };
enum { VECTOR_UD = 6, VECTOR_NM = 7, VECTOR_GP = 13 };

static uint8_t area[48] __attribute__((aligned(16)));

static uint32_t features(void)
{
    uint32_t a = 1, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return c;
}

/* --- one instruction of each set and unit --- */

#define RUNS(name, code) \
    static void name(void *unused) { (void)unused; __asm__ volatile(code : "+m"(area)::"eax", "ecx", "edx", "cc", "memory"); }
RUNS(run_lddqu, "lddqu %0, %%xmm0")
RUNS(run_haddps, "haddps %%xmm0, %%xmm0")
RUNS(run_fisttp, "fisttpl %0") /* of an empty stack */
RUNS(run_pabsb, "pabsb %0, %%xmm0")
RUNS(run_pabsb_mm, "pabsb %0, %%mm0; emms")
RUNS(run_palignr, "palignr $1, %0, %%xmm0")
RUNS(run_ptest, "ptest %0, %%xmm0")
RUNS(run_pextrb, "pextrb $1, %%xmm0, %0")
RUNS(run_pcmpgtq, "pcmpgtq %0, %%xmm0")
RUNS(run_pcmpistri, "pcmpistri $8, %0, %%xmm0")
RUNS(run_crc32, "crc32b %0, %%eax")
RUNS(run_popcnt, "popcntl %0, %%eax")

enum unit { UNIT_X87, UNIT_MMX, UNIT_XMM, UNIT_INTEGER };
static const struct { void (*run)(void *); uint8_t bit, unit; } samples[] = {
    { run_lddqu, 0, UNIT_XMM }, { run_haddps, 0, UNIT_XMM }, { run_fisttp, 0, UNIT_X87 }, { run_pabsb, 9, UNIT_XMM },
    { run_pabsb_mm, 9, UNIT_MMX }, { run_palignr, 9, UNIT_XMM }, { run_ptest, 19, UNIT_XMM }, { run_pextrb, 19, UNIT_XMM },
    { run_pcmpgtq, 20, UNIT_XMM }, { run_pcmpistri, 20, UNIT_XMM }, { run_crc32, 20, UNIT_INTEGER }, { run_popcnt, 23, UNIT_INTEGER },
};
enum { SAMPLES = sizeof samples / sizeof samples[0] };

/* Runs each; its vector must be that of its unit, 0 for none; #UD if CPUID does not have it. */
static bool vectors_are(const uint8_t by_unit[4])
{
    uint32_t have = features();
    struct frame f;
    bool right = true;

    for (unsigned i = 0; i < SAMPLES; i++) {
        unsigned expected = have >> samples[i].bit & 1 ? by_unit[samples[i].unit] : VECTOR_UD;
        unsigned vector = catch_fault(samples[i].run, NULL, &f) ? f.vector : 0;
        if (vector == expected)
            continue;
        right = false;
        print(" sample "), print_hex(i), print(" vector "), print_hex(vector);
    }
    return right;
}

static bool as_cpuid_says(void)
{
    CHECK(vectors_are((const uint8_t[]){ 0, 0, 0, 0 }));
    return true;
}

static bool switched_off(void)
{
    bool em, ts, osfxsr;

    WRITE_CR(0, READ_CR(0) | CR0_EM);
    em = vectors_are((const uint8_t[]){ VECTOR_NM, VECTOR_UD, VECTOR_UD, 0 });
    WRITE_CR(0, (READ_CR(0) & ~(uint32_t)CR0_EM) | CR0_TS);
    ts = vectors_are((const uint8_t[]){ VECTOR_NM, VECTOR_NM, VECTOR_NM, 0 });
    WRITE_CR(0, READ_CR(0) & ~(uint32_t)CR0_TS);
    WRITE_CR(4, READ_CR(4) & ~(uint32_t)CR4_OSFXSR);
    osfxsr = vectors_are((const uint8_t[]){ 0, 0, VECTOR_UD, 0 });
    WRITE_CR(4, READ_CR(4) | CR4_OSFXSR);
    CHECK(em && ts && osfxsr);
    return true;
}

/* --- results --- */

static bool sse3(void)
{
    int16_t narrow;
    int32_t wide;
    int64_t widest;
    uint16_t status;
    static const float minus = -2.75f;

    if (!(features() & 1))
        return true;
    __asm__ volatile("fninit; flds %3; fld %%st(0); fld %%st(0); fisttps %0; fisttpl %1; fisttpll %2; fnstsw %4"
                     : "=m"(narrow), "=m"(wide), "=m"(widest) : "m"(minus), "m"(status) : "memory");
    CHECK(narrow == -2 && wide == -2 && widest == -2 && (status & 0x3800) == 0); /* toward zero, and popped */
    return true;
}

/* Non-control, with an operand: FNSTENV tells of it. */
static bool fisttp_pointers(void)
{
    struct { uint32_t control, status, tag, ip, cs_opcode, dp, ds; } __attribute__((packed)) e;
    uint32_t at, target;

    if (!(features() & 1))
        return true;
    __asm__ volatile("fninit; fld1; movl $1f, %1; 1: fisttpl %2; fnstenv %0; fninit" : "=m"(e), "=&r"(at), "=m"(target)::"memory");
    CHECK(target == 1 && e.ip == at && (uint16_t)e.cs_opcode == SEL_KERNEL_CODE);
    CHECK(e.dp == (uint32_t)&target && (uint16_t)e.ds == SEL_KERNEL_DATA);
    CHECK((e.cs_opcode >> 16 & 0x738) == (3 << 8 | 1 << 3)); /* DB /1 */
    return true;
}

static bool ssse3(void)
{
    static const uint8_t bytes[16] __attribute__((aligned(16))) = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    static const uint8_t reversed[16] __attribute__((aligned(16))) = { 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0x80 };
    uint8_t r[16] __attribute__((aligned(16)));

    if (!(features() >> 9 & 1))
        return true;
    __asm__ volatile("movdqa %1, %%xmm3; pshufb %2, %%xmm3; movdqa %%xmm3, %0" : "=m"(r) : "m"(bytes), "m"(reversed) : "memory");
    CHECK(r[0] == 15 && r[14] == 1 && r[15] == 0);
    __asm__ volatile("movq %1, %%mm2; palignr $3, %2, %%mm2; movq %%mm2, %0; emms" : "=m"(r) : "m"(bytes[8]), "m"(bytes) : "memory");
    CHECK(r[0] == 3 && r[4] == 7 && r[5] == 8 && r[7] == 10);
    return true;
}

static bool sse41(void)
{
    static const uint32_t ones[4] __attribute__((aligned(16))) = { ~0u, ~0u, ~0u, ~0u }, low[4] __attribute__((aligned(16))) = { 1, 0, 0, 0 };
    uint8_t bytes[8] = { 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee };
    uint32_t flags, r[4] __attribute__((aligned(16)));

    if (!(features() >> 19 & 1))
        return true;
    __asm__ volatile("movdqa %1, %%xmm1; stc; ptest %2, %%xmm1; pushfl; popl %0" : "=r"(flags) : "m"(ones), "m"(low) : "cc");
    CHECK((flags & ARITHMETIC) == CF); /* nothing beside the ones, but something in common */
    __asm__ volatile("movdqa %1, %%xmm1; ptest %2, %%xmm1; pushfl; popl %0" : "=r"(flags) : "m"(low), "m"(ones) : "cc");
    CHECK((flags & ARITHMETIC) == 0);
    __asm__ volatile("pxor %%xmm1, %%xmm1; ptest %1, %%xmm1; pushfl; popl %0" : "=r"(flags) : "m"(ones) : "cc");
    CHECK((flags & ARITHMETIC) == ZF);
    /* Stores of one, two and four bytes leave the next one alone. */
    __asm__ volatile("pxor %%xmm1, %%xmm1; pextrb $3, %%xmm1, %0; pextrw $1, %%xmm1, %1; extractps $2, %%xmm1, %2"
                     : "=m"(bytes[0]), "=m"(*(uint16_t *)(bytes + 1)), "=m"(*(uint32_t *)(bytes + 3)) :: "memory");
    CHECK(bytes[0] == 0 && bytes[6] == 0 && bytes[7] == 0xee);
    __asm__ volatile("pmovsxbd %1, %%xmm1; movdqa %%xmm1, %0" : "=m"(r) : "m"(*(const uint32_t *)"\1\xff\177\200") : "memory");
    CHECK(r[0] == 1 && r[1] == ~0u && r[2] == 127 && r[3] == (uint32_t)-128);
    return true;
}

static bool sse42(void)
{
    static const char nine[] = "123456789", haystack[16] __attribute__((aligned(16))) = "the needle here", needle[16] __attribute__((aligned(16))) = "needle";
    uint32_t crc = ~0u, at, flags;

    if (!(features() >> 20 & 1))
        return true;
    for (unsigned i = 0; i < 9; i++)
        __asm__("crc32b %1, %0" : "+r"(crc) : "m"(nine[i]));
    CHECK(~crc == 0xe3069283); /* CRC-32C's check value */
    __asm__ volatile("movdqa %2, %%xmm1; pcmpistri $0x0c, %3, %%xmm1; pushfl; popl %1" /* equal ordered: a substring */
                     : "=c"(at), "=r"(flags) : "m"(needle), "m"(haystack) : "cc");
    CHECK(at == 4 && (flags & ARITHMETIC) == (CF | ZF | SF)); /* both end within their 16 bytes */
    __asm__ volatile("movdqa %3, %%xmm1; pcmpestri $0x0c, %4, %%xmm1; pushfl; popl %1"
                     : "=c"(at), "=r"(flags) : "a"(6), "m"(needle), "m"(haystack), "d"(16) : "cc");
    CHECK(at == 4 && (flags & ARITHMETIC) == (CF | SF)); /* lengths in EAX and EDX */
    return true;
}

static bool popcnt(void)
{
    uint32_t count, flags;

    if (!(features() >> 23 & 1))
        return true;
    __asm__ volatile("stc; popcntl %2, %0; pushfl; popl %1" : "=r"(count), "=r"(flags) : "r"(0xf0f00001) : "cc");
    CHECK(count == 9 && (flags & ARITHMETIC) == 0);
    __asm__ volatile("stc; popcntl %2, %0; pushfl; popl %1" : "=r"(count), "=r"(flags) : "r"(0) : "cc");
    CHECK(count == 0 && (flags & ARITHMETIC) == ZF);
    __asm__ volatile("movl $-1, %0; popcntw %w2, %w0" : "=&r"(count), "=m"(flags) : "r"(0x10003) : "cc");
    CHECK(count == 0xffff0002);
    return true;
}

/* --- alignment: operands of 16 bytes, but for LDDQU and the string comparisons --- */

#define AT(name, code) \
    static void name(void *at) { __asm__ volatile(code ::"r"(at) : "eax", "ecx", "edx", "cc", "memory"); }
AT(at_haddps, "haddps (%0), %%xmm1")
AT(at_pabsb, "pabsb (%0), %%xmm1")
AT(at_palignr, "palignr $1, (%0), %%xmm1")
AT(at_ptest, "ptest (%0), %%xmm1")
AT(at_movntdqa, "movntdqa (%0), %%xmm1")
AT(at_mpsadbw, "mpsadbw $1, (%0), %%xmm1")
AT(at_pcmpgtq, "pcmpgtq (%0), %%xmm1")
AT(at_lddqu, "lddqu (%0), %%xmm1")
AT(at_pabsb_mm, "pabsb (%0), %%mm1; emms")
AT(at_pmovzxbw, "pmovzxbw (%0), %%xmm1")
AT(at_pextrd, "pextrd $1, %%xmm1, (%0)")
AT(at_pcmpistri, "pcmpistri $0, (%0), %%xmm1")
AT(at_pcmpestrm, "pcmpestrm $0, (%0), %%xmm1")

static bool alignment(void)
{
    static const struct { void (*run)(void *); uint8_t bit; bool aligned; } rows[] = {
        { at_haddps, 0, true }, { at_pabsb, 9, true }, { at_palignr, 9, true }, { at_ptest, 19, true }, { at_movntdqa, 19, true },
        { at_mpsadbw, 19, true }, { at_pcmpgtq, 20, true }, { at_lddqu, 0, false }, { at_pabsb_mm, 9, false },
        { at_pmovzxbw, 19, false }, { at_pextrd, 19, false }, { at_pcmpistri, 20, false }, { at_pcmpestrm, 20, false },
    };
    uint32_t have = features();
    struct frame f;

    pages_map(SCRATCH + 0x1000, 0);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!(have >> rows[i].bit & 1))
            continue;
        CHECK(!catch_fault(rows[i].run, (void *)SCRATCH, &f));
        bool fault = catch_fault(rows[i].run, (void *)(SCRATCH + 1), &f);
        CHECK(rows[i].aligned ? fault && f.vector == VECTOR_GP && f.error == 0 : !fault);
        fault = catch_fault(rows[i].run, (void *)(SCRATCH + 0xfff), &f); /* into a page that is not there */
        CHECK(fault && (rows[i].aligned ? f.vector == VECTOR_GP : f.vector == 14 && caught_cr2 == SCRATCH + 0x1000));
    }
    pages_map(SCRATCH + 0x1000, (SCRATCH + 0x1000) | PTE_P | PTE_W | PTE_U);
    return true;
}

/* An exception that MXCSR lets through: #XM where the system says that it knows it, else #UD. */
extern char sse_divides[], sse_unpacks[];
enum { VECTOR_XM = 19, MXCSR = 0x1f80, MXCSR_ZM = 0x200, MXCSR_IM = 0x80 };
static void divides(void *unused)
{
    (void)unused;
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0; pslld $25, %%xmm0; psrld $2, %%xmm0; pxor %%xmm1, %%xmm1; .globl sse_divides; sse_divides: divps %%xmm1, %%xmm0"
                     ::: "memory");
}
static void converts(void *unused)
{
    (void)unused;
    __asm__ volatile("pcmpeqd %%xmm1, %%xmm1; .globl sse_unpacks; sse_unpacks: cvtps2dq %%xmm1, %%xmm1" ::: "memory");
}

static void set_mxcsr(uint32_t value) { __asm__ volatile("ldmxcsr %0" ::"m"(value)); }

static bool exceptions(void)
{
    static const struct { void (*run)(void *); const char *at; uint32_t mask; } cases[] = {
        { divides, sse_divides, MXCSR_ZM }, { converts, sse_unpacks, MXCSR_IM },
    };
    struct frame f;

    for (unsigned n = 0; n < 6; n++)
        for (unsigned i = 0; i < 2; i++) {
            bool known = n & 1;
            WRITE_CR(4, known ? READ_CR(4) | CR4_OSXMMEXCPT : READ_CR(4) & ~(uint32_t)CR4_OSXMMEXCPT);
            set_mxcsr(MXCSR);
            CHECK(!catch_fault(cases[i].run, NULL, &f));
            set_mxcsr(MXCSR & ~cases[i].mask);
            CHECK(catch_fault(cases[i].run, NULL, &f) && f.eip == (uint32_t)cases[i].at);
            CHECK(f.vector == (known ? VECTOR_XM : VECTOR_UD));
            set_mxcsr(MXCSR);
        }
    WRITE_CR(4, READ_CR(4) | CR4_OSXMMEXCPT);
    return true;
}

static const struct test tests[] = {
    { "as_cpuid_says", as_cpuid_says, NULL }, { "switched_off", switched_off, NULL }, { "sse3", sse3, NULL },
    { "fisttp_pointers", fisttp_pointers, "keeps no opcode" }, { "ssse3", ssse3, NULL }, { "sse41", sse41, NULL },
    { "sse42", sse42, NULL }, { "popcnt", popcnt, NULL }, { "alignment", alignment, "checks no alignment" }, { "exceptions", exceptions, "raises no #XM" }, { NULL, NULL, NULL },
};
const struct test_group group_sse = { "sse", tests, fpu_on };
