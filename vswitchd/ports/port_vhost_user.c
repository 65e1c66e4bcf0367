/* SPDX-License-Identifier: BSD-2-Clause
 *
 * vhost-user ports (port_vhost_user.h): connects or listens, watches the
 * session's descriptors for vhost_backend, and lends it the ops of a port. A
 * peer that breaks the protocol loses its connection; that is done outside the
 * data path's calls, by a deferred one.
 */
#include "vswitchd/ports/port_vhost_user.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/unix_socket.h"
#include "vswitchd/os/foreign.h"
#include "vswitchd/os/listener.h"
#include "vswitchd/os/log.h"
#include "vswitchd/ports/vhost_backend.h"

#define MILLISECOND UINT64_C(1000000)
#define RETRY_FIRST (10 * MILLISECOND)
#define RETRY_LAST (1000 * MILLISECOND)
#define HEALTHY_AFTER (5000 * MILLISECOND) /* a session of this age starts the retries anew */
#define POLL_PERIOD (MILLISECOND / 2)      /* of queues without a kick descriptor */

struct port_vhost_user {
    struct port port;
    struct event_loop *loop;
    struct vhost_backend *backend;
    struct event_watch *session_watch;
    struct event_watch *kick_watches[VIRTIO_NET_QUEUES];
    struct event_timer *retry;
    struct event_timer *poll;
    struct event_call *end; /* ends a failed session */
    struct listener *listener; /* NULL: a client, or no socket */
    bool server;
    bool failed;            /* the session is to be ended */
    bool stalled;           /* … since its peer held up the switch */
    bool no_room;           /* … since there was none for the peer's descriptors */
    bool polling;
    uint64_t doubtful;      /* what this port's peers have sent that may take long to close */
    uint64_t retry_delay;   /* ns, of the next try */
    uint64_t opened;        /* when the session began */
    uint64_t sessions;
    uint64_t breaches;      /* sessions that the peer did not end */
    struct log_limit log_limit;
    unsigned mode;          /* of the socket */
    char path[108];
    char last_error[160];
    uint8_t *buffer; /* FRAME_BUFFER_SIZE: the frame being received */
};

static struct port_vhost_user *vhost_of(struct port *port)
{
    return (struct port_vhost_user *)port;
}

/* ---- the session's life ---- */

static void say(struct port_vhost_user *vhost, enum log_level level, const char *what, const char *why)
{
    uint32_t suppressed = 0;

    if (!log_limit_pass(&vhost->log_limit, event_loop_now(vhost->loop), &suppressed))
        return;
    if (suppressed)
        log_info("port %s: %u further lines like the next were left out", vhost->port.name, suppressed);
    log_write(level, "port %s: %s%s%s (%s)", vhost->port.name, what, *why ? ": " : "", why, vhost->path);
}

static void schedule_retry(struct port_vhost_user *vhost)
{
    event_timer_set(vhost->retry, event_loop_now(vhost->loop) + vhost->retry_delay);
    vhost->retry_delay = vhost->retry_delay * 2 > RETRY_LAST ? RETRY_LAST : vhost->retry_delay * 2;
}

/* What was sent since `before` came from a peer of this port's. */
static void count_doubtful(struct port_vhost_user *vhost, uint64_t before)
{
    vhost->doubtful += foreign_doubtful(FOREIGN_PORTS) - before;
}

static void close_session(struct port_vhost_user *vhost)
{
    uint64_t doubtful = foreign_doubtful(FOREIGN_PORTS);

    event_call_cancel(vhost->end);
    event_timer_cancel(vhost->poll);
    event_watch_destroy(vhost->session_watch);
    vhost->session_watch = NULL;
    vhost->polling = vhost->failed = false;
    vhost_backend_close(vhost->backend); /* takes the watches of the kicks away, too */
    count_doubtful(vhost, doubtful);
}

/* A peer that sent what takes long to close may do that again, but not all the time. Those of other ports need not wait. */
static void keep_away(struct port_vhost_user *vhost, uint64_t at_least)
{
    uint64_t time = vhost->doubtful ? foreign_hold_off(FOREIGN_PORTS) : 0;

    vhost->doubtful = 0;
    if (time < at_least)
        time = at_least;
    if (vhost->retry_delay < time)
        vhost->retry_delay = time;
    if (vhost->server && time)
        listener_hold_off(vhost->listener, time);
}

