/* SPDX-License-Identifier: BSD-2-Clause
 *
 * vswitchd(8): reads its options and configuration, joins the data path, the
 * control sockets and the guests' supervision to one event loop, gives up what
 * it does not need, and runs until a signal or daemon.shutdown ends it.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "vswitchd/captures.h"
#include "vswitchd/config_apply.h"
#include "vswitchd/control/control_commands.h"
#include "vswitchd/control/control_server.h"
#include "vswitchd/guests.h"
#include "vswitchd/options.h"
#include "vswitchd/os/log.h"
#include "vswitchd/os/sandbox.h"
#include "vswitchd/os/sd_notify.h"
#include "vswitchd/os/write_batch.h"
#include "vswitchd/run_dir.h"
#include "vswitchd/state.h"

enum { GUESTS_END_TIMEOUT_S = 10, WATCHDOG_PARTS = 3, FDB_EVENTS_A_SECOND = 1000 };

struct daemon {
    struct options options;
    struct run_dir dir;
    char config_file[4096];         /* Absolute; "": none. */
    char config_name[256];          /* Its last part, */
    int config_dir_fd;              /* in this directory: readable also when the rights to its parents are gone. */
    struct event_loop *loop;
    struct netlink *netlink;
    struct write_batch *writer;     /* NULL: frames to taps take a system call each. */
    struct datapath *dp;
    struct config_apply *apply;
    struct guests_launcher *launcher;
    struct guests *guests;
    struct captures *captures;
    struct state *state;
    struct event_call *save;        /* The state, after a request. */
    struct control_server *server;
    struct control_context context;
    char group[32];                 /* As in the configuration. */
    struct control_dispatch dispatch;
    struct event_signal *signals[3];
    struct event_timer *watchdog;
    struct log_limit fdb_events;    /* Addresses come by the ten thousand; subscribers get so many a second. */
    bool ending;
};

/* ---- Configuration ---- */

/* Finds the file and opens its directory. 0 or an exit status. */
static int open_config(struct daemon *d)
{
    const char *file = d->options.config ? d->options.config : CONTROL_CONFIG_FILE;
    char copy[4096];

    d->config_dir_fd = -1;
    if (!d->options.config && access(file, F_OK) != 0) {
        return 0;               /* None is fine: everything can be asked for by the socket. */
    }
    if (!realpath(file, d->config_file)) {
        log_error("%s: %s", file, strerror(errno));
        return EX_NOINPUT;
    }
    snprintf(copy, sizeof copy, "%s", d->config_file);
    snprintf(d->config_name, sizeof d->config_name, "%s", strrchr(copy, '/') + 1);
    d->config_dir_fd = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (d->config_dir_fd < 0) {
        log_error("%s: %s", d->config_file, strerror(errno));
        return EX_NOINPUT;
    }
    return 0;
}

static int load_config(struct daemon *d, struct config *config, struct config_error *error)
{
    if (d->config_dir_fd < 0) {
        config_init(config);
        return 0;
    }
    return config_load(d->config_dir_fd, d->config_name, d->options.config ? d->options.config : d->config_file, config,
                       error);
}

static void say_status(struct daemon *d, bool ready)
{
    char text[120];

    snprintf(text, sizeof text, "%u ports, %u guests, %u addresses", datapath_port_count(d->dp),
             guests_running(d->guests), datapath_fdb_count(d->dp));
    if (ready) {
        sd_notify_ready(text);
    } else {
        sd_notify_status(text);
    }
}

static int reload(void *context, struct config_error *error)
{
    struct daemon *d = context;
    struct config_apply_error wrong;
    struct config config;
    int result;

    sd_notify_reloading();
    result = load_config(d, &config, error);
    if (result == 0) {
        result = config_apply_all(d->apply, &config, &wrong);
        if (result == 0) {
            guests_set_config(d->guests, &config);
            guests_autostart(d->guests);
        } else {
            snprintf(error->text, sizeof error->text, "%s", wrong.text);
        }
        config_free(&config);
    }
    if (result == 0) {
        log_info("configuration read again");
        control_server_event(d->server, "config.applied", jv_new_object());
    } else {
        log_error("configuration not changed: %s", error->text);
    }
    say_status(d, true);
    return result;
}

