/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Runs the machine of machine.h: the timer that interrupts it, the device page, which
 * behaves like memory but is a call into C each time, and what is said of a run.
 */
#include "tests/programs/machine_internal.h"

#include "x86vm/memory/io_bus.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CPU_SECONDS_MAX 40
#define LATE_NS 20000000ull /* from a request to the return, CPU time */
#define REST_NS (3600 * 1000000000ull) /* between two x86vm_rest(), as it is told */

static struct x86vm *timer_vm;
static volatile uint64_t requested_at; /* CPU time; 0: not yet */

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void raise_line(struct machine *m)
{
    if (!m->calm)
        x86vm_set_intr(m->vm, true);
}

static void on_timer(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    if (!requested_at)
        requested_at = cpu_ns();
    x86vm_interrupted(timer_vm, context);
}

static void arm(struct machine *m)
{
    const unsigned range_ns = fuzz_one_in(&m->random, 8) ? 2000000 : 150000;
    const struct itimerspec at = { .it_value = { 0, 5000 + fuzz_below(&m->random, range_ns) } };

    requested_at = 0;
    timer_settime(m->timer, 0, &at, NULL);
}

/* --- the device --- */

static uint32_t device_read(void *opaque, uint32_t offset, unsigned size)
{
    struct machine *m = opaque;
    uint32_t value = 0;

    memcpy(&value, m->device[0] + offset, size);
    if (fuzz_one_in(&m->random, 16))
        raise_line(m);
    return value;
}

static void device_write(void *opaque, uint32_t offset, unsigned size, uint32_t value)
{
    struct machine *m = opaque;

    memcpy(m->device[0] + offset, &value, size);
    if (fuzz_one_in(&m->random, 8))
        raise_line(m);
    if (fuzz_one_in(&m->random, 64))
        x86vm_request_exit(m->vm);
    if (fuzz_one_in(&m->random, 64))
        machine_dma(m);
}

static const struct io_ops device_ops = { .read = device_read, .write = device_write };
static const struct io_ops patcher_ops = { .read = device_read, .write = machine_patch_over };

static bool run(struct machine *m, char *error, size_t error_size)
{
    uint64_t late;
    const uint64_t end = cpu_ns() + CPU_SECONDS_MAX * 1000000000ull;
    char state[300] = "";
    enum x86vm_exit exit;
    uint32_t bad;

    do {
        if (!m->calm)
            arm(m);
        exit = x86vm_run(m->vm);
        late = requested_at ? cpu_ns() - requested_at : 0;
        m->latest = late > m->latest ? late : m->latest;
        if (exit == X86VM_EXIT_REQUESTED)
            raise_line(m);
        if (!m->calm && fuzz_one_in(&m->random, 60)) /* as if it had been idle: code is dropped */
            x86vm_rest(m->vm, m->rested += REST_NS);
    } while (exit == X86VM_EXIT_REQUESTED && cpu_ns() < end && late < LATE_NS);
    timer_settime(m->timer, 0, &(struct itimerspec){ .it_value = { 0, 0 } }, NULL); /* nobody else's calls are interrupted */
    if (late >= LATE_NS) {
        snprintf(error, error_size, "came back %.1f ms of CPU time after it was asked to", (double)late / 1e6);
        return false;
    }
    bad = peek32(m, AT_BAD);
    x86vm_describe_state(m->vm, state, sizeof state);
    if (exit == X86VM_EXIT_DEAD && !bad)
        return true;
    if (bad)
        snprintf(error, error_size, "exception %u that should not be (cr2 %08x); %s", bad - 100, m->cpu->cr2, state);
    else
        snprintf(error, error_size, "%s; %s",
                 exit == X86VM_EXIT_REQUESTED ? "runs for ever" : exit == X86VM_EXIT_SHUTDOWN ? "shut down" : "halted", state);
    return false;
}

bool machine_run(struct machine *m, uint64_t seed, const struct machine_program *programs, unsigned count,
                 struct machine_result *results, char *error, size_t error_size)
{
    m->random = fuzz_random_of(seed, 0);
    m->programs = programs;
    m->count = count;
    x86vm_set_intr(m->vm, false);
    machine_load(m);
    if (!run(m, error, error_size))
        return false;
    machine_check_copies(m);
    if (m->spoiled) {
        snprintf(error, error_size, "a page was written that was not to be");
        return false;
    }
    if (m->stale) {
        snprintf(error, error_size, "code that a device had written was not what ran");
        return false;
    }
    for (unsigned p = 0; p < count; p++)
        machine_read_result(m, p, &results[p]);
    return true;
}

struct machine *machine_new(bool calm, bool small, char *error, size_t error_size)
{
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
    struct sigaction action = { .sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };
    const struct x86vm_config config = { .ram_size = RAM_SIZE, .code_cache_size = small ? 1 << 20 : 0 };
    struct machine *m = calloc(1, sizeof *m);

    if (!m || !(m->vm = x86vm_new(&config, error, error_size))) {
        free(m);
        return NULL;
    }
    timer_vm = m->vm;
    m->calm = calm;
    m->cpu = x86vm_cpu(m->vm);
    m->phys = x86vm_phys(m->vm);
    x86vm_set_intr_ack(m->vm, machine_acknowledge, m);
    io_bus_map_mmio(x86vm_io(m->vm), DEVICE, sizeof m->device, &device_ops, m);
    io_bus_map_mmio(x86vm_io(m->vm), PATCHER, INSN_PAGE, &patcher_ops, m);
    machine_make_tables(m);
    if (sigaction(SIGRTMIN, &action, NULL) || timer_create(CLOCK_MONOTONIC, &event, &m->timer)) {
        snprintf(error, error_size, "no timer");
        machine_free(m);
        return NULL;
    }
    return m;
}

uint64_t machine_latest_ns(const struct machine *m) { return m->latest; }

void machine_counters(const struct machine *m, struct x86vm_counters *out) { x86vm_get_counters(m->vm, out); }

void machine_free(struct machine *m)
{
    x86vm_free(m->vm);
    free(m);
}
