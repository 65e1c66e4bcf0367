/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A real kernel whose bytes change under it: the whole machine (engine, PC,
 * NICs) boots an image, random bits of its RAM are flipped before it starts
 * and while it runs, and frames come in on every card. What must hold is as for fuzz_engine: each case is a child
 * behind the guest program's sandbox, comes back soon when asked, ends in one of
 * the known ways, and stays within its memory.
 *
 *   fuzz_machine --image FILE [--seed S] [--seconds N] [--case N [--here]]
 */
#include "tests/fuzz/fuzz_random.h"
#include "tests/fuzz/fuzz_watch.h"

#include "guest/sandbox.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/phys.h"
#include "x86vm/pc/boot_linux.h"
#include "x86vm/pc/boot_multiboot.h"
#include "x86vm/pc/pc.h"
#include "x86vm/x86vm.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RAM = 64 << 20, NICS = 7, FAILURES_MAX = 5 };
#define MS 1000000ull
#define CASE_NS (250 * MS)       /* CPU time of a case ... */
#define CASE_WALL_NS (1000 * MS) /* ... which may sleep in HLT all the time */
#define LATE_NS (100 * MS)
#define SILENT_SECONDS 30
#define RESIDENT_MAX_KIB (400u << 10)

struct file { const uint8_t *data; size_t size; };

struct board {
    volatile uint64_t runs, exceptions, ends[5];
    char message[900];
};

struct fuzzer {
    struct fuzz_random random;
    struct board *board;
    struct file image;
    struct x86vm *vm;
    struct pc *pc;
    struct pc_nic *nics[NICS];
    timer_t timer;
    bool here;
};

static struct x86vm *signal_vm;
static volatile uint64_t requested_at;

