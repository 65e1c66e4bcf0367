/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of os/listener: who connects while there is no descriptor for him does not
 * keep the loop busy, and is let in when there is one again; who is not admitted.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vswitchd/os/listener.h"

#define MILLISECOND UINT64_C(1000000)

static struct event_loop *loop;
static struct listener *listener;
static struct sockaddr_un address;
static socklen_t address_size;
static unsigned came, asked;
static int last = -1, spare = -1;
static bool welcome, end_in_call, over;

static void on_accepted(void *context, int fd)
{
    (void)context;
    came++;
    last = fd;
    if (end_in_call) {
        listener_destroy(listener);
        listener = NULL;
    }
}

static bool on_admit(void *context)
{
    (void)context;
    return welcome;
}

static bool on_make_room(void *context)
{
    (void)context;
    asked++;
    if (spare < 0)
        return false;
    close(spare);
    spare = -1;
    return true;
}

static int setup(void)
{
    const struct listener_events events = { .name = "test", .accepted = on_accepted, .admit = on_admit,
                                            .make_room = on_make_room };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    address = (struct sockaddr_un){ .sun_family = AF_UNIX }; /* abstract, a name that the kernel chooses */
    address_size = sizeof(address);
    loop = event_loop_create();
    if (!loop || fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) || listen(fd, 4) ||
        getsockname(fd, (struct sockaddr *)&address, &address_size))
        return 1;
    listener = listener_create(loop, fd, &events);
    return listener ? 0 : 1;
}

static int teardown(void)
{
    listener_destroy(listener);
    event_loop_destroy(loop);
    return 0;
}

static int knock(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&address, address_size), 0);
    return fd;
}

static void set_over(void *context)
{
    (void)context;
    over = true;
}

/* Rounds of the loop until a while is over. */
static unsigned rounds_of(uint64_t time)
{
    struct event_timer *timer = event_timer_create(loop, set_over, NULL);
    unsigned rounds = 0;
    over = false;
    event_timer_set(timer, event_loop_now(loop) + time);
    for (; !over && rounds < 100000; rounds++)
        event_loop_once(loop, true);
    event_timer_destroy(timer);
    return rounds;
}

/* From now on no descriptor is free. */
static rlim_t take_all(void)
{
    struct rlimit limit;
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t before = limit.rlim_cur;
    close(next); /* the lowest one that is free */
    limit.rlim_cur = (rlim_t)next;
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static void give_back(rlim_t before)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = before;
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void test_no_descriptor(void)
{
    int client = knock();
    rlim_t before = take_all();
    uint64_t began = event_loop_now(loop);
    came = asked = 0;
    welcome = true;
    /* A timer of libevent's is coarse, so a few rounds may bring nothing; a busy loop makes many thousands. */
    CU_ASSERT(rounds_of(40 * MILLISECOND) < 30);
    CU_ASSERT_EQUAL(came, 0);
    CU_ASSERT(asked >= 1 && asked <= 1 + (event_loop_now(loop) - began) / (90 * MILLISECOND)); /* ten times a second, where this took longer */
    give_back(before);
    for (unsigned i = 0; i < 1000 && !came; i++)
        rounds_of(20 * MILLISECOND);
    CU_ASSERT_EQUAL(came, 1);
    CU_ASSERT(fcntl(last, F_GETFL) & O_NONBLOCK);
    CU_ASSERT(fcntl(last, F_GETFD) & FD_CLOEXEC);
    close(last);
    close(client);
}

static void test_room_is_made(void)
{
    int client = knock();
    spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    rlim_t before = take_all();
    came = asked = 0;
    /* With the spare one given back there is one below the limit. */
    rounds_of(5 * MILLISECOND);
    CU_ASSERT_EQUAL(came, 1);
    CU_ASSERT_EQUAL(asked, 1);
    give_back(before);
    close(last);
    close(client);
}

static void test_not_admitted(void)
{
    int client = knock();
    came = 0;
    welcome = false;
    CU_ASSERT(rounds_of(40 * MILLISECOND) < 30);
    CU_ASSERT_EQUAL(came, 0);
    welcome = true;
    rounds_of(5 * MILLISECOND);
    CU_ASSERT_EQUAL(came, 0); /* it waits to be resumed */
    listener_resume(listener);
    rounds_of(5 * MILLISECOND);
    CU_ASSERT_EQUAL(came, 1);
    close(last);
    close(client);
}

static void test_destroyed_in_its_call(void)
{
    int client = knock();
    came = 0;
    end_in_call = true;
    rounds_of(5 * MILLISECOND);
    CU_ASSERT_EQUAL(came, 1);
    CU_ASSERT_PTR_NULL(listener);
    close(last);
    close(client);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "no descriptor is free: no busy loop, let in later", test_no_descriptor },
        { "room is made for who connects", test_room_is_made },
        { "who is not admitted waits", test_not_admitted },
        { "destroyed inside its own call", test_destroyed_in_its_call },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("listener", tests, setup, teardown);
}
