/* SPDX-License-Identifier: BSD-2-Clause
 *
 * vswitchd(8): reads its options and configuration, and runs until a signal or
 * daemon.shutdown ends it. daemon.h is the rest.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "vswitchd/daemon.h"
#include "vswitchd/os/sd_notify.h"

enum { FDB_EVENTS_A_SECOND = 1000 };

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
    status = daemon_open_config(&daemon);
    if (status != 0) {
        return status;
    }
    status = daemon_load_config(&daemon, &config, &error);
    if (status != 0) {
        log_error("%s", error.text);
        return status == EINVAL ? EX_DATAERR : EX_NOINPUT;      /* It is wrong; it could not be read. */
    }
    if (daemon.options.check) {
        printf("%s: fine\n", daemon.config_file[0] ? daemon.config_file : "no configuration");
        return 0;
    }
    sd_notify_open();
    status = daemon_start(&daemon, &config);
    config_free(&config);
    if (status == 0) {
        log_info("vswitchd " CONTROL_VERSION " runs in %s", daemon.dir.path);
        daemon_say_status(&daemon, true);
        status = event_loop_run(daemon.loop) == 0 ? 0 : EX_OSERR;
    }
    daemon_finish(&daemon, status == 0);
    return status;
}
