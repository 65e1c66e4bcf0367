/* SPDX-License-Identifier: BSD-2-Clause
 *
 * guests.h: starting, following and ending the processes of guests. A process is
 * followed through its pidfd, whether this daemon started it or an earlier one
 * did. guests_list.c has the list, guests_directory.c a guest's directory,
 * guests_command_line.c what a process is started with.
 */
#include "vswitchd/guests_private.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vswitchd/guests_directory.h"
#include "vswitchd/os/log.h"

enum { LINKS_RETRY = EVENT_LOOP_SECOND / 10 };

/* ---- Its ports ---- */

static void remove_ports(struct guest *g, unsigned count)
{
    while (count-- > 0) {
        (void)config_apply_remove_port(g->guests->config.apply, g->running.nics[count].port);
    }
}

static int add_ports(struct guest *g, struct config_apply_error *error)
{
    const struct guests_config *c = &g->guests->config;

    for (unsigned i = 0; i < g->running.nic_count; i++) {
        const struct config_nic *nic = &g->running.nics[i];
        struct config_port port;
        int size, result;

        config_port_init(&port);
        port.type = CONFIG_PORT_VHOST_USER;
        port.policy = nic->policy;
        port.mtu = nic->mtu;
        snprintf(port.name, sizeof port.name, "%s", nic->port);
        size = snprintf(port.path, sizeof port.path, "%s/guests/%s/nic%u.sock", c->run_dir, g->running.name, i);
        result = size >= (int)sizeof port.path
                     ? guest_fail(error, ENAMETOOLONG, "the run directory's name is too long for sockets: %s", c->run_dir)
                     : config_apply_add_port(c->apply, &port, CONFIG_ORIGIN_GUEST, error);
        if (result != 0) {
            remove_ports(g, i);
            return result;
        }
    }
    return 0;
}

/* ---- Its end ---- */

static void log_exit(const struct guest *g)
{
    const char *words = g->last_words[0] ? g->last_words : "it left no message";

    if (g->last_status >= 0 && WIFEXITED(g->last_status) && WEXITSTATUS(g->last_status) == 0) {
        log_info("guest %s has ended", g->config.name);
    } else if (g->last_status >= 0 && WIFEXITED(g->last_status)) {
        log_warning("guest %s has ended with status %d: %s", g->config.name, WEXITSTATUS(g->last_status), words);
    } else if (g->last_status >= 0 && WIFSIGNALED(g->last_status)) {
        log_warning("guest %s was ended by SIG%s: %s", g->config.name, sigabbrev_np(WTERMSIG(g->last_status)), words);
    } else {
        log_info("guest %s, which this daemon has not started, has ended: %s", g->config.name, words);
    }
}

static void check_all_done(struct guests *guests)
{
    void (*done)(void *context) = guests->all_done;

    if (done && guests_running(guests) == 0) {
        guests->all_done = NULL;
        done(guests->all_done_context);
    }
}

static void has_ended(struct guest *g)
{
    struct guests *guests = g->guests;
    struct jv *data = jv_new_object();

    event_watch_destroy(g->watch);
    event_timer_destroy(g->deadline);
    event_timer_destroy(g->links);
    g->watch = NULL;
    g->deadline = g->links = NULL;
    close(g->pidfd);
    g->pidfd = -1;
    /* Of one that an earlier daemon started nothing will be told, and the switch stands still while that is waited for. */
    if (!g->launched || !guests_launcher_status(guests->config.launcher, g->pid, &g->last_status)) {
        g->last_status = -1;
    }
    remove_ports(g, g->running.nic_count);
    guest_directory_last_words(guests->directory_fd, g->config.name, g->last_words, sizeof g->last_words);
    guest_directory_remove(guests->directory_fd, g->config.name);
    g->state = GUEST_STOPPED;
    g->ended_before = true;
    log_exit(g);
    jv_set_string(data, "guest", g->config.name);
    jv_set_int(data, "pid", g->pid);
    guest_describe_exit(g, data);
    guests->config.event(guests->config.context, "guest.exited", data);
    if (g->transient) {
        guest_forget(g);
    }
    check_all_done(guests);
}

static void pidfd_ready(void *context, unsigned events)
{
    (void)events;
    has_ended(context);
}

static bool follow(struct guest *g, pid_t pid, int pidfd)
{
    g->pid = pid;
    g->pidfd = pidfd;
    g->state = GUEST_RUNNING;
    g->started = event_loop_now(g->guests->config.loop);
    g->watch = event_watch_create(g->guests->config.loop, pidfd, EVENT_READ, pidfd_ready, g);
    return g->watch != NULL;
}

