/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A guest's directory, RUN_DIR/guests/NAME: how it is made, what it tells about
 * the guest's process, how it is taken away. For guests.c.
 */
#ifndef VSWITCHD_GUESTS_DIRECTORY_H
#define VSWITCHD_GUESTS_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "vswitchd/config.h"

/* RUN_DIR/guests, made where it is missing; -1 and errno. */
int guest_directories_open(int run_dir_fd);
/* Calls visit for each name that a guest may have. */
void guest_directories_each(int directories_fd, void (*visit)(void *context, const char *name), void *context);

bool guest_directory_is_there(int directories_fd, const char *name);
/* A fresh directory with guest.json. 0 or errno. */
int guest_directory_make(int directories_fd, const struct config_guest *guest);
/* guest.json anew; a failure is logged. */
void guest_directory_write(int directories_fd, const struct config_guest *guest);
/* guest.json; without a valid one, what the directory's sockets tell. */
void guest_directory_read(int directories_fd, const char *name, struct config_guest *guest);
/* Takes the directory and its files away. */
void guest_directory_remove(int directories_fd, const char *name);

/* True, with its pid and a pidfd, if the guest's process lives. */
bool guest_directory_probe(int directories_fd, const char *name, pid_t *pid, int *pidfd);
/* Sends text to control.sock without waiting. 0 or errno. */
int guest_directory_tell(int directories_fd, const char *name, const char *text);
/* The same, and leaves the connection open for the answer. */
int guest_directory_ask(int directories_fd, const char *name, const char *text, int *fd);
/* The last line of the log, printable; "" where there is none. */
void guest_directory_last_words(int directories_fd, const char *name, char *text, size_t size);

#endif
