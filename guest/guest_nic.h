/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Joins a NIC of the PC with its plug (port_link): frames out, frames in,
 * and who has to wait for whom.
 */
#ifndef GUEST_GUEST_NIC_H
#define GUEST_GUEST_NIC_H

#include "guest/nvram.h"
#include "guest/options.h"
#include "guest/port_link.h"
#include "x86vm/pc/pc.h"

struct guest_nic;

/* The socket is made in the working directory. `nvram`, which may be NULL, is taken over with
 * success. NULL with a reason in `error`. `attention`: the receiver has room again, or something was sent. */
struct guest_nic *guest_nic_new(struct pc *pc, const struct options_nic *options, struct nvram *nvram,
                                void (*attention)(void *opaque), void *opaque, char *error, size_t error_size);
void guest_nic_free(struct guest_nic *nic);

unsigned guest_nic_poll(const struct guest_nic *nic, struct pollfd fds[PORT_LINK_FDS]);
/* The connection: when a descriptor is ready, and now and then. */
void guest_nic_service(struct guest_nic *nic, uint64_t now);
/* A descriptor is ready: true where that was the call for frames, which is noted; else the connection needs service. */
bool guest_nic_called(struct guest_nic *nic, int fd);
/* Frames for the guest, a bounded number. True: some moved, in either direction, since the last call. */
bool guest_nic_exchange(struct guest_nic *nic, uint64_t now);
/* Passes on whether the switch is to call; true: frames wait that the NIC could take. */
bool guest_nic_suppress(struct guest_nic *nic, bool suppress);

/* The cable. */
void guest_nic_set_link(struct guest_nic *nic, bool up);

/* What its driver does, a line at a time; NULL: no more. 0 or ENOMEM. */
int guest_nic_set_trace(struct guest_nic *nic, void (*line)(void *opaque, const char *text), void *opaque, bool strict);

/* The card's state, as nic_save() and nic_restore() have it; the cable is where it was. */
size_t guest_nic_save(struct guest_nic *nic, void *image, size_t size);
int guest_nic_restore(struct guest_nic *nic, const void *image, size_t size);

/* A JSON object; returns its length. */
size_t guest_nic_stats(const struct guest_nic *nic, char *out, size_t size);

#endif
