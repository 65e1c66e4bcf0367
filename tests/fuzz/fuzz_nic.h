/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of the NIC models' fuzzer share: fuzz_nic.c lets a model live and
 * checks it, fuzz_nic_e1000.c, fuzz_nic_dp8390.c and fuzz_nic_virtio.c are the drivers that
 * poke it, fuzz_nic_frames.c makes what is sent to it.
 */
#ifndef TESTS_FUZZ_FUZZ_NIC_H
#define TESTS_FUZZ_FUZZ_NIC_H

#include "tests/fake/fake_nic_host.h"

/* Of the random numbers, which are drawn in an order that the seed alone decides. */
extern uint64_t fuzz_nic_state;

static inline uint32_t draw(void)
{
    fuzz_nic_state ^= fuzz_nic_state << 13;
    fuzz_nic_state ^= fuzz_nic_state >> 7;
    fuzz_nic_state ^= fuzz_nic_state << 17;
    return (uint32_t)(fuzz_nic_state >> 16);
}

static inline uint32_t below(uint32_t limit)
{
    return draw() % limit;
}

/* Values that mean something: small, powers of two and their neighbours, any. */
static inline uint32_t value(void)
{
    switch (below(5)) {
    case 0: return below(64);
    case 1: return (1u << below(32)) - below(2);
    case 2: return draw();
    case 3: return below(FAKE_MEMORY_SIZE) & ~15u;
    default: return ~0u >> below(32);
    }
}

/* Ends the fuzzing, with the model and the operation, where something is not as it must be. */
void check(bool good, const char *what);

/* A driver: `start` sets the card up, so that the random part begins with working rings; `poke` is
 * one of its accesses, or a few, and checks what must hold then. */
void e1000_start(struct fake_nic_host *host);
void e1000_poke(struct fake_nic_host *host);
void e1000_check_progress(struct fake_nic_host *host);
void e1000_put_descriptor(uint8_t *at);
void dp8390_start(struct fake_nic_host *host);
void dp8390_poke(struct fake_nic_host *host);
void virtio_start(struct fake_nic_host *host);
void virtio_poke(struct fake_nic_host *host);
void virtio_check_progress(struct fake_nic_host *host);
void virtio_change_memory(struct fake_nic_host *host, uint64_t address, size_t size);

/* Random bytes, mostly with headers that the model understands. */
void fill_frame(uint8_t *frame, size_t size);

#endif
