/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The common part of the teacher (trace.h): lines, fields, and the host that
 * stands in for the machine's while a trace is on, so that interrupts, frames
 * and guest errors appear between the register accesses that cause them.
 */
#include "nicemu/trace.h"

#include "nicemu/nic_model.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- text ---------------------------------------------------------------- */

static void add_list(struct nic_text *text, const char *format, va_list args)
{
    size_t room = sizeof text->bytes - text->length;
    int written = vsnprintf(text->bytes + text->length, room, format, args);
    if (written > 0)
        text->length += (size_t)written < room ? (size_t)written : room - 1;
}

void nic_text_add(struct nic_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_list(text, format, args);
    va_end(args);
}

struct field {
    const char *name;
    int name_length;
    unsigned high, low;
};

static uint32_t field_mask(const struct field *f)
{
    return (f->high - f->low == 31 ? UINT32_MAX : (1u << (f->high - f->low + 1)) - 1) << f->low;
}

/* Reads one "NAME:HIGH-LOW" or "NAME:BIT"; the rest of the list, NULL at its end. */
static const char *next_field(const char *list, struct field *f)
{
    char *end;
    list += strspn(list, " ");
    if (!*list)
        return NULL;
    f->name = list;
    f->name_length = (int)strcspn(list, ":");
    list += f->name_length;
    if (*list != ':')
        return NULL;
    f->high = f->low = (unsigned)strtoul(list + 1, &end, 10) & 31;
    if (*end == '-')
        f->low = (unsigned)strtoul(end + 1, &end, 10) & 31;
    return end;
}

void nic_text_add_fields(struct nic_text *text, const char *fields, uint32_t value)
{
    struct field f;
    while ((fields = next_field(fields, &f))) {
        uint32_t part = (value & field_mask(&f)) >> f.low;
        if (!part)
            continue;
        if (f.high == f.low)
            nic_text_add(text, " %.*s", f.name_length, f.name);
        else
            nic_text_add(text, part < 10 ? " %.*s=%u" : " %.*s=0x%x", f.name_length, f.name, part);
    }
}

uint32_t nic_fields_mask(const char *fields)
{
    uint32_t mask = 0;
    struct field f;
    while ((fields = next_field(fields, &f)))
        mask |= field_mask(&f);
    return mask;
}

/* --- lines --------------------------------------------------------------- */

static void put(struct nic_trace *t, const char *line)
{
    char stamped[256];
    snprintf(stamped, sizeof stamped, "%4llu.%09llu %s", (unsigned long long)(t->now / 1000000000),
             (unsigned long long)(t->now % 1000000000), line);
    t->line(t->opaque, stamped);
}

/* A driver that polls, or moves a frame through a data port, does the same again
 * and again: that is one line more, not a thousand. */
static void end_repeats(struct nic_trace *t)
{
    char line[64];
    unsigned repeats = t->repeats;
    t->repeats = 0;
    if (repeats == 1)
        put(t, t->last);
    if (repeats <= 1)
        return;
    snprintf(line, sizeof line, "      ... the same %u times more", repeats);
    put(t, line);
}

static void print(struct nic_trace *t, const char *line)
{
    if (strcmp(line, t->last) == 0) {
        t->repeats++;
        return;
    }
    end_repeats(t);
    snprintf(t->last, sizeof t->last, "%s", line);
    put(t, line);
}

static void print_list(struct nic *nic, const char *what, const char *format, va_list args)
{
    struct nic_trace *t = nic->trace;
    struct nic_text text = { .length = 0 };
    nic_text_add(&text, "%-5s ", what);
    add_list(&text, format, args);
    if (!t->holding)
        print(t, text.bytes);
    else if (t->held_count < NIC_TRACE_HELD)
        t->held[t->held_count++] = text;
}

void nic_trace_print(struct nic *nic, const char *what, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_list(nic, what, format, args);
    va_end(args);
}

void nic_trace_rule(struct nic *nic, const char *section, const char *format, ...)
{
    struct nic_text text = { .length = 0 };
    va_list args;
    if (!nic->trace->strict)
        return;
    va_start(args, format);
    add_list(&text, format, args);
    va_end(args);
    nic_trace_print(nic, "RULE", "%s: %s", section, text.bytes);
}

