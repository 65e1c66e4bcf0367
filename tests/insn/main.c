/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The oracle's runner: random sequences on the host's CPU and on the engine
 * must agree. `insn_test --help` lists the options. The work is done in a child,
 * so that a sequence on which the engine dies is reported like any other.
 */
#include "tests/insn/backend.h"
#include "tests/insn/compare.h"

#include <cpuid.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FORMS_MAX 1024
#define KINDS 4 /* of gen_part.kind */

/* In memory shared with the child. */
struct progress {
    uint64_t next;    /* first case not yet judged */
    uint64_t running; /* case that the backend is at */
    bool in_backend;
    uint64_t same, different, not_comparable, hung;
    uint64_t ended[32]; /* cases by the exception that ended them */
    uint32_t covered[FORMS_MAX][KINDS];
};

static struct {
    uint64_t seed, first, count, max_failures, min_coverage, repeat;
    const char *helper;
    const struct backend *backend;
    bool verbose, minimize, coverage;
    struct gen_options gen;
} options = { .seed = 1, .count = 100000, .max_failures = 5, .repeat = 2, .helper = "build/tests/insn_native", .minimize = true,
              .gen = { .inexact = true } };

static struct progress *progress;
static struct gen_sequence sequences[INSN_BATCH];
static struct insn_output other_output;

static void place(struct insn_shared *shared, const struct gen_sequence *sequence, unsigned slot)
{
    memcpy(shared->code + gen_place(sequence), sequence->code, sequence->length);
    shared->input[slot] = sequence->input;
    shared->output[slot].status = INSN_NOT_RUN;
}

static void run_other(void *self, const struct insn_shared *shared, unsigned slot, uint64_t number)
{
    memset(&other_output, 0, sizeof other_output);
    progress->running = number;
    progress->in_backend = true;
    options.backend->run(self, shared, slot, &other_output);
    progress->in_backend = false;
}

static void report(const struct gen_sequence *sequence, uint64_t number, const struct insn_output *native, const char *what)
{
    printf("DIFFERENT: %s\n  (--seed %" PRIu64 " --first %" PRIu64 " --count 1)\n", what, options.seed, number);
    print_sequence(stdout, sequence, part_of_end(sequence, native));
    print_differences(stdout, sequence, options.backend->name, native, &other_output);
    fflush(stdout);
}

static bool same_kind(const char *a, const char *b)
{
    size_t length = strcspn(a, ":");
    return strncmp(a, b, length + 1) == 0;
}

/* Runs a variant of a case in both; true when it differs in the same way. */
static bool still_differs(struct native *native, void *self, const struct gen_sequence *variant, unsigned slot,
                          uint64_t number, const char *what, char *new_what, size_t size)
{
    struct insn_shared *shared = native_shared(native);
    place(shared, variant, slot);
    native_run(native, slot, slot + 1);
    options.backend->load(self, shared);
    for (unsigned i = 0; i < options.repeat; i++)
        run_other(self, shared, slot, number);
    return compare(variant, &shared->output[slot], &other_output, new_what, size) == DIFFERENT && same_kind(what, new_what);
}

/* Replaces instructions by NOPs as long as the difference stays. */
static void minimize(struct native *native, void *self, const struct gen_sequence *sequence, unsigned slot,
                     uint64_t number, const char *what)
{
    struct gen_sequence best = *sequence, variant;
    char new_what[200];
    for (int pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i + 1 < sequence->count; i++) {
            if (best.part[i].form == GEN_GLUE)
                continue;
            variant = best;
            memset(variant.code + variant.part[i].offset, 0x90, variant.part[i].length);
            if (memcmp(&variant, &best, sizeof best) &&
                still_differs(native, self, &variant, slot, number, what, new_what, sizeof new_what))
                best = variant;
        }
    if (still_differs(native, self, &best, slot, number, what, new_what, sizeof new_what)) {
        printf("  made smaller:\n");
        report(&best, number, &native_shared(native)->output[slot], new_what);
    }
}

