/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The data path with nothing around it: taps named on the command line, one
 * switch, counters on standard output at SIGTERM. For tests and measurements
 * of the data path alone; the daemon is vswitchd/main.c.
 *
 * Small frames go in batches where the host has io_uring, unless NO_IO_URING is set.
 *
 *   tap_switch NAME[,access=VLAN][,trunk=LIST][,native=VLAN][,mtu=N][,plain] ...
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vswitchd/datapath.h"
#include "vswitchd/os/log.h"
#include "vswitchd/ports/port_tap.h"

static void stop(void *context)
{
    event_loop_stop(context);
}

static bool print_port(void *context, const struct datapath_port_info *info)
{
    const struct port_counters *c = info->counters;
    (void)context;
    printf("%s link=%d in=%llu/%llu out=%llu/%llu segments=%llu checksums=%llu", info->name, info->link,
           (unsigned long long)c->in_frames, (unsigned long long)c->in_bytes, (unsigned long long)c->out_frames,
           (unsigned long long)c->out_bytes, (unsigned long long)c->out_segments, (unsigned long long)c->out_checksums);
    for (unsigned i = 0; i < DROP_REASON_COUNT; i++)
        if (c->drops[i])
            printf(" %s=%llu", drop_reason_name((enum drop_reason)i), (unsigned long long)c->drops[i]);
    printf("\n");
    return true;
}

static void print_event(void *context, const struct datapath_event *event)
{
    (void)context;
    log_debug("event %d port %s vlan %u mac %012llx", (int)event->type, event->port, event->vlan,
              (unsigned long long)event->mac);
}

static void fail(const char *what)
{
    fprintf(stderr, "tap_switch: %s\n", what);
    exit(1);
}

static void parse(char *spec, struct port_tap_config *tap, struct switch_port_config *config)
{
    char *save = NULL;
    port_tap_config_init(tap, strtok_r(spec, ",", &save));
    switch_port_config_init(config);
    for (char *option; (option = strtok_r(NULL, ",", &save));) {
        if (strncmp(option, "access=", 7) == 0) {
            config->vlan.pvid = (uint16_t)atoi(option + 7);
        } else if (strncmp(option, "trunk=", 6) == 0) {
            for (char *c = option; *c; c++)
                *c = *c == '+' ? ',' : *c; /* 10+20-29 */
            config->vlan.mode = VLAN_TRUNK;
            config->vlan.pvid = 0;
            if (!vlan_set_parse(&config->vlan.allowed, option + 6))
                fail("bad VLAN list");
        } else if (strncmp(option, "native=", 7) == 0) {
            config->vlan.pvid = (uint16_t)atoi(option + 7);
        } else if (strncmp(option, "mtu=", 4) == 0) {
            config->mtu = tap->mtu = (uint32_t)atoi(option + 4);
        } else if (strcmp(option, "plain") == 0) {
            tap->offload = false;
        } else {
            fail("bad option");
        }
    }
}

int main(int argc, char **argv)
{
    struct switch_config config;
    log_open(getenv("DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    switch_config_init(&config);
    struct event_loop *loop = event_loop_create();
    struct netlink *nl = netlink_open();
    struct write_batch *writer = getenv("NO_IO_URING") ? NULL : write_batch_create((char[100]){0}, 100);
    struct datapath *dp = loop ? datapath_create(loop, &config) : NULL;
    if (!dp || !nl)
        fail("cannot start");
    datapath_set_listener(dp, print_event, NULL);
    for (int i = 1; i < argc; i++) {
        struct port_tap_config tap;
        struct switch_port_config port_config;
        struct port *port;
        char error[PORT_ERROR_SIZE];
        parse(argv[i], &tap, &port_config);
        tap.writer = writer;
        if (port_tap_create(loop, nl, &tap, &port, error) != 0)
            fail(error);
        if (datapath_add_port(dp, port, &port_config) != 0)
            fail("cannot add the port");
    }
    struct event_signal *end[2] = {event_signal_create(loop, SIGTERM, stop, loop),
                                   event_signal_create(loop, SIGINT, stop, loop)};
    printf("ready\n");
    fflush(stdout);
    event_loop_run(loop);
    datapath_each_port(dp, print_port, NULL);
    printf("fdb %u\n", datapath_fdb_count(dp));
    event_signal_destroy(end[0]);
    event_signal_destroy(end[1]);
    datapath_destroy(dp);
    write_batch_destroy(writer);
    netlink_close(nl);
    event_loop_destroy(loop);
    return 0;
}
