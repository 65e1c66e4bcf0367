/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Command line: see options.h.
 */
#include "guest/options.h"

#include <ctype.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY_LEAST = 4, MEMORY_MOST = 3072, STOP_TIMEOUT = 8, /* vswitchd kills after 10 */ STOP_TIMEOUT_MOST = 3600, NAME_MOST = 63,
       IDLE_SLACK = 40, IDLE_SLACK_MOST = 200 };

const char *options_usage(void)
{
    return "usage: vswitch-guest --name NAME --kernel FILE [options]\n"
           "       vswitch-guest --replay FILE\n"
           "  --name NAME           the guest's name: letters, digits, '-', '_', '.'\n"
           "  --run-dir DIR         for its sockets and pid (default /run/vswitch/guests/NAME)\n"
           "  --memory MIB          4 to 3072 (default 128)\n"
           "  --kernel FILE         a Linux bzImage or a multiboot ELF image\n"
           "  --initrd FILE         its initial RAM disk\n"
           "  --append CMDLINE      its command line\n"
           "  --unpack              decompress the kernel here rather than in the guest (XZ)\n"
           "  --state-dir DIR       where the EEPROMs of its network cards are kept (default: they are not)\n"
           "  --nic model=MODEL[,mac=02:00:00:00:00:01][,socket=nic0.sock][,link=down][,nvram=FILE]\n"
           "                        MODEL: e1000 (82540EM), e1000-82545em, rtl8029, virtio-net on PCI; ne2000, ne1000,\n"
           "                        rtl8019as on ISA, which take also io=0x300,irq=9, ne2000 also slot=8;\n"
           "                        those around a DP8390 (ne…, rtl…) also speed=10 (Mbit/s that frames leave with)\n"
           "  --console stdio       the serial console also on standard input and output\n"
           "  --log FILE            messages of this program (default: standard error)\n"
           "  --record FILE         log all that reaches the guest, for --replay\n"
           "  --replay FILE         run a recorded guest again, without devices\n"
           "  --debug-exit          port 0xf4 ends the run with the byte written as exit code\n"
           "  --stop-timeout SECONDS  from the power button to the end of a guest that is stopped\n"
           "                        (default 8; 0: no button, the guest ends at once)\n"
           "  --idle-slack MS       how late the timer ticks of an idle guest may be (default 40; 0: not late)\n"
           "  --no-sandbox          for debugging only\n"
           "  --version, --help\n";
}

__attribute__((format(printf, 3, 4))) static bool fail(char *error, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error, size, format, args);
    va_end(args);
    return false;
}

/* A name that may become part of a path. */
static bool is_plain_name(const char *text, size_t most)
{
    size_t length = strlen(text);

    if (length == 0 || length > most || text[0] == '.')
        return false;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("-_.", text[i]))
            return false;
    return true;
}

static bool parse_mac(const char *text, uint8_t mac[6])
{
    unsigned byte[6];
    int used = 0;

    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4], &byte[5], &used) != 6 ||
        text[used])
        return false;
    for (unsigned i = 0; i < 6; i++)
        mac[i] = (uint8_t)byte[i];
    return !(mac[0] & 1) && (mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5]);
}

/* "0x300", "768"; 0 for what is no number. */
static unsigned parse_port(const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 0);

    return isdigit((unsigned char)text[0]) && !*end && value <= 0xffff ? (unsigned)value : 0;
}

/* The board that an 8-bit slot makes of a card. */
static bool parse_slot(struct options_nic *nic, const char *value, char *error, size_t error_size)
{
    if (strcmp(value, "8") && strcmp(value, "16"))
        return fail(error, error_size, "--nic: slot=%s: an ISA slot has 8 or 16 bits", value);
    if (!strcmp(value, "16"))
        return true;
    if (strcmp(nic->model, "ne2000"))
        return fail(error, error_size, "--nic: slot=8 goes with model=ne2000, which comes before it");
    strcpy(nic->model, "ne2000-8bit");
    return true;
}

static bool parse_place(struct options_nic *nic, const char *key, const char *value, char *error, size_t error_size)
{
    unsigned number = parse_port(value);

    if (!strcmp(key, "io")) {
        nic->isa_port = (uint16_t)number;
        return number || fail(error, error_size, "--nic: io=%s: a port is meant, such as 0x300", value);
    }
    nic->isa_irq = (uint8_t)number;
    return (number && number < 16) || fail(error, error_size, "--nic: irq=%s: an interrupt line is meant, such as 9", value);
}

static bool parse_speed(struct options_nic *nic, const char *value, char *error, size_t error_size)
{
    nic->speed = (uint16_t)parse_port(value);
    return (nic->speed && nic->speed <= 1000) ||
           fail(error, error_size, "--nic: speed=%s: Mbit/s are meant, 1 to 1000", value);
}