static void end_session(void *context)
{
    struct port_vhost_user *vhost = context;
    bool was_up = vhost->port.link;

    snprintf(vhost->last_error, sizeof(vhost->last_error), "%s", vhost_backend_error(vhost->backend));
    close_session(vhost);
    vhost->port.capabilities = (struct port_capabilities){ 0 };
    port_link_changed(&vhost->port, false);
    say(vhost, vhost->no_room ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, was_up ? "disconnected" : "connection ended",
        vhost->last_error);
    if (event_loop_now(vhost->loop) - vhost->opened >= HEALTHY_AFTER)
        vhost->retry_delay = RETRY_FIRST;
    keep_away(vhost, vhost->stalled || vhost->no_room ? RETRY_LAST : 0);
    if (!vhost->server)
        schedule_retry(vhost);
    vhost->stalled = vhost->no_room = false;
}

static void session_failed(struct port_vhost_user *vhost, int error)
{
    if (vhost->failed)
        return;
    vhost->failed = true;
    vhost->breaches += error != ECONNRESET;
    vhost->stalled = error == ETIMEDOUT;
    vhost->no_room = error == EMFILE;
    event_call_schedule(vhost->end);
}

static void read_capabilities(struct port_vhost_user *vhost)
{
    uint64_t features = vhost_backend_features(vhost->backend);
    bool csum = features & VIRTIO_NET_F_GUEST_CSUM;

    vhost->port.capabilities = (struct port_capabilities){
        .csum = csum,
        .tso4 = csum && (features & VIRTIO_NET_F_GUEST_TSO4),
        .tso6 = csum && (features & VIRTIO_NET_F_GUEST_TSO6),
        .tso_ecn = csum && (features & VIRTIO_NET_F_GUEST_ECN),
    };
}

/* After the peer said something: the link may have come or gone. */
static void follow_session(struct port_vhost_user *vhost)
{
    bool ready = vhost_backend_ready(vhost->backend);

    if (ready != vhost->port.link) {
        if (ready)
            read_capabilities(vhost);
        port_link_changed(&vhost->port, ready);
        say(vhost, LOG_LEVEL_INFO, ready ? "connected" : "stopped by the peer", "");
    }
    vhost->polling = vhost_backend_needs_polling(vhost->backend);
    if (vhost->polling)
        event_timer_set(vhost->poll, event_loop_now(vhost->loop) + POLL_PERIOD);
    if (!ready)
        return;
    /* For what the peer did before a queue (again) ran, there may be no kick. */
    port_readable(&vhost->port);
    port_writable(&vhost->port);
}

static void session_event(void *context, unsigned events)
{
    struct port_vhost_user *vhost = context;
    uint64_t doubtful = foreign_doubtful(FOREIGN_PORTS);
    int error;

    (void)events;
    if (vhost->failed)
        return;
    error = vhost_backend_service(vhost->backend);
    count_doubtful(vhost, doubtful);
    if (error)
        session_failed(vhost, error);
    else
        follow_session(vhost);
}

static void open_session(struct port_vhost_user *vhost, int fd)
{
    vhost->opened = event_loop_now(vhost->loop);
    vhost->sessions++;
    vhost_backend_open(vhost->backend, fd);
    vhost->session_watch = event_watch_create(vhost->loop, fd, EVENT_READ, session_event, vhost);
    if (!vhost->session_watch)
        session_failed(vhost, ENOMEM);
}

static void try_to_connect(void *context)
{
    struct port_vhost_user *vhost = context;
    int fd, error;

    if (vhost_backend_is_open(vhost->backend))
        return;
    error = unix_socket_connect(vhost->path, &fd);
    if (error) {
        snprintf(vhost->last_error, sizeof(vhost->last_error), "%s", strerror(error));
        schedule_retry(vhost);
        return;
    }
    open_session(vhost, fd);
}

static void peer_came(void *context, int fd)
{
    struct port_vhost_user *vhost = context;
    uint64_t doubtful = foreign_doubtful(FOREIGN_PORTS);

    if (vhost_backend_is_open(vhost->backend)) {
        say(vhost, LOG_LEVEL_INFO, "turned away a second peer", "");
        foreign_close_socket(fd, FOREIGN_PORTS);
        count_doubtful(vhost, doubtful);
        keep_away(vhost, 0);
        return;
    }
    open_session(vhost, fd);
}

void port_vhost_user_retry(struct port *port)
{
    struct port_vhost_user *vhost = vhost_of(port);

    if (vhost->server || vhost_backend_is_open(vhost->backend))
        return;
    vhost->retry_delay = RETRY_FIRST;
    event_timer_cancel(vhost->retry);
    try_to_connect(vhost);
}

/* ---- kicks ---- */

