/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Random programs on this CPU and on the engine: what they leave in registers and
 * memory must be the same, though on the engine they are interrupted, share the
 * CPU with others, and their pages move, vanish and come back meanwhile.
 *
 *   programs [--seed S] [--first N] [--count N] [--seconds N] [--max-failures N]
 *            [--calm] [--helper PROGRAM]
 */
#include "tests/insn/backend.h"
#include "tests/fuzz/fuzz_random.h"
#include "tests/programs/machine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { AFTER = 25 /* cases a process: the engine begins anew, too */, FLAGS = 0xcd5, STACK_PAGE = 4 /* of the writable ones */,
       SECOND_STACK_FROM = 0x100, SECOND_STACK_TO = 0xf00 };

static struct options {
    uint64_t seed, first, count, seconds, max_failures;
    bool calm;
    const char *helper;
} options = { .seed = 1, .count = 100, .max_failures = 5, .helper = "build/tests/insn_native" };

static struct board {
    volatile uint64_t next, programs, hung, different, latest_ns;
    struct x86vm_counters sum;
} *board;

static struct program programs[PROGRAMS_MAX];
static struct insn_shared memories[PROGRAMS_MAX];
static struct insn_output natives[PROGRAMS_MAX];
static uint8_t native_codes[PROGRAMS_MAX][INSN_CODE_SIZE];
static struct machine_result results[PROGRAMS_MAX];

/* --- natively --- */

static bool run_native(struct native *native, unsigned i)
{
    struct insn_shared *shared = native_shared(native);

    memcpy(shared->pattern, memories[i].pattern, sizeof shared->pattern);
    memcpy(shared->readonly, memories[i].readonly, sizeof shared->readonly);
    memcpy(shared->code, programs[i].code, sizeof shared->code);
    shared->input[0] = programs[i].input;
    shared->output[0].status = INSN_NOT_RUN;
    native_run(native, 0, 1);
    natives[i] = shared->output[0];
    memcpy(native_codes[i], shared->code, sizeof shared->code);
    return natives[i].status == INSN_DONE;
}

static void make_memory(struct fuzz_random *r, struct insn_shared *memory)
{
    fuzz_bytes(r, memory->pattern, sizeof memory->pattern);
    fuzz_bytes(r, memory->readonly, sizeof memory->readonly);
}

/* --- comparison --- */

/* Below ESP and on the second stack, nothing means anything. */
static bool is_dead(unsigned page, unsigned offset, uint32_t esp)
{
    static const uint8_t numbers[INSN_WRITABLE] = INSN_WRITABLE_PAGES;

    if (page >= STACK_PAGE && page < STACK_PAGE + 2)
        return INSN_DATA + numbers[page] * INSN_PAGE + offset < esp;
    return numbers[page] == PROGRAM_CELLS_PAGE && offset >= SECOND_STACK_FROM && offset < SECOND_STACK_TO;
}

static bool fx_compared(unsigned i)
{
    return i < 5 || (i >= 24 && i < 28) || (i >= 32 && i < 160 && i % 16 < 10) || (i >= 160 && i < 288);
}

