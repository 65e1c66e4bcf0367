/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The divergence finder: runs a recording (vswitch-guest --record) on the engine
 * and on Unicorn side by side, compares registers and the whole of RAM every so
 * many steps, and where they differ finds the very instruction by bisection.
 *
 * usage: diverge FILE [--every STEPS] [--from POSITION] [--to POSITION] [--reports N] [--quiet]
 * exit status: 0 no difference, 1 a difference was found, 2 the recording or Unicorn is of no use
 */
#include <Zydis/Zydis.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/replay/images.h"
#include "tests/replay/second.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"
#include "x86vm/replay.h"
#include "x86vm/translate/count.h"
#include "x86vm/x86vm.h"

enum { WORDS_SHOWN = 16, BACK_MOST = 64, FX_XMM = 160 };
enum { PTE_ACCESSED = 0x20, PTE_DIRTY = 0x40 };

/* Where both were alike: to start again from. */
struct alike {
    uint64_t position;
    uint8_t state[RECORD_CPU_MOST];
    struct replay_place place;
    uint8_t *ram;
};

struct finder {
    struct x86vm *vm;
    struct cpu *cpu;
    struct phys *phys;
    struct replay *replay, *second_replay;
    struct second *second;
    uint64_t ram_size;
    struct alike last, older, near; /* `older`: the one before `last` */
    enum replay_result result;
    int crash;           /* the signal by which the engine crashed on its last way; 0: it did not */
    uint64_t page_bits;  /* page-table words that differed in accessed and dirty bits alone */
    unsigned reports;
};

static const char *const names[8] = { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi" };

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

static void engine_to(struct finder *f, uint64_t position)
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

/* The engine runs first: the other needs to know of its images. False: one of them went off. */
static bool both_to(struct finder *f, uint64_t position)
{
    engine_to(f, position);
    if (f->result == REPLAY_DIVERGED)
        return false; /* the engine does not even follow the recording */
    return second_run(f->second, x86vm_position(f->vm));
}

static uint8_t *ram_of(struct phys *phys) { return phys_ram(phys); }

/* The tables' accessed and dirty bits are set when a TLB is filled, and TLBs are
 * each CPU's own affair. Such a word becomes the engine's. */
static bool only_page_bits(uint32_t a, uint32_t b)
{
    return ((a ^ b) & ~(uint32_t)(PTE_ACCESSED | PTE_DIRTY)) == 0 && a & 1;
}

/* Words of RAM that differ; the first few of them in `at`. */
static unsigned compare_ram(struct finder *f, uint32_t at[WORDS_SHOWN])
{
    uint8_t *ours = ram_of(f->phys), *other = ram_of(second_phys(f->second));
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

/* All but the arithmetic flags: one that matters soon shows in something else. */
static bool same_cpu(struct finder *f)
{
    const struct cpu *a = f->cpu, *b = second_cpu(f->second);
    uint32_t flags = ~(uint32_t)(FLAGS_ARITH | FLAG_RF);

    second_get(f->second);
    second_get_sse(f->second);
    return memcmp(a->fpu + FX_XMM, b->fpu + FX_XMM, 8 * 16) == 0 && memcmp(a->regs, b->regs, sizeof a->regs) == 0 && a->eip == b->eip && !((a->eflags ^ b->eflags) & flags) &&
           a->cpl == b->cpl && a->cr0 == b->cr0 && a->cr3 == b->cr3 && a->cr4 == b->cr4 && same_segments(a, b);
}

static bool same(struct finder *f)
{
    uint32_t at[WORDS_SHOWN];

    return same_cpu(f) && compare_ram(f, at) == 0;
}

/* --- going back --- */

static void remember(struct finder *f, struct alike *a)
{
    if (a == &f->last) {
        struct alike swap = f->older;
        f->older = f->last;
        f->last = swap;
    }
    a->position = x86vm_position(f->vm);
    record_cpu_store(f->cpu, a->state);
    a->place = replay_tell(f->replay);
    memcpy(a->ram, ram_of(f->phys), f->ram_size);
}

/* Only pages that changed, so that translations of the others stay as they are. */
static void restore_engine_ram(struct finder *f, const uint8_t *ram)
{
    for (uint64_t page = 0; page < f->ram_size; page += PAGE_SIZE)
        if (memcmp(ram_of(f->phys) + page, ram + page, PAGE_SIZE))
            phys_dma_write(f->phys, page, ram + page, PAGE_SIZE);
}

static void go_back(struct finder *f, const struct alike *a)
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
    memcpy(ram_of(second_phys(f->second)), a->ram, f->ram_size);
    record_cpu_load(second, a->state);
    replay_seek(f->second_replay, &a->place);
    second_put(f->second, a->position);
}

/* Whether they are still alike at `position`, from `a` on. */
static bool alike_at(struct finder *f, const struct alike *a, uint64_t position)
{
    go_back(f, a);
    return both_to(f, position) && same(f);
}

/* --- telling --- */

static void show_instruction(struct finder *f, const char *what)
{
    uint8_t bytes[15] = { 0 };
    unsigned size = 0;
    uint32_t linear = f->cpu->seg_base[CPU_CS] + f->cpu->eip;
    ZydisDisassembledInstruction d;

    for (uint32_t physical; size < sizeof bytes; size++) {
        if (!view_probe(f->cpu, linear + size, VIEW_FOR_EXEC, false, &physical) || !phys_dma_read(f->phys, physical, bytes + size, 1))
            break;
    }
    printf("%s %04x:%08x  ", what, f->cpu->seg[CPU_CS].selector, f->cpu->eip);
    if (!ZYAN_SUCCESS(ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LEGACY_32, f->cpu->eip, bytes, size, &d))) {
        printf("(no instruction)\n");
        return;
    }
    for (unsigned i = 0; i < d.info.length; i++)
        printf("%02x ", bytes[i]);
    printf(" %s\n", d.text);
}

