/* SPDX-License-Identifier: BSD-2-Clause
 *
 * 16550A: see uart16550.h; facts from the National PC16550D data sheet.
 *
 * The receive FIFO is the first 16 bytes of the input queue: a byte never
 * overruns, because the outside world waits instead.
 */
#include "x86vm/pc/uart16550.h"

#include <stdlib.h>

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR };
enum { IER_RX = 0x01, IER_TX = 0x02, IER_LINE = 0x04, IER_MODEM = 0x08 };
enum { IIR_NONE = 0x01, IIR_MODEM = 0x00, IIR_TX = 0x02, IIR_RX = 0x04, IIR_LINE = 0x06, IIR_TIMEOUT = 0x0c,
       IIR_FIFO = 0xc0 };
enum { FCR_ENABLE = 0x01, FCR_CLEAR_RX = 0x02, FCR_TRIGGER = 0xc0 };
enum { LCR_DLAB = 0x80 };
enum { MCR_DTR = 0x01, MCR_RTS = 0x02, MCR_OUT1 = 0x04, MCR_OUT2 = 0x08, MCR_LOOP = 0x10 };
enum { LSR_DATA = 0x01, LSR_OVERRUN = 0x02, LSR_THR_EMPTY = 0x20, LSR_IDLE = 0x40 };
enum { MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80 };
enum { FIFO_SIZE = 16 };

struct uart16550 {
    struct irq_line irq;
    void (*output)(void *opaque, uint8_t byte);
    void *opaque;
    uint8_t ier, fcr, lcr, mcr, scr;
    uint8_t lsr_errors;      /* LSR_OVERRUN of the loopback */
    uint8_t msr_seen;        /* modem lines at the last MSR read: deltas are against it */
    uint16_t divisor;
    bool tx_pending;         /* "transmitter empty" not yet reported */
    uint8_t queue[UART16550_QUEUE];
    unsigned head, count;
};