static void reload_by_signal(void *context)
{
    struct config_error error;

    (void)reload(context, &error);
}

/* ---- Events and the end ---- */

static bool is_fdb_event(const struct datapath_event *event)
{
    return event->type == DATAPATH_FDB_LEARNED || event->type == DATAPATH_FDB_MOVED || event->type == DATAPATH_FDB_AGED;
}

static void datapath_event(void *context, const struct datapath_event *event)
{
    struct daemon *d = context;
    const char *name = control_event_name(event);
    uint32_t suppressed = 0;

    if (!d->server || !control_server_wanted(d->server, name)) {
        return;
    }
    if (is_fdb_event(event) && !log_limit_pass(&d->fdb_events, event->time, &suppressed)) {
        return;
    }
    if (suppressed) {
        struct jv *data = jv_new_object();

        jv_set_uint(data, "count", suppressed);
        control_server_event(d->server, "fdb.suppressed", data);
    }
    control_server_event(d->server, name, control_event_data(event));
}

static void guest_event(void *context, const char *type, struct jv *data)
{
    struct daemon *d = context;

    if (d->server) {
        control_server_event(d->server, type, data);
    } else {
        jv_unref(data);
    }
}

static void end_loop(void *context)
{
    struct daemon *d = context;

    event_loop_stop(d->loop);
}

static void end(void *context, bool guests)
{
    struct daemon *d = context;

    if (!d->ending) {
        d->ending = true;
        sd_notify_stopping();
        control_server_event(d->server, "daemon.ending", jv_new_object());
    }
    if (guests) {
        guests_stop_all(d->guests, GUESTS_END_TIMEOUT_S * EVENT_LOOP_SECOND, end_loop, d);
    } else {
        event_loop_stop(d->loop);
    }
}

static void end_by_signal(void *context)
{
    log_info("ending; %u guests go on", guests_running(((struct daemon *)context)->guests));
    end(context, false);
}

static void watchdog(void *context)
{
    struct daemon *d = context;

    sd_notify_watchdog();
    say_status(d, false);
    event_timer_set(d->watchdog, event_loop_now(d->loop) + sd_notify_watchdog_period() / WATCHDOG_PARTS);
}

static void save_state(void *context)
{
    struct daemon *d = context;

    if (!d->ending) {
        state_save(d->state, d->apply, d->guests);
    }
}

static void audit(void *context, const struct control_session *session, const char *method)
{
    /* The dispatcher's context is the handlers'; what was asked for is saved once the request is done. */
    event_call_schedule(((struct daemon *)((struct control_context *)context)->daemon)->save);
    log_info("control: %s by uid %u, pid %u", method, session->uid, session->pid);
}

/* ---- Start ---- */

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
    datapath_set_listener(d->dp, datapath_event, d);
    return 0;
}

