/* SPDX-License-Identifier: BSD-2-Clause
 *
 * CALL and RET whatever a guest does to its stack: the host's return addresses
 * are only a guess (translate/shadow.h), and wrong ones must cost time alone.
 * Each program runs with and without the shadow stack, BMI2 and bare windows.
 */
#include "tests/unit/unit.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"
#include "x86vm/x86vm.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

/* The assembler has these numbers, too. */
enum { RAM = 2 << 20, GDT = 0x2000, IDT = 0x2800, TSS = 0x2c00, DIRECTORY = 0x3000, TABLE = 0x4000, OTHER_DIRECTORY = 0x5000, OTHER_TABLE = 0x6000, HIGH_TABLE = 0x7000,
       LOW_CODE = 0x8000, CODE = 0x10000, DATA = 0x20000, KERNEL_STACK = 0x40000, PAGE_A = 0x50000, PAGE_B = 0x51000, SHARED = 0x60000,
       STACK = 0x1f0000 };
enum { P = 1, W = 2, U = 4 };
enum { FLAT_DATA = 16, BASED_DATA = 24, SYSENTER_CS = 32, BASE_OF_DATA = 0x1000 };

/* 32-bit code, copied to `at` before it runs; AT(label) is where a label of it lies then. */
#define PROGRAM(name, at, text)                                                                          \
    __asm__(".pushsection .rodata\n.code32\n.set origin_" #name ", " #at "\n" #name "_start:\n" text       \
            "\n" #name "_end:\n.code64\n.popsection\n");                                                  \
    extern const char name##_start[], name##_end[]
#define LOAD(name, at) poke(at, name##_start, (uint32_t)(name##_end - name##_start))
#define AT(name, label) "(origin_" #name " + " #label " - " #name "_start)"

static struct x86vm *vm;
static struct cpu *cpu;
static struct phys *phys;

static void poke(uint32_t at, const void *bytes, uint32_t size)
{
    CU_ASSERT_TRUE(phys_dma_write(phys, at, bytes, size));
}
static void poke32(uint32_t at, uint32_t value) { poke(at, &value, 4); }

/* Reading the second port asks for the end soon. */
static uint32_t in(void *device, uint32_t port, unsigned size)
{
    const struct itimerval soon = { .it_value.tv_usec = 5000 };

    (void)device, (void)size;
    if (port & 1)
        setitimer(ITIMER_REAL, &soon, NULL);
    return 0;
}
static const struct io_ops port_ops = { .read = in };

static void fill_tables(void)
{
    poke32(DIRECTORY, TABLE | P | W | U), poke32(OTHER_DIRECTORY, OTHER_TABLE | P | W | U);
    poke32(DIRECTORY + 4092, HIGH_TABLE | P | W | U);
    for (uint32_t page = 0; page < RAM >> PAGE_SHIFT; page++) {
        poke32(TABLE + page * 4, page << PAGE_SHIFT | P | W | U);
        poke32(OTHER_TABLE + page * 4, page << PAGE_SHIFT | P | W | U);
    }
}

/* Protected mode, flat, ring 0. */
static void start(bool paging, uint32_t cache_size)
{
    const struct x86vm_config config = { .ram_size = RAM, .code_cache_size = cache_size };
    const struct cpu_segment code = { .limit = UINT32_MAX, .selector = 8, .access = 0x9b | SEG_G | SEG_DB },
                             data = { .limit = UINT32_MAX, .selector = FLAT_DATA, .access = 0x93 | SEG_G | SEG_DB };
    static const uint32_t descriptors[][2] = { { 0, 0 }, { 0xffff, 0xcf9b00 }, { 0xffff, 0xcf9300 },
                                               { BASE_OF_DATA << 16 | 0xffff, 0xcf9300 }, { 0xffff, 0xcf9b00 }, { 0xffff, 0xcf9300 },
                                               { 0xffff, 0xcffb00 }, { 0xffff, 0xcff300 } };
    char error[200] = "";

    vm = x86vm_new(&config, error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(vm);
    cpu = x86vm_cpu(vm);
    phys = x86vm_phys(vm);
    io_bus_map_ports(x86vm_io(vm), 0x100, 4, &port_ops, NULL);
    for (unsigned i = 0; i < CPU_SEG_COUNT; i++)
        cpu_set_segment(cpu, i, i == CPU_CS ? &code : &data);
    poke(GDT, descriptors, sizeof descriptors);
    cpu->gdtr = (struct cpu_table){ GDT, sizeof descriptors - 1 };
    fill_tables();
    cpu->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_MP | (paging ? CR0_PG | CR0_WP : 0);
    cpu->cr3 = DIRECTORY;
    cpu->sysenter_cs = SYSENTER_CS;
    cpu->sysenter_esp = KERNEL_STACK;
    cpu->eip = CODE;
    cpu->regs[CPU_ESP] = STACK;
    view_flush_all(cpu);
    cpu->mode_dirty = true;
    view_select(cpu);
}

static void on_alarm(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    x86vm_interrupted(vm, context);
}

static enum x86vm_exit run_for(unsigned usec)
{
    const struct itimerval end = { { 0, 0 }, { usec / 1000000, usec % 1000000 } }, never = { { 0, 0 }, { 0, 0 } };
    struct sigaction action;
    enum x86vm_exit exit;

    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_alarm;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &end, NULL);
    exit = x86vm_run(vm);
    setitimer(ITIMER_REAL, &never, NULL);
    return exit;
}

/* Until HLT with interrupts off. */
static void run(void)
{
    enum x86vm_exit exit = run_for(60000000);

    CU_ASSERT_EQUAL(exit, X86VM_EXIT_DEAD);
    if (exit != X86VM_EXIT_DEAD) {
        char state[500];
        x86vm_describe_state(vm, state, sizeof state);
        printf("\n    %s\n", state);
    }
}

static void end(void)
{
    x86vm_free(vm);
    vm = NULL;
}

/* Every program is run in each of these ways. */
static const struct way { const char *set; bool paging; } ways[] = {
    { NULL, false }, { NULL, true }, { "X86VM_EAGER_BARE", true }, { "X86VM_NO_BARE", true }, { "X86VM_NO_SHADOW", true },
    { "X86VM_NO_BMI2", true }, { "X86VM_NO_BMI2", false }, { "X86VM_EAGER_WINDOW", true },
};
enum { WAYS = sizeof ways / sizeof ways[0] };

static void begin(unsigned way, uint32_t cache_size)
{
    if (ways[way].set)
        setenv(ways[way].set, "1", 1);
    start(ways[way].paging, cache_size);
    if (ways[way].set)
        unsetenv(ways[way].set);
}

#define IN_EACH_WAY(name, cache) \
    for (unsigned way = 0; way < WAYS; end(), way++) \
        if (begin(way, cache), LOAD(name, CODE), true)

/* --- the stack is the guest's own --- */

PROGRAM(deep, 0x10000, "xorl %eax, %eax; movl $50000, %ecx; call 2f; cli; hlt\n"
                       "2: pushl %ecx; decl %ecx; jz 1f; call 2b; incl %eax; 1: popl %edx; addl %edx, %eax; ret");
/* Deeper than the shadow stack, and all the way back. */
static void test_deep(void)
{
    IN_EACH_WAY(deep, 0) {
        run();
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 49999 + 50000u * 50001 / 2);
        CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK);
    }
}

