/* SPDX-License-Identifier: BSD-2-Clause
 *
 * vswitch-guest --replay: a recorded guest once more, without devices, network or
 * clock; its serial console goes to standard output.
 */
#ifndef GUEST_REPLAY_GUEST_H
#define GUEST_REPLAY_GUEST_H

#include "guest/options.h"

/* Exit codes: 0, the end that was recorded; otherwise EXIT_FAILURE_TO_START or this. */
enum { EXIT_DIVERGED = 5 };

int replay_guest(const struct options *options, void (*log)(const char *line));

#endif
