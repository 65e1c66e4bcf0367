/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The run directory: see run_dir.h.
 */
#include "guest/run_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 16, NAME_SIZE = 64 };

struct run_dir {
    int fd, pid_fd;
    char file[FILES_MAX][NAME_SIZE];
    unsigned count;
};

void run_dir_owns(struct run_dir *dir, const char *name)
{
    if (dir->count < FILES_MAX)
        snprintf(dir->file[dir->count++], NAME_SIZE, "%s", name);
}

static bool write_pid(struct run_dir *dir, char *error, size_t error_size)
{
    char text[16];
    int length = snprintf(text, sizeof text, "%d\n", (int)getpid());

    dir->pid_fd = openat(dir->fd, "pid", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (dir->pid_fd < 0) {
        snprintf(error, error_size, "cannot create the pid file: %s", strerror(errno));
        return false;
    }
    if (flock(dir->pid_fd, LOCK_EX | LOCK_NB)) {
        snprintf(error, error_size, "this guest is running already (its pid file is locked)");
        return false;
    }
    if (ftruncate(dir->pid_fd, 0) || write(dir->pid_fd, text, (size_t)length) != length) {
        snprintf(error, error_size, "cannot write the pid file: %s", strerror(errno));
        return false;
    }
    run_dir_owns(dir, "pid");
    return true;
}

struct run_dir *run_dir_open(const char *path, char *error, size_t error_size)
{
    struct run_dir *dir = calloc(1, sizeof *dir);

    if (!dir)
        return NULL;
    dir->pid_fd = -1;
    if (mkdir(path, 0755) && errno != EEXIST)
        snprintf(error, error_size, "cannot create %s: %s", path, strerror(errno));
    dir->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir->fd < 0)
        snprintf(error, error_size, "cannot open %s: %s", path, strerror(errno));
    else if (fchdir(dir->fd))
        snprintf(error, error_size, "cannot enter %s: %s", path, strerror(errno));
    else if (write_pid(dir, error, error_size))
        return dir;
    run_dir_close(dir);
    return NULL;
}

mode_t run_dir_socket_mode(const struct run_dir *dir)
{
    struct stat status;

    return fstat(dir->fd, &status) == 0 && status.st_mode & S_ISGID ? 0660 : 0600;
}

void run_dir_close(struct run_dir *dir)
{
    if (!dir)
        return;
    for (unsigned i = dir->count; i-- > 0;)
        unlinkat(dir->fd, dir->file[i], 0);
    if (dir->pid_fd >= 0)
        close(dir->pid_fd);
    if (dir->fd >= 0)
        close(dir->fd);
    free(dir);
}
