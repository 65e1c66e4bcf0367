/* SPDX-License-Identifier: BSD-2-Clause
 *
 * 8259A pair: see i8259.h; facts from the Intel 8259A data sheet and the PIIX3
 * data sheet (ELCR).
 *
 * An edge-triggered input must stay high until the INTA cycle, as the data
 * sheet asks: a request that goes away earlier is forgotten, and if the CPU
 * was already told, it gets the spurious vector (input 7).
 */
#include "x86vm/pc/i8259.h"

#include <stdlib.h>
#include <string.h>

enum { MASTER, SLAVE, CHIPS };
enum { CASCADE_INPUT = 2, SPURIOUS_INPUT = 7 };
enum { PORT_COMMAND, PORT_DATA };
enum { ICW1_NEEDS_ICW4 = 0x01, ICW1_SINGLE = 0x02, ICW1_LEVEL = 0x08, ICW1 = 0x10 };
enum { ICW4_AUTO_EOI = 0x02, ICW4_SPECIAL_NESTED = 0x10 };
enum { OCW3 = 0x08, OCW3_READ_ISR = 0x01, OCW3_READ = 0x02, OCW3_POLL = 0x04,
       OCW3_SPECIAL_MASK = 0x20, OCW3_SET_SPECIAL_MASK = 0x40 };

struct chip {
    uint8_t lines;    /* input levels */
    uint8_t irr;      /* requests: for level inputs the level, for edge inputs the latch */
    uint8_t isr;      /* in service */
    uint8_t imr;      /* masked */
    uint8_t elcr;     /* level-triggered inputs */
    uint8_t vector;   /* ICW2: vector of input 0 */
    uint8_t lowest;   /* input of lowest priority: 7 unless rotated */
    uint8_t init_step; /* 0: ready; 2..4: the ICW awaited at the data port */
    bool init_icw4, single;
    bool all_level;   /* ICW1.LTIM */
    bool auto_eoi, rotate_on_auto_eoi;
    bool special_nested, special_mask;
    bool read_isr;    /* which register the command port reads */
    bool poll;        /* the next read is a poll */
};

struct i8259 {
    struct chip chip[CHIPS];
    void (*output)(void *opaque, bool level);
    void *opaque;
    bool intr;
};

static uint8_t bit(unsigned input)
{
    return (uint8_t)(1u << input);
}

static bool is_level(const struct chip *c, unsigned input)
{
    return c->all_level || (c->elcr & bit(input));
}

static void set_input(struct chip *c, unsigned input, bool level)
{
    bool was = c->lines & bit(input);

    if (level) {
        c->lines |= bit(input);
        if (!was || is_level(c, input))
            c->irr |= bit(input);
    } else {
        c->lines &= (uint8_t)~bit(input);
        c->irr &= (uint8_t)~bit(input);
    }
}

/* The position of `input` in the present order: 0 is the highest priority. */
static unsigned rank(const struct chip *c, unsigned input)
{
    return (input - c->lowest - 1u) & 7;
}

/* Best-ranked input of a set, or -1. */
static int best_of(const struct chip *c, uint8_t set)
{
    for (unsigned i = 1; i <= 8; i++) {
        unsigned input = (c->lowest + i) & 7;
        if (set & bit(input))
            return (int)input;
    }
    return -1;
}

/* The input that the chip would raise INT for, or -1. */
static int pending(const struct chip *c, bool is_master)
{
    uint8_t serving = c->isr;
    int request = best_of(c, c->irr & (uint8_t)~c->imr);
    int busy;

    if (request < 0)
        return -1;
    if (c->special_mask)
        serving &= (uint8_t)~c->imr;
    if (c->special_nested && is_master && request == CASCADE_INPUT)
        serving &= (uint8_t)~bit(CASCADE_INPUT);
    busy = best_of(c, serving);
    if (c->special_mask)
        return c->isr & bit((unsigned)request) ? -1 : request;
    if (busy >= 0 && rank(c, (unsigned)busy) <= rank(c, (unsigned)request))
        return -1;
    return request;
}

static void update(struct i8259 *pic)
{
    bool intr;

    set_input(&pic->chip[MASTER], CASCADE_INPUT, pending(&pic->chip[SLAVE], false) >= 0);
    intr = pending(&pic->chip[MASTER], true) >= 0;
    if (intr != pic->intr) {
        pic->intr = intr;
        pic->output(pic->opaque, intr);
    }
}

/* One chip's part of INTA: returns the input, moved from request to service. */
static unsigned take(struct chip *c, bool is_master)
{
    int input = pending(c, is_master);

    if (input < 0)
        return SPURIOUS_INPUT;
    if (!is_level(c, (unsigned)input))
        c->irr &= (uint8_t)~bit((unsigned)input);
    if (!c->auto_eoi)
        c->isr |= bit((unsigned)input);
    else if (c->rotate_on_auto_eoi)
        c->lowest = (uint8_t)input;
    return (unsigned)input;
}

uint8_t i8259_acknowledge(struct i8259 *pic)
{
    struct chip *master = &pic->chip[MASTER], *slave = &pic->chip[SLAVE];
    bool cascaded = pending(master, true) == CASCADE_INPUT;
    unsigned input = take(master, true);
    uint8_t vector = (uint8_t)(master->vector + input);

    if (cascaded) {
        vector = (uint8_t)(slave->vector + take(slave, false));
        set_input(master, CASCADE_INPUT, false); /* INT of the slave drops in INTA: the next request is an edge */
    }
    update(pic);
    return vector;
}

