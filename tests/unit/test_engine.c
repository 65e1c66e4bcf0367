/* SPDX-License-Identifier: BSD-2-Clause
 * The whole engine on a few bytes of code: what random code found, and that the
 * run loop comes back on request from every kind of endless loop.
 */
#include "tests/unit/engine_fixture.h"
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static void on_alarm(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    x86vm_interrupted(vm, context);
}

/* On the stack for signals: translated code's own is small. */
static void catch_alarm(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_alarm;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    sigaction(SIGALRM, &action, NULL);
}

/* Runs, for half a minute at most. */
static enum x86vm_exit run(void)
{
    const struct itimerval late = { .it_value.tv_sec = 30 }, never = { .it_value.tv_sec = 0 };
    enum x86vm_exit exit;

    catch_alarm();
    setitimer(ITIMER_REAL, &late, NULL);
    exit = x86vm_run(vm);
    setitimer(ITIMER_REAL, &never, NULL);
    return exit;
}

/* --- what the fuzzer found --- */

static void test_same_offset_in_two_segments(void)
{
    engine_start(0);
    cpu_reset(cpu);
    for (unsigned i = 0; i < CPU_SEG_COUNT; i++) {
        const struct cpu_segment s = { .base = CODE, .limit = 0xffff, .selector = CODE >> 4, .access = i == CPU_CS ? 0x9b : 0x93 };
        cpu_set_segment(cpu, i, &s);
    }
    cpu->eip = 0;
    poke(CODE, "\x40\xea\x00\x00\x00\x20", 6); /* inc ax; jmp 2000:0000 */
    poke(DATA, "\x41\xfa\xf4", 3);             /* inc cx; cli; hlt */
    CU_ASSERT_EQUAL(run(), X86VM_EXIT_DEAD);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 1);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ECX], 1);
    engine_end();
}

static void test_frstor_with_exception_pending(void)
{
    static const char *const loads[] = { "\xdd\x25", "\xd9\x25" }; /* frstor, fldenv [DATA] */

    for (unsigned i = 0; i < 2; i++) {
        engine_start(0);
        /* fldcw unmasks division by zero; fld1; fldz; fdivp */
        poke(CODE, "\xd9\x2d\x00\x00\x02\x00\xd9\xe8\xd9\xee\xde\xf9", 12);
        poke(CODE + 12, loads[i], 2);
        poke32(CODE + 14, DATA);
        poke32(DATA, 0x037b);
        CU_ASSERT_EQUAL(run(), X86VM_EXIT_DEAD);
        CU_ASSERT_EQUAL(engine_halted_in(), VEC_MF);
        engine_end();
    }
}

/* Without CR0.NE the platform hears of it; with interrupts off that is the end. */
static unsigned ferrs;
static void on_ferr(void *opaque)
{
    (void)opaque;
    ferrs++;
}

static void test_frozen_by_exception(void)
{
    engine_start(0);
    cpu->cr0 &= ~(uint32_t)CR0_NE;
    cpu->mode_dirty = true;
    x86vm_set_ferr(vm, on_ferr, NULL);
    ferrs = 0;
    /* fldcw unmasks division by zero; fld1; fldz; fdivp; nop; fwait; inc eax */
    poke(CODE, "\xd9\x2d\x00\x00\x02\x00\xd9\xe8\xd9\xee\xde\xf9\x90\x9b\x40", 15);
    poke32(DATA, 0x037b);
    CU_ASSERT_EQUAL(run(), X86VM_EXIT_DEAD);
    CU_ASSERT_EQUAL(cpu->eip, CODE + 13);
    CU_ASSERT_EQUAL(ferrs, 1);
    engine_end();
}

