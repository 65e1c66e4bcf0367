/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The tests' own driver of the paravirtual card: see virtio_fixture.h.
 */
#include "tests/unit/virtio_fixture.h"

#include <string.h>

struct fake_nic_host host;
static bool legacy;
static unsigned queue_size;
static uint16_t shown[VNET_QUEUES]; /* the driver's indexes */

int virtio_fixture_start(void)
{
    fake_nic_host_start(&host, "virtio-net");
    legacy = false;
    queue_size = VIRTIO_RING_MAX;
    memset(shown, 0, sizeof shown);
    return 0;
}

int virtio_fixture_stop(void)
{
    fake_nic_host_stop(&host);
    return 0;
}

void virtio_fixture_restart(void)
{
    virtio_fixture_stop();
    virtio_fixture_start();
}

struct virtio_net *card(void) { return (struct virtio_net *)host.nic; }

/* --- registers ------------------------------------------------------------- */

uint32_t mr(uint32_t offset, unsigned size) { return nic_read(host.nic, VNET_BAR_MODERN, offset, size, host.now); }
void mw(uint32_t offset, unsigned size, uint32_t value) { nic_write(host.nic, VNET_BAR_MODERN, offset, size, value, host.now); }
uint32_t lr(uint32_t offset, unsigned size) { return nic_read(host.nic, VNET_BAR_LEGACY, offset, size, host.now); }
void lw(uint32_t offset, unsigned size, uint32_t value) { nic_write(host.nic, VNET_BAR_LEGACY, offset, size, value, host.now); }
uint8_t isr(void) { return (uint8_t)(legacy ? lr(L_ISR, 1) : mr(VNET_ISR, 1)); }

void offer_features(uint64_t features)
{
    for (unsigned half = 0; half < 2; half++) {
        mw(DRIVER_SELECT, 4, half);
        mw(DRIVER_FEATURE, 4, (uint32_t)(features >> 32 * half));
    }
}

uint8_t set_status(uint8_t status)
{
    mw(STATUS, 1, status);
    return (uint8_t)mr(STATUS, 1);
}

void set_queue(unsigned queue, unsigned size)
{
    static const unsigned parts[] = { 0, QUEUE_AVAIL, QUEUE_USED };
    queue_size = size;
    mw(QUEUE_SELECT, 2, queue);
    mw(QUEUE_SIZE, 2, size);
    for (unsigned i = 0; i < 3; i++) {
        mw(DESC + 8 * i, 4, QUEUE(queue) + parts[i]);
        mw(DESC + 8 * i + 4, 4, 0);
    }
    mw(QUEUE_ENABLE, 2, 1);
}

void open_modern(uint64_t features, unsigned size)
{
    virtio_fixture_restart();
    set_status(VNET_S_ACKNOWLEDGE | VNET_S_DRIVER);
    offer_features(features | F(VERSION_1));
    set_status(VNET_S_ACKNOWLEDGE | VNET_S_DRIVER | VNET_S_FEATURES_OK);
    for (unsigned i = 0; i < VNET_QUEUES; i++)
        set_queue(i, size);
    set_status(VNET_S_ACKNOWLEDGE | VNET_S_DRIVER | VNET_S_FEATURES_OK | VNET_S_DRIVER_OK);
}

void open_legacy(uint32_t features)
{
    virtio_fixture_restart();
    legacy = true;
    lw(L_STATUS, 1, VNET_S_ACKNOWLEDGE | VNET_S_DRIVER);
    lw(L_FEATURES, 4, features);
    for (unsigned i = 0; i < VNET_QUEUES; i++) {
        lw(L_SELECT, 2, i);
        lw(L_PFN, 4, QUEUE(i) >> 12);
    }
    lw(L_STATUS, 1, VNET_S_ACKNOWLEDGE | VNET_S_DRIVER | VNET_S_DRIVER_OK);
}

/* --- memory ---------------------------------------------------------------- */

void put16(uint64_t at, uint16_t value) { memcpy(host.memory + at, &value, 2); }
void put32(uint64_t at, uint32_t value) { memcpy(host.memory + at, &value, 4); }

uint16_t get16(uint64_t at)
{
    uint16_t value;
    memcpy(&value, host.memory + at, 2);
    return value;
}

uint32_t get32(uint64_t at)
{
    uint32_t value;
    memcpy(&value, host.memory + at, 4);
    return value;
}

