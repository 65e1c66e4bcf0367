/* SPDX-License-Identifier: BSD-2-Clause
 *
 * vswitchctl fdb …: the MAC table.
 */
#include <stdio.h>

#include "cli/command.h"

static struct jv *selection(const struct cli *cli)
{
    struct jv *params = jv_new_object();

    if (args_has(&cli->args, "port")) {
        jv_set_string(params, "port", args_value(&cli->args, "port"));
    }
    if (!cli_add_number(cli, params, "vlan", "vlan")) {
        jv_unref(params);
        return NULL;
    }
    return params;
}

static void print_entries(const struct jv *list)
{
    struct table *table = table_create("MAC|>VLAN|PORT|TYPE|>AGE");

    for (size_t i = 0; i < jv_length(list); i++) {
        const struct jv *entry = jv_at(list, i);
        char age[16];

        table_cell(table, "%s", jv_member_string(entry, "mac", ""));
        table_cell(table, "%lld", (long long)jv_member_int(entry, "vlan", 0));
        table_cell(table, "%s", jv_member_string(entry, "port", ""));
        table_cell(table, "%s", jv_member_string(entry, "type", ""));
        table_cell(table, "%s", jv_has(entry, "age_s")
                                    ? table_seconds((uint64_t)jv_member_int(entry, "age_s", 0), age) : "");
    }
    table_print(table, stdout);
    table_free(table);
}

static int fdb_show(struct cli *cli)
{
    struct jv *params = selection(cli), *list;
    int status;

    if (!params) {
        return CLI_USAGE;
    }
    status = cli_call(cli, "fdb.list", params, &list);
    if (status == RPC_DONE && cli->json) {
        cli_print_json(list);
    } else if (status == RPC_DONE) {
        print_entries(list);
    }
    jv_unref(list);
    return status;
}

static int fdb_add(struct cli *cli)
{
    struct jv *params = selection(cli);

    if (!params) {
        return CLI_USAGE;
    }
    jv_set_string(params, "mac", cli->words[0]);
    jv_set_string(params, "port", cli->words[1]);
    return cli_do(cli, "fdb.add", params);
}

static int fdb_delete(struct cli *cli)
{
    struct jv *params = selection(cli);

    if (!params) {
        return CLI_USAGE;
    }
    jv_set_string(params, "mac", cli->words[0]);
    return cli_do(cli, "fdb.delete", params);
}

static int fdb_flush(struct cli *cli)
{
    struct jv *params = selection(cli), *result;
    int status;

    if (!params) {
        return CLI_USAGE;
    }
    if (args_has(&cli->args, "static")) {
        jv_set_bool(params, "static", true);
    }
    status = cli_call(cli, "fdb.flush", params, &result);
    if (status == RPC_DONE && cli->json) {
        cli_print_json(result);
    } else if (status == RPC_DONE) {
        printf("%lld addresses forgotten\n", (long long)jv_member_int(result, "count", 0));
    }
    jv_unref(result);
    return status;
}

const struct command command_fdb_table[] = {
    {"fdb show", "", 0, 0, "port vlan", "the MAC table", fdb_show},
    {"fdb add", "MAC PORT", 2, 2, "vlan", "add a static address", fdb_add},
    {"fdb delete", "MAC", 1, 1, "vlan", "remove an address", fdb_delete},
    {"fdb flush", "", 0, 0, "port vlan static", "forget learned addresses", fdb_flush},
    {0},
};
