/* SPDX-License-Identifier: BSD-2-Clause
 *
 * guests.h: the list of guests, their definitions, and how they are shown.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vswitchd/guests_directory.h"
#include "vswitchd/guests_private.h"

struct guest *guest_find(const struct guests *guests, const char *name)
{
    struct guest *g;

    for (g = guests->first; g && strcmp(g->config.name, name) != 0; g = g->next) {
    }
    return g;
}

struct guest *guest_add(struct guests *guests, const struct config_guest *config)
{
    struct guest *g = calloc(1, sizeof *g), **end = &guests->first;

    if (!g) {
        return NULL;
    }
    g->guests = guests;
    g->config = *config;
    g->pidfd = -1;
    g->fresh = true;
    while (*end) {
        end = &(*end)->next;
    }
    *end = g;
    return g;
}

void guest_forget(struct guest *g)
{
    struct guest **link = &g->guests->first;

    while (*link != g) {
        link = &(*link)->next;
    }
    *link = g->next;
    event_watch_destroy(g->watch);
    event_timer_destroy(g->deadline);
    event_timer_destroy(g->links);
    if (g->pidfd >= 0) {
        close(g->pidfd);
    }
    free(g);
}

struct guest *guest_find_running(struct guests *guests, const char *name, struct config_apply_error *error)
{
    struct guest *g = guest_find(guests, name);

    if (!g) {
        (void)config_apply_fail(error, ENOENT, "there is no guest \"%s\"", name);
    } else if (g->state == GUEST_STOPPED) {
        (void)config_apply_fail(error, ESRCH, "guest %s is not running", name);
        g = NULL;
    }
    return g;
}

int guest_no_nic(const struct guest *g, unsigned nic, struct config_apply_error *error)
{
    return config_apply_fail(error, ENODEV, "guest %s has no card %u: %s", g->config.name, nic,
                      g->running.nic_count == 0 ? "it has none" : g->running.nic_count == 1 ? "it has one, number 0"
                                                                                            : "they are counted from 0");
}

/* ---- Definitions ---- */

int guests_define(struct guests *guests, const struct config_guest *config, struct config_apply_error *error)
{
    struct guest *g = guest_find(guests, config->name);

    if (g && g->state != GUEST_STOPPED) {
        return config_apply_fail(error, EALREADY, "guest %s is %s; stop it before defining it anew", config->name,
                    guest_state_name(g->state));
    }
    if (g) {
        g->config = *config;
        g->from_file = false;
        return 0;
    }
    return guest_add(guests, config) ? 0 : config_apply_fail(error, ENOMEM, "out of memory");
}

void guests_restore(struct guests *guests, const struct config_guest *config)
{
    struct guest *g = guest_find(guests, config->name);

    if (!g) {
        (void)guest_add(guests, config);
    } else if (g->transient) {
        g->config = *config;
        g->transient = false;
    }
}

/* What was kept of it. */
static void remove_state(const struct guests *guests, const char *name)
{
    char path[CONFIG_FILE_MAX];
    int fd;

    snprintf(path, sizeof path, "%s/guests", guests->config.state_dir);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        guest_directory_remove(fd, name);
        close(fd);
    }
}

int guests_undefine(struct guests *guests, const char *name, struct config_apply_error *error)
{
    struct guest *g = guest_find(guests, name);

    if (!g) {
        return config_apply_fail(error, ENOENT, "there is no guest \"%s\"", name);
    }
    if (g->state != GUEST_STOPPED) {
        return config_apply_fail(error, EALREADY, "guest %s is %s; stop it first", name, guest_state_name(g->state));
    }
    guest_forget(g);
    remove_state(guests, name);
    return 0;
}

