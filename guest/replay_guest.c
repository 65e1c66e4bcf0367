/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Replaying in the guest's program: see replay_guest.h. The recording is as
 * hostile as the guest in it, so the door is closed before it is looked at.
 */
#include "guest/replay_guest.h"

#include "guest/run_loop.h"
#include "guest/sandbox.h"
#include "x86vm/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ERROR_SIZE = 300, OUTPUT_SIZE = 4096 };

struct player {
    void (*log)(const char *line);
    struct x86vm *vm;
    struct replay *replay;
    const uint8_t *bytes;
    size_t size;
    size_t used;
    uint8_t output[OUTPUT_SIZE];
    char error[ERROR_SIZE];
};

static bool failed(struct player *p, const char *what)
{
    snprintf(p->error, sizeof p->error, "%.200s: %s", what, strerror(errno));
    return false;
}

static bool open_recording(struct player *p, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st))
        return failed(p, path);
    if (st.st_size == 0) {
        snprintf(p->error, sizeof p->error, "%.200s is empty", path);
        return false;
    }
    p->size = (size_t)st.st_size;
    p->bytes = mmap(NULL, p->size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    return p->bytes != MAP_FAILED || failed(p, path);
}

/* The executable mapping must be there before the door closes, and its size of
 * guest RAM is the recording's: two numbers are read here, and checked. */
static bool make_machine(struct player *p)
{
    struct x86vm_config config = { 0 };

    if (!replay_peek(p->bytes, p->size, &config.ram_size, p->error, sizeof p->error))
        return false;
    p->vm = x86vm_new(&config, p->error, sizeof p->error);
    return p->vm;
}

static bool close_door(struct player *p, bool no_sandbox)
{
    char spaces[128];
    const char *what;

    if (no_sandbox)
        return true;
    sandbox_enter_namespaces(spaces, sizeof spaces);
    errno = sandbox_close_door(&what);
    return errno == 0 || failed(p, what);
}

static void write_output(struct player *p)
{
    size_t done = 0;

    while (done < p->used) {
        ssize_t got = write(STDOUT_FILENO, p->output + done, p->used - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break; /* nobody reads it: the replay goes on */
        done += (size_t)got;
    }
    p->used = 0;
}

static void serial_output(void *opaque, uint8_t byte)
{
    struct player *p = opaque;

    p->output[p->used++] = byte;
    if (byte == '\n' || p->used == OUTPUT_SIZE)
        write_output(p);
}

static void diverged(void *opaque)
{
    struct player *p = opaque;

    x86vm_request_exit(p->vm);
}

static bool load(struct player *p)
{
    const struct replay_watcher watcher = { p, diverged, serial_output };

    p->replay = replay_open(p->bytes, p->size, p->error, sizeof p->error);
    if (!p->replay || !replay_load(p->replay, x86vm_cpu(p->vm), x86vm_phys(p->vm), x86vm_io(p->vm), p->error, sizeof p->error))
        return false;
    replay_watch(p->replay, &watcher);
    x86vm_count(p->vm);
    return true;
}

static int play(struct player *p)
{
    enum replay_result result = replay_run(p->replay, p->vm, UINT64_MAX);
    uint64_t position = x86vm_position(p->vm);
    char line[600];

    write_output(p);
    if (result == REPLAY_DIVERGED)
        snprintf(line, sizeof line, "replay: another way than recorded after %" PRIu64 " steps: %s", position,
                 replay_diverged(p->replay));
    else if (result == REPLAY_CUT)
        snprintf(line, sizeof line, "replay: the recording was cut off after %" PRIu64 " steps; up to there all was the same", position);
    else
        snprintf(line, sizeof line, "replay: the recorded end after %" PRIu64 " steps", position);
    p->log(line);
    x86vm_describe_state(p->vm, line, sizeof line);
    p->log(line);
    return result == REPLAY_DIVERGED ? EXIT_DIVERGED : 0;
}

int replay_guest(const struct options *options, void (*log)(const char *line))
{
    static struct player player;
    struct player *p = &player;

    p->log = log;
    if (open_recording(p, options->replay) && make_machine(p) && close_door(p, options->no_sandbox) && load(p))
        return play(p);
    log(p->error);
    return EXIT_FAILURE_TO_START;
}
