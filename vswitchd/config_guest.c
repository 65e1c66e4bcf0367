/* SPDX-License-Identifier: BSD-2-Clause
 *
 * config.h: a guest and its cards, with what they are given where nothing is said.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vswitchd/config.h"

/* An address of its own for each guest and NIC, the same at every start: QEMU's well-known prefix and a hash (FNV-1a). */
static void derive_mac(const char *guest, unsigned nic, uint8_t mac[6])
{
    uint32_t hash = 2166136261u;

    for (const char *p = guest; *p; p++) {
        hash = (hash ^ (uint8_t)*p) * 16777619u;
    }
    hash = (hash ^ nic) * 16777619u;
    memcpy(mac, (uint8_t[]) {0x52, 0x54, 0x00, (uint8_t)(hash >> 16), (uint8_t)(hash >> 8), (uint8_t)hash}, 6);
}

void config_nic_port_name(const char *guest, unsigned nic, char name[PORT_NAME_SIZE])
{
    char number[8] = "";
    char text[PORT_NAME_SIZE];

    if (nic > 0) {
        snprintf(number, sizeof number, ".%u", nic % CONFIG_NICS_MAX);
    }
    snprintf(text, sizeof text, "%.*s%s", CONFIG_GUEST_NAME_SIZE - 1, guest, number);
    memcpy(name, text, sizeof text);
}

uint16_t config_isa_port(const char *text)
{
    char *end;
    unsigned long port = strtoul(text, &end, 0);

    /* At the other two are Plug and Play's address port and the second serial port; at 0x3e0 is the first one. */
    return text[0] != '\0' && *end == '\0' && port >= 0x200 && port < 0x3e0 && port % 0x20 == 0 && port != 0x260 && port != 0x2e0
               ? (uint16_t)port : 0;
}

static bool refuse_member(const struct jv *nic, const char *key, struct json_mismatch *mismatch, const char *models)
{
    char path[40];

    snprintf(path, sizeof path, "/%s", key);
    json_mismatch_set(mismatch, jv_get(nic, key), path, "goes with the models %s only", models);
    return false;
}

/* Members of some cards only. */
static bool read_card(const struct jv *value, struct config_nic *nic, struct json_mismatch *mismatch)
{
    static const char *const members[] = {"io", "irq", NULL};
    bool is_isa = strncmp(nic->model, "ne", 2) == 0 || strcmp(nic->model, "rtl8019as") == 0;

    for (const char *const *m = members; *m && !is_isa; m++) {
        if (jv_has(value, *m)) {
            return refuse_member(value, *m, mismatch, "ne2000, ne1000 and rtl8019as, which are on ISA,");
        }
    }
    if (jv_has(value, "speed") && (strncmp(nic->model, "e1000", 5) == 0 || strcmp(nic->model, "virtio-net") == 0)) {
        return refuse_member(value, "speed", mismatch, "rtl8029, rtl8019as, ne2000 and ne1000");
    }
    nic->speed = (uint16_t)jv_member_int(value, "speed", 0);
    if (jv_has(value, "slot") && strcmp(nic->model, "ne2000") != 0) {
        return refuse_member(value, "slot", mismatch, "ne2000");
    }
    nic->isa_port = config_isa_port(jv_member_string(value, "io", ""));
    nic->isa_irq = (uint8_t)jv_member_int(value, "irq", 0);
    nic->slot = (uint8_t)jv_member_int(value, "slot", 0);
    if (nic->slot && nic->slot != 8 && nic->slot != 16) {
        json_mismatch_set(mismatch, jv_get(value, "slot"), "/slot", "must be 8 or 16, not %d", nic->slot);
        return false;
    }
    if (nic->isa_irq && !(1u << nic->isa_irq & (1 << 3 | 1 << 5 | 1 << 7 | 1 << 9 | 1 << 12 | 1 << 15))) {
        json_mismatch_set(mismatch, jv_get(value, "irq"), "/irq", "must be 3, 5, 7, 9, 12 or 15, not %d; the others are the "
                          "machine's own", nic->isa_irq);
        return false;
    }
    if (nic->isa_irq == 7 && strcmp(nic->model, "rtl8019as") == 0) {
        json_mismatch_set(mismatch, jv_get(value, "irq"), "/irq", "must be 3, 5, 9, 12 or 15 for an rtl8019as, which has no line 7");
        return false;
    }
    return true;
}

