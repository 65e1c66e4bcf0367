/* SPDX-License-Identifier: BSD-2-Clause
 *
 * vswitchctl guest link, trace, nic-save, nic-restore: the network cards of a guest that runs.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/guest_nic_state.h"

static volatile sig_atomic_t ended;

static void end(int number)
{
    (void)number;
    ended = 1;
}

static int guest_link(struct cli *cli)
{
    struct jv *params = cli_name_params(cli);
    const char *state = cli->words[1];

    if (strcmp(state, "up") != 0 && strcmp(state, "down") != 0) {
        jv_unref(params);
        return cli_usage("guest link: up or down, not \"%s\"", state);
    }
    if (!cli_add_number(cli, params, "nic", "nic")) {
        jv_unref(params);
        return CLI_USAGE;
    }
    jv_set_bool(params, "up", strcmp(state, "up") == 0);
    return cli_do(cli, "guest.link", params);
}

/* ---- guest trace ---- */

/* The stream's first line says whether it begins. */
static bool has_begun(const char *guest, const char *line)
{
    const char *wrong = strstr(line, "\"error\":\"");

    if (!wrong) {
        fprintf(stderr, "tracing a card of guest %s; Ctrl-C ends it\n", guest);
        return true;
    }
    wrong += strlen("\"error\":\"");
    fprintf(stderr, "vswitchctl: %.*s\n", (int)strcspn(wrong, "\""), wrong);
    return false;
}

/* Until the guest, the user or the count ends it. */
static int print_lines(const char *guest, FILE *from, int64_t count)
{
    char line[512];

    if (!fgets(line, sizeof line, from) || !has_begun(guest, line)) {
        return RPC_REFUSED;
    }
    while (!ended && count != 0 && fgets(line, sizeof line, from)) {
        fputs(line, stdout);
        count -= count > 0;
        if (fflush(stdout) != 0) {
            return errno == EPIPE ? RPC_DONE : RPC_REFUSED;
        }
    }
    return RPC_DONE;
}

static int read_trace(struct cli *cli, const struct jv *started, int64_t count)
{
    const struct sigaction action = {.sa_handler = end};
    int fd = rpc_connect_path(jv_member_string(started, "socket", "")), status;
    FILE *from = fd >= 0 ? fdopen(fd, "r") : NULL;

    if (!from) {
        fprintf(stderr, "vswitchctl: cannot reach %s: %s\n", jv_member_string(started, "socket", ""), strerror(errno));
        return RPC_UNREACHABLE;
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    status = print_lines(cli->words[0], from, count);
    fclose(from);
    return status;
}

static int guest_trace(struct cli *cli)
{
    const char *text = args_value(&cli->args, "count");
    struct jv *params = cli_name_params(cli), *started;
    int64_t count = -1;
    int status;

    if (text && !args_number(text, 1, INT64_MAX, &count)) {
        jv_unref(params);
        return cli_usage("--count needs a number of lines, 1 or more, not \"%s\"", text);
    }
    if (!cli_add_number(cli, params, "nic", "nic")) {
        jv_unref(params);
        return CLI_USAGE;
    }
    jv_set_bool(params, "strict", args_has(&cli->args, "strict"));
    jv_set_bool(params, "rules", args_has(&cli->args, "rules"));
    status = cli_call(cli, "guest.trace", params, &started);
    if (status == RPC_DONE && cli->json) {
        cli_print_json(started);
    } else if (status == RPC_DONE) {
        status = read_trace(cli, started, count);
    }
    jv_unref(started);
    return status;
}

const struct command command_nic_table[] = {
    {"guest link", "NAME up|down", 2, 2, "nic", "plug a card's cable in or out", guest_link},
    {"guest trace", "NAME", 1, 1, "nic strict rules count", "what a card's driver does, register by register", guest_trace},
    {"guest nic-save", "NAME FILE", 2, 2, "nic", "write a card's state to a file", guest_nic_save},
    {"guest nic-restore", "NAME FILE", 2, 2, "nic", "give a card a state that was saved", guest_nic_restore},
    {0},
};
