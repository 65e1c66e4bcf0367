/* SPDX-License-Identifier: BSD-2-Clause
 *
 * UNIX stream sockets by path, for both ends of a port. All are non-blocking
 * and close-on-exec.
 */
#ifndef PROTO_UNIX_SOCKET_H
#define PROTO_UNIX_SOCKET_H

#include <stddef.h>
#include <sys/types.h>

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

#endif
