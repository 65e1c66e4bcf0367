/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Whoever wants the run loop gets it soon, wherever the guest is (translate/recall.h).
 * Endless guest programs are stepped through on the host, one instruction after the
 * other, by its trap flag; after a number of steps x86vm_interrupted() is called, for
 * each number in turn, and x86vm_run() must come back though no program ever waits for
 * it. A program that finds one of its own values wrong halts.
 */
#include "tests/unit/unit.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"
#include "x86vm/x86vm.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

/* The assembler has these numbers, too. */
enum { RAM = 2 << 20, DIRECTORY = 0x3000, TABLE = 0x4000, CODE = 0x10000, DATA = 0x20000, STACK = 0x1f0000 };
enum { DEVICE = 0x300000, DEVICE_TABLE_ENTRIES = 1024, P = 1, W = 2, U = 4, G = 0x100, HOST_TF = 0x100 };

#define PROGRAM(name, text)                                                                                      \
    __asm__(".pushsection .rodata\n.code32\n" #name "_start:\n" text "\n9: cli; hlt\n" #name "_end:\n.code64\n.popsection\n"); \
    extern const char name##_start[], name##_end[]
#define AT(name, label) "(0x10000 + " #label " - " #name "_start)"

static struct x86vm *vm;
static struct cpu *cpu;
static struct phys *phys;

static void poke(uint32_t at, const void *bytes, uint32_t size) { CU_ASSERT_TRUE(phys_dma_write(phys, at, bytes, size)); }
static void poke32(uint32_t at, uint32_t value) { poke(at, &value, 4); }

static bool device_asks; /* for the run loop, at each access */
static bool device_steps; /* stepping begins there */
static uint32_t device_read(void *device, uint32_t at, unsigned size)
{
    (void)device, (void)at, (void)size;
    if (device_steps)
        __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq" : : : "memory", "cc");
    if (device_asks)
        x86vm_request_exit(vm);
    return 0x5a5a5a5a;
}
static void device_write(void *device, uint32_t at, unsigned size, uint32_t value) { (void)value, device_read(device, at, size); }
static const struct io_ops device_ops = { .read = device_read, .write = device_write };

static const struct way { const char *set; bool paging, counting, global; } ways[] = {
    { NULL, false, false, false }, { "X86VM_EAGER_BARE", true, false, false }, { "X86VM_EAGER_JUMPS", true, false, true }, { "X86VM_NO_BARE", true, false, false }, { "X86VM_NO_SHADOW", true, false, false },
    { "X86VM_NO_BMI2", true, false, false }, { "X86VM_EAGER_CACHES", true, false, true }, { "X86VM_EAGER_WINDOW", true, false, false }, { NULL, true, true, false },
};
enum { WAYS = sizeof ways / sizeof ways[0] };

/* Protected mode, flat, ring 0, and a device behind the RAM. */
static void begin(const struct way *way, const char *code, const char *end)
{
    const struct x86vm_config config = { .ram_size = RAM };
    const struct cpu_segment cs = { .limit = UINT32_MAX, .selector = 8, .access = 0x9b | SEG_G | SEG_DB },
                             data = { .limit = UINT32_MAX, .selector = 16, .access = 0x93 | SEG_G | SEG_DB };
    char error[200] = "";

    if (way->set)
        setenv(way->set, "1", 1);
    vm = x86vm_new(&config, error, sizeof error);
    if (way->set)
        unsetenv(way->set);
    CU_ASSERT_PTR_NOT_NULL_FATAL(vm);
    cpu = x86vm_cpu(vm);
    phys = x86vm_phys(vm);
    io_bus_map_ports(x86vm_io(vm), 0x100, 4, &device_ops, NULL);
    io_bus_map_mmio(x86vm_io(vm), DEVICE, PAGE_SIZE, &device_ops, NULL);
    for (unsigned i = 0; i < CPU_SEG_COUNT; i++)
        cpu_set_segment(cpu, i, i == CPU_CS ? &cs : &data);
    poke32(DIRECTORY, TABLE | P | W | U);
    for (uint32_t page = 0; page < DEVICE_TABLE_ENTRIES; page++)
        poke32(TABLE + page * 4, page << PAGE_SHIFT | P | W | U | (way->global ? G : 0));
    cpu->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_MP | (way->paging ? CR0_PG | CR0_WP : 0);
    cpu->cr3 = DIRECTORY;
    cpu->cr4 |= way->global ? CR4_PGE : 0;
    cpu->eip = CODE;
    cpu->regs[CPU_ESP] = STACK;
    view_flush_all(cpu);
    cpu->mode_dirty = true;
    view_select(cpu);
    poke(CODE, code, (uint32_t)(end - code));
    if (way->counting)
        x86vm_count(vm);
}

/* --- stepping --- */

static volatile unsigned left; /* steps until the call */
static volatile bool called, lost;
static volatile unsigned patience = 20 * 1000 * 1000; /* us, which only a host that is away for long needs; shorter when something was lost already */

static void set_timer(unsigned usec)
{
    const struct itimerval value = { { 0, 0 }, { usec / 1000000, usec % 1000000 } };
    setitimer(ITIMER_REAL, &value, NULL);
}

static void step(ucontext_t *uc)
{
    greg_t *flags = &uc->uc_mcontext.gregs[REG_EFL];

    if (!called && device_steps && !x86vm_is_translated(vm, (uintptr_t)uc->uc_mcontext.gregs[REG_RIP])) {
        *flags |= HOST_TF; /* not counted */
        return;
    }
    if (!called && left-- > 0) {
        *flags |= HOST_TF;
        return;
    }
    *flags &= ~(greg_t)HOST_TF;
    if (called)
        return; /* a stub had put it aside with the guest's flags */
    called = true;
    set_timer(patience);
    x86vm_interrupted(vm, uc);
}

static void on_trap(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    step(context);
}

/* Begins to step; then, when it did not help, gives the guest up. */
static void on_alarm(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    if (!called) {
        step(context);
        return;
    }
    if (lost)
        _exit(2); /* twice: nothing will end this */
    lost = true;
    patience = 900000;
    set_timer(patience);
    x86vm_interrupted(vm, context);
}

static void catch(int number, void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

    sigfillset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

/* Translates it all, and links it. */
static void warm_up(void)
{
    for (unsigned i = 0; i < 3; i++) {
        called = lost = false;
        left = 0;
        cpu->eip = CODE; /* from the start: jumps behind a CALL are linked the second time */
        cpu->regs[CPU_ESP] = STACK;
        set_timer(300);
        CU_ASSERT_EQUAL_FATAL(x86vm_run(vm), X86VM_EXIT_REQUESTED);
    }
}

#ifdef __SANITIZE_ADDRESS__
enum { FROM_C = 13 }; /* C takes many more steps then: only some */
#else
enum { FROM_C = 1 };
#endif
enum { STEPS = 80 }; /* where they begin is by chance */

static bool recalled_after(unsigned steps)
{
    enum x86vm_exit exit;

    called = lost = false;
    left = steps;
    set_timer(20 + steps % 7);
    exit = x86vm_run(vm);
    set_timer(0);
    if (exit == X86VM_EXIT_REQUESTED && !lost)
        return true;
    printf("\n    after %u steps at %08x: %s\n", steps, cpu->eip, lost ? "did not come back" : "halted");
    return false;
}

static void each_step(const char *code, const char *end)
{
    for (unsigned way = 0; way < WAYS; way++) {
        unsigned steps = 0;
        begin(&ways[way], code, end);
        warm_up();
        while (steps < STEPS && recalled_after(steps))
            steps++;
        CU_ASSERT_EQUAL(steps, STEPS);
        if (steps < STEPS)
            printf("    %s\n", ways[way].set ? ways[way].set : way ? "counting" : "no paging");
        x86vm_free(vm);
    }
}
#define EACH_STEP(name) each_step(name##_start, name##_end)

/* --- the programs --- */

PROGRAM(jumps, "1: incl %eax; jmp 1b");
PROGRAM(branches, "1: movl %eax, %ebx; addl $1, %eax; testb $3, %al; jz 2f; cmpl %ebx, %eax; je 9f; jmp 1b; 2: decl %edx; js 1b; jmp 1b");
PROGRAM(loops, "2: movl $7, %ecx; stc; 1: incl %edx; loop 1b; jnc 9f; jecxz 2b; jmp 9f");
static void test_direct(void) { EACH_STEP(jumps); EACH_STEP(branches); EACH_STEP(loops); }

PROGRAM(calls, "1: movl $5, %ecx; xorl %eax, %eax; call 2f; cmpl $15, %eax; jne 9f; cmpl $0x1f0000, %esp; jne 9f; jmp 1b\n"
               "2: pushl %ecx; decl %ecx; jz 3f; call 2b; 3: popl %ecx; addl %ecx, %eax; ret");
PROGRAM(chain, "1: pushl $" AT(chain, 1b) "; ret");
PROGRAM(deep, "1: movl $1500, %ecx; call 2f; cmpl $0x1f0000, %esp; jne 9f; jmp 1b; 2: decl %ecx; jz 3f; call 2b; 3: ret");
PROGRAM(elsewhere, "1: xorl %edx, %edx; pushl $" AT(elsewhere, 4f) "; call 2f; jmp 9f; 2: popl %eax; stc; sbbl %ebx, %ebx; stc; ret\n"
                   "4: jnc 9f; cmpl $-1, %ebx; jne 9f; jmp 1b");
static void test_returns(void) { EACH_STEP(calls); EACH_STEP(chain); EACH_STEP(deep); EACH_STEP(elsewhere); }

PROGRAM(indirect, "movl $" AT(indirect, 1f) ", %ebx; 1: stc; jmp *%ebx; jmp 9f");
PROGRAM(table, "movl $" AT(table, 2f) ", 0x20000; movl $" AT(table, 3f) ", 0x20004; movl $" AT(table, 4f) ", 0x20008\n"
               "1: incl %eax; movl %eax, %edx; andl $1, %edx; stc; jmp *0x20000(,%edx,4)\n"
               "2: jnc 9f; jmp 1b; 3: jnc 9f; movl %esp, %ebp; call *0x20008; jnc 9f; cmpl %esp, %ebp; je 1b; jmp 9f\n"
               "4: stc; ret");
static void test_indirect(void) { EACH_STEP(indirect); EACH_STEP(table); }

PROGRAM(ports, "1: movw $0x100, %dx; stc; inb %dx, %al; jnc 9f; cmpb $0x5a, %al; jne 9f; outb %al, %dx; jmp 1b");
PROGRAM(device, "1: stc; movl 0x300010, %eax; jnc 9f; cmpl $0x5a5a5a5a, %eax; jne 9f; movl %eax, 0x300014; pushl 0x300018; popl %ebx\n"
                "cmpl %ebx, %eax; jne 9f; jmp 1b");
PROGRAM(crossing, "1: movl $0x20ffe, %esi; incl %eax; movl %eax, (%esi); cmpl (%esi), %eax; jne 9f; jmp 1b");
PROGRAM(own_page, "1: incl %eax; movl %eax, 0x10f00; cmpl 0x10f00, %eax; jne 9f; jmp 1b");
static void test_slow(void) { EACH_STEP(ports); EACH_STEP(device); EACH_STEP(crossing); EACH_STEP(own_page); }

PROGRAM(copies, "1: movl $0x20000, %esi; movl $0x21000, %edi; movl $30, %ecx; stc; rep movsb; jnc 9f; cmpl $0x2001e, %esi; jne 9f\n"
                "testl %ecx, %ecx; jnz 9f; movl $3, %ecx; movl $0x300000, %edi; rep stosl; jmp 1b");
PROGRAM(flags, "1: std; stc; cld; jnc 9f; pushfl; popl %eax; testb $1, %al; jz 9f; pushl %eax; popfl; jnc 9f\n"
               "movl $40, %ecx; bts %ecx, 0x20000; btr %ecx, 0x20000; jnc 9f; jmp 1b");
static void test_sequences(void) { EACH_STEP(copies); EACH_STEP(flags); }

PROGRAM(reads_once, "stc; movl 0x300010, %eax; 1: jnc 9f; incl %ebx; stc; jmp 1b");
PROGRAM(writes_once, "stc; movl %eax, 0x300010; 1: jnc 9f; incl %ebx; stc; jmp 1b");
PROGRAM(in_once, "movw $0x100, %dx; stc; inb %dx, %al; 1: jnc 9f; incl %ebx; stc; jmp 1b");

#define ONCE(name) "movw $0x100, %dx; movl $" AT(name, 2f) ", %ebx; inb %dx, %al; stc\n"
#define ENDLESS "2: jnc 9f; incl %ecx; stc; jmp 2b"
PROGRAM(jumps_once, ONCE(jumps_once) "jmp *%ebx; jmp 9f\n" ENDLESS);
PROGRAM(calls_once, ONCE(calls_once) "call *%ebx; jmp 9f\n" ENDLESS);
PROGRAM(returns_elsewhere, ONCE(returns_elsewhere) "call 3f; jmp 9f; 3: movl %ebx, (%esp); ret\n" ENDLESS);
PROGRAM(returns_far, "movw $0x100, %dx; stc; call 3f\n" ENDLESS "\n3: call 4f; ret; 4: call 5f; ret; 5: call 6f; ret; 6: call 7f; ret; 7: inb %dx, %al; ret");

/* On the way back from C, behind which there is no other look. */
static void test_back_from_c(void)
{
    static const char *const programs[][2] = { { reads_once_start, reads_once_end }, { writes_once_start, writes_once_end }, { in_once_start, in_once_end },
                                              { jumps_once_start, jumps_once_end }, { calls_once_start, calls_once_end },
                                              { returns_elsewhere_start, returns_elsewhere_end }, { returns_far_start, returns_far_end } };
    enum { COUNT = sizeof programs / sizeof programs[0] };

    for (unsigned i = 0; i < COUNT * WAYS; i++) {
        bool fine = true;
        begin(&ways[i / COUNT], programs[i % COUNT][0], programs[i % COUNT][1]);
        warm_up();
        device_steps = true;
        for (unsigned steps = 0; steps < STEPS && fine; steps += FROM_C) {
            called = lost = false;
            left = steps;
            cpu->eip = CODE;
            cpu->regs[CPU_ESP] = STACK;
            set_timer(patience);
            fine = x86vm_run(vm) == X86VM_EXIT_REQUESTED && !lost;
            if (!fine)
                printf("\n    program %u, way %u, %u steps from C: %s at %08x\n", i % COUNT, i / COUNT, steps, lost ? "did not come back" : "halted", cpu->eip);
        }
        set_timer(0);
        device_steps = false;
        CU_ASSERT_TRUE(fine);
        x86vm_free(vm);
    }
}

/* --- who asks --- */

/* C that translated code called. */
static void test_device_asks(void)
{
    for (unsigned way = 0; way < WAYS; way++) {
        const bool port = way & 1;
        begin(&ways[way], port ? ports_start : device_start, port ? ports_end : device_end);
        device_asks = true;
        catch(SIGALRM, on_alarm);
        called = true, lost = false;
        for (unsigned i = 0; i < 2000; i++) {
            set_timer(patience);
            if (x86vm_run(vm) != X86VM_EXIT_REQUESTED || lost)
                break;
            CU_ASSERT_TRUE(cpu->eip >= CODE && cpu->eip < CODE + PAGE_SIZE);
        }
        set_timer(0);
        CU_ASSERT_FALSE(lost);
        device_asks = false;
        x86vm_free(vm);
    }
}

static bool asking; /* both atomic */
static unsigned asked;
static bool is_asking(void) { return __atomic_load_n(&asking, __ATOMIC_SEQ_CST); }
static unsigned answers(void) { return __atomic_load_n(&asked, __ATOMIC_SEQ_CST); }
static void *ask(void *unused)
{
    (void)unused;
    while (is_asking()) {
        unsigned before = answers();
        x86vm_request_exit(vm);
        while (is_asking() && answers() == before) { /* the answer */
        }
        for (volatile unsigned i = 0; i < before % 97 * 10; i++) {
        }
    }
    return NULL;
}

/* Another thread. */
static void test_thread_asks(void)
{
    static const char *const programs[][2] = { { jumps_start, jumps_end }, { calls_start, calls_end }, { table_start, table_end } };

    for (unsigned i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        sigset_t all, before;
        pthread_t thread;
        begin(&ways[i], programs[i][0], programs[i][1]);
        catch(SIGALRM, on_alarm);
        called = true, lost = false;
        asked = 0;
        __atomic_store_n(&asking, true, __ATOMIC_SEQ_CST);
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &before);
        CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, ask, NULL), 0);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        for (; answers() < 5000; __atomic_add_fetch(&asked, 1, __ATOMIC_SEQ_CST)) {
            set_timer(patience);
            if (x86vm_run(vm) != X86VM_EXIT_REQUESTED || lost)
                break;
        }
        set_timer(0);
        CU_ASSERT_EQUAL(asked, 5000);
        __atomic_store_n(&asking, false, __ATOMIC_SEQ_CST);
        pthread_join(thread, NULL);
        x86vm_free(vm);
    }
}

