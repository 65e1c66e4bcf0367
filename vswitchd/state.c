/* SPDX-License-Identifier: BSD-2-Clause
 *
 * state.h: written beside the old file and renamed over it, so that there is
 * always a whole one.
 */
#include "vswitchd/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vswitchd/os/log.h"

static const char file_name[] = "state.json", new_name[] = "state.json.new";

struct state {
    int run_dir_fd;
    char *text;                 /* What the file holds; NULL: there is none, or another. */
    bool failing;               /* The last one was not written. */
};

struct state *state_create(int run_dir_fd)
{
    struct state *state = calloc(1, sizeof *state);

    if (state) {
        state->run_dir_fd = run_dir_fd;
    }
    return state;
}

void state_destroy(struct state *state)
{
    if (state) {
        free(state->text);
        free(state);
    }
}

static bool load(struct state *state, struct config *config)
{
    struct config_error error;
    int result = config_load(state->run_dir_fd, file_name, file_name, config, &error);

    if (result != 0 && result != ENOENT) {
        log_warning("what was asked for before is lost: %s", error.text);
    }
    return result == 0;
}

void state_restore_ports(struct state *state, struct config_apply *apply)
{
    struct config_apply_error error;
    struct config config;

    if (!load(state, &config)) {
        return;
    }
    for (size_t i = 0; i < config.port_count; i++) {
        if (config_apply_find(apply, config.ports[i].name)) {
            continue;           /* It is in the configuration file by now. */
        }
        if (config_apply_add_port(apply, &config.ports[i], CONFIG_ORIGIN_REQUEST, &error) != 0) {
            log_warning("not restored: %s", error.text);
        }
    }
    config_free(&config);
}

void state_restore_guests(struct state *state, struct guests *guests)
{
    struct config config;

    if (!load(state, &config)) {
        return;
    }
    for (size_t i = 0; i < config.guest_count; i++) {
        guests_restore(guests, &config.guests[i]);
    }
    config_free(&config);
}

static char *make_text(const struct config_apply *apply, const struct guests *guests)
{
    struct jv *o = jv_new_object(), *ports = jv_new_array(), *defined = guests_config(guests, true);
    char *text = NULL;

    for (size_t i = 0; i < config_apply_count(apply); i++) {
        const struct config_apply_port *port = config_apply_at(apply, i);

        if (port->origin == CONFIG_ORIGIN_REQUEST) {
            jv_append(ports, config_port_to_json(&port->config));
        }
    }
    jv_set(o, "ports", ports);
    jv_set(o, "guests", defined);
    if (jv_length(ports) || jv_length(defined)) {
        text = jv_print(o, true);
    }
    jv_unref(o);
    return text;
}

static int write_new(const struct state *state, const char *text)
{
    size_t size = strlen(text);
    int fd = openat(state->run_dir_fd, new_name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    int result = fd < 0 ? errno : 0;

    while (result == 0 && size > 0) {
        ssize_t n = write(fd, text, size);

        if (n < 0) {
            result = errno == EINTR ? 0 : errno;
        } else {
            text += n;
            size -= (size_t)n;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return result;
}

bool state_save(struct state *state, const struct config_apply *apply, const struct guests *guests)
{
    char *text = make_text(apply, guests);
    int result;

    if (!text) {
        state_remove(state);
        return true;
    }
    if (state->text && strcmp(state->text, text) == 0) {
        free(text);
        return true;
    }
    result = write_new(state, text);
    if (result == 0 && renameat(state->run_dir_fd, new_name, state->run_dir_fd, file_name) != 0) {
        result = errno;
    }
    free(state->text);
    state->text = text;
    if (result != 0) {
        (void)unlinkat(state->run_dir_fd, new_name, 0);
        free(state->text);
        state->text = NULL;
    }
    if (result != 0 && !state->failing) {
        log_warning("cannot write %s, so what was asked for would be lost with this process; it is tried again: %s", file_name,
                    strerror(result));
    } else if (result == 0 && state->failing) {
        log_info("%s is written", file_name);
    }
    state->failing = result != 0;
    return result == 0;
}

void state_remove(struct state *state)
{
    (void)unlinkat(state->run_dir_fd, file_name, 0);
    free(state->text);
    state->text = NULL;
    state->failing = false;
}