static bool in_file(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->guest_count; i++) {
        if (strcmp(config->guests[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

void guests_set_config(struct guests *guests, const struct config *config)
{
    for (struct guest *g = guests->first, *next; g; g = next) {
        next = g->next;
        if (!g->from_file || in_file(config, g->config.name)) {
            continue;
        }
        if (g->state == GUEST_STOPPED) {
            guest_forget(g);
        } else {
            g->from_file = false;
            g->transient = true;
        }
    }
    for (size_t i = 0; i < config->guest_count; i++) {
        struct guest *g = guest_find(guests, config->guests[i].name);

        if (!g) {
            g = guest_add(guests, &config->guests[i]);
        }
        if (g) {
            g->config = config->guests[i];
            g->from_file = true;
            g->transient = false;
        }
    }
}

void guests_port_changed(struct guests *guests, const char *port, const struct switch_port_config *policy)
{
    for (struct guest *g = guests->first; g; g = g->next) {
        for (unsigned i = 0; g->state != GUEST_STOPPED && i < g->running.nic_count; i++) {
            struct config_nic *nic = &g->running.nics[i];

            if (strcmp(nic->port, port) == 0) {
                if (policy->mtu != nic->policy.mtu) {
                    nic->mtu = policy->mtu;
                }
                nic->policy = *policy;
                guest_directory_write(guests->directory_fd, &g->running);
                (void)guest_tell_links(g);
                return;
            }
        }
    }
}

/* ---- For the control protocol ---- */

const char *guest_state_name(enum guest_state state)
{
    static const char *const names[] = {"stopped", "starting", "running", "stopping"};

    return names[state];
}

void guest_describe_exit(const struct guest *g, struct jv *o)
{
    if (g->last_status >= 0 && WIFEXITED(g->last_status)) {
        jv_set_int(o, "status", WEXITSTATUS(g->last_status));
    } else if (g->last_status >= 0 && WIFSIGNALED(g->last_status)) {
        jv_set_string(o, "signal", sigabbrev_np(WTERMSIG(g->last_status)));
    }
    if (g->last_words[0]) {
        jv_set_string(o, "text", g->last_words);
    }
}

unsigned guests_running(const struct guests *guests)
{
    unsigned count = 0;

    for (const struct guest *g = guests->first; g; g = g->next) {
        count += g->state != GUEST_STOPPED;
    }
    return count;
}

static void set_path(struct jv *o, const char *key, const struct guest *g, const char *file)
{
    char path[CONFIG_FILE_MAX];

    snprintf(path, sizeof path, "%s/guests/%s/%s", g->guests->config.run_dir, g->config.name, file);
    jv_set_string(o, key, path);
}

static struct jv *guest_to_json(const struct guest *g)
{
    struct jv *o = config_guest_to_json(g->state == GUEST_STOPPED ? &g->config : &g->running);

    jv_set_string(o, "state", guest_state_name(g->state));
    jv_set_string(o, "origin", g->from_file ? "file" : "request");
    if (g->state == GUEST_RUNNING || g->state == GUEST_STOPPING) {
        jv_set_int(o, "pid", g->pid);
        jv_set_uint(o, "uptime_s", (event_loop_now(g->guests->config.loop) - g->started) / EVENT_LOOP_SECOND);
        set_path(o, "console_socket", g, "console.sock");
        set_path(o, "control_socket", g, "control.sock");
    } else if (g->state == GUEST_STOPPED && g->ended_before) {
        struct jv *last = jv_new_object();

        guest_describe_exit(g, last);
        jv_set(o, "last_exit", last);
    }
    return o;
}

struct jv *guests_list(const struct guests *guests)
{
    struct jv *list = jv_new_array();

    for (const struct guest *g = guests->first; g; g = g->next) {
        jv_append(list, guest_to_json(g));
    }
    return list;
}

struct jv *guests_get(const struct guests *guests, const char *name)
{
    const struct guest *g = guest_find(guests, name);

    return g ? guest_to_json(g) : NULL;
}

struct jv *guests_config(const struct guests *guests, bool requested_only)
{
    struct jv *list = jv_new_array();

    for (const struct guest *g = guests->first; g; g = g->next) {
        /* One that something else has started is nothing that a configuration could start. */
        if (g->config.kernel[0] && (!requested_only || (!g->from_file && !g->transient))) {
            jv_append(list, config_guest_to_json(&g->config));
        }
    }
    return list;
}
