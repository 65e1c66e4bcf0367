/* SPDX-License-Identifier: BSD-2-Clause
 *
 * vswitchctl port … and vlan …
 */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

#define POLICY_OPTIONS "vlan trunk native native-tagged mtu up down learning flood max-macs forward-reserved"

/* "stp,lldp" as an array. */
static void add_reserved(const struct cli *cli, struct jv *params)
{
    const char *list = args_value(&cli->args, "forward-reserved");
    struct jv *names;

    if (!list) {
        return;
    }
    names = jv_new_array();
    for (size_t length; *list; list += length + (list[length] == ',')) {
        length = strcspn(list, ",");
        jv_append(names, jv_new_string_size(list, length));
    }
    jv_set(params, "forward_reserved", names);
}

static bool add_policy(const struct cli *cli, struct jv *params)
{
    if (args_has(&cli->args, "up") && args_has(&cli->args, "down")) {
        cli_usage("--up or --down, not both");
        return false;
    }
    if (args_has(&cli->args, "up") || args_has(&cli->args, "down")) {
        jv_set_bool(params, "enabled", args_has(&cli->args, "up"));
    }
    add_reserved(cli, params);
    return cli_add_vlan(cli, params) && cli_add_number(cli, params, "mtu", "mtu")
           && cli_add_number(cli, params, "max-macs", "max_macs")
           && cli_add_switch(cli, params, "learning", "learning") && cli_add_switch(cli, params, "flood", "flood");
}

static void print_ports(const struct jv *list)
{
    struct table *table = table_create("PORT|TYPE|STATE|VLAN|>MTU|>MACS|>IN|>OUT|>DROPPED|WHAT");

    for (size_t i = 0; i < jv_length(list); i++) {
        const struct jv *port = jv_at(list, i), *counters = jv_get(port, "counters");
        char vlan[200], in[16], out[16];
        bool enabled = jv_member_bool(port, "enabled", true), link = jv_member_bool(port, "link", false);

        table_cell(table, "%s", jv_member_string(port, "name", ""));
        table_cell(table, "%s", jv_member_string(port, "type", ""));
        table_cell(table, "%s", !enabled ? "disabled" : link ? "up" : "down");
        table_cell(table, "%s", cli_vlan_text(jv_get(port, "vlan"), vlan, sizeof vlan));
        table_cell(table, "%lld", (long long)jv_member_int(port, "mtu", 0));
        table_cell(table, "%lld", (long long)jv_member_int(port, "macs", 0));
        table_cell(table, "%s", table_bytes((uint64_t)jv_member_int(counters, "in_bytes", 0), in));
        table_cell(table, "%s", table_bytes((uint64_t)jv_member_int(counters, "out_bytes", 0), out));
        table_cell(table, "%lld", (long long)jv_member_int(counters, "dropped", 0));
        table_cell(table, "%s", jv_member_string(port, "description", ""));
    }
    table_print(table, stdout);
    table_free(table);
}

static int port_list(struct cli *cli)
{
    struct jv *list;
    int status = cli_call(cli, "port.list", NULL, &list);

    if (status == RPC_DONE) {
        if (cli->json) {
            cli_print_json(list);
        } else {
            print_ports(list);
        }
    }
    jv_unref(list);
    return status;
}

static void print_reserved(const struct jv *list)
{
    for (size_t i = 0; i < jv_length(list); i++) {
        printf("%-14s %s\n", i ? "" : "forwards", jv_as_string(jv_at(list, i)));
    }
}

static void print_port(const struct jv *port)
{
    const struct jv *counters = jv_get(port, "counters"), *drops = jv_get(counters, "drops");
    static const char *const shown[] = {"name", "type", "origin", "description", "path", "role", NULL};
    static const char *const numbers[] = {"mtu", "macs", "max_macs", "queued", NULL};
    static const char *const switches[] = {"enabled", "link", "learning", "flood", NULL};
    char vlan[300];

    for (size_t i = 0; shown[i]; i++) {
        if (jv_has(port, shown[i])) {
            printf("%-14s %s\n", shown[i], jv_member_string(port, shown[i], ""));
        }
    }
    printf("%-14s %s\n", "vlan", cli_vlan_text(jv_get(port, "vlan"), vlan, sizeof vlan));
    print_reserved(jv_get(port, "forward_reserved"));
    for (size_t i = 0; numbers[i]; i++) {
        printf("%-14s %lld\n", numbers[i], (long long)jv_member_int(port, numbers[i], 0));
    }
    for (size_t i = 0; switches[i]; i++) {
        printf("%-14s %s\n", switches[i], jv_member_bool(port, switches[i], false) ? "yes" : "no");
    }
    for (struct jv_member m = {0}; jv_next(counters, &m);) {
        if (jv_kind(m.value) == JV_INT) {
            printf("%-14s %lld\n", m.key, (long long)jv_member_int(counters, m.key, 0));
        }
    }
    for (struct jv_member m = {0}; jv_next(drops, &m);) {
        printf("  %-20s %lld\n", m.key, (long long)jv_member_int(drops, m.key, 0));
    }
}

static int port_show(struct cli *cli)
{
    struct jv *port;
    int status = cli_call(cli, "port.get", cli_name_params(cli), &port);

    if (status == RPC_DONE) {
        if (cli->json) {
            cli_print_json(port);
        } else {
            print_port(port);
        }
    }
    jv_unref(port);
    return status;
}