PROGRAM(unpaired, 0x10000, "xorl %eax, %eax; movl $300000, %ecx; 1: call 2f; 2: addl $4, %esp; decl %ecx; jnz 1b\n"
                           "movl $100000, %ecx\n"
                           "1: pushl $" AT(unpaired, 3f) "; testb $1, %cl; jz 2f; movl $" AT(unpaired, 4f) ", (%esp)\n"
                           "2: ret; 3: incl %eax; 4: incl %eax; decl %ecx; jnz 1b; cli; hlt");
/* CALLs that nobody returns from, and RETs that nobody called for. */
static void test_unpaired(void)
{
    IN_EACH_WAY(unpaired, 0) {
        run();
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 150000);
        CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK);
    }
}

PROGRAM(modified, 0x10000, "xorl %eax, %eax; movl $1000, %ecx\n"
                           "1: movl $" AT(modified, 4f) ", %edx; testb $3, %cl; jz 2f; movl $" AT(modified, 5f) ", %edx\n"
                           "2: call 3f; 4: addl $1, %eax; 5: addl $100, %eax; decl %ecx; jnz 1b; cli; hlt\n"
                           "3: call 6f; ret; 6: movl %edx, 4(%esp); addl $4, %esp; ret");
/* A return address that was changed, and one frame left out. */
static void test_modified(void)
{
    IN_EACH_WAY(modified, 0) {
        run();
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 250 + 100 * 1000);
        CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK);
    }
}

