/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Random code on the engine: any ring, any mode, tables and registers that are
 * partly nonsense. A batch of cases runs in a child process behind the guest
 * program's own sandbox, with a code cache that is mostly too small, on a host
 * with and without BMI2. What must hold whatever the guest does:
 *
 *   - the process lives: no signal, no forbidden system call
 *   - it comes back soon after x86vm_request_exit() (measured in CPU time)
 *   - x86vm_run() ends in one of its four ways, and the state can be named
 *   - memory stays bounded, and what is not the guest's keeps its contents
 *
 * X86VM_EAGER_BARE in the environment lets it run without checks wherever it may;
 * with --check-windows, and without the sandbox, what the host lets translated
 * code reach there is compared with the tables after every few runs.
 *
 *   fuzz_engine [--seed S] [--seconds N] [--batches N] [--first B] [--corpus FILE] [--check-windows]
 *   fuzz_engine --seed S --batch B [--case C] [--here]     replays one, without a child with --here
 */
#include "tests/fuzz/fuzz_bare.h"
#include "tests/fuzz/fuzz_code.h"
#include "tests/fuzz/fuzz_guest.h"
#include "tests/fuzz/fuzz_watch.h"

#include "guest/sandbox.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"
#include "x86vm/x86vm.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { CASES = 100, RUNS_MAX = 40, CANARY_WORDS = 1 << 16, FAILURES_MAX = 10, CHECK_EVERY = 8 };
#define LATE_NS 100000000ull       /* from the request to the return, CPU time */
#define SILENT_SECONDS 20          /* a child that gets nowhere in so much CPU time hangs */
#define RSS_MAX_MIB 320            /* RAM, full view tables, code cache and its records */
#define MS 1000000ull

struct options {
    uint64_t seed, first, batches, seconds;
    int64_t batch, only;
    bool here, verbose, no_sandbox, check_windows;
};

/* What parent and child share. */
struct board {
    volatile uint64_t number;  /* of the case running, in the batch */
    volatile uint64_t runs, worst_ns;
    volatile uint64_t exits[4];
    struct x86vm_counters sum; /* over all batches that ended well */
    char what[160];            /* mode and style of the case */
    char message[1024];        /* why it failed */
};

struct fuzzer {
    const struct options *options;
    struct board *board;
    struct fuzz_corpus corpus;
    struct x86vm *vm;
    struct cpu *cpu;
    struct phys *phys;
    struct fuzz_random random; /* of the case */
    timer_t timer;
    uint64_t *canary;
    struct cpu before;         /* its pointers must stay */
};

enum { WAITING_MAX = 8 };
static struct x86vm *signal_vm;
static volatile uint64_t requested_at;