static int port_add(struct cli *cli)
{
    struct jv *params = cli_name_params(cli), *addresses = jv_new_array();
    const struct args *args = &cli->args;
    static const char *const texts[] = {"interface", "mac", "path", NULL};
    const char *value;

    jv_set_string(params, "type", args_has(args, "type")   ? args_value(args, "type")
                                  : args_has(args, "path") ? "vhost-user"
                                                           : "tap");
    for (size_t i = 0; texts[i]; i++) {
        if (args_has(args, texts[i])) {
            jv_set_string(params, texts[i], args_value(args, texts[i]));
        }
    }
    for (int i = 0; (value = args_value_at(args, "address", i)); i++) {
        jv_append(addresses, jv_new_string(value));
    }
    if (jv_length(addresses)) {
        jv_set(params, "addresses", jv_ref(addresses));
    }
    jv_unref(addresses);
    if ((args_has(args, "server") || args_has(args, "unsealed")) && !args_has(args, "path")) {
        jv_unref(params);
        return cli_usage("--server and --unsealed are for a vhost-user port: give it --path SOCKET, too");
    }
    if (args_has(args, "server")) {
        jv_set_string(params, "role", "server");
    }
    if (args_has(args, "unsealed")) {
        jv_set_bool(params, "unsealed", true);
    }
    if (args_has(args, "no-offload")) {
        jv_set_bool(params, "offload", false);
    }
    if (!add_policy(cli, params)) {
        jv_unref(params);
        return CLI_USAGE;
    }
    return cli_do(cli, "port.add", params);
}

static int port_set(struct cli *cli)
{
    struct jv *params = cli_name_params(cli);

    if (!add_policy(cli, params)) {
        jv_unref(params);
        return CLI_USAGE;
    }
    if (jv_length(params) == 1) {
        jv_unref(params);
        return cli_usage("nothing to set; vswitchctl port set --help tells what there is");
    }
    return cli_do(cli, "port.set", params);
}

static int port_remove(struct cli *cli)
{
    return cli_do(cli, "port.remove", cli_name_params(cli));
}

static int port_clear(struct cli *cli)
{
    return cli_do(cli, "port.clear", cli->word_count ? cli_name_params(cli) : NULL);
}

static int vlan_list(struct cli *cli)
{
    struct jv *list;
    int status = cli_call(cli, "vlan.list", NULL, &list);
    struct table *table;

    if (status == RPC_DONE && cli->json) {
        cli_print_json(list);
    } else if (status == RPC_DONE) {
        table = table_create("PORT|MODE|VLAN");
        for (size_t i = 0; i < jv_length(list); i++) {
            char vlan[300];
            const char *text = cli_vlan_text(jv_at(list, i), vlan, sizeof vlan);

            table_cell(table, "%s", jv_member_string(jv_at(list, i), "port", ""));
            table_cell(table, "%s", jv_member_string(jv_at(list, i), "mode", ""));
            table_cell(table, "%s", strncmp(text, "trunk ", 6) == 0 ? text + 6 : text);
        }
        table_print(table, stdout);
        table_free(table);
    }
    jv_unref(list);
    return status;
}

/* vlan set PORT VLAN, or PORT --trunk … */
static int vlan_set(struct cli *cli)
{
    struct jv *options = jv_new_object(), *params;
    int64_t vlan;
    int status;

    if (!cli_add_vlan(cli, options)) {
        jv_unref(options);
        return CLI_USAGE;
    }
    params = jv_has(options, "vlan") ? jv_ref(jv_get(options, "vlan")) : jv_new_object();
    jv_unref(options);
    jv_set_string(params, "port", cli->words[0]);
    if ((cli->word_count == 2) == jv_has(params, "mode")) {
        jv_unref(params);
        return cli_usage("usage: vswitchctl vlan set PORT VLAN, or PORT --trunk VLANS [--native VLAN]");
    }
    if (cli->word_count == 2) {
        if (!args_number(cli->words[1], INT64_MIN, INT64_MAX, &vlan)) {
            jv_unref(params);
            return cli_usage("a VLAN is a number, 1 to 4094, not \"%s\"", cli->words[1]);
        }
        jv_set_string(params, "mode", "access");
        jv_set_int(params, "access", vlan);
    }
    status = cli_do(cli, "vlan.set", params);
    return status;
}

const struct command command_port_table[] = {
    {"port list", "", 0, 0, "", "all ports", port_list},
    {"port show", "NAME", 1, 1, "", "one port with its counters and why it dropped frames", port_show},
    {"port add", "NAME", 1, 1, "type address interface mac path server unsealed no-offload " POLICY_OPTIONS,
     "make a port: a tap, or with --path a vhost-user port", port_add},
    {"port set", "NAME", 1, 1, POLICY_OPTIONS, "change a port", port_set},
    {"port remove", "NAME", 1, 1, "", "take a port away", port_remove},
    {"port clear", "[NAME]", 0, 1, "", "set a port's counters, or all, to 0", port_clear},
    {"vlan list", "", 0, 0, "", "the VLANs of each port", vlan_list},
    {"vlan set", "PORT [VLAN]", 1, 2, "vlan trunk native native-tagged", "put a port into a VLAN, or make it a trunk", vlan_set},
    {0},
};
