/* SPDX-License-Identifier: BSD-2-Clause
 *
 * NIC and plug: see guest_nic.h.
 */
#include "guest/guest_nic.h"

#include "nicemu/nic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000u

enum { FRAMES_AT_ONCE = 64, OVERFLOW_INTERVAL = 10 /* s */, FULL_AT_MOST = 50000000 /* ns that a card waits for the switch, */ };
#define ANEW_AT_MOST UINT64_C(1000000000) /* and for one that is to connect anew */

struct guest_nic {
    struct options_nic options;
    struct pc_nic *board;
    struct port_link *link;
    struct nvram *nvram; /* NULL: the EEPROM is not kept, or there is none */
    bool unplugged;
    void (*attention)(void *opaque);
    void *opaque;
    bool stalled; /* the NIC has no room; it will say when it has */
    bool backlog; /* frames have been waiting since it had none */
    uint64_t overflow_told; /* when its driver was last told that they have become too many */
    bool moved;   /* frames passed since the last exchange */
    uint64_t now; /* of the last exchange */
    uint64_t full_since; /* what the card sends finds no room; 0: it does */
};

static bool send_frame(void *opaque, const void *frame, size_t size, const struct nic_offload *offload)
{
    struct guest_nic *n = opaque;

    n->moved = true;
    return port_link_send(n->link, frame, size, offload);
}

/* A card waits for a switch that is busy, not for one that stands still: then frames are
 * lost at the link, as where nobody is connected. */
static bool has_room(void *opaque)
{
    struct guest_nic *n = opaque;

    if (port_link_has_room(n->link)) {
        n->full_since = 0;
        return true;
    }
    if (!n->full_since)
        n->full_since = n->now;
    return n->now - n->full_since > (port_link_connected(n->link) ? FULL_AT_MOST : ANEW_AT_MOST);
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
    n->stalled = n->backlog = true;
    return PORT_LINK_FULL;
}

static enum port_link_answer lose(void *opaque, const void *frame, size_t size, const struct nic_offload *offload)
{
    struct guest_nic *n = opaque;

    (void)frame, (void)offload;
    pc_nic_receive_lost(n->board, size);
    return PORT_LINK_TAKEN;
}

/* The queue stands for the chip's FIFO, and the chip learns how full it is. When all of it
 * is, the switch has nowhere to put the next frame and does not say so: the oldest makes
 * room, and is what the chip tells its driver of. Not more often than OVERFLOW_INTERVAL:
 * drivers of the DP8390 stop the chip for 10 ms then, and lose far more; and where TCP's
 * window has filled it, the switch's own queue still had room. */
static void watch_backlog(struct guest_nic *n, uint64_t now)
{
    unsigned waiting = port_link_waiting(n->link);

    pc_nic_receive_backlog(n->board, waiting, PORT_LINK_RECEIVE_QUEUE);
    if (waiting == PORT_LINK_RECEIVE_QUEUE && n->stalled && now - n->overflow_told >= OVERFLOW_INTERVAL * (uint64_t)NS_PER_S) {
        n->overflow_told = now;
        port_link_receive(n->link, lose, n, 1);
    }
    n->backlog = n->stalled || waiting > 0;
}

/* The driver has made room just now: what waits goes into it without a pass of the run loop. */
static void receive_now(void *opaque)
{
    struct guest_nic *n = opaque;

    if (!n->stalled)
        return;
    n->stalled = false;
    n->moved |= port_link_receive(n->link, deliver, n, FRAMES_AT_ONCE) > 0;
    if (n->backlog)
        watch_backlog(n, n->now);
    if (!n->stalled && port_link_waiting(n->link))
        n->attention(n->opaque);
}

static void set_accepts(struct port_link_options *options, const struct pc_nic *board)
{
    unsigned accepts = nic_accepts(pc_nic_model(board));

    options->accept_csum = accepts & NIC_ACCEPTS_CSUM;
    options->accept_tso = accepts & NIC_ACCEPTS_TSO;
}

/* Another driver than the last one takes other frames: the switch is to know. */
static void accepts_changed(void *opaque)
{
    struct guest_nic *n = opaque;
    struct port_link_options options = { 0 };

    set_accepts(&options, n->board);
    port_link_accept(n->link, options.accept_csum, options.accept_tso);
}

static void eeprom_changed(void *opaque)
{
    struct guest_nic *n = opaque;
    uint8_t contents[NIC_EEPROM_SIZE];

    if (n->nvram && nic_get_eeprom(pc_nic_model(n->board), contents))
        nvram_write(n->nvram, contents);
}

_Static_assert((int)NVRAM_SIZE == (int)NIC_EEPROM_SIZE, "the file is the EEPROM");

static bool add_board(struct guest_nic *n, struct pc *pc, struct nvram *nvram, char *error, size_t error_size)
{
    const struct options_nic *o = &n->options;
    struct pc_nic_config card = { .model = o->model, .isa_port = o->isa_port, .isa_irq = o->isa_irq,
                                  .line_rate = o->speed,
                                  .eeprom = nvram ? nvram_contents(nvram) : NULL };
    struct pc_link link = { n, send_frame, flush, receive_ready, receive_now, eeprom_changed, has_room, accepts_changed };
    uint8_t contents[NIC_EEPROM_SIZE];

    memcpy(card.mac, o->mac, sizeof card.mac);
    n->board = pc_add_nic(pc, &card, &link, error, error_size);
    if (!n->board)
        return false;
    if (nvram && nic_get_eeprom(pc_nic_model(n->board), contents)) {
        n->nvram = nvram;
        return nvram_attach(nvram, contents, error, error_size);
    }
    if (o->nvram[0])
        snprintf(error, error_size, "a card of the model \"%s\" has no EEPROM to keep in nvram=%s", o->model, o->nvram);
    return !o->nvram[0];
}

