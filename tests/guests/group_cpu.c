/* SPDX-License-Identifier: BSD-2-Clause
 * Unprivileged instructions whose results or flags are easy to get wrong. */
#include "guest.h"

enum { CF = 1, PF = 4, AF = 16, ZF = 64, SF = 128, OF = 2048, ARITHMETIC = CF | PF | AF | ZF | SF | OF };

#define FLAGS_AFTER(code, ...)                                                       \
    ({                                                                               \
        uint32_t flags_;                                                             \
        __asm__ volatile(code "\n pushfl; popl %0" : "=r"(flags_) : __VA_ARGS__);    \
        flags_ & ARITHMETIC;                                                         \
    })

static bool carries(void)
{
    uint32_t low = 0xffffffff, high = 0x7fffffff, flags;
    __asm__ volatile("addl $1, %0; adcl $0, %1; pushfl; popl %2" : "+&r"(low), "+&r"(high), "=r"(flags)::"cc");
    CHECK(low == 0 && high == 0x80000000);
    CHECK((flags & ARITHMETIC) == (OF | SF | AF | PF));

    /* INC and DEC leave carry as it was. */
    uint32_t a = 0x7fffffff;
    __asm__ volatile("stc; incl %0; pushfl; popl %1" : "+r"(a), "=r"(flags)::"cc");
    CHECK((flags & ARITHMETIC) == (CF | OF | SF | AF | PF));
    __asm__ volatile("clc; decl %0; pushfl; popl %1" : "+r"(a), "=r"(flags)::"cc");
    CHECK((flags & ARITHMETIC) == (OF | AF | PF));
    return true;
}

static bool shifts(void)
{
    uint32_t v = 0x80000001, flags;
    __asm__ volatile("movb $0, %%cl; stc; shll %%cl, %0; pushfl; popl %1" : "+r"(v), "=r"(flags)::"ecx", "cc");
    CHECK(v == 0x80000001 && (flags & CF));
    __asm__ volatile("clc; rcll $1, %0; pushfl; popl %1" : "+r"(v), "=r"(flags)::"cc");
    CHECK(v == 2 && (flags & CF));
    v = 0x12345678;
    uint32_t w = 0x9abcdef0;
    __asm__ volatile("shldl $8, %1, %0" : "+r"(v) : "r"(w) : "cc");
    CHECK(v == 0x3456789a);
    __asm__ volatile("movb $36, %%cl; shrdl %%cl, %1, %0" : "+r"(v) : "r"(w) : "ecx", "cc");
    CHECK(v == 0x03456789);
    v = 0x80000000;
    __asm__ volatile("sarl $31, %0" : "+r"(v)::"cc");
    CHECK(v == 0xffffffff);
    return true;
}

static bool multiply_divide(void)
{
    uint32_t low, high;
    __asm__ volatile("mull %3" : "=a"(low), "=d"(high) : "a"(0xffffffff), "r"(0xffffffff) : "cc");
    CHECK(low == 1 && high == 0xfffffffe);
    __asm__ volatile("divl %4" : "=a"(low), "=d"(high) : "a"(0x12345678), "d"(3), "r"(0x10) : "cc");
    CHECK(low == 0x31234567 && high == 8);
    __asm__ volatile("idivl %4" : "=a"(low), "=d"(high) : "a"(-7), "d"(-1), "r"(2) : "cc");
    CHECK((int)low == -3 && (int)high == -1);
    __asm__ volatile("movb $0xfe, %%ah; movb $3, %%al; mulb %%ah" : "=a"(low)::"cc");
    CHECK((low & 0xffff) == 0x2fa);
    return true;
}

static bool high_bytes(void)
{
    uint32_t a = 0x11223344, b = 0x55667788, r;
    __asm__ volatile("movb %%bh, %%ah; xchgb %%al, %%bl; addb %%bh, %%bl" : "+a"(a), "+b"(b)::"cc");
    CHECK(a == 0x11227788 && b == 0x556677bb);
    __asm__ volatile("movzbl %%ah, %0" : "=r"(r) : "a"(a));
    CHECK(r == 0x77);
    __asm__ volatile("movsbl %%bh, %0" : "=r"(r) : "b"(0x8f00));
    CHECK(r == 0xffffff8f);
    return true;
}

