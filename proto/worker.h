/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A thread that does what may take long, one thing after the other in the order in which
 * they were handed over. It takes no signals, and ends with the process.
 */
#ifndef PROTO_WORKER_H
#define PROTO_WORKER_H

#include <stdbool.h>
#include <stddef.h>

#define WORKER_ITEM_MAX 64u

struct worker {
    const char *name; /* of the thread; NULL: none */
    size_t size;      /* of what is handed over, up to WORKER_ITEM_MAX */
    void (*work)(const void *item);
    int from, to; /* a pipe; not started while both are 0 */
};

/* Before a system-call filter closes. 0 or errno. The worker is there for good. */
int worker_start(struct worker *worker);
bool worker_is_there(const struct worker *worker);
/* A copy of the item. False where there is no thread, or a pipe's worth of them, thousands, is waiting already. */
bool worker_hand_over(const struct worker *worker, const void *item);

#endif