static void test_operand_prefix_twice(void)
{
    uint8_t *xmm3;

    engine_start(0);
    xmm3 = cpu->fpu + 160 + 3 * 16;
    for (unsigned i = 0; i < 16; i++)
        xmm3[i] = (uint8_t)i;
    poke(CODE, "\x66\x66\x0f\x73\xdb\x04\xf4", 7); /* psrldq xmm3, 4; hlt */
    CU_ASSERT_EQUAL(run(), X86VM_EXIT_DEAD);
    CU_ASSERT_EQUAL(cpu->eip, CODE + 7);
    for (unsigned i = 0; i < 12; i++)
        CU_ASSERT_EQUAL(xmm3[i], i + 4);
    engine_end();
}

/* Accesses with live flags leave by short jumps: whatever lies between them must not put their ends out of reach. */
static void test_short_exits_reach(void)
{
    static const struct { const char *bytes; unsigned size; } parts[] = {
        { "\x9c", 1 }, { "\x9d", 1 }, { "\x8b\x03", 2 }, { "\x11\x0b", 2 }, { "\xd7", 1 }, { "\x0f\xab\x03", 3 },
        { "\x8b\x84\x33\x00\x01\x00\x00", 7 },
    };
    const unsigned kinds = sizeof parts / sizeof parts[0];

    engine_start(0);
    for (unsigned n = 0; n < kinds * kinds * kinds * kinds; n++) {
        uint32_t at = CODE + (n & 255) * 64;
        unsigned rest = n;
        cpu->eip = at;
        cpu->regs[CPU_EBX] = cpu->regs[CPU_ESI] = DATA;
        cpu->regs[CPU_EAX] = cpu->regs[CPU_ECX] = 1;
        cpu->regs[CPU_ESP] = STACK;
        cpu->eflags = FLAG_ONE;
        cpu->halted = false;
        poke32(STACK, 0x02), poke32(STACK + 4, 0x02), poke32(STACK + 8, 0x02), poke32(STACK + 12, 0x02);
        poke32(DATA, 1), poke32(DATA * 2 + 0x100, 1);
        for (unsigned i = 0; i < 4; i++, rest /= kinds) {
            poke(at, parts[rest % kinds].bytes, parts[rest % kinds].size);
            at += parts[rest % kinds].size;
        }
        poke(at, "\xeb\x00\xfa\xf4", 4); /* jmp, cli, hlt */
        if (run() != X86VM_EXIT_DEAD || (cpu->eip != at + 4 && engine_halted_in() != VEC_PF)) {
            CU_FAIL("a sequence went wrong");
            break;
        }
    }
    engine_end();
}

/* --- on request --- */

/* Runs code, and asks for the run loop after a while. Whether it came at all, and in the middle of what ECX counts, if
 * it counts something: behind it would be too late. */
static bool comes_back(const char *bytes, unsigned size, bool counts, unsigned usec)
{
    const struct itimerval soon = { { 0, 0 }, { usec / 1000000, usec % 1000000 } };
    bool fine;

    engine_start(1 << 20);
    poke(CODE, bytes, size);
    setitimer(ITIMER_REAL, &soon, NULL);
    fine = x86vm_run(vm) == X86VM_EXIT_REQUESTED && (!counts || cpu->regs[CPU_ECX]);
    x86vm_request_exit(vm); /* before it runs: at once */
    CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_REQUESTED);
    engine_end();
    return fine;
}

static void give_up(int number)
{
    static const char text[] = "\n    asked for, the run loop does not come back\n";
    (void)number;
    _exit(write(1, text, sizeof text - 1) > 0 ? 2 : 3);
}

/* A busy host may have run nothing of it when it is asked, then later. One that is not left for
 * 20 s of the CPU's time ends the test. */