static int make_guests(struct daemon *d)
{
    struct guests_config config = {
        .loop = d->loop, .apply = d->apply, .launcher = d->launcher, .run_dir_fd = d->dir.fd,
        .run_dir = d->dir.path, .state_dir = d->dir.state_path, .event = guest_event, .context = d,
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
    d->save = event_call_create(d->loop, save_state, d);
    if (!d->state || !d->save) {
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
    d->dispatch = (struct control_dispatch) {.tables = control_commands, .context = &d->context, .audit = audit};
    d->context = (struct control_context) {
        .loop = d->loop, .dp = d->dp, .apply = d->apply, .guests = d->guests, .captures = d->captures, .dispatch = &d->dispatch,
        .run_dir = d->dir.path, .config_file = d->config_file, .group = d->group, .started = event_loop_now(d->loop), .daemon = d,
        .reload = reload, .shutdown = end, .io_uring = d->writer != NULL,
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

    if (!d->options.sandbox) {
        log_warning("no sandbox, as asked for");
        return 0;
    }
    if (sandbox_keep_capabilities(SANDBOX_CAP_NET_ADMIN | SANDBOX_CAP_NET_RAW, error, sizeof error) != 0
        || sandbox_filter_syscalls(error, sizeof error) != 0) {
        log_error("%s", error);
        return EX_OSERR;
    }
    return 0;
}

static int watch_signals(struct daemon *d)
{
    d->signals[0] = event_signal_create(d->loop, SIGTERM, end_by_signal, d);
    d->signals[1] = event_signal_create(d->loop, SIGINT, end_by_signal, d);
    d->signals[2] = event_signal_create(d->loop, SIGHUP, reload_by_signal, d);
    if (!d->signals[0] || !d->signals[1] || !d->signals[2]) {
        log_error("cannot watch signals");
        return EX_OSERR;
    }
    if (sd_notify_watchdog_period()) {
        d->watchdog = event_timer_create(d->loop, watchdog, d);
        watchdog(d);
    }
    return 0;
}

/* From the configuration to what runs; at the start an error ends the daemon. */
static int apply_config(struct daemon *d, const struct config *config)
{
    struct config_apply_error error;

    config_apply_be_patient(d->apply, event_loop_now(d->loop) + EVENT_LOOP_SECOND);
    if (config_apply_all(d->apply, config, &error) != 0) {
        log_error("%s", error.text);
        return error.number == EPERM || error.number == EACCES ? EX_NOPERM : EX_OSERR;
    }
    state_restore_ports(d->state, d->apply);
    config_apply_be_patient(d->apply, 0);
    guests_adopt(d->guests);
    guests_set_config(d->guests, config);
    state_restore_guests(d->state, d->guests);
    guests_autostart(d->guests);
    return 0;
}

static int start(struct daemon *d, const struct config *config)
{
    int status;

    start_launcher(d);          /* Before the lock: it must not hold on to it. */
    status = run_dir_open(&d->dir, d->options.run_dir, d->options.state_dir);
    status = status ? status : make_datapath(d, config);
    status = status ? status : make_guests(d);
    status = status ? status : make_server(d, config);
    status = status ? status : lower_rights(d);
    status = status ? status : watch_signals(d);
    status = status ? status : apply_config(d, config);
    return status;
}

static void finish(struct daemon *d, bool orderly)
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
    event_loop_destroy(d->loop);
    run_dir_leave(&d->dir);
    sd_notify_close();
}

int main(int argc, char **argv)
{
    static struct daemon daemon = {
        .dir = {.fd = -1, .lock_fd = -1},
        .fdb_events = {.period = EVENT_LOOP_SECOND, .burst = FDB_EVENTS_A_SECOND},
    };
    struct config_error error;
    struct config config;
    int status = options_read(argc, argv, &daemon.options);

    if (status >= 0) {
        return status;
    }
    log_open(daemon.options.log_level);
    signal(SIGPIPE, SIG_IGN);
    umask(0022);                /* Modes are said where things are made. */
    status = open_config(&daemon);
    if (status != 0) {
        return status;
    }
    if (load_config(&daemon, &config, &error) != 0) {
        log_error("%s", error.text);
        return EX_DATAERR;
    }
    if (daemon.options.check) {
        printf("%s: fine\n", daemon.config_file[0] ? daemon.config_file : "no configuration");
        return 0;
    }
    sd_notify_open();
    status = start(&daemon, &config);
    config_free(&config);
    if (status == 0) {
        log_info("vswitchd " CONTROL_VERSION " runs in %s", daemon.dir.path);
        say_status(&daemon, true);
        status = event_loop_run(daemon.loop) == 0 ? 0 : EX_OSERR;
    }
    finish(&daemon, status == 0);
    return status;
}