/* --- the host between model and machine ---------------------------------- */

static struct nic_trace *of(void *opaque)
{
    return ((struct nic *)opaque)->trace;
}

static bool dma_read(void *opaque, uint64_t address, void *buffer, size_t size)
{
    const struct nic_host *host = &of(opaque)->host;
    return host->dma_read(host->opaque, address, buffer, size);
}

static bool dma_write(void *opaque, uint64_t address, const void *buffer, size_t size)
{
    const struct nic_host *host = &of(opaque)->host;
    return host->dma_write(host->opaque, address, buffer, size);
}

static void set_irq(void *opaque, bool level)
{
    const struct nic_host *host = &of(opaque)->host;
    nic_trace_print(opaque, "irq", level ? "high" : "low");
    host->set_irq(host->opaque, level);
}

static void add_frame(struct nic_text *text, const uint8_t *frame, size_t size)
{
    nic_text_add(text, "%zu bytes", size);
    if (size < NIC_ETH_HEADER)
        return;
    for (unsigned i = 0; i < 12; i++)
        nic_text_add(text, i == 0 ? " to %02x" : i == 6 ? " from %02x" : ":%02x", frame[i]);
    nic_text_add(text, " type %02x%02x", frame[12], frame[13]);
}

static bool send_frame(void *opaque, const void *frame, size_t size, const struct nic_offload *offload)
{
    const struct nic_host *host = &of(opaque)->host;
    struct nic_text text = { .length = 0 };
    add_frame(&text, frame, size);
    if (offload && (offload->flags & NIC_OFFLOAD_NEEDS_CSUM))
        nic_text_add(&text, ", checksum from %u into %u", offload->csum_start,
                     offload->csum_start + offload->csum_offset);
    if (offload && offload->gso_type)
        nic_text_add(&text, ", segments of %u", offload->gso_size);
    bool taken = host->send_frame(host->opaque, frame, size, offload);
    nic_trace_print(opaque, "send", "%s%s", text.bytes, taken ? "" : ": refused by the network");
    return taken;
}

static bool has_room(void *opaque)
{
    const struct nic_host *host = &of(opaque)->host;
    return !host->has_room || host->has_room(host->opaque);
}

static void accepts_changed(void *opaque)
{
    const struct nic_host *host = &of(opaque)->host;
    if (host->accepts_changed)
        host->accepts_changed(host->opaque);
}

static void send_flush(void *opaque)
{
    const struct nic_host *host = &of(opaque)->host;
    host->send_flush(host->opaque);
}

static void receive_ready(void *opaque)
{
    const struct nic_host *host = &of(opaque)->host;
    host->receive_ready(host->opaque);
}

static void set_timer(void *opaque, uint64_t deadline)
{
    const struct nic_host *host = &of(opaque)->host;
    host->set_timer(host->opaque, deadline);
}

__attribute__((format(printf, 2, 3))) static void guest_error(void *opaque, const char *format, ...)
{
    const struct nic_host *host = &of(opaque)->host;
    struct nic_text text = { .length = 0 };
    va_list args;
    va_start(args, format);
    add_list(&text, format, args);
    va_end(args);
    nic_trace_print(opaque, "ERROR", "%s", text.bytes);
    if (host->guest_error)
        host->guest_error(host->opaque, "%s", text.bytes);
}

static void eeprom_changed(void *opaque)
{
    const struct nic_host *host = &of(opaque)->host;
    nic_trace_print(opaque, "eeprom", "written");
    if (host->eeprom_changed)
        host->eeprom_changed(host->opaque);
}

static void set_pme(void *opaque, bool level)
{
    const struct nic_host *host = &of(opaque)->host;
    struct nic_trace *t = of(opaque);
    if (level != t->pme)
        nic_trace_print(opaque, "pme", level ? "asserted" : "off");
    t->pme = level;
    if (host->set_pme)
        host->set_pme(host->opaque, level);
}

/* --- on and off ---------------------------------------------------------- */