PROGRAM(coroutines, 0x10000,
        "movl $0x1e0000, %esi; movl $" AT(coroutines, 5f) ", (%esi)\n"
        "xorl %eax, %eax; xorl %ebx, %ebx; movl $1000, %ecx\n"
        "1: call 2f; incl %eax; call 2f; addl $10, %eax; decl %ecx; jnz 1b; cli; hlt\n"
        "2: xchgl %esp, %esi; ret\n" /* to the other's stack */
        "5: incl %ebx; call 2b; addl $10, %ebx; call 6f; jmp 5b; 6: call 2b; ret");
static void test_coroutines(void)
{
    IN_EACH_WAY(coroutines, 0) {
        run();
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 11000);
        CU_ASSERT_EQUAL(cpu->regs[CPU_EBX], 1000 + 10 * 1000);
    }
}

PROGRAM(widths, 0x10000, "xorl %eax, %eax; movl $1000, %ecx\n"
                         "1: pushl $7; pushl $8; call 2f; addl %edx, %eax; decl %ecx; jnz 1b; pushw $0x8000; retw\n"
                         "2: movl 8(%esp), %edx; ret $8");
PROGRAM(in_low_code, 0x8000, "callw 1f; incl %eax; cli; hlt; 1: addl $100, %eax; retw");
/* RET n, and both of them 16 bits wide. */
static void test_widths(void)
{
    IN_EACH_WAY(widths, 0) {
        LOAD(in_low_code, LOW_CODE);
        run();
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 7000 + 101);
        CU_ASSERT_EQUAL(cpu->regs[CPU_ESP], STACK);
    }
}

/* --- what is returned to has changed --- */

PROGRAM(rewritten, 0x10000, "xorl %eax, %eax; movl $1000, %ecx\n"
                            "1: call 2f; 3: addl $0, %eax; decl %ecx; jnz 1b; cli; hlt\n"
                            ".balign 64; 2: incb " AT(rewritten, 3b) " + 2; call 4f; ret; 4: andb $0x7f, " AT(rewritten, 3b) " + 2; ret");
static void test_rewritten(void)
{
    uint32_t sum = 0;

    for (uint32_t i = 1; i <= 1000; i++)
        sum += i & 0x7f;
    IN_EACH_WAY(rewritten, 0) {
        run();
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], sum);
    }
}

PROGRAM(remapped, 0x10000, "xorl %eax, %eax; movl $1000, %ecx; movl $0x4000 + 0x50000 / 1024, %edi; movl %cr3, %edx\n"
                           "1: movl $0x50000, %ebx; call *%ebx; decl %ecx; jnz 1b; cli; hlt\n"
                           ".org remapped_start + 0x100\n" /* at 0x10100: changes what is at 0x50000 */
                           "xorl $0x1000, (%edi); testb $1, %cl; jz 2f; movl %edx, %cr3; ret; 2: invlpg 0x50000; ret");
