/* SPDX-License-Identifier: BSD-2-Clause
 *
 * config_apply.h: one port at a time, and the switch. config_transaction.c carries
 * out a whole configuration.
 */
#include "vswitchd/config_apply_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vswitchd/os/log.h"
#include "vswitchd/ports/port_tap.h"
#include "vswitchd/ports/port_vhost_user.h"

const char *config_origin_name(enum config_origin origin)
{
    static const char *const names[] = {"file", "request", "guest"};

    return names[origin];
}

struct config_apply *config_apply_create(struct event_loop *loop, struct datapath *dp,
                                         const struct config_apply_host *host)
{
    struct config_apply *apply = calloc(1, sizeof *apply);

    if (apply) {
        apply->loop = loop;
        apply->dp = dp;
        apply->host = *host;
        config_switch_init(&apply->eth_switch);
    }
    return apply;
}

void config_apply_be_patient(struct config_apply *apply, uint64_t until)
{
    apply->patient_until = until;
}

void config_apply_destroy(struct config_apply *apply)
{
    if (apply) {
        for (size_t i = 0; i < apply->count; i++) {
            free(apply->ports[i]);
        }
        free(apply);
    }
}

const struct config_switch *config_apply_switch(const struct config_apply *apply)
{
    return &apply->eth_switch;
}

void config_apply_set_switch(struct config_apply *apply, const struct config_switch *eth_switch)
{
    struct switch_config now = *datapath_get_config(apply->dp);

    now.fdb_ageing = eth_switch->fdb_ageing;
    now.forward_reserved = eth_switch->forward_reserved;
    datapath_set_config(apply->dp, &now);
    if (eth_switch->fdb_capacity != now.fdb_capacity) {
        log_warning("switch: fdb_size %u takes effect with the next start; it is %u", eth_switch->fdb_capacity,
                    now.fdb_capacity);
    }
    apply->eth_switch = *eth_switch;
}

static size_t find(const struct config_apply *apply, const char *name)
{
    size_t i;

    for (i = 0; i < apply->count && strcmp(apply->ports[i]->config.name, name) != 0; i++) {
    }
    return i;
}

const struct config_apply_port *config_apply_find(const struct config_apply *apply, const char *name)
{
    size_t i = find(apply, name);

    return i < apply->count ? apply->ports[i] : NULL;
}

size_t config_apply_count(const struct config_apply *apply)
{
    return apply->count;
}

const struct config_apply_port *config_apply_at(const struct config_apply *apply, size_t index)
{
    return apply->ports[index];
}

int config_apply_fail(struct config_apply_error *error, int number, const char *format, ...)
{
    va_list args;

    error->number = number;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return number;
}

/* ---- Making a port, by its type ---- */

/* The address survives a restart, so that guests need not ask for it anew: FNV-1a of identity and name. */
static void derive_mac(uint64_t identity, const char *name, uint8_t mac[6])
{
    uint64_t hash = UINT64_C(14695981039346656037) ^ identity;

    for (; *name; name++) {
        hash = (hash ^ (uint8_t)*name) * UINT64_C(1099511628211);
    }
    hash ^= hash >> 32;
    mac[0] = 0x02;
    for (int i = 1; i < 6; i++) {
        mac[i] = (uint8_t)(hash >> 8 * (i - 1));
    }
}

static int create_tap(struct config_apply *apply, const struct config_port *config, uint32_t mtu, struct port **port,
                      char error[PORT_ERROR_SIZE])
{
    static const struct timespec pause = {.tv_nsec = 5000000};
    struct port_tap_config tap;
    uint8_t mac[6];
    int result;

    if (!apply->host.netlink) {
        snprintf(error, PORT_ERROR_SIZE, "no rtnetlink socket: taps cannot be made here");
        return EPERM;
    }
    port_tap_config_init(&tap, config->name);
    tap.interface = config->interface[0] ? config->interface : config->name;
    tap.mtu = mtu;
    derive_mac(apply->host.identity, config->name, mac);
    tap.mac = config->has_mac ? config->mac : mac;
    tap.keep_mac = !config->has_mac;
    tap.offload = config->offload;
    tap.writer = apply->host.writer;
    tap.address_count = config->address_count;
    for (unsigned i = 0; i < config->address_count; i++) {
        tap.addresses[i] = config->addresses[i];
    }
    do {
        result = port_tap_create(apply->loop, apply->host.netlink, &tap, port, error);
        if (result == EBUSY) {
            (void)nanosleep(&pause, NULL);
        }
    } while (result == EBUSY && event_loop_now(apply->loop) < apply->patient_until);
    return result;
}

