/* SPDX-License-Identifier: BSD-2-Clause
 *
 * vswitchctl(1): finds the command among the tables of command.h and runs it.
 * Answers go to standard output, talk goes to standard error.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "proto/json/json_check.h"

static const struct command *const tables[] = {
    command_daemon_table, command_port_table, command_fdb_table, command_guest_table, command_nic_table, command_capture_table,
};
enum { TABLES = sizeof tables / sizeof *tables, NAMES_MAX = 80, TIMEOUT_S = 5 };

int cli_usage(const char *format, ...)
{
    va_list args;

    fputs("vswitchctl: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("\n", stderr);
    return CLI_USAGE;
}

int cli_fail(const struct cli *cli, struct rpc_error *error)
{
    enum rpc_status status = error->status;

    if (cli->json && error->answer) {
        char *text = jv_print(error->answer, false);

        fprintf(stderr, "%s\n", text);
        free(text);
    } else {
        fprintf(stderr, "vswitchctl: %s\n", error->text);
        if (error->hint[0]) {
            fprintf(stderr, "  hint: %s\n", error->hint);
        }
    }
    rpc_error_free(error);
    return status;
}

int cli_connect(struct cli *cli)
{
    struct rpc_error error;

    if (cli->rpc || rpc_open(args_value(&cli->args, "socket"), cli->timeout_ms, &cli->rpc, &error) == RPC_DONE) {
        return RPC_DONE;
    }
    return cli_fail(cli, &error);
}

int cli_call(struct cli *cli, const char *method, struct jv *params, struct jv **result)
{
    struct rpc_error error;
    int status = cli_connect(cli);

    *result = NULL;
    if (status != RPC_DONE) {
        jv_unref(params);
        return status;
    }
    return rpc_call(cli->rpc, method, params, result, &error) == RPC_DONE ? RPC_DONE : cli_fail(cli, &error);
}

int cli_do(struct cli *cli, const char *method, struct jv *params)
{
    struct jv *result;
    int status = cli_call(cli, method, params, &result);

    if (status == RPC_DONE && cli->json) {
        cli_print_json(result);
    }
    jv_unref(result);
    return status;
}

void cli_print_json(const struct jv *value)
{
    char *text = jv_print(value, false);

    puts(text);
    free(text);
}

struct jv *cli_name_params(const struct cli *cli)
{
    struct jv *params = jv_new_object();

    jv_set_string(params, "name", cli->words[0]);
    return params;
}

bool cli_add_number(const struct cli *cli, struct jv *object, const char *option, const char *key)
{
    const char *text = args_value(&cli->args, option);
    int64_t number;

    if (!text) {
        return true;
    }
    if (!args_number(text, INT64_MIN, INT64_MAX, &number)) {
        cli_usage("--%s needs a number, not \"%s\"", option, text);
        return false;
    }
    jv_set_int(object, key, number);
    return true;
}

bool cli_add_switch(const struct cli *cli, struct jv *object, const char *option, const char *key)
{
    const char *text = args_value(&cli->args, option);

    if (!text) {
        return true;
    }
    if (strcmp(text, "on") != 0 && strcmp(text, "off") != 0) {
        cli_usage("--%s is on or off, not \"%s\"", option, text);
        return false;
    }
    jv_set_bool(object, key, strcmp(text, "on") == 0);
    return true;
}

bool cli_add_vlan(const struct cli *cli, struct jv *object)
{
    const struct args *args = &cli->args;
    const char *trunk = args_value(args, "trunk");
    struct jv *vlan;

    if (!trunk && !args_has(args, "vlan")) {
        if (args_has(args, "native") || args_has(args, "native-tagged")) {
            cli_usage("--native and --native-tagged go with --trunk");
            return false;
        }
        return true;
    }
    if (trunk && args_has(args, "vlan")) {
        cli_usage("--vlan makes an access port, --trunk a trunk: give one of them");
        return false;
    }
    vlan = jv_new_object();
    jv_set(object, "vlan", vlan);
    jv_set_string(vlan, "mode", trunk ? "trunk" : "access");
    if (!trunk) {
        return cli_add_number(cli, vlan, "vlan", "access");
    }
    jv_set_string(vlan, "allowed", trunk);
    if (args_has(args, "native-tagged")) {
        jv_set_bool(vlan, "native_tagged", true);
    }
    return cli_add_number(cli, vlan, "native", "native");
}

const char *cli_vlan_text(const struct jv *vlan, char *text, size_t size)
{
    int native = (int)jv_member_int(vlan, "native", 0);

    if (strcmp(jv_member_string(vlan, "mode", ""), "trunk") != 0) {
        snprintf(text, size, "%d", (int)jv_member_int(vlan, "access", 0));
    } else if (native) {
        snprintf(text, size, "trunk %s native %d%s", jv_member_string(vlan, "allowed", ""), native,
                 jv_member_bool(vlan, "native_tagged", false) ? " tagged" : "");
    } else {
        snprintf(text, size, "trunk %s", jv_member_string(vlan, "allowed", ""));
    }
    return text;
}

/* ---- Help ---- */

