/* SPDX-License-Identifier: BSD-2-Clause
 *
 * vswitchctl guest …
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/guest_stats.h"

enum { SETTLE_MS = 2500, SETTLE_NO_NIC_MS = 400, STARTING_MS = 3500, STOP_MARGIN_MS = 3000, STOP_MS = 10000 /* The guest ends itself after 8 s. */ };

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int subscribe(struct cli *cli)
{
    struct jv *params = jv_new_object(), *types = jv_new_array(), *result;
    int status;

    jv_append(types, jv_new_string("guest"));
    jv_append(types, jv_new_string("port.up"));
    jv_set(params, "types", types);
    status = cli_call(cli, "events.subscribe", params, &result);
    jv_unref(result);
    return status;
}

static void print_list(const struct jv *list)
{
    struct table *table = table_create("GUEST|STATE|>PID|>MEMORY|>UP|NICS|LAST END");

    for (size_t i = 0; i < jv_length(list); i++) {
        const struct jv *g = jv_at(list, i), *nics = jv_get(g, "nics"), *last = jv_get(g, "last_exit");
        char text[300] = "", up[16];

        table_cell(table, "%s", jv_member_string(g, "name", ""));
        table_cell(table, "%s", jv_member_string(g, "state", ""));
        if (jv_has(g, "pid")) {
            table_cell(table, "%lld", (long long)jv_member_int(g, "pid", 0));
        } else {
            table_cell(table, "-");
        }
        if (jv_member_int(g, "memory_mib", 0)) {
            table_cell(table, "%lld MiB", (long long)jv_member_int(g, "memory_mib", 0));
        } else {
            table_cell(table, "-");         /* Adopted: what started it knows. */
        }
        table_cell(table, "%s", jv_has(g, "uptime_s")
                                    ? table_seconds((uint64_t)jv_member_int(g, "uptime_s", 0), up) : "");
        for (size_t k = 0; k < jv_length(nics); k++) {
            size_t used = strlen(text);

            snprintf(text + used, sizeof text - used, "%s%s%s%s", k ? " " : "",
                     jv_member_string(jv_at(nics, k), "port", ""), jv_has(jv_at(nics, k), "model") ? ":" : "",
                     jv_member_string(jv_at(nics, k), "model", ""));
        }
        table_cell(table, "%s", text);
        snprintf(text, sizeof text, "%s", "");
        if (jv_has(last, "status")) {
            snprintf(text, sizeof text, "status %lld", (long long)jv_member_int(last, "status", 0));
        } else if (jv_has(last, "signal")) {
            snprintf(text, sizeof text, "SIG%s", jv_member_string(last, "signal", ""));
        }
        table_cell(table, "%s", text);
    }
    table_print(table, stdout);
    table_free(table);
}

static int guest_list(struct cli *cli)
{
    struct jv *list;
    int status = cli_call(cli, "guest.list", NULL, &list);

    if (status == RPC_DONE && cli->json) {
        cli_print_json(list);
    } else if (status == RPC_DONE) {
        print_list(list);
    }
    jv_unref(list);
    return status;
}

static int guest_show(struct cli *cli)
{
    struct jv *guest;
    int status = cli_call(cli, "guest.get", cli_name_params(cli), &guest);

    if (status == RPC_DONE) {
        char *text = jv_print(guest, !cli->json);

        puts(text);
        free(text);
    }
    jv_unref(guest);
    return status;
}

/* ---- Waiting for what a call has set off ---- */

/* The event of this type and guest, or the guest's port coming up. 1: exited; 2: a link is up; 0: something else. */
static int classify(const struct jv *message, const char *name, const struct jv *nics, const struct jv **data)
{
    const struct jv *params = jv_get(message, "params");
    const char *type = jv_member_string(params, "type", "");

    *data = jv_get(params, "data");
    if (strcmp(type, "guest.exited") == 0 && strcmp(jv_member_string(*data, "guest", ""), name) == 0) {
        return 1;
    }
    for (size_t i = 0; strcmp(type, "port.up") == 0 && i < jv_length(nics); i++) {
        if (strcmp(jv_member_string(jv_at(nics, i), "port", ""), jv_member_string(*data, "port", "")) == 0) {
            return 2;
        }
    }
    return 0;
}

