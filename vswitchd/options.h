/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The command line of vswitchd(8).
 */
#ifndef VSWITCHD_OPTIONS_H
#define VSWITCHD_OPTIONS_H

#include <stdbool.h>

#include "vswitchd/os/log.h"

struct options {
    const char *config;             /* NULL: the usual file, if there is one. */
    const char *run_dir;
    const char *state_dir;          /* NULL: the usual one, or one below a run directory that is not. */
    const char *guest_program;      /* NULL: beside this program. */
    enum log_level log_level;
    bool check;                     /* Only check the configuration. */
    bool sandbox;
    bool io_uring;                  /* Use it where it is to be had. */
};

/* Answers -1 to go on, or the exit status. */
int options_read(int argc, char **argv, struct options *options);

#endif
