/* SPDX-License-Identifier: BSD-2-Clause
 *
 * daemon.h: what the daemon does when something happens while it runs: events
 * for subscribers, the log of requests, the watchdog, the end.
 */
#include <stdio.h>

#include "vswitchd/daemon.h"
#include "vswitchd/os/sd_notify.h"

enum { GUESTS_END_TIMEOUT_S = 10, WATCHDOG_PARTS = 3, SAVE_AGAIN_S = 2 };

void daemon_say_status(struct daemon *d, bool ready)
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

static bool is_fdb_event(const struct datapath_event *event)
{
    return event->type == DATAPATH_FDB_LEARNED || event->type == DATAPATH_FDB_MOVED || event->type == DATAPATH_FDB_AGED;
}

void daemon_datapath_event(void *context, const struct datapath_event *event)
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

void daemon_guest_event(void *context, const char *type, struct jv *data)
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

void daemon_end(void *context, bool guests)
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

void daemon_end_by_signal(void *context)
{
    log_info("ending; %u guests go on", guests_running(((struct daemon *)context)->guests));
    daemon_end(context, false);
}

void daemon_watchdog(void *context)
{
    struct daemon *d = context;

    sd_notify_watchdog();
    daemon_say_status(d, false);
    event_timer_set(d->watchdog, event_loop_now(d->loop) + sd_notify_watchdog_period() / WATCHDOG_PARTS);
}

void daemon_save_state(void *context)
{
    struct daemon *d = context;

    if (!d->ending && !state_save(d->state, d->apply, d->guests)) {
        event_timer_set(d->save_again, event_loop_now(d->loop) + SAVE_AGAIN_S * EVENT_LOOP_SECOND);
    }
}

void daemon_audit(void *context, const struct control_session *session, const char *method)
{
    /* The dispatcher's context is the handlers'; what was asked for is saved once the request is done. */
    event_call_schedule(((struct daemon *)((struct control_context *)context)->daemon)->save);
    log_info("control: %s by uid %u, pid %u", method, session->uid, session->pid);
}
