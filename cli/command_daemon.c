/* SPDX-License-Identifier: BSD-2-Clause
 *
 * vswitchctl show, info, ping, reload, shutdown, switch …, monitor, call.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/command.h"
#include "proto/json/json_read.h"

enum { SHUTDOWN_TIMEOUT_MS = 20000 };

static int print_fields(struct cli *cli, const char *method)
{
    struct jv *o;
    int status = cli_call(cli, method, NULL, &o);

    if (status == RPC_DONE && cli->json) {
        cli_print_json(o);
    } else if (status == RPC_DONE) {
        for (struct jv_member m = {0}; jv_next(o, &m);) {
            char *text = jv_kind(m.value) == JV_STRING ? strdup(jv_as_string(m.value)) : jv_print(m.value, false);

            printf("%-18s %s\n", m.key, text);
            free(text);
        }
    }
    jv_unref(o);
    return status;
}

static int info(struct cli *cli)
{
    return print_fields(cli, "daemon.info");
}

static int switch_show(struct cli *cli)
{
    return print_fields(cli, "switch.get");
}

static int ping(struct cli *cli)
{
    struct timespec before, after;
    int status = cli_connect(cli);

    if (status != RPC_DONE) {
        return status;
    }
    clock_gettime(CLOCK_MONOTONIC, &before);
    status = cli_do(cli, "daemon.ping", NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    if (status == RPC_DONE && !cli->json) {
        printf("vswitchd answers at %s in %.0f us\n", rpc_path(cli->rpc),
               (double)(after.tv_sec - before.tv_sec) * 1e6 + (double)(after.tv_nsec - before.tv_nsec) / 1e3);
    }
    return status;
}

static int reload(struct cli *cli)
{
    return cli_do(cli, "daemon.reload", NULL);
}

/* Done when the daemon has let go of us. */
static int shutdown_daemon(struct cli *cli)
{
    struct jv *params = jv_new_object(), *message;
    struct rpc_error error;
    int status, wait_ms = cli->timeout_ms;

    if (args_has(&cli->args, "guests")) {
        jv_set_bool(params, "guests", true);
        wait_ms = wait_ms > SHUTDOWN_TIMEOUT_MS ? wait_ms : SHUTDOWN_TIMEOUT_MS;
    }
    status = cli_do(cli, "daemon.shutdown", params);
    while (status == RPC_DONE) {
        status = rpc_event(cli->rpc, wait_ms, -1, &message, &error);
        jv_unref(message);
    }
    if (status == RPC_UNREACHABLE && cli->rpc) {
        return RPC_DONE;
    }
    return status == RPC_TIMEOUT ? cli_fail(cli, &error) : status;
}

static int dump(struct cli *cli, const char *method)
{
    struct jv *result;
    int status = cli_call(cli, method, NULL, &result);

    if (status == RPC_DONE) {
        char *text = jv_print(result, !cli->json);

        puts(text);
        free(text);
    }
    jv_unref(result);
    return status;
}

static int config(struct cli *cli)
{
    return dump(cli, "config.get");
}

static int stats(struct cli *cli)
{
    return dump(cli, "stats.get");
}

static int methods(struct cli *cli)
{
    struct jv *list;
    struct table *table;
    int status = cli_call(cli, "rpc.methods", NULL, &list);

    if (status == RPC_DONE && cli->json) {
        cli_print_json(list);
    } else if (status == RPC_DONE) {
        table = table_create("METHOD|ROLE|WHAT");
        for (size_t i = 0; i < jv_length(list); i++) {
            table_cell(table, "%s", jv_member_string(jv_at(list, i), "name", ""));
            table_cell(table, "%s", jv_member_string(jv_at(list, i), "role", ""));
            table_cell(table, "%s", jv_member_string(jv_at(list, i), "help", ""));
        }
        table_print(table, stdout);
        table_free(table);
    }
    jv_unref(list);
    return status;
}

/* Any method, with its parameters as JSON: what has no command of its own. */
static int call(struct cli *cli)
{
    struct jv *params = NULL, *result;
    struct json_error error;
    int status;

    if (cli->word_count == 2) {
        if (json_read(cli->words[1], strlen(cli->words[1]), &params, &error) != 0) {
            return cli_usage("the parameters are not JSON: column %u: %s", error.at.column, error.text);
        }
    }
    status = cli_call(cli, cli->words[0], params, &result);
    if (status == RPC_DONE) {
        cli_print_json(result);
    }
    jv_unref(result);
    return status;
}

static int switch_set(struct cli *cli)
{
    struct jv *params = jv_new_object(), *value;
    struct json_error error;

    for (int i = 0; i < cli->word_count; i++) {
        const char *equals = strchr(cli->words[i], '=');
        char key[40];

        if (!equals || (size_t)(equals - cli->words[i]) >= sizeof key
            || json_read(equals + 1, strlen(equals + 1), &value, &error) != 0) {
            jv_unref(params);
            return cli_usage("settings are written like ageing_s=60 or 'forward_reserved=[\"lldp\"]', not \"%s\"",
                             cli->words[i]);
        }
        snprintf(key, sizeof key, "%.*s", (int)(equals - cli->words[i]), cli->words[i]);
        jv_set(params, key, value);
    }
    return cli_do(cli, "switch.set", params);
}

/* ---- Overview ---- */

static void print_guest_line(const struct jv *guest)
{
    printf("  guest %-12s %-9s", jv_member_string(guest, "name", ""), jv_member_string(guest, "state", ""));
    if (jv_member_int(guest, "memory_mib", 0)) {
        printf(" %lld MiB", (long long)jv_member_int(guest, "memory_mib", 0));
    }
    for (size_t i = 0; i < jv_length(jv_get(guest, "nics")); i++) {
        const struct jv *nic = jv_at(jv_get(guest, "nics"), i);

        /* Of an adopted guest's cards only the ports are known. */
        printf("  %s %s", jv_member_string(nic, "model", "card of port"),
               jv_member_string(nic, jv_has(nic, "model") ? "mac" : "port", ""));
    }
    putchar('\n');
}

