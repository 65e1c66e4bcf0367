/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A kernel for vswitchd/os/write_batch.h: answers what the test says, and keeps
 * what was written. Linked in the place of write_batch.c.
 */
#ifndef TESTS_FAKE_FAKE_WRITE_BATCH_H
#define TESTS_FAKE_FAKE_WRITE_BATCH_H

#include <stdbool.h>

#include "vswitchd/os/write_batch.h"

struct fake_write_batch {
    int errors[WRITE_BATCH_MAX]; /* of the next run's items: 0, or the errno that each meets */
    unsigned runs;
    unsigned count;              /* of the last run's items */
    int fd;
    unsigned known; /* files entered and not yet forgotten */
    bool broken;    /* write_batch_works() answers false */
    uint32_t used;  /* bytes taken */
    unsigned pieces; /* taken and not given back */
    uint32_t sizes[WRITE_BATCH_MAX];
    uint8_t data[WRITE_BATCH_MAX][4096];
};

extern struct fake_write_batch fake_write_batch;

#endif
