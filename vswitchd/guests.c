/* SPDX-License-Identifier: BSD-2-Clause
 *
 * guests.h: the list of guests and what happens to each. A process is followed
 * through its pidfd, whether this daemon started it or an earlier one did.
 * guests_directory.c does what concerns its directory.
 */
#include "vswitchd/guests.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vswitchd/guests_directory.h"
#include "vswitchd/os/log.h"

enum { ARGUMENTS_MAX = 24 + 2 * CONFIG_NICS_MAX, WORDS_SIZE = 200 };

struct guest {
    struct guests *guests;
    struct guest *next;
    struct config_guest config;         /* For the next start. */
    struct config_guest running;        /* What it was started with. */
    bool from_file;                     /* Defined by the configuration file. */
    bool transient;                     /* Not defined at all, found running: forgotten when it ends. */
    enum guest_state state;
    pid_t pid;
    int pidfd;
    struct event_watch *watch;          /* Of pidfd. */
    struct event_timer *deadline;       /* Killed then. */
    uint64_t started;
    bool ended_before;                  /* The members below are filled in. */
    int last_status;                    /* As wait() has it; -1: not known. */
    char last_words[WORDS_SIZE];        /* The log's last line. */
};

struct guests {
    struct guests_config config;
    int directory_fd;                   /* RUN_DIR/guests */
    struct guest *first;
    void (*all_done)(void *context);
    void *all_done_context;
};

const char *guest_state_name(enum guest_state state)
{
    static const char *const names[] = {"stopped", "running", "stopping"};

    return names[state];
}

static int __attribute__((format(printf, 3, 4)))
fail(struct config_apply_error *error, int number, const char *format, ...)
{
    va_list args;

    error->number = number;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return number;
}

static struct guest *find(const struct guests *guests, const char *name)
{
    struct guest *g;

    for (g = guests->first; g && strcmp(g->config.name, name) != 0; g = g->next) {
    }
    return g;
}

static struct guest *add(struct guests *guests, const struct config_guest *config)
{
    struct guest *g = calloc(1, sizeof *g), **end = &guests->first;

    if (!g) {
        return NULL;
    }
    g->guests = guests;
    g->config = *config;
    g->pidfd = -1;
    while (*end) {
        end = &(*end)->next;
    }
    *end = g;
    return g;
}

static void forget(struct guest *g)
{
    struct guest **link = &g->guests->first;

    while (*link != g) {
        link = &(*link)->next;
    }
    *link = g->next;
    event_watch_destroy(g->watch);
    event_timer_destroy(g->deadline);
    if (g->pidfd >= 0) {
        close(g->pidfd);
    }
    free(g);
}

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
                     ? fail(error, ENAMETOOLONG, "the run directory's name is too long for sockets: %s", c->run_dir)
                     : config_apply_add_port(c->apply, &port, CONFIG_ORIGIN_GUEST, error);
        if (result != 0) {
            remove_ports(g, i);
            return result;
        }
    }
    return 0;
}

/* ---- Its end ---- */

