/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The command `guest stats NAME`.
 */
#ifndef CLI_GUEST_STATS_H
#define CLI_GUEST_STATS_H

#include "cli/command.h"

int guest_stats(struct cli *cli);

#endif
