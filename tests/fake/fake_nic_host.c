/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The machine's half of nic_host.h for tests: see fake_nic_host.h.
 */
#include "tests/fake/fake_nic_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const uint8_t fake_mac[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };

static bool is_memory(const struct fake_nic_host *host, uint64_t address, size_t size)
{
    address -= host->memory_at;
    return address <= FAKE_MEMORY_SIZE && size <= FAKE_MEMORY_SIZE - address;
}

static bool dma_read(void *opaque, uint64_t address, void *buffer, size_t size)
{
    struct fake_nic_host *host = opaque;
    host->dma_calls++;
    host->dma_bytes += size;
    if (host->before_dma_read)
        host->before_dma_read(host, address, size);
    if (!is_memory(host, address, size))
        return false;
    memcpy(buffer, host->memory + (address - host->memory_at), size);
    return true;
}

static bool dma_write(void *opaque, uint64_t address, const void *buffer, size_t size)
{
    struct fake_nic_host *host = opaque;
    host->dma_calls++;
    host->dma_bytes += size;
    if (!is_memory(host, address, size))
        return false;
    memcpy(host->memory + (address - host->memory_at), buffer, size);
    return true;
}

static void set_irq(void *opaque, bool level)
{
    struct fake_nic_host *host = opaque;
    host->irq_raised += level && !host->irq;
    host->irq = level;
}

static void set_pme(void *opaque, bool level)
{
    ((struct fake_nic_host *)opaque)->pme = level;
}

static bool send_frame(void *opaque, const void *frame, size_t size, const struct nic_offload *offload)
{
    struct fake_nic_host *host = opaque;
    unsigned slot = host->frame_count++;
    if (host->refuse_frames)
        return false;
    if (!host->record || slot >= FAKE_FRAMES)
        return true;
    struct fake_frame *f = &host->frames[slot];
    f->bytes = malloc(size ? size : 1); /* its own block: a sanitizer sees a step beyond */
    memcpy(f->bytes, frame, size);
    f->size = size;
    f->offload = offload ? *offload : (struct nic_offload){ 0 };
    return true;
}

static bool has_room(void *opaque)
{
    const struct fake_nic_host *host = opaque;
    return !host->no_room;
}

static void send_flush(void *opaque)
{
    ((struct fake_nic_host *)opaque)->flushed++;
}

static void receive_ready(void *opaque)
{
    struct fake_nic_host *host = opaque;
    host->ready++;
    if (host->on_ready)
        host->on_ready(host);
}

static void accepts_changed(void *opaque)
{
    ((struct fake_nic_host *)opaque)->accepts_changed++;
}

static void set_timer(void *opaque, uint64_t deadline)
{
    struct fake_nic_host *host = opaque;
    host->timers_set++;
    host->deadline = deadline;
}

static void guest_error(void *opaque, const char *format, ...)
{
    (void)format;
    ((struct fake_nic_host *)opaque)->errors++;
}

void fake_nic_host_start(struct fake_nic_host *host, const char *model)
{
    memset(host, 0, sizeof *host);
    const struct nic_host calls = {
        .opaque = host,
        .dma_read = dma_read,
        .dma_write = dma_write,
        .set_irq = set_irq,
        .send_frame = send_frame,
        .send_flush = send_flush,
        .has_room = has_room,
        .receive_ready = receive_ready,
        .set_timer = set_timer,
        .guest_error = guest_error,
        .set_pme = set_pme,
        .accepts_changed = accepts_changed,
    };
    host->record = true;
    host->now = 1000000;
    host->memory = calloc(1, FAKE_MEMORY_SIZE);
    host->nic = nic_new(model, fake_mac, &calls);
    if (!host->memory || !host->nic) {
        fprintf(stderr, "cannot make a %s\n", model);
        exit(2);
    }
    nic_reset(host->nic, host->now);
}

void fake_nic_host_forget_frames(struct fake_nic_host *host)
{
    for (unsigned i = 0; i < FAKE_FRAMES; i++)
        free(host->frames[i].bytes);
    memset(host->frames, 0, sizeof host->frames);
    host->frame_count = 0;
}

void fake_nic_host_stop(struct fake_nic_host *host)
{
    fake_nic_host_forget_frames(host);
    nic_free(host->nic);
    free(host->memory);
}

void fake_nic_host_advance(struct fake_nic_host *host, uint64_t ns)
{
    uint64_t end = host->now + ns;
    for (unsigned fired = 0; host->deadline && host->deadline <= end && fired < 100000; fired++) {
        if (host->now < host->deadline)
            host->now = host->deadline;
        host->deadline = 0;
        nic_timer(host->nic, host->now);
    }
    host->now = end;
}

uint32_t fake_read(struct fake_nic_host *host, uint32_t offset)
{
    return nic_read(host->nic, 0, offset, 4, host->now);
}

void fake_write(struct fake_nic_host *host, uint32_t offset, uint32_t value)
{
    nic_write(host->nic, 0, offset, 4, value, host->now);
}

uint8_t fake_in(struct fake_nic_host *host, uint32_t port)
{
    return (uint8_t)nic_read(host->nic, 0, port, 1, host->now);
}

void fake_out(struct fake_nic_host *host, uint32_t port, uint8_t value)
{
    nic_write(host->nic, 0, port, 1, value, host->now);
}
