/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a frame from tap to tap costs a switch, beside a bare read+write relay
 * measured in the same run: CPU time of the forwarding process (schedstat) for
 * each frame that arrives. In a network namespace of its own; needs root.
 *
 *   generator (AF_PACKET, CPU 0) → tap ba → switch or relay (CPU 1) → tap bb
 *
 * The frames end in the stack behind bb, which knows no such type and drops
 * them; that work is part of the write for both. Rounds alternate; medians.
 *
 *   tap_bench [-s BYTES] [-r ROUNDS] [-t MILLISECONDS] [-v] SWITCH [ARGUMENTS]
 *     SWITCH must make the taps ba and bb, e.g. build/tests/tap_switch ba bb, or
 *     build/vswitchd with a configuration that names them
 *     -v  the relay uses IFF_VNET_HDR, too
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH 32
#define ROUNDS_MAX 99
#define TAP_A "ba"
#define TAP_B "bb"

static unsigned frame_size = 60;
static unsigned rounds = 5;
static unsigned milliseconds = 500;
static bool relay_vnet;

static void die(const char *what)
{
    fprintf(stderr, "tap_bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void pin(unsigned cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof(set), &set);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void pause_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L}, NULL);
}

/* ---- the relay ---- */

static int open_tap(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (relay_vnet)
        request.ifr_flags |= IFF_VNET_HDR;
    strcpy(request.ifr_name, name);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
        die("cannot make a tap");
    if (relay_vnet)
        ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memset(&request, 0, sizeof(request));
    strcpy(request.ifr_name, name);
    request.ifr_flags = IFF_UP;
    if (ioctl(control, SIOCSIFFLAGS, &request) < 0)
        die("cannot bring up a tap");
    close(control);
    return fd;
}

static void relay(void)
{
    static uint8_t buffer[70000];
    int fds[2] = {open_tap(TAP_A), open_tap(TAP_B)};
    int set = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < 2; i++)
        epoll_ctl(set, EPOLL_CTL_ADD, fds[i], &(struct epoll_event){.events = EPOLLIN, .data.u32 = i});
    for (;;) {
        struct epoll_event events[2];
        int count = epoll_wait(set, events, 2, -1);
        for (int i = 0; i < count; i++) {
            unsigned from = events[i].data.u32;
            ssize_t size;
            while ((size = read(fds[from], buffer, sizeof(buffer))) > 0)
                if (write(fds[!from], buffer, (size_t)size) < 0)
                    continue;
        }
    }
}

/* ---- measuring ---- */

static int open_packet(const char *name)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(name)};
    if (fd < 0 || address.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        die("cannot bind to a tap");
    int one = 1;
    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one));
    return fd;
}

static void fill(uint8_t *frame, uint8_t destination, uint8_t source)
{
    memset(frame, 0, frame_size);
    frame[0] = frame[6] = 2;
    frame[5] = destination;
    frame[11] = source;
    frame[12] = 0x88;
    frame[13] = 0xb5;
}

/* Frames that the stack got from an interface. */
static uint64_t received(const char *name)
{
    char line[512];
    unsigned long long bytes, packets;
    uint64_t result = 0;
    FILE *f = fopen("/proc/net/dev", "r");
    while (f && fgets(line, sizeof(line), f)) {
        char *colon = strchr(line, ':');
        char *start = line + strspn(line, " ");
        if (!colon || (size_t)(colon - start) != strlen(name) || strncmp(start, name, strlen(name)) != 0)
            continue;
        if (sscanf(colon + 1, "%llu %llu", &bytes, &packets) == 2)
            result = packets;
    }
    if (f)
        fclose(f);
    return result;
}

static uint64_t cpu_ns(pid_t pid)
{
    char path[64];
    unsigned long long ns = 0;
    snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f || fscanf(f, "%llu", &ns) != 1)
        die("cannot read schedstat");
    fclose(f);
    return ns;
}

static void flood(int fd, uint64_t until)
{
    static uint8_t frame[65536];
    struct mmsghdr messages[BATCH];
    struct iovec vector = {frame, frame_size};
    memset(messages, 0, sizeof(messages));
    fill(frame, 0xb, 0xa);
    for (unsigned i = 0; i < BATCH; i++)
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &vector, .msg_iovlen = 1};
    while (now_ns() < until)
        for (unsigned i = 0; i < 8; i++)
            sendmmsg(fd, messages, BATCH, 0);
}

struct result {
    double cpu;  /* ns a frame */
    double rate; /* frames a second */
};

