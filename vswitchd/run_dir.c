/* SPDX-License-Identifier: BSD-2-Clause
 *
 * run_dir.h. The lock is what makes the directory one daemon's.
 */
#include "vswitchd/run_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "proto/control_proto.h"
#include "vswitchd/config.h"
#include "vswitchd/os/log.h"

bool run_dir_holds(int run_dir_fd, const char *name, int fd)
{
    struct stat ours, there;

    return fstat(fd, &ours) == 0 && fstatat(run_dir_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0
           && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

/* A lock on a file that its former owner has removed meanwhile would be worth nothing. */
static bool lock_is_current(const struct run_dir *dir)
{
    return run_dir_holds(dir->fd, "vswitchd.lock", dir->lock_fd);
}

static int take_lock(struct run_dir *dir)
{
    for (;;) {
        dir->lock_fd = openat(dir->fd, "vswitchd.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (dir->lock_fd < 0) {
            log_error("cannot write in the run directory %s: %s", dir->path, strerror(errno));
            return EX_CANTCREAT;
        }
        if (flock(dir->lock_fd, LOCK_EX | LOCK_NB) != 0) {
            log_error("another vswitchd runs in %s; stop it, or use another --run-dir", dir->path);
            close(dir->lock_fd);
            dir->lock_fd = -1;
            return EX_UNAVAILABLE;
        }
        if (lock_is_current(dir)) {
            return 0;
        }
        close(dir->lock_fd);
    }
}

/* The one that was named, or the usual one with the usual run directory, or one inside of another run directory. */
static void find_state_dir(struct run_dir *dir, const char *named)
{
    char here[2048] = "";

    if (!named && strcmp(dir->path, CONTROL_RUN_DIR) == 0) {
        named = CONTROL_STATE_DIR;
    }
    if (!named) {
        snprintf(dir->state_path, sizeof dir->state_path, "%.4000s/state", dir->path);
    } else if (named[0] == '/' || !getcwd(here, sizeof here)) {
        snprintf(dir->state_path, sizeof dir->state_path, "%s", named);
    } else {
        snprintf(dir->state_path, sizeof dir->state_path, "%s/%.2000s", here, named);
    }
}

int run_dir_open(struct run_dir *dir, const char *named, const char *state_named)
{
    if (mkdir(named, 0755) != 0 && errno != EEXIST) {
        log_error("cannot make the run directory %s: %s%s", named, strerror(errno),
                  errno == EACCES ? "; run as root, or use another --run-dir" : "");
        return EX_CANTCREAT;
    }
    dir->fd = open(named, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir->fd < 0 || !realpath(named, dir->path)) {
        log_error("cannot open the run directory %s: %s", named, strerror(errno));
        return EX_CANTCREAT;
    }
    find_state_dir(dir, state_named);
    return take_lock(dir);
}

bool run_dir_replace(int fd, int by)
{
    bool done = by >= 0 && dup3(by, fd, O_CLOEXEC) == fd;

    if (by >= 0) {
        close(by);
    }
    return done;
}

/* Not where it was: removed, or moved away. */
static bool is_elsewhere(const struct run_dir *dir)
{
    struct stat ours, there;

    return fstat(dir->fd, &ours) != 0 || stat(dir->path, &there) != 0 || ours.st_ino != there.st_ino
           || ours.st_dev != there.st_dev;
}

static bool make_again(struct run_dir *dir)
{
    if ((mkdir(dir->path, 0755) != 0 && errno != EEXIST)
        || !run_dir_replace(dir->fd, open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC))) {
        log_error("the run directory %s is gone and cannot be made again, so nobody can reach this daemon: %s; restart it",
                  dir->path, strerror(errno));
        return false;
    }
    log_warning("the run directory %s was gone: made again", dir->path);
    return true;
}

bool run_dir_again(struct run_dir *dir)
{
    int lock_fd = dir->lock_fd;

    if (is_elsewhere(dir) && !make_again(dir)) {
        return false;
    }
    if (lock_is_current(dir)) {
        return true;
    }
    if (take_lock(dir) != 0) {
        dir->lock_fd = lock_fd;
        return false;
    }
    close(lock_fd);
    return true;
}

/* What is made in this directory is then for the group's members, too. Nothing is changed that is so already: a service
 * manager may have made it, and forbid the process to set such bits itself. 0 or an errno. */
static int share_directory(const struct run_dir *dir, const char *name, gid_t group)
{
    enum { MODE = 02750 };
    struct stat st;

    if (fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0
        || (st.st_gid != group && fchownat(dir->fd, name, (uid_t)-1, group, AT_SYMLINK_NOFOLLOW) != 0)
        || ((st.st_mode & 07777) != MODE && fchmodat(dir->fd, name, MODE, 0) != 0)) {
        return errno;
    }
    return 0;
}

void run_dir_share(const struct run_dir *dir, const char *group)
{
    static const char *const names[] = {"guests", "captures"};
    struct group *entry = group[0] ? getgrnam(group) : NULL;

    if (group[0] && !entry && strcmp(group, CONFIG_DEFAULT_GROUP) != 0) {
        log_warning("there is no group \"%s\": only root and the daemon's own user may control it", group);
    }
    for (size_t i = 0; entry && i < sizeof names / sizeof *names; i++) {
        int result = share_directory(dir, names[i], entry->gr_gid);

        if (result != 0) {
            log_warning("cannot give %s/%s to the group %s, so its members cannot use what is in it: %s", dir->path,
                        names[i], group, strerror(result));
        }
    }
}

void run_dir_leave(const struct run_dir *dir)
{
    if (dir->fd >= 0 && dir->lock_fd >= 0) {
        (void)unlinkat(dir->fd, "guests", AT_REMOVEDIR);        /* Stays while guests do. */
        (void)unlinkat(dir->fd, "state/guests", AT_REMOVEDIR);  /* Where they have left nothing. */
        (void)unlinkat(dir->fd, "state", AT_REMOVEDIR);
        (void)unlinkat(dir->fd, "captures", AT_REMOVEDIR);
        (void)unlinkat(dir->fd, "vswitchd.lock", 0);
    }
}
