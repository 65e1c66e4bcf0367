/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A model's state as bytes: one walk over its members serves both directions,
 * so what is saved and what is restored cannot differ. A model writes the walk
 * (struct nic_ops.state) with these functions; nic_state.c puts the header
 * around it. Numbers are little-endian, times are relative to the moment of
 * saving, and everything that comes in is hostile: each member names the values
 * that the model itself could have reached.
 *
 * While restoring, the walk fills a copy of the model; the copy takes the
 * model's place only if no check has failed.
 */
#ifndef NICEMU_NIC_STATE_H
#define NICEMU_NIC_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nic_state {
    uint8_t *out;       /* saving: where to, NULL to measure */
    const uint8_t *in;  /* restoring: where from */
    size_t size;        /* of either */
    size_t position;    /* of the next byte; may pass `size` while saving */
    uint64_t now;
    bool restoring;
    bool bad;           /* restoring: a check has failed */
};

void nic_state_bytes(struct nic_state *s, void *bytes, size_t size);

/* Integers; `allowed` are the bits that may be set. */
void nic_state_u8(struct nic_state *s, uint8_t *value, uint8_t allowed);
void nic_state_u16(struct nic_state *s, uint16_t *value, uint16_t allowed);
void nic_state_u32(struct nic_state *s, uint32_t *value, uint32_t allowed);
void nic_state_u64(struct nic_state *s, uint64_t *value);
void nic_state_bool(struct nic_state *s, bool *value);

/* A moment of the machine's clock, at most ten seconds ahead. */
void nic_state_moment(struct nic_state *s, uint64_t *moment);

/* The same where 0 stands for "none". */
void nic_state_deadline(struct nic_state *s, uint64_t *deadline);

/* Restoring: what must hold of the members walked so far. */
static inline void nic_state_check(struct nic_state *s, bool good)
{
    if (s->restoring && !good)
        s->bad = true;
}

#endif
