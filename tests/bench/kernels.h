/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The measured programs of `make bench`: each kernel does a fixed amount of work
 * and returns a checksum of its result. kernels.c times them; kernels_compute.c,
 * kernels_algorithms.c (both computing) and kernels_os.c hold them. */
#ifndef TESTS_BENCH_KERNELS_H
#define TESTS_BENCH_KERNELS_H

#include <stdint.h>

struct kernel {
    const char *name;
    uint32_t (*run)(void);
    uint32_t expected; /* checksum, so that a fast wrong answer does not count */
};

extern const struct kernel compute_kernels[]; /* ends with a NULL name */
extern const struct kernel algorithm_kernels[];
extern const struct kernel os_kernels[];

/* The program's own path, for the kernel that executes it again. */
extern const char *kernels_program;

#endif