static void show_cpu(const char *who, const struct cpu *cpu)
{
    printf("  %-8s", who);
    for (unsigned i = 0; i < 8; i++)
        printf(" %s=%08x", names[i], cpu->regs[i]);
    printf("\n           eip=%08x eflags=%08x cpl=%u cr0=%08x cr2=%08x cr3=%08x cr4=%08x\n", cpu->eip, cpu->eflags, cpu->cpl, cpu->cr0,
           cpu->cr2, cpu->cr3, cpu->cr4);
}

static void show_memory(struct finder *f)
{
    uint32_t at[WORDS_SHOWN];
    unsigned count = compare_ram(f, at);

    for (unsigned i = 0; i < count && i < WORDS_SHOWN; i++) {
        uint32_t x, y;
        memcpy(&x, ram_of(f->phys) + at[i], 4);
        memcpy(&y, ram_of(second_phys(f->second)) + at[i], 4);
        printf("  RAM %08x: engine %08x, unicorn %08x\n", at[i], x, y);
    }
    if (count > WORDS_SHOWN)
        printf("  and %u further words\n", count - WORDS_SHOWN);
}

static void show_sse(struct finder *f)
{
    const uint8_t *ours = f->cpu->fpu + FX_XMM, *other = second_cpu(f->second)->fpu + FX_XMM;

    for (unsigned i = 0; i < 8; i++) {
        uint64_t a[2], b[2];
        memcpy(a, ours + 16 * i, 16);
        memcpy(b, other + 16 * i, 16);
        if (a[0] != b[0] || a[1] != b[1])
            printf("  xmm%u: engine %016" PRIx64 "%016" PRIx64 ", unicorn %016" PRIx64 "%016" PRIx64 "\n", i, a[1], a[0], b[1], b[0]);
    }
}

static void show_both(struct finder *f, const char *when)
{
    second_get(f->second);
    second_get_sse(f->second);
    printf("%s\n", when);
    show_cpu("engine", f->cpu);
    show_cpu("unicorn", second_cpu(f->second));
    show_sse(f);
}