static void test_comes_back(void)
{
    enum { FIRST_USEC = 5000, LAST_USEC = FIRST_USEC << 5, GIVE_UP_S = 20 };
    const struct sigaction giving_up = { .sa_handler = give_up, .sa_flags = SA_ONSTACK };
    const struct itimerval long_enough = { .it_value.tv_sec = GIVE_UP_S }, never = { .it_value.tv_sec = 0 };
    static const struct { const char *bytes; unsigned size; bool counts; } loops[] = {
        { "\xeb\xfe", 2, false },                                        /* jmp $ */
        { "\xb8\x00\x00\x01\x00\xff\xe0", 7, false },                    /* mov eax, CODE; jmp eax */
        { "\x68\x00\x00\x01\x00\xc3", 6, false },                        /* push CODE; ret */
        { "\xe8\x00\x00\x00\x00\x58\xeb\xf8", 8, false },                /* call, pop, jmp */
        { "\xea\x00\x00\x01\x00\x08\x00", 7, false },                    /* jmp 8:CODE */
        { "\x9c\x0e\x68\x00\x00\x01\x00\xcf", 8, false },                /* iret to here */
        { "\x31\xc9\xe2\xfe\xeb\xfa", 6, true },                         /* 2^32 times LOOP */
        { "\x31\xc9\x49\x31\xf6\x31\xff\xf3\xac\xeb\xf5", 11, true },    /* rep lodsb through all memory */
        { "\x31\xc9\x49\xbf\x00\x00\x02\x00\xf3\x6c\xeb\xf4", 12, true }, /* rep insb; overwrites nothing of use */
        { "\xfb\x90\xfa\xeb\xfb", 5, false },                            /* sti, nop, cli */
        { "\x0f\x20\xd8\x0f\x22\xd8\xeb\xf8", 8, false },                /* mov cr3, cr3 */
        { "\xc7\x05\x0a\x00\x01\x00\x90\x90\x90\x90\x90\x90\x90\x90\xeb\xf0", 16, false }, /* writes its own code */
    };

    catch_alarm();
    sigaction(SIGPROF, &giving_up, NULL);
    for (unsigned i = 0; i < sizeof loops / sizeof loops[0]; i++) {
        unsigned usec = FIRST_USEC;
        setitimer(ITIMER_PROF, &long_enough, NULL);
        while (usec < LAST_USEC && !comes_back(loops[i].bytes, loops[i].size, loops[i].counts, usec))
            usec *= 2;
        CU_ASSERT(usec < LAST_USEC);
    }
    setitimer(ITIMER_PROF, &never, NULL);
}

/* An exception whose handler raises it again eats the stack; #SS, #DF have no gate: a triple fault. */
static void test_nested_to_the_end(void)
{
    const struct cpu_segment stack = { .base = DATA, .limit = 0xfff, .selector = 16, .access = 0x93 | SEG_DB };
    char state[400] = "";

    engine_start(0);
    poke(HANDLERS + VEC_UD * 4, "\x0f\x0b", 2);
    poke(CODE, "\x0f\x0b", 2);
    cpu->idtr.limit = (VEC_UD + 1) * 8 - 1;
    cpu_set_segment(cpu, CPU_SS, &stack);
    cpu->regs[CPU_ESP] = 0x800;
    CU_ASSERT_EQUAL(run(), X86VM_EXIT_SHUTDOWN);
    CU_ASSERT(cpu->regs[CPU_ESP] < 12);
    x86vm_describe_state(vm, state, sizeof state);
    CU_ASSERT_EQUAL(strncmp(state, "eip=0008:", 9), 0);
    engine_end();
}

/* Counts 5000 writes beside the code that makes them: none of them may cost a
 * translation, or a page with code and data would be as slow as interpretation. */
static void test_data_beside_code(void)
{
    struct x86vm_counters before, after;

    engine_start(0);
    /* mov ecx, 5000; again: add dword [CODE + 0x800], 1; dec ecx; jnz again; hlt */
    poke(CODE, "\xb9\x88\x13\x00\x00\x83\x05\x00\x08\x01\x00\x01\x49\x75\xf6\xf4", 16);
    poke32(CODE + 0x800, 0);
    x86vm_get_counters(vm, &before);
    CU_ASSERT_EQUAL(run(), X86VM_EXIT_DEAD);
    x86vm_get_counters(vm, &after);
    CU_ASSERT_EQUAL(*(uint32_t *)(phys_ram(phys) + CODE + 0x800), 5000);
    CU_ASSERT(after.blocks_translated - before.blocks_translated <= 8);
    CU_ASSERT(after.invalidations - before.invalidations <= 4);
    x86vm_free(vm);
}