/* Waits for the guest's end, or with `nics` for its first link. RPC_TIMEOUT: neither came. *exited takes the data of
 * guest.exited. */
static enum rpc_status wait_for(struct cli *cli, const char *name, const struct jv *nics, int wait_ms,
                                struct jv **exited)
{
    int64_t deadline = now_ms() + wait_ms;
    const struct jv *data;
    struct rpc_error error;
    enum rpc_status status = RPC_DONE;
    int what = 0;

    *exited = NULL;
    while (status == RPC_DONE && what == 0) {
        int64_t left = deadline - now_ms();
        struct jv *message = NULL;

        status = rpc_event(cli->rpc, left > 0 ? (int)left : 0, -1, &message, &error);
        if (status == RPC_DONE) {
            what = classify(message, name, nics, &data);
            *exited = what == 1 ? jv_ref(jv_get(jv_get(message, "params"), "data")) : NULL;
        }
        jv_unref(message);
    }
    return status;
}

static int report_early_end(const char *name, const struct jv *exited)
{
    const char *text = jv_member_string(exited, "text", "");

    if (jv_member_int(exited, "status", -1) == 0) {
        fprintf(stderr, "vswitchctl: guest %s has ended already\n", name);
    } else {
        fprintf(stderr, "vswitchctl: guest %s ended at once%s%s\n", name, text[0] ? ": " : "", text);
    }
    return RPC_REFUSED;
}

static void warn_of_address(const struct jv *nics, const struct jv *other)
{
    const struct jv *theirs = jv_get(other, "nics");

    for (size_t i = 0; i < jv_length(nics); i++) {
        const char *mac = jv_member_string(jv_at(nics, i), "mac", "-");

        for (size_t k = 0; k < jv_length(theirs); k++) {
            if (strcmp(mac, jv_member_string(jv_at(theirs, k), "mac", "")) == 0) {
                fprintf(stderr, "vswitchctl: warning: guest %s has the address %s, too: in one VLAN, frames for it go to "
                        "whoever was heard last\n", jv_member_string(other, "name", ""), mac);
            }
        }
    }
}

/* A definition is soon copied, with the addresses in it. Two guests may have one in different VLANs, so it is no error. */
static void warn_of_addresses(struct cli *cli, const char *name, const struct jv *nics)
{
    struct jv *list;

    if (cli_call(cli, "guest.list", NULL, &list) == RPC_DONE) {
        for (size_t i = 0; i < jv_length(list); i++) {
            const struct jv *other = jv_at(list, i);

            if (strcmp(jv_member_string(other, "name", ""), name) != 0
                && strcmp(jv_member_string(other, "state", ""), "running") == 0) {
                warn_of_address(nics, other);
            }
        }
        jv_unref(list);
    }
}

/* Its process is not there yet: who starts guests is slow. */
static bool is_starting(const struct jv *guest)
{
    return strcmp(jv_member_string(guest, "state", ""), "starting") == 0;
}

/* What has become of it. *guest stays as it was where that cannot be told. */
static int get_again(struct cli *cli, const char *name, struct jv **guest)
{
    struct jv *params = jv_new_object(), *now;
    int status;

    jv_set_string(params, "name", name);
    status = cli_call(cli, "guest.get", params, &now);
    if (status == RPC_DONE) {
        jv_unref(*guest);
        *guest = now;
    }
    return status;
}

static int start_named(struct cli *cli, const char *name)
{
    struct jv *params = jv_new_object(), *guest, *exited;
    const struct jv *nics;
    enum rpc_status waited;
    int settle_ms, status = subscribe(cli);

    jv_set_string(params, "name", name);
    if (status != RPC_DONE) {
        jv_unref(params);
        return status;
    }
    status = cli_call(cli, "guest.start", params, &guest);
    if (status != RPC_DONE) {
        return status;
    }
    nics = jv_get(guest, "nics");
    settle_ms = jv_length(nics) ? SETTLE_MS : SETTLE_NO_NIC_MS;
    waited = wait_for(cli, name, nics, is_starting(guest) ? settle_ms + STARTING_MS : settle_ms, &exited);
    if (!exited && is_starting(guest)) {
        status = get_again(cli, name, &guest);
        nics = jv_get(guest, "nics");
    }
    if (exited) {
        status = report_early_end(name, exited);
    } else if (waited == RPC_UNREACHABLE) {
        status = waited;
    } else if (status == RPC_DONE) {
        if (cli->json) {
            cli_print_json(guest);
        } else {
            printf("guest %s runs, pid %lld\n", name, (long long)jv_member_int(guest, "pid", 0));
        }
        warn_of_addresses(cli, name, nics);
    }
    jv_unref(exited);
    jv_unref(guest);
    return status;
}