/* Two ISA cards in one place; where nothing is said each gets a place of its own. */
static bool is_apart(const struct jv *value, unsigned index, const struct config_guest *guest, struct json_mismatch *mismatch)
{
    const struct config_nic *nic = &guest->nics[index];

    for (unsigned i = 0; i < index; i++) {
        if (nic->isa_port && nic->isa_port == guest->nics[i].isa_port) {
            json_mismatch_set(mismatch, jv_get(value, "io"), "/io", "there is an ISA card at 0x%x already", nic->isa_port);
            return false;
        }
        if (nic->isa_irq && nic->isa_irq == guest->nics[i].isa_irq) {
            json_mismatch_set(mismatch, jv_get(value, "irq"), "/irq", "there is an ISA card with interrupt %d already", nic->isa_irq);
            return false;
        }
    }
    return true;
}

static bool read_nic(const struct jv *value, unsigned index, struct config_guest *guest, struct json_mismatch *mismatch)
{
    struct config_nic *nic = &guest->nics[index];
    const char *mac = jv_as_string(jv_get(value, "mac"));

    memset(nic, 0, sizeof *nic);
    switch_port_config_init(&nic->policy);
    config_copy_string(nic->model, sizeof nic->model, value, "model");
    config_nic_port_name(guest->name, index, nic->port);
    config_copy_string(nic->port, sizeof nic->port, value, "port");
    if (mac) {
        (void)config_mac_parse(mac, nic->mac);
    } else {
        derive_mac(guest->name, index, nic->mac);
    }
    nic->mtu = (uint32_t)jv_member_int(value, "mtu", 0);
    nic->unplugged = !jv_member_bool(value, "link", true);
    return read_card(value, nic, mismatch) && is_apart(value, index, guest, mismatch) && config_policy_read(value, &nic->policy, mismatch);
}

bool config_guest_read(const struct jv *value, struct config_guest *guest, struct json_mismatch *mismatch)
{
    const struct jv *nics = jv_get(value, "nics");

    memset(guest, 0, sizeof *guest);
    config_copy_string(guest->name, sizeof guest->name, value, "name");
    guest->memory_mib = (unsigned)jv_member_int(value, "memory_mib", 128);
    guest->idle_slack_ms = (unsigned)jv_member_int(value, "idle_slack_ms", CONFIG_IDLE_SLACK);
    config_copy_string(guest->kernel, sizeof guest->kernel, value, "kernel");
    config_copy_string(guest->initrd, sizeof guest->initrd, value, "initrd");
    config_copy_string(guest->cmdline, sizeof guest->cmdline, value, "cmdline");
    guest->autostart = jv_member_bool(value, "autostart", false);
    for (size_t i = 0; i < jv_length(nics); i++) {
        if (!read_nic(jv_at(nics, i), (unsigned)i, guest, mismatch)) {
            char path[sizeof mismatch->path];

            snprintf(path, sizeof path, "/nics/%zu%.100s", i, mismatch->path);
            memcpy(mismatch->path, path, sizeof path);
            return false;
        }
        guest->nic_count = (unsigned)i + 1;
        for (size_t k = 0; k < i; k++) {
            if (strcmp(guest->nics[k].port, guest->nics[i].port) == 0) {
                json_mismatch_set(mismatch, jv_at(nics, i), "/nics", "the port name \"%s\" is used twice",
                                  guest->nics[i].port);
                return false;
            }
        }
    }
    return true;
}