/* Tables at constant addresses whose index could be larger than it ever is:
 * their check speaks of the next page, too, and must not cost a call into C
 * each time when that is not there. */
static void test_tables_of_small_registers(void)
{
    static const struct { uint32_t read, written; } rows[] = {
        { DATA, DATA + 0x2000 }, { DATA + 0x1000 - 256, DATA + 0x3000 - 256 }, { RAM - 512, DATA + 0x2000 }, { DATA, RAM - 512 },
    };
    const uint32_t rounds = 20000;

    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct x86vm_counters before, after;
        uint32_t sum = 0;

        engine_start(0);
        /* xor ebx, ebx; xor edx, edx; again: movzx eax, dl; add ebx, [eax*4 + read]; mov [eax*4 + written], ebx;
         * add edx, 1; and edx, 7fh; dec ecx; jnz again; hlt */
        poke(CODE, "\x31\xdb\x31\xd2\x0f\xb6\xc2\x03\x1c\x85", 10), poke32(CODE + 10, rows[i].read);
        poke(CODE + 14, "\x89\x1c\x85", 3), poke32(CODE + 17, rows[i].written);
        poke(CODE + 21, "\x83\xc2\x01\x83\xe2\x7f\x49\x75\xe6\xf4", 10);
        for (uint32_t k = 0; k < 128; k++)
            poke32(rows[i].read + 4 * k, k * k + 1);
        for (uint32_t k = 0; k < rounds; k++)
            sum += (k & 127) * (k & 127) + 1;
        cpu->regs[CPU_ECX] = rounds;
        x86vm_get_counters(vm, &before);
        CU_ASSERT_EQUAL(run(), X86VM_EXIT_DEAD);
        x86vm_get_counters(vm, &after);
        CU_ASSERT_EQUAL(cpu->regs[CPU_EBX], sum);
        CU_ASSERT_EQUAL(*(uint32_t *)(phys_ram(phys) + rows[i].written + 4 * ((rounds - 1) & 127)), sum);
        CU_ASSERT(after.slow_accesses - before.slow_accesses < 2000);
        engine_end();
    }
}

/* REP MOVS and REP STOS of a few bytes are no calls into C. */
static void test_short_repeats(void)
{
    struct x86vm_counters before, after;

    engine_start(0);
    /* mov ebx, 5000; again: mov esi, DATA; mov edi, DATA + 1000h; mov ecx, 3; rep movsb; mov cl, 3; rep stosd; dec ebx; jnz again; hlt */
    poke(CODE, "\xbb\x88\x13\x00\x00\xbe\x00\x00\x02\x00\xbf\x00\x10\x02\x00\xb9\x03\x00\x00\x00", 20);
    poke(CODE + 20, "\xf3\xa4\xb1\x03\xf3\xab\x4b\x75\xe8\xf4", 10);
    poke32(DATA, 0x00030201);
    cpu->regs[CPU_EAX] = 0x77777777;
    /* Only what misses the window is looked at, and so gets into it. */
    poke(CODE + 0x100, "\xb9\x00\x10\x00\x00\xa3\x00\x10\x02\x00\x8a\x15\x00\x00\x02\x00\x49\x75\xf2\xe9\xe8\xfe\xff\xff", 24);
    cpu->eip = CODE + 0x100;
    x86vm_get_counters(vm, &before);
    CU_ASSERT_EQUAL(run(), X86VM_EXIT_DEAD);
    x86vm_get_counters(vm, &after);
    CU_ASSERT_EQUAL(*(uint32_t *)(phys_ram(phys) + DATA + 0x1000), 0x77030201);
    CU_ASSERT_EQUAL(*(uint32_t *)(phys_ram(phys) + DATA + 0x100c), 0x77777777 & 0x00777777);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EDI], DATA + 0x1000 + 15);
    CU_ASSERT(!__builtin_cpu_supports("bmi2") || getenv("X86VM_NO_BMI2") || after.helper_calls - before.helper_calls < 100);
    engine_end();
}