static void print_overview(const struct jv *info_object, const struct jv *ports, const struct jv *guests,
                           const struct jv *eth_switch)
{
    char uptime[16];

    printf("vswitchd %s  pid %lld  up %s\n", jv_member_string(info_object, "version", ""),
           (long long)jv_member_int(info_object, "pid", 0),
           table_seconds((uint64_t)jv_member_int(info_object, "uptime_s", 0), uptime));
    printf("  switch: %lld ports, %lld of %lld addresses, ageing %lld s\n",
           (long long)jv_member_int(eth_switch, "ports", 0), (long long)jv_member_int(eth_switch, "fdb_entries", 0),
           (long long)jv_member_int(eth_switch, "fdb_size", 0), (long long)jv_member_int(eth_switch, "ageing_s", 0));
    for (size_t i = 0; i < jv_length(ports); i++) {
        const struct jv *port = jv_at(ports, i);
        char vlan[200];

        printf("  port  %-12s %-9s %s  vlan %s\n", jv_member_string(port, "name", ""),
               jv_member_bool(port, "link", false) ? "up" : "down", jv_member_string(port, "type", ""),
               cli_vlan_text(jv_get(port, "vlan"), vlan, sizeof vlan));
    }
    for (size_t i = 0; i < jv_length(guests); i++) {
        print_guest_line(jv_at(guests, i));
    }
}

static int show(struct cli *cli)
{
    static const char *const questions[] = {"daemon.info", "port.list", "guest.list", "switch.get"};
    static const char *const keys[] = {"daemon", "ports", "guests", "switch"};
    struct jv *answers[4] = {NULL}, *all;
    int status = RPC_DONE;

    for (size_t i = 0; i < 4 && status == RPC_DONE; i++) {
        status = cli_call(cli, questions[i], NULL, &answers[i]);
    }
    if (status == RPC_DONE && cli->json) {
        all = jv_new_object();
        for (size_t i = 0; i < 4; i++) {
            jv_set(all, keys[i], jv_ref(answers[i]));
        }
        cli_print_json(all);
        jv_unref(all);
    } else if (status == RPC_DONE) {
        print_overview(answers[0], answers[1], answers[2], answers[3]);
    }
    for (size_t i = 0; i < 4; i++) {
        jv_unref(answers[i]);
    }
    return status;
}

/* ---- Events ---- */

static void print_event(const struct jv *message)
{
    const struct jv *params = jv_get(message, "params"), *data = jv_get(params, "data");
    const char *time_text = jv_member_string(params, "time", "");

    if (strcmp(jv_member_string(message, "method", ""), "events.dropped") == 0) {
        printf("%lld events were lost\n", (long long)jv_member_int(params, "count", 0));
        return;
    }
    printf("%.12s  %-14s", strlen(time_text) > 11 ? time_text + 11 : time_text, jv_member_string(params, "type", ""));
    for (struct jv_member m = {0}; jv_next(data, &m);) {
        char *text = jv_kind(m.value) == JV_STRING ? strdup(jv_as_string(m.value)) : jv_print(m.value, false);

        printf(" %s %s", m.key, text);
        free(text);
    }
    putchar('\n');
}

static int monitor(struct cli *cli)
{
    struct jv *params = jv_new_object(), *types = jv_new_array(), *message;
    struct rpc_error error;
    int status = RPC_DONE, wait_ms = args_has(&cli->args, "timeout") ? cli->timeout_ms : -1;

    for (int i = 0; i < cli->word_count; i++) {
        jv_append(types, jv_new_string(cli->words[i]));
    }
    if (cli->word_count) {
        jv_set(params, "types", jv_ref(types));
    }
    jv_unref(types);
    status = cli_call(cli, "events.subscribe", params, &message);
    jv_unref(message);
    if (status != RPC_DONE) {
        return status;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    /* main() says it when the output cannot be written. */
    while (!ferror(stdout) && (status = rpc_event(cli->rpc, wait_ms, -1, &message, &error)) == RPC_DONE) {
        if (cli->json) {
            cli_print_json(jv_get(message, "params"));
        } else {
            print_event(message);
        }
        jv_unref(message);
    }
    return status == RPC_DONE || status == RPC_TIMEOUT ? RPC_DONE : cli_fail(cli, &error);
}

const struct command command_daemon_table[] = {
    {"show", "", 0, 0, "", "what there is, at a glance", show},
    {"info", "", 0, 0, "", "the daemon: version, pid, role of this user", info},
    {"ping", "", 0, 0, "", "ask whether the daemon answers", ping},
    {"reload", "", 0, 0, "", "read the configuration file again: all of it, or nothing", reload},
    {"shutdown", "", 0, 0, "guests", "end the daemon; guests go on unless --guests", shutdown_daemon},
    {"config", "", 0, 0, "", "what runs, as a configuration file", config},
    {"stats", "", 0, 0, "", "all counters", stats},
    {"switch show", "", 0, 0, "", "the switch's settings", switch_show},
    {"switch set", "KEY=VALUE...", 1, 8, "", "change the switch's settings", switch_set},
    {"monitor", "[TYPE...]", 0, 16, "", "show events as they come: port, fdb, guest, config, daemon", monitor},
    {"methods", "", 0, 0, "", "the methods of the control socket", methods},
    {"call", "METHOD [JSON]", 1, 2, "", "call a method of the control socket", call},
    {0},
};
