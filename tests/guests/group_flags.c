/* SPDX-License-Identifier: BSD-2-Clause
 * Arithmetic flags and interrupts that come at any time: what the frame shows, and
 * what the interrupted code sees afterwards. */
#include "guest.h"

enum { PIT_HZ = 1193182, RATE = 4000, FRAMES = 60, ROUNDS = 20000, ARITH = 0x8d5 };

static volatile unsigned ticks, frames, wrong;
static uint32_t head;       /* frames that interrupt the instruction there are looked at, */
static uint32_t resume;     /* where the last of them returns to */
static uint32_t seen, expected;
static uint32_t words[2] = { 0x12345678, 0 };

static uint32_t flags_of_sum(uint32_t a, uint32_t b)
{
    uint32_t flags;
    __asm__("addl %2, %1; pushfl; popl %0" : "=r"(flags), "+r"(a) : "r"(b) : "cc");
    return flags & ARITH;
}

/* EAX = EAX + EBX was the last to write flags. */
static void on_tick(struct frame *f)
{
    ticks++;
    if (head && f->eip == head) {
        uint32_t flags = flags_of_sum(f->eax - f->ebx, f->ebx);
        frames++;
        if ((f->eflags ^ flags) & ARITH) {
            wrong++;
            seen = f->eflags & ARITH;
            expected = flags;
        }
        if (frames == FRAMES)
            f->eip = resume;
    }
    outb(0x20, 0x20);
}

static void prepare(void)
{
    irqs_on();
    trap_set_handler(IRQ_BASE, on_tick);
}

static void start(uint32_t at, uint32_t out)
{
    head = at, resume = out;
    ticks = frames = wrong = 0;
    outb(0x43, 0x34);
    outb(0x40, (uint8_t)(PIT_HZ / RATE)), outb(0x40, PIT_HZ / RATE >> 8);
    outb(0x21, 0xfe);
}

static bool stop(void)
{
    outb(0x21, 0xff);
    outb(0x43, 0x30);
    if (wrong) {
        print("  flags ");
        print_hex(seen);
        print(" instead of ");
        print_hex(expected);
        print("\n");
    }
    return !wrong;
}

#define MEMORY "movl (%%esi), %%edx; movl %%edx, 4(%%esi); movl 4(%%esi), %%edx;"

/* Nothing at the head of the loop needs a flag: the addition overwrites them all. They are in the frame nevertheless. */
static bool dead_in_frames(void)
{
    extern char flags_dead[], flags_dead_out[];
    start((uint32_t)flags_dead, (uint32_t)flags_dead_out);
    __asm__ volatile("sti; .globl flags_dead; flags_dead: addl %%ebx, %%eax;" MEMORY "jmp flags_dead;"
                     ".globl flags_dead_out; flags_dead_out: cli"
                     ::"a"(1), "b"(0x9e3779b9), "S"(words) : "edx", "memory", "cc");
    CHECK(stop() && frames == FRAMES);
    return true;
}

/* CF alone is needed there: ADC reads it and overwrites them all. */
static bool live_in_frames(void)
{
    extern char flags_live[], flags_live_out[];
    uint32_t carries = 0;
    start((uint32_t)flags_live, (uint32_t)flags_live_out);
    __asm__ volatile("sti; addl %%ebx, %%eax; .globl flags_live; flags_live: adcl $0, %0; addl %%ebx, %%eax;" MEMORY "jmp flags_live;"
                     ".globl flags_live_out; flags_live_out: cli"
                     : "+D"(carries) : "a"(1), "b"(0x9e3779b9), "S"(words) : "edx", "memory", "cc");
    CHECK(stop() && frames == FRAMES && carries > FRAMES);
    return true;
}

/* All of them: the code at the head pushes them. */
static bool all_in_frames(void)
{
    extern char flags_all[], flags_all_out[];
    start((uint32_t)flags_all, (uint32_t)flags_all_out);
    __asm__ volatile("sti; addl %%ebx, %%eax; .globl flags_all; flags_all: pushfl; popl %%edx; addl %%ebx, %%eax;" MEMORY "jmp flags_all;"
                     ".globl flags_all_out; flags_all_out: cli"
                     ::"a"(1), "b"(0x9e3779b9), "S"(words) : "edx", "memory", "cc");
    CHECK(stop() && frames == FRAMES);
    return true;
}

/* Sums of what loops see of their flags, which go over the jump back; LOOP leaves them alone. */
static uint32_t by_pushf(void)
{
    uint32_t sum = 0, a = 1, n = ROUNDS;
    __asm__ volatile("xorl %%edx, %%edx; 1: pushfl; popl %%edx; andl $0x8d5, %%edx; roll $3, %0; addl %%edx, %0; addl %%ebx, %1;" MEMORY "loop 1b"
                     : "+D"(sum), "+a"(a), "+c"(n) : "b"(0x9e3779b9), "S"(words) : "edx", "memory", "cc");
    return sum;
}

static uint32_t by_carry(void)
{
    uint32_t sum = 0, a = 1, n = ROUNDS;
    __asm__ volatile("clc; 1: adcl %0, %0; addl %%ebx, %1;" MEMORY "loop 1b"
                     : "+D"(sum), "+a"(a), "+c"(n) : "b"(0x9e3779b9), "S"(words) : "edx", "memory", "cc");
    return sum;
}

static uint32_t by_jumps(void)
{
    uint32_t sum = 0, a = 1, n = ROUNDS;
    __asm__ volatile("xorl %%edx, %%edx; 1: jnc 2f; leal 1(%0), %0; 2: jns 3f; leal 2(,%0,2), %0; 3: jp 4f; notl %0; 4: seto %%dl; lahf;"
                     "movzbl %%dl, %%edx; leal (%0,%%edx,4), %0; movzbl %%ah, %%edx; leal (%%edx,%0,8), %0; movl %1, %%eax; addl %%ebx, %%eax;"
                     "movl %%eax, %1;" MEMORY "loop 1b"
                     : "+D"(sum), "+m"(a), "+c"(n) : "b"(0x9e3779b9), "S"(words) : "eax", "edx", "memory", "cc");
    return sum;
}

static bool goes_on_with(uint32_t (*loop)(void))
{
    uint32_t undisturbed = loop(), other = undisturbed;

    start(0, 0);
    for (unsigned i = 0; ticks < FRAMES && other == undisturbed && i < 1000000; i++) {
        __asm__ volatile("sti" ::: "memory");
        other = loop();
        __asm__ volatile("cli" ::: "memory");
    }
    stop();
    CHECK(ticks >= FRAMES && other == undisturbed);
    return true;
}

static bool seen_by_pushf(void) { return goes_on_with(by_pushf); }
static bool seen_by_carry(void) { return goes_on_with(by_carry); }
static bool seen_by_jumps(void) { return goes_on_with(by_jumps); }

static const struct test tests[] = {
    { "dead_in_frames", dead_in_frames, NULL }, { "live_in_frames", live_in_frames, NULL }, { "all_in_frames", all_in_frames, NULL },
    { "seen_by_pushf", seen_by_pushf, NULL }, { "seen_by_carry", seen_by_carry, NULL }, { "seen_by_jumps", seen_by_jumps, NULL },
    { NULL, NULL, NULL },
};
const struct test_group group_flags = { "flags", tests, prepare };
