/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The paravirtual card's control queue (virtio 1.1, 5.1.6.5): commands by which the driver
 * says what frames it wants, and what its station address is. Each is answered at once.
 */
#include "nicemu/mac_filter.h"
#include "nicemu/virtio_net.h"

#include <string.h>

enum { CLASS_RX = 0, CLASS_MAC = 1 };
enum { RX_PROMISCUOUS = 0, RX_ALL_MULTICAST = 1 };
enum { MAC_TABLE_SET = 0, MAC_ADDRESS_SET = 1 };
enum { ACK_OK = 0, ACK_ERROR = 1 };
enum { COMMAND_HEADER = 2 };

static bool set_flag(bool *flag, const uint8_t *data, size_t size)
{
    if (size != 1 || data[0] > 1)
        return false;
    *flag = data[0];
    return true;
}

/* One of the table's two halves: a count and so many addresses. The bytes behind it, NULL where it is cut off. */
static const uint8_t *add_addresses(struct vnet_filter *f, bool *many, const uint8_t *data, const uint8_t *end)
{
    uint32_t count;
    if (end - data < 4)
        return NULL;
    memcpy(&count, data, sizeof count);
    data += 4;
    if (count > (size_t)(end - data) / 6)
        return NULL;
    *many = f->count + count > VNET_ADDRESSES;
    for (uint32_t i = 0; i < count && !*many; i++)
        memcpy(f->address[f->count++], data + 6 * i, 6);
    return data + 6 * count;
}

static bool set_table(struct virtio_net *v, const uint8_t *data, size_t size)
{
    struct vnet_filter new = { .promiscuous = v->filter.promiscuous, .all_multicast = v->filter.all_multicast };
    const uint8_t *end = data + size;
    data = add_addresses(&new, &new.many_unicast, data, end);
    if (data)
        data = add_addresses(&new, &new.many_multicast, data, end);
    if (data != end)
        return false;
    v->filter = new;
    return true;
}

static bool set_address(struct virtio_net *v, const uint8_t *data, size_t size)
{
    if (size != sizeof v->mac || mac_is_multicast(data))
        return false;
    memcpy(v->mac, data, sizeof v->mac);
    return true;
}

static bool set_promiscuous(struct virtio_net *v, const uint8_t *data, size_t size)
{
    return set_flag(&v->filter.promiscuous, data, size);
}

static bool set_all_multicast(struct virtio_net *v, const uint8_t *data, size_t size)
{
    return set_flag(&v->filter.all_multicast, data, size);
}

static const struct {
    uint8_t class, command;
    enum vnet_feature feature;
    bool (*run)(struct virtio_net *v, const uint8_t *data, size_t size);
} commands[] = {
    { CLASS_RX, RX_PROMISCUOUS, VNET_F_CTRL_RX, set_promiscuous },
    { CLASS_RX, RX_ALL_MULTICAST, VNET_F_CTRL_RX, set_all_multicast },
    { CLASS_MAC, MAC_TABLE_SET, VNET_F_CTRL_RX, set_table },
    { CLASS_MAC, MAC_ADDRESS_SET, VNET_F_CTRL_MAC_ADDR, set_address },
};

static bool run(struct virtio_net *v, const uint8_t *command, size_t size)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (size >= COMMAND_HEADER && commands[i].class == command[0] && commands[i].command == command[1] &&
            vnet_has(v, commands[i].feature))
            return commands[i].run(v, command + COMMAND_HEADER, size - COMMAND_HEADER);
    return false;
}

static void answer(struct virtio_net *v)
{
    const struct virtio_chain *chain = &v->chain;
    uint8_t ack = ACK_ERROR;
    bool good = chain->readable_size <= sizeof v->frame && virtio_chain_gather(chain, &v->nic, v->frame) &&
                run(v, v->frame, (size_t)chain->readable_size);
    if (good)
        ack = ACK_OK;
    else
        nic_guest_error(&v->nic, "a command of %llu bytes that is none, or cannot be",
                        (unsigned long long)chain->readable_size);
    bool answered = chain->writable_size && virtio_chain_write(chain, &v->nic, 0, &ack, sizeof ack);
    virtio_ring_use(&v->ring[VNET_CONTROL], &v->nic, chain->head, answered);
}

/* False: some may be left, which is more than a driver has under way. */
static bool run_all(struct virtio_net *v)
{
    uint64_t bytes = 0;
    uint32_t descriptors = 0;
    while (bytes < VNET_RUN_BYTES && descriptors < VNET_RUN_DESCRIPTORS) {
        if (!virtio_ring_take(&v->ring[VNET_CONTROL], &v->nic, &v->chain))
            return true;
        bytes += v->chain.readable_size <= sizeof v->frame ? v->chain.readable_size : 0; /* it is not even read */
        descriptors += v->chain.looked_at;
        answer(v);
        vnet_used(v, VNET_CONTROL);
    }
    return false;
}

/* Drivers of the legacy interface send commands before they say that they are at work. */
void vnet_control(struct virtio_net *v)
{
    struct virtio_ring *ring = &v->ring[VNET_CONTROL];
    if (v->control_again > v->now || v->status & VNET_S_NEEDS_RESET || (!vnet_is_on(v) && vnet_has(v, VNET_F_VERSION_1)))
        return;
    v->control_again = run_all(v) ? 0 : v->now + VNET_BREAK;
    virtio_ring_ask(ring, &v->nic, !v->control_again); /* the timer needs no reminder */
    vnet_check(v, VNET_CONTROL);
    vnet_set_timer(v);
}

void vnet_control_timer(struct virtio_net *v)
{
    if (!v->control_again || v->control_again > v->now)
        return;
    v->control_again = 0; /* also where the card needs a reset meanwhile */
    vnet_control(v);
}
