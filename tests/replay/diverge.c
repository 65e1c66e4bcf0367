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
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/replay/finder.h"
#include "x86vm/decode/insn.h"
#include "x86vm/memory/view.h"
#include "x86vm/translate/translator.h"

enum { LOOKS = 64 }; /* at registers, between two at RAM as well */

static const char *const names[8] = { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi" };

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
    unsigned count = finder_compare_ram(f, at);

    for (unsigned i = 0; i < count && i < WORDS_SHOWN; i++) {
        uint32_t x, y;
        memcpy(&x, phys_ram(f->phys) + at[i], 4);
        memcpy(&y, phys_ram(second_phys(f->second)) + at[i], 4);
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

/* They are alike at f->last, and not at `position`. */
static void report(struct finder *f, uint64_t position)
{
    uint64_t low = f->last.position, high = position;
    bool alike;

    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (finder_alike_at(f, &f->last, middle))
            low = middle;
        else
            high = middle;
    }
    finder_go_back(f, &f->last);
    finder_both_to(f, high - 1);
    printf("difference at step %" PRIu64 "\n", high);
    show_instruction(f, "instruction");
    show_both(f, " before");
    alike = finder_both_to(f, high);
    show_both(f, " after");
    show_memory(f);
    if (f->crash)
        printf("  engine: crashed by signal %d in what it made of the instruction\n", f->crash);
    else if (!alike)
        printf("  unicorn: %s\n", second_message(f->second));
    fflush(stdout);
}

/* --- the run --- */

/* The engine is right: the other goes on from its state. */
static void follow_engine(struct finder *f, uint64_t position)
{
    finder_go_back(f, &f->last);
    finder_engine_to(f, position);
    if (f->result == REPLAY_DIVERGED)
        exit(1);
    finder_remember(f, &f->last);
    finder_go_back(f, &f->last);
}

/* Both to `target`, or as far as they look alike. */
static bool both_alike_to(struct finder *f, uint64_t target)
{
    uint64_t step = (target - f->last.position) / LOOKS + 1, at = f->last.position;

    do {
        at = target - at < step ? target : at + step;
        if (!finder_both_to(f, at) || !finder_same_cpu(f))
            return false;
    } while (at != target && f->result == REPLAY_STOPPED);
    return finder_same(f);
}

static int compare(struct finder *f, uint64_t every, uint64_t from, uint64_t to, unsigned most, bool quiet)
{
    if (from) {
        finder_engine_to(f, from);
        finder_remember(f, &f->last);
        finder_go_back(f, &f->last);
    }
    finder_remember(f, &f->last);
    for (;;) {
        uint64_t target = f->last.position + every < to ? f->last.position + every : to;
        bool alike = both_alike_to(f, target);
        uint64_t position = f->result == REPLAY_DIVERGED ? x86vm_position(f->vm) + BLOCK_MAX_INSNS : x86vm_position(f->vm);

        if (!alike) {
            const char *why = replay_diverged(f->replay) ? replay_diverged(f->replay) : second_message(f->second);
            printf("noticed by step %" PRIu64 ": %s\n", position, f->crash ? "the engine crashed" : why[0] ? why : "other state");
            report(f, position);
            if (++f->reports >= most)
                break;
            follow_engine(f, position);
        } else {
            finder_remember(f, &f->last);
        }
        if (!quiet && f->last.position / every % 100 == 0)
            fprintf(stderr, "%" PRIu64 " steps\n", f->last.position);
        if (f->result != REPLAY_STOPPED || f->last.position >= to)
            break;
    }
    return f->reports ? 1 : 0;
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
    if (!finder_open(&finder, argv[1], error, sizeof error)) {
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