void desc_at(uint64_t table, unsigned index, uint64_t address, uint32_t size, unsigned flags, unsigned next)
{
    uint64_t at = table + 16 * index;
    memcpy(host.memory + at, &address, 8);
    put32(at + 8, size);
    put16(at + 12, (uint16_t)flags);
    put16(at + 14, (uint16_t)next);
}

void desc(unsigned queue, unsigned index, uint64_t address, uint32_t size, unsigned flags, unsigned next)
{
    desc_at(QUEUE(queue), index, address, size, flags, next);
}

#define AVAIL_RING(q) (QUEUE(q) + QUEUE_AVAIL)
#define USED_RING(q) (QUEUE(q) + QUEUE_USED)

void offer(unsigned queue, unsigned head)
{
    put16(AVAIL_RING(queue) + 4 + 2 * (shown[queue] % queue_size), (uint16_t)head);
    put16(AVAIL_RING(queue) + 2, ++shown[queue]);
}

void notify(unsigned queue)
{
    if (legacy)
        lw(L_NOTIFY, 2, queue);
    else
        mw(VNET_NOTIFY + VNET_NOTIFY_STEP * queue, 2, queue);
}

uint16_t used(unsigned queue) { return get16(USED_RING(queue) + 2); }
uint32_t used_head(unsigned queue, unsigned index) { return get32(USED_RING(queue) + 4 + 8 * (index % queue_size)); }
uint32_t used_size(unsigned queue, unsigned index) { return get32(USED_RING(queue) + 8 + 8 * (index % queue_size)); }
void set_used_event(unsigned queue, uint16_t value) { put16(AVAIL_RING(queue) + 4 + 2 * queue_size, value); }
void set_avail_flags(unsigned queue, uint16_t value) { put16(AVAIL_RING(queue), value); }
uint16_t avail_event(unsigned queue) { return get16(USED_RING(queue) + 4 + 8 * queue_size); }
uint16_t used_flags(unsigned queue) { return get16(USED_RING(queue)); }

/* --- frames and commands ----------------------------------------------------- */

struct vnet_header *tx_header(void) { return (struct vnet_header *)(void *)(host.memory + TX_HEADER); }

void tx_fill(const uint8_t *frame, size_t size)
{
    memset(host.memory + TX_HEADER, 0, sizeof(struct vnet_header));
    memcpy(host.memory + TX_DATA, frame, size);
}

void tx_send(unsigned index, size_t size)
{
    desc(VNET_TX, index, TX_HEADER, vnet_header_size(card()), NEXT, (index + 1) % queue_size);
    desc(VNET_TX, (index + 1) % queue_size, TX_DATA, (uint32_t)size, 0, 0);
    offer(VNET_TX, index);
    notify(VNET_TX);
}

void rx_give(unsigned first, unsigned count, uint32_t size)
{
    for (unsigned i = first; i < first + count; i++) {
        desc(VNET_RX, i % queue_size, RX_BUFFERS + 2048 * (i % queue_size), size, WRITE, 0);
        offer(VNET_RX, i % queue_size);
    }
}

enum nic_rx_result rx(size_t size)
{
    return nic_receive(host.nic, make_frame(size), size, NULL, host.now);
}

const uint8_t *rx_buffer(unsigned index) { return host.memory + RX_BUFFERS + 2048 * index; }

struct vnet_header rx_header(unsigned index)
{
    struct vnet_header header;
    memcpy(&header, rx_buffer(index), sizeof header);
    return header;
}

uint8_t command(uint8_t class, uint8_t code, const void *data, size_t size)
{
    const uint8_t head[2] = { class, code };
    memcpy(host.memory + COMMAND, head, 2);
    memcpy(host.memory + COMMAND + 2, data, size);
    host.memory[ANSWER] = 0xee;
    desc(VNET_CONTROL, 0, COMMAND, 2, NEXT, 1);
    desc(VNET_CONTROL, 1, COMMAND + 2, (uint32_t)size, NEXT, 2);
    desc(VNET_CONTROL, 2, ANSWER, 1, WRITE, 0);
    offer(VNET_CONTROL, 0);
    notify(VNET_CONTROL);
    return host.memory[ANSWER];
}

uint8_t *make_frame(size_t size)
{
    static uint8_t frame[NIC_FRAME_MAX + 100];
    for (size_t i = 0; i < size; i++)
        frame[i] = (uint8_t)(i * 3 + i / 251);
    memcpy(frame, fake_mac, size < 6 ? size : 6);
    if (size >= 14)
        memcpy(frame + 6, "\x02\x00\x00\x00\x00\x01\x88\xb5", 8);
    return frame;
}
