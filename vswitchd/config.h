/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The configuration as a struct, and the way from and to JSON. Parsing checks
 * everything that can be checked without touching the system, so that
 * config_apply.h meets legal settings only. The same tables of members serve the
 * control protocol (port.add, guest.define …). Pure but for config_load().
 */
#ifndef VSWITCHD_CONFIG_H
#define VSWITCHD_CONFIG_H

#include <stdint.h>

#include "proto/json/json_check.h"
#include "vswitchd/core/switch.h"
#include "vswitchd/ports/port.h"

#define CONFIG_DEFAULT_GROUP "vswitch"

enum {
    CONFIG_PATH_MAX = 108,      /* Bytes of a socket's path with its NUL: sun_path. */
    CONFIG_FILE_MAX = 4096,     /* Bytes of a file's path with its NUL. */
    CONFIG_ADDRESSES_MAX = 8,   /* Of a tap. */
    CONFIG_ADDRESS_SIZE = 64,
    CONFIG_MEMORY_LEAST = 4, CONFIG_MEMORY_MOST = 3072, /* These two as vswitch-guest has them. */
    CONFIG_IDLE_SLACK = 40, CONFIG_IDLE_SLACK_MOST = 200,
    CONFIG_GUEST_NAME_SIZE = 25,/* Leaves room for ".nic0" in a port's name. */
    CONFIG_NICS_MAX = 8,
    CONFIG_CMDLINE_SIZE = 2048,
    CONFIG_INTERFACE_SIZE = 16,
};

enum config_port_type { CONFIG_PORT_TAP, CONFIG_PORT_VHOST_USER };

struct config_port {
    char name[PORT_NAME_SIZE];
    enum config_port_type type;
    struct switch_port_config policy;
    uint32_t mtu;                                   /* 0: the switch's. */
    /* tap */
    char interface[CONFIG_INTERFACE_SIZE];          /* "": the port's name. */
    bool has_mac;
    uint8_t mac[6];                                 /* Of the interface; otherwise one derived from the name. */
    bool offload;
    unsigned address_count;
    char addresses[CONFIG_ADDRESSES_MAX][CONFIG_ADDRESS_SIZE];
    /* vhost-user */
    char path[CONFIG_PATH_MAX];
    bool listen;                                    /* role "server": the switch listens. */
    bool unsealed;                                  /* Admit memory that could be truncated. */
};

struct config_nic {
    char model[20];             /* "e1000", "rtl8029", "ne2000" … */
    uint16_t isa_port;          /* ISA cards: 0 where it is not said. */
    uint8_t isa_irq;
    uint8_t slot;               /* 8: an ne2000 in a slot of 8 bits; 0: not said. */
    uint16_t speed;             /* Mbit/s that frames leave the card with; 0: not said. */
    bool unplugged;             /* "link" is false. */
    uint8_t mac[6];
    char port[PORT_NAME_SIZE];
    struct switch_port_config policy;
    uint32_t mtu;
};

struct config_guest {
    char name[CONFIG_GUEST_NAME_SIZE];
    unsigned memory_mib;
    unsigned idle_slack_ms;
    char kernel[CONFIG_FILE_MAX];
    char initrd[CONFIG_FILE_MAX];                   /* "": none. */
    char cmdline[CONFIG_CMDLINE_SIZE];
    unsigned nic_count;
    struct config_nic nics[CONFIG_NICS_MAX];
    bool autostart;
};

struct config_switch {
    uint32_t fdb_capacity;
    uint64_t fdb_ageing;        /* ns, 0: never */
    uint32_t mtu;               /* Of ports that do not say otherwise. */
    uint16_t forward_reserved;
};

struct config {
    struct config_switch eth_switch;
    char group[32];             /* May use the control socket as operator; "": nobody. */
    size_t port_count;
    struct config_port *ports;
    size_t guest_count;
    struct config_guest *guests;
};

/* What went wrong, for a person: "FILE:12:7: /ports/0/vlan: must be …". */
struct config_error {
    char text[600];
};