struct guest_nic *guest_nic_new(struct pc *pc, const struct options_nic *options, struct nvram *nvram,
                                void (*attention)(void *opaque), void *opaque, char *error, size_t error_size)
{
    struct port_link_options link_options = { .mode = 0600 };
    struct guest_nic *n = calloc(1, sizeof *n);
    int failure;

    if (!n) {
        snprintf(error, error_size, "no memory for a NIC");
        return NULL;
    }
    n->options = *options;
    n->attention = attention;
    n->opaque = opaque;
    if (!add_board(n, pc, nvram, error, error_size)) {
        free(n);
        return NULL;
    }
    set_accepts(&link_options, n->board);
    failure = port_link_open(options->socket, &link_options, &n->link);
    if (failure) {
        snprintf(error, error_size, "cannot listen on %s: %s", options->socket, strerror(failure));
        free(n);
        return NULL;
    }
    if (nvram && !n->nvram)
        nvram_close(nvram); /* nothing to keep */
    guest_nic_set_link(n, !options->unplugged);
    return n;
}

void guest_nic_set_link(struct guest_nic *n, bool up)
{
    n->unplugged = !up;
    pc_nic_set_link(n->board, up);
}

int guest_nic_set_trace(struct guest_nic *n, void (*line)(void *opaque, const char *text), void *opaque, bool strict)
{
    return pc_nic_set_trace(n->board, line, opaque, strict);
}

size_t guest_nic_save(struct guest_nic *n, void *image, size_t size)
{
    return pc_nic_save(n->board, image, size);
}

int guest_nic_restore(struct guest_nic *n, const void *image, size_t size)
{
    int result = pc_nic_restore(n->board, image, size);

    if (result == 0)
        pc_nic_set_link(n->board, !n->unplugged);
    return result;
}

void guest_nic_free(struct guest_nic *n)
{
    if (!n)
        return;
    port_link_close(n->link);
    nvram_close(n->nvram);
    free(n);
}

unsigned guest_nic_poll(const struct guest_nic *n, struct pollfd fds[PORT_LINK_FDS])
{
    return port_link_poll(n->link, fds);
}

bool guest_nic_called(struct guest_nic *n, int fd)
{
    return port_link_called(n->link, fd);
}

void guest_nic_service(struct guest_nic *n, uint64_t now)
{
    port_link_service(n->link, now);
}

bool guest_nic_exchange(struct guest_nic *n, uint64_t now)
{
    bool moved = n->moved;

    n->now = now;
    n->moved = false;
    port_link_wake(n->link);
    if (!n->stalled && port_link_receive(n->link, deliver, n, FRAMES_AT_ONCE) > 0)
        moved = true;
    if (n->backlog)
        watch_backlog(n, now);
    return moved;
}

bool guest_nic_suppress(struct guest_nic *n, bool suppress)
{
    return port_link_suppress(n->link, suppress) && !n->stalled;
}

size_t guest_nic_stats(const struct guest_nic *n, char *out, size_t size)
{
    const struct port_link_counters *link = port_link_counters(n->link);
    struct nic_counters nic;
    uint8_t mac[6];
    int length;

    nic_get_counters(pc_nic_model(n->board), &nic);
    nic_station_address(pc_nic_model(n->board), mac);
    length = snprintf(out, size,
        "{\"model\":\"%s\",\"mac\":\"%02x:%02x:%02x:%02x:%02x:%02x\",\"socket\":\"%s\",\"link\":%s,\"connected\":%s,"
        "\"rx_frames\":%llu,\"rx_bytes\":%llu,\"tx_frames\":%llu,\"tx_bytes\":%llu,\"rx_dropped_full\":%llu,"
        "\"rx_dropped_off\":%llu,\"rx_filtered\":%llu,\"tx_errors\":%llu,\"guest_errors\":%llu,\"interrupts\":%llu,"
        "\"register_accesses\":%llu,\"link_sent\":%llu,\"link_sent_drops\":%llu,\"link_received\":%llu,"
        "\"link_received_drops\":%llu,\"kicks\":%llu}",
        n->options.model, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], n->options.socket,
        n->unplugged ? "false" : "true", port_link_connected(n->link) ? "true" : "false",
        (unsigned long long)nic.rx_frames, (unsigned long long)nic.rx_bytes, (unsigned long long)nic.tx_frames,
        (unsigned long long)nic.tx_bytes, (unsigned long long)nic.rx_dropped_full,
        (unsigned long long)nic.rx_dropped_off, (unsigned long long)nic.rx_filtered,
        (unsigned long long)nic.tx_errors, (unsigned long long)nic.guest_errors, (unsigned long long)nic.interrupts,
        (unsigned long long)nic.register_accesses, (unsigned long long)link->sent_frames,
        (unsigned long long)link->sent_drops, (unsigned long long)link->received_frames,
        (unsigned long long)link->received_drops, (unsigned long long)link->kicks);
    return length < 0 ? 0 : (size_t)length < size ? (size_t)length : size - 1;
}
