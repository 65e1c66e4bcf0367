/* SPDX-License-Identifier: BSD-2-Clause
 * The guest's control socket: commands, malformed ones, floods.
 */
#include "guest/control.h"
#include "tests/unit/unit.h"

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

static unsigned link_nic;
static bool link_up;
static void (*traced_line)(void *client, const char *text);
static void *traced_client;

static const char *on_link(void *opaque, unsigned nic, bool up)
{
    (void)opaque;
    if (nic > 1)
        return "there is no such card";
    link_nic = nic;
    link_up = up;
    return NULL;
}

static const char *on_trace(void *opaque, unsigned nic, bool strict, void (*line)(void *client, const char *text), void *client)
{
    (void)opaque;
    (void)strict;
    if (nic > 1)
        return "there is no such card";
    traced_line = line;
    traced_client = client;
    return NULL;
}

static uint8_t card[1000]; /* the state of card 0 */

static const char *on_save(void *opaque, unsigned nic, uint8_t *image, size_t *size)
{
    (void)opaque;
    if (nic || *size < sizeof card)
        return "there is no such card";
    memcpy(image, card, sizeof card);
    *size = sizeof card;
    return NULL;
}

static const char *on_restore(void *opaque, unsigned nic, const uint8_t *image, size_t size)
{
    (void)opaque;
    if (nic || size != sizeof card)
        return "this is not a state";
    memcpy(card, image, size);
    return NULL;
}

static const struct control_calls calls = { NULL, on_stats, on_link, on_trace, on_save, on_restore };

static void setup(void)
{
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "test-control-%d", (int)getpid());
    CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    listen(listener, 16);
    control = control_new(listener, &calls);
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
    expect(fd, "{\"error\":\"unknown command: stats, stop, kill, link, trace, save, restore\"}\n");
    CU_ASSERT_EQUAL(say(fd, "\n"), CONTROL_NOTHING);
    expect(fd, "{\"error\":\"unknown command: stats, stop, kill, link, trace, save, restore\"}\n");
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

static void test_link(void)
{
    int fd;

    setup();
    fd = attach();
    say(fd, "link 1 down\n");
    expect(fd, "{\"ok\":true}\n");
    CU_ASSERT_TRUE(link_nic == 1 && !link_up);
    say(fd, "link 0 up\n");
    expect(fd, "{\"ok\":true}\n");
    CU_ASSERT_TRUE(link_nic == 0 && link_up);
    say(fd, "link 7 up\n");
    expect(fd, "{\"error\":\"there is no such card\"}\n");
    say(fd, "link\nlink 0\nlink 0 off\nlink 0 up now\nlink up 0\n");
    for (unsigned i = 0; i < 5; i++) {
        char text[100];
        const char *wrong = "{\"error\":\"link NIC up or link NIC down is meant\"}\n";
        CU_ASSERT_EQUAL(read(fd, text, strlen(wrong)), (ssize_t)strlen(wrong));
        CU_ASSERT_EQUAL(memcmp(text, wrong, strlen(wrong)), 0);
    }
    close(fd);
    control_free(control);
}