PROGRAM(page_a, 0x50000, "movl $0x10100, %ebx; call *%ebx; call 1f; addl $1, %eax; ret; 1: incl %eax; ret");
PROGRAM(page_b, 0x51000, "movl $0x10100, %ebx; call *%ebx; call 1f; addl $100, %eax; ret; 1: addl $100, %eax; ret");
/* The page that a CALL came from leads elsewhere by the time of the RET. */
static void test_remapped(void)
{
    IN_EACH_WAY(remapped, 0) {
        if (!ways[way].paging)
            continue;
        LOAD(page_a, PAGE_A), LOAD(page_b, PAGE_B);
        run();
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 500 * 2 + 500 * 200);
    }
}

PROGRAM(segments, 0x10000,
        "movl $1, 0x20000; movl $100, 0x21000; movl $16, %edi; movl $16, %esi; xorl %eax, %eax; movl $1000, %ecx\n"
        "1: addl %gs:0x20000, %eax; call 2f; addl %gs:0x20000, %eax; addl %fs:0x20000, %eax; addl %es:0x20000, %eax; decl %ecx; jnz 1b; cli; hlt\n"
        "2: testb $3, %cl; jnz 3f; xorl $16 ^ 24, %edi; movl %edi, %gs; jmp 4f\n"
        "3: testb $7, %cl; jnp 4f; xorl $16 ^ 24, %esi; movl %esi, %fs; movl %esi, %es; 4: ret");
/* Segments that somebody else has loaded meanwhile. */
static void test_segments(void)
{
    uint32_t sum = 0, gs = 1, other = 1;

    for (uint32_t i = 1000; i > 0; i--) {
        sum += gs;
        if (i % 4 == 0)
            gs = 101 - gs;
        else if (__builtin_popcount(i & 7) % 2 == 0)
            other = 101 - other;
        sum += gs + 2 * other;
    }
    IN_EACH_WAY(segments, 0) {
        run();
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], sum);
    }
}

PROGRAM(flushed, 0x10000, "xorl %eax, %eax; movl $40, %ecx; call 2f; cli; hlt\n"
                          "2: decl %ecx; jz 3f; call 2b; 1: incl %eax; ret\n"
                          "3: movl $20000, %edx; 4: incl " AT(flushed, 5f) " + 1; call 5f; decl %edx; jnz 4b; ret\n"
                          ".balign 64; 5: movl $0, %ebx; ret");
/* The code cache is full, and made anew, between a CALL and its RET. */
static void test_flushed(void)
{
    struct x86vm_counters counters;

    IN_EACH_WAY(flushed, 1 << 20) {
        run();
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 39);
        CU_ASSERT_EQUAL(cpu->regs[CPU_EBX], 20000);
        x86vm_get_counters(vm, &counters);
        CU_ASSERT(counters.cache_flushes > 0);
    }
}

/* --- privilege --- */

/* The user's frames wait while the kernel changes them, or what is mapped where. */
PROGRAM(to_user, 0x10000, "movl $" AT(to_user, 1f) ", %edx; movl $0x1e0000, %ecx; sysexit\n"
                          "1: xorl %eax, %eax; movl $1000, %edi\n"
                          "2: movl $0x50000, %ebx; call *%ebx; decl %edi; jnz 2b; xorl %ebp, %ebp; sysenter\n"
                          ".org to_user_start + 0x100\n" /* at 0x10100: the system call */
                          "movl %esp, %ecx; movl $" AT(to_user, 3f) ", %edx; sysenter; 3: ret");
