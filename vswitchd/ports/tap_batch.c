/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The frames held back for a tap (tap_batch.h), one behind the other in memory that
 * all taps take theirs from: a batch of the smallest is some 5 KiB, and stays in the
 * CPU's cache.
 */
#include "vswitchd/ports/tap_batch.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_SIZE ((uint32_t)sizeof(struct frame_offload)) /* as the kernel's struct virtio_net_hdr: port_tap.c */

struct tap_batch {
    struct write_batch *writer;
    struct write_batch_file file;
    unsigned count;
    uint32_t bytes; /* of the frames */
    struct write_batch_item items[WRITE_BATCH_MAX];
};

struct tap_batch *tap_batch_create(struct write_batch *writer, int fd)
{
    struct tap_batch *batch = malloc(sizeof(*batch));
    if (!batch)
        return NULL;
    batch->writer = writer;
    batch->file = write_batch_know(writer, fd);
    batch->count = 0;
    batch->bytes = 0;
    return batch;
}

void tap_batch_destroy(struct tap_batch *batch)
{
    if (batch) {
        write_batch_give_back(batch->writer, batch->count);
        write_batch_forget(batch->writer, &batch->file);
    }
    free(batch);
}

bool tap_batch_works(const struct tap_batch *batch)
{
    return write_batch_works(batch->writer);
}

bool tap_batch_add(struct tap_batch *batch, const struct frame *frame)
{
    uint8_t *at = NULL;
    if (batch->count < WRITE_BATCH_MAX && frame->size <= TAP_BATCH_FRAME_MAX)
        at = write_batch_take(batch->writer, HEADER_SIZE + frame->size);
    if (!at)
        return false;
    memcpy(at, &frame->offload, HEADER_SIZE);
    memcpy(at + HEADER_SIZE, frame->data, frame->size);
    batch->items[batch->count++] = (struct write_batch_item){.data = at, .size = HEADER_SIZE + frame->size};
    batch->bytes += frame->size;
    return true;
}

static void tell_each(const struct tap_batch *batch, const struct tap_batch_listener *listener)
{
    for (unsigned i = 0; i < batch->count; i++) {
        const struct write_batch_item *item = &batch->items[i];
        uint8_t *at = (uint8_t *)item->data;
        struct frame frame = {.data = at + HEADER_SIZE, .size = item->size - HEADER_SIZE};
        memcpy(&frame.offload, at, HEADER_SIZE);
        listener->one(listener->context, &frame, item->result < 0 ? -item->result : 0);
    }
}

void tap_batch_write(struct tap_batch *batch, const struct tap_batch_listener *listener)
{
    if (batch->count == 0)
        return;
    if (write_batch_run(batch->writer, &batch->file, batch->items, batch->count))
        listener->all(listener->context, batch->count, batch->bytes);
    else
        tell_each(batch, listener);
    write_batch_give_back(batch->writer, batch->count);
    batch->count = 0;
    batch->bytes = 0;
}
