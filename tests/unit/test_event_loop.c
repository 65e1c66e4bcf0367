/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of os/event_loop: descriptors, timers, deferred calls, signals, and
 * objects destroyed from inside their own functions.
 */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vswitchd/os/event_loop.h"

static struct event_loop *loop;
static int ends[2];
static unsigned calls;
static unsigned last_events;
static struct event_watch *watch;
static struct event_timer *timer;
static struct event_call *call;

static int setup(void)
{
    loop = event_loop_create();
    return loop && pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0 ? 0 : 1;
}

static int teardown(void)
{
    close(ends[0]);
    close(ends[1]);
    event_loop_destroy(loop);
    return 0;
}

static void count_events(void *context, unsigned events)
{
    (void)context;
    calls++;
    last_events = events;
}

static void test_watch(void)
{
    char byte;
    calls = 0;
    watch = event_watch_create(loop, ends[0], EVENT_READ, count_events, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(watch);
    event_loop_once(loop, false);
    CU_ASSERT_EQUAL(calls, 0);
    CU_ASSERT_EQUAL(write(ends[1], "x", 1), 1);
    event_loop_once(loop, true);
    event_loop_once(loop, true); /* level-triggered: the byte is still there */
    CU_ASSERT_EQUAL(calls, 2);
    CU_ASSERT_EQUAL(last_events, EVENT_READ);
    CU_ASSERT_EQUAL(event_watch_set(watch, 0), 0);
    event_loop_once(loop, false);
    CU_ASSERT_EQUAL(calls, 2);
    CU_ASSERT_EQUAL(event_watch_set(watch, EVENT_READ), 0);
    event_loop_once(loop, true);
    CU_ASSERT_EQUAL(calls, 3);
    CU_ASSERT_EQUAL(read(ends[0], &byte, 1), 1);
    event_watch_destroy(watch);
    event_watch_destroy(NULL);
}

static void destroy_watch(void *context, unsigned events)
{
    (void)context;
    (void)events;
    calls++;
    event_watch_destroy(watch);
}

static void test_watch_destroys_itself(void)
{
    char byte;
    calls = 0;
    watch = event_watch_create(loop, ends[0], EVENT_READ, destroy_watch, NULL);
    CU_ASSERT_EQUAL(write(ends[1], "x", 1), 1);
    event_loop_once(loop, true);
    event_loop_once(loop, false);
    CU_ASSERT_EQUAL(calls, 1);
    CU_ASSERT_EQUAL(read(ends[0], &byte, 1), 1);
}

static void count_timer(void *context)
{
    calls++;
    if (calls < 3)
        event_timer_set(timer, event_loop_now(context)); /* now: soon, not in this round for ever */
    else
        event_loop_stop(context);
}

static void test_timer(void)
{
    calls = 0;
    timer = event_timer_create(loop, count_timer, loop);
    uint64_t start = event_loop_now(loop);
    event_timer_set(timer, start + 20 * 1000000);
    CU_ASSERT_EQUAL(event_loop_run(loop), 0);
    CU_ASSERT_EQUAL(calls, 3);
    CU_ASSERT_TRUE(event_loop_now(loop) - start >= 20 * 1000000);
    event_timer_set(timer, event_loop_now(loop));
    event_timer_cancel(timer);
    event_loop_once(loop, false);
    CU_ASSERT_EQUAL(calls, 3);
    event_timer_destroy(timer);
}

static void call_again(void *context)
{
    (void)context;
    calls++;
    event_call_schedule(call);
}

static void test_call(void)
{
    calls = 0;
    call = event_call_create(loop, call_again, NULL);
    event_loop_once(loop, false);
    CU_ASSERT_EQUAL(calls, 0);
    event_call_schedule(call);
    event_call_schedule(call);
    event_loop_once(loop, false);
    CU_ASSERT_EQUAL(calls, 1); /* once, and what it scheduled itself comes in the next round */
    event_loop_once(loop, false);
    CU_ASSERT_EQUAL(calls, 2);
    event_call_cancel(call);
    event_loop_once(loop, false);
    CU_ASSERT_EQUAL(calls, 2);
    event_call_destroy(call);
}

static void count_signal(void *context)
{
    calls++;
    event_loop_stop(context);
}

static void test_signal(void)
{
    calls = 0;
    struct event_signal *on_usr1 = event_signal_create(loop, SIGUSR1, count_signal, loop);
    raise(SIGUSR1);
    CU_ASSERT_EQUAL(calls, 0); /* not in the handler, but in the loop */
    event_loop_run(loop);
    CU_ASSERT_EQUAL(calls, 1);
    event_signal_destroy(on_usr1);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "descriptors", test_watch },
        { "a watch destroys itself", test_watch_destroys_itself },
        { "timers", test_timer },
        { "deferred calls", test_call },
        { "signals", test_signal },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("event_loop", tests, setup, teardown);
}