static uint64_t clock_ns(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t waiting_at[WAITING_MAX]; /* host addresses where it was since, relative to main() */
static volatile unsigned waiting;

int main(int argc, char **argv);

static void on_timer(int number, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;
    (void)number, (void)info;

    if (!requested_at)
        requested_at = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    else if (waiting < WAITING_MAX)
        waiting_at[waiting++] = (uint64_t)uc->uc_mcontext.gregs[REG_RIP] - (uint64_t)(uintptr_t)main;
    x86vm_interrupted(signal_vm, context);
}

_Noreturn static void failed(struct fuzzer *f, const char *why)
{
    char state[512] = "";

    x86vm_describe_state(f->vm, state, sizeof state);
    snprintf(f->board->message, sizeof f->board->message, "%s; %s", why, state);
    if (f->options->here)
        fprintf(stderr, "%s\n", f->board->message);
    _exit(3);
}

/* --- a device that does everything a device may --- */

static uint32_t device_read(void *opaque, uint32_t offset, unsigned size)
{
    struct fuzzer *f = opaque;
    (void)offset, (void)size;
    return fuzz_value(&f->random);
}

static void device_write(void *opaque, uint32_t offset, unsigned size, uint32_t value)
{
    struct fuzzer *f = opaque;
    uint8_t bytes[64];
    (void)offset, (void)size, (void)value;

    if (fuzz_one_in(&f->random, 4))
        x86vm_set_intr(f->vm, true);
    if (fuzz_one_in(&f->random, 3)) {
        size_t length = 1 + fuzz_below(&f->random, sizeof bytes);
        fuzz_bytes(&f->random, bytes, length);
        phys_dma_write(f->phys, fuzz_guest_address(&f->random), bytes, length);
    }
    if (fuzz_one_in(&f->random, 16))
        x86vm_request_exit(f->vm);
    if (fuzz_one_in(&f->random, 16))
        f->cpu->nmi_pending = true;
    if (fuzz_one_in(&f->random, 32)) {
        phys_set_a20(f->phys, fuzz_one_in(&f->random, 2));
        view_flush_all(f->cpu);
    }
}

static uint8_t acknowledge(void *opaque)
{
    struct fuzzer *f = opaque;
    x86vm_set_intr(f->vm, false);
    return (uint8_t)fuzz_draw(&f->random);
}

static const struct io_ops device = { .read = device_read, .write = device_write };

/* --- one case --- */

static void arm(struct fuzzer *f, uint64_t ns)
{
    const struct itimerspec at = { .it_value = { 0, (long)ns }, .it_interval = { 0, (long)LATE_NS / 10 } };
    requested_at = 0;
    waiting = 0;
    timer_settime(f->timer, 0, &at, NULL);
}

_Noreturn static void failed_late(struct fuzzer *f, uint64_t took)
{
    char why[400];
    int at = snprintf(why, sizeof why, "came back after %llu ms; was at main", (unsigned long long)(took / MS));

    for (unsigned i = 0; i < waiting; i++)
        at += snprintf(why + at, sizeof why - (size_t)at, " %+lld", (long long)waiting_at[i]);
    failed(f, why);
}

static void check_after(struct fuzzer *f, enum x86vm_exit exit)
{
    char state[512] = "";
    uint64_t took = requested_at ? clock_ns(CLOCK_THREAD_CPUTIME_ID) - requested_at : 0;

    if ((unsigned)exit > X86VM_EXIT_SHUTDOWN)
        failed(f, "no such exit");
    f->board->exits[exit]++;
    f->board->runs++;
    if (took > f->board->worst_ns)
        f->board->worst_ns = took;
    if (took > LATE_NS)
        failed_late(f, took);
    x86vm_describe_state(f->vm, state, sizeof state);
    if (strncmp(state, "eip=", 4) != 0)
        failed(f, "state is not described");
    if (f->cpu->phys != f->before.phys || f->cpu->views != f->before.views || f->cpu->io != f->before.io ||
        f->cpu->intr_ack != f->before.intr_ack || f->cpu->intr_opaque != f->before.intr_opaque || f->cpu->cpl > 3)
        failed(f, "the engine's own state changed");
    if (f->options->check_windows && f->board->runs % CHECK_EVERY == 0 && !fuzz_bare_right(f->cpu, state, sizeof state))
        failed(f, state);
    for (uint64_t i = 0; i < CANARY_WORDS; i += fuzz_below(&f->random, 64) + 1)
        if (f->canary[i] != ~i)
            failed(f, "memory of the host changed");
}

static void load_code(struct fuzzer *f, enum fuzz_style style)
{
    uint8_t chunk[512];

    for (uint32_t at = 0; at < FUZZ_CODE_SIZE; at += sizeof chunk) {
        fuzz_code(&f->random, style, &f->corpus, FUZZ_CODE + at, chunk, sizeof chunk);
        phys_dma_write(f->phys, FUZZ_CODE + at, chunk, sizeof chunk);
        if (fuzz_one_in(&f->random, 8))
            style = fuzz_below(&f->random, FUZZ_STYLES);
    }
}

/* What runs may be a loop: goes on elsewhere in the code. */
static void move(struct fuzzer *f)
{
    struct cpu *cpu = f->cpu;
    bool narrow = !(cpu->seg[CPU_CS].access & SEG_DB);

    cpu->eip = FUZZ_CODE + fuzz_below(&f->random, FUZZ_CODE_SIZE) - cpu->seg_base[CPU_CS];
    if (narrow)
        cpu->eip &= 0xffff;
    if (fuzz_one_in(&f->random, 2))
        cpu->regs[CPU_ESP] = fuzz_one_in(&f->random, 4) ? fuzz_guest_address(&f->random) : FUZZ_STACK - 0x1000;
    cpu->regs[fuzz_below(&f->random, 8)] = fuzz_guest_address(&f->random);
}

/* Whether the case can go on after such an exit; brings in what it waits for. */
static bool go_on(struct fuzzer *f, enum x86vm_exit exit)
{
    switch (exit) {
    case X86VM_EXIT_HALTED:
        x86vm_set_intr(f->vm, true);
        return true;
    case X86VM_EXIT_DEAD:
        f->cpu->nmi_pending = true;
        return fuzz_one_in(&f->random, 2);
    case X86VM_EXIT_REQUESTED:
        if (fuzz_one_in(&f->random, 3))
            x86vm_set_intr(f->vm, true);
        if (!fuzz_one_in(&f->random, 4))
            move(f);
        return true;
    default:
        return false;
    }
}

static void run_case(struct fuzzer *f)
{
    static const char *const modes[] = { "real", "v8086", "flat", "paged", "pae" };
    static const char *const styles[] = { "bytes", "forms", "system", "mixed", "real code" };
    enum fuzz_mode mode = fuzz_below(&f->random, FUZZ_MODES);
    enum fuzz_style style = fuzz_below(&f->random, FUZZ_STYLES);
    uint32_t runs = 1 + fuzz_below(&f->random, RUNS_MAX);
    enum x86vm_exit exit;

    snprintf(f->board->what, sizeof f->board->what, "%s, %s", modes[mode], styles[style]);
    if (f->options->verbose)
        fprintf(stderr, "case %llu: %s\n", (unsigned long long)f->board->number, f->board->what);
    x86vm_set_intr(f->vm, false);
    fuzz_guest_start(&f->random, f->cpu, f->phys, mode);
    load_code(f, style);
    do {
        arm(f, 10000 + fuzz_below(&f->random, 60000));
        exit = x86vm_run(f->vm);
        check_after(f, exit);
    } while (--runs && go_on(f, exit));
}

/* --- a batch: one engine --- */

static bool make_engine(struct fuzzer *f, uint64_t batch)
{
    static const uint32_t cache_sizes[] = { 1 << 20, 1 << 20, 2 << 20, 0 };
    struct x86vm_config config = { .ram_size = FUZZ_RAM, .code_cache_size = cache_sizes[batch % 4] };
    char error[256] = "";

    if (batch / 4 % 2)
        setenv("X86VM_NO_BMI2", "1", 1);
    f->vm = signal_vm = x86vm_new(&config, error, sizeof error);
    if (!f->vm) {
        snprintf(f->board->message, sizeof f->board->message, "no engine: %s", error);
        return false;
    }
    f->cpu = x86vm_cpu(f->vm);
    f->phys = x86vm_phys(f->vm);
    x86vm_set_intr_ack(f->vm, acknowledge, f);
    io_bus_map_ports(x86vm_io(f->vm), 0x40, 0x40, &device, f);
    io_bus_map_mmio(x86vm_io(f->vm), FUZZ_MMIO, FUZZ_MMIO_SIZE, &device, f);
    io_bus_map_mmio(x86vm_io(f->vm), FUZZ_MMIO_LOW, FUZZ_MMIO_LOW_SIZE, &device, f);
    phys_set_hole(f->phys, FUZZ_MMIO_LOW, FUZZ_MMIO_LOW_SIZE, true);
    phys_set_readonly(f->phys, FUZZ_DATA + 0xf000, 0x1000, true);
    f->before = *f->cpu;
    return true;
}

static bool make_timer(struct fuzzer *f)
{
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
    struct sigaction action = { .sa_sigaction = on_timer, .sa_flags = SA_RESTART | SA_SIGINFO | SA_ONSTACK };

    return sigaction(SIGRTMIN, &action, NULL) == 0 && timer_create(CLOCK_MONOTONIC, &event, &f->timer) == 0;
}

static bool make_canary(struct fuzzer *f)
{
    f->canary = malloc(CANARY_WORDS * sizeof *f->canary);
    for (uint64_t i = 0; f->canary && i < CANARY_WORDS; i++)
        f->canary[i] = ~i;
    return f->canary;
}

static bool close_door(struct fuzzer *f)
{
    const char *what = "";
#ifndef __SANITIZE_ADDRESS__ /* the sanitizer makes calls of its own */
    if (!f->options->no_sandbox && sandbox_close_door(&what)) {
        snprintf(f->board->message, sizeof f->board->message, "no sandbox: %s", what);
        return false;
    }
#else
    (void)f, (void)what;
#endif
    return true;
}

static void count(struct fuzzer *f)
{
    struct x86vm_counters c, *sum = &f->board->sum;

    x86vm_get_counters(f->vm, &c);
    sum->blocks_translated += c.blocks_translated;
    sum->cache_flushes += c.cache_flushes;
    sum->invalidations += c.invalidations;
    sum->slow_accesses += c.slow_accesses;
    sum->exceptions += c.exceptions;
    sum->interrupts += c.interrupts;
    sum->bare_pages += c.bare_pages;
}

static int run_batch(struct fuzzer *f, uint64_t batch)
{
    if (!make_engine(f, batch) || !make_timer(f) || !make_canary(f) || !close_door(f))
        return 2;
    for (uint64_t i = 0; i < CASES; i++) {
        if (f->options->only >= 0 && i > (uint64_t)f->options->only)
            break;
        f->board->number = i;
        f->random = fuzz_random_of(f->options->seed, batch * CASES + i);
        run_case(f);
    }
    count(f);
    return 0;
}

/* --- the parent --- */

static uint64_t resident_mib(pid_t pid)
{
    unsigned long long size = 0, resident = 0;
    char path[64];
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    file = fopen(path, "r");
    if (file) {
        if (fscanf(file, "%llu %llu", &size, &resident) != 2)
            resident = 0;
        fclose(file);
    }
    return resident * 4096 >> 20;
}

/* The child's wait status, or a reason to have killed it. */
static const char *watch(struct fuzzer *f, pid_t child, int *status)
{
    struct fuzz_watch look = { 0 };
    uint64_t worst_mib = 0;

    while (waitpid(child, status, WNOHANG) != child) {
        const char *why = NULL;
        uint64_t mib = resident_mib(child);
        worst_mib = mib > worst_mib ? mib : worst_mib;
#ifndef __SANITIZE_ADDRESS__
        if (worst_mib > RSS_MAX_MIB)
            why = "memory grew beyond its bound";
#endif
        if (fuzz_watch_hangs(&look, child, f->board->runs, SILENT_SECONDS))
            why = "hangs";
        if (why) {
            kill(child, SIGKILL);
            waitpid(child, status, 0);
            return why;
        }
    }
    return NULL;
}

/* True when the batch went well. */
static bool fork_batch(struct fuzzer *f, uint64_t batch)
{
    char why[128];
    const char *killed;
    int status = 0;
    pid_t child;

    fflush(stdout);
    f->board->message[0] = 0;
    f->board->number = 0;
    child = fork();
    if (child < 0) {
        perror("fuzz_engine: fork");
        return false;
    }
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(run_batch(f, batch));
    }
    killed = watch(f, child, &status);
    if (!killed && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (killed)
        snprintf(why, sizeof why, "%s", killed);
    else if (WIFSIGNALED(status))
        snprintf(why, sizeof why, "ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(why, sizeof why, "ended with status %d", WEXITSTATUS(status));
    printf("fuzz_engine: batch %llu, case %llu (%s): %s %s\n  replay: fuzz_engine --seed %llu --batch %llu --case %llu --here\n",
           (unsigned long long)batch, (unsigned long long)f->board->number, f->board->what, why, f->board->message,
           (unsigned long long)f->options->seed, (unsigned long long)batch, (unsigned long long)f->board->number);
    return false;
}

static bool read_corpus(struct fuzz_corpus *corpus, const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(1 << 20);

    if (!file || !bytes) {
        fprintf(stderr, "fuzz_engine: %s: %s\n", path, strerror(errno));
        return false;
    }
    corpus->size = fread(bytes, 1, 1 << 20, file);
    corpus->bytes = bytes;
    fclose(file);
    return true;
}

static bool parse(struct options *o, struct fuzzer *f, int argc, char **argv)
{
    enum { SEED = 256, SECONDS, BATCHES, FIRST, BATCH, CASE, CORPUS, HERE, VERBOSE, NO_SANDBOX, CHECK_WINDOWS };
    static const struct option names[] = {
        { "seed", 1, NULL, SEED }, { "seconds", 1, NULL, SECONDS }, { "batches", 1, NULL, BATCHES }, { "first", 1, NULL, FIRST },
        { "batch", 1, NULL, BATCH }, { "case", 1, NULL, CASE }, { "corpus", 1, NULL, CORPUS }, { "here", 0, NULL, HERE },
        { "verbose", 0, NULL, VERBOSE }, { "no-sandbox", 0, NULL, NO_SANDBOX },
        { "check-windows", 0, NULL, CHECK_WINDOWS }, { NULL, 0, NULL, 0 },
    };
    int c;

    *o = (struct options){ .seed = 1, .batches = UINT64_MAX, .seconds = 5, .batch = -1, .only = -1 };
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (c) {
        case SEED: o->seed = strtoull(optarg, NULL, 0); break;
        case SECONDS: o->seconds = strtoull(optarg, NULL, 0); break;
        case BATCHES: o->batches = strtoull(optarg, NULL, 0); break;
        case FIRST: o->first = strtoull(optarg, NULL, 0); break;
        case BATCH: o->batch = strtoll(optarg, NULL, 0); break;
        case CASE: o->only = strtoll(optarg, NULL, 0); break;
        case CORPUS:
            if (!read_corpus(&f->corpus, optarg))
                return false;
            break;
        case HERE: o->here = o->no_sandbox = true; break;
        case VERBOSE: o->verbose = true; break;
        case NO_SANDBOX: o->no_sandbox = true; break;
        case CHECK_WINDOWS: o->check_windows = o->no_sandbox = true; break;
        default: return false;
        }
    }
    return true;
}

static int run_all(struct fuzzer *f)
{
    const struct options *o = f->options;
    uint64_t start = clock_ns(CLOCK_MONOTONIC), done = 0;
    unsigned failures = 0;
    const volatile uint64_t *n = f->board->exits;
    const struct x86vm_counters *sum = &f->board->sum;

    while (done < o->batches && clock_ns(CLOCK_MONOTONIC) - start < o->seconds * 1000 * MS && failures < FAILURES_MAX)
        failures += !fork_batch(f, o->first + done++);
    printf("fuzz_engine: seed %llu, %llu batches of %d cases, %llu runs (%llu requested, %llu halted, %llu dead, %llu shutdown), "
           "back after %.1f ms at most: %u failures\n", (unsigned long long)o->seed, (unsigned long long)done, CASES,
           (unsigned long long)f->board->runs, (unsigned long long)n[0], (unsigned long long)n[1], (unsigned long long)n[2],
           (unsigned long long)n[3], (double)f->board->worst_ns / 1e6, failures);
    printf("  %llu blocks translated, %llu flushes of the cache, %llu invalidations, %llu slow accesses, %llu exceptions, "
           "%llu interrupts, %llu pages shown without checks\n", (unsigned long long)sum->blocks_translated, (unsigned long long)sum->cache_flushes,
           (unsigned long long)sum->invalidations, (unsigned long long)sum->slow_accesses, (unsigned long long)sum->exceptions,
           (unsigned long long)sum->interrupts, (unsigned long long)sum->bare_pages);
    return failures ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct options options;
    struct fuzzer f = { .options = &options };
    int code;

    if (!parse(&options, &f, argc, argv))
        return 64;
    f.board = mmap(NULL, sizeof *f.board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (f.board == MAP_FAILED)
        return 2;
    if (options.batch < 0)
        code = run_all(&f);
    else if (options.here)
        code = run_batch(&f, (uint64_t)options.batch);
    else
        code = fork_batch(&f, (uint64_t)options.batch) ? 0 : 1;
    free((void *)f.corpus.bytes);
    return code;
}
