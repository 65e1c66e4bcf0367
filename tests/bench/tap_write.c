/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a small frame written to a tap costs, by the ways there are to write it and
 * the settings that a tap or a ring can have: ns a frame, each variant in a process
 * of its own behind the daemon's system-call filter, in turns; medians and spreads.
 * The frames are what pktgen sends, for somebody else's address: the stack behind
 * the tap looks at them and drops them, which is part of the write. In a network
 * namespace of its own; needs root and a machine with nothing else to do.
 *
 *   tap_write [-s BYTES] [-r ROUNDS] [-n FRAMES] [WAY]      only ways that begin so
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <liburing.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vswitchd/os/sandbox.h"

enum { FRAMES = 64, STRIDE = 2048, ROUNDS_MAX = 99 };
enum way { WRITE, WRITEV, RING };
enum setting {
    OPEN = 1,           /* no system-call filter */
    NAPI = 2,           /* of the tap: IFF_NAPI, */
    NO_HEADER = 4,      /* no IFF_VNET_HDR, */
    BOUND = 8,          /* TUNSETSNDBUF, */
    BLOCKING = 16,      /* no O_NONBLOCK */
    FILE_KNOWN = 32,    /* of the ring: the descriptor is registered, */
    BUFFERS_KNOWN = 64, /* the memory, too, */
    DEFER = 128,        /* IORING_SETUP_SINGLE_ISSUER and DEFER_TASKRUN, */
    QUIET = 256,        /* a completion for the last one alone, */
    LINKED = 512,       /* each begins when the one before has succeeded */
    NULL_DEVICE = 1024, /* /dev/null instead of a tap */
};

static const struct variant {
    const char *name;
    enum way way;
    unsigned settings;
    unsigned batch;
} variants[] = {
    { "write", WRITE, 0, 1 },
    { "write, no system-call filter", WRITE, OPEN, 1 },
    { "write, blocking descriptor", WRITE, BLOCKING, 1 },
    { "write, TUNSETSNDBUF", WRITE, BOUND, 1 },
    { "write, no vnet header", WRITE, NO_HEADER, 1 },
    { "write, IFF_NAPI", WRITE, NAPI, 1 },
    { "writev", WRITEV, 0, 1 },
    { "ring of 1", RING, 0, 1 },
    { "ring of 2", RING, 0, 2 },
    { "ring of 3", RING, 0, 3 },
    { "ring of 4", RING, 0, 4 },
    { "ring of 8", RING, 0, 8 },
    { "ring of 16", RING, 0, 16 },
    { "ring of 32", RING, 0, 32 },
    { "ring of 64", RING, 0, 64 },
    { "ring of 64, registered file", RING, FILE_KNOWN, 64 },
    { "ring of 64, and WRITE_FIXED", RING, FILE_KNOWN | BUFFERS_KNOWN, 64 },
    { "ring of 64, DEFER_TASKRUN", RING, DEFER, 64 },
    { "ring of 64, one completion", RING, QUIET, 64 },
    { "ring of 64, linked", RING, LINKED, 64 },
    { "ring of 64, IFF_NAPI", RING, NAPI, 64 },
    { "/dev/null, write", WRITE, NULL_DEVICE, 1 },
    { "/dev/null, ring of 64", RING, NULL_DEVICE, 64 },
};
enum { VARIANTS = sizeof variants / sizeof *variants };

static unsigned frame_size = 60, rounds = 5, count = 50000;