static uint8_t modem_lines(const struct uart16550 *u)
{
    if (!(u->mcr & MCR_LOOP))
        return MSR_CTS | MSR_DSR | MSR_DCD; /* somebody is there */
    return (uint8_t)((u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
                     (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static uint8_t modem_deltas(const struct uart16550 *u)
{
    uint8_t changed = modem_lines(u) ^ u->msr_seen;

    if (modem_lines(u) & MSR_RI)
        changed &= (uint8_t)~MSR_RI; /* only the trailing edge of RI counts */
    return changed >> 4;
}

/* Waiting bytes that the guest may see now. */
static unsigned visible(const struct uart16550 *u)
{
    unsigned depth = u->fcr & FCR_ENABLE ? FIFO_SIZE : 1;

    return u->count < depth ? u->count : depth;
}

static unsigned trigger_level(const struct uart16550 *u)
{
    static const uint8_t level[4] = { 1, 4, 8, 14 };

    return u->fcr & FCR_ENABLE ? level[u->fcr >> 6] : 1;
}

/* The interrupt of highest priority, in IIR's code. Bytes below the trigger
 * level count as timed out at once: they would only wait for the guest. */
static uint8_t interrupt_source(const struct uart16550 *u)
{
    if ((u->ier & IER_LINE) && u->lsr_errors)
        return IIR_LINE;
    if ((u->ier & IER_RX) && visible(u))
        return visible(u) >= trigger_level(u) ? IIR_RX : IIR_TIMEOUT;
    if ((u->ier & IER_TX) && u->tx_pending)
        return IIR_TX;
    if ((u->ier & IER_MODEM) && modem_deltas(u))
        return IIR_MODEM;
    return IIR_NONE;
}

/* The PC's wiring: OUT2 gates the interrupt line; loopback disconnects it. */
static void update(struct uart16550 *u)
{
    bool connected = (u->mcr & MCR_OUT2) && !(u->mcr & MCR_LOOP);

    irq_line_set(&u->irq, connected && interrupt_source(u) != IIR_NONE);
}

static void enqueue(struct uart16550 *u, uint8_t byte)
{
    u->queue[(u->head + u->count++) % UART16550_QUEUE] = byte;
}

static uint8_t receive(struct uart16550 *u)
{
    uint8_t byte;

    if (!u->count)
        return 0;
    byte = u->queue[u->head];
    u->head = (u->head + 1) % UART16550_QUEUE;
    u->count--;
    return byte;
}

static void transmit(struct uart16550 *u, uint8_t byte)
{
    u->tx_pending = true;
    if (u->mcr & MCR_LOOP) {
        if (u->count < FIFO_SIZE)
            enqueue(u, byte);
        else
            u->lsr_errors |= LSR_OVERRUN;
    } else if (u->output) {
        u->output(u->opaque, byte);
    }
}

uint8_t uart16550_read(struct uart16550 *u, unsigned port)
{
    uint8_t value = 0;

    switch (port & 7) {
    case RBR:
        value = u->lcr & LCR_DLAB ? (uint8_t)u->divisor : receive(u);
        break;
    case IER:
        value = u->lcr & LCR_DLAB ? (uint8_t)(u->divisor >> 8) : u->ier;
        break;
    case IIR:
        value = interrupt_source(u);
        if (value == IIR_TX)
            u->tx_pending = false;
        value |= u->fcr & FCR_ENABLE ? IIR_FIFO : 0;
        break;
    case LCR:
        value = u->lcr;
        break;
    case MCR:
        value = u->mcr;
        break;
    case LSR:
        value = (uint8_t)(LSR_THR_EMPTY | LSR_IDLE | (u->count ? LSR_DATA : 0) | u->lsr_errors);
        u->lsr_errors = 0;
        break;
    case MSR:
        value = modem_lines(u) | modem_deltas(u);
        u->msr_seen = modem_lines(u);
        break;
    case SCR:
        value = u->scr;
    }
    update(u);
    return value;
}

static void write_fcr(struct uart16550 *u, uint8_t value)
{
    if ((value ^ u->fcr) & FCR_ENABLE || value & FCR_CLEAR_RX) {
        unsigned drop = visible(u);
        u->head = (u->head + drop) % UART16550_QUEUE;
        u->count -= drop;
    }
    u->fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | FCR_TRIGGER) : 0;
}

void uart16550_write(struct uart16550 *u, unsigned port, uint8_t value)
{
    switch (port & 7) {
    case RBR:
        if (u->lcr & LCR_DLAB)
            u->divisor = (uint16_t)((u->divisor & 0xff00) | value);
        else
            transmit(u, value);
        break;
    case IER:
        if (u->lcr & LCR_DLAB) {
            u->divisor = (uint16_t)((u->divisor & 0x00ff) | value << 8);
        } else {
            if ((value & IER_TX) && !(u->ier & IER_TX))
                u->tx_pending = true; /* enabling it with an empty transmitter reports so */
            u->ier = value & 0x0f;
        }
        break;
    case IIR:
        write_fcr(u, value);
        break;
    case LCR:
        u->lcr = value;
        break;
    case MCR:
        u->mcr = value & 0x1f;
        break;
    case SCR:
        u->scr = value;
        break;
    default: /* LSR and MSR are read-only */
        break;
    }
    update(u);
}

size_t uart16550_input_room(const struct uart16550 *u)
{
    return u->mcr & MCR_LOOP ? 0 : UART16550_QUEUE - u->count;
}

size_t uart16550_input(struct uart16550 *u, const uint8_t *bytes, size_t size)
{
    size_t taken = uart16550_input_room(u);

    if (taken > size)
        taken = size;
    for (size_t i = 0; i < taken; i++)
        enqueue(u, bytes[i]);
    update(u);
    return taken;
}

void uart16550_reset(struct uart16550 *u)
{
    u->ier = u->fcr = u->lcr = u->mcr = u->scr = u->lsr_errors = 0;
    u->divisor = 12; /* 9600 baud */
    u->tx_pending = false;
    u->head = u->count = 0;
    u->msr_seen = modem_lines(u);
    update(u);
}

struct uart16550 *uart16550_new(const struct irq_line *irq, void (*output)(void *opaque, uint8_t byte), void *opaque)
{
    struct uart16550 *u = calloc(1, sizeof *u);

    if (!u)
        return NULL;
    u->irq = *irq;
    u->output = output;
    u->opaque = opaque;
    uart16550_reset(u);
    return u;
}

void uart16550_free(struct uart16550 *u)
{
    free(u);
}
