/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What both roles of a virtqueue share: its layout and the memory it describes.
 * The roles are in virtqueue_device.c and virtqueue_driver.c.
 */
#include "proto/virtqueue.h"

size_t virtq_desc_bytes(uint16_t size)
{
    return sizeof(struct virtq_desc) * size;
}

size_t virtq_avail_bytes(uint16_t size)
{
    return sizeof(struct virtq_avail) + sizeof(uint16_t) * (size + 1u);
}

size_t virtq_used_bytes(uint16_t size)
{
    return sizeof(struct virtq_used) + sizeof(struct virtq_used_element) * size + sizeof(uint16_t);
}

bool virtq_size_valid(uint32_t size)
{
    return size >= 2 && size <= VIRTQ_SIZE_MAX && (size & (size - 1)) == 0;
}

static bool inside(uint64_t start, uint64_t size, uint64_t address)
{
    return address - start < size;
}

void *virtq_memory_guest(const struct virtq_memory *memory, uint64_t address, uint64_t *size)
{
    for (unsigned i = 0; i < memory->count; i++) {
        const struct virtq_region *region = &memory->regions[i];
        uint64_t offset = address - region->guest_address;

        if (offset >= region->size)
            continue;
        if (*size > region->size - offset)
            *size = region->size - offset;
        return region->host + offset;
    }
    return NULL;
}

void *virtq_memory_user(const struct virtq_memory *memory, uint64_t address, uint64_t size)
{
    for (unsigned i = 0; i < memory->count; i++) {
        const struct virtq_region *region = &memory->regions[i];
        uint64_t offset = address - region->user_address;

        if (offset < region->size)
            return size <= region->size - offset ? region->host + offset : NULL;
    }
    return NULL;
}

const char *virtq_memory_check(const struct virtq_memory *memory, const struct virtq_region *region)
{
    if (memory->count >= VIRTQ_REGIONS_MAX)
        return "too many memory regions";
    if (region->size == 0)
        return "empty memory region";
    if (region->guest_address + region->size - 1 < region->guest_address ||
        region->user_address + region->size - 1 < region->user_address)
        return "memory region wraps around";
    for (unsigned i = 0; i < memory->count; i++) {
        const struct virtq_region *other = &memory->regions[i];

        if (inside(other->guest_address, other->size, region->guest_address) ||
            inside(region->guest_address, region->size, other->guest_address))
            return "memory regions overlap";
    }
    return NULL;
}