static void count_coverage(const struct gen_sequence *sequence, const struct insn_output *native)
{
    unsigned end = part_of_end(sequence, native);
    for (unsigned i = 0; i <= end && i < sequence->count; i++)
        if (sequence->part[i].form != GEN_GLUE)
            progress->covered[sequence->part[i].form][sequence->part[i].kind % KINDS]++;
    if (native->vector < 32)
        progress->ended[native->vector]++;
}

/* Once more, with no other case's code in the window: a RET or jump to nowhere may have led there. */
static enum verdict judge_alone(struct native *native, void *self, unsigned slot, uint64_t number, char *what, size_t size)
{
    static uint8_t all[INSN_CODE_SIZE];
    struct insn_shared *shared = native_shared(native);
    enum verdict verdict = SAME;

    memcpy(all, shared->code, sizeof all);
    memset(shared->code, 0xcc, sizeof shared->code);
    place(shared, &sequences[slot], slot);
    native_run(native, slot, slot + 1);
    options.backend->load(self, shared);
    for (unsigned i = 0; i < options.repeat && verdict == SAME; i++) {
        run_other(self, shared, slot, number);
        verdict = compare(&sequences[slot], &shared->output[slot], &other_output, what, size);
    }
    memcpy(shared->code, all, sizeof all);
    options.backend->load(self, shared);
    return verdict;
}

static void judge(struct native *native, void *self, unsigned slot, uint64_t number)
{
    struct insn_output *out = &native_shared(native)->output[slot];
    const struct gen_sequence *sequence = &sequences[slot];
    char what[200];
    if (out->status == INSN_HUNG)
        progress->hung++;
    if (out->status == INSN_DONE && compare_possible(sequence, out))
        run_other(self, native_shared(native), slot, number);
    if (options.verbose) {
        printf("case %" PRIu64 "\n", number);
        print_sequence(stdout, sequence, part_of_end(sequence, out));
        print_differences(stdout, sequence, options.backend->name, out, &other_output);
    }
    enum verdict verdict = compare(sequence, out, &other_output, what, sizeof what);
    for (unsigned i = 1; i < options.repeat && verdict == SAME; i++) { /* now with its blocks translated and linked */
        run_other(self, native_shared(native), slot, number);
        verdict = compare(sequence, out, &other_output, what, sizeof what);
    }
    if (verdict == DIFFERENT) /* another case of the batch may have strayed into this one's result */
        verdict = judge_alone(native, self, slot, number, what, sizeof what);
    progress->same += verdict == SAME;
    progress->not_comparable += verdict == NOT_COMPARABLE;
    if (verdict == SAME)
        count_coverage(sequence, out);
    progress->next = number + 1;
    if (verdict != DIFFERENT)
        return;
    progress->different++;
    report(sequence, number, out, what);
    if (options.minimize) {
        minimize(native, self, sequence, slot, number, what);
        place(native_shared(native), sequence, slot);
        options.backend->load(self, native_shared(native));
    }
}

static void run_batch(struct native *native, void *self, uint64_t first, uint64_t end)
{
    struct insn_shared *shared = native_shared(native);
    unsigned from = (unsigned)(first % INSN_BATCH), to = from + (unsigned)(end - first);
    gen_memory(options.seed, first / INSN_BATCH, shared);
    memset(shared->code, 0xcc, sizeof shared->code);
    for (unsigned slot = from; slot < to; slot++) {
        gen_case(options.seed, first - from + slot, slot, &options.gen, &sequences[slot]);
        place(shared, &sequences[slot], slot);
    }
    native_run(native, from, to);
    options.backend->load(self, shared);
    for (unsigned slot = from; slot < to && progress->different < options.max_failures; slot++)
        judge(native, self, slot, first - from + slot);
}

