/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The frames held back for a tap (tap_batch.h), one behind the other in one piece
 * of memory: a batch of the smallest is some 5 KiB, and stays in the CPU's cache.
 */
#include "vswitchd/ports/tap_batch.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_SIZE ((uint32_t)sizeof(struct frame_offload)) /* as the kernel's struct virtio_net_hdr: port_tap.c */
#define ALIGNMENT 16u
#define SPAN_MAX ((HEADER_SIZE + TAP_BATCH_FRAME_MAX + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT)

struct tap_batch {
    struct write_batch *writer;
    unsigned count;
    uint32_t used; /* bytes of memory */
    struct write_batch_item items[WRITE_BATCH_MAX];
    uint8_t memory[WRITE_BATCH_MAX * SPAN_MAX];
};

struct tap_batch *tap_batch_create(struct write_batch *writer)
{
    struct tap_batch *batch = malloc(sizeof(*batch)); /* not cleared: what small frames need of it is touched */
    if (!batch)
        return NULL;
    batch->writer = writer;
    batch->count = 0;
    batch->used = 0;
    return batch;
}

void tap_batch_destroy(struct tap_batch *batch)
{
    free(batch);
}

bool tap_batch_add(struct tap_batch *batch, const struct frame *frame)
{
    uint8_t *at = batch->memory + batch->used;
    if (batch->count == WRITE_BATCH_MAX || frame->size > TAP_BATCH_FRAME_MAX)
        return false;
    memcpy(at, &frame->offload, HEADER_SIZE);
    memcpy(at + HEADER_SIZE, frame->data, frame->size);
    batch->items[batch->count++] = (struct write_batch_item){.data = at, .size = HEADER_SIZE + frame->size};
    batch->used += (HEADER_SIZE + frame->size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return true;
}

void tap_batch_write(struct tap_batch *batch, int fd, void (*tell)(void *context, const struct frame *frame, int error),
                     void *context)
{
    uint8_t *at = batch->memory;
    write_batch_run(batch->writer, fd, batch->items, batch->count);
    for (unsigned i = 0; i < batch->count; i++) {
        const struct write_batch_item *item = &batch->items[i];
        struct frame frame = {.data = at + HEADER_SIZE, .size = item->size - HEADER_SIZE};
        memcpy(&frame.offload, at, HEADER_SIZE);
        tell(context, &frame, item->result < 0 ? -item->result : 0);
        at += (item->size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    batch->count = 0;
    batch->used = 0;
}