static int guest_start(struct cli *cli)
{
    return start_named(cli, cli->words[0]);
}

static int end_guest(struct cli *cli, const char *method, struct jv *params, int wait_ms)
{
    struct jv *result, *exited;
    int status = subscribe(cli);

    if (status != RPC_DONE) {
        jv_unref(params);
        return status;
    }
    status = cli_call(cli, method, params, &result);
    jv_unref(result);
    if (status != RPC_DONE) {
        return status;
    }
    status = wait_for(cli, cli->words[0], NULL, wait_ms, &exited);
    if (status == RPC_TIMEOUT) {
        fprintf(stderr, "vswitchctl: guest %s has not ended yet\n", cli->words[0]);
    } else if (exited && cli->json) {
        cli_print_json(exited);
    }
    jv_unref(exited);
    return status;
}

static int guest_stop(struct cli *cli)
{
    struct jv *params = cli_name_params(cli);
    int patience = args_has(&cli->args, "timeout") ? cli->timeout_ms : STOP_MS;

    jv_set_int(params, "timeout_s", patience / 1000);
    return end_guest(cli, "guest.stop", params, patience + STOP_MARGIN_MS);
}

static int guest_kill(struct cli *cli)
{
    return end_guest(cli, "guest.kill", cli_name_params(cli), cli->timeout_ms);
}

static int guest_undefine(struct cli *cli)
{
    return cli_do(cli, "guest.undefine", cli_name_params(cli));
}

/* Asks until the guest is there: it may only just have been started. */
static int guest_adopt(struct cli *cli)
{
    int64_t deadline = now_ms() + cli->timeout_ms;
    struct rpc_error error;
    struct jv *guest;
    int status = cli_connect(cli);

    while (status == RPC_DONE) {
        if (rpc_call(cli->rpc, "guest.adopt", cli_name_params(cli), &guest, &error) == RPC_DONE) {
            if (cli->json) {
                cli_print_json(guest);
            }
            jv_unref(guest);
            return RPC_DONE;
        }
        if (error.status != RPC_REFUSED || now_ms() >= deadline
            || strcmp(jv_member_string(jv_get(error.answer, "data"), "reason", ""), "guest.not_running") != 0) {
            return cli_fail(cli, &error);
        }
        rpc_error_free(&error);
        usleep(50000);
    }
    return status;
}

/* ---- Console: a socket of the guest's own process ---- */

static int console_named(struct cli *cli, const char *name)
{
    struct jv *params = jv_new_object(), *result;
    int status;

    jv_set_string(params, "name", name);
    status = cli_call(cli, "guest.console", params, &result);
    if (status == RPC_DONE && cli->json) {
        cli_print_json(result);
    } else if (status == RPC_DONE) {
        status = console_run(cli, jv_member_string(result, "socket", ""), name);
    }
    jv_unref(result);
    return status;
}

static int guest_console(struct cli *cli)
{
    return console_named(cli, cli->words[0]);
}

/* ---- guest run ---- */

static bool is_one_of(const char *text, const char *const *words)
{
    while (*words && strcmp(text, *words) != 0) {
        words++;
    }
    return *words != NULL;
}

static bool add_nic_member(struct jv *nic, char *text)
{
    static const char *const numbers[] = {"vlan", "mtu", "irq", "slot", "speed", NULL};
    char *equals = strchr(text, '=');
    struct jv *vlan;
    int64_t number = 0;

    if (!equals) {
        cli_usage("--nic is written like model=e1000,mac=52:54:00:00:00:01,port=bob,vlan=20; what is \"%s\"?", text);
        return false;
    }
    *equals++ = '\0';
    if (is_one_of(text, numbers) && !args_number(equals, INT64_MIN, INT64_MAX, &number)) {
        cli_usage("--nic: %s is a number, not \"%s\"", text, equals);
        return false;
    }
    if (strcmp(text, "vlan") == 0) {
        vlan = jv_new_object();
        jv_set_string(vlan, "mode", "access");
        jv_set_int(vlan, "access", number);
        jv_set(nic, "vlan", vlan);
        return true;
    }
    if (is_one_of(text, numbers)) {
        jv_set_int(nic, text, number);
        return true;
    }
    if (strcmp(text, "link") == 0) {
        if (strcmp(equals, "up") != 0 && strcmp(equals, "down") != 0) {
            cli_usage("--nic: link is up or down, not \"%s\"", equals);
            return false;
        }
        jv_set_bool(nic, "link", strcmp(equals, "up") == 0);
        return true;
    }
    jv_set_string(nic, text, equals);       /* The daemon knows the members. */
    return true;
}

