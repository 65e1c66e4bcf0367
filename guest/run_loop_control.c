/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the control socket (control.h) asks the run loop for: numbers, and what becomes
 * of a NIC. Called on the vCPU's thread, between two runs.
 */
#include "guest/run_loop_private.h"

#include <errno.h>

static size_t stats(void *opaque, char *out, size_t size)
{
    const struct run_loop *l = opaque;
    struct stats_time time = l->time;

    time.uptime_ns = pc_now(l->parts.pc) - l->started;
    alarm_samples(time.samples);
    return stats_describe(&l->parts, &time, out, size);
}

static const char *set_link(void *opaque, unsigned nic, bool up)
{
    const struct run_loop *l = opaque;

    if (nic >= l->parts.nic_count)
        return "there is no such card";
    guest_nic_set_link(l->parts.nic[nic], up);
    return NULL;
}

static const char *trace(void *opaque, unsigned nic, bool strict, void (*line)(void *client, const char *text), void *client)
{
    const struct run_loop *l = opaque;

    if (nic >= l->parts.nic_count)
        return "there is no such card";
    return guest_nic_set_trace(l->parts.nic[nic], line, client, strict) ? "no memory" : NULL;
}

static const char *save_nic(void *opaque, unsigned nic, uint8_t *image, size_t *size)
{
    const struct run_loop *l = opaque;
    size_t needed;

    if (nic >= l->parts.nic_count)
        return "there is no such card";
    needed = guest_nic_save(l->parts.nic[nic], image, *size);
    if (needed > *size)
        return "the state is too large";
    *size = needed;
    return NULL;
}

static const char *restore_nic(void *opaque, unsigned nic, const uint8_t *image, size_t size)
{
    const struct run_loop *l = opaque;

    if (nic >= l->parts.nic_count)
        return "there is no such card";
    switch (guest_nic_restore(l->parts.nic[nic], image, size)) {
    case 0:
        return NULL;
    case ENOMEM:
        return "no memory";
    default:
        return "this is not a state that a card of this model has saved; nothing has changed";
    }
}

struct control *run_loop_control_new(struct run_loop *l)
{
    return control_new(l->parts.control_listener, &(struct control_calls){ l, stats, set_link, trace, save_nic, restore_nic });
}
