/* SPDX-License-Identifier: BSD-2-Clause
 * x87, MMX and SSE2: 80-bit results, lazy switching by CR0.TS, FXSAVE, unmasked
 * exceptions, MXCSR. Values go through memory, so no floating-point C is compiled. */
#include "guest.h"

static uint8_t area[512] __attribute__((aligned(16))), area2[512] __attribute__((aligned(16)));

static bool extended_precision(void)
{
    struct {
        uint64_t mantissa;
        uint16_t exponent;
    } __attribute__((packed)) r;
    int32_t one = 1, three = 3;
    uint16_t status, control;
    __asm__ volatile("fninit; fnstcw %0; fnstsw %1" : "=m"(control), "=m"(status));
    CHECK(control == 0x37f && status == 0);
    __asm__ volatile("fildl %1; fidivl %2; fstpt %0" : "=m"(r) : "m"(one), "m"(three));
    CHECK(r.mantissa == 0xaaaaaaaaaaaaaaabull && r.exponent == 0x3ffd);
    __asm__ volatile("fldpi; fstpt %0" : "=m"(r));
    CHECK(r.mantissa == 0xc90fdaa22168c235ull && r.exponent == 0x4000);
    int64_t big = 0x123456789abcdefll, back;
    __asm__ volatile("fildll %1; fistpll %0" : "=m"(back) : "m"(big));
    CHECK(back == big);
    return true;
}

static bool compare(void)
{
    uint8_t above, equal;
    __asm__ volatile("fldz; fld1; fcomip %%st(1), %%st; seta %0; fstp %%st(0)" : "=q"(above)::"cc");
    CHECK(above == 1);
    __asm__ volatile("fld1; fld1; fcomip %%st(1), %%st; sete %0; fstp %%st(0)" : "=q"(equal)::"cc");
    CHECK(equal == 1);
    return true;
}

static unsigned unavailable;
static void on_unavailable(struct frame *f)
{
    (void)f;
    unavailable++;
    __asm__ volatile("clts");
}

static bool lazy(void)
{
    uint64_t value = 0x1122334455667788ull, back = 0;
    __asm__ volatile("movq %0, %%mm3; emms" ::"m"(value));
    unavailable = 0;
    trap_set_handler(7, on_unavailable);
    for (int i = 0; i < 10; i++) {
        WRITE_CR(0, READ_CR(0) | CR0_TS);
        __asm__ volatile("movq %%mm3, %0; emms" : "=m"(back));
        CHECK(back == value);
    }
    CHECK(unavailable == 10 && !(READ_CR(0) & CR0_TS));
    WRITE_CR(0, READ_CR(0) | CR0_TS);
    __asm__ volatile("movdqa %%xmm0, %0" : "=m"(area));
    WRITE_CR(0, READ_CR(0) | CR0_TS);
    __asm__ volatile("fwait");
    trap_set_handler(7, NULL);
    CHECK(unavailable == 12);
    return true;
}

static bool save_restore(void)
{
    memory_set(area, 0, sizeof area);
    memory_set(area2, 0, sizeof area2);
    __asm__ volatile("fninit; fld1; fldpi; pcmpeqd %%xmm5, %%xmm5; pslldq $4, %%xmm5; fxsave %0;"
                     "fninit; pxor %%xmm5, %%xmm5; fxrstor %0; fxsave %1" : "=m"(area), "=m"(area2));
    CHECK(memory_equal(area + 32, area2 + 32, 128 + 128));
    uint32_t *xmm5 = (uint32_t *)(area + 160 + 5 * 16);
    CHECK(xmm5[0] == 0 && xmm5[1] == 0xffffffff && xmm5[3] == 0xffffffff);
    CHECK(area[0] == 0x7f && area[1] == 0x03 && area[4] == 0xc0); /* control word, abridged tag */
    __asm__ volatile("fninit");
    return true;
}

static bool sse2(void)
{
    static const uint32_t a[4] __attribute__((aligned(16))) = { 1, 2, 3, 4 }, b[4] __attribute__((aligned(16))) = { 10, 20, 30, 40 };
    uint32_t r[4] __attribute__((aligned(16)));
    int32_t seven = 7, whole;
    __asm__ volatile("movdqa %1, %%xmm0; paddd %2, %%xmm0; movdqa %%xmm0, %0" : "=m"(r) : "m"(a), "m"(b));
    CHECK(r[0] == 11 && r[3] == 44);
    __asm__ volatile("cvtsi2sdl %1, %%xmm1; sqrtsd %%xmm1, %%xmm1; mulsd %%xmm1, %%xmm1; cvtsd2si %%xmm1, %0"
                     : "=r"(whole) : "m"(seven));
    CHECK(whole == 7);
    return true;
}

