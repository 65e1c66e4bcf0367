/* SPDX-License-Identifier: BSD-2-Clause
 *
 * control_peer.h: SO_PEERCRED and SO_PEERGROUPS.
 */
#include "vswitchd/control/control_peer.h"

#include <grp.h>
#include <sys/socket.h>
#include <unistd.h>

enum { GROUPS_MAX = 64 };

gid_t control_peer_group(const char *name)
{
    struct group *entry = name[0] ? getgrnam(name) : NULL;

    return entry ? entry->gr_gid : (gid_t)-1;
}

static bool in_group(const struct ucred *peer, int fd, gid_t group)
{
    gid_t groups[GROUPS_MAX];
    socklen_t size = sizeof groups;

    if (group == (gid_t)-1) {
        return false;
    }
    if (peer->gid == group) {
        return true;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) != 0) {
        return false;
    }
    for (size_t i = 0; i < size / sizeof *groups; i++) {
        if (groups[i] == group) {
            return true;
        }
    }
    return false;
}

bool control_peer_identify(int fd, bool read_only, gid_t group, struct control_session *session)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        return false;
    }
    session->uid = peer.uid;
    session->pid = (uint32_t)peer.pid;
    if (read_only) {
        session->role = CONTROL_VIEWER;
    } else if (peer.uid == 0 || peer.uid == geteuid()) {
        session->role = CONTROL_ADMIN;
    } else if (in_group(&peer, fd, group)) {
        session->role = CONTROL_OPERATOR;
    } else {
        return false;
    }
    return true;
}