static int create_vhost_user(struct config_apply *apply, const struct config_port *config, uint32_t mtu,
                             struct port **port, char error[PORT_ERROR_SIZE])
{
    struct port_vhost_user_config vhost;

    (void)mtu;                  /* The data path tells the port. */
    port_vhost_user_config_init(&vhost, config->name, config->path);
    vhost.server = config->listen;
    vhost.unsealed = config->unsealed;
    vhost.offload = config->offload;
    vhost.mode = 0660;
    return port_vhost_user_create(apply->loop, &vhost, port, error);
}

static int create_port(struct config_apply *apply, const struct config_port *config, uint32_t mtu, struct port **port,
                       char error[PORT_ERROR_SIZE])
{
    static int (*const makers[])(struct config_apply *, const struct config_port *, uint32_t, struct port **, char *) = {
        [CONFIG_PORT_TAP] = create_tap,
        [CONFIG_PORT_VHOST_USER] = create_vhost_user,
    };

    error[0] = '\0';
    return makers[config->type](apply, config, mtu, port, error);
}

uint32_t config_apply_mtu(const struct config_apply *apply, const struct config_port *port)
{
    return port->mtu ? port->mtu : apply->eth_switch.mtu;
}

int config_apply_add_port(struct config_apply *apply, const struct config_port *port, enum config_origin origin,
                          struct config_apply_error *error)
{
    struct config_apply_port *entry;
    struct port *made = NULL;
    char text[PORT_ERROR_SIZE];
    int result;

    if (find(apply, port->name) < apply->count) {
        return config_apply_fail(error, EEXIST, "there is a port \"%s\" already", port->name);
    }
    if (apply->count == PORT_SET_MAX) {
        return config_apply_fail(error, ENOSPC, "the switch is full: it has %u ports", PORT_SET_MAX);
    }
    entry = malloc(sizeof *entry);
    if (!entry) {
        return config_apply_fail(error, ENOMEM, "out of memory");
    }
    entry->config = *port;
    entry->config.policy.mtu = config_apply_mtu(apply, port);
    entry->origin = origin;
    result = create_port(apply, port, entry->config.policy.mtu, &made, text);
    if (result != 0) {
        free(entry);
        return config_apply_fail(error, result, "port %s: %s", port->name, text[0] ? text : strerror(result));
    }
    result = datapath_add_port(apply->dp, made, &entry->config.policy);
    if (result != 0) {
        port_destroy(made);
        free(entry);
        return config_apply_fail(error, result, "port %s: %s", port->name, strerror(result));
    }
    apply->ports[apply->count++] = entry;
    return 0;
}

int config_apply_set_port(struct config_apply *apply, const char *name, const struct switch_port_config *policy,
                          struct config_apply_error *error)
{
    size_t i = find(apply, name);
    int result;

    if (i == apply->count) {
        return config_apply_fail(error, ENOENT, "there is no port \"%s\"", name);
    }
    result = datapath_set_port(apply->dp, name, policy);
    if (result != 0) {
        return config_apply_fail(error, result, "port %s: %s", name, strerror(result));
    }
    if (policy->mtu != apply->ports[i]->config.policy.mtu) {
        apply->ports[i]->config.mtu = policy->mtu;
    }
    apply->ports[i]->config.policy = *policy;
    return 0;
}

void config_apply_listen_again(struct config_apply *apply)
{
    for (size_t i = 0; i < apply->count; i++) {
        const struct config_port *config = &apply->ports[i]->config;

        if (config->type == CONFIG_PORT_VHOST_USER && config->listen) {
            port_vhost_user_listen_again(datapath_find_port(apply->dp, config->name));
        }
    }
}

int config_apply_remove_port(struct config_apply *apply, const char *name)
{
    size_t i = find(apply, name);

    if (i == apply->count) {
        return ENOENT;
    }
    (void)datapath_remove_port(apply->dp, name);
    free(apply->ports[i]);
    apply->count--;
    memmove(&apply->ports[i], &apply->ports[i + 1], (apply->count - i) * sizeof *apply->ports);
    return 0;
}
