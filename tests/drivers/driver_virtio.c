/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A driver for the paravirtual card, in the order of docs/virtio-net.md.
 */
#include "driver.h"

enum { IDENTITY = 0x10001af4, COUNT = 8, BUFFER = 2048, HEADER = 12 };
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };
#define F_MAC (1u << 5)
#define F_VERSION_1 (1u << 0) /* of the upper half */

/* The structures of the modern interface, as the capabilities name them. */
struct common {
    uint32_t device_feature_select, device_feature, driver_feature_select, driver_feature;
    uint16_t config_vector, num_queues;
    uint8_t status, generation;
    uint16_t queue_select, queue_size, queue_vector, queue_enable, queue_notify_off;
    uint32_t desc[2], driver[2], device[2];
};
static volatile struct common *common;
static volatile uint8_t *isr, *config, *notify;
static uint32_t notify_step;

struct desc {
    uint32_t address, upper_address, size;
    uint16_t flags, next;
};
struct avail {
    uint16_t flags, index, ring[COUNT];
};
struct used {
    uint16_t flags, index;
    struct { uint32_t id, size; } ring[COUNT];
};
/* Behind the image, at addresses that no compiler moves: the trace shows some. */
struct queue {
    volatile struct desc *desc;
    volatile struct avail *avail;
    volatile struct used *used;
    volatile uint16_t *bell;
    uint16_t seen;
};
static struct queue rx = { (void *)0x200000, (void *)0x200100, (void *)0x200200, NULL, 0 };
static struct queue tx = { (void *)0x201000, (void *)0x201100, (void *)0x201200, NULL, 0 };
static uint8_t (*const rx_data)[BUFFER] = (void *)0x210000, *const tx_data = (void *)0x220000;
static uint8_t station[6];

static void find_structures(unsigned device)
{
    for (unsigned at = pci_byte(device, 0x34); at; at = pci_byte(device, at + 1)) {
        if (pci_byte(device, at) != 9)
            continue;
        uint8_t *where = (uint8_t *)pci_bar(device, pci_byte(device, at + 4)) + pci_word(device, at + 8);
        switch (pci_byte(device, at + 3)) {
        case 1: common = (void *)where; break;
        case 2: notify = where, notify_step = pci_word(device, at + 16); break;
        case 3: isr = where; break;
        case 4: config = where; break;
        }
    }
}

static bool negotiate(void)
{
    common->status = 0;
    while (common->status)
        ;
    common->status = ACKNOWLEDGE;
    common->status = ACKNOWLEDGE | DRIVER;
    common->device_feature_select = 0;
    uint32_t low = common->device_feature;
    common->device_feature_select = 1;
    uint32_t high = common->device_feature;
    if (!(low & F_MAC) || !(high & F_VERSION_1))
        return false;
    common->driver_feature_select = 0;
    common->driver_feature = F_MAC;
    common->driver_feature_select = 1;
    common->driver_feature = F_VERSION_1;
    common->status = ACKNOWLEDGE | DRIVER | FEATURES_OK;
    return common->status & FEATURES_OK;
}

static void set_up(struct queue *q, uint16_t number)
{
    common->queue_select = number;
    common->queue_size = COUNT;
    common->desc[0] = (uint32_t)q->desc;
    common->desc[1] = 0;
    common->driver[0] = (uint32_t)q->avail;
    common->driver[1] = 0;
    common->device[0] = (uint32_t)q->used;
    common->device[1] = 0;
    q->bell = (void *)(notify + notify_step * common->queue_notify_off);
    common->queue_enable = 1;
}

/* One buffer, which is a chain of its own. */
static void give(struct queue *q, uint16_t index, void *buffer, uint32_t size, uint16_t flags)
{
    q->desc[index] = (struct desc){ (uint32_t)buffer, 0, size, flags, 0 };
    q->avail->ring[q->avail->index % COUNT] = index;
    __asm__ volatile("" ::: "memory");
    q->avail->index++;
}

static void wait_for(struct queue *q)
{
    while (q->used->index == q->seen)
        ;
    q->seen++;
}

static void send(void)
{
    for (unsigned i = 0; i < HEADER; i++)
        tx_data[i] = 0; /* nothing is left to do */
    make_frame(tx_data + HEADER, 60, station);
    give(&tx, 0, tx_data, HEADER + 60, 0);
    *tx.bell = 1;
    wait_for(&tx);
    (void)*isr;
}

static bool receive(void)
{
    if (!(*isr & 1) || rx.used->index == rx.seen)
        return false;
    uint16_t index = (uint16_t)rx.used->ring[rx.seen++ % COUNT].id;
    uint32_t size = rx.used->ring[(rx.seen - 1) % COUNT].size;
    give(&rx, index, rx_data[index], BUFFER, 2);
    *rx.bell = 0;
    return size == HEADER + 64;
}

bool drive_virtio(void)
{
    int device = pci_find(IDENTITY);
    if (device < 0)
        return false;
    pci_command((unsigned)device, 6);
    find_structures((unsigned)device);
    if (!negotiate())
        return false;
    set_up(&rx, 0);
    set_up(&tx, 1);
    for (uint16_t i = 0; i < COUNT; i++)
        give(&rx, i, rx_data[i], BUFFER, 2);
    common->status = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;
    *rx.bell = 0;
    for (unsigned i = 0; i < 6; i++)
        station[i] = config[i];
    send();
    wait_for_key("virtio-net: a frame for this station, then a key");
    bool good = receive();
    common->status = 0;
    return good && common->status == 0;
}