static bool add_nic(struct jv *nics, const char *option)
{
    struct jv *nic = jv_new_object();
    char *copy = strdup(option), *rest = copy, *part;
    bool done = copy != NULL;

    while (done && (part = strsep(&rest, ","))) {
        if (!strchr(part, '=') && !jv_has(nic, "model")) {
            jv_set_string(nic, "model", part);      /* --nic e1000 */
        } else {
            done = add_nic_member(nic, part);
        }
    }
    free(copy);
    jv_append(nics, nic);
    return done;
}

/* The daemon wants whole paths. What it has itself to look at, a whole path that cannot be followed from here, goes on
 * as it is. */
static bool add_file(const struct cli *cli, struct jv *params, const char *option)
{
    const char *file = args_value(&cli->args, option);
    char *absolute = file ? realpath(file, NULL) : NULL;

    if (file && !absolute && file[0] != '/') {
        cli_usage("--%s %s: %s", option, file, strerror(errno));
        return false;
    }
    if (file) {
        jv_set_string(params, option, absolute ? absolute : file);
    }
    free(absolute);
    return true;
}

/* What the options say of the guest; false: one was wrong, which is said. */
static bool add_guest_options(struct cli *cli, struct jv *params, struct jv *nics)
{
    const char *value;

    if (!args_has(&cli->args, "kernel")) {
        cli_usage("guest run needs --kernel FILE");
        return false;
    }
    if (args_has(&cli->args, "append")) {
        jv_set_string(params, "cmdline", args_value(&cli->args, "append"));
    }
    for (int i = 0; (value = args_value_at(&cli->args, "nic", i)); i++) {
        if (!add_nic(nics, value)) {
            return false;
        }
    }
    return add_file(cli, params, "kernel") && add_file(cli, params, "initrd")
           && cli_add_number(cli, params, "memory", "memory_mib")
           && cli_add_number(cli, params, "idle-slack", "idle_slack_ms");
}

static int guest_run(struct cli *cli)
{
    struct jv *params = cli_name_params(cli), *nics = jv_new_array(), *result;
    int status;

    jv_set(params, "nics", nics);
    if (!add_guest_options(cli, params, nics)) {
        jv_unref(params);
        return CLI_USAGE;
    }
    status = cli_call(cli, "guest.define", params, &result);
    jv_unref(result);
    if (status == RPC_DONE) {
        status = start_named(cli, cli->words[0]);
    }
    if (status == RPC_DONE && args_has(&cli->args, "console")) {
        status = console_named(cli, cli->words[0]);
    }
    return status;
}

const struct command command_guest_table[] = {
    {"guest list", "", 0, 0, "", "all guests", guest_list},
    {"guest show", "NAME", 1, 1, "", "one guest", guest_show},
    {"guest run", "NAME", 1, 1, "kernel initrd append memory idle-slack nic console", "define a guest and start it", guest_run},
    {"guest start", "NAME", 1, 1, "", "start a defined guest", guest_start},
    {"guest stop", "NAME", 1, 1, "", "ask a guest to end; it is killed after --timeout, 10 s unless given", guest_stop},
    {"guest kill", "NAME", 1, 1, "", "end a guest at once", guest_kill},
    {"guest console", "NAME", 1, 1, "", "attach to the serial console; Ctrl-] leaves", guest_console},
    {"guest stats", "NAME", 1, 1, "", "where the guest's time goes", guest_stats},
    {"guest adopt", "NAME", 1, 1, "", "connect a guest that something else has started", guest_adopt},
    {"guest undefine", "NAME", 1, 1, "", "forget a stopped guest", guest_undefine},
    {0},
};
