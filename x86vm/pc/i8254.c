/* SPDX-License-Identifier: BSD-2-Clause
 *
 * 8254: see i8254.h; facts from the Intel 82C54 data sheet. A channel keeps
 * the time at which its count was loaded; count and output follow from the
 * ticks elapsed since then.
 */
#include "x86vm/pc/i8254.h"

#include "x86vm/pc/beat.h"

#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000u
#define REFRESH_NS 15085u /* port 0x61 bit 4 changes at each memory refresh request */

enum { CHANNELS = 3 };
enum access { ACCESS_LATCH, ACCESS_LOW, ACCESS_HIGH, ACCESS_BOTH };
enum { P61_GATE2 = 0x01, P61_SPEAKER = 0x02, P61_REFRESH = 0x10, P61_OUT2 = 0x20 };

struct channel {
    uint8_t mode;            /* 0..5 */
    uint8_t access;          /* enum access */
    bool bcd;
    bool gate;
    bool running;            /* a count was loaded since the mode was set */
    bool triggered;          /* modes 1 and 5: the gate rose since then */
    uint32_t reload;         /* 1..65536 */
    uint32_t next_reload;    /* modes 2, 3: takes over at `start`'s next period; 1, 5: at the next trigger; 0: none */
    uint64_t start;          /* time of tick 0 (ns) */
    uint64_t held;           /* modes 0, 4: ticks elapsed when the gate fell */
    uint8_t low_byte;        /* first byte of a two-byte write */
    bool expect_high_write, expect_high_read;
    bool count_latched, status_latched;
    uint16_t count_latch;
    uint8_t status_latch;
};

struct i8254 {
    struct channel channel[CHANNELS];
    struct irq_line irq0;
    uint8_t port61;          /* writable bits 0..3 */
    uint64_t edges_seen;     /* channel 0: rising edges since `start` that were turned into backlog */
    unsigned backlog;        /* edges to deliver */
    unsigned burst;          /* so many of them without a pause */
    bool waiting;            /* the owner was allowed to let edges wait */
    uint64_t not_before;     /* earliest delivery of the next one */
    uint64_t dropped;
    struct beat beat;        /* channel 0, one edge at a time */
};

static uint64_t ns_to_ticks(uint64_t ns)
{
    return (uint64_t)((unsigned __int128)ns * I8254_HZ / NS_PER_S);
}

/* First nanosecond at which `ticks` have passed. */
static uint64_t ticks_to_ns(uint64_t ticks)
{
    return (uint64_t)(((unsigned __int128)ticks * NS_PER_S + I8254_HZ - 1) / I8254_HZ);
}

static bool is_periodic(const struct channel *c)
{
    return c->mode == 2 || c->mode == 3;
}

/* Modes in which a low gate suspends the count (in 2 and 3 it also restarts it). */
static bool gate_suspends(const struct channel *c)
{
    return c->mode == 0 || c->mode == 4;
}

static uint64_t elapsed(const struct channel *c, uint64_t now)
{
    if (gate_suspends(c) && !c->gate)
        return c->held;
    return now > c->start ? ns_to_ticks(now - c->start) : 0;
}

static bool counts(const struct channel *c)
{
    if (!c->running)
        return false;
    if (c->mode == 1 || c->mode == 5)
        return c->triggered;
    return !is_periodic(c) || c->gate;
}

static uint32_t current_count(const struct channel *c, uint64_t now)
{
    uint64_t t = elapsed(c, now);

    if (!counts(c))
        return c->reload & 0xffff;
    switch (c->mode) {
    case 2:
        return (uint32_t)(c->reload - t % c->reload);
    case 3: /* counts by two, twice a period */
        return (c->reload & ~1u) - 2 * (uint32_t)(t % c->reload % ((c->reload + 1) / 2));
    default:
        return c->bcd ? (uint32_t)((10000 + c->reload - t % 10000) % 10000) : (uint32_t)(c->reload - t) & 0xffff;
    }
}

