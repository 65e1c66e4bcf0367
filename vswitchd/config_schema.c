/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The tables of config.h: which members there are and what they may hold.
 * config.c turns what passed them into structs.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "vswitchd/config.h"
#include "vswitchd/core/vlan.h"

static const char *check_port_name(const char *text)
{
    return port_name_valid(text) ? NULL : "a port's name has 1 to 31 of a-z A-Z 0-9 . _ - and starts with none of . -";
}

static const char *check_guest_name(const char *text)
{
    if (strlen(text) >= CONFIG_GUEST_NAME_SIZE || !port_name_valid(text)) {
        return "a guest's name has 1 to 24 of a-z A-Z 0-9 . _ - and starts with none of . -";
    }
    return NULL;
}

static const char *check_interface(const char *text)
{
    if (text[0] == '\0' || strlen(text) >= CONFIG_INTERFACE_SIZE || strpbrk(text, "/:% \t\n\r\v\f")
        || strcmp(text, ".") == 0 || strcmp(text, "..") == 0) {
        return "an interface's name has 1 to 15 characters, none of / : % or white space";
    }
    return NULL;
}

const char *config_check_vlan_set(const char *text)
{
    struct vlan_set set;

    return vlan_set_parse(&set, text) ? NULL : "VLANs are written like \"10,20-29\" (1 to 4094) or \"all\"";
}

static const char *check_mac(const char *text)
{
    uint8_t mac[6];
    static const uint8_t zero[6];

    if (!config_mac_parse(text, mac) || (mac[0] & 1) || memcmp(mac, zero, 6) == 0) {
        return "a MAC address is written like 52:54:00:12:34:56 and is no group address";
    }
    return NULL;
}

/* With its length: an address alone would be a host's without a network, which is never meant here. */
static const char *check_address(const char *text)
{
    static const char wrong[] = "an address has its length with it, like 10.9.0.254/24 or fd00::1/64";
    char address[CONFIG_ADDRESS_SIZE], bytes[16], *end;
    const char *slash = strchr(text, '/');
    long length = slash && slash[1] >= '0' && slash[1] <= '9' ? strtol(slash + 1, &end, 10) : -1;

    if (length < 0 || *end) {
        return wrong;
    }
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = '\0';
    if ((length <= 32 && inet_pton(AF_INET, address, bytes) == 1)
        || (length <= 128 && inet_pton(AF_INET6, address, bytes) == 1)) {
        return NULL;
    }
    return wrong;
}

static const char *check_file(const char *text)
{
    return text[0] == '/' ? NULL : "an absolute path is needed";
}

static const char *check_line(const char *text)
{
    return strpbrk(text, "\n\r") ? "it must be one line" : NULL;
}

static const char *check_isa_port(const char *text)
{
    return config_isa_port(text) ? NULL
                                 : "an ISA card's ports begin at \"0x200\" to \"0x3c0\" in steps of 0x20, but 0x260 and 0x2e0";
}

static const char *const port_types[] = {"tap", "vhost-user", NULL};
const char *const config_vlan_modes[] = {"access", "trunk", NULL};
static const char *const roles[] = {"client", "server", NULL};
static const char *const models[] = {"e1000", "e1000-82545em", "rtl8029", "rtl8019as", "ne2000", "ne1000",
                                     "virtio-net", NULL};
static const char *const reserved_names[] = {"all", "stp", "pause", "lacp", "eap", "lldp", NULL};

static const struct json_spec reserved_element[] = {
    {.kind = JSON_SPEC_ENUM, .choices = reserved_names},
};
static const struct json_spec address_element[] = {
    {.kind = JSON_SPEC_STRING, .min = 3, .max = CONFIG_ADDRESS_SIZE - 1, .check = check_address},
};

const struct json_spec config_vlan_spec[] = {
    CONFIG_VLAN_MEMBERS,
    {0},
};

#define POLICY_MEMBERS                                                                                              \
    {.name = "vlan", .kind = JSON_SPEC_OBJECT, .members = config_vlan_spec},                                        \
    {.name = "mtu", .kind = JSON_SPEC_INT, .min = SWITCH_MTU_MIN, .max = SWITCH_MTU_MAX},                           \
    {.name = "enabled", .kind = JSON_SPEC_BOOL, .help = "administratively up"},                                     \
    {.name = "learning", .kind = JSON_SPEC_BOOL, .help = "learns source addresses"},                                \
    {.name = "flood", .kind = JSON_SPEC_BOOL, .help = "receives unicast frames to unknown addresses"},              \
    {.name = "max_macs", .kind = JSON_SPEC_INT, .min = 1, .max = 1 << 20, .help = "learned addresses at most"},     \
    {.name = "forward_reserved", .kind = JSON_SPEC_ARRAY, .max = 8, .members = reserved_element,                    \
     .help = "protocols of 01:80:c2:00:00:0x to forward"}