/* Flags that the manual defines and that differ at `position`. */
static uint32_t differing_flags(struct finder *f, uint64_t position)
{
    go_back(f, &f->near);
    if (!both_to(f, position))
        return 0;
    second_get(f->second);
    return (f->cpu->eflags ^ second_cpu(f->second)->eflags) & FLAGS_ARITH & ~second_undefined_flags(f->second);
}

static uint32_t flags_read_here(struct finder *f)
{
    uint32_t linear = f->cpu->seg_base[CPU_CS] + f->cpu->eip, physical;
    uint8_t bytes[15];
    struct insn insn;

    if (!view_probe(f->cpu, linear, VIEW_FOR_EXEC, false, &physical) || !phys_dma_read(f->phys, physical, bytes, sizeof bytes) ||
        insn_decode(&insn, bytes, sizeof bytes, f->cpu->eip, INSN_MODE_32) != INSN_OK)
        return 0;
    return insn.flags_read;
}

/* The instruction that shows the difference may only be the first to read a flag that an earlier one left
 * wrong: then that one. `position`: behind the instruction. */
static uint64_t blame(struct finder *f, uint64_t position)
{
    const struct alike *start = position > f->last.position + BACK_MOST ? &f->last : &f->older;
    uint64_t from = position > start->position + BACK_MOST ? position - BACK_MOST : start->position;
    uint32_t wrong, before;

    go_back(f, start);
    both_to(f, from);
    remember(f, &f->near);
    wrong = differing_flags(f, position - 1);
    before = flags_read_here(f);
    wrong &= before;
    if (!wrong)
        return position;
    for (position--; position - 1 > from && differing_flags(f, position - 1) & wrong;)
        position--;
    return position;
}

/* They are alike at f->last, and not at `position`. */
static void report(struct finder *f, uint64_t position)
{
    uint64_t low = f->last.position, high = position, first;
    bool alike;

    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (alike_at(f, &f->last, middle))
            low = middle;
        else
            high = middle;
    }
    first = blame(f, high);
    go_back(f, &f->near);
    both_to(f, first - 1);
    printf("difference at step %" PRIu64 "\n", first);
    show_instruction(f, "instruction");
    show_both(f, " before");
    alike = both_to(f, first);
    show_both(f, " after");
    show_memory(f);
    if (f->crash)
        printf("  engine: crashed by signal %d in what it made of the instruction\n", f->crash);
    else if (!alike)
        printf("  unicorn: %s\n", second_message(f->second));
    if (first != high) {
        both_to(f, high - 1);
        show_instruction(f, " it shows in");
    }
    fflush(stdout);
}

/* --- the run --- */

/* The engine is right: the other goes on from its state. */
static void follow_engine(struct finder *f, uint64_t position)
{
    go_back(f, &f->last);
    engine_to(f, position);
    if (f->result == REPLAY_DIVERGED)
        exit(1);
    remember(f, &f->last);
    remember(f, &f->last);
    go_back(f, &f->last);
}

static int compare(struct finder *f, uint64_t every, uint64_t from, uint64_t to, unsigned most, bool quiet)
{
    if (from) {
        engine_to(f, from);
        remember(f, &f->last);
        go_back(f, &f->last);
    }
    remember(f, &f->last);
    remember(f, &f->last); /* and the older one */
    for (;;) {
        uint64_t target = f->last.position + every < to ? f->last.position + every : to;
        bool alike = both_to(f, target) && same(f);
        uint64_t position = f->result == REPLAY_DIVERGED ? x86vm_position(f->vm) + BLOCK_MAX_INSNS : x86vm_position(f->vm);

        if (!alike) {
            const char *why = replay_diverged(f->replay) ? replay_diverged(f->replay) : second_message(f->second);
            printf("noticed by step %" PRIu64 ": %s\n", position, f->crash ? "the engine crashed" : why[0] ? why : "other state");
            report(f, position);
            if (++f->reports >= most)
                break;
            follow_engine(f, position);
        } else {
            remember(f, &f->last);
        }
        if (!quiet && f->last.position / every % 100 == 0)
            fprintf(stderr, "%" PRIu64 " steps\n", f->last.position);
        if (f->result != REPLAY_STOPPED || f->last.position >= to)
            break;
    }
    return f->reports ? 1 : 0;
}

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

