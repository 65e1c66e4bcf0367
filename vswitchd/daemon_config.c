/* SPDX-License-Identifier: BSD-2-Clause
 *
 * daemon.h: the configuration file, and how it becomes what runs, at the start
 * and when it is read again. config.h and config_apply.h do the work.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "vswitchd/daemon.h"
#include "vswitchd/os/sd_notify.h"

int daemon_open_config(struct daemon *d)
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

int daemon_load_config(struct daemon *d, struct config *config, struct config_error *error)
{
    if (d->config_dir_fd < 0 && daemon_open_config(d) != 0) {   /* There may be one by now. */
        snprintf(error->text, sizeof error->text, "%s cannot be opened", CONTROL_CONFIG_FILE);
        return ENOENT;
    }
    if (d->config_dir_fd < 0) {
        config_init(config);
        return 0;
    }
    return config_load(d->config_dir_fd, d->config_name, d->options.config ? d->options.config : d->config_file, config,
                       error);
}

int daemon_apply_config(struct daemon *d, const struct config *config)
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

/* What somebody has removed from beneath the daemon is made again: who reloads may be there since nothing else helps. */
static void make_again(struct daemon *d)
{
    if (run_dir_again(&d->dir)) {
        bool guests = guests_directory_again(d->guests), captures = captures_directory_again(d->captures, d->dir.fd);

        if (guests || captures) {
            run_dir_share(&d->dir, d->group);   /* Not each time: looking up a group may take long. */
        }
        control_server_again(d->server);
        config_apply_listen_again(d->apply);
        event_call_schedule(d->save);
    }
}

int daemon_reload(void *context, struct config_error *error)
{
    struct daemon *d = context;
    struct config_apply_error wrong;
    struct config config;
    int result;

    sd_notify_reloading();
    make_again(d);
    result = daemon_load_config(d, &config, error);
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
    daemon_say_status(d, true);
    return result;
}

void daemon_reload_by_signal(void *context)
{
    struct config_error error;

    (void)daemon_reload(context, &error);
}