static void print_option(const struct args_option *o)
{
    char left[60];

    snprintf(left, sizeof left, "%s%c%s--%s%s%s", o->letter ? "-" : "   ", o->letter ? o->letter : ' ',
             o->letter ? ", " : "", o->name, o->value ? " " : "", o->value ? o->value : "");
    printf("  %-34s %s\n", left, o->help);
}

static bool in_list(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (const char *p = list; (p = strstr(p, word)); p += length) {
        if ((p == list || p[-1] == ' ') && (p[length] == ' ' || p[length] == '\0')) {
            return true;
        }
    }
    return false;
}

static const char general_options[] = "help version json socket timeout";

static void print_command(const struct command *c)
{
    char left[60];

    snprintf(left, sizeof left, "%s %s", c->name, c->words);
    printf("  %-34s %s\n", left, c->help);
}

/* "guest": the commands that begin with this word; false: there is none. */
static bool help_noun(const char *noun)
{
    size_t length = strlen(noun), shown = 0;

    for (size_t t = 0; t < TABLES; t++) {
        for (const struct command *c = tables[t]; c->name; c++) {
            if (strncmp(c->name, noun, length) == 0 && c->name[length] == ' ') {
                if (shown++ == 0) {
                    printf("usage: vswitchctl %s COMMAND [OPTIONS]\n\ncommands:\n", noun);
                }
                print_command(c);
            }
        }
    }
    if (shown) {
        printf("\n\"vswitchctl %s COMMAND --help\" tells what a command takes\n", noun);
    }
    return shown > 0;
}

static int help_all(void)
{
    puts("usage: vswitchctl COMMAND [OPTIONS]\n"
         "\n"
         "examples:\n"
         "  vswitchctl show\n"
         "  vswitchctl port add tap0 --address 10.9.0.1/24\n"
         "  vswitchctl port set tap0 --trunk 10,20 --native 1\n"
         "  vswitchctl guest run bob --kernel /boot/vmlinuz --nic model=e1000,vlan=20 --console\n"
         "  vswitchctl capture bob -w - | tcpdump -r -\n"
         "\n"
         "commands:");
    for (size_t t = 0; t < TABLES; t++) {
        for (const struct command *c = tables[t]; c->name; c++) {
            print_command(c);
        }
    }
    puts("\noptions with every command:");
    for (const struct args_option *o = args_options; o->name; o++) {
        if (in_list(general_options, o->name)) {
            print_option(o);
        }
    }
    puts("\nexit status: 0 done, 1 refused, 2 usage, 3 no daemon, 4 time-out, 5 conflict");
    return 0;
}

/* Of a guest that runs, --nic names a card that it has. */
static const struct args_option nic_number = {"nic", 'n', "N", "the card's number, the first being 0 (0)"};

static int help_one(const struct command *c)
{
    bool makes_guest = in_list(c->options, "kernel");

    printf("usage: vswitchctl %s%s%s%s\n\n%s\n", c->name, c->words[0] ? " " : "", c->words, c->options[0] ? " [OPTIONS]" : "", c->help);
    if (c->options[0]) {
        puts("\noptions:");
    }
    for (const struct args_option *o = args_options; o->name; o++) {
        if (in_list(c->options, o->name)) {
            print_option(strcmp(o->name, "nic") == 0 && !makes_guest ? &nic_number : o);
        }
    }
    return 0;
}

/* ---- Finding the command ---- */

/* How many of the words the name takes up; 0: another command. */
static int match(const char *name, const struct args *args)
{
    char two[120];

    if (args->word_count >= 1 && strcmp(name, args->words[0]) == 0) {
        return 1;
    }
    if (args->word_count >= 2) {
        snprintf(two, sizeof two, "%.50s %.50s", args->words[0], args->words[1]);
        return strcmp(name, two) == 0 ? 2 : 0;
    }
    return 0;
}

