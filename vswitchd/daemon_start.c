/* SPDX-License-Identifier: BSD-2-Clause
 *
 * daemon.h: makes the daemon's parts in the order in which they need each other,
 * and takes them apart in the opposite one.
 */
#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "vswitchd/daemon.h"
#include "vswitchd/os/foreign.h"
#include "vswitchd/os/slow_close.h"
#include "vswitchd/os/sandbox.h"
#include "vswitchd/os/sd_notify.h"
#include "vswitchd/os/stall_guard.h"

static bool find_guest_program(const struct options *options, char *path, size_t size)
{
    static const char *const places[] = {"vswitch-guest", "../libexec/vswitch/vswitch-guest"};
    char self[4096], *directory;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    if (options->guest_program) {
        snprintf(path, size, "%s", options->guest_program);
        return access(path, X_OK) == 0;
    }
    if (n <= 0) {
        return false;
    }
    self[n] = '\0';
    directory = dirname(self);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, size, "%s/%s", directory, places[i]);
        if (access(path, X_OK) == 0) {
            return true;
        }
    }
    return false;
}

static void start_launcher(struct daemon *d)
{
    char program[8192];
    int result;

    if (!find_guest_program(&d->options, program, sizeof program)) {
        log_warning("vswitch-guest was not found (%s): guests cannot be started", program);
        return;
    }
    result = guests_launcher_create(program, &d->launcher);
    if (result != 0) {
        log_warning("guests cannot be started: %s", strerror(result));
    }
}

/* A port takes up to six descriptors: 256 of them need more than the 1024 that processes usually may have without asking. */
static void allow_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* The same at each start in this run directory of this machine. */
static uint64_t identity(const struct daemon *d)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    char text[sizeof d->dir.path + 64] = "";
    FILE *file = fopen("/etc/machine-id", "re");

    if (file) {
        (void)!fgets(text, 64, file);
        fclose(file);
    }
    strcat(text, d->dir.path);
    for (const char *p = text; *p; p++) {
        hash = (hash ^ (uint8_t)*p) * UINT64_C(1099511628211);
    }
    return hash;
}

static void open_writer(struct daemon *d)
{
    char why[100] = "as asked for";

    d->writer = d->options.io_uring ? write_batch_create(why, sizeof why) : NULL;
    if (d->writer) {
        log_info("frames to taps: up to %u a system call (io_uring)", WRITE_BATCH_MAX);
    } else {
        log_info("frames to taps: one a system call; no io_uring: %s", why);
    }
}

static int make_datapath(struct daemon *d, const struct config *config)
{
    struct config_apply_host host = {.identity = identity(d)};
    struct switch_config sw;
    int result = stall_guard_start();

    if (result != 0) {
        log_warning("a vhost-user peer may hold up the switch: no timer: %s", strerror(result));
    }
    switch_config_init(&sw);
    sw.fdb_capacity = config->eth_switch.fdb_capacity;
    sw.fdb_ageing = config->eth_switch.fdb_ageing;
    sw.forward_reserved = config->eth_switch.forward_reserved;
    if (getrandom(sw.hash_key, sizeof sw.hash_key, 0) != (ssize_t)sizeof sw.hash_key) {
        log_error("no random numbers: %s", strerror(errno));
        return EX_OSERR;
    }
    d->loop = event_loop_create();
    d->dp = d->loop ? datapath_create(d->loop, &sw) : NULL;
    d->netlink = host.netlink = netlink_open();
    open_writer(d);
    host.writer = d->writer;
    d->apply = d->dp ? config_apply_create(d->loop, d->dp, &host) : NULL;
    if (!d->apply) {
        log_error("cannot start: out of memory or descriptors");
        return EX_OSERR;
    }
    datapath_set_listener(d->dp, daemon_datapath_event, d);
    return 0;
}

static int make_guests(struct daemon *d)
{
    struct guests_config config = {
        .loop = d->loop, .apply = d->apply, .launcher = d->launcher, .run_dir_fd = d->dir.fd,
        .run_dir = d->dir.path, .state_dir = d->dir.state_path, .event = daemon_guest_event, .context = d,
    };

    d->guests = guests_create(&config);
    if (!d->guests) {
        log_error("cannot make %s/guests: %s", d->dir.path, strerror(errno));
        return EX_CANTCREAT;
    }
    d->captures = captures_create(d->loop, d->dp, d->dir.fd, d->dir.path);
    if (!d->captures) {
        log_error("cannot make %s/captures: %s", d->dir.path, strerror(errno));
        return EX_CANTCREAT;
    }
    d->state = state_create(d->dir.fd);
    d->save = event_call_create(d->loop, daemon_save_state, d);
    d->save_again = event_timer_create(d->loop, daemon_save_state, d);
    if (!d->state || !d->save || !d->save_again) {
        log_error("out of memory");
        return EX_OSERR;
    }
    return 0;
}