static bool parse_nic_member(struct options_nic *nic, const char *key, const char *value, char *error, size_t error_size)
{
    if (!strcmp(key, "model")) {
        if (!is_plain_name(value, sizeof nic->model - 1))
            return fail(error, error_size, "--nic: bad model \"%s\"", value);
        strcpy(nic->model, value);
    } else if (!strcmp(key, "mac")) {
        if (!parse_mac(value, nic->mac))
            return fail(error, error_size, "--nic: \"%s\" is not the MAC address of a station, such as 52:54:00:00:00:01", value);
    } else if (!strcmp(key, "socket")) {
        if (!is_plain_name(value, sizeof nic->socket - 1))
            return fail(error, error_size, "--nic: socket \"%s\" must be a plain file name", value);
        strcpy(nic->socket, value);
    } else if (!strcmp(key, "io") || !strcmp(key, "irq")) {
        return parse_place(nic, key, value, error, error_size);
    } else if (!strcmp(key, "slot")) {
        return parse_slot(nic, value, error, error_size);
    } else if (!strcmp(key, "speed")) {
        return parse_speed(nic, value, error, error_size);
    } else if (!strcmp(key, "nvram")) {
        if (!value[0] || strlen(value) >= sizeof nic->nvram)
            return fail(error, error_size, "--nic: nvram=%s: a file is meant", value);
        strcpy(nic->nvram, value);
    } else if (!strcmp(key, "link")) {
        nic->unplugged = !strcmp(value, "down");
        return nic->unplugged || !strcmp(value, "up") || fail(error, error_size, "--nic: link=%s: up or down", value);
    } else {
        return fail(error, error_size, "--nic: unknown member \"%s\" (model, mac, socket, io, irq, slot, speed, nvram, link)", key);
    }
    return true;
}

static bool parse_nic(struct options *o, const char *text, char *error, size_t error_size)
{
    struct options_nic *nic = &o->nic[o->nic_count];
    char copy[1024], *member, *rest = copy;

    if (o->nic_count == OPTIONS_NICS_MAX)
        return fail(error, error_size, "--nic: more than %d", OPTIONS_NICS_MAX);
    if (strlen(text) >= sizeof copy)
        return fail(error, error_size, "--nic: too long");
    strcpy(copy, text);
    snprintf(nic->socket, sizeof nic->socket, "nic%u.sock", o->nic_count);
    nic->mac[0] = 0x02;
    nic->mac[5] = (uint8_t)(o->nic_count + 1);
    while ((member = strsep(&rest, ","))) {
        char *value = strchr(member, '=');
        if (!value)
            return fail(error, error_size, "--nic: \"%s\" is not KEY=VALUE", member);
        *value++ = 0;
        if (!parse_nic_member(nic, member, value, error, error_size))
            return false;
    }
    if (!nic->model[0])
        return fail(error, error_size, "--nic: no model (model=e1000, e1000-82545em, rtl8029, rtl8019as, ne2000, ne1000 or virtio-net)");
    o->nic_count++;
    return true;
}

static bool parse_number(const char *text, unsigned least, unsigned most, unsigned *number)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (!isdigit((unsigned char)text[0]) || *end || value < least || value > most)
        return false;
    *number = (unsigned)value;
    return true;
}

static bool parse_memory(struct options *o, const char *text, char *error, size_t error_size)
{
    return parse_number(text, MEMORY_LEAST, MEMORY_MOST, &o->memory_mib) ||
           fail(error, error_size, "--memory \"%s\": a number of MiB from %d to %d", text, MEMORY_LEAST, MEMORY_MOST);
}

static bool parse_stop_timeout(struct options *o, const char *text, char *error, size_t error_size)
{
    return parse_number(text, 0, STOP_TIMEOUT_MOST, &o->stop_timeout_s) ||
           fail(error, error_size, "--stop-timeout \"%s\": a number of seconds to %d", text, STOP_TIMEOUT_MOST);
}

static bool parse_idle_slack(struct options *o, const char *text, char *error, size_t error_size)
{
    return parse_number(text, 0, IDLE_SLACK_MOST, &o->idle_slack_ms) ||
           fail(error, error_size, "--idle-slack \"%s\": a number of milliseconds to %d", text, IDLE_SLACK_MOST);
}

enum { OPT_NAME = 256, OPT_RUN_DIR, OPT_MEMORY, OPT_KERNEL, OPT_INITRD, OPT_APPEND, OPT_UNPACK, OPT_NIC, OPT_CONSOLE,
       OPT_LOG, OPT_STOP_TIMEOUT, OPT_IDLE_SLACK, OPT_NO_SANDBOX, OPT_DEBUG_EXIT, OPT_RECORD, OPT_REPLAY, OPT_STATE_DIR,
       OPT_VERSION, OPT_HELP };