static void misaligned(void *unused)
{
    (void)unused;
    __asm__ volatile("movdqa %0, %%xmm0" ::"m"(area[1]));
}
static void divide_unmasked(void *unused)
{
    uint16_t control = 0x37f & ~4;
    (void)unused;
    __asm__ volatile("fninit; fldcw %0; fld1; fldz; fdivrp; fwait" ::"m"(control));
}
static void simd_unmasked(void *unused)
{
    uint32_t control = 0x1f80 & ~0x200u;
    int32_t zero = 0, one = 1;
    (void)unused;
    __asm__ volatile("ldmxcsr %0; cvtsi2sdl %2, %%xmm0; cvtsi2sdl %1, %%xmm1; divsd %%xmm1, %%xmm0"
                     ::"m"(control), "m"(zero), "m"(one));
}

static bool exceptions(void)
{
    struct frame f;
    CHECK(catch_fault(divide_unmasked, NULL, &f));
    CHECK(f.vector == 16);
    __asm__ volatile("fninit");
    CHECK(catch_fault(misaligned, NULL, &f));
    CHECK(f.vector == 13);
    return true;
}

static bool simd_exceptions(void)
{
    struct frame f;
    uint32_t control = 0x1f80;
    CHECK(catch_fault(simd_unmasked, NULL, &f));
    CHECK(f.vector == 19);
    __asm__ volatile("ldmxcsr %0" ::"m"(control));
    return true;
}

static void run_fpu(void *unused)
{
    (void)unused;
    __asm__ volatile("fld1; fstp %%st(0)" :::);
}
static void run_convert(void *unused)
{
    (void)unused;
    __asm__ volatile("cvtss2si %0, %%eax" :: "m"(area) : "eax");
}
static void run_movnti(void *unused)
{
    (void)unused;
    __asm__ volatile("movnti %%eax, %0" : "=m"(area2));
}
static void run_fcomi(void *unused)
{
    (void)unused;
    __asm__ volatile("fcomi %%st(1), %%st" ::: "cc");
}
static void run_sse(void *unused)
{
    (void)unused;
    __asm__ volatile("pxor %%xmm0, %%xmm0" :::);
}

static bool switched_off(void)
{
    struct frame f;
    WRITE_CR(0, READ_CR(0) | CR0_EM);
    bool fpu = catch_fault(run_fpu, NULL, &f);
    unsigned fpu_vector = f.vector;
    bool fcomi = catch_fault(run_fcomi, NULL, &f) && f.vector == 7;
    bool sse = catch_fault(run_sse, NULL, &f);
    unsigned sse_vector = f.vector;
    WRITE_CR(0, READ_CR(0) & ~(uint32_t)CR0_EM);
    CHECK(fcomi && fpu && fpu_vector == 7 && sse && sse_vector == 6);
    WRITE_CR(4, READ_CR(4) & ~(uint32_t)CR4_OSFXSR);
    sse = catch_fault(run_sse, NULL, &f) && catch_fault(run_convert, NULL, &f) && f.vector == 6
          && !catch_fault(run_movnti, NULL, &f);
    WRITE_CR(4, READ_CR(4) | CR4_OSFXSR);
    CHECK(sse);
    return true;
}

/* --- MXCSR --- */

/* MXCSR_MASK is the advertised CPU's, whatever more the host has; FXRSTOR and LDMXCSR go by it. */
static uint32_t fx_image[128] __attribute__((aligned(16)));
static void restore_image(void *unused)
{
    (void)unused;
    __asm__ volatile("fxrstor %0" ::"m"(fx_image));
}

static uint32_t mxcsr_image;
static void load_mxcsr(void *unused)
{
    (void)unused;
    __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr_image));
}

static bool mxcsr_is(uint32_t value)
{
    uint32_t now;
    __asm__ volatile("stmxcsr %0" : "=m"(now)::"memory");
    return now == value;
}

