/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a device costs a guest, measured on the engine and its PC with a guest of
 * our own (irq_guest.S): the time from a write to an eventfd by another thread to
 * the first instruction of the guest's interrupt handler while the guest computes,
 * by way of the guest program's own waker; a register read; a port write. Beside
 * them what this host does for a native program: an eventfd wake-up between two
 * threads, and a getppid().
 *
 * usage: irq_bench IMAGE [INTERRUPTS]
 *
 * Prints `row NAME VALUE UNIT`, one a line.
 */
#include "guest/waker.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/phys.h"
#include "x86vm/pc/boot_multiboot.h"
#include "x86vm/pc/pc.h"
#include "x86vm/x86vm.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

enum { RAM = 16 << 20, MAILBOX = 0x200000, ROUNDS = 200000, VCPU = 0, OTHER = 1, LOST_AFTER_MS = 2000 };

/* Written by the guest. */
struct mailbox {
    uint64_t read_tsc, out_tsc; /* ticks of ROUNDS register reads, port writes */
    uint32_t count;             /* interrupts handled */
    uint32_t ready;
    uint32_t spun;
    uint32_t unused;
    uint64_t entry;             /* TSC at the start of the handler */
};

struct bench {
    struct x86vm *vm;
    struct pc *pc;
    volatile struct mailbox *mailbox;
    struct waker *waker;
    int event;
    unsigned interrupts;
    uint64_t *latency;          /* in ticks */
    bool ended, failed;
};

static double ns_per_tick;

_Noreturn static void fail(const char *why)
{
    fprintf(stderr, "irq_bench: %s\n", why);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void sleep_ns(long ns)
{
    const struct timespec t = { ns / 1000000000, ns % 1000000000 };
    nanosleep(&t, NULL);
}

static void pin(unsigned cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set))
        fail("needs two CPUs");
}

static void row(const char *name, double value)
{
    printf("row %s %.1f ns\n", name, value);
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void latency_rows(const char *name, uint64_t *ticks, unsigned count)
{
    char full[64];
    qsort(ticks, count, sizeof *ticks, compare);
    snprintf(full, sizeof full, "%s.median", name);
    row(full, (double)ticks[count / 2] * ns_per_tick);
    snprintf(full, sizeof full, "%s.p99", name);
    row(full, (double)ticks[count * 99 / 100] * ns_per_tick);
}

/* --- the machine --- */

static void on_intr(void *opaque, bool level) { x86vm_set_intr(((struct bench *)opaque)->vm, level); }
static void on_attention(void *opaque) { x86vm_request_exit(((struct bench *)opaque)->vm); }
static bool on_frame(void *opaque, const void *frame, size_t size, const struct nic_offload *offload)
{
    (void)opaque, (void)frame, (void)size, (void)offload;
    return true;
}

struct file { const uint8_t *data; size_t size; };

static struct file read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    uint8_t *data;

    if (!f || fstat(fileno(f), &st) || !(data = malloc((size_t)st.st_size)) || fread(data, (size_t)st.st_size, 1, f) != 1)
        fail("cannot read the image");
    fclose(f);
    return (struct file){ data, (size_t)st.st_size };
}

static void make_machine(struct bench *b, const char *path)
{
    const struct x86vm_config config = { .ram_size = RAM };
    const struct pc_link link = { .opaque = b, .send = on_frame };
    const struct pc_nic_config card = { .model = "e1000", .mac = { 0x52, 0x54, 0, 0, 0, 1 } };
    struct pc_config pc = { .opaque = b, .set_intr = on_intr, .attention = on_attention };
    struct file image = read_file(path);
    char error[256] = "";

    b->vm = x86vm_new(&config, error, sizeof error);
    if (!b->vm)
        fail(error);
    pc.cpu = x86vm_cpu(b->vm);
    pc.phys = x86vm_phys(b->vm);
    pc.io = x86vm_io(b->vm);
    b->pc = pc_new(&pc);
    if (!b->pc)
        fail("no machine");
    x86vm_set_intr_ack(b->vm, pc_acknowledge, b->pc);
    if (!pc_add_nic(b->pc, &card, &link, error, sizeof error)
        || !pc_boot_multiboot(b->pc, &(struct boot_multiboot_files){ .image = image.data, .image_size = image.size },
                              error, sizeof error))
        fail(error);
    b->mailbox = (volatile struct mailbox *)(phys_ram(x86vm_phys(b->vm)) + MAILBOX);
    if (!x86vm_cpu(b->vm)->tsc_khz)
        fail("the TSC's rate is not known");
    ns_per_tick = 1e6 / x86vm_cpu(b->vm)->tsc_khz;
}

/* --- interrupts --- */