/* Nothing that was changed for it is left behind. Where the run loop comes for the first
 * time there is a block to make, so it takes some passes until all is made; then a pass
 * makes none, and no link either. */
static void test_put_back(void)
{
    enum { PASSES = 20 };
    struct x86vm_counters before, after;
    unsigned passes = 0;

    begin(&ways[3], calls_start, calls_end); /* no window, which would come in the middle with translations of its own */
    warm_up();
    do {
        x86vm_get_counters(vm, &before);
        for (unsigned steps = 0; steps < STEPS; steps++)
            CU_ASSERT_TRUE(recalled_after(steps));
        x86vm_get_counters(vm, &after);
        CU_ASSERT_TRUE(after.dispatches - before.dispatches < 6 * STEPS); /* each run is entered and left, and goes on by itself */
    } while (after.links > before.links && ++passes < PASSES);
    CU_ASSERT_EQUAL(after.links, before.links);
    x86vm_free(vm);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "direct jumps", test_direct },
        { "calls and returns", test_returns },
        { "indirect jumps", test_indirect },
        { "slow accesses and calls into C", test_slow },
        { "back from C", test_back_from_c },
        { "longer sequences", test_sequences },
        { "a device asks", test_device_asks },
        { "a thread asks", test_thread_asks },
        { "all is put back", test_put_back },
        CU_TEST_INFO_NULL,
    };

    catch(SIGTRAP, on_trap);
    catch(SIGALRM, on_alarm);
    return unit_run("recall", tests);
}
