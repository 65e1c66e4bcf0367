/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A small guest to be recorded: it computes in ring 0 with paging on while the
 * timer interrupts it, reads the time-stamp counter and the timer, faults a page
 * in now and then, and prints a sum. Every kind of code that the mutations of
 * tests/insn/mutate.c break is in its loop. Ends by CLI and HLT.
 */
#include <stdbool.h>
#include <stdint.h>

#define IO static inline __attribute__((always_inline))
IO void outb(uint16_t port, uint8_t v) { __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port)); }
IO uint8_t inb(uint16_t port)
{
    uint8_t v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

enum { COM1 = 0x3f8, PIT = 0x40, POST = 0x80, TICKS = 20, ROUNDS = 20, HZ = 500, PIT_HZ = 1193182, VECTOR_TIMER = 0x20, VECTOR_PAGE = 14, VOLATILE_PAGE = 0x700000, WINDOW = 0x600000, LOW_WORD = 0x10 };

void guest_main(void);
void on_timer(void);
void on_page_fault(void);
extern uint8_t timer_stub[], page_stub[];

static uint64_t gdt[3] = { 0, 0x00cf9b000000ffff, 0x00cf93000000ffff };
static uint64_t idt[VECTOR_TIMER + 1];
static uint32_t directory[1024] __attribute__((aligned(4096))), table[2][1024] __attribute__((aligned(4096)));
static volatile uint32_t ticks, faults;
static uint32_t numbers[1024];
static uint8_t bytes[8192] __attribute__((aligned(4096)));

__asm__(".section .multiboot, \"a\"\n .align 4\n .long 0x1badb002, 0, -0x1badb002\n .text\n .globl start\nstart:\n"
        " cli\n movl $boot_stack + 16384, %esp\n call guest_main\n1: cli\n hlt\n jmp 1b\n"
        "timer_stub:\n pushal\n call on_timer\n popal\n iret\n"
        "page_stub:\n pushal\n call on_page_fault\n popal\n addl $4, %esp\n iret\n"
        " .comm boot_stack, 16384, 16\n");

void on_timer(void)
{
    ticks++;
    outb(0x20, 0x20);
}

void on_page_fault(void)
{
    faults++;
    table[1][(VOLATILE_PAGE >> 12) & 1023] |= 1;
}

static void gate(unsigned vector, const uint8_t *stub)
{
    uint32_t at = (uint32_t)stub;
    idt[vector] = (at & 0xffff) | 8u << 16 | (uint64_t)(0x8e00 | (at & 0xffff0000)) << 32;
}

static void load_tables(void)
{
    struct __attribute__((packed)) { uint16_t limit; uint32_t base; } g = { sizeof gdt - 1, (uint32_t)gdt }, i = { sizeof idt - 1, (uint32_t)idt };

    gate(VECTOR_TIMER, timer_stub);
    gate(VECTOR_PAGE, page_stub);
    __asm__ volatile("lgdt %0; lidt %1; ljmp $8, $1f; 1: movl $16, %%eax; movl %%eax, %%ds; movl %%eax, %%es; movl %%eax, %%ss" ::"m"(g), "m"(i) : "eax", "memory");
}

static void paging_on(void)
{
    for (unsigned i = 0; i < 2048; i++)
        table[i >> 10][i & 1023] = i << 12 | 3;
    for (unsigned i = 0; i < 2; i++)
        table[1][(WINDOW >> 12 & 1023) + i] = ((uint32_t)bytes + 4096 * (1 - i)) | 3;
    directory[0] = (uint32_t)table[0] | 3;
    directory[1] = (uint32_t)table[1] | 3;
    __asm__ volatile("movl %0, %%cr3; movl %%cr0, %%eax; orl $0x80010000, %%eax; movl %%eax, %%cr0" ::"r"(directory) : "eax", "memory");
}

static void timer_on(void)
{
    static const struct { uint16_t port; uint8_t value; } writes[] = {
        { 0x20, 0x11 }, { 0x21, VECTOR_TIMER }, { 0x21, 4 }, { 0x21, 1 }, { 0x21, 0xfe }, { PIT + 3, 0x34 },
        { PIT, (PIT_HZ / HZ) & 0xff }, { PIT, (PIT_HZ / HZ) >> 8 },
    };

    for (unsigned i = 0; i < sizeof writes / sizeof writes[0]; i++)
        outb(writes[i].port, writes[i].value);
    __asm__ volatile("sti");
}

static void print_hex(uint32_t value)
{
    for (int shift = 28; shift >= 0; shift -= 4)
        outb(COM1, "0123456789abcdef"[value >> shift & 15]);
    outb(COM1, '\n');
}

/* Things that a compiler would not write. `window`: two pages that follow each other in linear memory alone. */
static uint32_t odd_things(uint32_t seed, uint32_t sum, uint8_t *window)
{
    uint32_t out = seed;

    __asm__ volatile("leal 12(%%eax,%%ecx,8), %%edx\n"
                     "testb %%al, %%al\n jp 1f\n notl %%ecx\n1:"                 /* parity */
                     "xlatb\n"
                     "movl %%eax, 4094(%%edi)\n addl 4094(%%edi), %%ecx\n"        /* into the next page */
                     "addl %%esi, %%esi\n movl 4(%%ebx), %%ecx\n adcl $7, %%edx\n" /* the carry lives over a load */
                     "btsl %%edx, 512(%%edi)\n sbbl %%ebp, %%eax\n"
                     "movl $-37, %%edx\n btcl %%edx, 512(%%edi)\n"                /* a bit before the operand */
                     "movw $0x1234, 8(%%edi)\n incw 8(%%edi)\n addl 8(%%edi), %%eax\n"
                     "andl $255, %%ecx\n addl (%%ebx,%%ecx,8), %%eax\n"
                     "movl $5, %%edx\n rep; bsfl %%ecx, %%edx\n setz %%dh\n addl %%edx, %%eax\n" /* no TZCNT here */
                     "imull $0x9e3779b1, %%eax, %%eax\n rolw $3, %%ax\n addw %%ax, %%cx\n"
                     "movl $0x1fff0, %%esi\n addr16 addl 0x20(%%si), %%eax\n"     /* wraps at 64 KiB */
                     "pushfl\n popl %%edx\n andl $0x45, %%edx\n xorl %%edx, %%eax\n"
                     : "+a"(out), "+S"(sum) : "c"(seed * 3), "b"(bytes + 64), "D"(window) : "edx", "memory", "cc");
    return out;
}

static bool vectors;

/* SSE on, and whether there is all up to SSE4.2. */
static void vectors_on(void)
{
    const uint32_t wanted = 1 << 0 | 1 << 9 | 1 << 19 | 1 << 20 | 1 << 23;
    uint32_t a = 1, b, c, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    vectors = (c & wanted) == wanted;
    __asm__ volatile("movl %%cr4, %%eax; orl $0x600, %%eax; movl %%eax, %%cr4; fninit" ::: "eax");
}

/* What the vector units' later instructions make of the same bytes. */
static uint32_t vector_things(uint32_t sum, uint8_t *window)
{
    __asm__ volatile("movd %%eax, %%xmm0\n pshufd $0x1b, %%xmm0, %%xmm1\n"
                     "lddqu 4091(%%edi), %%xmm2\n pshufb %%xmm2, %%xmm1\n pmulld %%xmm2, %%xmm1\n palignr $5, %%xmm1, %%xmm2\n"
                     "pmovzxbw 4093(%%edi), %%xmm3\n phaddw %%xmm3, %%xmm2\n pabsw %%xmm2, %%xmm4\n mpsadbw $2, %%xmm4, %%xmm1\n"
                     "ptest %%xmm1, %%xmm2\n adcl $3, %%eax\n"
                     "pextrd $2, %%xmm1, %%ecx\n pextrb $3, %%xmm2, 4095(%%edi)\n pinsrw $1, %%ecx, %%xmm1\n insertps $0x4c, 4092(%%edi), %%xmm2\n"
                     "crc32l %%ecx, %%eax\n crc32b 64(%%edi), %%eax\n popcntl %%eax, %%edx\n addl %%edx, %%eax\n"
                     "pushl %%eax\n andl $15, %%eax\n movl $11, %%edx\n pcmpestri $0x0c, 4090(%%edi), %%xmm2\n popl %%eax\n"
                     "sbbl %%ecx, %%eax\n pcmpistrm $0x40, 200(%%edi), %%xmm1\n pxor %%xmm0, %%xmm1\n"
                     "movd %%eax, %%mm1\n psignw 16(%%edi), %%mm1\n movd %%mm1, %%ecx\n emms\n xorl %%ecx, %%eax\n"
                     "fildl 32(%%edi)\n fisttpl 36(%%edi)\n addl 36(%%edi), %%eax\n"
                     : "+a"(sum) : "D"(window) : "ecx", "edx", "memory", "cc");
    return sum;
}

static uint32_t compute(uint32_t sum)
{
    for (unsigned i = 0; i < 1024; i++) {
        numbers[i] = numbers[i] * 1103515245 + 12345 + sum;
        sum ^= numbers[(sum >> 5) & 1023] >> (i & 15);
        if (sum & 1)
            bytes[sum & 4095] += (uint8_t)i;
    }
    if (vectors)
        sum += vector_things(sum, (uint8_t *)WINDOW);
    return odd_things(sum & 0xff, sum, (uint8_t *)WINDOW) + sum;
}

static uint32_t ask_devices(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    outb(PIT + 3, 0);
    return (low >> 8) + inb(PIT) + inb(PIT);
}

/* First without interrupts, up to a port write: wherever time passes faster than the guest runs, all of its code has
 * been there before the first of them, and what a mutation breaks shows at the same place. */
void guest_main(void)
{
    uint32_t sum = 1, rounds = 0;

    load_tables();
    *(volatile uint32_t *)LOW_WORD = 0x12345678; /* where 16-bit addresses wrap to */
    paging_on();
    vectors_on();
    for (unsigned i = 0; i < 20; i++)
        sum = compute(sum);
    outb(POST, (uint8_t)sum);
    timer_on();
    while (ticks < TICKS || rounds++ < ROUNDS) {
        for (unsigned i = 0; i < 20; i++)
            sum = compute(sum);
        sum += ask_devices();
        table[1][(VOLATILE_PAGE >> 12) & 1023] &= ~1u;
        __asm__ volatile("invlpg %0" ::"m"(*(uint8_t *)VOLATILE_PAGE) : "memory");
        *(volatile uint32_t *)VOLATILE_PAGE += sum;
        if (!(sum & 7))
            __asm__ volatile("hlt");
    }
    print_hex(sum + faults);
}