static int work(void)
{
    char error[200];
    struct native *native = native_open(options.helper, false, error, sizeof error);
    void *self = native ? options.backend->open(&options.gen, error, sizeof error) : NULL;
    if (!self) {
        fprintf(stderr, "insn_test: %s\n", error);
        return 2;
    }
    uint64_t end = options.first + options.count;
    while (progress->next < end && progress->different < options.max_failures) {
        uint64_t batch_end = (progress->next / INSN_BATCH + 1) * INSN_BATCH;
        run_batch(native, self, progress->next, batch_end < end ? batch_end : end);
    }
    options.backend->close(self);
    native_close(native);
    return 0;
}

static int work_and_flush(void)
{
    int result = work();
    fflush(stdout);
    return result;
}

/* The backend killed the child: names the case, and goes on after it. */
static void report_death(int status)
{
    struct gen_sequence sequence;
    uint64_t number = progress->running;
    gen_case(options.seed, number, (unsigned)(number % INSN_BATCH), &options.gen, &sequence);
    printf("DIED: %s %s %d\n  (--seed %" PRIu64 " --first %" PRIu64 " --count 1)\n", options.backend->name,
           WIFSIGNALED(status) ? "signal" : "exit code", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
           options.seed, number);
    print_sequence(stdout, &sequence, GEN_PARTS_MAX);
    for (unsigned i = 0; i < 8; i++)
        printf(" %08x", sequence.input.regs[i]);
    printf("\n");
    fflush(stdout);
    progress->different++;
    progress->next = number + 1;
    progress->in_backend = false;
}

static int run_children(void)
{
    uint64_t end = options.first + options.count;
    while (progress->next < end && progress->different < options.max_failures) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0)
            _exit(work_and_flush());
        int status;
        if (pid < 0 || waitpid(pid, &status, 0) != pid) {
            perror("insn_test: fork");
            return 2;
        }
        if (WIFEXITED(status) && !progress->in_backend) {
            if (WEXITSTATUS(status))
                return WEXITSTATUS(status);
        } else {
            report_death(status);
        }
    }
    return 0;
}

/* Prints how often each form ran; returns the number of forms below the minimum. */
static unsigned print_coverage(void)
{
    unsigned lacking = 0, kinds = 0;
    uint32_t least = UINT32_MAX;
    static const char *const names[KINDS] = { "reg/none", "16-bit", "mem", "mem 16-bit" };
    for (unsigned form = 0; form < insn_form_count; form++) {
        const struct insn_form *f = &insn_forms[form];
        for (unsigned kind = 0; kind < KINDS; kind++) {
            bool possible = !((kind & 1) && !(f->attributes & O16)) &&
                            !((kind & 2) && f->rm != RM_ANY && f->rm != RM_MEM) && !(!(kind & 2) && f->rm == RM_MEM) &&
                            !(f->attributes & INEXACT && !options.gen.inexact) &&
                            !(f->feature & ~options.gen.features) &&
                            !(options.gen.integer_only && (f->class != CLASS_INTEGER || f->attributes & SYSTEM));
            if (!possible)
                continue;
            uint32_t n = progress->covered[form][kind];
            kinds++;
            least = n < least ? n : least;
            if (n < options.min_coverage)
                lacking++;
            if (options.coverage || n < options.min_coverage)
                printf("  %-28s %-11s %8u%s\n", f->name, names[kind], n, n < options.min_coverage ? "  TOO FEW" : "");
        }
    }
    printf("coverage: %u forms, the rarest %u times\n", kinds, least);
    return lacking;
}

static void usage(void)
{
    puts("usage: insn_test [--seed N] [--first CASE] [--count N] [--engine x86vm|unicorn] [--helper PROGRAM]\n"
         "                 [--max-failures N] [--min-coverage N] [--repeat N] [--coverage] [--no-minimize] [--verbose] [--exact-only]\n"
         "                 [--code16|--small|--v8086|--real]\n"
         "Runs random i386 instruction sequences on this CPU and on the engine, and compares.");
}