static bool decimal(void)
{
    uint32_t a;
    __asm__ volatile("movb $0x79, %%al; addb $0x35, %%al; daa" : "=a"(a) : "a"(0) : "cc");
    CHECK((a & 0xff) == 0x14);
    __asm__ volatile("movb $0x21, %%al; subb $0x35, %%al; das" : "=a"(a) : "a"(0) : "cc");
    CHECK((a & 0xff) == 0x86);
    __asm__ volatile("movw $0x0308, %%ax; addb $9, %%al; aaa" : "=a"(a)::"cc");
    CHECK((a & 0xffff) == 0x0407);
    __asm__ volatile("movw $0x003f, %%ax; aam" : "=a"(a)::"cc");
    CHECK((a & 0xffff) == 0x0603);
    __asm__ volatile("movw $0x0603, %%ax; aad" : "=a"(a)::"cc");
    CHECK((a & 0xffff) == 0x003f);
    return true;
}

static bool bits(void)
{
    uint32_t words[4] = { 0, 0, 0, 0 }, r = 0x1234, flags;
    __asm__ volatile("btsl %1, %0" : "+m"(words[1]) : "r"(70) : "memory", "cc");
    CHECK(words[3] == 0x40 && words[1] == 0);
    __asm__ volatile("btrl %1, %0" : "+m"(words[1]) : "r"(-32) : "memory", "cc");
    CHECK(words[0] == 0);
    __asm__ volatile("bsfl %2, %0; pushfl; popl %1" : "+r"(r), "=r"(flags) : "r"(0) : "cc");
    CHECK(flags & ZF);
    __asm__ volatile("bsrl %1, %0" : "=r"(r) : "r"(0x00800000) : "cc");
    CHECK(r == 23);
    r = 0x11223344;
    __asm__ volatile("bswapl %0" : "+r"(r));
    CHECK(r == 0x44332211);
    return true;
}

static bool exchanges(void)
{
    uint32_t memory = 5, a = 5, flags;
    __asm__ volatile("lock cmpxchgl %3, %0; pushfl; popl %2" : "+m"(memory), "+a"(a), "=r"(flags) : "r"(9) : "cc");
    CHECK(memory == 9 && (flags & ZF));
    __asm__ volatile("lock cmpxchgl %3, %0; pushfl; popl %2" : "+m"(memory), "+a"(a), "=r"(flags) : "r"(7) : "cc");
    CHECK(memory == 9 && a == 9 && !(flags & ZF));
    a = 3;
    __asm__ volatile("lock xaddl %1, %0" : "+m"(memory), "+r"(a)::"cc");
    CHECK(memory == 12 && a == 9);
    uint64_t wide = 0x1122334455667788ull;
    uint8_t ok = 0;
    uint32_t old_low = 0x55667788, old_high = 0x11223344;
    __asm__ volatile("lock cmpxchg8b %0; sete %1"
                     : "+m"(wide), "+m"(ok), "+a"(old_low), "+d"(old_high) : "b"(1), "c"(2) : "cc");
    CHECK(ok && wide == 0x200000001ull);
    __asm__ volatile("xchgl %1, %0" : "+m"(memory), "+r"(a));
    CHECK(memory == 9 && a == 12);
    return true;
}

static bool stack(void)
{
    uint32_t a, b;
    __asm__ volatile("movl %%esp, %0; pushl %%esp; popl %1" : "=&r"(a), "=&r"(b));
    CHECK(a == b);
    /* POP to memory addresses with the ESP after the pop. */
    __asm__ volatile("pushl $11; pushl $22; popl (%%esp); popl %0" : "=r"(a)::"memory");
    CHECK(a == 22);
    __asm__ volatile("pushl $0x1234; pushw $7; movzwl (%%esp), %0; addl $2, %%esp; popl %1" : "=&r"(a), "=&r"(b)::"cc");
    CHECK(a == 7 && b == 0x1234);
    __asm__ volatile("movl %%esp, %%ecx; pushal; movl 12(%%esp), %0; popal; subl %%esp, %%ecx; movl %%ecx, %1"
                     : "=a"(a), "=r"(b)::"ecx", "cc");
    CHECK(b == 0);
    __asm__ volatile("pushl %%ebp; movl %%esp, %%ecx; enter $16, $1; movl %%ebp, %0; leave; movl %%esp, %1;"
                     "subl %%ecx, %1; subl %%ecx, %0; popl %%ebp" : "=&r"(a), "=&r"(b)::"ecx", "cc", "memory");
    CHECK(b == 0 && a == 0xfffffffc);
    return true;
}