const struct json_spec config_port_spec[] = {
    {.name = "name", .kind = JSON_SPEC_STRING, .required = true, .check = check_port_name},
    {.name = "type", .kind = JSON_SPEC_ENUM, .required = true, .choices = port_types},
    POLICY_MEMBERS,
    {.name = "interface", .kind = JSON_SPEC_STRING, .check = check_interface, .help = "tap: the interface's name, if not the port's"},
    {.name = "mac", .kind = JSON_SPEC_STRING, .check = check_mac, .help = "tap: the interface's MAC address"},
    {.name = "addresses", .kind = JSON_SPEC_ARRAY, .max = CONFIG_ADDRESSES_MAX, .members = address_element,
     .help = "tap: IP addresses of the host there, \"10.9.0.1/24\""},
    {.name = "offload", .kind = JSON_SPEC_BOOL, .help = "leave checksums and segmentation to who can do them (default)"},
    {.name = "path", .kind = JSON_SPEC_STRING, .max = CONFIG_PATH_MAX - 1, .check = check_file,
     .help = "vhost-user: the socket"},
    {.name = "role", .kind = JSON_SPEC_ENUM, .choices = roles, .help = "vhost-user: client connects (default), server listens"},
    {.name = "unsealed", .kind = JSON_SPEC_BOOL, .help = "vhost-user: admit memory without seals against shrinking"},
    {0},
};

const struct json_spec config_port_set_spec[] = {
    {.name = "name", .kind = JSON_SPEC_STRING, .required = true, .check = check_port_name},
    POLICY_MEMBERS,
    {0},
};

static const struct json_spec nic_members[] = {
    {.name = "model", .kind = JSON_SPEC_ENUM, .required = true, .choices = models},
    {.name = "mac", .kind = JSON_SPEC_STRING, .check = check_mac},
    {.name = "port", .kind = JSON_SPEC_STRING, .check = check_port_name, .help = "the port's name: the guest's, unless said"},
    {.name = "link", .kind = JSON_SPEC_BOOL, .help = "false: the cable is unplugged"},
    {.name = "io", .kind = JSON_SPEC_STRING, .check = check_isa_port, .help = "ISA cards: where their ports are, \"0x300\""},
    {.name = "irq", .kind = JSON_SPEC_INT, .min = 3, .max = 15, .help = "ISA cards: 3, 5, 7, 9, 12 or 15"},
    {.name = "slot", .kind = JSON_SPEC_INT, .min = 8, .max = 16, .help = "ne2000: 8 for a slot of 8 bits, or 16"},
    {.name = "speed", .kind = JSON_SPEC_INT, .min = 1, .max = 1000,
     .help = "not e1000: Mbit/s that frames leave with; as fast as they can unless said"},
    POLICY_MEMBERS,
    {0},
};

static const struct json_spec nic_element[] = {
    {.kind = JSON_SPEC_OBJECT, .members = nic_members},
};

const struct json_spec config_guest_spec[] = {
    {.name = "name", .kind = JSON_SPEC_STRING, .required = true, .check = check_guest_name},
    {.name = "memory_mib", .kind = JSON_SPEC_INT, .min = CONFIG_MEMORY_LEAST, .max = CONFIG_MEMORY_MOST, .help = "128 unless said"},
    {.name = "kernel", .kind = JSON_SPEC_STRING, .required = true, .max = CONFIG_FILE_MAX - 1, .check = check_file},
    {.name = "initrd", .kind = JSON_SPEC_STRING, .max = CONFIG_FILE_MAX - 1, .check = check_file},
    {.name = "cmdline", .kind = JSON_SPEC_STRING, .max = CONFIG_CMDLINE_SIZE - 1, .check = check_line},
    {.name = "idle_slack_ms", .kind = JSON_SPEC_INT, .min = 0, .max = CONFIG_IDLE_SLACK_MOST,
     .help = "how late the timer ticks of an idle guest may be, 40 unless said"},
    {.name = "nics", .kind = JSON_SPEC_ARRAY, .max = CONFIG_NICS_MAX, .members = nic_element},
    {.name = "autostart", .kind = JSON_SPEC_BOOL, .help = "started with the daemon"},
    {0},
};

const struct json_spec config_switch_spec[] = {
    {.name = "fdb_size", .kind = JSON_SPEC_INT, .min = 16, .max = 1 << 20, .help = "addresses in the MAC table; fixed while running"},
    {.name = "ageing_s", .kind = JSON_SPEC_INT, .min = 0, .max = 1000000, .help = "seconds, 0: never"},
    {.name = "mtu", .kind = JSON_SPEC_INT, .min = SWITCH_MTU_MIN, .max = SWITCH_MTU_MAX, .help = "of ports that do not say"},
    {.name = "forward_reserved", .kind = JSON_SPEC_ARRAY, .max = 8, .members = reserved_element},
    {0},
};
