/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The device's side of a split virtqueue: see virtio_ring.h.
 */
#include "nicemu/virtio_ring.h"

#include <stdarg.h>
#include <stdio.h>

#define LEGACY_PAGE 4096u

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };
enum { AVAIL_NO_INTERRUPT = 1, USED_NO_NOTIFY = 1 };

struct desc {
    uint64_t address;
    uint32_t size;
    uint16_t flags;
    uint16_t next;
};

/* Of the available ring: flags, index, entries, used_event. Of the used one: flags, index, pairs, avail_event. */
#define AVAIL_INDEX(ring) ((ring)->avail + 2)
#define AVAIL_ENTRY(ring, i) ((ring)->avail + 4 + 2u * ((i) % (ring)->size))
#define USED_EVENT(ring) ((ring)->avail + 4 + 2u * (ring)->size)
#define USED_INDEX(ring) ((ring)->used + 2)
#define USED_ENTRY(ring, i) ((ring)->used + 4 + 8u * ((i) % (ring)->size))
#define AVAIL_EVENT(ring) ((ring)->used + 4 + 8u * (ring)->size)

static bool get(const struct nic *nic, uint64_t address, void *to, size_t size)
{
    return nic->host.dma_read(nic->host.opaque, address, to, size);
}

static bool put(const struct nic *nic, uint64_t address, const void *from, size_t size)
{
    return nic->host.dma_write(nic->host.opaque, address, from, size);
}

/* Nothing is taken any more. Always false: what the caller answers, too. */
__attribute__((format(printf, 3, 4))) static bool broken(struct virtio_ring *ring, struct nic *nic, const char *format, ...)
{
    char text[120];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ring->broken = true;
    nic_guest_error(nic, "%s", text);
    return false;
}

static bool wraps(uint64_t address, uint64_t size)
{
    return address + size < address;
}

bool virtio_ring_is_placed(const struct virtio_ring *ring)
{
    return !(ring->desc % 16 || ring->avail % 2 || ring->used % 4 || wraps(ring->desc, sizeof(struct desc) * ring->size) ||
             wraps(ring->avail, 6 + 2u * ring->size) || wraps(ring->used, 6 + 8u * ring->size));
}

bool virtio_ring_enable(struct virtio_ring *ring, bool event_index, bool indirect)
{
    if (!virtio_ring_is_placed(ring))
        return false;
    ring->event_index = event_index;
    ring->indirect = indirect;
    ring->enabled = true;
    return true;
}

void virtio_ring_place(struct virtio_ring *ring, uint64_t address)
{
    ring->desc = address;
    ring->avail = address + sizeof(struct desc) * ring->size;
    ring->used = (ring->avail + 6 + 2u * ring->size + LEGACY_PAGE - 1) & ~(uint64_t)(LEGACY_PAGE - 1);
}

/* --- taking -------------------------------------------------------------- */

static bool look_for_more(struct virtio_ring *ring, struct nic *nic)
{
    uint16_t index;
    if (!get(nic, AVAIL_INDEX(ring), &index, sizeof index))
        return broken(ring, nic, "available ring at %llx is not memory", (unsigned long long)ring->avail);
    if ((uint16_t)(index - ring->next_avail) > ring->size)
        return broken(ring, nic, "available index %u, of a queue of %u with %u to come next", index, ring->size,
                      ring->next_avail);
    ring->seen_avail = index;
    return index != ring->next_avail;
}

static bool add_piece(struct virtio_ring *ring, struct nic *nic, struct virtio_chain *chain, const struct desc *d)
{
    unsigned count = chain->readable + chain->writable;
    if (!(d->flags & DESC_WRITE) && chain->writable)
        return broken(ring, nic, "chain %u: a buffer to read behind one to write", chain->head);
    if (d->size == 0)
        return true;
    if (count == VIRTIO_RING_MAX)
        return broken(ring, nic, "chain %u: more than %u buffers", chain->head, VIRTIO_RING_MAX);
    chain->piece[count] = (struct virtio_piece){ d->address, d->size };
    if (d->flags & DESC_WRITE) {
        chain->writable++;
        chain->writable_size += d->size;
    } else {
        chain->readable++;
        chain->readable_size += d->size;
    }
    return true;
}

/* The table that an indirect descriptor names, which ends the chain. */
static bool add_table(struct virtio_ring *ring, struct nic *nic, struct virtio_chain *chain, const struct desc *at)
{
    struct desc table[VIRTIO_RING_MAX];
    uint32_t count = at->size / sizeof *table, index = 0;

    if (!ring->indirect || (at->flags & DESC_NEXT) || at->size % sizeof *table || count == 0 || count > ring->size)
        return broken(ring, nic, "chain %u: an indirect descriptor of %u bytes that may not be", chain->head, at->size);
    if (!get(nic, at->address, table, at->size))
        return broken(ring, nic, "chain %u: its table at %llx is not memory", chain->head,
                      (unsigned long long)at->address);
    for (uint32_t seen = 0; seen < count; seen++) {
        const struct desc *d = &table[index];
        chain->looked_at++;
        if (d->flags & DESC_INDIRECT)
            return broken(ring, nic, "chain %u: a table in a table", chain->head);
        if (!add_piece(ring, nic, chain, d))
            return false;
        if (!(d->flags & DESC_NEXT))
            return true;
        if ((index = d->next) >= count)
            break;
    }
    return broken(ring, nic, "chain %u: its table has no end", chain->head);
}

