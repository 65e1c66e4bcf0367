/* SPDX-License-Identifier: BSD-2-Clause
 *
 * `guest stats`: asks the guest's own process and shows where its time goes.
 */
#include "cli/guest_stats.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/json/json_read.h"

enum { SHOWN_MAX = 12, MEMBERS_MAX = 300 };

/* ---- Asking ---- */

static int read_line(int fd, int timeout_ms, char *line, size_t size)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    size_t used = 0;

    while (used + 1 < size) {
        ssize_t n;

        if (poll(&ready, 1, timeout_ms) != 1) {
            return RPC_TIMEOUT;
        }
        n = read(fd, line + used, size - 1 - used);
        if (n <= 0) {
            break;
        }
        used += (size_t)n;
        if (memchr(line, '\n', used)) {
            break;
        }
    }
    line[used] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return used ? RPC_DONE : RPC_UNREACHABLE;
}

static int ask(struct cli *cli, const char *path, char *line, size_t size)
{
    int fd = rpc_connect_path(path), status = RPC_UNREACHABLE;

    if (fd >= 0 && send(fd, "stats\n", 6, MSG_NOSIGNAL) == 6) {
        status = read_line(fd, cli->timeout_ms, line, size);
    }
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

/* ---- Showing ---- */

static double share(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : 0;
}

static double number(const struct jv *object, const char *key)
{
    return (double)jv_member_int(object, key, 0);
}

static void add_row(struct table *table, const char *group, const char *name, double count, double seconds)
{
    table_cell(table, "%s", group);
    table_cell(table, "%s", name);
    table_cell(table, "%.0f", count);
    table_cell(table, "%.1f", seconds > 0 ? count / seconds : 0);
}

static void print_time(const struct jv *time)
{
    double uptime = number(time, "uptime_ns"), idle = number(time, "idle_ns");
    double user = number(time, "samples_user"), kernel = number(time, "samples_kernel"), c = number(time, "samples_c");
    double samples = user + kernel + c;

    printf("up %.1f s: idle %.1f %%, running %.1f %% (%.1f s of CPU time), %.0f halts\n", uptime / 1e9,
           share(idle, uptime), share(number(time, "running_ns"), uptime), number(time, "cpu_ns") / 1e9,
           number(time, "halts"));
    if (samples > 0) {
        printf("of the time it ran: translated user code %.0f %%, kernel code %.0f %%, in C %.0f %% (%.0f samples)\n",
               share(user, samples), share(kernel, samples), share(c, samples), samples);
    }
}

static void print_translations(const struct jv *engine, const struct jv *time)
{
    char guest[16], code[16];

    printf("translated %.0f blocks from %s of code in %.2f s (%.1f %% of the time it ran), %s now; "
           "%.0f invalidated, %.0f times all dropped\n\n",
           number(engine, "blocks_translated"), table_bytes((uint64_t)number(engine, "bytes_translated"), guest),
           number(engine, "translate_ns") / 1e9, share(number(engine, "translate_ns"), number(time, "running_ns")),
           table_bytes((uint64_t)number(engine, "code_bytes"), code), number(engine, "invalidations"),
           number(engine, "cache_flushes"));
}

static int by_count(const void *a, const void *b)
{
    int64_t x = 0, y = 0;

    jv_as_int(((const struct jv_member *)a)->value, &x);
    jv_as_int(((const struct jv_member *)b)->value, &y);
    return x < y ? 1 : x > y ? -1 : 0;
}

/* The largest members of an object of counters. */
static void add_object(struct table *table, const char *group, const struct jv *object, const char *format, double seconds)
{
    struct jv_member members[MEMBERS_MAX];
    size_t count = 0;

    for (struct jv_member m = {0}; count < MEMBERS_MAX && jv_next(object, &m);) {
        members[count++] = m;
    }
    qsort(members, count, sizeof *members, by_count);
    for (size_t i = 0; i < count && i < SHOWN_MAX; i++) {
        int64_t value = 0;
        char name[64];

        jv_as_int(members[i].value, &value);
        snprintf(name, sizeof name, format, members[i].key);
        add_row(table, group, name, (double)value, seconds);
    }
}

static void add_memory(struct table *table, const struct jv *engine, double seconds)
{
    static const char *const rows[][2] = {
        {"view_fills", "table entries made"}, {"view_flushes", "tables emptied (CR3, CR0, CR4)"},
        {"page_flushes", "single entries dropped (INVLPG)"}, {"page_faults", "page faults of the guest"},
        {"slow_accesses", "accesses that took the slow path"},
        {"bare_faults", "accesses without a check that faulted"}, {"bare_pages", "pages mapped for such accesses"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        add_row(table, "memory", rows[i][1], number(engine, rows[i][0]), seconds);
    }
}

static void add_devices(struct table *table, const struct jv *devices, double seconds)
{
    struct jv *counts = jv_new_object();

    for (size_t i = 0; i < jv_length(devices); i++) {
        const struct jv *d = jv_at(devices, i);
        const char *name = jv_member_string(d, "name", "");
        char text[96];

        snprintf(text, sizeof text, "%.30s 0x%llx%s%.30s", jv_member_string(d, "space", ""),
                 (unsigned long long)jv_member_int(d, "first", 0), name[0] ? " " : "", name);
        jv_set_int(counts, text, jv_member_int(d, "reads", 0) + jv_member_int(d, "writes", 0));
    }
    add_object(table, "device", counts, "%s", seconds);
    jv_unref(counts);
}

static void add_nics(struct table *table, const struct jv *nics, double seconds)
{
    static const char *const rows[] = {"rx_frames", "tx_frames", "interrupts", "register_accesses", "kicks"};

    for (size_t i = 0; i < jv_length(nics); i++) {
        char group[64];

        snprintf(group, sizeof group, "nic%zu %.30s", i, jv_member_string(jv_at(nics, i), "model", ""));
        for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
            add_row(table, group, rows[k], number(jv_at(nics, i), rows[k]), seconds);
        }
    }
}

static void print_stats(const struct jv *stats)
{
    const struct jv *engine = jv_get(stats, "engine"), *time = jv_get(stats, "time");
    double seconds = number(time, "uptime_ns") / 1e9;
    struct table *table = table_create("|WHAT|>COUNT|>A SECOND");

    print_time(time);
    print_translations(engine, time);
    add_object(table, "exit", jv_get(engine, "exit"), "%s", seconds);
    add_row(table, "exit", "indirect jump not in the table", number(engine, "indirect_misses"), seconds);
    add_row(table, "exit", "hot indirect jump to a new place", number(engine, "jump_misses"), seconds);
    add_memory(table, engine, seconds);
    add_object(table, "slow access", jv_get(engine, "slow"), "%s", seconds);
    add_object(table, "done in C", jv_get(engine, "call"), "%s", seconds);
    add_object(table, "exception", jv_get(engine, "exception"), "vector %s", seconds);
    add_object(table, "interrupt", jv_get(engine, "interrupt"), "vector %s", seconds);
    add_devices(table, jv_get(stats, "devices"), seconds);
    add_nics(table, jv_get(stats, "nics"), seconds);
    table_print(table, stdout);
    table_free(table);
}

static int show(struct cli *cli, const char *line)
{
    struct json_error error;
    struct jv *stats = NULL;

    if (json_read(line, strlen(line), &stats, &error) != 0 || jv_kind(stats) != JV_OBJECT) {
        fprintf(stderr, "vswitchctl: guest %s answers something that is no JSON\n", cli->words[0]);
        jv_unref(stats);
        return RPC_UNREACHABLE;
    }
    if (cli->json) {
        cli_print_json(stats);
    } else {
        print_stats(stats);
    }
    jv_unref(stats);
    return RPC_DONE;
}

int guest_stats(struct cli *cli)
{
    struct jv *guest;
    const char *path;
    char line[65536];
    int status = cli_call(cli, "guest.get", cli_name_params(cli), &guest);

    if (status != RPC_DONE) {
        return status;
    }
    path = jv_member_string(guest, "control_socket", NULL);
    if (!path) {
        fprintf(stderr, "vswitchctl: guest %s is not running\n", cli->words[0]);
        jv_unref(guest);
        return RPC_REFUSED;
    }
    status = ask(cli, path, line, sizeof line);
    jv_unref(guest);
    if (status != RPC_DONE) {
        fprintf(stderr, "vswitchctl: guest %s does not answer\n", cli->words[0]);
        return status;
    }
    return show(cli, line);
}
