/* SPDX-License-Identifier: BSD-2-Clause
 *
 * guests.h: starting and ending guests, their ports and links, and those of an
 * earlier daemon. guests_process.c has their processes, guests_list.c the list,
 * guests_directory.c a guest's directory, guests_command_line.c what a process is
 * started with.
 */
#include "vswitchd/guests_private.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vswitchd/guests_directory.h"
#include "vswitchd/os/log.h"
#include "vswitchd/run_dir.h"

#define LINKS_RETRY (EVENT_LOOP_SECOND / 10)
#define SOCKETS_MADE (10 * EVENT_LOOP_SECOND)  /* A process that runs for so long has made its sockets. */

/* ---- Its ports ---- */

static void remove_ports(const struct guest *g, unsigned count)
{
    while (count-- > 0) {
        (void)config_apply_remove_port(g->guests->config.apply, g->running.nics[count].port);
    }
}

void guest_remove_ports(const struct guest *g)
{
    remove_ports(g, g->running.nic_count);
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
                     ? config_apply_fail(error, ENAMETOOLONG, "the run directory's name is too long for sockets: %s", c->run_dir)
                     : config_apply_add_port(c->apply, &port, CONFIG_ORIGIN_GUEST, error);
        if (result != 0) {
            remove_ports(g, i);
            return result;
        }
    }
    return 0;
}

/* ---- Signals ---- */

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
    (void)guest_tell_links(context);
}

/* Whether its sockets have been removed: not so where they are still to be made, in the directory that was made for them. */
static bool has_lost_sockets(const struct guest *g)
{
    return !guest_directory_is_there(g->guests->directory_fd, g->config.name)
           || event_loop_now(g->guests->config.loop) - g->started > SOCKETS_MADE;
}

bool guest_tell_links(struct guest *g)
{
    char text[CONFIG_NICS_MAX * 16] = "";
    int result;

    for (unsigned i = 0; i < g->running.nic_count; i++) {
        size_t used = strlen(text);

        snprintf(text + used, sizeof text - used, "link %u %s\n", i,
                 guest_link_is_up(&g->running.nics[i]) ? "up" : "down");
    }
    if (g->state != GUEST_RUNNING || !text[0]) {
        return true;
    }
    result = guest_directory_tell(g->guests->directory_fd, g->config.name, text);
    if (result == ENOENT && has_lost_sockets(g)) {
        log_warning("guest %s is not told which of its links are up: its control socket is gone", g->config.name);
        return false;
    }
    if (result != 0 && !g->links) {
        g->links = event_timer_create(g->guests->config.loop, links_retry, g);
    }
    if (result != 0 && g->links) {      /* Its socket is not there yet. */
        event_timer_set(g->links, event_loop_now(g->guests->config.loop) + LINKS_RETRY);
    }
    return true;
}

/* ---- Starting ---- */

int guests_start(struct guests *guests, const char *name, struct config_apply_error *error)
{
    struct guest *g = guest_find(guests, name);
    int result;

    if (!g) {
        return config_apply_fail(error, ENOENT, "there is no guest \"%s\"", name);
    }
    if (g->state != GUEST_STOPPED) {
        return config_apply_fail(error, EALREADY, "guest %s is %s already", name, guest_state_name(g->state));
    }
    if (!guests->config.launcher) {
        return config_apply_fail(error, ENOTSUP, "vswitch-guest was not found: no guest can be started");
    }
    g->running = g->config;
    result = guest_directory_make(guests->directory_fd, &g->running);
    if (result != 0) {
        return config_apply_fail(error, result, "guest %s: cannot make its directory: %s", name, strerror(result));
    }
    result = add_ports(g, error);
    if (result != 0) {
        guest_directory_remove(guests->directory_fd, name);
        return result;
    }
    return guest_launch(g, error);
}

/* ---- Stopping ---- */

static void deadline_over(void *context)
{
    struct guest *g = context;

    log_warning("guest %s did not stop in time: killed", g->config.name);
    (void)send_signal(g, SIGKILL);
}

/* Whether there is no process to be ended: no more, or not yet; then there will be none. */
static bool has_no_process(struct guest *g)
{
    if (g->state == GUEST_STARTING) {
        guest_give_up(g);       /* It may be forgotten with that. */
        return true;
    }
    return g->exited;
}