static void die(const char *what)
{
    fprintf(stderr, "tap_write: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int open_tap(unsigned settings)
{
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = 1 << 30;
    int fd = open("/dev/net/tun", O_RDWR | (settings & BLOCKING ? 0 : O_NONBLOCK) | O_CLOEXEC);
    /* A name of its own: a ring that has registered it keeps the last one's tap for a while. */
    snprintf(request.ifr_name, sizeof request.ifr_name, "tw%d", (int)getpid());
    request.ifr_flags |= (short)((settings & NO_HEADER ? 0 : IFF_VNET_HDR) | (settings & NAPI ? IFF_NAPI : 0));
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
        die("cannot make a tap");
    if (settings & BOUND && ioctl(fd, TUNSETSNDBUF, &size) < 0)
        die("TUNSETSNDBUF");
    if (!(settings & NO_HEADER))
        ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN);
    request.ifr_flags = IFF_UP;
    if (ioctl(control, SIOCSIFFLAGS, &request) < 0)
        die("cannot bring up a tap");
    close(control);
    return fd;
}

static void fill(uint8_t *frame)
{
    static const uint8_t bytes[] = { 2, 0xcc, 0, 0, 0, 9, 2, 0xbb, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 32, 17,
                                     0x86, 0xb1, 10, 2, 0, 2, 10, 2, 0, 9, 0, 9, 0, 9, 0, 26, 0, 0 };
    memcpy(frame, bytes, sizeof bytes);
}

static void start_ring(struct io_uring *ring, unsigned settings, int fd, struct iovec *memory)
{
    unsigned flags = settings & DEFER ? IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN : 0;
    int error = io_uring_queue_init(FRAMES, ring, flags);
    if (!error && settings & FILE_KNOWN)
        error = io_uring_register_files(ring, &fd, 1);
    if (!error && settings & BUFFERS_KNOWN)
        error = io_uring_register_buffers(ring, memory, 1);
    if (error) {
        errno = -error;
        die("io_uring");
    }
}

static void send_batch(struct io_uring *ring, const struct variant *v, int fd, uint8_t *memory, size_t size)
{
    unsigned wanted = v->settings & QUIET ? 1 : v->batch, head, seen = 0;
    struct io_uring_cqe *cqe;
    for (unsigned i = 0; i < v->batch; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
        int file = v->settings & FILE_KNOWN ? 0 : fd;
        if (v->settings & BUFFERS_KNOWN)
            io_uring_prep_write_fixed(sqe, file, memory + i * STRIDE, (unsigned)size, 0, 0);
        else
            io_uring_prep_write(sqe, file, memory + i * STRIDE, (unsigned)size, 0);
        sqe->rw_flags = RWF_NOWAIT;
        if (v->settings & FILE_KNOWN)
            sqe->flags |= IOSQE_FIXED_FILE;
        if (v->settings & LINKED && i + 1 < v->batch)
            sqe->flags |= IOSQE_IO_LINK;
        if (v->settings & QUIET && i + 1 < v->batch)
            sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    }
    if ((v->settings & DEFER ? io_uring_submit_and_wait(ring, wanted) : io_uring_submit(ring)) < 0)
        die("submit");
    io_uring_for_each_cqe(ring, head, cqe) {
        if (cqe->res != (int)size) {
            errno = -cqe->res;
            die("a frame");
        }
        seen++;
    }
    io_uring_cq_advance(ring, seen);
    if (seen != wanted)
        die("completions are missing");
}

static void send_one(const struct variant *v, int fd, uint8_t *frame, size_t header, size_t size)
{
    struct iovec parts[2] = { { frame, header }, { frame + header, size - header } };
    if ((v->way == WRITE ? write(fd, frame, size) : writev(fd, parts, 2)) != (ssize_t)size)
        die("a frame");
}

/* ns a frame, after a tenth of them that are not counted */
static double run(const struct variant *v)
{
    static uint8_t memory[FRAMES * STRIDE];
    struct iovec all = { memory, sizeof memory };
    size_t header = v->settings & NO_HEADER ? 0 : sizeof(struct virtio_net_hdr), size = frame_size + header;
    int fd = v->settings & NULL_DEVICE ? open("/dev/null", O_WRONLY | O_CLOEXEC) : open_tap(v->settings);
    uint64_t began = 0;
    struct io_uring ring;
    char error[200];
    for (unsigned i = 0; i < FRAMES; i++)
        fill(memory + i * STRIDE + header);
    if (v->way == RING)
        start_ring(&ring, v->settings, fd, &all);
    if (!(v->settings & OPEN) && sandbox_filter_syscalls(error, sizeof error) != 0)
        die(error);
    for (unsigned i = 0; i < count + count / 10; i += v->batch) {
        if (!began && i >= count / 10)
            began = now_ns();
        if (v->way == RING)
            send_batch(&ring, v, fd, memory, size);
        else
            send_one(v, fd, memory + i % FRAMES * STRIDE, header, size);
    }
    return (double)(now_ns() - began) / count;
}

static double run_in_child(const struct variant *v)
{
    double result = 0;
    int ends[2];
    if (pipe(ends) < 0)
        die("pipe");
    pid_t pid = fork();
    if (pid == 0) {
        result = run(v);
        _exit(write(ends[1], &result, sizeof result) < 0);
    }
    close(ends[1]);
    if (read(ends[0], &result, sizeof result) != sizeof result)
        result = 0;
    close(ends[0]);
    waitpid(pid, NULL, 0);
    return result;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    static double values[VARIANTS][ROUNDS_MAX];
    cpu_set_t second;
    int option;
    while ((option = getopt(argc, argv, "s:r:n:")) != -1) {
        unsigned *number = option == 's' ? &frame_size : option == 'r' ? &rounds : option == 'n' ? &count : NULL;
        if (!number)
            return 2;
        *number = (unsigned)atoi(optarg);
    }
    const char *only = optind < argc ? argv[optind] : "";
    if (rounds == 0 || rounds > ROUNDS_MAX || count < 1000 || frame_size < 42 || frame_size > STRIDE - 16) {
        fprintf(stderr, "usage: tap_write [-s BYTES] [-r ROUNDS] [-n FRAMES] [WAY]\n");
        return 2;
    }
    if (unshare(CLONE_NEWNET) < 0)
        die("cannot make a network namespace: run as root");
    CPU_ZERO(&second);
    CPU_SET(1, &second);
    sched_setaffinity(0, sizeof second, &second);
    for (unsigned r = 0; r < rounds; r++)
        for (unsigned i = 0; i < VARIANTS; i++)
            if (strncmp(variants[i].name, only, strlen(only)) == 0)
                values[i][r] = run_in_child(&variants[i]);
    for (unsigned i = 0; i < VARIANTS; i++) {
        qsort(values[i], rounds, sizeof values[i][0], compare);
        if (values[i][rounds - 1] > 0)
            printf("%-30s %6.0f ns a frame  (%.0f to %.0f)\n", variants[i].name, values[i][rounds / 2], values[i][0],
                   values[i][rounds - 1]);
    }
    return 0;
}