static bool set_up(struct finder *f, const char *path, char *error, size_t error_size)
{
    const struct replay_watcher watcher = { .opaque = f, .diverged = on_diverged };
    struct x86vm_config config = { 0 };
    const uint8_t *bytes;
    size_t size;

    snprintf(error, error_size, "%s cannot be read", path);
    bytes = map_file(path, &size);
    if (!bytes || !replay_peek(bytes, size, &config.ram_size, &config.exact_flags, error, error_size))
        return false;
    f->ram_size = config.ram_size;
    f->last.ram = malloc(f->ram_size);
    f->near.ram = malloc(f->ram_size);
    f->older.ram = malloc(f->ram_size);
    f->vm = x86vm_new(&config, error, error_size);
    f->replay = replay_open(bytes, size, error, error_size);
    f->second_replay = replay_open(bytes, size, error, error_size);
    if (!f->vm || !f->replay || !f->second_replay || !f->last.ram || !f->near.ram || !f->older.ram)
        return false;
    f->cpu = x86vm_cpu(f->vm);
    f->phys = x86vm_phys(f->vm);
    if (!replay_load(f->replay, f->cpu, f->phys, x86vm_io(f->vm), error, error_size))
        return false;
    replay_watch(f->replay, &watcher);
    x86vm_count(f->vm);
    images_of(f->cpu);
    f->second = second_new(f->second_replay, f->ram_size, error, (unsigned)error_size);
    return f->second;
}

int main(int argc, char **argv)
{
    static struct finder finder;
    uint64_t every = 1000000, from = 0, to = UINT64_MAX;
    unsigned most = 1;
    bool quiet = false;
    char error[300];
    struct second_counts counts;
    int status;

    for (int i = 2; i < argc; i++) {
        if (!strcmp(argv[i], "--quiet"))
            quiet = true;
        else if (!strcmp(argv[i], "--every") && i + 1 < argc)
            every = strtoull(argv[++i], NULL, 0);
        else if (!strcmp(argv[i], "--from") && i + 1 < argc)
            from = strtoull(argv[++i], NULL, 0);
        else if (!strcmp(argv[i], "--to") && i + 1 < argc)
            to = strtoull(argv[++i], NULL, 0);
        else if (!strcmp(argv[i], "--reports") && i + 1 < argc)
            most = (unsigned)strtoul(argv[++i], NULL, 0);
        else
            argc = 0;
    }
    if (argc < 2 || !every || !most) {
        fprintf(stderr, "usage: diverge FILE [--every STEPS] [--from POSITION] [--to POSITION] [--reports N] [--quiet]\n");
        return 2;
    }
    if (!set_up(&finder, argv[1], error, sizeof error)) {
        fprintf(stderr, "diverge: %s\n", error);
        return 2;
    }
    status = compare(&finder, every, from, to, most, quiet);
    counts = second_counts(finder.second);
    printf("%s: %" PRIu64 " steps, %u differences; unicorn ran %" PRIu64 " instructions itself, %" PRIu64 " were assisted; %" PRIu64
           " exceptions, %" PRIu64 " interrupts, %" PRIu64 " page-table words with other accessed or dirty bits\n",
           finder.result == REPLAY_SAME ? "to the end" : finder.result == REPLAY_CUT ? "to where it was cut off" : "so far",
           finder.last.position, finder.reports, counts.instructions, counts.assisted, counts.exceptions, counts.interrupts, finder.page_bits);
    return status;
}