static bool walk(struct virtio_ring *ring, struct nic *nic, struct virtio_chain *chain)
{
    uint16_t index = chain->head;
    for (uint32_t seen = 0; seen < ring->size && index < ring->size; seen++) {
        struct desc d;
        if (!get(nic, ring->desc + index * sizeof d, &d, sizeof d))
            return broken(ring, nic, "descriptors at %llx are not memory", (unsigned long long)ring->desc);
        chain->descriptors++;
        chain->looked_at++;
        if (d.flags & DESC_INDIRECT)
            return add_table(ring, nic, chain, &d);
        if (!add_piece(ring, nic, chain, &d))
            return false;
        if (!(d.flags & DESC_NEXT))
            return true;
        index = d.next;
    }
    return broken(ring, nic, "chain %u: no end, or outside of a queue of %u", chain->head, ring->size);
}

bool virtio_ring_take(struct virtio_ring *ring, struct nic *nic, struct virtio_chain *chain)
{
    if (!ring->enabled || ring->broken)
        return false;
    if (ring->next_avail == ring->seen_avail && !look_for_more(ring, nic))
        return false;
    chain->readable = chain->writable = chain->descriptors = chain->looked_at = 0;
    chain->readable_size = chain->writable_size = 0;
    if (!get(nic, AVAIL_ENTRY(ring, ring->next_avail), &chain->head, sizeof chain->head))
        return broken(ring, nic, "available ring at %llx is not memory", (unsigned long long)ring->avail);
    if (!walk(ring, nic, chain))
        return false;
    ring->next_avail++;
    return true;
}

/* While they were looked at the driver may have shown more than the queue holds, which is seen here only. */
void virtio_ring_untake(struct virtio_ring *ring, struct nic *nic, unsigned count)
{
    ring->next_avail -= (uint16_t)count;
    if ((uint16_t)(ring->seen_avail - ring->next_avail) <= ring->size)
        return;
    broken(ring, nic, "available index %u, of a queue of %u with %u to come next", ring->seen_avail, ring->size,
           ring->next_avail);
    ring->seen_avail = ring->next_avail;
}

/* --- giving back --------------------------------------------------------- */

void virtio_ring_use(struct virtio_ring *ring, struct nic *nic, uint16_t head, uint32_t written)
{
    const uint32_t pair[2] = { head, written };
    if (!put(nic, USED_ENTRY(ring, ring->used_index), pair, sizeof pair))
        broken(ring, nic, "used ring at %llx is not memory", (unsigned long long)ring->used);
    ring->used_index++;
}

void virtio_ring_show(struct virtio_ring *ring, struct nic *nic)
{
    if (!put(nic, USED_INDEX(ring), &ring->used_index, sizeof ring->used_index) && !ring->broken)
        broken(ring, nic, "used ring at %llx is not memory", (unsigned long long)ring->used);
}

bool virtio_ring_call_due(struct virtio_ring *ring, struct nic *nic)
{
    uint16_t said = 0, before = ring->signalled;
    ring->signalled = ring->used_index;
    if (ring->broken || !get(nic, ring->event_index ? USED_EVENT(ring) : ring->avail, &said, sizeof said))
        return false;
    if (!ring->event_index)
        return !(said & AVAIL_NO_INTERRUPT) && ring->used_index != before;
    return (uint16_t)(ring->used_index - said - 1) < (uint16_t)(ring->used_index - before);
}

/* The index that the driver passes next, or the one that it is furthest from. */
void virtio_ring_ask(struct virtio_ring *ring, struct nic *nic, bool wanted)
{
    uint16_t event = wanted ? ring->seen_avail : (uint16_t)(ring->seen_avail - 1);
    uint16_t flags = wanted ? 0 : USED_NO_NOTIFY;
    if (!ring->enabled || ring->broken)
        return;
    if (ring->event_index)
        put(nic, AVAIL_EVENT(ring), &event, sizeof event);
    else
        put(nic, ring->used, &flags, sizeof flags);
}

/* --- bytes --------------------------------------------------------------- */

bool virtio_chain_gather(const struct virtio_chain *chain, struct nic *nic, uint8_t *to)
{
    for (unsigned i = 0; i < chain->readable; i++) {
        if (!get(nic, chain->piece[i].address, to, chain->piece[i].size))
            return false;
        to += chain->piece[i].size;
    }
    return true;
}

bool virtio_chain_write(const struct virtio_chain *chain, struct nic *nic, uint64_t at, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;
    const struct virtio_piece *piece = chain->piece + chain->readable;
    for (; size; piece++) {
        if (at >= piece->size) {
            at -= piece->size;
            continue;
        }
        size_t part = piece->size - at < size ? (size_t)(piece->size - at) : size;
        if (!put(nic, piece->address + at, from, part))
            return false;
        from += part;
        size -= part;
        at = 0;
    }
    return true;
}
