/* SPDX-License-Identifier: BSD-2-Clause
 *
 * UNIX stream sockets by path, for both ends of a port. All are non-blocking
 * and close-on-exec.
 */
#ifndef PROTO_UNIX_SOCKET_H
#define PROTO_UNIX_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define UNIX_SOCKET_FDS_MAX 253u /* in one message, says Linux */
#define UNIX_SOCKET_ROOM (UNIX_SOCKET_FDS_MAX + 64u)

/* 0 with the socket in *fd, or errno: ENAMETOOLONG; EADDRINUSE when somebody
 * listens there already or the path is no socket. A socket file that nobody
 * listens on any more is replaced. */
int unix_socket_listen(const char *path, mode_t mode, int *fd);
/* 0 or errno: ENOENT and ECONNREFUSED while nobody listens, EAGAIN while the listener is busy. */
int unix_socket_connect(const char *path, int *fd);
/* As recv() without waiting, for one to whom nobody should send descriptors. EBADMSG: some come with it; nothing was
 * taken. Reading bytes closes what comes with them, and closing what somebody else has made may take as long as he
 * likes. */
ssize_t unix_socket_recv(int fd, void *bytes, size_t size);
/* Whether RLIMIT_NOFILE has room for all descriptors that may come with a message, and for some that others open. Those
 * that find no room, there or in the control buffer, recvmsg() closes itself, and takes as long as they like. */
bool unix_socket_has_room(void);

#endif