static bool output(const struct channel *c, uint64_t now)
{
    uint64_t t = elapsed(c, now);

    if (!counts(c))
        return c->mode != 0;
    switch (c->mode) {
    case 0:
    case 1:
        return t >= c->reload;
    case 2:
        return t % c->reload != c->reload - 1;
    case 3:
        return t % c->reload < (c->reload + 1) / 2;
    default: /* strobe: low for one tick */
        return t != c->reload;
    }
}

static uint16_t to_bcd(uint32_t n)
{
    return (uint16_t)(n % 10 | n / 10 % 10 << 4 | n / 100 % 10 << 8 | n / 1000 % 10 << 12);
}

static uint32_t from_bcd(uint32_t v)
{
    return (v & 15) + (v >> 4 & 15) * 10 + (v >> 8 & 15) * 100 + (v >> 12 & 15) * 1000;
}

/* --- channel 0: edges --- */

/* Tick of rising edge number `n` (from 1), or 0 when there is no such edge. */
static uint64_t edge_tick(const struct channel *c, uint64_t n)
{
    if (!counts(c))
        return 0;
    if (is_periodic(c))
        return n * c->reload;
    if (n != 1 || (gate_suspends(c) && !c->gate))
        return 0;
    return c->mode == 4 || c->mode == 5 ? c->reload + 1u : c->reload;
}

static uint64_t edges_until(const struct channel *c, uint64_t now)
{
    uint64_t t = elapsed(c, now), first = edge_tick(c, 1);

    if (first == 0 || t < first)
        return 0;
    return is_periodic(c) && !c->next_reload ? t / c->reload : 1;
}

/* Moves channel 0's edges that are due into the backlog. */
static void collect_edges(struct i8254 *pit, uint64_t now)
{
    uint64_t due = edges_until(&pit->channel[0], now), fresh = due - pit->edges_seen;

    pit->edges_seen = due;
    if (fresh > I8254_BACKLOG - pit->backlog) {
        pit->dropped += fresh - (I8254_BACKLOG - pit->backlog);
        fresh = I8254_BACKLOG - pit->backlog;
    }
    pit->backlog += (unsigned)fresh;
}

/* Brings a channel up to `now`: a count written while a periodic channel ran
 * takes over when the period ends (until then `start` is that period's). */
static void settle(struct i8254 *pit, unsigned index, uint64_t now)
{
    struct channel *c = &pit->channel[index];

    if (index == 0)
        collect_edges(pit, now);
    if (!c->next_reload || !is_periodic(c) || elapsed(c, now) < c->reload)
        return;
    c->start += ticks_to_ns(c->reload);
    c->reload = c->next_reload;
    c->next_reload = 0;
    if (index == 0) {
        pit->edges_seen = 0;
        collect_edges(pit, now);
    }
}

/* Makes `start` the beginning of the running period. */
static void rebase(struct i8254 *pit, unsigned index, uint64_t now)
{
    struct channel *c = &pit->channel[index];
    uint64_t periods = elapsed(c, now) / c->reload;

    c->start += ticks_to_ns(periods * c->reload);
    if (index == 0)
        pit->edges_seen = 0;
}

uint64_t i8254_deadline(const struct i8254 *pit)
{
    const struct channel *c = &pit->channel[0];
    uint64_t tick;

    if (pit->backlog)
        return pit->not_before;
    tick = edge_tick(c, pit->edges_seen + 1);
    return tick ? c->start + ticks_to_ns(tick) : I8254_NEVER;
}

uint64_t i8254_idle_deadline(struct i8254 *pit, uint64_t slack)
{
    const struct channel *c = &pit->channel[0];
    uint64_t deadline = i8254_deadline(pit), period, more;

    if (deadline == I8254_NEVER || pit->backlog || c->next_reload)
        return deadline;
    period = is_periodic(c) ? ticks_to_ns(c->reload) : beat_period(&pit->beat);
    more = period ? slack / period : 0;
    if (more > I8254_BURST - 1)
        more = I8254_BURST - 1;
    if (!more)
        return deadline;
    pit->waiting = true;
    return is_periodic(c) ? c->start + ticks_to_ns(edge_tick(c, pit->edges_seen + 1 + more)) : deadline + more * period;
}

