/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A machine for a NIC model under test: a piece of guest memory, a recorder of
 * the frames that the model sends, and a timer that the test fires by hand.
 */
#ifndef TESTS_FAKE_NIC_HOST_H
#define TESTS_FAKE_NIC_HOST_H

#include "nicemu/nic.h"

#define FAKE_MEMORY_SIZE (1u << 20) /* from guest address 0, usually; the rest is not memory */
#define FAKE_FRAMES 128u            /* recorded; later ones are counted only */

struct fake_frame {
    uint8_t *bytes;
    size_t size;
    struct nic_offload offload;
};

struct fake_nic_host {
    struct nic *nic;          /* made by fake_nic_host_start() */
    uint8_t *memory;
    uint64_t memory_at;       /* the guest address that it begins at */
    struct fake_frame frames[FAKE_FRAMES];
    unsigned frame_count;
    uint64_t now, deadline;   /* of the test's clock; of the model's timer, 0 is off */
    bool irq, pme;
    bool refuse_frames;       /* send_frame answers false */
    bool no_room;             /* the network takes no burst now: has_room */
    bool record;              /* keep frames' contents: on unless a test turns it off */
    unsigned irq_raised, flushed, ready, timers_set, errors, accepts_changed;
    uint64_t dma_calls, dma_bytes;
    void (*before_dma_read)(struct fake_nic_host *host, uint64_t address, size_t size); /* a fuzzer's hook */
    bool (*on_ready)(struct fake_nic_host *host);
};

extern const uint8_t fake_mac[6];

/* Makes a model by name with the fake as its host. Ends the test program on failure. */
void fake_nic_host_start(struct fake_nic_host *host, const char *model);
void fake_nic_host_stop(struct fake_nic_host *host);
void fake_nic_host_forget_frames(struct fake_nic_host *host);

/* Moves the clock on, firing the timer as often as it falls due on the way. */
void fake_nic_host_advance(struct fake_nic_host *host, uint64_t ns);

/* 32-bit access to BAR 0. */
uint32_t fake_read(struct fake_nic_host *host, uint32_t offset);
void fake_write(struct fake_nic_host *host, uint32_t offset, uint32_t value);

/* One byte of BAR 0: the boards of the NE2000 family. */
uint8_t fake_in(struct fake_nic_host *host, uint32_t port);
void fake_out(struct fake_nic_host *host, uint32_t port, uint8_t value);

#endif