static void transmit_kicked(void *context, unsigned events)
{
    struct port_vhost_user *vhost = context;
    int error = vhost_backend_read_kick(vhost->backend, VIRTIO_NET_TX);

    (void)events;
    if (error)
        session_failed(vhost, error);
    else if (vhost->port.link)
        port_readable(&vhost->port);
}

static void receive_kicked(void *context, unsigned events)
{
    struct port_vhost_user *vhost = context;
    int error = vhost_backend_read_kick(vhost->backend, VIRTIO_NET_RX);

    (void)events;
    if (error)
        session_failed(vhost, error);
    else
        port_writable(&vhost->port);
}

static void watch_kick(void *context, unsigned queue, int fd)
{
    static event_watch_function *const functions[VIRTIO_NET_QUEUES] = {
        [VIRTIO_NET_RX] = receive_kicked,
        [VIRTIO_NET_TX] = transmit_kicked,
    };
    struct port_vhost_user *vhost = context;

    event_watch_destroy(vhost->kick_watches[queue]);
    vhost->kick_watches[queue] = NULL;
    if (fd < 0)
        return;
    vhost->kick_watches[queue] = event_watch_create(vhost->loop, fd, EVENT_READ, functions[queue], vhost);
    if (!vhost->kick_watches[queue])
        session_failed(vhost, ENOMEM);
}

static void poll_queues(void *context)
{
    struct port_vhost_user *vhost = context;

    if (!vhost->polling || vhost->failed)
        return;
    event_timer_set(vhost->poll, event_loop_now(vhost->loop) + POLL_PERIOD);
    port_readable(&vhost->port);
    port_writable(&vhost->port);
}

/* ---- ops ---- */

static void vhost_flush(struct port *port)
{
    struct port_vhost_user *vhost = vhost_of(port);
    int error = vhost->failed ? 0 : vhost_backend_flush(vhost->backend);

    if (error)
        session_failed(vhost, error);
}

/* A burst of small frames goes on as long as one of large ones takes, where so many have been waiting since it
 * began: what it costs to begin one is then shared by more, and no other port waits longer than it may anyway. */
static bool goes_on(const struct port_vhost_user *vhost, unsigned done, uint32_t bytes)
{
    return done < PORT_BATCH_SMALL && bytes < PORT_BATCH_SMALL_BYTES && vhost_backend_waiting(vhost->backend) > 0;
}

static bool vhost_receive(struct port *port, unsigned budget)
{
    struct port_vhost_user *vhost = vhost_of(port);
    uint32_t bytes = 0;
    unsigned done;

    for (done = 0; (done < budget || goes_on(vhost, done, bytes)) && !vhost->failed; done++) {
        struct frame frame = { .data = vhost->buffer + FRAME_HEADROOM };
        enum drop_reason reason = DROP_NONE;
        int error = vhost_backend_receive(vhost->backend, &frame, &reason);

        if (error == EAGAIN)
            break;
        if (error == EBADMSG)
            port_drop(port, reason);
        else if (error)
            session_failed(vhost, error);
        else
            port_deliver(port, &frame);
        bytes += frame.size;
    }
    vhost_flush(port);
    return done >= budget && !vhost->failed;
}

static enum port_send_result vhost_send(struct port *port, const struct frame *frame)
{
    struct port_vhost_user *vhost = vhost_of(port);
    int error;

    if (vhost->failed || !vhost_backend_ready(vhost->backend))
        return PORT_SEND_DOWN;
    error = vhost_backend_send(vhost->backend, frame);
    if (error == 0)
        return PORT_SEND_OK;
    if (error == EAGAIN)
        return PORT_SEND_BLOCKED;
    if (error == EMSGSIZE)
        return PORT_SEND_TOO_BIG;
    session_failed(vhost, error);
    return PORT_SEND_ERROR;
}

static void vhost_describe(const struct port *port, char *text, size_t size)
{
    const struct port_vhost_user *vhost = (const struct port_vhost_user *)port;
    const char *state = vhost->server ? "listening at" : "waiting for";
    int length;

    if (port->link)
        state = "connected through";
    else if (vhost_backend_is_open(vhost->backend))
        state = "connected, not started, through";
    length = snprintf(text, size, "%s %s", state, vhost->path);
    if (vhost->breaches && length >= 0 && (size_t)length < size)
        snprintf(text + length, size - (size_t)length, ", %llu broken off, last: %s",
                 (unsigned long long)vhost->breaches, vhost->last_error);
}

