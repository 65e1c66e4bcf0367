/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The stable names of drop reasons (counters.h).
 */
#include "vswitchd/core/counters.h"

#include <stddef.h>

static const char *const names[DROP_REASON_COUNT] = {
    [DROP_NONE] = "none",
    [DROP_RUNT] = "runt",
    [DROP_OVERSIZE] = "oversize",
    [DROP_BAD_SOURCE] = "bad_source",
    [DROP_BAD_OFFLOAD] = "bad_offload",
    [DROP_RESERVED] = "reserved",
    [DROP_VLAN_TAGGED] = "vlan_tagged",
    [DROP_VLAN_UNTAGGED] = "vlan_untagged",
    [DROP_VLAN_NOT_ALLOWED] = "vlan_not_allowed",
    [DROP_PORT_DISABLED] = "port_disabled",
    [DROP_SAME_PORT] = "same_port",
    [DROP_NO_DESTINATION] = "no_destination",
    [DROP_MTU] = "mtu",
    [DROP_QUEUE_FULL] = "queue_full",
    [DROP_PORT_DOWN] = "port_down",
    [DROP_SEND_ERROR] = "send_error",
};

const char *drop_reason_name(enum drop_reason reason)
{
    return (unsigned)reason < DROP_REASON_COUNT ? names[reason] : "unknown";
}
