/* SPDX-License-Identifier: BSD-2-Clause
 *
 * control_server.h: two listening sockets, who is let in, and events to all.
 * What a client says is control_client.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "vswitchd/control/control_peer.h"
#include "vswitchd/control/control_server_private.h"
#include "vswitchd/os/listener.h"

/* ---- Coming ---- */

static void refuse(struct door *door, int fd, const struct control_session *session)
{
    static const char text[] =
        "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32001,\"message\":\"this user may not use this socket\","
        "\"data\":{\"reason\":\"permission.socket\"}},\"id\":null}\n";
    uint32_t more;

    (void)send(fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    foreign_close_socket(fd, door->account);
    if (log_limit_pass(&door->refusals, event_loop_now(door->server->loop), &more)) {
        log_warning("control: uid %u, pid %u refused on %s (%u more before)", session->uid, session->pid, door->name,
                    more);
    }
}

/* Makes room for another client: the one that has been silent longest and waits for nothing goes. */
static bool make_room(void *context)
{
    struct door *door = context;
    struct client *silent = NULL;

    for (struct client *c = door->server->clients; c; c = c->next) {
        if (c->door == door && (c->session.topic_count == 0 || c->ended) && (!silent || c->heard < silent->heard)) {
            silent = c;
        }
    }
    if (silent) {
        control_client_close(silent);
    }
    return silent != NULL;
}

/* False: the rest waits in the backlog until one leaves. */
static bool admit(void *context)
{
    return ((struct door *)context)->clients < CONTROL_CLIENTS_MAX || make_room(context);
}

static void client_came(void *context, int fd)
{
    struct door *door = context;
    struct control_session session = {0};
    uint64_t hold_off = foreign_hold_off(door->account);

    if (hold_off) {
        listener_hold_off(door->listener, hold_off);
    }
    if (!control_peer_identify(fd, door->read_only, door->server->group, &session)) {
        refuse(door, fd, &session);
    } else if (!control_client_create(door, fd, &session)) {
        foreign_close_socket(fd, door->account);
    }
}

/* ---- Start and end ---- */

/* Bound under /proc/self/fd, so that the run directory's name may be longer than a socket's may. */
static int listen_at(int directory_fd, const char *name, mode_t mode, gid_t group, int *result)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t mask;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = 0;

    if (fd < 0) {
        return errno;
    }
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", directory_fd, name);
    if (unlinkat(directory_fd, name, 0) == 0) {
        log_info("control: replaced a socket left behind, %s", name);
    }
    mask = umask(0777 & ~mode);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 64) != 0) {
        error = errno;
    }
    umask(mask);
    if (error == 0 && group != (gid_t)-1 && group != getegid() && fchownat(directory_fd, name, (uid_t)-1, group, 0) != 0) {
        log_warning("control: cannot give %s to its group: %s", name, strerror(errno));
    }
    if (error) {
        close(fd);
        return error;
    }
    *result = fd;
    return 0;
}

