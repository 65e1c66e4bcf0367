/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The fake port (fake_port.h).
 */
#include "tests/fake/fake_port.h"

#include <stdlib.h>
#include <string.h>

static bool fake_receive(struct port *port, unsigned budget)
{
    struct fake_port *fake = (struct fake_port *)port;
    uint8_t *scratch = malloc(FRAME_BUFFER_SIZE);
    fake->receive_calls++;
    for (; budget && fake->pending; budget--, fake->pending--) {
        /* Only as much as belongs to the frame is there: more being read is seen by a sanitizer. */
        struct frame frame = {.data = scratch + FRAME_BUFFER_SIZE - fake->in_size, .size = fake->in_size};
        if (fake->in_size > FRAME_BUFFER_SIZE - FRAME_HEADROOM)
            frame.data = scratch + FRAME_HEADROOM;
        else
            memcpy(frame.data, fake->in, fake->in_size);
        frame.offload = fake->in_offload;
        port_deliver(port, &frame);
    }
    free(scratch);
    return fake->more && fake->pending;
}

static enum port_send_result fake_send(struct port *port, const struct frame *frame)
{
    struct fake_port *fake = (struct fake_port *)port;
    if (fake->answer != PORT_SEND_OK)
        return fake->answer;
    if (fake->room == 0)
        return PORT_SEND_BLOCKED;
    if (fake->room != UINT32_MAX)
        fake->room--;
    fake->sent++;
    fake->last = realloc(fake->last, frame->size ? frame->size : 1);
    memcpy(fake->last, frame->data, frame->size);
    fake->last_size = frame->size;
    fake->last_offload = frame->offload;
    memset(frame->data - FRAME_HEADROOM / 2, 0xee, FRAME_HEADROOM / 2); /* it may use the headroom */
    if (fake->on_send)
        fake->on_send(fake, frame);
    return PORT_SEND_OK;
}

static void fake_flush(struct port *port)
{
    ((struct fake_port *)port)->flushed++;
}

static int fake_set_mtu(struct port *port, uint32_t mtu)
{
    ((struct fake_port *)port)->mtu = mtu;
    return 0;
}

static void fake_describe(const struct port *port, char *text, size_t size)
{
    (void)port;
    if (size)
        strncpy(text, "fake", size);
}

static void fake_destroy(struct port *port)
{
    struct fake_port *fake = (struct fake_port *)port;
    if (fake->destroyed)
        *fake->destroyed = true;
    port_fini(port);
    free(fake->last);
    free(fake->in);
    free(fake);
}

static const struct port_ops fake_ops = {
    .type = "fake",
    .receive = fake_receive,
    .send = fake_send,
    .flush = fake_flush,
    .set_mtu = fake_set_mtu,
    .describe = fake_describe,
    .destroy = fake_destroy,
};

struct fake_port *fake_port_create(const char *name, bool offloads)
{
    struct fake_port *fake = calloc(1, sizeof(*fake));
    if (!fake || port_init(&fake->port, &fake_ops, name) != 0) {
        free(fake);
        return NULL;
    }
    fake->in = calloc(1, FRAME_BUFFER_SIZE);
    fake->room = UINT32_MAX;
    fake->port.capabilities =
        (struct port_capabilities){.csum = offloads, .tso4 = offloads, .tso6 = offloads, .tso_ecn = offloads};
    port_link_changed(&fake->port, true);
    return fake;
}

void fake_port_put(struct fake_port *fake, const void *bytes, uint32_t size, const struct frame_offload *offload,
                   unsigned count)
{
    memcpy(fake->in, bytes, size < FRAME_BUFFER_SIZE ? size : FRAME_BUFFER_SIZE);
    fake->in_size = size;
    fake->in_offload = offload ? *offload : (struct frame_offload){0};
    fake->pending = count;
}
