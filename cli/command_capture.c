/* SPDX-License-Identifier: BSD-2-Clause
 *
 * vswitchctl capture: a port's frames as pcap. The daemon offers the bytes on a
 * socket made for this capture; files are written here, with this user's rights.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"

static volatile sig_atomic_t ended;

static void end(int number)
{
    (void)number;
    ended = 1;
}

static struct jv *make_params(const struct cli *cli)
{
    struct jv *params = jv_new_object();
    char filter[8192] = "";     /* The daemon takes less. */

    jv_set_string(params, "port", cli->words[0]);
    for (int i = 1; i < cli->word_count; i++) {
        size_t used = strlen(filter);

        snprintf(filter + used, sizeof filter - used, "%s%s", i > 1 ? " " : "", cli->words[i]);
    }
    if (filter[0]) {
        jv_set_string(params, "filter", filter);
    }
    if (args_has(&cli->args, "direction")) {
        jv_set_string(params, "direction", args_value(&cli->args, "direction"));
    }
    if (!cli_add_number(cli, params, "count", "count") || !cli_add_number(cli, params, "snaplen", "snaplen")) {
        jv_unref(params);
        return NULL;
    }
    return params;
}

static bool write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);

        if (n < 0 && errno != EINTR) {
            return false;
        }
        bytes += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* Until the daemon, the reader or the user ends it. */
static int copy(int from, int to)
{
    char bytes[65536];

    while (!ended) {
        ssize_t n = read(from, bytes, sizeof bytes);

        if (n == 0 || (n < 0 && errno != EINTR)) {
            break;
        }
        if (n > 0 && !write_all(to, bytes, (size_t)n)) {
            if (errno != EPIPE) {
                fprintf(stderr, "vswitchctl: cannot write packets: %s\n", strerror(errno));
                return RPC_REFUSED;
            }
            break;
        }
    }
    return RPC_DONE;
}

/* Not emptied before the capture has begun: the port may be misspelt. */
static int open_output(const struct cli *cli)
{
    const char *file = args_value(&cli->args, "write");

    if (!file || strcmp(file, "-") == 0) {
        return STDOUT_FILENO;
    }
    return open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
}

static void empty(int fd)
{
    struct stat st;

    if (fd != STDOUT_FILENO && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        (void)!ftruncate(fd, 0);
    }
}

static void report(struct cli *cli, const struct jv *started)
{
    struct jv *params = jv_new_object(), *result;

    jv_set(params, "id", jv_ref(jv_get(started, "id")));
    if (cli_call(cli, "capture.stop", params, &result) == RPC_DONE) {
        if (cli->json) {
            char *text = jv_print(result, false);

            fprintf(stderr, "%s\n", text);
            free(text);
        } else {
            fprintf(stderr, "%lld packets captured, %lld lost\n", (long long)jv_member_int(result, "captured", 0),
                    (long long)jv_member_int(result, "lost", 0));
        }
    }
    jv_unref(result);
}

static int capture(struct cli *cli)
{
    struct sigaction action = {.sa_handler = end};
    struct jv *params = make_params(cli), *started;
    int status, from, to;

    if (!params) {
        return CLI_USAGE;
    }
    to = open_output(cli);
    if (to < 0) {
        fprintf(stderr, "vswitchctl: %s: %s\n", args_value(&cli->args, "write"), strerror(errno));
        jv_unref(params);
        return RPC_REFUSED;
    }
    if (to == STDOUT_FILENO && isatty(to)) {
        jv_unref(params);
        return cli_usage("packets are no text for a terminal: use -w FILE, or a pipe to tcpdump -r -");
    }
    status = cli_call(cli, "capture.start", params, &started);
    if (status != RPC_DONE) {
        return status;
    }
    empty(to);
    from = rpc_connect_path(jv_member_string(started, "socket", ""));
    if (from < 0) {
        fprintf(stderr, "vswitchctl: cannot reach %s: %s\n", jv_member_string(started, "socket", ""), strerror(errno));
        jv_unref(started);
        return RPC_UNREACHABLE;
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "capturing at port %s; Ctrl-C ends it\n", cli->words[0]);
    }
    status = copy(from, to);
    report(cli, started);
    close(from);
    jv_unref(started);
    return status;
}

static int capture_list(struct cli *cli)
{
    struct table *table;
    struct jv *list;
    int status = cli_call(cli, "capture.list", NULL, &list);

    if (status == RPC_DONE && cli->json) {
        cli_print_json(list);
    } else if (status == RPC_DONE) {
        table = table_create(">ID|PORT|DIRECTION|>CAPTURED|>LOST|FILTER");
        for (size_t i = 0; i < jv_length(list); i++) {
            const struct jv *c = jv_at(list, i);

            table_cell(table, "%lld", (long long)jv_member_int(c, "id", 0));
            table_cell(table, "%s", jv_member_string(c, "port", ""));
            table_cell(table, "%s", jv_member_string(c, "direction", ""));
            table_cell(table, "%lld", (long long)jv_member_int(c, "captured", 0));
            table_cell(table, "%lld", (long long)jv_member_int(c, "lost", 0));
            table_cell(table, "%s", jv_member_string(c, "filter", ""));
        }
        table_print(table, stdout);
        table_free(table);
    }
    jv_unref(list);
    return status;
}

const struct command command_capture_table[] = {
    {"capture", "PORT [FILTER]", 1, 60, "write count snaplen direction", "frames at a port as pcap; FILTER as for tcpdump",
     capture},
    {"captures", "", 0, 0, "", "captures that run", capture_list},
    {0},
};
