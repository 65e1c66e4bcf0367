/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The memory that a vhost-user peer shares with us: mapped, measured, and made
 * safe against being taken away. By default only memfds sealed against
 * shrinking are mapped. Whatever happens all the same (an unsealed file cut
 * short, huge pages run out) raises SIGBUS, whose handler puts zero pages in
 * the place of the mapping; the owner sees it by vhost_memory_broken() and
 * ends the session. Used by vhost_backend.
 */
#ifndef VSWITCHD_PORTS_VHOST_MEMORY_H
#define VSWITCHD_PORTS_VHOST_MEMORY_H

#include <stdbool.h>

#include "proto/vhost_user.h"
#include "proto/virtqueue.h"

#define VHOST_MEMORY_TOTAL_MAX (UINT64_C(1) << 40) /* bytes of address space one peer may take */

struct vhost_memory {
    struct virtq_memory table; /* what the queues translate with */
    uint64_t total;            /* bytes mapped */
    int slots[VIRTQ_REGIONS_MAX]; /* of each region, in the list that the signal handler reads */
};

void vhost_memory_init(struct vhost_memory *memory);
/* Maps a region; the descriptor stays the caller's. NULL, or what is wrong. */
const char *vhost_memory_add(struct vhost_memory *memory, const struct vhost_user_region *region, int fd,
                             bool allow_unsealed);
const char *vhost_memory_remove(struct vhost_memory *memory, const struct vhost_user_region *region);
void vhost_memory_clear(struct vhost_memory *memory);
/* Whether some of it was taken away since it was mapped. */
bool vhost_memory_broken(const struct vhost_memory *memory);

#endif