static bool take(struct options *o, int option, char *error, size_t error_size)
{
    switch (option) {
    case OPT_NAME: o->name = optarg; return true;
    case OPT_RUN_DIR: o->run_dir = optarg; return true;
    case OPT_STATE_DIR: o->state_dir = optarg; return true;
    case OPT_MEMORY: return parse_memory(o, optarg, error, error_size);
    case OPT_KERNEL: o->kernel = optarg; return true;
    case OPT_INITRD: o->initrd = optarg[0] ? optarg : NULL; return true; /* "": none, as a unit may say. */
    case OPT_APPEND: o->append = optarg; return true;
    case OPT_UNPACK: o->unpack = true; return true;
    case OPT_NIC: return parse_nic(o, optarg, error, error_size);
    case OPT_CONSOLE:
        o->console_stdio = !strcmp(optarg, "stdio");
        return o->console_stdio || !strcmp(optarg, "socket") ||
               fail(error, error_size, "--console \"%s\": stdio or socket", optarg);
    case OPT_LOG: o->log = optarg; return true;
    case OPT_STOP_TIMEOUT: return parse_stop_timeout(o, optarg, error, error_size);
    case OPT_IDLE_SLACK: return parse_idle_slack(o, optarg, error, error_size);
    case OPT_NO_SANDBOX: o->no_sandbox = true; return true;
    case OPT_DEBUG_EXIT: o->debug_exit = true; return true;
    case OPT_RECORD: o->record = optarg; return true;
    case OPT_REPLAY: o->replay = optarg; return true;
    case OPT_VERSION: o->version = true; return true;
    case OPT_HELP: o->help = true; return true;
    default: return fail(error, error_size, "unknown option");
    }
}

bool options_parse(struct options *o, int argc, char **argv, char *error, size_t error_size)
{
    static const struct option table[] = {
        { "name", required_argument, NULL, OPT_NAME },         { "run-dir", required_argument, NULL, OPT_RUN_DIR },
        { "memory", required_argument, NULL, OPT_MEMORY },     { "kernel", required_argument, NULL, OPT_KERNEL },
        { "initrd", required_argument, NULL, OPT_INITRD },     { "append", required_argument, NULL, OPT_APPEND },
        { "unpack", no_argument, NULL, OPT_UNPACK },           { "nic", required_argument, NULL, OPT_NIC },
        { "console", required_argument, NULL, OPT_CONSOLE },   { "log", required_argument, NULL, OPT_LOG },
        { "no-sandbox", no_argument, NULL, OPT_NO_SANDBOX },   { "debug-exit", no_argument, NULL, OPT_DEBUG_EXIT },
        { "stop-timeout", required_argument, NULL, OPT_STOP_TIMEOUT },
        { "idle-slack", required_argument, NULL, OPT_IDLE_SLACK },
        { "record", required_argument, NULL, OPT_RECORD },     { "replay", required_argument, NULL, OPT_REPLAY },
        { "state-dir", required_argument, NULL, OPT_STATE_DIR },
        { "version", no_argument, NULL, OPT_VERSION },
        { "help", no_argument, NULL, OPT_HELP },               { NULL, 0, NULL, 0 },
    };
    int option;

    *o = (struct options){ .memory_mib = 128, .stop_timeout_s = STOP_TIMEOUT, .idle_slack_ms = IDLE_SLACK, .append = "" };
    optind = 0;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", table, NULL)) != -1) {
        if (option == '?' || option == ':')
            return fail(error, error_size, option == ':' ? "%s needs a value" : "unknown option \"%s\"", argv[optind - 1]);
        if (!take(o, option, error, error_size))
            return false;
    }
    if (o->help || o->version)
        return true;
    if (optind < argc)
        return fail(error, error_size, "unexpected argument \"%s\"", argv[optind]);
    if (o->replay)
        return !(o->record || o->name || o->kernel) ||
               fail(error, error_size, "--replay: the recording has all that another option could say");
    if (!o->name || !is_plain_name(o->name, NAME_MOST))
        return fail(error, error_size, o->name ? "--name: letters, digits, '-', '_' and '.' only" : "--name is missing");
    if (!o->kernel)
        return fail(error, error_size, "--kernel is missing");
    for (unsigned i = 0; i < o->nic_count; i++)
        for (unsigned j = 0; j < i; j++)
            if (!strcmp(o->nic[i].socket, o->nic[j].socket))
                return fail(error, error_size, "--nic: two NICs on socket \"%s\"", o->nic[i].socket);
    return true;
}