static void deliver(struct i8254 *pit)
{
    irq_line_set(&pit->irq0, false);
    irq_line_set(&pit->irq0, true);
    pit->backlog--;
    if (pit->burst && --pit->burst == 0)
        pit->not_before = 0;
}

void i8254_service(struct i8254 *pit, uint64_t now, bool busy)
{
    const struct channel *c = &pit->channel[0];
    uint64_t spacing;

    settle(pit, 0, now);
    if (pit->waiting) {
        pit->waiting = false;
        pit->burst = pit->backlog <= I8254_BURST ? pit->backlog : 0; /* more: the process was stopped, too */
    }
    if (!pit->backlog || now < pit->not_before)
        return;
    spacing = ticks_to_ns(c->reload) / 4;
    pit->not_before = now + (spacing > 20000 ? spacing : 20000);
    if (!busy)
        deliver(pit);
}

void i8254_end_of_interrupt(struct i8254 *pit)
{
    if (pit->burst)
        deliver(pit);
}

uint64_t i8254_ticks_dropped(const struct i8254 *pit)
{
    return pit->dropped;
}

/* --- programming --- */

static void restart_edges(struct i8254 *pit, unsigned index)
{
    if (index != 0)
        return;
    pit->edges_seen = 0;
    pit->backlog = pit->burst = 0;
    pit->waiting = false;
    pit->not_before = 0;
}

static void load(struct i8254 *pit, unsigned index, uint32_t value, uint64_t now)
{
    struct channel *c = &pit->channel[index];

    if (c->bcd)
        value = value ? from_bcd(value) : 10000;
    else if (value == 0)
        value = 65536;
    if (is_periodic(c) && value == 1)
        value = 2; /* 1 is illegal there and would be a storm */
    if (is_periodic(c) && c->running && c->gate) {
        settle(pit, index, now);
        if (!c->next_reload)
            rebase(pit, index, now);
        c->next_reload = value;
        return;
    }
    if ((c->mode == 1 || c->mode == 5) && c->triggered) {
        c->next_reload = value; /* what the last trigger began goes on */
        return;
    }
    c->reload = value;
    c->running = true;
    c->start = now;
    c->held = 0;
    restart_edges(pit, index);
    if (index == 0 && !is_periodic(c))
        beat_note(&pit->beat, c->start + ticks_to_ns(edge_tick(c, 1)));
    if (index == 0 && c->mode == 0)
        irq_line_set(&pit->irq0, false);
}

static void write_count(struct i8254 *pit, unsigned index, uint8_t value, uint64_t now)
{
    struct channel *c = &pit->channel[index];

    switch (c->access) {
    case ACCESS_LOW:
        load(pit, index, value, now);
        break;
    case ACCESS_HIGH:
        load(pit, index, (uint32_t)value << 8, now);
        break;
    default:
        if (!c->expect_high_write) {
            c->low_byte = value;
            if (c->mode == 0)
                c->running = false; /* the first byte stops the count */
        } else {
            load(pit, index, c->low_byte | (uint32_t)value << 8, now);
        }
        c->expect_high_write = !c->expect_high_write;
    }
}

static uint16_t readable_count(struct i8254 *pit, unsigned index, uint64_t now)
{
    struct channel *c = &pit->channel[index];
    uint32_t count;

    settle(pit, index, now);
    count = current_count(c, now);
    return c->bcd ? to_bcd(count) : (uint16_t)count;
}

static void latch_count(struct i8254 *pit, unsigned index, uint64_t now)
{
    struct channel *c = &pit->channel[index];

    if (c->count_latched)
        return;
    c->count_latched = true;
    c->count_latch = readable_count(pit, index, now);
}

static void latch_status(struct channel *c, uint64_t now)
{
    if (c->status_latched)
        return;
    c->status_latched = true;
    c->status_latch = (uint8_t)(output(c, now) << 7 | (!c->running || c->next_reload) << 6 |
                                c->access << 4 | c->mode << 1 | c->bcd);
}

