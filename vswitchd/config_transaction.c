/* SPDX-License-Identifier: BSD-2-Clause
 *
 * config_apply.h: a whole configuration. A transaction does first what may fail and
 * touches nothing that is there (new ports), then takes away what is in the way,
 * makes what is left to make, and changes the rest; after a failure its steps are
 * undone from the last to the first.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vswitchd/config_apply_private.h"
#include "vswitchd/os/log.h"

enum step_kind { STEP_ADDED, STEP_REMOVED, STEP_CHANGED };

struct step {
    enum step_kind kind;
    struct config_apply_port before;    /* Of a port that was there. */
    char name[PORT_NAME_SIZE];
};

struct transaction {
    struct config_apply *apply;
    const struct config *config;
    struct config_apply_error *error;
    struct step *steps;
    size_t count;
};

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

/* Its interface has been deleted by somebody. */
static bool is_gone(const struct config_apply *apply, const char *name)
{
    const struct port *port = datapath_find_port(apply->dp, name);

    return port && port->gone;
}

static const char *interface_of(const struct config_port *port)
{
    return port->interface[0] ? port->interface : port->name;
}

/* Whether the one cannot be made while the other is there. */
static bool in_the_way(const struct config_port *there, const struct config_port *wanted)
{
    if (there->type != wanted->type) {
        return false;
    }
    return there->type == CONFIG_PORT_TAP ? strcmp(interface_of(there), interface_of(wanted)) == 0
                                          : there->listen && wanted->listen && strcmp(there->path, wanted->path) == 0;
}

static void record(struct transaction *t, enum step_kind kind, const char *name, const struct config_apply_port *before)
{
    struct step *step = &t->steps[t->count++];

    step->kind = kind;
    snprintf(step->name, sizeof step->name, "%s", name);
    if (before) {
        step->before = *before;
    }
}

static bool was_added(const struct transaction *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->steps[i].kind == STEP_ADDED && strcmp(t->steps[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void undo(const struct transaction *t)
{
    struct config_apply_error error;

    for (size_t i = t->count; i-- > 0;) {
        const struct step *step = &t->steps[i];
        int result = 0;

        if (step->kind == STEP_ADDED) {
            (void)config_apply_remove_port(t->apply, step->name);
        } else if (step->kind == STEP_REMOVED) {
            result = config_apply_add_port(t->apply, &step->before.config, step->before.origin, &error);
        } else {
            result = config_apply_set_port(t->apply, step->name, &step->before.config.policy, &error);
        }
        if (result != 0) {
            log_error("configuration: cannot go back: %s", error.text);
        }
    }
}

static int refuse_names_of_guests(const struct transaction *t)
{
    for (size_t i = 0; i < t->config->port_count; i++) {
        const struct config_apply_port *have = config_apply_find(t->apply, t->config->ports[i].name);

        if (have && have->origin == CONFIG_ORIGIN_GUEST) {
            return config_apply_fail(t->error, EEXIST, "port %s: the name belongs to a guest's port", t->config->ports[i].name);
        }
    }
    return 0;
}

static bool anything_in_the_way(const struct transaction *t, const struct config_port *wanted)
{
    for (size_t i = 0; i < t->apply->count; i++) {
        if (in_the_way(&t->apply->ports[i]->config, wanted)) {
            return true;
        }
    }
    return false;
}

/* Makes the ports that are not there: all, or those that nothing is in the way of. */
static int add_missing(struct transaction *t, bool all)
{
    for (size_t i = 0; i < t->config->port_count; i++) {
        const struct config_port *wanted = &t->config->ports[i];
        int result;

        if (config_apply_find(t->apply, wanted->name) || (!all && anything_in_the_way(t, wanted))) {
            continue;
        }
        result = config_apply_add_port(t->apply, wanted, CONFIG_ORIGIN_FILE, t->error);
        if (result != 0) {
            return result;
        }
        record(t, STEP_ADDED, wanted->name, NULL);
    }
    return 0;
}

/* Whether a port has to go before what is wanted can be made. */
static bool must_go(const struct transaction *t, const struct config_apply_port *have, bool crowded)
{
    const struct config_port *wanted = in_config(t->config, have->config.name);

    if (wanted) {
        return !same_port(&have->config, wanted) || is_gone(t->apply, wanted->name);
    }
    for (size_t i = 0; have->origin == CONFIG_ORIGIN_FILE && i < t->config->port_count; i++) {
        if (crowded || in_the_way(&have->config, &t->config->ports[i])) {
            return true;
        }
    }
    return false;
}

static void clear_the_way(struct transaction *t, bool crowded)
{
    for (size_t i = t->apply->count; i-- > 0;) {
        struct config_apply_port have = *t->apply->ports[i];

        if (must_go(t, &have, crowded)) {
            (void)config_apply_remove_port(t->apply, have.config.name);
            record(t, STEP_REMOVED, have.config.name, &have);
        }
    }
}

static int change_others(struct transaction *t)
{
    for (size_t i = 0; i < t->config->port_count; i++) {
        const struct config_port *wanted = &t->config->ports[i];
        struct config_apply_port before = *config_apply_find(t->apply, wanted->name);
        struct switch_port_config policy = wanted->policy;
        int result;

        if (was_added(t, wanted->name)) {
            continue;
        }
        policy.mtu = config_apply_mtu(t->apply, wanted);
        result = config_apply_set_port(t->apply, wanted->name, &policy, t->error);
        if (result != 0) {
            return result;
        }
        record(t, STEP_CHANGED, wanted->name, &before);
    }
    return 0;
}

/* What may fail. Each step that is done is recorded. */
static int apply_ports(struct transaction *t)
{
    size_t missing = 0;
    bool crowded;
    int result = refuse_names_of_guests(t);

    for (size_t i = 0; i < t->config->port_count; i++) {
        missing += !config_apply_find(t->apply, t->config->ports[i].name);
    }
    crowded = t->apply->count + missing > PORT_SET_MAX;
    if (result == 0 && !crowded) {
        result = add_missing(t, false);
    }
    if (result == 0) {
        clear_the_way(t, crowded);
        result = add_missing(t, true);
    }
    return result ? result : change_others(t);
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
    struct transaction t = {
        .apply = apply, .config = config, .error = error,
        .steps = calloc(2 * config->port_count + apply->count + 1, sizeof *t.steps),
    };
    int result;

    if (!t.steps) {
        return config_apply_fail(error, ENOMEM, "out of memory");
    }
    config_apply_set_switch(apply, &config->eth_switch);
    result = apply_ports(&t);
    if (result == 0) {
        remove_unwanted(apply, config);
    } else {
        config_apply_set_switch(apply, &before);        /* First: MTUs depend on it. */
        undo(&t);
    }
    free(t.steps);
    return result;
}