static uint64_t clock_ns(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void on_timer(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    if (!requested_at)
        requested_at = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    x86vm_interrupted(signal_vm, context);
}

_Noreturn static void failed(struct fuzzer *f, const char *why)
{
    char state[512] = "";

    if (f->vm)
        x86vm_describe_state(f->vm, state, sizeof state);
    snprintf(f->board->message, sizeof f->board->message, "%s; %s", why, state);
    if (f->here)
        fprintf(stderr, "%s\n", f->board->message);
    _exit(3);
}

/* --- what the machine calls --- */

static void on_intr(void *opaque, bool level) { x86vm_set_intr(((struct fuzzer *)opaque)->vm, level); }
static void on_attention(void *opaque) { x86vm_request_exit(((struct fuzzer *)opaque)->vm); }

static bool on_frame(void *opaque, const void *frame, size_t size, const struct nic_offload *offload)
{
    struct fuzzer *f = opaque;
    (void)frame, (void)size, (void)offload;
    return !fuzz_one_in(&f->random, 4);
}

/* --- a case --- */

static void make_machine(struct fuzzer *f, uint64_t number)
{
    /* The first on ISA is where the bare-metal guest's driver looks for it. */
    static const char *const models[NICS] = { "e1000", "rtl8029", "ne2000-8bit", "rtl8019as", "ne1000", "ne2000", "virtio-net" };
    const struct x86vm_config config = { .ram_size = RAM, .code_cache_size = number % 3 ? 0 : 2 << 20 };
    const struct pc_link link = { .opaque = f, .send = on_frame };
    struct pc_config pc = { .wall_seconds = 1700000000, .debug_exit = true, .opaque = f, .set_intr = on_intr, .attention = on_attention };
    struct pc_nic_config nic = { .mac = { 0x52, 0x54, 0, 0, 0, 1 } };
    char error[256] = "";
    bool ok;

    if (number % 2)
        setenv("X86VM_NO_BMI2", "1", 1);
    f->vm = signal_vm = x86vm_new(&config, error, sizeof error);
    if (!f->vm)
        failed(f, error);
    pc.cpu = x86vm_cpu(f->vm);
    pc.phys = x86vm_phys(f->vm);
    pc.io = x86vm_io(f->vm);
    f->pc = pc_new(&pc);
    if (!f->pc)
        failed(f, "no machine");
    x86vm_set_intr_ack(f->vm, pc_acknowledge, f->pc);
    for (unsigned i = 0; i < NICS; i++) {
        nic.model = models[i];
        nic.mac[5] = (uint8_t)i;
        nic.line_rate = i && i < NICS - 1 && fuzz_one_in(&f->random, 2) ? 10 : 0; /* those around a DP8390 */
        f->nics[i] = pc_add_nic(f->pc, &nic, &link, error, sizeof error);
        if (!f->nics[i])
            failed(f, error);
    }
    if (boot_multiboot_recognizes(f->image.data, f->image.size))
        ok = pc_boot_multiboot(f->pc, &(struct boot_multiboot_files){ .image = f->image.data, .image_size = f->image.size }, error,
                               sizeof error);
    else
        ok = pc_boot_linux(f->pc, &(struct boot_linux_files){ .kernel = f->image.data, .kernel_size = f->image.size,
                           .command_line = "console=ttyS0 nokaslr", .unpack = true }, error, sizeof error);
    if (!ok)
        failed(f, error);
}

static void make_timer(struct fuzzer *f)
{
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
    struct sigaction action = { .sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };

    if (sigaction(SIGRTMIN, &action, NULL) || timer_create(CLOCK_MONOTONIC, &event, &f->timer))
        failed(f, "no timer");
}

static void flip(struct fuzzer *f, uint32_t times)
{
    struct phys *phys = x86vm_phys(f->vm);

    while (times-- > 0) {
        /* near where it executes, in the kernel, or anywhere */
        uint32_t at = fuzz_one_in(&f->random, 3) ? fuzz_below(&f->random, RAM) : 0x100000 + fuzz_below(&f->random, fuzz_one_in(&f->random, 2) ? 1 << 17 : 24 << 20);
        uint8_t byte;
        if (fuzz_one_in(&f->random, 4))
            at = (x86vm_cpu(f->vm)->eip & (RAM - 1)) + fuzz_below(&f->random, 256);
        if (!phys_dma_read(phys, at, &byte, 1))
            continue;
        byte ^= (uint8_t)(1u << fuzz_below(&f->random, 8));
        phys_dma_write(phys, at, &byte, 1);
    }
}

/* To everybody, to the card, or to nobody; what has no room is gone. */
static void receive(struct fuzzer *f)
{
    uint8_t frame[1600];
    unsigned which = fuzz_below(&f->random, NICS);
    uint32_t size = fuzz_below(&f->random, sizeof frame);

    for (uint32_t i = 0; i < size; i++)
        frame[i] = (uint8_t)fuzz_below(&f->random, 256);
    if (size > 6 && !fuzz_one_in(&f->random, 4)) {
        const uint8_t card[6] = { 0x52, 0x54, 0, 0, 0, (uint8_t)which };
        memcpy(frame, fuzz_one_in(&f->random, 2) ? card : (const uint8_t *)"\xff\xff\xff\xff\xff\xff", 6);
    }
    if (pc_nic_receive(f->nics[which], frame, size, NULL) == NIC_RX_FULL)
        pc_nic_receive_lost(f->nics[which], size);
}

/* False: the machine is at its end. */
static bool after_run(struct fuzzer *f, enum x86vm_exit exit)
{
    uint64_t late = requested_at ? clock_ns(CLOCK_THREAD_CPUTIME_ID) - requested_at : 0, now = pc_now(f->pc), deadline;
    uint8_t code;

    f->board->runs++;
    if ((unsigned)exit > X86VM_EXIT_SHUTDOWN)
        failed(f, "no such exit");
    if (late > LATE_NS)
        failed(f, "came back late");
    pc_service(f->pc, now);
    f->board->ends[exit]++;
    if (pc_take_event(f->pc, &code) != PC_EVENT_NONE) {
        f->board->ends[4]++;
        return false;
    }
    deadline = pc_next_deadline(f->pc, true);
    if (exit == X86VM_EXIT_HALTED && deadline > now) {
        const struct timespec until = { 0, (long)(deadline - now > MS ? MS : deadline - now) };
        ppoll(NULL, 0, &until, NULL); /* nanosleep() is not among the sandbox's calls */
    }
    return exit == X86VM_EXIT_REQUESTED || exit == X86VM_EXIT_HALTED;
}

static int run_case(struct fuzzer *f, uint64_t seed, uint64_t number)
{
    const struct itimerspec tick = { .it_value = { 0, (long)MS } };
    struct x86vm_counters counters;
    uint64_t start, wall;
    enum x86vm_exit exit;
    const char *what;

    f->random = fuzz_random_of(seed, number);
    make_machine(f, number);
    make_timer(f);
#ifndef __SANITIZE_ADDRESS__
    if (!f->here && sandbox_close_door(&what))
        failed(f, what);
#else
    (void)what;
#endif
    if (fuzz_one_in(&f->random, 2))
        flip(f, 1u << fuzz_below(&f->random, 12));
    start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    wall = clock_ns(CLOCK_MONOTONIC);
    do {
        requested_at = 0;
        timer_settime(f->timer, 0, &tick, NULL);
        exit = x86vm_run(f->vm);
        if (fuzz_one_in(&f->random, 3))
            flip(f, fuzz_below(&f->random, 8));
        while (!fuzz_one_in(&f->random, 3))
            receive(f);
    } while (after_run(f, exit) && clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start < CASE_NS &&
             clock_ns(CLOCK_MONOTONIC) - wall < CASE_WALL_NS);
    x86vm_get_counters(f->vm, &counters);
    f->board->exceptions += counters.exceptions;
    return 0;
}

/* --- the parent --- */

static bool fork_case(struct fuzzer *f, uint64_t seed, uint64_t number)
{
    struct fuzz_watch look = { 0 };
    struct rusage usage = { 0 };
    int status = 0;
    pid_t child;

    fflush(stdout);
    f->board->message[0] = 0;
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(run_case(f, seed, number));
    }
    while (child > 0 && wait4(child, &status, WNOHANG, &usage) == 0) {
        if (fuzz_watch_hangs(&look, child, f->board->runs, SILENT_SECONDS)) {
            kill(child, SIGKILL);
            snprintf(f->board->message, sizeof f->board->message, "hangs");
        }
    }
#ifndef __SANITIZE_ADDRESS__
    if (usage.ru_maxrss > RESIDENT_MAX_KIB)
        snprintf(f->board->message, sizeof f->board->message, "memory grew to %ld KiB", usage.ru_maxrss), status = 1;
#endif
    if (child > 0 && status == 0)
        return true;
    printf("fuzz_machine: case %llu failed: status %#x %s\n  replay: fuzz_machine --seed %llu --case %llu --here --image FILE\n",
           (unsigned long long)number, (unsigned)status, f->board->message, (unsigned long long)seed, (unsigned long long)number);
    return false;
}

