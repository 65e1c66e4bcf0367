/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What all ports have in common (port.h): names, counters, the egress queue.
 */
#include "vswitchd/ports/port.h"

#include <errno.h>
#include <string.h>

#include "vswitchd/ports/port_queue.h"

static bool name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool port_name_valid(const char *name)
{
    size_t length = 0;
    if (name[0] == '.' || name[0] == '-')
        return false;
    for (; name[length]; length++)
        if (length == PORT_NAME_SIZE - 1 || !name_character(name[length]))
            return false;
    return length > 0;
}

int port_init(struct port *port, const struct port_ops *ops, const char *name)
{
    if (!port_name_valid(name))
        return EINVAL;
    memset(port, 0, sizeof(*port));
    port->ops = ops;
    memcpy(port->name, name, strlen(name) + 1);
    /* The pages of its ring are touched only when frames wait. */
    port->queue = port_queue_create(PORT_QUEUE_BYTES, PORT_QUEUE_FRAMES);
    return port->queue ? 0 : ENOMEM;
}

void port_fini(struct port *port)
{
    port_queue_destroy(port->queue);
    port->queue = NULL;
}

void port_set_listener(struct port *port, const struct port_listener *listener)
{
    port->listener = *listener;
}

void port_readable(struct port *port)
{
    if (port->listener.readable)
        port->listener.readable(port->listener.context, port);
}

bool port_receive(struct port *port)
{
    return port->ops->receive(port, PORT_BATCH);
}

void port_deliver(struct port *port, struct frame *frame)
{
    port->counters.in_frames++;
    port->counters.in_bytes += frame->size;
    if (port->listener.deliver)
        port->listener.deliver(port->listener.context, port, frame);
}

void port_drop(struct port *port, enum drop_reason reason)
{
    port->counters.drops[reason]++;
}

static const enum drop_reason result_reasons[] = {
    [PORT_SEND_OK] = DROP_NONE,         [PORT_SEND_BLOCKED] = DROP_QUEUE_FULL, [PORT_SEND_TOO_BIG] = DROP_MTU,
    [PORT_SEND_DOWN] = DROP_PORT_DOWN, [PORT_SEND_ERROR] = DROP_SEND_ERROR,   [PORT_SEND_LATER] = DROP_NONE,
};

/* Books what became of a frame; false when it was dropped. */
static bool account(struct port *port, const struct frame *frame, enum port_send_result result)
{
    if (result != PORT_SEND_OK) {
        port_drop(port, result_reasons[result]);
        return false;
    }
    port->counters.out_frames++;
    port->counters.out_bytes += frame->size;
    return true;
}

/* A frame that is queued is counted when it leaves. */
static bool settle(struct port *port, const struct frame *frame, enum port_send_result result)
{
    if (result == PORT_SEND_BLOCKED && port_queue_push(port->queue, frame))
        return true;
    return account(port, frame, result);
}

bool port_send(struct port *port, const struct frame *frame)
{
    enum port_send_result result = PORT_SEND_DOWN;
    /* What waits must not be overtaken. */
    if (port->link)
        result = port_queue_count(port->queue) ? PORT_SEND_BLOCKED : port->ops->send(port, frame);
    return result == PORT_SEND_LATER || settle(port, frame, result);
}

void port_sent(struct port *port, const struct frame *frame, enum port_send_result result)
{
    settle(port, frame, result);
}

void port_sent_all(struct port *port, unsigned frames, uint64_t bytes)
{
    port->counters.out_frames += frames;
    port->counters.out_bytes += bytes;
}

void port_writable(struct port *port)
{
    struct frame frame;
    bool sent = false;
    while (port->link && port_queue_peek(port->queue, &frame)) {
        enum port_send_result result = port->ops->send(port, &frame);
        if (result == PORT_SEND_BLOCKED)
            break;
        sent |= account(port, &frame, result);
        port->counters.out_queued += result == PORT_SEND_OK;
        port_queue_pop(port->queue);
    }
    if (sent)
        port_flush(port);
}

void port_flush(struct port *port)
{
    if (port->ops->flush)
        port->ops->flush(port);
}

uint32_t port_queued(const struct port *port)
{
    return port_queue_count(port->queue);
}

void port_link_changed(struct port *port, bool up)
{
    if (port->link == up)
        return;
    port->link = up;
    for (; !up && port_queue_count(port->queue); port_queue_pop(port->queue))
        port_drop(port, DROP_PORT_DOWN);
    if (port->listener.link_changed)
        port->listener.link_changed(port->listener.context, port);
}

void port_destroy(struct port *port)
{
    if (port)
        port->ops->destroy(port);
}