static int send_signal(const struct guest *g, int number)
{
    return syscall(SYS_pidfd_send_signal, g->pidfd, number, NULL, 0) != 0 ? errno : 0;
}

/* ---- Its links ---- */

bool guest_link_is_up(const struct config_nic *nic)
{
    return !nic->unplugged && nic->policy.enabled;
}

static void links_retry(void *context)
{
    guest_tell_links(context);
}

void guest_tell_links(struct guest *g)
{
    char text[CONFIG_NICS_MAX * 16] = "";
    int result;

    for (unsigned i = 0; i < g->running.nic_count; i++) {
        size_t used = strlen(text);

        snprintf(text + used, sizeof text - used, "link %u %s\n", i,
                 guest_link_is_up(&g->running.nics[i]) ? "up" : "down");
    }
    if (g->state != GUEST_RUNNING || !text[0]) {
        return;
    }
    result = guest_directory_tell(g->guests->directory_fd, g->config.name, text);
    if (result != 0 && !g->links) {
        g->links = event_timer_create(g->guests->config.loop, links_retry, g);
    }
    if (result != 0 && g->links) {      /* Its socket is not there yet. */
        event_timer_set(g->links, event_loop_now(g->guests->config.loop) + LINKS_RETRY);
    }
}

/* ---- Starting ---- */

static int launch(struct guest *g, struct config_apply_error *error)
{
    struct guests *guests = g->guests;
    struct guest_command_line line;
    char log[CONFIG_FILE_MAX + 8];
    pid_t pid;
    int pidfd, result;

    guest_make_command_line(g, &line);
    snprintf(log, sizeof log, "%s/log", line.directory);
    result = guests_launcher_run(guests->config.launcher, line.arguments, log, &pid, &pidfd);
    if (result != 0) {
        return guest_fail(error, result, "guest %s: cannot start its process: %s", g->config.name,
                          result == EPIPE || result == ECONNRESET ? "who starts guests has ended; restart vswitchd"
                                                                  : strerror(result));
    }
    g->launched = true;
    if (!follow(g, pid, pidfd)) {
        (void)send_signal(g, SIGKILL);
        close(pidfd);
        g->pidfd = -1;
        g->state = GUEST_STOPPED;
        return guest_fail(error, ENOMEM, "out of memory");
    }
    return 0;
}

int guests_start(struct guests *guests, const char *name, struct config_apply_error *error)
{
    struct guest *g = guest_find(guests, name);
    struct jv *data;
    int result;

    if (!g) {
        return guest_fail(error, ENOENT, "there is no guest \"%s\"", name);
    }
    if (g->state != GUEST_STOPPED) {
        return guest_fail(error, EALREADY, "guest %s is %s already", name, guest_state_name(g->state));
    }
    if (!guests->config.launcher) {
        return guest_fail(error, ENOTSUP, "vswitch-guest was not found: no guest can be started");
    }
    g->running = g->config;
    result = guest_directory_make(guests->directory_fd, &g->running);
    if (result != 0) {
        return guest_fail(error, result, "guest %s: cannot make its directory: %s", name, strerror(result));
    }
    result = add_ports(g, error);
    if (result != 0) {
        guest_directory_remove(guests->directory_fd, name);
        return result;
    }
    result = launch(g, error);
    if (result != 0) {
        remove_ports(g, g->running.nic_count);
        guest_directory_remove(guests->directory_fd, name);
        return result;
    }
    log_info("guest %s started, pid %d", name, (int)g->pid);
    data = jv_new_object();
    jv_set_string(data, "guest", name);
    jv_set_int(data, "pid", g->pid);
    guests->config.event(guests->config.context, "guest.started", data);
    return 0;
}

/* ---- Stopping ---- */

static void deadline_over(void *context)
{
    struct guest *g = context;

    log_warning("guest %s did not stop in time: killed", g->config.name);
    (void)send_signal(g, SIGKILL);
}

static int ask_to_stop(struct guest *g, uint64_t timeout)
{
    struct event_loop *loop = g->guests->config.loop;
    int result = guest_directory_tell(g->guests->directory_fd, g->config.name, "stop\n");

    if (result != 0) {
        result = send_signal(g, SIGTERM);
    }
    if (!g->deadline) {
        g->deadline = event_timer_create(loop, deadline_over, g);
    }
    if (g->deadline) {
        event_timer_set(g->deadline, event_loop_now(loop) + timeout);
    }
    g->state = GUEST_STOPPING;
    return result;
}

