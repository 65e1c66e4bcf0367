/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See finder.h.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/replay/finder.h"
#include "tests/replay/images.h"
#include "x86vm/translate/count.h"

enum { PTE_ACCESSED = 0x20, PTE_DIRTY = 0x40 };

/* --- both to a position --- */

static void on_diverged(void *opaque)
{
    struct finder *f = opaque;
    x86vm_request_exit(f->vm);
}

static sigjmp_buf crashed;
static volatile sig_atomic_t engine_runs;

/* How host_fault.c gives up on a signal that is none of the guest's exceptions: wrong code,
 * which may do anything, went astray. Here it ends the engine's way to a position. */
void (*__real_signal(int number, void (*handler)(int)))(int);
void (*__wrap_signal(int number, void (*handler)(int)))(int);
void (*__wrap_signal(int number, void (*handler)(int)))(int)
{
    if (engine_runs && handler == SIG_DFL)
        siglongjmp(crashed, number);
    return __real_signal(number, handler);
}

/* The handlers on a stack of their own: wrong code may lose the stack, too. */
int __real_sigaction(int number, const struct sigaction *action, struct sigaction *old);
int __wrap_sigaction(int number, const struct sigaction *action, struct sigaction *old);
int __wrap_sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
    static uint8_t stack[1 << 16];
    const stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
    struct sigaction changed = *action;

    changed.sa_flags |= SA_ONSTACK;
    sigaltstack(&alternate, NULL);
    return __real_sigaction(number, &changed, old);
}

void finder_engine_to(struct finder *f, uint64_t position)
{
    uint8_t fpu[512] __attribute__((aligned(16)));

    __asm__ volatile("fxsave %0" : "=m"(fpu));
    images_clear();
    f->crash = sigsetjmp(crashed, 1);
    if (f->crash) {
        engine_runs = 0;
        __asm__ volatile("fxrstor %0" : : "m"(fpu));
        translator_current->inside = false;
        f->cpu->fault_env = NULL;
        f->result = REPLAY_DIVERGED;
        return;
    }
    engine_runs = 1;
    f->result = replay_run(f->replay, f->vm, position);
    engine_runs = 0;
}

bool finder_both_to(struct finder *f, uint64_t position)
{
    finder_engine_to(f, position);
    if (f->result == REPLAY_DIVERGED)
        return false; /* the engine does not even follow the recording */
    return second_run(f->second, x86vm_position(f->vm));
}

/* The tables' accessed and dirty bits are set when a TLB is filled, and TLBs are
 * each CPU's own affair. Such a word becomes the engine's. */
static bool only_page_bits(uint32_t a, uint32_t b)
{
    return ((a ^ b) & ~(uint32_t)(PTE_ACCESSED | PTE_DIRTY)) == 0 && a & 1;
}

unsigned finder_compare_ram(struct finder *f, uint32_t at[WORDS_SHOWN])
{
    uint8_t *ours = phys_ram(f->phys), *other = phys_ram(second_phys(f->second));
    unsigned count = 0;

    for (uint64_t page = 0; page < f->ram_size; page += PAGE_SIZE) {
        if (memcmp(ours + page, other + page, PAGE_SIZE) == 0)
            continue;
        for (uint64_t a = page; a < page + PAGE_SIZE; a += 4) {
            uint32_t x, y;
            memcpy(&x, ours + a, 4);
            memcpy(&y, other + a, 4);
            if (x == y)
                continue;
            if (only_page_bits(x, y)) {
                memcpy(other + a, &x, 4);
                f->page_bits++;
                continue;
            }
            if (count < WORDS_SHOWN)
                at[count] = (uint32_t)a;
            count++;
        }
    }
    return count;
}

static bool same_segments(const struct cpu *a, const struct cpu *b)
{
    for (unsigned i = 0; i < CPU_SEG_COUNT; i++)
        if (a->seg[i].selector != b->seg[i].selector || (a->seg[i].access && (a->seg[i].base != b->seg[i].base || a->seg[i].limit != b->seg[i].limit)))
            return false;
    return true;
}

