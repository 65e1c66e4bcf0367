/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A small driver for the paravirtual card's tests, of both interfaces: the legacy one
 * through BAR 0, that of virtio 1.0 through BAR 1; queues in the fake host's memory, one
 * descriptor at a time.
 */
#ifndef TESTS_UNIT_VIRTIO_FIXTURE_H
#define TESTS_UNIT_VIRTIO_FIXTURE_H

#include "nicemu/virtio_net.h"
#include "tests/fake/fake_nic_host.h"

#define F(name) (UINT64_C(1) << VNET_F_##name)

/* Where things are: queue q at QUEUE(q), laid out as a legacy driver's of 256 descriptors has to be. */
#define QUEUE(q) (0x10000u * ((q) + 1u))
#define QUEUE_AVAIL 0x1000u
#define QUEUE_USED 0x2000u
#define RX_BUFFERS 0x40000u /* 2048 bytes each */
#define TX_HEADER 0xc0000u
#define TX_DATA 0xc0010u
#define TABLE 0xe0000u      /* of indirect descriptors */
#define COMMAND 0xf0000u
#define ANSWER 0xf8000u

enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

/* Modern registers. */
enum { DEVICE_SELECT = 0x00, DEVICE_FEATURE = 0x04, DRIVER_SELECT = 0x08, DRIVER_FEATURE = 0x0c, NUM_QUEUES = 0x12, STATUS = 0x14,
       GENERATION = 0x15, QUEUE_SELECT = 0x16, QUEUE_SIZE = 0x18, QUEUE_ENABLE = 0x1c, NOTIFY_OFF = 0x1e, DESC = 0x20,
       AVAIL = 0x28, USED = 0x30 };
/* Legacy ones. */
enum { L_OFFERED = 0, L_FEATURES = 4, L_PFN = 8, L_SIZE = 12, L_SELECT = 14, L_NOTIFY = 16, L_STATUS = 18, L_ISR = 19, L_CONFIG = 20 };

extern struct fake_nic_host host;

int virtio_fixture_start(void); /* CUnit's suite set-up form */
int virtio_fixture_stop(void);
void virtio_fixture_restart(void);
struct virtio_net *card(void);

uint32_t mr(uint32_t offset, unsigned size);
void mw(uint32_t offset, unsigned size, uint32_t value);
uint32_t lr(uint32_t offset, unsigned size);
void lw(uint32_t offset, unsigned size, uint32_t value);
uint8_t isr(void); /* reads it off, by the interface in use */

/* The steps of modern set-up; the queues are not enabled before set_queue(). */
void offer_features(uint64_t features);
uint8_t set_status(uint8_t status); /* what is read back */
void set_queue(unsigned queue, unsigned size);

/* A new card with all queues of `size` on, at work. VERSION_1 is added. */
void open_modern(uint64_t features, unsigned size);
void open_legacy(uint32_t features);

/* Memory. */
void put16(uint64_t at, uint16_t value);
void put32(uint64_t at, uint32_t value);
uint16_t get16(uint64_t at);
uint32_t get32(uint64_t at);

void desc(unsigned queue, unsigned index, uint64_t address, uint32_t size, unsigned flags, unsigned next);
void desc_at(uint64_t table, unsigned index, uint64_t address, uint32_t size, unsigned flags, unsigned next);
void offer(unsigned queue, unsigned head); /* puts it into the available ring, and shows it */
void notify(unsigned queue);
uint16_t used(unsigned queue);             /* the device's index */
uint32_t used_head(unsigned queue, unsigned index), used_size(unsigned queue, unsigned index);
void set_used_event(unsigned queue, uint16_t value), set_avail_flags(unsigned queue, uint16_t value);
uint16_t avail_event(unsigned queue), used_flags(unsigned queue);

/* A frame to send in two descriptors from `index` on, header and frame, offered and notified. */
struct vnet_header *tx_header(void); /* at TX_HEADER */
void tx_fill(const uint8_t *frame, size_t size);
void tx_send(unsigned index, size_t size);

/* `count` receive buffers of `size` bytes, one descriptor each, from descriptor `first` on. */
void rx_give(unsigned first, unsigned count, uint32_t size);
enum nic_rx_result rx(size_t size); /* offers a frame of make_frame() */
const uint8_t *rx_buffer(unsigned index);
struct vnet_header rx_header(unsigned index);

/* A command to the control queue in three descriptors; the answer. */
uint8_t command(uint8_t class, uint8_t code, const void *data, size_t size);

uint8_t *make_frame(size_t size); /* to fake_mac, type 0x88b5, counting bytes */

#endif