PROGRAM(user_page_a, 0x50000, "movl $1, %ebp; movl $0x10100, %ebx; call *%ebx; addl $1, %eax; addl $10, %eax; ret");
PROGRAM(user_page_b, 0x51000, "movl $1, %ebp; movl $0x10100, %ebx; call *%ebx; addl $100, %eax; nop; nop; addl $16, %eax; ret");
/* Every fourth call skips the first addition, every second changes the address space. */
PROGRAM(kernel, 0x60000, "testl %ebp, %ebp; jnz 1f; cli; hlt\n"
                         "1: call 4f; testl $3, %edi; jnz 2f; addl $3, (%ecx)\n"
                         "2: testl $1, %edi; jnz 3f; movl %cr3, %ebx; xorl $0x3000 ^ 0x5000, %ebx; movl %ebx, %cr3\n"
                         "3: call 5f; 4: ret; 5: sysexit");
static void test_system_calls(void)
{
    uint32_t sum = 0;
    bool in_b = false;

    for (uint32_t i = 1000; i > 0; i--) {
        in_b ^= i % 2 == 0;
        sum += (in_b ? 16 : 10) + (i % 4 == 0 ? 0 : in_b ? 100 : 1);
    }
    IN_EACH_WAY(to_user, 0) {
        if (!ways[way].paging)
            continue;
        LOAD(user_page_a, PAGE_A), LOAD(user_page_b, PAGE_B), LOAD(kernel, SHARED);
        poke32(OTHER_TABLE + PAGE_A / 1024, PAGE_B | P | W | U);
        cpu->sysenter_eip = SHARED;
        run();
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], sum);
    }
}

/* A kernel's CALL has left a return address, and its user returns to it: in ring 3. */
PROGRAM(returner, 0x10000, "movl $" AT(returner, 1f) ", %edx; movl $0x1e0000, %ecx; sysexit\n"
                           "1: movl $1000, %edi\n"
                           "2: pushl $0x60005; movl %esp, %ecx; movl $" AT(returner, 3f) ", %edx; sysenter; 3: ret\n"
                           ".org returner_start + 0x100\n" /* at 0x10100: back from there */
                           "addl %ebx, %eax; decl %edi; jnz 2b; xorl %ebx, %ebx; xorl %ecx, %ecx; sysenter");
PROGRAM(returned_to, 0x60000, "call 1f; movl %cs, %ebx; testl %ebx, %ebx; movl $0x10100, %edx; jmp *%edx; 1: jecxz 2f; sysexit; 2: cli; hlt");
static void test_stays_user(void)
{
    IN_EACH_WAY(returner, 0) {
        if (!ways[way].paging)
            continue;
        LOAD(returned_to, SHARED);
        cpu->sysenter_eip = SHARED;
        cpu->regs[CPU_EAX] = 0;
        run();
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 1000 * (SYSENTER_CS + 16 + 3));
    }
}

/* Each jump is made for the first time, so by the run loop, and the kernel is asked at the deepest. */
PROGRAM(once, 0x10000, "movl $" AT(once, 1f) ", %edx; movl $0x1e0000, %ecx; sysexit\n"
                       "1: xorl %eax, %eax; movl $1, %ebp; call 2f; incl %eax; xorl %ebp, %ebp; sysenter\n"
                       ".balign 64; 2: call 3f; incl %eax; ret; .balign 64; 3: movl $" AT(once, 4f) ", %ebx; call *%ebx; incl %eax; ret\n"
                       ".balign 64; 4: movl %esp, %ecx; movl $" AT(once, 5f) ", %edx; sysenter; 5: ret");
PROGRAM(back_at_once, 0x60000, "testl %ebp, %ebp; jz 1f; sysexit; 1: cli; hlt");
PROGRAM(once_kernel, 0x10000, "xorl %eax, %eax; call 2f; incl %eax; cli; hlt\n"
                              ".balign 64; 2: call 3f; incl %eax; ret; .balign 64; 3: movl $" AT(once_kernel, 4f) ", %ebx; call *%ebx; incl %eax; ret\n"
                              ".balign 64; 4: jmp 5f; .balign 64; 5: ret");
static bool has_none(unsigned way)
{
    return ways[way].set && (!strcmp(ways[way].set, "X86VM_NO_SHADOW") || !strcmp(ways[way].set, "X86VM_NO_BMI2"));
}

