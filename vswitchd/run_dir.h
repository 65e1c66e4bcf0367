/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The directory that a daemon lives in, one daemon at a time: sockets, guests,
 * captures; and beside it the one for what outlives guests.
 */
#ifndef VSWITCHD_RUN_DIR_H
#define VSWITCHD_RUN_DIR_H

#include <stdbool.h>

struct run_dir {
    char path[4096];            /* Absolute, */
    char state_path[4096];      /* this one, too. */
    int fd;                     /* -1: not opened. */
    int lock_fd;                /* -1: not ours. */
};

/* Makes the directory and takes its lock. `state_named` may be NULL. 0, or a status of sysexits(3) and a line in the log. */
int run_dir_open(struct run_dir *dir, const char *named, const char *state_named);

/* Makes it again where somebody has removed it from beneath the daemon; the descriptor keeps its number. False, with a line
 * in the log, where that cannot be. */
bool run_dir_again(struct run_dir *dir);
/* Whether this name in the directory still is what `fd` stands for. */
bool run_dir_holds(int run_dir_fd, const char *name, int fd);
/* The number `fd` stands for what `by` does from now on; the latter is closed. */
bool run_dir_replace(int fd, int by);

/* Lets the members of the group use what is made in its directories; "": nobody's. Log lines where that fails. */
void run_dir_share(const struct run_dir *dir, const char *group);

/* Removes what is empty, and the lock. */
void run_dir_leave(const struct run_dir *dir);

#endif