static void reset_chip(struct chip *c)
{
    uint8_t lines = c->lines, elcr = c->elcr;

    memset(c, 0, sizeof *c);
    c->lines = lines;
    c->elcr = elcr;
    c->lowest = 7;
}

void i8259_reset(struct i8259 *pic)
{
    for (unsigned i = 0; i < CHIPS; i++) {
        pic->chip[i].elcr = 0;
        reset_chip(&pic->chip[i]);
        pic->chip[i].imr = 0xff;
    }
    update(pic);
}

struct i8259 *i8259_new(void (*output)(void *opaque, bool level), void *opaque)
{
    struct i8259 *pic = calloc(1, sizeof *pic);

    if (!pic)
        return NULL;
    pic->output = output;
    pic->opaque = opaque;
    i8259_reset(pic);
    return pic;
}

void i8259_free(struct i8259 *pic)
{
    free(pic);
}

void i8259_set_irq(struct i8259 *pic, unsigned irq, bool level)
{
    if (irq == CASCADE_INPUT || irq > 15)
        return;
    set_input(&pic->chip[irq >> 3], irq & 7, level);
    update(pic);
}

bool i8259_is_busy(const struct i8259 *pic, unsigned irq)
{
    const struct chip *c = &pic->chip[irq >> 3 & 1];

    return (c->irr | c->isr) & bit(irq & 7);
}

uint8_t i8259_vector(const struct i8259 *pic, unsigned irq)
{
    return (uint8_t)(pic->chip[irq >> 3 & 1].vector + (irq & 7));
}

/* Level inputs whose line is still high request again once out of service. */
static void refresh_levels(struct chip *c)
{
    for (unsigned i = 0; i < 8; i++)
        if (is_level(c, i) && (c->lines & bit(i)))
            c->irr |= bit(i);
}

static void begin_init(struct chip *c, uint8_t icw1)
{
    reset_chip(c);
    c->init_step = 2;
    c->init_icw4 = icw1 & ICW1_NEEDS_ICW4;
    c->single = icw1 & ICW1_SINGLE;
    c->all_level = icw1 & ICW1_LEVEL;
    refresh_levels(c);
}

static void end_of_interrupt(struct chip *c, uint8_t ocw2)
{
    bool rotate = ocw2 & 0x80, specific = ocw2 & 0x40, eoi = ocw2 & 0x20;
    int input;

    if (!eoi) {
        if (specific) {
            if (rotate)
                c->lowest = ocw2 & 7; /* set priority; without rotate: no operation */
        } else {
            c->rotate_on_auto_eoi = rotate;
        }
        return;
    }
    input = specific ? (ocw2 & 7) : best_of(c, c->special_mask ? c->isr & (uint8_t)~c->imr : c->isr);
    if (input < 0)
        return;
    c->isr &= (uint8_t)~bit((unsigned)input);
    if (rotate)
        c->lowest = (uint8_t)input;
}

static void write_ocw3(struct chip *c, uint8_t value)
{
    if (value & OCW3_POLL)
        c->poll = true;
    else if (value & OCW3_READ)
        c->read_isr = value & OCW3_READ_ISR;
    if (value & OCW3_SET_SPECIAL_MASK)
        c->special_mask = value & OCW3_SPECIAL_MASK;
}

static void write_data(struct chip *c, uint8_t value)
{
    switch (c->init_step) {
    case 2:
        c->vector = value & 0xf8;
        c->init_step = !c->single ? 3 : c->init_icw4 ? 4 : 0;
        break;
    case 3: /* the wiring of the cascade is fixed */
        c->init_step = c->init_icw4 ? 4 : 0;
        break;
    case 4:
        c->auto_eoi = value & ICW4_AUTO_EOI;
        c->special_nested = value & ICW4_SPECIAL_NESTED;
        c->init_step = 0;
        break;
    default:
        c->imr = value;
    }
}

void i8259_write(struct i8259 *pic, unsigned chip, unsigned port, uint8_t value)
{
    struct chip *c = &pic->chip[chip & 1];

    if (port == PORT_DATA)
        write_data(c, value);
    else if (value & ICW1)
        begin_init(c, value);
    else if (value & OCW3)
        write_ocw3(c, value);
    else
        end_of_interrupt(c, value);
    update(pic);
}

static uint8_t poll(struct i8259 *pic, unsigned chip)
{
    struct chip *c = &pic->chip[chip];
    uint8_t answer = 0;

    c->poll = false;
    if (pending(c, chip == MASTER) >= 0)
        answer = (uint8_t)(0x80 | take(c, chip == MASTER));
    if (chip == SLAVE)
        set_input(&pic->chip[MASTER], CASCADE_INPUT, false);
    update(pic);
    return answer;
}

uint8_t i8259_read(struct i8259 *pic, unsigned chip, unsigned port)
{
    struct chip *c = &pic->chip[chip & 1];

    if (c->poll)
        return poll(pic, chip & 1);
    if (port == PORT_DATA)
        return c->imr;
    return c->read_isr ? c->isr : c->irr;
}

uint8_t i8259_read_elcr(const struct i8259 *pic, unsigned chip)
{
    return pic->chip[chip & 1].elcr;
}

void i8259_write_elcr(struct i8259 *pic, unsigned chip, uint8_t value)
{
    static const uint8_t may_be_level[CHIPS] = { 0xf8, 0xde }; /* not 0, 1, 2, 8, 13 */
    struct chip *c = &pic->chip[chip & 1];

    c->elcr = value & may_be_level[chip & 1];
    refresh_levels(c);
    update(pic);
}
