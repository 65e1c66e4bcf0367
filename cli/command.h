/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Commands of vswitchctl: rows of tables, one file a noun (command_port.c …).
 * main.c reads the options, finds the row, and runs it.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "cli/args.h"
#include "cli/rpc_client.h"
#include "cli/table.h"

/* Beside enum rpc_status. */
enum { CLI_USAGE = 2 };

struct cli {
    struct args args;
    const char *const *words;   /* What follows the command's own words. */
    int word_count;
    bool json;
    int timeout_ms;
    struct rpc *rpc;            /* NULL until cli_connect(). */
};

struct command {
    const char *name;           /* "port list"; NULL ends a table. */
    const char *words;          /* What is expected: "NAME"; "" for nothing. */
    int min_words, max_words;
    const char *options;        /* Accepted besides the general ones: "vlan mtu". */
    const char *help;
    int (*run)(struct cli *cli);        /* The exit status. */
};

extern const struct command command_port_table[];
extern const struct command command_fdb_table[];
extern const struct command command_guest_table[];
extern const struct command command_nic_table[];
extern const struct command command_daemon_table[];
extern const struct command command_capture_table[];

/* Each of these prints what went wrong, and answers the exit status. */
int cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
int cli_fail(const struct cli *cli, struct rpc_error *error);
int cli_connect(struct cli *cli);
/* Connects if need be. Takes over `params`; *result is the caller's. */
int cli_call(struct cli *cli, const char *method, struct jv *params, struct jv **result);
/* The same for commands whose answer needs no words: prints it with --json only. */
int cli_do(struct cli *cli, const char *method, struct jv *params);

/* One line of JSON. */
void cli_print_json(const struct jv *value);

/* {"name": NAME} of the first word. */
struct jv *cli_name_params(const struct cli *cli);
/* Options into members of an object, where they were given. False after a message. */
bool cli_add_number(const struct cli *cli, struct jv *object, const char *option, const char *key);
bool cli_add_switch(const struct cli *cli, struct jv *object, const char *option, const char *key);
/* --vlan, --trunk, --native, --native-tagged into "vlan". */
bool cli_add_vlan(const struct cli *cli, struct jv *object);
/* "10", "trunk 10,20-29 native 5": a "vlan" object for people. */
const char *cli_vlan_text(const struct jv *vlan, char *text, size_t size);

/* Streams between the terminal and a guest's console until Ctrl-] or its end. */
int console_run(const struct cli *cli, const char *path, const char *guest);

#endif
