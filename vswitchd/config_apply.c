/* SPDX-License-Identifier: BSD-2-Clause
 *
 * config_apply.h. A transaction does first what may fail (new ports, then those
 * that must be made anew), then what cannot; after a failure its steps are
 * undone from the last to the first.
 */
#include "vswitchd/config_apply.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vswitchd/os/log.h"
#include "vswitchd/ports/port_tap.h"
#include "vswitchd/ports/port_vhost_user.h"

struct config_apply {
    struct event_loop *loop;
    struct datapath *dp;
    struct config_apply_host host;
    struct config_switch eth_switch;
    uint64_t patient_until;
    size_t count;
    struct config_apply_port *ports[PORT_SET_MAX];
};

enum step_kind { STEP_ADDED, STEP_REPLACED, STEP_REMOVED_FOR_REPLACEMENT, STEP_CHANGED };

struct step {
    enum step_kind kind;
    struct config_port before;      /* Of a port that was there. */
    char name[PORT_NAME_SIZE];
};

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

static uint32_t effective_mtu(const struct config_apply *apply, const struct config_port *port)
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
        return fail(error, EEXIST, "there is a port \"%s\" already", port->name);
    }
    if (apply->count == PORT_SET_MAX) {
        return fail(error, ENOSPC, "the switch is full: it has %u ports", PORT_SET_MAX);
    }
    entry = malloc(sizeof *entry);
    if (!entry) {
        return fail(error, ENOMEM, "out of memory");
    }
    entry->config = *port;
    entry->config.policy.mtu = effective_mtu(apply, port);
    entry->origin = origin;
    result = create_port(apply, port, entry->config.policy.mtu, &made, text);
    if (result != 0) {
        free(entry);
        return fail(error, result, "port %s: %s", port->name, text[0] ? text : strerror(result));
    }
    result = datapath_add_port(apply->dp, made, &entry->config.policy);
    if (result != 0) {
        port_destroy(made);
        free(entry);
        return fail(error, result, "port %s: %s", port->name, strerror(result));
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
        return fail(error, ENOENT, "there is no port \"%s\"", name);
    }
    result = datapath_set_port(apply->dp, name, policy);
    if (result != 0) {
        return fail(error, result, "port %s: %s", name, strerror(result));
    }
    if (policy->mtu != apply->ports[i]->config.policy.mtu) {
        apply->ports[i]->config.mtu = policy->mtu;
    }
    apply->ports[i]->config.policy = *policy;
    return 0;
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

/* ---- The transaction ---- */

static bool same_addresses(const struct config_port *a, const struct config_port *b)
{
    for (unsigned i = 0; i < a->address_count && a->address_count == b->address_count; i++) {
        if (strcmp(a->addresses[i], b->addresses[i]) != 0) {
            return false;
        }
    }
    return a->address_count == b->address_count;
}

/* Whether `b` can be had from a port made as `a` without making it anew. */
static bool same_port(const struct config_port *a, const struct config_port *b)
{
    return a->type == b->type && strcmp(a->interface, b->interface) == 0 && a->offload == b->offload
           && a->has_mac == b->has_mac && memcmp(a->mac, b->mac, sizeof a->mac) == 0
           && same_addresses(a, b) && strcmp(a->path, b->path) == 0 && a->listen == b->listen
           && a->unsealed == b->unsealed;
}

static const struct config_port *in_config(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->port_count; i++) {
        if (strcmp(config->ports[i].name, name) == 0) {
            return &config->ports[i];
        }
    }
    return NULL;
}

static void undo(struct config_apply *apply, const struct step *steps, size_t count)
{
    struct config_apply_error error;

    while (count-- > 0) {
        const struct step *step = &steps[count];
        int result = 0;

        if (step->kind == STEP_ADDED || step->kind == STEP_REPLACED) {
            (void)config_apply_remove_port(apply, step->name);
        } else if (step->kind == STEP_REMOVED_FOR_REPLACEMENT) {
            result = config_apply_add_port(apply, &step->before, CONFIG_ORIGIN_FILE, &error);
        } else {
            result = config_apply_set_port(apply, step->name, &step->before.policy, &error);
        }
        if (result != 0) {
            log_error("configuration: cannot go back: %s", error.text);
        }
    }
}

static void record(struct step *steps, size_t *count, enum step_kind kind, const char *name,
                   const struct config_port *before)
{
    struct step *step = &steps[(*count)++];

    step->kind = kind;
    snprintf(step->name, sizeof step->name, "%s", name);
    if (before) {
        step->before = *before;
    }
}

/* What may fail. Each step that is done is recorded. */
static int apply_ports(struct config_apply *apply, const struct config *config, struct step *steps, size_t *count,
                       struct config_apply_error *error)
{
    for (size_t i = 0; i < config->port_count; i++) {
        const struct config_port *wanted = &config->ports[i];
        const struct config_apply_port *have = config_apply_find(apply, wanted->name);
        struct switch_port_config policy = wanted->policy;
        struct config_port before;
        int result;

        if (!have) {
            result = config_apply_add_port(apply, wanted, CONFIG_ORIGIN_FILE, error);
            if (result != 0) {
                return result;
            }
            record(steps, count, STEP_ADDED, wanted->name, NULL);
            continue;
        }
        if (have->origin == CONFIG_ORIGIN_GUEST) {
            return fail(error, EEXIST, "port %s: the name belongs to a guest's port", wanted->name);
        }
        before = have->config;
        if (same_port(&before, wanted)) {
            policy.mtu = effective_mtu(apply, wanted);
            result = config_apply_set_port(apply, wanted->name, &policy, error);
            if (result != 0) {
                return result;
            }
            record(steps, count, STEP_CHANGED, wanted->name, &before);
        } else {
            (void)config_apply_remove_port(apply, wanted->name);
            record(steps, count, STEP_REMOVED_FOR_REPLACEMENT, before.name, &before);
            result = config_apply_add_port(apply, wanted, CONFIG_ORIGIN_FILE, error);
            if (result != 0) {
                return result;
            }
            record(steps, count, STEP_REPLACED, wanted->name, NULL);
        }
    }
    return 0;
}

static void remove_unwanted(struct config_apply *apply, const struct config *config)
{
    for (size_t i = apply->count; i-- > 0;) {
        const struct config_apply_port *have = apply->ports[i];

        if (in_config(config, have->config.name)) {
            apply->ports[i]->origin = CONFIG_ORIGIN_FILE;
        } else if (have->origin == CONFIG_ORIGIN_FILE) {
            (void)config_apply_remove_port(apply, have->config.name);
        }
    }
}

int config_apply_all(struct config_apply *apply, const struct config *config, struct config_apply_error *error)
{
    struct config_switch before = apply->eth_switch;
    struct step *steps = calloc(2 * config->port_count + 1, sizeof *steps);
    size_t count = 0;
    int result;

    if (!steps) {
        return fail(error, ENOMEM, "out of memory");
    }
    config_apply_set_switch(apply, &config->eth_switch);
    result = apply_ports(apply, config, steps, &count, error);
    if (result == 0) {
        remove_unwanted(apply, config);
    } else {
        undo(apply, steps, count);
        config_apply_set_switch(apply, &before);
    }
    free(steps);
    return result;
}