static struct file read_image(const char *path)
{
    FILE *file = fopen(path, "rb");
    enum { MOST = 64 << 20 };
    uint8_t *bytes = malloc(MOST);
    struct file image = { bytes, 0 };

    if (file && bytes)
        image.size = fread(bytes, 1, MOST, file);
    if (file)
        fclose(file);
    return image;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, seconds = 5, done = 0, start = clock_ns(CLOCK_MONOTONIC);
    int64_t only = -1;
    unsigned failures = 0;
    struct fuzzer f = { .here = false };
    int code = 0;

    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--here") == 0)
            f.here = true;
        else if (strcmp(argv[i], "--seed") == 0 && more)
            seed = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--seconds") == 0 && more)
            seconds = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--case") == 0 && more)
            only = strtoll(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--image") == 0 && more)
            f.image = read_image(argv[++i]);
        else
            return 64;
    }
    f.board = mmap(NULL, sizeof *f.board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (f.board == MAP_FAILED || !f.image.size) {
        fprintf(stderr, "fuzz_machine: needs --image FILE, a kernel that can be read\n");
        return 64;
    }
    if (only >= 0) {
        code = f.here ? run_case(&f, seed, (uint64_t)only) : !fork_case(&f, seed, (uint64_t)only);
    } else {
        while (clock_ns(CLOCK_MONOTONIC) - start < seconds * 1000 * MS && failures < FAILURES_MAX)
            failures += !fork_case(&f, seed, done++);
        printf("fuzz_machine: seed %llu, %llu cases, %llu runs, %llu exceptions (%llu halts, %llu dead, %llu shutdown, %llu reset or "
               "exit): %u failures\n", (unsigned long long)seed, (unsigned long long)done, (unsigned long long)f.board->runs,
               (unsigned long long)f.board->exceptions, (unsigned long long)f.board->ends[1], (unsigned long long)f.board->ends[2],
               (unsigned long long)f.board->ends[3], (unsigned long long)f.board->ends[4], failures);
        code = failures ? 1 : 0;
    }
    free((void *)f.image.data);
    return code;
}