static void read_back(struct i8254 *pit, uint8_t command, uint64_t now)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        if (!(command & 2u << i))
            continue;
        if (!(command & 0x20))
            latch_count(pit, i, now);
        if (!(command & 0x10))
            latch_status(&pit->channel[i], now);
    }
}

static void write_control(struct i8254 *pit, uint8_t value, uint64_t now)
{
    unsigned index = value >> 6;
    struct channel *c;

    if (index == 3) {
        read_back(pit, value, now);
        return;
    }
    c = &pit->channel[index];
    if ((value >> 4 & 3) == ACCESS_LATCH) {
        latch_count(pit, index, now);
        return;
    }
    c->access = value >> 4 & 3;
    c->mode = value >> 1 & 7;
    if (c->mode > 5)
        c->mode &= 3; /* 6 and 7 are 2 and 3 */
    c->bcd = value & 1;
    c->running = c->triggered = false;
    c->next_reload = 0;
    c->expect_high_write = c->expect_high_read = false;
    c->count_latched = c->status_latched = false;
    restart_edges(pit, index);
    if (index == 0 && c->mode == 0)
        irq_line_set(&pit->irq0, false);
}

void i8254_write(struct i8254 *pit, unsigned port, uint8_t value, uint64_t now)
{
    if (port >= CHANNELS)
        write_control(pit, value, now);
    else
        write_count(pit, port, value, now);
}

uint8_t i8254_read(struct i8254 *pit, unsigned port, uint64_t now)
{
    struct channel *c;
    uint16_t count;
    bool high;

    if (port >= CHANNELS)
        return 0xff;
    c = &pit->channel[port];
    if (c->status_latched) {
        c->status_latched = false;
        return c->status_latch;
    }
    count = c->count_latched ? c->count_latch : readable_count(pit, port, now);
    high = c->access == ACCESS_HIGH || (c->access == ACCESS_BOTH && c->expect_high_read);
    if (c->access == ACCESS_BOTH)
        c->expect_high_read = !c->expect_high_read;
    if (c->access != ACCESS_BOTH || high)
        c->count_latched = false;
    return (uint8_t)(high ? count >> 8 : count);
}

/* Only channel 2 has a gate that can change. */
static void set_gate(struct channel *c, bool gate, uint64_t now)
{
    if (gate == c->gate)
        return;
    if (gate_suspends(c)) {
        if (gate)
            c->start = now - ticks_to_ns(c->held);
        else
            c->held = elapsed(c, now);
    } else if (gate) {
        c->start = now;
        c->triggered = true;
        if (c->next_reload) {
            c->reload = c->next_reload;
            c->next_reload = 0;
        }
    }
    c->gate = gate;
}

uint8_t i8254_read_port61(struct i8254 *pit, uint64_t now)
{
    uint8_t value = pit->port61;

    if (now / REFRESH_NS & 1)
        value |= P61_REFRESH;
    settle(pit, 2, now);
    if (output(&pit->channel[2], now))
        value |= P61_OUT2;
    return value;
}

void i8254_write_port61(struct i8254 *pit, uint8_t value, uint64_t now)
{
    pit->port61 = value & 0x0f;
    set_gate(&pit->channel[2], value & P61_GATE2, now);
}

void i8254_reset(struct i8254 *pit, uint64_t now)
{
    memset(pit->channel, 0, sizeof pit->channel);
    for (unsigned i = 0; i < CHANNELS; i++) {
        pit->channel[i].reload = 65536;
        pit->channel[i].access = ACCESS_BOTH;
        pit->channel[i].gate = i != 2;
        pit->channel[i].start = now;
    }
    pit->port61 = 0;
    pit->beat = (struct beat){ .period = 0 };
    restart_edges(pit, 0);
    irq_line_set(&pit->irq0, false);
}

struct i8254 *i8254_new(const struct irq_line *irq0, uint64_t now)
{
    struct i8254 *pit = calloc(1, sizeof *pit);

    if (!pit)
        return NULL;
    pit->irq0 = *irq0;
    i8254_reset(pit, now);
    return pit;
}

void i8254_free(struct i8254 *pit)
{
    free(pit);
}
