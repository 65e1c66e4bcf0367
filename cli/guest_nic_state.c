/* SPDX-License-Identifier: BSD-2-Clause
 *
 * `guest nic-save` and `guest nic-restore`: the state of a card of a guest that runs,
 * from and to the guest's own process, as `guest stats` asks it. On the way it is lines
 * of hexadecimal digits, in the file it is bytes.
 */
#include "cli/guest_nic_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { STATE_MAX = 100000, LINE_BYTES = 64 };

struct state {
    size_t size;
    uint8_t bytes[STATE_MAX];
};

/* The guest's process, for reading and writing lines. NULL after a message, with the exit status. */
static FILE *reach(struct cli *cli, int *status)
{
    const struct timeval timeout = {.tv_sec = cli->timeout_ms / 1000, .tv_usec = cli->timeout_ms % 1000 * 1000};
    struct jv *guest;
    const char *path;
    FILE *file = NULL;
    int fd;

    *status = cli_call(cli, "guest.get", cli_name_params(cli), &guest);
    if (*status != RPC_DONE) {
        return NULL;
    }
    path = jv_member_string(guest, "control_socket", NULL);
    if (!path) {
        fprintf(stderr, "vswitchctl: guest %s is not running\n", cli->words[0]);
        *status = RPC_REFUSED;
    } else {
        fd = rpc_connect_path(path);
        if (fd >= 0) {
            (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
            (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
            file = fdopen(fd, "r+");
        }
        if (!file) {
            fprintf(stderr, "vswitchctl: cannot reach %s: %s\n", path, strerror(errno));
            *status = RPC_UNREACHABLE;
        }
    }
    jv_unref(guest);
    return file;
}

static bool card_number(const struct cli *cli, int64_t *nic)
{
    const char *text = args_value(&cli->args, "nic");

    *nic = 0;
    if (text && !args_number(text, 0, 99, nic)) {
        cli_usage("--nic needs the number of a card, not \"%s\"", text);
        return false;
    }
    return true;
}

/* The answer: {"ok":true}, or what is wrong. */
static int answered(const struct cli *cli, const char *line)
{
    const char *wrong = strstr(line, "\"error\":\"");

    if (strstr(line, "\"ok\":true")) {
        return RPC_DONE;
    }
    if (!wrong) {
        fprintf(stderr, "vswitchctl: guest %s does not answer\n", cli->words[0]);
        return RPC_UNREACHABLE;
    }
    wrong += strlen("\"error\":\"");
    fprintf(stderr, "vswitchctl: %.*s\n", (int)strcspn(wrong, "\""), wrong);
    return RPC_REFUSED;
}

static bool add_line(struct state *state, const char *line)
{
    for (; line[0] && line[0] != '\n'; line += 2) {
        unsigned byte;

        if (state->size == STATE_MAX || sscanf(line, "%2x", &byte) != 1 || !line[1]) {
            return false;
        }
        state->bytes[state->size++] = (uint8_t)byte;
    }
    return true;
}

static int receive(struct cli *cli, FILE *guest, int64_t nic, struct state *state)
{
    char line[512] = "";

    fprintf(guest, "save %d\n", (int)nic);
    fflush(guest);
    while (fgets(line, sizeof line, guest) && line[0] != '{') {
        if (!add_line(state, line)) {
            fprintf(stderr, "vswitchctl: guest %s answers something that is no state\n", cli->words[0]);
            return RPC_UNREACHABLE;
        }
        line[0] = '\0';
    }
    return answered(cli, line);
}

static int give(struct cli *cli, FILE *guest, int64_t nic, const struct state *state)
{
    char line[512] = "";

    fprintf(guest, "restore %d\n", (int)nic);
    for (size_t i = 0; i < state->size; i++) {
        fprintf(guest, "%02x%s", state->bytes[i], i % LINE_BYTES == LINE_BYTES - 1 ? "\n" : "");
    }
    fputs(state->size % LINE_BYTES ? "\nend\n" : "end\n", guest);
    fflush(guest);
    (void)!fgets(line, sizeof line, guest);
    return answered(cli, line);
}

static int file_failed(const char *path)
{
    fprintf(stderr, "vswitchctl: %s: %s\n", path, strerror(errno));
    return RPC_REFUSED;
}

static int write_file(const char *path, const struct state *state)
{
    FILE *file = fopen(path, "wb");
    bool good = file && fwrite(state->bytes, 1, state->size, file) == state->size;

    if (!file || fclose(file) != 0 || !good) {
        return file_failed(path);
    }
    return RPC_DONE;
}

static int read_file(const char *path, struct state *state)
{
    FILE *file = fopen(path, "rb");

    if (!file) {
        return file_failed(path);
    }
    state->size = fread(state->bytes, 1, STATE_MAX, file);
    if (ferror(file)) {
        fclose(file);
        return file_failed(path);
    }
    if (state->size == STATE_MAX) {
        fclose(file);
        fprintf(stderr, "vswitchctl: %s: no card's state is as long\n", path);
        return RPC_REFUSED;
    }
    fclose(file);
    return RPC_DONE;
}

int guest_nic_save(struct cli *cli)
{
    struct state *state = calloc(1, sizeof *state);
    int64_t nic;
    int status = state && card_number(cli, &nic) ? RPC_DONE : CLI_USAGE;
    FILE *guest = status == RPC_DONE ? reach(cli, &status) : NULL;

    if (guest) {
        status = receive(cli, guest, nic, state);
        fclose(guest);
        status = status == RPC_DONE ? write_file(cli->words[1], state) : status;
    }
    free(state);
    return status;
}

int guest_nic_restore(struct cli *cli)
{
    struct state *state = calloc(1, sizeof *state);
    int64_t nic;
    int status = state && card_number(cli, &nic) ? read_file(cli->words[1], state) : CLI_USAGE;
    FILE *guest = status == RPC_DONE ? reach(cli, &status) : NULL;

    if (guest) {
        status = give(cli, guest, nic, state);
        fclose(guest);
    }
    free(state);
    return status;
}