/* RETs come back all the same: nothing begins behind a CALL. */
static void test_passes(void)
{
    struct x86vm_counters counters;

    IN_EACH_WAY(once_kernel, 0) {
        run();
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 3);
        x86vm_get_counters(vm, &counters);
        CU_ASSERT_EQUAL(counters.blocks_translated >= 9, has_none(way));
    }
    IN_EACH_WAY(once, 0) {
        if (!ways[way].paging)
            continue;
        LOAD(back_at_once, SHARED);
        cpu->sysenter_eip = SHARED;
        run();
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 3);
        x86vm_get_counters(vm, &counters);
        CU_ASSERT_EQUAL(counters.blocks_translated >= 11, has_none(way));
    }
}

/* As above, in ring 3: with FS based, which the code that is returned to was not made for, and flat again. */
PROGRAM(user_segments, 0x10000,
        "movl $" AT(user_segments, 1f) ", %edx; movl $0x1e0000, %ecx; sysexit\n"
        "1: movl $1, 0x20000; movl $100, 0x21000; movl $0x3b, %esi; movl %esi, %fs; xorl %eax, %eax; movl $1000, %ecx\n"
        "2: call 3f; addl %fs:0x20000, %eax; decl %ecx; jnz 2b; xorl %ebp, %ebp; sysenter\n"
        "3: call 4f; addl %fs:0x20000, %eax; ret\n"
        "4: testb $3, %cl; jnz 5f; xorl $0x3b ^ 0x43, %esi; movl %esi, %fs; 5: ret");
static void test_user_segments(void)
{
    static const uint32_t based[] = { BASE_OF_DATA << 16 | 0xffff, 0xcff300 };
    uint32_t sum = 0, fs = 1;

    for (uint32_t i = 1000; i > 0; i--) {
        fs = i % 4 == 0 ? 101 - fs : fs;
        sum += 2 * fs;
    }
    IN_EACH_WAY(user_segments, 0) {
        if (!ways[way].paging)
            continue;
        LOAD(back_at_once, SHARED);
        poke(GDT + 64, based, sizeof based);
        cpu->gdtr.limit += (uint16_t)sizeof based;
        cpu->sysenter_eip = SHARED;
        run();
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], sum);
    }
}

/* The kernel writes what its user returns to. */
PROGRAM(user_rewritten, 0x10000, "movl $" AT(user_rewritten, 1f) ", %edx; movl $0x1e0000, %ecx; sysexit\n"
                                 "1: xorl %eax, %eax; movl $1000, %edi; movl $1, %ebp\n"
                                 "2: call 4f; addl $0, %eax; decl %edi; jnz 2b; xorl %ebp, %ebp; sysenter\n"
                                 ".balign 64; 4: movl (%esp), %esi; movl %esp, %ecx; movl $" AT(user_rewritten, 5f) ", %edx; sysenter; 5: ret");
PROGRAM(writer, 0x60000, "testl %ebp, %ebp; jz 1f; incb 2(%esi); andb $0x7f, 2(%esi); sysexit; 1: cli; hlt");
static void test_rewritten_by_kernel(void)
{
    uint32_t sum = 0;

    for (uint32_t i = 1; i <= 1000; i++)
        sum += i & 0x7f;
    IN_EACH_WAY(user_rewritten, 0) {
        if (!ways[way].paging)
            continue;
        LOAD(writer, SHARED);
        cpu->sysenter_eip = SHARED;
        run();
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], sum);
    }
}

/* Behind the load of FS the code's page is not there: the kernel's #PF comes before anything runs in the new mode. */
PROGRAM(mode_and_fault, 0x10000,
        "movl $" AT(mode_and_fault, 1f) ", %edx; movl $0x1e0000, %ecx; sysexit\n"
        "1: movl $0x3b, %esi; movl %esi, %ds; movl %esi, %es; movl %esi, %fs; movl $1, 0x20000; movl $100, 0x21000\n"
        "xorl %eax, %eax; movl $1000, %edi; movl $0x43, %esi; movl $0x50ffe, %ebx\n"
        "2: call *%ebx; addl %fs:0x20000, %eax; decl %edi; jnz 2b; xorl %ebp, %ebp; sysenter");
