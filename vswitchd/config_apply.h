/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From settings to what runs: makes the ports that a configuration, a request
 * or a guest asks for, remembers how each was made, and carries a new
 * configuration out as a transaction: all of it, or what was there before.
 */
#ifndef VSWITCHD_CONFIG_APPLY_H
#define VSWITCHD_CONFIG_APPLY_H

#include "vswitchd/config.h"
#include "vswitchd/datapath.h"
#include "vswitchd/os/netlink.h"
#include "vswitchd/os/write_batch.h"

struct config_apply;

enum config_origin { CONFIG_ORIGIN_FILE, CONFIG_ORIGIN_REQUEST, CONFIG_ORIGIN_GUEST };
const char *config_origin_name(enum config_origin origin);

struct config_apply_port {
    struct config_port config;
    enum config_origin origin;
};

/* What went wrong: errno and a text for a person. */
struct config_apply_error {
    int number;
    char text[PORT_ERROR_SIZE + 64];
};

/* Fills in the error; answers its number. */
int config_apply_fail(struct config_apply_error *error, int number, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct config_apply_host {
    struct netlink *netlink;        /* NULL where there are no rights to it: taps then fail with a reason. */
    struct write_batch *writer;     /* For taps; NULL: none. */
    uint64_t identity;              /* The same whenever this daemon is started and another one for others: MAC addresses of
                                       taps are derived from it and their names. */
};

struct config_apply *config_apply_create(struct event_loop *loop, struct datapath *dp,
                                         const struct config_apply_host *host);
void config_apply_destroy(struct config_apply *apply);      /* The ports stay with the data path. */

/* Until then, taps that are in use are waited for, and nothing else happens: for the start of a daemon. The kernel lets go
 * of a killed one's some 25 ms after its end where a ring knew them (os/write_batch.h). */
void config_apply_be_patient(struct config_apply *apply, uint64_t until);

/* The switch's settings as they are. */
const struct config_switch *config_apply_switch(const struct config_apply *apply);
void config_apply_set_switch(struct config_apply *apply, const struct config_switch *eth_switch);

/* 0 or errno with *error. */
int config_apply_add_port(struct config_apply *apply, const struct config_port *port, enum config_origin origin,
                          struct config_apply_error *error);
int config_apply_set_port(struct config_apply *apply, const char *name, const struct switch_port_config *policy,
                          struct config_apply_error *error);
int config_apply_remove_port(struct config_apply *apply, const char *name);     /* ENOENT */

/* NULL: no such port. Valid until a port is added or removed. */
/* Sockets of ports that somebody has removed are made again. */
void config_apply_listen_again(struct config_apply *apply);
const struct config_apply_port *config_apply_find(const struct config_apply *apply, const char *name);
size_t config_apply_count(const struct config_apply *apply);
const struct config_apply_port *config_apply_at(const struct config_apply *apply, size_t index);

/* Makes the ports of CONFIG_ORIGIN_FILE and the switch what *config says. On failure nothing has changed. */
int config_apply_all(struct config_apply *apply, const struct config *config, struct config_apply_error *error);

#endif