static int ask_to_stop(struct guest *g, uint64_t timeout)
{
    struct event_loop *loop = g->guests->config.loop;
    int result;

    if (has_no_process(g)) {
        return 0;
    }
    result = guest_directory_tell(g->guests->directory_fd, g->config.name, "stop\n");

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
    return result ? config_apply_fail(error, result, "guest %s: cannot reach its process: %s", name, strerror(result)) : 0;
}

int guests_set_link(struct guests *guests, const char *name, unsigned nic, bool link, struct config_apply_error *error)
{
    struct guest *g = guest_find_running(guests, name, error);
    bool before;

    if (!g) {
        return error->number;
    }
    if (nic >= g->running.nic_count) {
        return guest_no_nic(g, nic, error);
    }
    before = g->running.nics[nic].unplugged;
    g->running.nics[nic].unplugged = !link;
    if (!guest_tell_links(g)) {
        g->running.nics[nic].unplugged = before;
        return config_apply_fail(error, ENOTCONN, "guest %s cannot be told, its control socket was removed: the cable stays "
                                 "%s; stop the guest and start it again", name, before ? "out" : "in");
    }
    guest_directory_write(guests->directory_fd, &g->running);
    return 0;
}

int guests_kill(struct guests *guests, const char *name, struct config_apply_error *error)
{
    struct guest *g = guest_find_running(guests, name, error);
    int result;

    if (!g) {
        return error->number;
    }
    if (has_no_process(g)) {
        return 0;
    }
    result = send_signal(g, SIGKILL);
    if (result == 0) {
        g->state = GUEST_STOPPING;
    }
    return result ? config_apply_fail(error, result, "guest %s: cannot kill its process: %s", name, strerror(result)) : 0;
}

void guests_stop_all(struct guests *guests, uint64_t timeout, void (*done)(void *context), void *context)
{
    guests->all_done = done;
    guests->all_done_context = context;
    for (struct guest *g = guests->first, *next; g; g = next) {
        next = g->next;         /* One that was not there yet may be forgotten at once. */
        if (g->state != GUEST_STOPPED) {
            (void)ask_to_stop(g, timeout);
        }
    }
    guests_check_all_done(guests);
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
        return config_apply_fail(error, ESRCH, "guest %s: no process runs in its directory", name);
    }
    guest_directory_read(guests->directory_fd, name, &found);
    if (!g) {
        g = guest_add(guests, &found);
        if (!g) {
            close(pidfd);
            return config_apply_fail(error, ENOMEM, "out of memory");
        }
        g->transient = true;
    }
    g->running = found;
    g->launched = false;
    if (!guest_follow(g, pid, pidfd)) {
        return config_apply_fail(error, ENOMEM, "out of memory");
    }
    log_info("guest %s adopted, pid %d", name, (int)pid);
    (void)guest_tell_links(g);
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

bool guests_directory_again(struct guests *guests)
{
    if (run_dir_holds(guests->config.run_dir_fd, "guests", guests->directory_fd)) {
        return false;
    }
    if (!run_dir_replace(guests->directory_fd, guest_directories_open(guests->config.run_dir_fd))) {
        log_error("cannot make %s/guests again: %s", guests->config.run_dir, strerror(errno));
        return false;
    }
    for (const struct guest *g = guests->first; g; g = g->next) {
        if (g->state != GUEST_STOPPED) {
            log_warning("guest %s has lost its sockets with the directory: its cards stay connected, but nobody reaches its "
                        "console, and another daemon will not find it; stop it and start it again", g->config.name);
        }
    }
    return true;
}

struct guests *guests_create(const struct guests_config *config)
{
    struct guests *guests = calloc(1, sizeof *guests);

    if (!guests) {
        return NULL;
    }
    guests->config = *config;
    guests->directory_fd = guest_directories_open(config->run_dir_fd);
    if (guests->directory_fd < 0 || !guests_watch_launcher(guests)) {
        guests_destroy(guests);
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
        guests_leave_launcher(guests);
        if (guests->directory_fd >= 0) {
            close(guests->directory_fd);
        }
        free(guests);
    }
}

