/* SPDX-License-Identifier: BSD-2-Clause
 *
 * args.h: the table of options and the one reader of them.
 */
#include "cli/args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json/json_check.h"

const struct args_option args_options[] = {
    {"help", 'h', NULL, "show help, of a command too"},
    {"version", 'V', NULL, "show the version"},
    {"json", 'j', NULL, "print the daemon's answer as JSON"},
    {"socket", 's', "PATH", "the daemon's socket (VSWITCH_SOCKET, /run/vswitch/control.sock)"},
    {"timeout", 't', "SECONDS", "give up after this long (5)"},
    {"type", 0, "TYPE", "tap or vhost-user"},
    {"address", 'a', "ADDR/LEN", "an IP address of the host at the tap; repeatable"},
    {"interface", 'i', "NAME", "the tap's interface, if not named like the port"},
    {"path", 'p', "PATH", "the vhost-user socket"},
    {"server", 0, NULL, "the switch listens on the vhost-user socket"},
    {"unsealed", 0, NULL, "admit memory that is not sealed against shrinking"},
    {"no-offload", 0, NULL, "complete checksums and segments in the switch"},
    {"mac", 0, "MAC", "the MAC address of the tap's interface"},
    {"mtu", 0, "BYTES", "the port's MTU"},
    {"vlan", 'v', "VLAN", "the VLAN of an access port; with fdb, the VLAN"},
    {"trunk", 0, "VLANS", "a trunk port carrying these: 10,20-29 or all"},
    {"native", 0, "VLAN", "a trunk's VLAN of untagged frames, 0: none"},
    {"native-tagged", 0, NULL, "a trunk's native VLAN leaves tagged, too"},
    {"up", 0, NULL, "enable the port"},
    {"down", 0, NULL, "disable the port"},
    {"learning", 0, "on|off", "learn source addresses"},
    {"flood", 0, "on|off", "receive unicast frames to unknown addresses"},
    {"max-macs", 0, "N", "learned addresses at most"},
    {"forward-reserved", 0, "LIST", "forward stp,pause,lacp,eap,lldp or all, from this port; \"\": none"},
    {"port", 0, "NAME", "only this port"},
    {"static", 0, NULL, "static entries, too"},
    {"guests", 0, NULL, "stop the guests, too"},
    {"kernel", 'k', "FILE", "the guest's kernel (bzImage or multiboot)"},
    {"initrd", 0, "FILE", "the guest's initial RAM disk"},
    {"append", 0, "TEXT", "the guest's kernel command line"},
    {"memory", 'm', "MIB", "the guest's memory (128)"},
    {"nic", 'n', "MODEL[,...]",
     "a NIC, repeatable: e1000, e1000-82545em, rtl8029, rtl8019as, ne2000, ne1000 or virtio-net, with mac=, port=, vlan=, mtu= … behind commas"},
    {"idle-slack", 0, "MS", "how late the timer ticks of an idle guest may be (40; 0: not late)"},
    {"strict", 0, NULL, "also name each rule that the driver breaks"},
    {"rules", 0, NULL, "name these alone"},
    {"console", 0, NULL, "attach to the console at once"},
    {"write", 'w', "FILE", "write packets to FILE, - for standard output"},
    {"count", 'c', "N", "end after N packets or lines"},
    {"snaplen", 0, "BYTES", "keep this much of each packet"},
    {"direction", 0, "in|out|both", "in = from the port into the switch"},
    {NULL, 0, NULL, NULL},
};

static bool fail_unknown(struct args *args, const char *name)
{
    const char *names[64];
    const char *meant;
    size_t count = 0;

    for (const struct args_option *o = args_options; o->name; o++) {
        names[count++] = o->name;
    }
    names[count] = NULL;
    meant = json_did_you_mean(name, names);
    snprintf(args->error, sizeof args->error, meant ? "unknown option --%.40s; did you mean --%s?" : "unknown option --%.40s",
             name, meant);
    return false;
}

static bool add(struct args *args, const struct args_option *option, const char *value)
{
    if (args->option_count == ARGS_OPTIONS_MAX) {
        snprintf(args->error, sizeof args->error, "more than %d options", ARGS_OPTIONS_MAX);
        return false;
    }
    args->options[args->option_count].option = option;
    args->options[args->option_count++].value = value;
    return true;
}

/* --name, --name=value, --name value. `next` is the following word or NULL; *used tells whether it was taken. */
static bool read_long(struct args *args, const char *text, const char *next, bool *used)
{
    size_t length = strcspn(text, "=");
    const char *value = text[length] ? text + length + 1 : NULL;
    const struct args_option *o = args_options;
    char name[60];

    snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1), text);
    while (o->name && strcmp(o->name, name) != 0) {
        o++;
    }
    if (!o->name) {
        return fail_unknown(args, name);
    }
    if (!o->value && value) {
        snprintf(args->error, sizeof args->error, "--%s takes no value", o->name);
        return false;
    }
    if (o->value && !value) {
        value = next;
        *used = true;
        if (!value) {
            snprintf(args->error, sizeof args->error, "--%s needs a value: %s", o->name, o->value);
            return false;
        }
    }
    return add(args, o, value);
}

/* -j, -jv20, -v 20. */
static bool read_letters(struct args *args, const char *text, const char *next, bool *used)
{
    for (; *text; text++) {
        const struct args_option *o = args_options;

        while (o->name && o->letter != *text) {
            o++;
        }
        if (!o->name) {
            snprintf(args->error, sizeof args->error, "unknown option -%c", *text);
            return false;
        }
        if (o->value) {
            *used = text[1] == '\0';
            if (*used && !next) {
                snprintf(args->error, sizeof args->error, "-%c needs a value: %s", *text, o->value);
                return false;
            }
            return add(args, o, *used ? next : text + 1);
        }
        if (!add(args, o, NULL)) {
            return false;
        }
    }
    return true;
}

bool args_read(struct args *args, int argc, char **argv)
{
    bool options = true;

    memset(args, 0, sizeof *args);
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        bool used = false;

        if (options && strcmp(word, "--") == 0) {
            options = false;
        } else if (options && word[0] == '-' && word[1] == '-') {
            if (!read_long(args, word + 2, next, &used)) {
                return false;
            }
        } else if (options && word[0] == '-' && word[1]) {
            if (!read_letters(args, word + 1, next, &used)) {
                return false;
            }
        } else if (args->word_count == ARGS_WORDS_MAX) {
            snprintf(args->error, sizeof args->error, "more than %d words", ARGS_WORDS_MAX);
            return false;
        } else {
            args->words[args->word_count++] = word;
        }
        i += used;
    }
    return true;
}

const char *args_value_at(const struct args *args, const char *name, int index)
{
    for (int i = 0; i < args->option_count; i++) {
        if (strcmp(args->options[i].option->name, name) == 0 && index-- == 0) {
            return args->options[i].value ? args->options[i].value : "";
        }
    }
    return NULL;
}

bool args_has(const struct args *args, const char *name)
{
    return args_value_at(args, name, 0) != NULL;
}

const char *args_value(const struct args *args, const char *name)
{
    const char *last = NULL, *value;

    for (int i = 0; (value = args_value_at(args, name, i)); i++) {
        last = value;
    }
    return last;
}

bool args_number(const char *text, int64_t min, int64_t max, int64_t *number)
{
    char *end;

    errno = 0;
    *number = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && text[0] != ' ' && text[0] != '+' && *number >= min
           && *number <= max;
}
