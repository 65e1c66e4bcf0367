/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The fake kernel (fake_write_batch.h).
 */
#include "tests/fake/fake_write_batch.h"

#include <string.h>

struct fake_write_batch fake_write_batch;

void write_batch_run(struct write_batch *batch, int fd, struct write_batch_item *items, unsigned count)
{
    struct fake_write_batch *fake = &fake_write_batch;
    (void)batch;
    fake->runs++;
    fake->fd = fd;
    fake->count = count;
    for (unsigned i = 0; i < count; i++) {
        fake->sizes[i] = items[i].size;
        memcpy(fake->data[i], items[i].data, items[i].size);
        items[i].result = fake->errors[i] ? -fake->errors[i] : (int)items[i].size;
    }
    memset(fake->errors, 0, sizeof(fake->errors));
}
