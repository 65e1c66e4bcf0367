/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A byte ring of frames (port_queue.h). A record is never split: one that does
 * not fit before the end starts again at 0, and `end` says where the data before it stops.
 */
#include "vswitchd/ports/port_queue.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64u

struct record {
    uint32_t span; /* bytes of the whole record */
    uint32_t size; /* of the frame */
    struct frame_offload offload;
};

/* The frame's bytes follow this much after the start of its record. */
#define RECORD_HEADER ((uint32_t)(((sizeof(struct record) + FRAME_HEADROOM + ALIGNMENT - 1) / ALIGNMENT) * ALIGNMENT))

struct port_queue {
    uint8_t *memory;
    uint32_t size;
    uint32_t head; /* the oldest record */
    uint32_t tail; /* where the next one goes */
    uint32_t end;  /* where the data stops, once tail has wrapped behind head */
    uint32_t count;
    uint32_t limit;
};

struct port_queue *port_queue_create(uint32_t bytes, uint32_t frames)
{
    struct port_queue *queue = calloc(1, sizeof(*queue));
    if (!queue)
        return NULL;
    queue->size = bytes / ALIGNMENT * ALIGNMENT;
    queue->limit = frames;
    queue->memory = aligned_alloc(ALIGNMENT, queue->size);
    if (!queue->memory) {
        free(queue);
        return NULL;
    }
    return queue;
}

void port_queue_destroy(struct port_queue *queue)
{
    if (!queue)
        return;
    free(queue->memory);
    free(queue);
}

/* Makes room for `span` bytes at tail, wrapping if need be. */
static bool reserve(struct port_queue *queue, uint32_t span)
{
    if (queue->count == 0) {
        queue->head = 0;
        queue->tail = 0;
        return span <= queue->size;
    }
    if (queue->tail <= queue->head)
        return queue->head - queue->tail >= span;
    if (queue->size - queue->tail >= span)
        return true;
    if (queue->head < span)
        return false;
    queue->end = queue->tail;
    queue->tail = 0;
    return true;
}

bool port_queue_push(struct port_queue *queue, const struct frame *frame)
{
    if (frame->size > queue->size)
        return false;
    uint32_t span = (RECORD_HEADER + frame->size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (queue->count == queue->limit || !reserve(queue, span))
        return false;
    struct record record = {.span = span, .size = frame->size, .offload = frame->offload};
    memcpy(queue->memory + queue->tail, &record, sizeof(record));
    memcpy(queue->memory + queue->tail + RECORD_HEADER, frame->data, frame->size);
    queue->tail += span;
    if (queue->tail > queue->head)
        queue->end = queue->tail;
    queue->count++;
    return true;
}

bool port_queue_peek(struct port_queue *queue, struct frame *frame)
{
    struct record record;
    if (queue->count == 0)
        return false;
    memcpy(&record, queue->memory + queue->head, sizeof(record));
    frame->data = queue->memory + queue->head + RECORD_HEADER;
    frame->size = record.size;
    frame->offload = record.offload;
    return true;
}

void port_queue_pop(struct port_queue *queue)
{
    struct record record;
    if (queue->count == 0)
        return;
    memcpy(&record, queue->memory + queue->head, sizeof(record));
    queue->head += record.span;
    queue->count--;
    if (queue->head == queue->end && queue->count) {
        queue->head = 0;
        queue->end = queue->tail;
    }
}

uint32_t port_queue_count(const struct port_queue *queue)
{
    return queue->count;
}