static bool conditions(void)
{
    uint32_t r = 1, n = 0;
    __asm__ volatile("cmpl $5, %1; cmovl %2, %0" : "+r"(r) : "r"(4), "r"(77) : "cc");
    CHECK(r == 77);
    __asm__ volatile("movl $5, %%ecx; 1: incl %0; loop 1b; jecxz 2f; incl %0; 2:" : "+r"(n)::"ecx", "cc");
    CHECK(n == 5);
    __asm__ volatile("sahf; lahf" : "=a"(r) : "a"(0xd500));
    CHECK((r >> 8 & 0xff) == 0xd7);
    CHECK(FLAGS_AFTER("cmpl %1, %2", "r"(1), "r"(0x80000000)) == (OF | AF | PF));
    CHECK(FLAGS_AFTER("testl %1, %1", "r"(0)) == (ZF | PF));
    return true;
}

static uint32_t twice(uint32_t x) { return 2 * x; }
static uint32_t thrice(uint32_t x) { return 3 * x; }

static bool calls(void)
{
    static uint32_t (*volatile table[2])(uint32_t) = { twice, thrice };
    uint32_t sum = 0, r;
    for (uint32_t i = 0; i < 1000; i++)
        sum += table[i % 3 == 0](i);
    CHECK(sum == 2 * 499500 + 166833);
    __asm__ volatile("pushl $1; pushl $2; call 1f; jmp 2f; 1: ret $8; 2: movl %%esp, %0" : "=r"(r)::"memory");
    uint32_t now;
    __asm__ volatile("movl %%esp, %0" : "=r"(now));
    CHECK(r == now);
    return true;
}

static bool cpuid(void)
{
    uint32_t a, b, c, d;
    uint32_t before = eflags_get();
    __asm__ volatile("pushl %0; popfl" ::"r"(before ^ 0x200000) : "cc");
    CHECK((eflags_get() ^ before) & 0x200000);
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(0), "c"(0));
    CHECK(a >= 1);
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(1), "c"(0));
    CHECK((a >> 8 & 15) >= 6);
    CHECK((d & 0x07808111) == 0x07808111); /* FPU TSC CX8 CMOV MMX FXSR SSE SSE2 */
    return true;
}

static bool tsc(void)
{
    uint32_t al, ah, bl, bh;
    __asm__ volatile("rdtsc" : "=a"(al), "=d"(ah));
    for (volatile int i = 0; i < 1000; i++)
        ;
    __asm__ volatile("rdtsc" : "=a"(bl), "=d"(bh));
    CHECK(((uint64_t)bh << 32 | bl) > ((uint64_t)ah << 32 | al));
    return true;
}

/* Work enough for hot paths, chained blocks and inline caches to be used. */
static bool sieve(void)
{
    uint8_t *composite = (uint8_t *)SCRATCH;
    uint32_t n = 100000, primes = 0;
    memory_set(composite, 0, n);
    for (uint32_t i = 2; i < n; i++) {
        if (composite[i])
            continue;
        primes++;
        for (uint32_t j = i + i; j < n; j += i)
            composite[j] = 1;
    }
    CHECK(primes == 9592);
    return true;
}

static const struct test tests[] = {
    { "carries", carries, NULL }, { "shifts", shifts, NULL }, { "multiply_divide", multiply_divide, NULL },
    { "high_bytes", high_bytes, NULL }, { "decimal", decimal, NULL }, { "bits", bits, NULL }, { "exchanges", exchanges, NULL },
    { "stack", stack, NULL }, { "conditions", conditions, NULL }, { "calls", calls, NULL }, { "cpuid", cpuid, NULL },
    { "tsc", tsc, NULL }, { "sieve", sieve, NULL }, { NULL, NULL, NULL },
};
const struct test_group group_cpu = { "cpu", tests, NULL };
