/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The fake kernel (fake_write_batch.h).
 */
#include "tests/fake/fake_write_batch.h"

#include <errno.h>
#include <string.h>

struct fake_write_batch fake_write_batch;
static uint8_t memory[WRITE_BATCH_MEMORY];

struct write_batch_file write_batch_know(struct write_batch *batch, int fd)
{
    (void)batch;
    fake_write_batch.known++;
    return (struct write_batch_file){.fd = fd, .number = 5};
}

void write_batch_forget(struct write_batch *batch, struct write_batch_file *file)
{
    (void)batch;
    fake_write_batch.known -= file->number == 5;
    file->number = -1;
}

void *write_batch_take(struct write_batch *batch, uint32_t size)
{
    struct fake_write_batch *fake = &fake_write_batch;
    (void)batch;
    if (size > WRITE_BATCH_MEMORY - fake->used)
        return NULL;
    fake->used += (size + 15) / 16 * 16;
    fake->pieces++;
    return memory + fake->used - (size + 15) / 16 * 16;
}

void write_batch_give_back(struct write_batch *batch, unsigned pieces)
{
    (void)batch;
    fake_write_batch.pieces -= pieces;
    if (!fake_write_batch.pieces)
        fake_write_batch.used = 0;
}

bool write_batch_works(const struct write_batch *batch)
{
    (void)batch;
    return !fake_write_batch.broken;
}

bool write_batch_run(struct write_batch *batch, const struct write_batch_file *file, struct write_batch_item *items,
                     unsigned count)
{
    struct fake_write_batch *fake = &fake_write_batch;
    bool whole = true;
    (void)batch;
    fake->runs++;
    fake->fd = file->fd;
    fake->count = count;
    for (unsigned i = 0; i < count; i++) {
        fake->sizes[i] = items[i].size;
        memcpy(fake->data[i], items[i].data, items[i].size);
        items[i].result = fake->errors[i] ? -fake->errors[i] : (int)items[i].size;
        whole &= !fake->errors[i];
    }
    for (unsigned i = 0; whole && i < count; i++)
        items[i].result = -EIO; /* nobody is to look at it */
    memset(fake->errors, 0, sizeof(fake->errors));
    return whole;
}