PROGRAM(load_fs, 0x50ffe, "movl %esi, %fs; xorl $0x3b ^ 0x43, %esi; ret");
PROGRAM(on_fault, 0x60000, "testl %ebp, %ebp; jz 1f; addl $4, %esp; xorl $1, 0x4000 + 0x51000 / 1024; iret; 1: cli; hlt");
static void page_b_comes_by_fault(void)
{
    static const uint32_t gate[] = { SYSENTER_CS << 16, SHARED >> 16 << 16 | 0x8e00 }, stack0[] = { KERNEL_STACK, SYSENTER_CS + 8 };

    LOAD(on_fault, SHARED);
    poke(IDT + VEC_PF * 8, gate, sizeof gate);
    cpu->idtr = (struct cpu_table){ IDT, 255 };
    poke(TSS + 4, stack0, sizeof stack0);
    cpu->tr = (struct cpu_segment){ .base = TSS, .limit = 0x67, .access = 0x8b };
    cpu->sysenter_eip = SHARED;
    cpu->regs[CPU_EBP] = 1;
    poke32(TABLE + PAGE_B / 1024, PAGE_B | W | U);
}

static void test_mode_and_fault(void)
{
    static const uint32_t based[] = { BASE_OF_DATA << 16 | 0xffff, 0xcff300 };

    IN_EACH_WAY(mode_and_fault, 0) {
        if (!ways[way].paging)
            continue;
        LOAD(load_fs, PAGE_A + 0xffe);
        poke(GDT + 64, based, sizeof based);
        cpu->gdtr.limit += (uint16_t)sizeof based;
        page_b_comes_by_fault();
        run();
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 500 * 101);
    }
}

/* The deepest of a few CALLs faults: the RETs come back behind the fault all the same, and nothing begins behind a CALL. */
PROGRAM(once_fault, 0x10000, "movl $" AT(once_fault, 1f) ", %edx; movl $0x1e0000, %ecx; sysexit\n"
                             "1: movl $0x3b, %esi; movl %esi, %ds; movl %esi, %es; movl %esi, %fs; movl %esi, %gs; xorl %eax, %eax; call 2f; incl %eax; xorl %ebp, %ebp; sysenter\n"
                             ".balign 64; 2: call 3f; incl %eax; ret; .balign 64; 3: movl $" AT(once_fault, 4f) ", %ebx; call *%ebx; incl %eax; ret\n"
                             ".balign 64; 4: movl 0x51000, %edx; ret");
static void test_returns_after_fault(void)
{
    struct x86vm_counters counters;

    IN_EACH_WAY(once_fault, 0) {
        if (!ways[way].paging)
            continue;
        page_b_comes_by_fault();
        run();
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 3);
        x86vm_get_counters(vm, &counters);
        if (has_none(way) || !strcmp(ways[way].set ? ways[way].set : "", "X86VM_NO_BARE")) /* the page may be shown meanwhile, to new blocks */
            CU_ASSERT_EQUAL(counters.blocks_translated >= 11, has_none(way));
    }
}

/* --- on request --- */

/* 2^60 calls, all of them forward. */
static void test_tree_of_calls(void)
{
    static const uint8_t level[] = { 0xe8, 6, 0, 0, 0, 0xe8, 1, 0, 0, 0, 0xc3 }; /* call the next level twice; ret */

    for (unsigned way = 0; way < WAYS; end(), way++) {
        begin(way, 0);
        for (uint32_t i = 0; i < 60; i++)
            poke(CODE + i * sizeof level, level, sizeof level);
        poke(CODE + 60 * sizeof level, "\xc3", 1);
        CU_ASSERT_EQUAL(run_for(5000), X86VM_EXIT_REQUESTED);
    }
}

