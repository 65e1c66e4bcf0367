/* SPDX-License-Identifier: BSD-2-Clause
 *
 * NIC and plug: see guest_nic.h.
 */
#include "guest/guest_nic.h"

#include "nicemu/nic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES_AT_ONCE = 64 };

struct guest_nic {
    struct options_nic options;
    struct pc_nic *board;
    struct port_link *link;
    void (*attention)(void *opaque);
    void *opaque;
    bool stalled; /* the NIC has no room; it will say when it has */
    bool moved;   /* frames passed since the last exchange */
};

static bool send_frame(void *opaque, const void *frame, size_t size, const struct nic_offload *offload)
{
    struct guest_nic *n = opaque;

    n->moved = true;
    return port_link_send(n->link, frame, size, offload);
}

static void flush(void *opaque)
{
    struct guest_nic *n = opaque;

    port_link_flush(n->link);
}

static void receive_ready(void *opaque)
{
    struct guest_nic *n = opaque;

    if (!n->stalled)
        return;
    n->stalled = false;
    n->attention(n->opaque);
}

static enum port_link_answer deliver(void *opaque, const void *frame, size_t size, const struct nic_offload *offload)
{
    struct guest_nic *n = opaque;

    if (pc_nic_receive(n->board, frame, size, offload) != NIC_RX_FULL)
        return PORT_LINK_TAKEN;
    n->stalled = true;
    return PORT_LINK_FULL;
}

struct guest_nic *guest_nic_new(struct pc *pc, const struct options_nic *options, void (*attention)(void *opaque),
                                void *opaque, char *error, size_t error_size)
{
    struct port_link_options link_options = { .mode = 0600 };
    struct guest_nic *n = calloc(1, sizeof *n);
    struct pc_link link = { n, send_frame, flush, receive_ready };
    int failure;

    if (!n) {
        snprintf(error, error_size, "no memory for a NIC");
        return NULL;
    }
    n->options = *options;
    n->attention = attention;
    n->opaque = opaque;
    n->board = pc_add_nic(pc, options->model, options->mac, &link, error, error_size);
    if (!n->board) {
        free(n);
        return NULL;
    }
    link_options.accept_csum = nic_accepts_partial_checksum(pc_nic_model(n->board));
    failure = port_link_open(options->socket, &link_options, &n->link);
    if (failure) {
        snprintf(error, error_size, "cannot listen on %s: %s", options->socket, strerror(failure));
        free(n);
        return NULL;
    }
    return n;
}

void guest_nic_free(struct guest_nic *n)
{
    if (!n)
        return;
    port_link_close(n->link);
    free(n);
}

unsigned guest_nic_poll(const struct guest_nic *n, struct pollfd fds[PORT_LINK_FDS])
{
    return port_link_poll(n->link, fds);
}

void guest_nic_service(struct guest_nic *n, uint64_t now)
{
    port_link_service(n->link, now);
}

bool guest_nic_exchange(struct guest_nic *n)
{
    bool moved = n->moved;

    n->moved = false;
    if (!n->stalled && port_link_receive(n->link, deliver, n, FRAMES_AT_ONCE) > 0)
        moved = true;
    return moved;
}

bool guest_nic_suppress(struct guest_nic *n, bool suppress)
{
    return port_link_suppress(n->link, suppress) && !n->stalled;
}

size_t guest_nic_stats(const struct guest_nic *n, char *out, size_t size)
{
    const struct port_link_counters *link = port_link_counters(n->link);
    const uint8_t *mac = n->options.mac;
    struct nic_counters nic;
    int length;

    nic_get_counters(pc_nic_model(n->board), &nic);
    length = snprintf(out, size,
        "{\"model\":\"%s\",\"mac\":\"%02x:%02x:%02x:%02x:%02x:%02x\",\"socket\":\"%s\",\"connected\":%s,"
        "\"rx_frames\":%llu,\"rx_bytes\":%llu,\"tx_frames\":%llu,\"tx_bytes\":%llu,\"rx_dropped_full\":%llu,"
        "\"rx_filtered\":%llu,\"tx_errors\":%llu,\"guest_errors\":%llu,\"interrupts\":%llu,"
        "\"register_accesses\":%llu,\"link_sent\":%llu,\"link_sent_drops\":%llu,\"link_received\":%llu,"
        "\"link_received_drops\":%llu,\"kicks\":%llu}",
        n->options.model, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], n->options.socket,
        port_link_connected(n->link) ? "true" : "false",
        (unsigned long long)nic.rx_frames, (unsigned long long)nic.rx_bytes, (unsigned long long)nic.tx_frames,
        (unsigned long long)nic.tx_bytes, (unsigned long long)nic.rx_dropped_full, (unsigned long long)nic.rx_filtered,
        (unsigned long long)nic.tx_errors, (unsigned long long)nic.guest_errors, (unsigned long long)nic.interrupts,
        (unsigned long long)nic.register_accesses, (unsigned long long)link->sent_frames,
        (unsigned long long)link->sent_drops, (unsigned long long)link->received_frames,
        (unsigned long long)link->received_drops, (unsigned long long)link->kicks);
    return length < 0 ? 0 : (size_t)length < size ? (size_t)length : size - 1;
}