static int make_server(struct daemon *d, const struct config *config)
{
    struct control_server_config sockets = {
        .run_dir_fd = d->dir.fd, .run_dir = d->dir.path, .group = config->group,
    };
    char error[300];

    snprintf(d->group, sizeof d->group, "%s", config->group);
    run_dir_share(&d->dir, config->group);
    d->dispatch = (struct control_dispatch) {.tables = control_commands, .context = &d->context, .audit = daemon_audit};
    d->context = (struct control_context) {
        .loop = d->loop, .dp = d->dp, .apply = d->apply, .guests = d->guests, .captures = d->captures,
        .dispatch = &d->dispatch, .run_dir = d->dir.path, .config_file = d->config_file, .group = d->group,
        .started = event_loop_now(d->loop), .daemon = d, .reload = daemon_reload, .shutdown = daemon_end,
        .io_uring = d->writer != NULL,
    };
    if (control_server_create(d->loop, &sockets, &d->dispatch, &d->server, error, sizeof error) != 0) {
        log_error("%s", error);
        return EX_CANTCREAT;
    }
    d->context.server = d->server;
    return 0;
}

static int lower_rights(const struct daemon *d)
{
    char error[300];
    int result;

    if (!d->options.sandbox) {
        log_warning("no sandbox, as asked for");
    } else if (sandbox_keep_capabilities(SANDBOX_CAP_NET_ADMIN | SANDBOX_CAP_NET_RAW, error, sizeof error) != 0) {
        log_error("%s", error);
        return EX_OSERR;
    }
    result = foreign_start();   /* With the rights that are left; the filter forbids making threads. */
    if (result != 0) {
        log_warning("a client may hold up the switch: no threads to close what it sends: %s", strerror(result));
    }
    result = slow_close_start();
    if (result != 0) {
        log_warning("taking away a tap holds up the others: no thread to close it: %s", strerror(result));
    }
    if (d->options.sandbox && sandbox_filter_syscalls(error, sizeof error) != 0) {
        log_error("%s", error);
        return EX_OSERR;
    }
    return 0;
}

static int watch_signals(struct daemon *d)
{
    d->signals[0] = event_signal_create(d->loop, SIGTERM, daemon_end_by_signal, d);
    d->signals[1] = event_signal_create(d->loop, SIGINT, daemon_end_by_signal, d);
    d->signals[2] = event_signal_create(d->loop, SIGHUP, daemon_reload_by_signal, d);
    if (!d->signals[0] || !d->signals[1] || !d->signals[2]) {
        log_error("cannot watch signals");
        return EX_OSERR;
    }
    if (sd_notify_watchdog_period()) {
        d->watchdog = event_timer_create(d->loop, daemon_watchdog, d);
        daemon_watchdog(d);
    }
    return 0;
}

int daemon_start(struct daemon *d, const struct config *config)
{
    int status;

    start_launcher(d);          /* Before the lock: it must not hold on to it. */
    allow_descriptors();        /* After the launcher: guests keep the usual limit. */
    status = run_dir_open(&d->dir, d->options.run_dir, d->options.state_dir);
    status = status ? status : make_datapath(d, config);
    status = status ? status : make_guests(d);
    status = status ? status : make_server(d, config);
    status = status ? status : lower_rights(d);
    status = status ? status : watch_signals(d);
    status = status ? status : daemon_apply_config(d, config);
    return status;
}

void daemon_finish(struct daemon *d, bool orderly)
{
    if (d->server) {
        control_server_flush(d->server);
    }
    control_server_destroy(d->server);
    d->server = NULL;
    if (orderly && guests_running(d->guests) == 0) {
        state_remove(d->state);
    }
    state_destroy(d->state);
    event_call_destroy(d->save);
    event_timer_destroy(d->save_again);
    event_timer_destroy(d->watchdog);
    for (size_t i = 0; i < sizeof d->signals / sizeof *d->signals; i++) {
        event_signal_destroy(d->signals[i]);
    }
    guests_destroy(d->guests);
    captures_destroy(d->captures);
    config_apply_destroy(d->apply);
    if (d->dp) {
        datapath_destroy(d->dp);
    }
    write_batch_destroy(d->writer);
    if (d->netlink) {
        netlink_close(d->netlink);
    }
    guests_launcher_destroy(d->launcher);
    stall_guard_stop();
    event_loop_destroy(d->loop);
    run_dir_leave(&d->dir);
    sd_notify_close();
}
