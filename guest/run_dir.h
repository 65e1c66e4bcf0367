/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The guest's directory (/run/vswitch/guests/NAME): its pid file, locked for as
 * long as the process lives, and its sockets. It becomes the working directory, so
 * that socket names fit whatever the path. What was made is removed at the end.
 */
#ifndef GUEST_RUN_DIR_H
#define GUEST_RUN_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct run_dir;

/* Makes the directory where it is missing (one level). NULL with a reason in `error`;
 * another live process of the same guest is one. */
struct run_dir *run_dir_open(const char *path, char *error, size_t error_size);
/* A file in it that is to be removed at the end. */
void run_dir_owns(struct run_dir *dir, const char *name);
/* For sockets in it: 0660 where it hands its group on to what is made in it (set-group-ID, as
 * the daemon's directories do, which are its operators'), else 0600. */
mode_t run_dir_socket_mode(const struct run_dir *dir);
/* Removes the files; unlinkat() only. */
void run_dir_close(struct run_dir *dir);

#endif