/* Tables of members, for json_check() and rpc.methods. */
extern const struct json_spec config_port_spec[];
extern const struct json_spec config_port_set_spec[];   /* What port.set may change; "name" is required. */
extern const struct json_spec config_vlan_spec[];
extern const struct json_spec config_guest_spec[];
extern const struct json_spec config_switch_spec[];

/* Names of protocols at 01:80:c2:00:00:0x, and the bits of x; ended by a NULL name. */
struct config_reserved {
    const char *name;
    uint16_t bits;
};
extern const struct config_reserved config_reserved_table[];

/* The members of "vlan", for tables that have them among others. */
extern const char *const config_vlan_modes[];
const char *config_check_vlan_set(const char *text);
#define CONFIG_VLAN_MEMBERS \
    {.name = "mode", .kind = JSON_SPEC_ENUM, .choices = config_vlan_modes, .help = "access unless said otherwise"}, \
    {.name = "access", .kind = JSON_SPEC_INT, .min = VLAN_ID_MIN, .max = VLAN_ID_MAX, .help = "VLAN of an access port"}, \
    {.name = "allowed", .kind = JSON_SPEC_STRING, .max = 2000, .check = config_check_vlan_set, .help = "VLANs of a trunk: \"10,20-29\""}, \
    {.name = "native", .kind = JSON_SPEC_INT, .min = 0, .max = VLAN_ID_MAX, .help = "a trunk's VLAN of untagged frames, 0: none"}, \
    {.name = "native_tagged", .kind = JSON_SPEC_BOOL, .help = "a trunk's native VLAN leaves tagged, too"}

void config_init(struct config *config);
void config_free(struct config *config);        /* The contents, not the struct. */

/* Reads a whole file's text. 0, or EINVAL with *error; *config is valid only on success. */
int config_parse(const char *text, size_t size, const char *file_name, struct config *config,
                 struct config_error *error);
/* The same from `name` in the directory `directory_fd` (AT_FDCWD: wherever). 0 or errno. */
int config_load(int directory_fd, const char *name, const char *file_name, struct config *config,
                struct config_error *error);

/* The parts, from values that passed json_check() with the table above. False with *mismatch for what a table cannot
 * say. What a value does not mention keeps its content in *port, so config_port_init() goes before. */
void config_port_init(struct config_port *port);
bool config_port_read(const struct jv *value, struct config_port *port, struct json_mismatch *mismatch);
/* Members that port.set may change (vlan, mtu, enabled …), from `value` into *policy. */
bool config_policy_read(const struct jv *value, struct switch_port_config *policy, struct json_mismatch *mismatch);
bool config_vlan_read(const struct jv *value, struct vlan_config *vlan, struct json_mismatch *mismatch);
bool config_guest_read(const struct jv *value, struct config_guest *guest, struct json_mismatch *mismatch);
void config_switch_init(struct config_switch *eth_switch);
void config_switch_read(const struct jv *value, struct config_switch *eth_switch);

/* And back; what is read again gives the same. The caller owns the value. */
struct jv *config_to_json(const struct config *config);
struct jv *config_port_to_json(const struct config_port *port);
struct jv *config_guest_to_json(const struct config_guest *guest);
struct jv *config_switch_to_json(const struct config_switch *eth_switch);
struct jv *config_vlan_to_json(const struct vlan_config *vlan);
struct jv *config_reserved_to_json(uint16_t reserved);
void config_policy_to_json(const struct switch_port_config *policy, struct jv *object);

/* The name that a guest's port has unless it was given one: "bob", "bob.1". */
void config_nic_port_name(const char *guest, unsigned nic, char name[PORT_NAME_SIZE]);

/* The ports of an ISA card, "0x300"; 0 for anything else. */
uint16_t config_isa_port(const char *text);

/* The text of a member that passed the tables; `to` stays as it is where there is none. */
void config_copy_string(char *to, size_t size, const struct jv *object, const char *key);

/* "52:54:00:12:34:56"; false for anything else. Group addresses pass. */
bool config_mac_parse(const char *text, uint8_t mac[6]);

#endif