/* Whether an interface is there and up; some switches leave the latter to others. */
static bool is_up(int control, const char *name)
{
    struct ifreq request = {0};
    strcpy(request.ifr_name, name);
    if (ioctl(control, SIOCGIFFLAGS, &request) < 0)
        return false;
    if (request.ifr_flags & IFF_UP)
        return request.ifr_flags & IFF_RUNNING;
    request.ifr_flags |= IFF_UP;
    ioctl(control, SIOCSIFFLAGS, &request);
    return false;
}

/* Starts the switch, or the relay, and waits for its taps. */
static pid_t start(char **command)
{
    static int input[2]; /* stays open: vde_switch ends when its console does */
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (!input[1] && pipe2(input, O_CLOEXEC) < 0)
        die("pipe");
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        pin(1);
        dup2(input[0], STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        if (!command)
            relay();
        execvp(command[0], command);
        die(command[0]);
    }
    for (unsigned i = 0; !(is_up(control, TAP_A) && is_up(control, TAP_B)); i++) {
        if (i == 500 || waitpid(pid, NULL, WNOHANG) == pid) {
            kill(pid, SIGKILL);
            die("the switch did not bring up its taps");
        }
        pause_ms(10);
    }
    close(control);
    pause_ms(50);
    return pid;
}

static struct result measure(char **command)
{
    static uint8_t frame[65536];
    pid_t pid = start(command);
    int a = open_packet(TAP_A), b = open_packet(TAP_B);
    fill(frame, 0xa, 0xb);
    if (send(b, frame, frame_size, 0) < 0) /* its address is learned */
        die("cannot send");
    flood(a, now_ns() + 50000000);
    pause_ms(20);
    uint64_t cpu = cpu_ns(pid), count = received(TAP_B), begin = now_ns();
    flood(a, begin + milliseconds * UINT64_C(1000000));
    uint64_t elapsed = now_ns() - begin;
    pause_ms(20); /* what is on its way arrives, and is paid for */
    cpu = cpu_ns(pid) - cpu;
    count = received(TAP_B) - count;
    close(a);
    close(b);
    kill(pid, command ? SIGTERM : SIGKILL);
    waitpid(pid, NULL, 0);
    if (count == 0)
        die("no frame arrived");
    return (struct result){(double)cpu / (double)count, (double)count * 1e9 / (double)elapsed};
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values)
{
    qsort(values, rounds, sizeof(values[0]), compare);
    return values[rounds / 2];
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    if (f) {
        fputs(text, f);
        fclose(f);
    }
}

int main(int argc, char **argv)
{
    double ours[ROUNDS_MAX], bare[ROUNDS_MAX], ours_rate[ROUNDS_MAX], bare_rate[ROUNDS_MAX], ratios[ROUNDS_MAX];
    int option;
    while ((option = getopt(argc, argv, "+s:r:t:v")) != -1) {
        if (option == 's')
            frame_size = (unsigned)atoi(optarg);
        else if (option == 'r')
            rounds = (unsigned)atoi(optarg);
        else if (option == 't')
            milliseconds = (unsigned)atoi(optarg);
        else if (option == 'v')
            relay_vnet = true;
        else
            return 2;
    }
    if (optind >= argc || rounds == 0 || rounds > ROUNDS_MAX || frame_size < 14 || frame_size > 1514) {
        fprintf(stderr, "usage: tap_bench [-s BYTES] [-r ROUNDS] [-t MILLISECONDS] [-v] SWITCH [ARGUMENTS]\n");
        return 2;
    }
    if (unshare(CLONE_NEWNET) < 0)
        die("cannot make a network namespace: run as root");
    write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    signal(SIGCHLD, SIG_DFL);
    pin(0);
    for (unsigned i = 0; i < rounds; i++) {
        struct result r = measure(NULL);
        struct result s = measure(argv + optind);
        bare[i] = r.cpu;
        ours[i] = s.cpu;
        bare_rate[i] = r.rate;
        ours_rate[i] = s.rate;
        ratios[i] = s.cpu / r.cpu;
    }
    double ratio = median(ratios);
    printf("{\"name\": \"tap.frame.cpu\", \"size\": %u, \"unit\": \"ns\", \"better\": \"lower\", \"ours\": %.0f, "
           "\"peer\": \"relay\", \"theirs\": %.0f, \"ratio\": %.3f, \"n\": %u, \"spread\": [%.3f, %.3f], "
           "\"kpps\": %.0f, \"relay_kpps\": %.0f}\n",
           frame_size, median(ours), median(bare), ratio, rounds, ratios[0], ratios[rounds - 1],
           median(ours_rate) / 1e3, median(bare_rate) / 1e3);
    return 0;
}