/* A device writes the instruction behind the OUT that makes it do so. */
static void dma_to_code(void *device, uint32_t offset, unsigned size, uint32_t value)
{
    (void)device, (void)offset, (void)size;
    poke(CODE + 5, &value, 1);
}

static uint32_t nothing(void *device, uint32_t offset, unsigned size)
{
    (void)device, (void)offset, (void)size;
    return 0;
}

static void test_dma_beside_pc(void)
{
    static const struct io_ops ops = { .read = nothing, .write = dma_to_code };

    engine_start(0);
    CU_ASSERT_EQUAL_FATAL(io_bus_map_ports(x86vm_io(vm), 0x10, 1, &ops, NULL), 0);
    for (uint8_t i = 1; i < 40; i++) {
        poke(CODE, "\xb0\x00\xe6\x10\xb3\x00\xf4", 7); /* mov al, i; out 0x10, al; mov bl, 0; hlt */
        poke(CODE + 1, &i, 1);
        cpu->eip = CODE;
        cpu->halted = false;
        CU_ASSERT_EQUAL(run(), X86VM_EXIT_DEAD);
        CU_ASSERT_EQUAL(cpu->regs[CPU_EBX] & 0xff, i);
    }
    x86vm_free(vm);
}

/* An NMI holds back the next one until its handler's IRET. */
static void test_nmi_until_iret(void)
{
    const uint32_t handler = CODE + 0x100;

    engine_start(0);
    poke32(IDT + VEC_NMI * 8, 8 << 16 | (handler & 0xffff));
    poke32(IDT + VEC_NMI * 8 + 4, (handler & 0xffff0000) | 0x8e00);
    poke(CODE, "\x90\xf4", 2);
    poke(handler, "\xf4\x43\xf4\xcf", 4); /* hlt; inc ebx; hlt; iret */
    cpu->regs[CPU_EBX] = 0;
    cpu->nmi_pending = true;
    CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_DEAD);
    CU_ASSERT(cpu->eip == handler + 1 && !cpu->nmi_pending);
    cpu->nmi_pending = true;
    cpu->halted = false;
    CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_DEAD);
    CU_ASSERT(cpu->eip == handler + 3 && cpu->regs[CPU_EBX] == 1 && cpu->nmi_pending);
    cpu->halted = false;
    CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_DEAD);
    CU_ASSERT(cpu->eip == handler + 1 && !cpu->nmi_pending && cpu->regs[CPU_ESP] == STACK - 12);
    x86vm_free(vm);
}

/* Three targets that have the same place in the table of indirect jumps: none of them leaves
 * translated code each time, and an endless loop of them comes back on request. */
static void test_targets_far_apart(void)
{
    const struct itimerval soon = { .it_value.tv_usec = 5000 };
    struct x86vm_counters after;

    engine_start(0);
    /* mov ecx, 10000; again: mov eax, 0x10100; call eax; .. 0x20100; .. 0x30100; dec ecx; jnz again; hlt */
    poke(CODE, "\xb9\x10\x27\x00\x00\xb8\x00\x01\x01\x00\xff\xd0\xb8\x00\x01\x02\x00\xff\xd0\xb8\x00\x01\x03\x00\xff\xd0\x49\x75\xe8\xf4", 30);
    for (uint32_t at = 0x10100; at <= 0x30100; at += 0x10000)
        poke(at, "\x43\xc3", 2); /* inc ebx; ret */
    CU_ASSERT_EQUAL(run(), X86VM_EXIT_DEAD);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EBX], 30000);
    x86vm_get_counters(vm, &after);
    CU_ASSERT(after.indirect_misses < 100);
    engine_end();
    engine_start(0);
    for (uint32_t at = 0x10000; at <= 0x30000; at += 0x10000) { /* mov eax, the next; jmp eax */
        poke(at, "\xb8\x00\x00\x00\x00\xff\xe0", 7);
        poke32(at + 1, at % 0x30000 + 0x10000);
    }
    setitimer(ITIMER_REAL, &soon, NULL);
    CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_REQUESTED);
    x86vm_get_counters(vm, &after);
    CU_ASSERT(after.indirect_misses < 100);
    engine_end();
}

