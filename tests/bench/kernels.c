/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Runs the kernels and times each by CLOCK_MONOTONIC. A static i386 program, so
 * that the very same file runs natively, in our guest and in QEMU's.
 *
 * usage: kernels [compute|os|all] [REPETITIONS [NAME…]]      NAME: what a kernel's name starts with
 *
 * Prints one line a kernel, `kernel GROUP NAME NANOSECONDS`, the fastest of the
 * repetitions, and ends with `kernels done`; exit status 1 when a result is wrong.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/kernels.h"

const char *kernels_program;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool wanted(const char *name, char **names, int count)
{
    for (int i = 0; i < count; i++)
        if (!strncmp(names[i], name, strlen(names[i])))
            return true;
    return count == 0;
}

static bool run_group(const char *group, const struct kernel *k, int repetitions, char **names, int count)
{
    bool right = true;
    for (; k->name; k++) {
        uint64_t best = UINT64_MAX;
        if (!wanted(k->name, names, count))
            continue;
        for (int i = 0; i < repetitions; i++) {
            uint64_t start = now_ns();
            uint32_t sum = k->run();
            uint64_t took = now_ns() - start;
            if (took < best)
                best = took;
            if (sum != k->expected) {
                printf("kernel %s %s WRONG 0x%08x\n", group, k->name, sum);
                right = false;
                break;
            }
        }
        printf("kernel %s %s %llu\n", group, k->name, (unsigned long long)best);
        fflush(stdout);
    }
    return right;
}

int main(int argc, char **argv)
{
    const char *which = argc > 1 ? argv[1] : "all";
    int repetitions = argc > 2 ? atoi(argv[2]) : 3;
    bool right = true;

    kernels_program = argv[0];
    if (!strcmp(which, "exit"))
        return 0;
    char **names = argc > 3 ? argv + 3 : NULL;
    int count = argc > 3 ? argc - 3 : 0;
    if (strcmp(which, "os")) {
        right &= run_group("compute", compute_kernels, repetitions, names, count);
        right &= run_group("compute", algorithm_kernels, repetitions, names, count);
    }
    if (strcmp(which, "compute"))
        right &= run_group("os", os_kernels, repetitions, names, count);
    puts("kernels done");
    return right ? 0 : 1;
}