static bool same(unsigned i, char *what, size_t size)
{
    static const char *const names[8] = { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi" };
    const struct insn_output *a = &natives[i], *b = &results[i].output;

    if (a->vector != b->vector || a->state.eip != b->state.eip)
        return snprintf(what, size, "ends with %u at %08x, natively with %u at %08x", b->vector, b->state.eip, a->vector,
                        a->state.eip), false;
    for (unsigned r = 0; r < 8; r++)
        if (a->state.regs[r] != b->state.regs[r])
            return snprintf(what, size, "%s %08x, natively %08x", names[r], b->state.regs[r], a->state.regs[r]), false;
    if ((a->state.eflags ^ b->state.eflags) & FLAGS)
        return snprintf(what, size, "eflags %08x, natively %08x", b->state.eflags, a->state.eflags), false;
    for (unsigned at = 0; at < 288; at++)
        if (fx_compared(at) && a->state.fx[at] != b->state.fx[at])
            return snprintf(what, size, "byte %u of the FXSAVE image %02x, natively %02x", at, b->state.fx[at],
                            a->state.fx[at]), false;
    for (unsigned page = 0; page < INSN_WRITABLE; page++)
        for (unsigned at = 0; at < INSN_PAGE; at++)
            if (a->memory[page][at] != b->memory[page][at] && !is_dead(page, at, a->state.regs[4]))
                return snprintf(what, size, "byte %03x of writable page %u %02x, natively %02x", at, page,
                                b->memory[page][at], a->memory[page][at]), false;
    for (unsigned at = 0; at < INSN_CODE_SIZE; at++)
        if (native_codes[i][at] != results[i].code[at])
            return snprintf(what, size, "byte %05x of the code %02x, natively %02x", at, results[i].code[at],
                            native_codes[i][at]), false;
    return true;
}

static void run_case(struct native *native, struct machine *machine, uint64_t number)
{
    struct fuzz_random r = fuzz_random_of(options.seed, number);
    struct machine_program list[PROGRAMS_MAX];
    unsigned count = fuzz_one_in(&r, 2) ? 1 : 2 + fuzz_below(&r, PROGRAMS_MAX - 1);
    char what[400] = "";
    bool good = true;

    for (unsigned i = 0; i < count; i++) {
        program_make(options.seed, number * PROGRAMS_MAX + i, &programs[i]);
        make_memory(&r, &memories[i]);
        list[i] = (struct machine_program){ &programs[i], &memories[i], fuzz_below(&r, 6) < (count == 1 ? 4 : 2) };
        if (!run_native(native, i)) {
            board->hung++;
            printf("not comparable: --seed %" PRIu64 " --first %" PRIu64 " --count 1, program %u\n", options.seed, number, i);
            return;
        }
    }
    good = machine_run(machine, fuzz_random64(&r), list, count, results, what, sizeof what);
    for (unsigned i = 0; i < count && good; i++) {
        good = same(i, what, sizeof what);
        if (!good)
            printf("program %u of %u, in ring %u, %u functions: ", i, count, list[i].kernel ? 0 : 3, programs[i].functions);
    }
    board->programs += count;
    if (good)
        return;
    printf("DIFFERENT: %s\n  (--seed %" PRIu64 " --first %" PRIu64 " --count 1)\n", what, options.seed, number);
    fflush(stdout);
    board->different++;
}

static void add_counters(struct machine *machine)
{
    struct x86vm_counters c, *sum = &board->sum;

    machine_counters(machine, &c);
    if (machine_latest_ns(machine) > board->latest_ns)
        board->latest_ns = machine_latest_ns(machine);
    sum->blocks_translated += c.blocks_translated;
    sum->invalidations += c.invalidations;
    sum->exceptions += c.exceptions;
    sum->interrupts += c.interrupts;
    sum->cache_flushes += c.cache_flushes;
    sum->bare_pages += c.bare_pages;
    sum->slow_accesses += c.slow_accesses;
}

static int work(uint64_t end)
{
    char error[300] = "";
    struct native *native = native_open(options.helper, true, error, sizeof error);
    struct machine *machine = native ? machine_new(options.calm, board->next / AFTER % 3 == 1, error, sizeof error) : NULL;

    if (!machine) {
        fprintf(stderr, "programs: %s\n", error);
        return 2;
    }
    for (; board->next < end && board->different < options.max_failures; board->next++)
        run_case(native, machine, board->next);
    add_counters(machine);
    machine_free(machine);
    native_close(native);
    return 0;
}

/* A process for some cases; one that dies is a failure of the case it was at. */
static int run_children(void)
{
    const uint64_t end = options.first + options.count;
    const time_t stop = time(NULL) + (time_t)options.seconds;

    while (board->next < end && board->different < options.max_failures && (!options.seconds || time(NULL) < stop)) {
        uint64_t until = board->next + AFTER < end ? board->next + AFTER : end;
        int status;
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            status = work(until);
            fflush(stdout);
            _exit(status);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
            return 2;
        if (WIFEXITED(status) && WEXITSTATUS(status))
            return WEXITSTATUS(status);
        if (WIFSIGNALED(status)) {
            printf("DIED: signal %d\n  (--seed %" PRIu64 " --first %" PRIu64 " --count 1)\n", WTERMSIG(status), options.seed,
                   board->next);
            board->different++;
            board->next++;
        }
    }
    return 0;
}

static bool parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--calm") == 0)
            options.calm = true;
        else if (strcmp(argv[i], "--seed") == 0 && more)
            options.seed = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--first") == 0 && more)
            options.first = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--count") == 0 && more)
            options.count = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--max-failures") == 0 && more)
            options.max_failures = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--seconds") == 0 && more)
            options.seconds = strtoull(argv[++i], NULL, 0), options.count = UINT32_MAX;
        else if (strcmp(argv[i], "--helper") == 0 && more)
            options.helper = argv[++i];
        else
            return false;
    }
    return true;
}

static void print_sums(void)
{
    const struct x86vm_counters *c = &board->sum;

    printf("seed %" PRIu64 ": %" PRIu64 " programs, %" PRIu64 " cases different, %" PRIu64 " not comparable; ", options.seed,
           board->programs, board->different, board->hung);
    printf("%llu interrupts, %llu exceptions, %llu blocks, %llu invalidations, %llu flushes, %llu pages without checks, ",
           (unsigned long long)c->interrupts, (unsigned long long)c->exceptions, (unsigned long long)c->blocks_translated,
           (unsigned long long)c->invalidations, (unsigned long long)c->cache_flushes, (unsigned long long)c->bare_pages);
    printf("back after %.1f ms at most\n", (double)board->latest_ns / 1e6);
}

int main(int argc, char **argv)
{
    int result;

    if (!parse(argc, argv))
        return 64;
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return 2;
    board->next = options.first;
    result = run_children();
    if (result)
        return result;
    print_sums();
    return board->different || board->hung > (board->next - options.first) / 5 + 1 ||
           (!options.calm && !board->sum.interrupts);
}
