/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who is at the other end of a control connection, and what that entitles to.
 */
#ifndef VSWITCHD_CONTROL_CONTROL_PEER_H
#define VSWITCHD_CONTROL_CONTROL_PEER_H

#include <sys/types.h>

#include "vswitchd/control/control_dispatch.h"

/* The group of that name; (gid_t)-1: none. */
gid_t control_peer_group(const char *name);

/* Fills in who it is and its role: root and our own user are admin, members of `group` operator, anybody a viewer where
 * only that is offered. False: it may not even ask. */
bool control_peer_identify(int fd, bool read_only, gid_t group, struct control_session *session);

#endif
