/* SPDX-License-Identifier: BSD-2-Clause
 *
 * guests.h: what vswitch-guest(8) is started with, made from a guest's
 * definition, and the folder for what outlives the guest.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "vswitchd/guests_private.h"
#include "vswitchd/os/log.h"

static void option(struct guest_command_line *line, const char *name, const char *value)
{
    line->arguments[line->count++] = name;
    line->arguments[line->count++] = value;
}

static void nic_option(const struct config_nic *nic, unsigned index, char *text, size_t size)
{
    const uint8_t *m = nic->mac;
    int used = snprintf(text, size, "model=%s,mac=%02x:%02x:%02x:%02x:%02x:%02x,socket=nic%u.sock", nic->model, m[0], m[1],
                        m[2], m[3], m[4], m[5], index);

    if (nic->isa_port) {
        used += snprintf(text + used, size - (size_t)used, ",io=0x%x", nic->isa_port);
    }
    if (nic->isa_irq) {
        used += snprintf(text + used, size - (size_t)used, ",irq=%u", nic->isa_irq);
    }
    if (nic->slot) {
        used += snprintf(text + used, size - (size_t)used, ",slot=%u", nic->slot);
    }
    if (nic->speed) {
        used += snprintf(text + used, size - (size_t)used, ",speed=%u", nic->speed);
    }
    if (!guest_link_is_up(nic)) {
        snprintf(text + used, size - (size_t)used, ",link=down");
    }
}

/* The folder for what outlives the guest; "": there is none, and nothing is kept. */
static void make_state_directory(const struct guest *g, char *path, size_t size)
{
    const char *const parts[] = {"", "/guests", "/guests/"};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(path, size, "%s%s%s", g->guests->config.state_dir, parts[i], i == 2 ? g->config.name : "");
        if (mkdir(path, i == 0 ? 0755 : 0750) != 0 && errno != EEXIST) {
            log_warning("guest %s: cannot make %s: %s; what it writes into EEPROMs will not be kept", g->config.name, path,
                        strerror(errno));
            path[0] = '\0';
            return;
        }
    }
}

void guest_make_command_line(const struct guest *g, struct guest_command_line *line)
{
    const struct config_guest *c = &g->running;

    line->count = 0;
    line->arguments[line->count++] = "vswitch-guest";
    snprintf(line->memory, sizeof line->memory, "%u", c->memory_mib);
    snprintf(line->idle_slack, sizeof line->idle_slack, "%u", c->idle_slack_ms);
    snprintf(line->directory, sizeof line->directory, "%s/guests/%s", g->guests->config.run_dir, c->name);
    option(line, "--name", c->name);
    option(line, "--run-dir", line->directory);
    make_state_directory(g, line->state, sizeof line->state);
    if (line->state[0] && c->nic_count) {
        option(line, "--state-dir", line->state);
    }
    option(line, "--memory", line->memory);
    option(line, "--idle-slack", line->idle_slack);
    option(line, "--kernel", c->kernel);
    if (c->initrd[0]) {
        option(line, "--initrd", c->initrd);
    }
    if (c->cmdline[0]) {
        option(line, "--append", c->cmdline);
    }
    for (unsigned i = 0; i < c->nic_count; i++) {
        nic_option(&c->nics[i], i, line->nics[i], sizeof line->nics[i]);
        option(line, "--nic", line->nics[i]);
    }
    line->arguments[line->count] = NULL;
}