/* First the way down and back alone, for the stack to be in the window, then all of it but not deep, for its translation. */
#define LONG_RETURNS(body)                                                                                          \
    "movl $0x100, %esi; xorl %edi, %edi; movl $8000, %ecx; call 1f; movl $8000, %ecx; call 1f\n"                     \
    "incl %edi; movl $3, %ecx; call 1f; incl %esi; movl $8000, %ecx; call 1f; cli; hlt\n"                           \
    "1: decl %ecx; jz 3f; call 1b; movl $0x100, %edx; testl %edi, %edi; jz 2f; " body "; 2: ret\n"                   \
    "3: movl %esi, %edx; inb %dx, %al; ret"
PROGRAM(long_returns, 0x10000, "" LONG_RETURNS(".fill 3900, 1, 0xec"));
PROGRAM(long_returns_x87, 0x10000, "fninit; fldpi; " LONG_RETURNS(".fill 1900, 2, 0xfed9"));
PROGRAM(long_returns_device, 0x10000, "movl $0xf0000000, %ebx; " LONG_RETURNS(".fill 1900, 2, 0x038a"));
/* A way back of 8000 frames, each with much to do. */
static void test_long_returns(void)
{
    for (unsigned kind = 0; kind < 3; kind++) {
        begin(0, 0);
        if (kind == 0)
            LOAD(long_returns, CODE);
        else if (kind == 1)
            LOAD(long_returns_x87, CODE);
        else
            LOAD(long_returns_device, CODE);
        CU_ASSERT_EQUAL(run_for(60000000), X86VM_EXIT_REQUESTED);
        CU_ASSERT_NOT_EQUAL(cpu->regs[CPU_ESP], STACK); /* not only when all was done */
        end();
    }
}

/* --- the end of the address space --- */

PROGRAM(last_page, 0x10000, "xorl %eax, %eax; movl $100, %ecx; movl $-2, %ebx\n"
                            "1: movw $7, -2; addw (%ebx), %ax; movb $1, -1; movzbl 1(%ebx), %edx; addl %edx, %eax; decl %ecx; jnz 1b\n"
                            "movl -2(%ebx), %edx; movl (%ebx), %edx; hlt");
/* Nothing may reach past it, in whatever way it is shown. */
static void test_last_page(void)
{
    for (unsigned way = 0; way < WAYS; end(), way++) {
        begin(way, 0);
        if (!ways[way].paging)
            continue;
        LOAD(last_page, CODE);
        poke32(HIGH_TABLE + 4092, DATA | P | W | U);
        CU_ASSERT_EQUAL(run_for(60000000), X86VM_EXIT_SHUTDOWN); /* #GP, and no IDT */
        CU_ASSERT_EQUAL(cpu->regs[CPU_ECX], 0);
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 800);
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "deep recursion", test_deep },
        { "CALL without RET, RET without CALL", test_unpaired },
        { "return addresses changed", test_modified },
        { "two stacks", test_coroutines },
        { "RET n, and 16 bits", test_widths },
        { "returns to code that was rewritten", test_rewritten },
        { "returns to a page that was remapped", test_remapped },
        { "returns with other segments", test_segments },
        { "a new code cache in between", test_flushed },
        { "system calls in between", test_system_calls },
        { "a kernel's frame is none of its user's", test_stays_user },
        { "a pass of the run loop in between", test_passes },
        { "a user's returns with other segments", test_user_segments },
        { "a kernel writes what its user returns to", test_rewritten_by_kernel },
        { "a page fault in a new mode", test_mode_and_fault },
        { "a page fault below some CALLs", test_returns_after_fault },
        { "comes back from a tree of calls", test_tree_of_calls },
        { "comes back from many returns", test_long_returns },
        { "the last page", test_last_page },
        CU_TEST_INFO_NULL,
    };

    return unit_run("shadow stack", tests);
}
