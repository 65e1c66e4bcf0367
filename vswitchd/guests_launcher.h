/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The launcher: a small process forked from the daemon before it gives up its
 * rights. It does one thing, starting vswitch-guest, so that the daemon's own
 * system-call filter needs neither fork nor exec and no guest inherits that
 * filter. It ends with the daemon; the guests do not.
 */
#ifndef VSWITCHD_GUESTS_LAUNCHER_H
#define VSWITCHD_GUESTS_LAUNCHER_H

#include <stdbool.h>
#include <sys/types.h>

struct guests_launcher;

/* Forks it; to be called before there is an event loop. `program`: path of vswitch-guest. 0 or errno. */
int guests_launcher_create(const char *program, struct guests_launcher **launcher);
void guests_launcher_destroy(struct guests_launcher *launcher);

/* Starts the program in a session of its own with arguments[0] … (NULL-ended; [0] is its name), standard output and
 * error appended to `log`. *pidfd is the caller's. 0 or errno. */
int guests_launcher_run(struct guests_launcher *launcher, const char *const *arguments, const char *log, pid_t *pid,
                        int *pidfd);
/* How a process started here ended, as wait() has it. False where that is not known. */
bool guests_launcher_status(struct guests_launcher *launcher, pid_t pid, int *status);

#endif