/* Where there is a listener already the new one takes its place. */
static int door_listen(struct control_server *s, struct door *door)
{
    const char *name = door->name;
    gid_t group = door->read_only ? (gid_t)-1 : s->group;
    mode_t mode = door->read_only ? 0666 : group != (gid_t)-1 ? 0660 : 0600;
    struct listener_events events = {
        .context = door, .name = name, .accepted = client_came, .admit = admit, .make_room = make_room,
    };
    struct listener *listener;
    struct stat st;
    int fd = -1, error = listen_at(s->run_dir_fd, name, mode, group, &fd);

    if (error) {
        return error;
    }
    listener = listener_create(s->loop, fd, &events);
    if (!listener) {
        close(fd);
        (void)unlinkat(s->run_dir_fd, name, 0);
        return ENOMEM;
    }
    if (fstatat(s->run_dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        door->inode = st.st_ino;
        door->device = st.st_dev;
    }
    listener_destroy(door->listener);
    door->listener = listener;
    return 0;
}

static int door_open(struct control_server *s, struct door *door, const char *name, bool read_only)
{
    door->server = s;
    door->name = name;
    door->read_only = read_only;
    door->account = read_only ? FOREIGN_CONTROL_RO : FOREIGN_CONTROL;
    door->refusals = (struct log_limit) {.period = 60 * EVENT_LOOP_SECOND, .burst = 5};
    return door_listen(s, door);
}

/* Whether the name still leads to this door. */
static bool is_open(const struct door *door)
{
    struct stat st;

    return fstatat(door->server->run_dir_fd, door->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == door->inode
           && st.st_dev == door->device;
}

void control_server_again(struct control_server *server)
{
    for (int i = 0; i < 2; i++) {
        struct door *door = &server->doors[i];
        int result = is_open(door) ? -1 : door_listen(server, door);

        if (result == 0) {
            log_warning("control: the socket %s was gone: made again", door->name);
        } else if (result > 0) {
            log_error("control: the socket %s is gone and cannot be made again: %s", door->name, strerror(result));
        }
    }
}

int control_server_create(struct event_loop *loop, const struct control_server_config *config,
                          const struct control_dispatch *dispatch, struct control_server **server, char *error,
                          size_t error_size)
{
    static const char *const names[] = {CONTROL_SOCKET_NAME, CONTROL_SOCKET_RO_NAME};
    struct control_server *s = calloc(1, sizeof *s);

    if (!s) {
        snprintf(error, error_size, "out of memory");
        return ENOMEM;
    }
    s->loop = loop;
    s->dispatch = dispatch;
    s->run_dir_fd = config->run_dir_fd;
    s->group = control_peer_group(config->group);
    for (int i = 0; i < 2; i++) {
        int result = door_open(s, &s->doors[i], names[i], i == 1);

        if (result) {
            snprintf(error, error_size, "cannot listen on %s/%s: %s", config->run_dir, names[i], strerror(result));
            control_server_destroy(s);
            return result;
        }
    }
    *server = s;
    return 0;
}

void control_server_destroy(struct control_server *server)
{
    if (!server) {
        return;
    }
    while (server->clients) {
        control_client_close(server->clients);
    }
    for (int i = 0; i < 2; i++) {
        struct door *door = &server->doors[i];

        if (door->listener) {
            listener_destroy(door->listener);
            (void)unlinkat(server->run_dir_fd, door->name, 0);
        }
    }
    free(server);
}

/* ---- Events ---- */

bool control_server_wanted(const struct control_server *server, const char *type)
{
    for (const struct client *c = server->clients; c; c = c->next) {
        if (control_session_wants(&c->session, type)) {
            return true;
        }
    }
    return false;
}

static struct jv *event_message(uint64_t sequence, const char *type, struct jv *data)
{
    struct jv *message = jv_new_object(), *params = jv_new_object();
    struct timespec now;
    struct tm utc;
    char stamp[40];
    size_t used;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    used = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(stamp + used, sizeof stamp - used, ".%03ldZ", now.tv_nsec / 1000000);
    jv_set_uint(params, "seq", sequence);
    jv_set_string(params, "time", stamp);
    jv_set_string(params, "type", type);
    jv_set(params, "data", data);
    jv_set_string(message, "jsonrpc", "2.0");
    jv_set_string(message, "method", "event");
    jv_set(message, "params", params);
    return message;
}

void control_server_event(struct control_server *server, const char *type, struct jv *data)
{
    struct jv *message = event_message(++server->sequence, type, data);
    char *text = jv_print(message, false);
    size_t size = text ? strlen(text) : 0;

    for (struct client *c = server->clients; text && c; c = c->next) {
        if (control_session_wants(&c->session, type)) {
            control_client_event(c, text, size);
        }
    }
    free(text);
    jv_unref(message);
}

unsigned control_server_client_count(const struct control_server *server)
{
    return server->doors[0].clients + server->doors[1].clients;
}

void control_server_flush(struct control_server *server)
{
    for (struct client *c = server->clients, *next; c; c = next) {
        next = c->next;
        (void)control_client_write(c);
    }
}