void nic_trace_off(struct nic *nic)
{
    if (!nic->trace)
        return;
    end_repeats(nic->trace);
    nic->host = nic->trace->host;
    nic_access_directly(nic);
    free(nic->trace);
    nic->trace = NULL;
}

int nic_set_trace(struct nic *nic, nic_trace_line *line, void *opaque, bool strict)
{
    nic_trace_off(nic);
    if (!line)
        return 0;
    struct nic_trace *t = calloc(1, sizeof *t);
    if (!t)
        return ENOMEM;
    t->line = line;
    t->opaque = opaque;
    t->strict = strict;
    t->host = nic->host;
    nic->trace = t;
    nic->read = nic_trace_read;
    nic->write = nic_trace_write;
    nic->quick_read = NULL;
    nic->quick_write = NULL;
    nic->host = (struct nic_host){ nic, dma_read, dma_write, set_irq, send_frame, send_flush, receive_ready, set_timer,
                                   guest_error, eeprom_changed, set_pme, has_room, accepts_changed };
    return 0;
}

void nic_trace_at(struct nic *nic, uint64_t now)
{
    nic->trace->now = now;
}

/* A byte of PMCSR is about to be written: the lower one has the power state. */
void nic_trace_power(struct nic *nic, unsigned offset, uint8_t value, uint64_t now)
{
    nic_trace_at(nic, now);
    if (offset == 4 && (value & 3) == 3 && !nic_is_asleep(nic) && nic->ops->decoder->check_sleep)
        nic->ops->decoder->check_sleep(nic);
}

/* --- accesses ------------------------------------------------------------ */

static void describe(struct nic *nic, const struct nic_access *a)
{
    struct nic_text text = { .length = 0 };
    nic->ops->decoder->describe(nic, a, &text);
    nic_trace_print(nic, a->is_write ? "write" : "read", "%s", text.bytes);
}

/* Lines are held back until what has caused them is printed. False in a call
 * inside of another: then the outer one lets them go. */
static bool hold(struct nic_trace *t)
{
    bool outer = !t->holding;
    t->holding = true;
    if (outer)
        t->held_count = 0;
    return outer;
}

static void release(struct nic_trace *t)
{
    for (unsigned i = 0; i < t->held_count; i++)
        print(t, t->held[i].bytes);
    t->held_count = 0;
}

uint32_t nic_trace_read(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint64_t now)
{
    struct nic_trace *t = nic->trace;
    struct nic_access a = { .bar = bar, .size = size, .offset = offset };
    nic_trace_at(nic, now);
    bool outer = hold(t);
    nic->ops->decoder->check(nic, &a);
    a.value = nic->ops->read(nic, bar, offset, size, now);
    t->holding = !outer;
    describe(nic, &a);
    if (outer)
        release(t);
    return a.value;
}

void nic_trace_write(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t value, uint64_t now)
{
    struct nic_access a = { .bar = bar, .size = size, .offset = offset, .is_write = true };
    a.value = size == 4 ? value : value & ((1u << 8 * size) - 1);
    nic_trace_at(nic, now);
    describe(nic, &a);
    nic->ops->decoder->check(nic, &a);
    nic->ops->write(nic, bar, offset, size, value, now);
}

enum nic_rx_result nic_trace_receive(struct nic *nic, const uint8_t *frame, size_t size,
                                     const struct nic_offload *offload, uint64_t now)
{
    static const char *const results[] = { [NIC_RX_TAKEN] = "", [NIC_RX_FULL] = ": no room, it waits",
                                           [NIC_RX_OFF] = ": the receiver is off" };
    struct nic_trace *t = nic->trace;
    struct nic_text text = { .length = 0 };
    uint64_t filtered = nic->counters.rx_filtered;
    nic_trace_at(nic, now);
    bool outer = hold(t);
    enum nic_rx_result result = nic->ops->receive(nic, frame, size, offload, now);
    t->holding = !outer;
    add_frame(&text, frame, size);
    bool refused = nic->counters.rx_filtered != filtered;
    nic_trace_print(nic, "frame", "%s%s", text.bytes, refused ? ": filtered out" : results[result]);
    if (outer)
        release(t);
    return result;
}
