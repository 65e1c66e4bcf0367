/* SPDX-License-Identifier: BSD-2-Clause
 *
 * guests_directory.h. The directory is the guest's, too, and a guest is not to
 * be trusted: files are opened without following links, and sizes are bounded.
 */
#include "vswitchd/guests_directory.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/json/json_read.h"
#include "vswitchd/os/log.h"

enum { FILE_SIZE_MAX = 256 << 10, LOG_TAIL = 1024 };

int guest_directories_open(int run_dir_fd)
{
    if (mkdirat(run_dir_fd, "guests", 0755) != 0 && errno != EEXIST) {
        return -1;
    }
    return openat(run_dir_fd, "guests", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int open_directory(int directories_fd, const char *name)
{
    return openat(directories_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

bool guest_directory_is_there(int directories_fd, const char *name)
{
    return faccessat(directories_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

static void each_entry(int directory_fd, void (*visit)(void *context, const char *name), void *context)
{
    int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    if (!directory) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    while ((entry = readdir(directory))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            visit(context, entry->d_name);
        }
    }
    closedir(directory);
}

struct visit {
    void (*function)(void *context, const char *name);
    void *context;
};

static void visit_valid(void *context, const char *name)
{
    const struct visit *v = context;

    if (port_name_valid(name) && strlen(name) < CONFIG_GUEST_NAME_SIZE) {
        v->function(v->context, name);
    }
}

void guest_directories_each(int directories_fd, void (*visit)(void *context, const char *name), void *context)
{
    struct visit v = {visit, context};

    each_entry(directories_fd, visit_valid, &v);
}

static void unlink_entry(void *context, const char *name)
{
    (void)unlinkat(*(int *)context, name, 0);
}

void guest_directory_remove(int directories_fd, const char *name)
{
    int fd = open_directory(directories_fd, name);

    if (fd >= 0) {
        each_entry(fd, unlink_entry, &fd);
        close(fd);
    }
    if (unlinkat(directories_fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT) {
        log_warning("guest %s: its directory cannot be removed: %s", name, strerror(errno));
    }
}

static int write_file(int fd, const char *text)
{
    size_t size = strlen(text);

    while (size > 0) {
        ssize_t n = write(fd, text, size);

        if (n < 0 && errno != EINTR) {
            return errno;
        }
        if (n > 0) {
            text += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

static int write_definition(int directories_fd, const struct config_guest *guest)
{
    int directory_fd = open_directory(directories_fd, guest->name);
    struct jv *value = config_guest_to_json(guest);
    char *text = jv_print(value, true);
    int result = directory_fd < 0 ? errno : text ? 0 : ENOMEM, fd;

    if (result == 0) {
        fd = openat(directory_fd, "guest.json.new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);
        result = fd < 0 ? errno : write_file(fd, text);
        if (fd >= 0) {
            close(fd);
        }
    }
    if (result == 0 && renameat(directory_fd, "guest.json.new", directory_fd, "guest.json") != 0) {
        result = errno;
    }
    if (directory_fd >= 0) {
        close(directory_fd);
    }
    free(text);
    jv_unref(value);
    return result;
}

int guest_directory_make(int directories_fd, const struct config_guest *guest)
{
    int result;

    guest_directory_remove(directories_fd, guest->name);
    if (mkdirat(directories_fd, guest->name, 0750) != 0) {
        return errno;
    }
    result = write_definition(directories_fd, guest);
    if (result != 0) {
        guest_directory_remove(directories_fd, guest->name);
    }
    return result;
}

void guest_directory_write(int directories_fd, const struct config_guest *guest)
{
    int result = write_definition(directories_fd, guest);

    if (result != 0) {
        log_warning("guest %s: cannot write guest.json: %s", guest->name, strerror(result));
    }
}

/* The text of a file of at most `limit` bytes, from its end if it is longer; NULL if there is none. */
static char *read_file(int directories_fd, const char *name, const char *file, size_t limit, size_t *size)
{
    char path[CONFIG_GUEST_NAME_SIZE + 32];
    struct stat st;
    char *text = NULL;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "%s/%s", name, file);
    fd = openat(directories_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (text = malloc(limit + 1))) {
        n = pread(fd, text, limit, st.st_size > (off_t)limit ? st.st_size - (off_t)limit : 0);
        *size = n > 0 ? (size_t)n : 0;
        text[*size] = '\0';
    }
    if (fd >= 0) {
        close(fd);
    }
    return text;
}

static bool read_definition(int directories_fd, const char *name, struct config_guest *guest)
{
    struct json_mismatch mismatch;
    struct json_error error;
    struct jv *value = NULL;
    size_t size;
    char *text = read_file(directories_fd, name, "guest.json", FILE_SIZE_MAX, &size);
    bool done = text && json_read(text, size, &value, &error) == 0 && json_check(config_guest_spec, value, &mismatch)
                && config_guest_read(value, guest, &mismatch) && strcmp(guest->name, name) == 0;

    jv_unref(value);
    free(text);
    return done;
}

void guest_directory_read(int directories_fd, const char *name, struct config_guest *guest)
{
    char path[CONFIG_GUEST_NAME_SIZE + 32];

    if (read_definition(directories_fd, name, guest)) {
        return;
    }
    memset(guest, 0, sizeof *guest);
    snprintf(guest->name, sizeof guest->name, "%s", name);
    for (unsigned i = 0; i < CONFIG_NICS_MAX; i++) {
        struct config_nic *nic = &guest->nics[i];

        snprintf(path, sizeof path, "%s/nic%u.sock", name, i);
        if (faccessat(directories_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
            break;
        }
        switch_port_config_init(&nic->policy);
        config_nic_port_name(name, i, nic->port);
        guest->nic_count = i + 1;
    }
}

static int connect_control(int directories_fd, const char *name, int *result)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return errno;
    }
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s/control.sock", directories_fd, name);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        int error = errno;

        close(fd);
        return error;
    }
    *result = fd;
    return 0;
}

/* The pid that the file names, if that process is a vswitch-guest. */
static pid_t pid_from_file(int directories_fd, const char *name)
{
    char path[40], comm[32] = "";
    size_t size = 0;
    char *text = read_file(directories_fd, name, "pid", 32, &size);
    pid_t pid = text ? (pid_t)strtol(text, NULL, 10) : 0;
    ssize_t n = -1;
    int fd;

    free(text);
    if (pid <= 1) {
        return 0;
    }
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, comm, sizeof comm - 1);
        close(fd);
    }
    return n > 0 && strncmp(comm, "vswitch-guest", 13) == 0 ? pid : 0;
}

bool guest_directory_probe(int directories_fd, const char *name, pid_t *pid, int *pidfd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    int fd;

    /* Who listens on control.sock is the guest; the kernel says who that is. */
    *pid = 0;
    if (connect_control(directories_fd, name, &fd) == 0) {
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) {
            *pid = peer.pid;
        }
        close(fd);
    } else {
        *pid = pid_from_file(directories_fd, name);
    }
    if (*pid <= 1) {
        return false;
    }
    *pidfd = (int)syscall(SYS_pidfd_open, *pid, 0);
    return *pidfd >= 0;
}

int guest_directory_ask(int directories_fd, const char *name, const char *text, int *fd)
{
    int result = connect_control(directories_fd, name, fd);

    if (result == 0 && send(*fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        result = errno;
        close(*fd);
    }
    if (result != 0) {
        *fd = -1;
    }
    return result;
}

int guest_directory_tell(int directories_fd, const char *name, const char *text)
{
    int fd, result = guest_directory_ask(directories_fd, name, text, &fd);

    if (result == 0) {
        close(fd);
    }
    return result;
}

void guest_directory_last_words(int directories_fd, const char *name, char *text, size_t size)
{
    size_t length = 0;
    char *tail = read_file(directories_fd, name, "log", LOG_TAIL, &length);
    char *line = tail;

    text[0] = '\0';
    if (!tail) {
        return;
    }
    while (length > 0 && isspace((unsigned char)tail[length - 1])) {
        tail[--length] = '\0';
    }
    if (strrchr(tail, '\n')) {
        line = strrchr(tail, '\n') + 1;
    }
    snprintf(text, size, "%s", line);
    for (char *p = text; *p; p++) {
        if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f) {
            *p = '?';
        }
    }
    free(tail);
}
