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
#include <stdint.h>
#include <sys/types.h>

struct guests_launcher;

/* Forks it; to be called before there is an event loop. `program`: path of vswitch-guest. 0 or errno. */
int guests_launcher_create(const char *program, struct guests_launcher **launcher);
void guests_launcher_destroy(struct guests_launcher *launcher);     /* Ends it, be it stopped. */

struct guests_launcher_answer {
    uint64_t request;
    int error;                          /* errno, or 0: the process runs. */
    pid_t pid;
    int pidfd;                          /* The caller's; -1 with an error. */
};

/* Asks for the program to be started in a session of its own with arguments[0] … (NULL-ended; [0] is its name), standard
 * output and error appended to `log`. Does not wait: *request is the number of the answer. 0 or errno. */
int guests_launcher_ask(struct guests_launcher *launcher, const char *const *arguments, const char *log,
                        uint64_t *request);
/* The next answer, for which it waits that long at most. 0; EAGAIN: none is there; EMFILE: one is, but no descriptor for
 * what it brings; EPIPE: there will be none any more. */
int guests_launcher_answer(struct guests_launcher *launcher, int wait_ms, struct guests_launcher_answer *answer);
/* Ends a process that nobody waits for any more. */
void guests_launcher_unwanted(const struct guests_launcher_answer *answer);
/* Reads what it has told of ends. False: it will tell of no more. */
bool guests_launcher_exits(struct guests_launcher *launcher);
/* How a process started here ended, as wait() has it. False where that is not known, yet. */
bool guests_launcher_status(struct guests_launcher *launcher, pid_t pid, int *status);

/* What becomes readable when there may be an answer, and when there may be a status. */
int guests_launcher_answers_fd(const struct guests_launcher *launcher);
int guests_launcher_exits_fd(const struct guests_launcher *launcher);

#endif