static const struct command *find(const struct args *args, int *used)
{
    const struct command *found = NULL;

    *used = 0;
    for (size_t t = 0; t < TABLES; t++) {
        for (const struct command *c = tables[t]; c->name; c++) {
            int n = match(c->name, args);

            if (n > *used) {
                *used = n;
                found = c;
            }
        }
    }
    return found;
}

static int unknown_command(const struct args *args)
{
    const char *names[NAMES_MAX + 1];
    const char *meant;
    char given[120];
    size_t count = 0;

    snprintf(given, sizeof given, "%.50s%s%.50s", args->words[0], args->word_count > 1 ? " " : "",
             args->word_count > 1 ? args->words[1] : "");
    for (size_t t = 0; t < TABLES; t++) {
        for (const struct command *c = tables[t]; c->name && count < NAMES_MAX; c++) {
            names[count++] = c->name;
        }
    }
    names[count] = NULL;
    meant = json_did_you_mean(given, names);
    if (!meant) {
        meant = json_did_you_mean(args->words[0], names);
    }
    if (meant) {
        return cli_usage("there is no command \"%s\"; did you mean \"%s\"?", given, meant);
    }
    /* The noun is right: say which verbs it has. */
    fprintf(stderr, "vswitchctl: there is no command \"%s\"", given);
    for (size_t i = 0, shown = 0; i < count; i++) {
        size_t length = strlen(args->words[0]);

        if (strncmp(names[i], args->words[0], length) == 0 && names[i][length] == ' ') {
            fprintf(stderr, "%s%s", shown++ ? ", " : "; there are: ", names[i]);
        }
    }
    fputs("\nvswitchctl --help lists all\n", stderr);
    return CLI_USAGE;
}

static int check_use(const struct command *c, const struct cli *cli)
{
    const struct args *args = &cli->args;

    const char *gap = c->words[0] ? " " : "";

    if (cli->word_count < c->min_words) {
        return cli_usage("%s: too few arguments; usage: vswitchctl %s%s%s", c->name, c->name, gap, c->words);
    }
    if (cli->word_count > c->max_words) {
        return cli_usage("%s does not take \"%s\"; usage: vswitchctl %s%s%s", c->name, cli->words[c->max_words], c->name, gap, c->words);
    }
    for (int i = 0; i < args->option_count; i++) {
        const char *name = args->options[i].option->name;

        if (!in_list(general_options, name) && !in_list(c->options, name)) {
            return cli_usage("%s does not take --%s; vswitchctl %s --help tells what it takes", c->name, name, c->name);
        }
    }
    return 0;
}

/* "help", "help guest", "help guest run", "guest --help", "guest run --help". */
static int help(struct args *args)
{
    const struct command *command;
    int used;

    if (args->word_count > 0 && strcmp(args->words[0], "help") == 0) {
        args->word_count--;
        memmove(args->words, args->words + 1, (size_t)args->word_count * sizeof *args->words);
    }
    command = find(args, &used);
    if (command) {
        return help_one(command);
    }
    if (args->word_count == 0) {
        return help_all();
    }
    return args->word_count == 1 && help_noun(args->words[0]) ? 0 : unknown_command(args);
}

int main(int argc, char **argv)
{
    static struct cli cli;
    const struct command *command;
    const char *timeout;
    int64_t seconds = TIMEOUT_S;
    int used, status;

    if (!args_read(&cli.args, argc, argv)) {
        return cli_usage("%s", cli.args.error);
    }
    if (args_has(&cli.args, "version")) {
        puts("vswitchctl " CONTROL_VERSION);
        return 0;
    }
    if (args_has(&cli.args, "help") || (cli.args.word_count && strcmp(cli.args.words[0], "help") == 0)) {
        return help(&cli.args);
    }
    if (cli.args.word_count == 0) {
        (void)help_all();
        return CLI_USAGE;
    }
    command = find(&cli.args, &used);
    if (!command) {
        return unknown_command(&cli.args);
    }
    timeout = args_value(&cli.args, "timeout");
    if (timeout && !args_number(timeout, 1, 86400, &seconds)) {
        return cli_usage("--timeout needs a number of seconds, 1 to 86400, not \"%s\"", timeout);
    }
    cli.words = cli.args.words + used;
    cli.word_count = cli.args.word_count - used;
    cli.json = args_has(&cli.args, "json");
    cli.timeout_ms = (int)seconds * 1000;
    status = check_use(command, &cli);
    if (status == 0) {
        status = command->run(&cli);
    }
    rpc_close(cli.rpc);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == 0) {
        fprintf(stderr, "vswitchctl: cannot write the output: %s\n", strerror(errno));
        status = RPC_REFUSED;
    }
    return status;
}