int guests_stop(struct guests *guests, const char *name, uint64_t timeout, struct config_apply_error *error)
{
    struct guest *g = guest_find_running(guests, name, error);
    int result;

    if (!g) {
        return error->number;
    }
    result = ask_to_stop(g, timeout);
    return result ? guest_fail(error, result, "guest %s: cannot reach its process: %s", name, strerror(result)) : 0;
}

int guests_set_link(struct guests *guests, const char *name, unsigned nic, bool link, struct config_apply_error *error)
{
    struct guest *g = guest_find_running(guests, name, error);

    if (!g) {
        return error->number;
    }
    if (nic >= g->running.nic_count) {
        return guest_no_nic(g, nic, error);
    }
    g->running.nics[nic].unplugged = !link;
    guest_directory_write(guests->directory_fd, &g->running);
    guest_tell_links(g);
    return 0;
}

int guests_kill(struct guests *guests, const char *name, struct config_apply_error *error)
{
    struct guest *g = guest_find_running(guests, name, error);
    int result;

    if (!g) {
        return error->number;
    }
    result = send_signal(g, SIGKILL);
    if (result == 0) {
        g->state = GUEST_STOPPING;
    }
    return result ? guest_fail(error, result, "guest %s: cannot kill its process: %s", name, strerror(result)) : 0;
}

void guests_stop_all(struct guests *guests, uint64_t timeout, void (*done)(void *context), void *context)
{
    guests->all_done = done;
    guests->all_done_context = context;
    for (struct guest *g = guests->first; g; g = g->next) {
        if (g->state != GUEST_STOPPED) {
            (void)ask_to_stop(g, timeout);
        }
    }
    check_all_done(guests);
}

/* ---- Start-up ---- */

void guests_autostart(struct guests *guests)
{
    struct config_apply_error error;

    for (struct guest *g = guests->first; g; g = g->next) {
        bool due = g->fresh && g->config.autostart && g->state == GUEST_STOPPED;

        g->fresh = false;
        if (due && guests_start(guests, g->config.name, &error) != 0) {
            log_error("%s", error.text);
        }
    }
}

/* ---- Those of an earlier daemon ---- */

int guests_adopt_one(struct guests *guests, const char *name, struct config_apply_error *error)
{
    struct guest *g = guest_find(guests, name);
    struct config_guest found;
    pid_t pid;
    int pidfd;

    if (g && g->state != GUEST_STOPPED) {
        return 0;
    }
    if (!guest_directory_probe(guests->directory_fd, name, &pid, &pidfd)) {
        return guest_fail(error, ESRCH, "guest %s: no process runs in its directory", name);
    }
    guest_directory_read(guests->directory_fd, name, &found);
    if (!g) {
        g = guest_add(guests, &found);
        if (!g) {
            close(pidfd);
            return guest_fail(error, ENOMEM, "out of memory");
        }
        g->transient = true;
    }
    g->running = found;
    g->launched = false;
    if (!follow(g, pid, pidfd)) {
        return guest_fail(error, ENOMEM, "out of memory");
    }
    log_info("guest %s adopted, pid %d", name, (int)pid);
    guest_tell_links(g);
    if (add_ports(g, error) != 0) {
        g->running.nic_count = 0;
        log_error("guest %s runs, but has no ports: %s", name, error->text);
        return error->number;
    }
    return 0;
}

static void adopt_or_clear(void *context, const char *name)
{
    struct guests *guests = context;
    struct config_apply_error error;

    if (guests_adopt_one(guests, name, &error) == ESRCH) {
        log_info("guest %s: cleared away what an ended process left", name);
        guest_directory_remove(guests->directory_fd, name);
    }
}

void guests_adopt(struct guests *guests)
{
    guest_directories_each(guests->directory_fd, adopt_or_clear, guests);
}

struct guests *guests_create(const struct guests_config *config)
{
    struct guests *guests = calloc(1, sizeof *guests);

    if (!guests) {
        return NULL;
    }
    guests->config = *config;
    guests->directory_fd = guest_directories_open(config->run_dir_fd);
    if (guests->directory_fd < 0) {
        free(guests);
        return NULL;
    }
    return guests;
}

void guests_destroy(struct guests *guests)
{
    if (guests) {
        guests_traces_end(guests);
        while (guests->first) {
            guest_forget(guests->first);
        }
        close(guests->directory_fd);
        free(guests);
    }
}

