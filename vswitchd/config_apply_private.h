/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What config_apply.c and config_transaction.c share. Nobody else includes this.
 */
#ifndef VSWITCHD_CONFIG_APPLY_PRIVATE_H
#define VSWITCHD_CONFIG_APPLY_PRIVATE_H

#include "vswitchd/config_apply.h"

struct config_apply {
    struct event_loop *loop;
    struct datapath *dp;
    struct config_apply_host host;
    struct config_switch eth_switch;
    uint64_t patient_until;
    size_t count;
    struct config_apply_port *ports[PORT_SET_MAX];
};

/* The port's own MTU, or the switch's. */
uint32_t config_apply_mtu(const struct config_apply *apply, const struct config_port *port);

#endif
