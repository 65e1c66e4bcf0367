/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Finishes what a sender left to its card: completes a checksum, cuts a TCP
 * super-frame into segments. Needed only at an egress that cannot take the
 * frame as it is. offload_check() compares the metadata, which may be hostile,
 * with the bytes once at ingress; everything else relies on it.
 */
#ifndef VSWITCHD_CORE_OFFLOAD_H
#define VSWITCHD_CORE_OFFLOAD_H

#include "vswitchd/core/frame.h"

/* True when the metadata fits the frame; corrects hdr_len to the headers' real size, and clears flags that mean
 * nothing here. */
bool offload_check(struct frame *frame);

/* Size of the largest Ethernet frame that this one stands for (its own size, or that of a segment). */
uint32_t offload_wire_size(const struct frame *frame);

/* Stores the checksum of a frame with FRAME_NEEDS_CSUM in its place; afterwards there is nothing left to do to it. */
void offload_complete_csum(struct frame *frame);

/* Cuts a checked super-frame into complete frames, built one after the other in
 * `scratch` (FRAME_BUFFER_SIZE bytes), each handed to emit, which answers false
 * to stop. Returns how many were emitted. */
unsigned offload_segment(const struct frame *frame, uint8_t *scratch,
                         bool (*emit)(void *context, struct frame *segment), void *context);

/* The Internet checksum's running sum (RFC 1071) of some bytes, and its final form. */
uint32_t offload_sum(uint32_t sum, const uint8_t *data, size_t size);
uint16_t offload_fold(uint32_t sum);

#endif