/* The other side: writes, then sleeps as a switch does, and looks what came of it. */
static void *interrupt_guest(void *opaque)
{
    struct bench *b = opaque;
    const uint64_t one = 1;

    pin(OTHER);
    while (!b->mailbox->ready)
        sleep_ns(1000000);
    sleep_ns(20000000);
    for (unsigned i = 0; i < b->interrupts && !b->failed; i++) {
        const uint32_t count = b->mailbox->count;
        const uint64_t begin = now_ns(), start = __rdtsc();
        if (write(b->event, &one, sizeof one) != sizeof one)
            b->failed = true;
        do {
            sleep_ns(300000 + i % 37 * 10000);
            b->failed |= now_ns() - begin > LOST_AFTER_MS * 1000000ull;
        } while (b->mailbox->count == count && !b->failed);
        b->latency[i] = b->mailbox->entry - x86vm_cpu(b->vm)->tsc_offset - start;
    }
    b->ended = true;
    x86vm_request_exit(b->vm);
    return NULL;
}

static void attention(void *opaque) { x86vm_request_exit(((struct bench *)opaque)->vm); }

/* The vCPU's thread, with the run loop's steps. */
static void run_guest(struct bench *b)
{
    const struct pollfd fd = { .fd = b->event, .events = POLLIN };
    uint64_t value;

    pin(VCPU);
    while (!b->ended) {
        pc_service(b->pc, pc_now(b->pc));
        if (!waker_is_armed(b->waker)) {
            if (read(b->event, &value, sizeof value) == sizeof value)
                pc_serial_input(b->pc, 1, "x", 1);
            waker_arm(b->waker, &fd, 1);
        }
        if (x86vm_run(b->vm) > X86VM_EXIT_HALTED)
            fail("the guest stopped");
    }
    if (b->failed)
        fail("the guest's handler never ran");
}

static void measure_guest(struct bench *b)
{
    pthread_t other;

    b->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    b->latency = calloc(b->interrupts, sizeof *b->latency);
    if (b->event < 0 || !b->latency || waker_start(attention, b, &b->waker)
        || pthread_create(&other, NULL, interrupt_guest, b))
        fail("no thread");
    run_guest(b);
    pthread_join(other, NULL);
    waker_stop(b->waker);
    row("mmio.read", (double)b->mailbox->read_tsc * ns_per_tick / ROUNDS);
    row("pio.out", (double)b->mailbox->out_tsc * ns_per_tick / ROUNDS);
    latency_rows("irq.latency", b->latency, b->interrupts);
}

/* --- what the host does without us --- */

struct native {
    int event;
    unsigned count;
    volatile uint64_t start, woken;
};

static void *wake_up(void *opaque)
{
    struct native *n = opaque;
    uint64_t value;

    pin(VCPU);
    for (unsigned i = 0; i < n->count && read(n->event, &value, sizeof value) == sizeof value; i++)
        n->woken = __rdtsc();
    return NULL;
}

static void measure_wake_up(unsigned count, uint64_t *latency)
{
    struct native n = { .event = eventfd(0, EFD_CLOEXEC), .count = count };
    const uint64_t one = 1;
    pthread_t sleeper;

    if (n.event < 0 || pthread_create(&sleeper, NULL, wake_up, &n))
        fail("no thread");
    pin(OTHER);
    sleep_ns(20000000);
    for (unsigned i = 0; i < count; i++) {
        n.woken = 0;
        n.start = __rdtsc();
        if (write(n.event, &one, sizeof one) != sizeof one)
            fail("eventfd");
        do
            sleep_ns(300000 + i % 37 * 10000);
        while (!n.woken);
        latency[i] = n.woken - n.start;
    }
    pthread_join(sleeper, NULL);
    latency_rows("native.wakeup", latency, count);
}

static void measure_getppid(void)
{
    uint64_t best = UINT64_MAX;

    for (unsigned run = 0; run < 5; run++) {
        const uint64_t start = __rdtsc();
        for (unsigned i = 0; i < ROUNDS; i++)
            syscall(SYS_getppid);
        const uint64_t took = __rdtsc() - start;
        best = took < best ? took : best;
    }
    row("native.getppid", (double)best * ns_per_tick / ROUNDS);
}

int main(int argc, char **argv)
{
    struct bench b = { .interrupts = argc > 2 ? (unsigned)atoi(argv[2]) : 1000 };

    if (argc < 2 || b.interrupts < 100)
        fail("usage: irq_bench IMAGE [INTERRUPTS, at least 100]");
    make_machine(&b, argv[1]);
    measure_guest(&b);
    measure_wake_up(b.interrupts, b.latency);
    measure_getppid();
    return 0;
}