static struct x86vm_counters counted(void)
{
    struct x86vm_counters c;
    x86vm_get_counters(vm, &c);
    return c;
}

/* A page has more blocks than one may have, by code segments of other bases: they go, and no others. */
static void test_crowded_page(void)
{
    enum { BASES = 5, LAST = CODE + PAGE_SIZE - 2, OTHER = CODE + 4 * PAGE_SIZE };
    static const uint8_t end[] = { 0xfa, 0xf4 }, jump[] = { 0x40, 0xe9 }; /* CLI, HLT; INC EAX, JMP CODE */
    uint64_t before;

    engine_start(0);
    for (uint32_t at = CODE; at < LAST; at++)
        poke(at, "\x90", 1);
    poke(LAST, end, sizeof end);
    poke(OTHER, jump, sizeof jump);
    poke32(OTHER + 2, (uint32_t)(CODE - (OTHER + 6)));
    for (uint32_t base = 0; base < BASES; base++) {
        const struct cpu_segment code = { .base = base * 16, .limit = UINT32_MAX, .selector = 8, .access = 0x9b | SEG_G | SEG_DB };
        cpu_set_segment(cpu, CPU_CS, &code);
        cpu->mode_dirty = true;
        cpu->eip = OTHER - base * 16;
        cpu->halted = false;
        CU_ASSERT_EQUAL(run(), X86VM_EXIT_DEAD);
        for (uint32_t at = CODE; at < LAST; at++) {
            cpu->eip = at - base * 16;
            cpu->halted = false;
            if (run() != X86VM_EXIT_DEAD || cpu->eip != LAST + 2 - base * 16)
                CU_FAIL("went elsewhere");
        }
    }
    CU_ASSERT_EQUAL(counted().pages_dropped, 1);
    CU_ASSERT_EQUAL(counted().cache_flushes, 0);
    before = counted().blocks_translated;
    poke(LAST - 1, "\x40", 1); /* INC EAX: what is left of the page is still watched */
    cpu->regs[CPU_EAX] = 0;
    cpu->eip = OTHER - (BASES - 1) * 16;
    cpu->halted = false;
    CU_ASSERT_EQUAL(run(), X86VM_EXIT_DEAD);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 2);
    CU_ASSERT_EQUAL(counted().blocks_translated, before + 1); /* of the page alone, and that which has changed */
    engine_end();
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "the same offset in two code segments", test_same_offset_in_two_segments },
        { "FRSTOR and FLDENV with an exception pending", test_frstor_with_exception_pending },
        { "an x87 exception without CR0.NE", test_frozen_by_exception },
        { "66 66 0F", test_operand_prefix_twice },
        { "short exits reach their islands", test_short_exits_reach },
        { "comes back from endless loops", test_comes_back },
        { "indirect jumps to targets far apart", test_targets_far_apart },
        { "nested exceptions end in a shutdown", test_nested_to_the_end },
        { "data beside code costs no translations", test_data_beside_code },
        { "tables indexed by small registers", test_tables_of_small_registers },
        { "short REP MOVS and REP STOS without C", test_short_repeats },
        { "a device writes the next instruction", test_dma_beside_pc },
        { "NMI until IRET", test_nmi_until_iret },
        { "a page with more blocks than it may have", test_crowded_page },
        CU_TEST_INFO_NULL,
    };

    return unit_run("engine", tests);
}