static bool mxcsr_loads(void)
{
    struct frame f;

    for (uint32_t bit = 0x10000; bit; bit <<= 1) {
        mxcsr_image = 0x7f80 | bit;
        CHECK(catch_fault(load_mxcsr, NULL, &f));
        CHECK(f.vector == 13 && f.error == 0 && mxcsr_is(0x1f80));
    }
    mxcsr_image = 0xffff & ~0x1000u;
    CHECK(!catch_fault(load_mxcsr, NULL, &f) && mxcsr_is(0xefff));
    mxcsr_image = 0x1f80;
    CHECK(!catch_fault(load_mxcsr, NULL, &f) && mxcsr_is(0x1f80));
    WRITE_CR(0, READ_CR(0) | CR0_EM);
    bool off = catch_fault(load_mxcsr, NULL, &f) && f.vector == 6;
    WRITE_CR(0, (READ_CR(0) & ~(uint32_t)CR0_EM) | CR0_TS);
    bool lazy = catch_fault(load_mxcsr, NULL, &f) && f.vector == 7;
    WRITE_CR(0, READ_CR(0) & ~(uint32_t)CR0_TS);
    WRITE_CR(4, READ_CR(4) & ~(uint32_t)CR4_OSFXSR);
    bool unknown = catch_fault(load_mxcsr, NULL, &f) && f.vector == 6;
    WRITE_CR(4, READ_CR(4) | CR4_OSFXSR);
    CHECK(off && lazy && unknown);
    return true;
}

static bool mxcsr_mask(void)
{
    struct frame f;

    __asm__ volatile("fxsave %0" : "=m"(fx_image)::"memory");
    CHECK(fx_image[7] == 0xffff);
    CHECK(!catch_fault(restore_image, NULL, &f));
    for (uint32_t bit = 0x10000; bit; bit <<= 1) {
        fx_image[6] |= bit;
        CHECK(catch_fault(restore_image, NULL, &f));
        CHECK(f.vector == 13 && f.error == 0);
        fx_image[6] &= ~bit;
    }
    return true;
}

/* FXSAVE and FXRSTOR need all 512 bytes, though they leave 224 of them alone. */
enum { FX_PAGE = SCRATCH + 0x3000, FX_BEHIND = FX_PAGE + 0x1000 };
static void save_at(void *at) { __asm__ volatile("fxsave (%0)" ::"r"(at) : "memory"); }
static void restore_at(void *at) { __asm__ volatile("fxrstor (%0)" ::"r"(at) : "memory"); }

static bool one_page_of_two(unsigned there)
{
    uint8_t *at = (uint8_t *)(FX_BEHIND - there);
    struct frame f;

    memory_set((void *)FX_PAGE, 0xa5, 0x1000);
    pages_map(FX_BEHIND, 0);
    CHECK(catch_fault(save_at, at, &f) && f.vector == 14 && f.error == 2 && caught_cr2 >= FX_BEHIND && caught_cr2 < FX_BEHIND + 512);
    for (unsigned i = 0; i < there; i++)
        CHECK(at[i] == 0xa5);
    CHECK(catch_fault(restore_at, at, &f) && f.vector == 14 && f.error == 0 && caught_cr2 >= FX_BEHIND && caught_cr2 < FX_BEHIND + 512);
    return true;
}

static bool whole_operand(void)
{
    enum { WP = 0x10000 };
    struct frame f;
    uint32_t cr0 = READ_CR(0);
    bool ok = one_page_of_two(288) && one_page_of_two(496) && one_page_of_two(16);

    pages_map(FX_BEHIND, FX_BEHIND | PTE_P);
    WRITE_CR(0, cr0 & ~(uint32_t)WP);
    ok = ok && !catch_fault(save_at, (void *)(FX_BEHIND - 288), &f);
    WRITE_CR(0, cr0 | WP);
    ok = ok && catch_fault(save_at, (void *)(FX_BEHIND - 288), &f) && f.vector == 14 && f.error == 3
         && !catch_fault(restore_at, (void *)(FX_BEHIND - 288), &f);
    WRITE_CR(0, cr0);
    pages_map(FX_BEHIND, FX_BEHIND | PTE_P | PTE_W | PTE_U);
    CHECK(ok);
    return true;
}

static bool untouched_tail(void)
{
    uint8_t *at = (uint8_t *)FX_PAGE;

    memory_set(at, 0xa5, 512);
    save_at(at);
    for (unsigned i = 464; i < 512; i++) /* what the manual promises to software; more of it is */
        CHECK(at[i] == 0xa5);
    return true;
}

static const struct test tests[] = {
    { "mxcsr_mask", mxcsr_mask, "takes any MXCSR" }, { "mxcsr_loads", mxcsr_loads, "takes any MXCSR" },
    { "extended_precision", extended_precision, NULL }, { "compare", compare, NULL }, { "lazy", lazy, NULL },
    { "save_restore", save_restore, NULL }, { "sse2", sse2, NULL }, { "exceptions", exceptions, NULL },
    { "simd_exceptions", simd_exceptions, "raises no SIMD exceptions" },
    { "switched_off", switched_off, NULL },
    { "whole_operand", whole_operand, "looks at what it writes only" }, { "untouched_tail", untouched_tail, NULL }, { NULL, NULL, NULL },
};
const struct test_group group_fpu = { "fpu", tests, fpu_on };