static void parse(int argc, char **argv)
{
    static const struct option longs[] = {
        { "seed", 1, 0, 's' }, { "first", 1, 0, 'f' }, { "count", 1, 0, 'c' }, { "engine", 1, 0, 'e' },
        { "helper", 1, 0, 'p' }, { "max-failures", 1, 0, 'm' }, { "min-coverage", 1, 0, 'k' }, { "coverage", 0, 0, 'C' },
        { "repeat", 1, 0, 'r' }, { "no-minimize", 0, 0, 'n' }, { "verbose", 0, 0, 'v' }, { "exact-only", 0, 0, 'x' }, { "code16", 0, 0, 'S' }, { "small", 0, 0, 'M' }, { "v8086", 0, 0, 'V' }, { "real", 0, 0, 'R' }, { "help", 0, 0, 'h' }, { 0, 0, 0, 0 },
    };
    int c;
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        switch (c) {
        case 's': options.seed = strtoull(optarg, NULL, 0); break;
        case 'f': options.first = strtoull(optarg, NULL, 0); break;
        case 'c': options.count = strtoull(optarg, NULL, 0); break;
        case 'm': options.max_failures = strtoull(optarg, NULL, 0); break;
        case 'k': options.min_coverage = strtoull(optarg, NULL, 0); break;
        case 'r': options.repeat = strtoull(optarg, NULL, 0); break;
        case 'p': options.helper = optarg; break;
        case 'C': options.coverage = true; break;
        case 'n': options.minimize = false; break;
        case 'v': options.verbose = true; break;
        case 'S': options.gen.code16 = true; break;
        case 'M': options.gen.code16 = options.gen.small = true; break;
        case 'V': options.gen.code16 = options.gen.small = true; options.gen.mode = GEN_V8086; break;
        case 'R': options.gen.code16 = options.gen.small = true; options.gen.mode = GEN_REAL; break;
        case 'x': options.gen.inexact = false; break;
        case 'e':
            options.backend = backend_by_name(optarg);
            if (options.backend)
                break;
            fprintf(stderr, "insn_test: no engine called %s\n", optarg);
            exit(2);
        default: usage(); exit(c == 'h' ? 0 : 2);
        }
    }
}

static uint32_t host_features(void)
{
    uint32_t a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) ? c : 0;
}

int main(int argc, char **argv)
{
    options.backend = backend_by_name(NULL);
    parse(argc, argv);
    options.gen.integer_only = options.backend->integer_only;
    options.gen.features = host_features() & ~(uint32_t)(options.backend->integer_only ? FEATURE_POPCNT : 0); /* Unicorn's CPU has none */
    progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED || insn_form_count > FORMS_MAX)
        return 2;
    progress->next = options.first;
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    printf("insn_test: engine %s, seed %" PRIu64 ", cases %" PRIu64 "..%" PRIu64 "\n", options.backend->name, options.seed,
           options.first, options.first + options.count - 1);
    int result = run_children();
    if (result)
        return result;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double seconds = (double)(now.tv_sec - start.tv_sec) + 1e-9 * (double)(now.tv_nsec - start.tv_nsec);
    unsigned lacking = print_coverage();
    printf("ended by");
    for (unsigned i = 0; i < 32; i++)
        if (progress->ended[i])
            printf(" #%u: %" PRIu64, i, progress->ended[i]);
    printf("\n%" PRIu64 " same, %" PRIu64 " different, %" PRIu64 " not comparable (%" PRIu64 " hung natively), %.1f s\n",
           progress->same, progress->different, progress->not_comparable, progress->hung, seconds);
    /* In real mode there are no page faults; elsewhere few cases cannot be compared. */
    return progress->different || lacking || progress->not_comparable > options.count / (options.gen.mode == GEN_REAL ? 5 : 50) ? 1 : 0;
}