/* A state goes out in lines, and the same lines bring it back. */
static void test_state(void)
{
    static char text[4096], again[4200];
    char *answer;
    ssize_t size;
    int fd;

    setup();
    fd = attach();
    for (size_t i = 0; i < sizeof card; i++)
        card[i] = (uint8_t)(i * 7);
    say(fd, "save 0\n");
    size = read(fd, text, sizeof text - 1);
    CU_ASSERT_TRUE_FATAL(size > 2000);
    answer = strstr(text, "{\"ok\":true}\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
    *answer = 0;
    CU_ASSERT_EQUAL(memcmp(text, "00070e15", 8), 0);
    memset(card, 0xff, sizeof card);
    snprintf(again, sizeof again, "restore 0\n%send\n", text);
    say(fd, again);
    expect(fd, "{\"ok\":true}\n");
    CU_ASSERT_TRUE(card[1] == 7 && card[999] == (uint8_t)(999 * 7));
    say(fd, "save 3\n");
    expect(fd, "{\"error\":\"there is no such card\"}\n");
    say(fd, "save\nsave 0 now\n");
    expect(fd, "{\"error\":\"save NIC is meant, while nothing else is on its way\"}\n"
               "{\"error\":\"save NIC is meant, while nothing else is on its way\"}\n");
    close(fd);
    control_free(control);
}

/* Everything that is no state leaves the card alone. */
static void test_bad_state(void)
{
    static char line[202];
    int fd;

    setup();
    fd = attach();
    memset(card, 0x5a, sizeof card);
    say(fd, "restore\n");
    expect(fd, "{\"error\":\"restore NIC is meant, then the state in hexadecimal lines, then end\"}\n");
    say(fd, "restore 0\nend\nrestore 0\n00\nend\n");
    expect(fd, "{\"error\":\"this is not a state\"}\n{\"error\":\"this is not a state\"}\n");
    say(fd, "restore 0\n0g\nstop\nend\n"); /* a line of it, not a command */
    expect(fd, "{\"error\":\"that is no card's state in hexadecimal\"}\n");
    say(fd, "restore 0\n012\nend\n");
    expect(fd, "{\"error\":\"that is no card's state in hexadecimal\"}\n");
    say(fd, "restore 0\n");
    memset(line, '0', 200);
    line[200] = '\n';
    for (unsigned i = 0; i < 1001; i++) /* 100,100 bytes */
        say(fd, line);
    say(fd, "end\n");
    expect(fd, "{\"error\":\"that is no card's state in hexadecimal\"}\n");
    CU_ASSERT_TRUE(card[0] == 0x5a && card[999] == 0x5a);
    say(fd, "restore 0\n0011\n"); /* and gone */
    close(fd);
    control_service(control);
    CU_ASSERT_TRUE(card[0] == 0x5a);
    control_free(control);
}

/* vswitchd tells all links at once and does not wait for the answers. */
static void test_client_that_leaves(void)
{
    struct pollfd fds[CONTROL_FDS];
    int fd;

    setup();
    fd = attach();
    control_service(control);
    CU_ASSERT_EQUAL(write(fd, "link 0 up\nlink 1 down\n", 22), 22);
    close(fd);
    link_nic = 9;
    control_service(control);
    CU_ASSERT_TRUE(link_nic == 1 && !link_up);
    control_service(control);
    CU_ASSERT_EQUAL(control_poll(control, fds), 1);
    control_free(control);
}

static void test_trace(void)
{
    struct pollfd fds[CONTROL_FDS];
    int fd, other;

    setup();
    fd = attach();
    other = attach();
    say(fd, "trace 0 strict\n");
    expect(fd, "{\"ok\":true}\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(traced_line);
    traced_line(traced_client, "   0.000000001 write CTRL = 0");
    control_poll(control, fds);
    CU_ASSERT_TRUE(fds[1].events & POLLOUT);
    control_service(control);
    control_poll(control, fds);
    CU_ASSERT_FALSE(fds[1].events & POLLOUT);
    expect(fd, "   0.000000001 write CTRL = 0\n");
    say(other, "trace 0\n");
    expect(other, "{\"error\":\"this card is being traced already\"}\n");
    say(other, "trace 5\n");
    expect(other, "{\"error\":\"there is no such card\"}\n");
    say(other, "trace 1 lenient\n");
    expect(other, "{\"error\":\"trace NIC [strict] [rules] is meant, once a connection\"}\n");
    close(fd);
    control_service(control);
    CU_ASSERT_PTR_NULL(traced_line); /* the trace ends with its reader */
    say(other, "trace 0 strict rules\n");
    expect(other, "{\"ok\":true}\n");
    traced_line(traced_client, "   0.000000001 write CTRL = 0");
    traced_line(traced_client, "   0.000000002 RULE  13.4.1: no");
    control_service(control);
    expect(other, "   0.000000002 RULE  13.4.1: no\n");
    close(other);
    control_free(control);
    CU_ASSERT_PTR_NULL(traced_line);
}

/* A reader that does not read holds up nobody, and is told what it has missed. */
static void test_slow_reader(void)
{
    static char got[8 << 20];
    size_t used = 0, lines = 0;
    unsigned long lost = 0;
    char *note;
    int fd;

    setup();
    fd = attach();
    say(fd, "trace 0\n");
    for (unsigned i = 0; i < 40000; i++)
        traced_line(traced_client, "   0.000000001 write TDT    = 00000001 TAIL=1");
    for (unsigned round = 0; round < 1000; round++) {
        ssize_t n = read(fd, got + used, sizeof got - 1 - used);
        control_service(control);
        used += n > 0 ? (size_t)n : 0;
    }
    traced_line(traced_client, "the last one");
    control_service(control);
    used += (size_t)read(fd, got + used, sizeof got - 1 - used);
    got[used] = 0;
    note = strstr(got, "... ");
    CU_ASSERT_PTR_NOT_NULL_FATAL(note);
    CU_ASSERT_EQUAL(sscanf(note, "... %lu lines lost", &lost), 1);
    for (const char *p = got; (p = strstr(p, "TAIL=1\n")); p++)
        lines++;
    CU_ASSERT_EQUAL(lines + lost, 40000);
    CU_ASSERT_PTR_NOT_NULL(strstr(note, "the last one\n"));
    close(fd);
    control_free(control);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "commands", test_commands },
        { "bad clients", test_bad_clients },
        { "link", test_link },
        { "client that leaves", test_client_that_leaves },
        { "trace", test_trace },
        { "state", test_state },
        { "bad state", test_bad_state },
        { "slow reader", test_slow_reader },
        CU_TEST_INFO_NULL,
    };

    signal(SIGPIPE, SIG_IGN);
    return unit_run("guest control", tests);
}