static void vhost_destroy(struct port *port)
{
    struct port_vhost_user *vhost = vhost_of(port);

    if (vhost->end && vhost->poll && vhost->backend)
        close_session(vhost);
    vhost_backend_destroy(vhost->backend);
    event_call_destroy(vhost->end);
    event_timer_destroy(vhost->poll);
    event_timer_destroy(vhost->retry);
    if (vhost->listener) {
        listener_destroy(vhost->listener);
        unlink(vhost->path);
    }
    port_fini(port);
    free(vhost->buffer);
    free(vhost);
}

static const struct port_ops vhost_ops = {
    .type = "vhost-user",
    .receive = vhost_receive,
    .send = vhost_send,
    .flush = vhost_flush,
    .describe = vhost_describe,
    .destroy = vhost_destroy,
};

/* ---- creation ---- */

void port_vhost_user_config_init(struct port_vhost_user_config *config, const char *name, const char *path)
{
    *config = (struct port_vhost_user_config){ .name = name, .path = path, .offload = true };
}

static int make_parts(struct port_vhost_user *vhost, const struct port_vhost_user_config *config)
{
    struct vhost_backend_options options = { .offload = config->offload, .unsealed = config->unsealed };
    struct vhost_backend_events events = { .context = vhost, .watch_kick = watch_kick };

    vhost->buffer = malloc(FRAME_BUFFER_SIZE);
    vhost->backend = vhost_backend_create(&options, &events);
    vhost->retry = event_timer_create(vhost->loop, try_to_connect, vhost);
    vhost->poll = event_timer_create(vhost->loop, poll_queues, vhost);
    vhost->end = event_call_create(vhost->loop, end_session, vhost);
    return vhost->buffer && vhost->backend && vhost->retry && vhost->poll && vhost->end ? 0 : ENOMEM;
}

static int listen_for_peer(struct port_vhost_user *vhost, unsigned mode, char error[PORT_ERROR_SIZE])
{
    struct listener_events events = { .context = vhost, .name = vhost->path, .accepted = peer_came };
    int fd, result = unix_socket_listen(vhost->path, mode ? mode : 0600, &fd);

    if (result == 0) {
        vhost->listener = listener_create(vhost->loop, fd, &events);
        if (!vhost->listener) {
            close(fd);
            unlink(vhost->path);
            result = ENOMEM;
        }
    }
    if (result)
        snprintf(error, PORT_ERROR_SIZE, "cannot listen at %s: %s", vhost->path,
                 result == EADDRINUSE ? "another program does, or it is no socket" : strerror(result));
    return result;
}

void port_vhost_user_listen_again(struct port *port)
{
    struct port_vhost_user *vhost = vhost_of(port);
    struct listener *before = vhost->listener;
    char error[PORT_ERROR_SIZE];
    struct stat st;

    if (!vhost->server || lstat(vhost->path, &st) == 0 || errno != ENOENT)
        return;
    if (listen_for_peer(vhost, vhost->mode, error) == 0) {
        listener_destroy(before);
        log_warning("port %s: its socket was gone: made again (%s)", port->name, vhost->path);
    } else {
        vhost->listener = before;
        log_error("port %s: its socket is gone: %s", port->name, error);
    }
}

int port_vhost_user_create(struct event_loop *loop, const struct port_vhost_user_config *config, struct port **port,
                           char error[PORT_ERROR_SIZE])
{
    struct port_vhost_user *vhost = calloc(1, sizeof(*vhost));
    int result = vhost ? port_init(&vhost->port, &vhost_ops, config->name) : ENOMEM;

    if (result == 0 && (!*config->path || strlen(config->path) >= sizeof(vhost->path))) {
        port_fini(&vhost->port);
        result = ENAMETOOLONG;
    }
    if (result) {
        free(vhost);
        snprintf(error, PORT_ERROR_SIZE, "cannot make vhost-user port \"%.31s\": %s", config->name,
                 result == ENAMETOOLONG ? "the socket's path must have 1 to 107 characters" : strerror(result));
        return result;
    }
    vhost->loop = loop;
    vhost->server = config->server;
    vhost->mode = config->mode;
    vhost->retry_delay = RETRY_FIRST;
    vhost->log_limit = (struct log_limit){ .period = 10000 * MILLISECOND, .burst = 10 };
    strcpy(vhost->path, config->path);
    result = make_parts(vhost, config);
    if (result)
        snprintf(error, PORT_ERROR_SIZE, "cannot make vhost-user port %s: %s", config->name, strerror(result));
    else if (vhost->server)
        result = listen_for_peer(vhost, config->mode, error);
    if (result) {
        vhost_destroy(&vhost->port);
        return result;
    }
    if (!vhost->server)
        try_to_connect(vhost);
    *port = &vhost->port;
    return 0;
}