static void describe_exit(const struct guest *g, struct jv *o)
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
        log_info("guest %s, started by an earlier daemon, has ended: %s", g->config.name, words);
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
    g->watch = NULL;
    g->deadline = NULL;
    close(g->pidfd);
    g->pidfd = -1;
    if (!guests->config.launcher || !guests_launcher_status(guests->config.launcher, g->pid, &g->last_status)) {
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
    describe_exit(g, data);
    guests->config.event(guests->config.context, "guest.exited", data);
    if (g->transient) {
        forget(g);
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

/* ---- Starting ---- */

struct command_line {
    const char *arguments[ARGUMENTS_MAX];
    size_t count;
    char memory[16];
    char directory[CONFIG_FILE_MAX];
    char nics[CONFIG_NICS_MAX][128];
};

static void option(struct command_line *line, const char *name, const char *value)
{
    line->arguments[line->count++] = name;
    line->arguments[line->count++] = value;
}

static void make_command_line(const struct guest *g, struct command_line *line)
{
    const struct config_guest *c = &g->running;

    line->count = 0;
    line->arguments[line->count++] = "vswitch-guest";
    snprintf(line->memory, sizeof line->memory, "%u", c->memory_mib);
    snprintf(line->directory, sizeof line->directory, "%s/guests/%s", g->guests->config.run_dir, c->name);
    option(line, "--name", c->name);
    option(line, "--run-dir", line->directory);
    option(line, "--memory", line->memory);
    option(line, "--kernel", c->kernel);
    if (c->initrd[0]) {
        option(line, "--initrd", c->initrd);
    }
    if (c->cmdline[0]) {
        option(line, "--append", c->cmdline);
    }
    for (unsigned i = 0; i < c->nic_count; i++) {
        const uint8_t *m = c->nics[i].mac;

        snprintf(line->nics[i], sizeof line->nics[i], "model=%s,mac=%02x:%02x:%02x:%02x:%02x:%02x,socket=nic%u.sock",
                 c->nics[i].model, m[0], m[1], m[2], m[3], m[4], m[5], i);
        option(line, "--nic", line->nics[i]);
    }
    line->arguments[line->count] = NULL;
}

static int launch(struct guest *g, struct config_apply_error *error)
{
    struct guests *guests = g->guests;
    struct command_line line;
    char log[CONFIG_FILE_MAX + 8];
    pid_t pid;
    int pidfd, result;

    make_command_line(g, &line);
    snprintf(log, sizeof log, "%s/log", line.directory);
    result = guests_launcher_run(guests->config.launcher, line.arguments, log, &pid, &pidfd);
    if (result != 0) {
        return fail(error, result, "guest %s: cannot start its process: %s", g->config.name, strerror(result));
    }
    if (!follow(g, pid, pidfd)) {
        (void)send_signal(g, SIGKILL);
        close(pidfd);
        g->pidfd = -1;
        g->state = GUEST_STOPPED;
        return fail(error, ENOMEM, "out of memory");
    }
    return 0;
}

int guests_start(struct guests *guests, const char *name, struct config_apply_error *error)
{
    struct guest *g = find(guests, name);
    struct jv *data;
    int result;

    if (!g) {
        return fail(error, ENOENT, "there is no guest \"%s\"", name);
    }
    if (g->state != GUEST_STOPPED) {
        return fail(error, EALREADY, "guest %s is %s already", name, guest_state_name(g->state));
    }
    if (!guests->config.launcher) {
        return fail(error, ENOTSUP, "vswitch-guest was not found: no guest can be started");
    }
    g->running = g->config;
    result = guest_directory_make(guests->directory_fd, &g->running);
    if (result != 0) {
        return fail(error, result, "guest %s: cannot make its directory: %s", name, strerror(result));
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

static struct guest *find_running(struct guests *guests, const char *name, struct config_apply_error *error)
{
    struct guest *g = find(guests, name);

    if (!g) {
        (void)fail(error, ENOENT, "there is no guest \"%s\"", name);
    } else if (g->state == GUEST_STOPPED) {
        (void)fail(error, ESRCH, "guest %s is not running", name);
        g = NULL;
    }
    return g;
}

int guests_stop(struct guests *guests, const char *name, uint64_t timeout, struct config_apply_error *error)
{
    struct guest *g = find_running(guests, name, error);
    int result;

    if (!g) {
        return error->number;
    }
    result = ask_to_stop(g, timeout);
    return result ? fail(error, result, "guest %s: cannot reach its process: %s", name, strerror(result)) : 0;
}

int guests_kill(struct guests *guests, const char *name, struct config_apply_error *error)
{
    struct guest *g = find_running(guests, name, error);
    int result;

    if (!g) {
        return error->number;
    }
    result = send_signal(g, SIGKILL);
    if (result == 0) {
        g->state = GUEST_STOPPING;
    }
    return result ? fail(error, result, "guest %s: cannot kill its process: %s", name, strerror(result)) : 0;
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

/* ---- Definitions ---- */

int guests_define(struct guests *guests, const struct config_guest *config, struct config_apply_error *error)
{
    struct guest *g = find(guests, config->name);

    if (g && g->state != GUEST_STOPPED) {
        return fail(error, EALREADY, "guest %s is %s; stop it before defining it anew", config->name,
                    guest_state_name(g->state));
    }
    if (g) {
        g->config = *config;
        g->from_file = false;
        return 0;
    }
    return add(guests, config) ? 0 : fail(error, ENOMEM, "out of memory");
}

void guests_restore(struct guests *guests, const struct config_guest *config)
{
    struct guest *g = find(guests, config->name);

    if (!g) {
        (void)add(guests, config);
    } else if (g->transient) {
        g->config = *config;
        g->transient = false;
    }
}

int guests_undefine(struct guests *guests, const char *name, struct config_apply_error *error)
{
    struct guest *g = find(guests, name);

    if (!g) {
        return fail(error, ENOENT, "there is no guest \"%s\"", name);
    }
    if (g->state != GUEST_STOPPED) {
        return fail(error, EALREADY, "guest %s is %s; stop it first", name, guest_state_name(g->state));
    }
    forget(g);
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
            forget(g);
        } else {
            g->from_file = false;
            g->transient = true;
        }
    }
    for (size_t i = 0; i < config->guest_count; i++) {
        struct guest *g = find(guests, config->guests[i].name);

        if (!g) {
            g = add(guests, &config->guests[i]);
        }
        if (g) {
            g->config = config->guests[i];
            g->from_file = true;
            g->transient = false;
        }
    }
}

void guests_autostart(struct guests *guests)
{
    struct config_apply_error error;

    for (struct guest *g = guests->first; g; g = g->next) {
        if (g->config.autostart && g->state == GUEST_STOPPED && guests_start(guests, g->config.name, &error) != 0) {
            log_error("%s", error.text);
        }
    }
}

/* ---- Those of an earlier daemon ---- */

int guests_adopt_one(struct guests *guests, const char *name, struct config_apply_error *error)
{
    struct guest *g = find(guests, name);
    struct config_guest found;
    pid_t pid;
    int pidfd;

    if (g && g->state != GUEST_STOPPED) {
        return 0;
    }
    if (!guest_directory_probe(guests->directory_fd, name, &pid, &pidfd)) {
        return fail(error, ESRCH, "guest %s: no process runs in its directory", name);
    }
    guest_directory_read(guests->directory_fd, name, &found);
    if (!g) {
        g = add(guests, &found);
        if (!g) {
            close(pidfd);
            return fail(error, ENOMEM, "out of memory");
        }
        g->transient = true;
    }
    g->running = found;
    if (!follow(g, pid, pidfd)) {
        return fail(error, ENOMEM, "out of memory");
    }
    log_info("guest %s adopted, pid %d", name, (int)pid);
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
        while (guests->first) {
            forget(guests->first);
        }
        close(guests->directory_fd);
        free(guests);
    }
}

/* ---- For the control protocol ---- */

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
    if (g->state != GUEST_STOPPED) {
        jv_set_int(o, "pid", g->pid);
        jv_set_uint(o, "uptime_s", (event_loop_now(g->guests->config.loop) - g->started) / EVENT_LOOP_SECOND);
        set_path(o, "console_socket", g, "console.sock");
        set_path(o, "control_socket", g, "control.sock");
    } else if (g->ended_before) {
        struct jv *last = jv_new_object();

        describe_exit(g, last);
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
    const struct guest *g = find(guests, name);

    return g ? guest_to_json(g) : NULL;
}

struct jv *guests_config(const struct guests *guests, bool requested_only)
{
    struct jv *list = jv_new_array();

    for (const struct guest *g = guests->first; g; g = g->next) {
        if (!requested_only || (!g->from_file && !g->transient)) {
            jv_append(list, config_guest_to_json(&g->config));
        }
    }
    return list;
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
                return;
            }
        }
    }
}
