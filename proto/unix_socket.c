/* SPDX-License-Identifier: BSD-2-Clause
 *
 * UNIX stream sockets by path, see unix_socket.h.
 */
#include "proto/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4
#define LOOKED_AT_MAX 1024u /* numbers of descriptors: where the highest of a large table are taken, that is to end */

static int make_address(const char *path, struct sockaddr_un *address)
{
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    if (!*path || strlen(path) >= sizeof(address->sun_path))
        return ENAMETOOLONG;
    strcpy(address->sun_path, path);
    return 0;
}

static int make_socket(int *fd)
{
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return *fd < 0 ? errno : 0;
}

int unix_socket_connect(const char *path, int *fd)
{
    struct sockaddr_un address;
    int error = make_address(path, &address);

    if (!error)
        error = make_socket(fd);
    if (error)
        return error;
    if (connect(*fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return 0;
    error = errno;
    close(*fd);
    *fd = -1;
    return error;
}

/* Removes a socket file whose listener is gone. */
static int remove_stale(const char *path)
{
    struct stat st;
    int fd, error;

    if (lstat(path, &st))
        return errno == ENOENT ? 0 : errno;
    if (!S_ISSOCK(st.st_mode))
        return EADDRINUSE;
    error = unix_socket_connect(path, &fd);
    if (!error)
        close(fd);
    if (error != ECONNREFUSED)
        return EADDRINUSE;
    return unlink(path) && errno != ENOENT ? errno : 0;
}

int unix_socket_listen(const char *path, mode_t mode, int *fd)
{
    struct sockaddr_un address;
    int error = make_address(path, &address);

    if (!error)
        error = remove_stale(path);
    if (!error)
        error = make_socket(fd);
    if (error)
        return error;
    /* The mode is set before listen(): nobody gets in earlier. */
    if (bind(*fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
        if (fchmodat(AT_FDCWD, path, mode, 0) == 0 && listen(*fd, BACKLOG) == 0)
            return 0;
        error = errno;
        unlink(path);
    } else {
        error = errno;
    }
    close(*fd);
    *fd = -1;
    return error;
}

/* As recvmsg() with no room for descriptors; *msg_flags says whether there were some. */
static ssize_t receive(int fd, void *bytes, size_t size, int flags, int *msg_flags)
{
    struct iovec iov = { .iov_base = bytes, .iov_len = size };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n = recvmsg(fd, &msg, flags | MSG_DONTWAIT);

    *msg_flags = n < 0 ? 0 : msg.msg_flags;
    return n;
}

ssize_t unix_socket_recv(int fd, void *bytes, size_t size)
{
    int flags;
    ssize_t n = receive(fd, bytes, size, MSG_PEEK, &flags);

    if (flags & MSG_CTRUNC) {
        errno = EBADMSG;
        return -1;
    }
    return n > 0 ? receive(fd, bytes, (size_t)n, 0, &flags) : n;
}

/* By their numbers: poll() would ask those that somebody else has made, who may not answer. */
bool unix_socket_has_room(void)
{
    struct rlimit limit;
    unsigned room = 0;
    int fd;

    if (getrlimit(RLIMIT_NOFILE, &limit))
        return false;
    fd = limit.rlim_cur > INT_MAX ? INT_MAX : (int)limit.rlim_cur;
    for (unsigned i = 0; i < LOOKED_AT_MAX && room < UNIX_SOCKET_ROOM && fd > 0; i++)
        room += fcntl(--fd, F_GETFD) < 0;
    return room == UNIX_SOCKET_ROOM;
}
