/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the daemon gives up once it has started: capabilities, and the system
 * calls it has no use for. libseccomp is inside sandbox.c and nowhere else.
 */
#ifndef VSWITCHD_OS_SANDBOX_H
#define VSWITCHD_OS_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

enum sandbox_capability {
    SANDBOX_CAP_NET_ADMIN = 1 << 0,
    SANDBOX_CAP_NET_RAW = 1 << 1,
    SANDBOX_CAP_DAC_OVERRIDE = 1 << 2,
    SANDBOX_CAP_DAC_READ_SEARCH = 1 << 3,
};

/* Drops every capability but those of `keep` that the process has, for itself and for what it executes; no new privileges
 * by exec afterwards. 0 or errno with a text. */
int sandbox_keep_capabilities(unsigned keep, char *error, size_t error_size);
/* Whether the process has it in effect. */
bool sandbox_has_capability(enum sandbox_capability capability);

/* From here on only the system calls of the daemon's loop are carried out: those that would start programs or reach into
 * others end the process, the rest fails with EPERM. 0 or errno with a text. */
int sandbox_filter_syscalls(char *error, size_t error_size);

#endif
