/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of worker.h: that all is done in order, by another thread without signals, and what happens where it cannot.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

#include "proto/worker.h"
#include "tests/unit/unit.h"

enum { MANY = 100 };

static sem_t done, go_on;
static int seen[MANY];
static unsigned count;
static pthread_t by;
static sigset_t blocked;

static void note(const void *item)
{
    if (count < MANY)
        seen[count++] = *(const int *)item;
    by = pthread_self();
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    sem_post(&done);
}

static void test_in_order(void)
{
    static struct worker worker = { .name = "noting", .size = sizeof(int), .work = note };
    sigset_t mask;

    sem_init(&done, 0, 0);
    CU_ASSERT_FALSE(worker_is_there(&worker));
    CU_ASSERT_FALSE(worker_hand_over(&worker, &(int){ 1 }));
    CU_ASSERT_EQUAL_FATAL(worker_start(&worker), 0);
    CU_ASSERT_TRUE(worker_is_there(&worker));
    for (int i = 0; i < MANY; i++)
        CU_ASSERT_TRUE(worker_hand_over(&worker, &i));
    for (int i = 0; i < MANY; i++)
        sem_wait(&done);
    CU_ASSERT_EQUAL(count, MANY);
    for (int i = 0; i < MANY; i++)
        CU_ASSERT_EQUAL(seen[i], i);
    CU_ASSERT_FALSE(pthread_equal(by, pthread_self()));
    CU_ASSERT_TRUE(sigismember(&blocked, SIGTERM));
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    CU_ASSERT_FALSE(sigismember(&mask, SIGTERM));
}

static void hang(const void *item)
{
    (void)item;
    sem_wait(&go_on);
    count++;
    sem_post(&done);
}

/* Who hands over does not wait: what finds no place is his to do. */
static void test_full(void)
{
    static struct worker worker = { .size = WORKER_ITEM_MAX, .work = hang };
    static struct worker large = { .size = WORKER_ITEM_MAX + 1, .work = hang };
    char item[WORKER_ITEM_MAX] = { 0 };
    unsigned handed = 0;

    CU_ASSERT_EQUAL(worker_start(&large), EINVAL);
    CU_ASSERT_FALSE(worker_is_there(&large));
    sem_init(&go_on, 0, 0);
    sem_init(&done, 0, 0);
    count = 0;
    CU_ASSERT_EQUAL_FATAL(worker_start(&worker), 0);
    alarm(60);
    while (handed < 100000 && worker_hand_over(&worker, item))
        handed++;
    alarm(0);
    CU_ASSERT(handed >= 32 && handed < 100000);
    for (unsigned i = 0; i < handed; i++)
        sem_post(&go_on);
    for (unsigned i = 0; i < handed; i++)
        sem_wait(&done);
    CU_ASSERT_EQUAL(count, handed); /* all that was handed over, whole */
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "in order", test_in_order },
        { "full", test_full },
        CU_TEST_INFO_NULL,
    };

    return unit_run("worker", tests);
}
