/* SPDX-License-Identifier: BSD-2-Clause
 * The guest's control socket: commands, malformed ones, floods.
 */
#include "guest/control.h"

#include <CUnit/Basic.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct control *control;
static struct sockaddr_un address = { .sun_family = AF_UNIX };

static size_t on_stats(void *opaque, char *out, size_t size)
{
    (void)opaque;
    return (size_t)snprintf(out, size, "{\"n\":1}");
}

static void setup(void)
{
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "test-control-%d", (int)getpid());
    CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    listen(listener, 16);
    control = control_new(listener, on_stats, NULL);
}

static int attach(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    CU_ASSERT_EQUAL(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static enum control_request say(int fd, const char *text)
{
    CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return control_service(control);
}

static void expect(int fd, const char *text)
{
    char got[4096] = "";
    ssize_t size = read(fd, got, sizeof got - 1);

    got[size > 0 ? size : 0] = 0;
    CU_ASSERT_STRING_EQUAL(got, text);
}

static void test_commands(void)
{
    int fd;

    setup();
    fd = attach();
    CU_ASSERT_EQUAL(say(fd, "sta"), CONTROL_NOTHING);
    expect(fd, "");
    CU_ASSERT_EQUAL(say(fd, "ts\r\nstats\n"), CONTROL_NOTHING);
    expect(fd, "{\"n\":1}\n{\"n\":1}\n");
    CU_ASSERT_EQUAL(say(fd, "dance\n"), CONTROL_NOTHING);
    expect(fd, "{\"error\":\"unknown command: stats, stop, kill\"}\n");
    CU_ASSERT_EQUAL(say(fd, "\n"), CONTROL_NOTHING);
    expect(fd, "{\"error\":\"unknown command: stats, stop, kill\"}\n");
    CU_ASSERT_EQUAL(say(fd, "stop\n"), CONTROL_STOP);
    expect(fd, "{\"ok\":true}\n");
    CU_ASSERT_EQUAL(say(fd, "kill\n"), CONTROL_KILL);
    close(fd);
    control_free(control);
}

static void test_bad_clients(void)
{
    struct pollfd fds[CONTROL_FDS];
    char flood[300], byte;
    int fd[CONTROL_CLIENTS + 2];

    setup();
    memset(flood, 'x', sizeof flood);
    flood[sizeof flood - 1] = 0;
    fd[0] = attach();
    control_service(control);
    say(fd[0], flood); /* a line without end */
    CU_ASSERT_EQUAL(control_poll(control, fds), 1); /* dropped */
    close(fd[0]);
    for (unsigned i = 0; i < CONTROL_CLIENTS + 2; i++)
        fd[i] = attach();
    control_service(control);
    CU_ASSERT_EQUAL(control_poll(control, fds), CONTROL_CLIENTS + 1);
    CU_ASSERT_EQUAL(read(fd[CONTROL_CLIENTS + 1], &byte, 1), 0);
    for (unsigned i = 0; i < CONTROL_CLIENTS + 2; i++)
        close(fd[i]);
    control_service(control);
    CU_ASSERT_EQUAL(control_poll(control, fds), 1);
    control_free(control);
}

int main(void)
{
    CU_pSuite suite;
    unsigned failures;

    signal(SIGPIPE, SIG_IGN);
    CU_initialize_registry();
    suite = CU_add_suite("guest control", NULL, NULL);
    CU_ADD_TEST(suite, test_commands);
    CU_ADD_TEST(suite, test_bad_clients);
    CU_basic_run_tests();
    failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