bool finder_same_cpu(struct finder *f)
{
    const struct cpu *a = f->cpu, *b = second_cpu(f->second);
    uint32_t flags = ~(second_undefined_flags(f->second) | FLAG_RF);

    second_get(f->second);
    second_get_sse(f->second);
    return memcmp(a->fpu + FX_XMM, b->fpu + FX_XMM, 8 * 16) == 0 && memcmp(a->regs, b->regs, sizeof a->regs) == 0 && a->eip == b->eip && !((a->eflags ^ b->eflags) & flags) &&
           a->cpl == b->cpl && a->cr0 == b->cr0 && a->cr3 == b->cr3 && a->cr4 == b->cr4 && same_segments(a, b);
}

bool finder_same(struct finder *f)
{
    uint32_t at[WORDS_SHOWN];

    return finder_same_cpu(f) && finder_compare_ram(f, at) == 0;
}

/* --- going back --- */

void finder_remember(struct finder *f, struct alike *a)
{
    a->position = x86vm_position(f->vm);
    record_cpu_store(f->cpu, a->state);
    a->place = replay_tell(f->replay);
    memcpy(a->ram, phys_ram(f->phys), f->ram_size);
}

/* Only pages that changed, so that translations of the others stay as they are. */
static void restore_engine_ram(struct finder *f, const uint8_t *ram)
{
    for (uint64_t page = 0; page < f->ram_size; page += PAGE_SIZE)
        if (memcmp(phys_ram(f->phys) + page, ram + page, PAGE_SIZE))
            phys_dma_write(f->phys, page, ram + page, PAGE_SIZE);
}

void finder_go_back(struct finder *f, const struct alike *a)
{
    struct translator *t = translator_current;
    struct cpu *second = second_cpu(f->second);

    restore_engine_ram(f, a->ram);
    record_cpu_load(f->cpu, a->state);
    f->cpu->shutdown = false;
    t->single = t->ungrouped = false;
    t->partial = 0;
    f->cpu->count_left = 0;
    t->count_end = a->position;
    replay_seek(f->replay, &a->place);
    memcpy(phys_ram(second_phys(f->second)), a->ram, f->ram_size);
    record_cpu_load(second, a->state);
    replay_seek(f->second_replay, &a->place);
    second_put(f->second, a->position);
}

bool finder_alike_at(struct finder *f, const struct alike *a, uint64_t position)
{
    finder_go_back(f, a);
    return finder_both_to(f, position) && finder_same(f);
}

/* --- a recording --- */

static const uint8_t *map_file(const char *path, size_t *size)
{
    int fd = open(path, O_RDONLY);
    struct stat st;
    void *bytes;

    if (fd < 0 || fstat(fd, &st) || st.st_size == 0)
        return NULL;
    *size = (size_t)st.st_size;
    bytes = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    return bytes == MAP_FAILED ? NULL : bytes;
}

bool finder_open(struct finder *f, const char *path, char *error, size_t error_size)
{
    const struct replay_watcher watcher = { .opaque = f, .diverged = on_diverged };
    struct x86vm_config config = { 0 };
    const uint8_t *bytes;
    size_t size;

    snprintf(error, error_size, "%s cannot be read", path);
    bytes = map_file(path, &size);
    if (!bytes || !replay_peek(bytes, size, &config.ram_size, error, error_size))
        return false;
    f->ram_size = config.ram_size;
    f->last.ram = malloc(f->ram_size);
    f->vm = x86vm_new(&config, error, error_size);
    f->replay = replay_open(bytes, size, error, error_size);
    f->second_replay = replay_open(bytes, size, error, error_size);
    if (!f->vm || !f->replay || !f->second_replay || !f->last.ram)
        return false;
    f->cpu = x86vm_cpu(f->vm);
    f->phys = x86vm_phys(f->vm);
    if (!replay_load(f->replay, f->cpu, f->phys, x86vm_io(f->vm), error, error_size))
        return false;
    replay_watch(f->replay, &watcher);
    x86vm_count(f->vm);
    images_of(f->cpu, f->replay);
    f->second = second_new(f->second_replay, f->ram_size, error, (unsigned)error_size);
    return f->second;
}
