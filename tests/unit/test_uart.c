/* SPDX-License-Identifier: BSD-2-Clause
 * The UART as Linux detects and drives it.
 */
#include "tests/unit/unit.h"
#include "x86vm/pc/uart16550.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };

static bool line;
static char sent[64];
static size_t sent_size;

static void on_irq(void *opaque, unsigned number, bool level)
{
    (void)opaque;
    (void)number;
    line = level;
}

static void on_output(void *opaque, uint8_t byte)
{
    (void)opaque;
    if (sent_size < sizeof sent)
        sent[sent_size++] = (char)byte;
}

static struct uart16550 *fresh(void)
{
    const struct irq_line irq = { on_irq, NULL, 4 };

    line = false;
    sent_size = 0;
    return uart16550_new(&irq, on_output, NULL);
}

static void test_detection(void)
{
    struct uart16550 *u = fresh();

    uart16550_write(u, IER, 0xff);
    CU_ASSERT_EQUAL(uart16550_read(u, IER), 0x0f);
    uart16550_write(u, IER, 0);
    uart16550_write(u, MCR, 0x10 | 0x0a);
    CU_ASSERT_EQUAL(uart16550_read(u, MSR) & 0xf0, 0x90);
    uart16550_write(u, MCR, 0);
    uart16550_write(u, IIR, 0x01);
    CU_ASSERT_EQUAL(uart16550_read(u, IIR), 0xc1); /* 16550A with FIFO */
    uart16550_write(u, LCR, 0x80);
    uart16550_write(u, DATA, 0x01);
    uart16550_write(u, IER, 0x02);
    CU_ASSERT_EQUAL(uart16550_read(u, DATA), 0x01);
    CU_ASSERT_EQUAL(uart16550_read(u, IER), 0x02);
    uart16550_write(u, LCR, 0x03);
    CU_ASSERT_EQUAL(uart16550_read(u, IER), 0x00);
    uart16550_write(u, SCR, 0xa5);
    CU_ASSERT_EQUAL(uart16550_read(u, SCR), 0xa5);
    CU_ASSERT_EQUAL(sent_size, 0);
    uart16550_free(u);
}

static void test_transmit(void)
{
    struct uart16550 *u = fresh();

    uart16550_write(u, MCR, 0x08);
    uart16550_write(u, IER, 0x02);
    CU_ASSERT_TRUE(line); /* empty when enabled */
    CU_ASSERT_EQUAL(uart16550_read(u, IIR), 0x02);
    CU_ASSERT_FALSE(line); /* reading IIR takes it back */
    CU_ASSERT_EQUAL(uart16550_read(u, IIR), 0x01);
    uart16550_write(u, DATA, 'h');
    CU_ASSERT_TRUE(line);
    uart16550_write(u, DATA, 'i');
    CU_ASSERT_EQUAL(sent_size, 2);
    CU_ASSERT_NSTRING_EQUAL(sent, "hi", 2);
    CU_ASSERT_EQUAL(uart16550_read(u, LSR), 0x60);
    uart16550_write(u, MCR, 0); /* OUT2 off: no interrupt on a PC */
    CU_ASSERT_FALSE(line);
    uart16550_free(u);
}

static void test_receive(void)
{
    struct uart16550 *u = fresh();
    const uint8_t text[] = "0123456789abcdefghij";

    uart16550_write(u, IIR, 0x81); /* FIFO, trigger 8 */
    uart16550_write(u, MCR, 0x0b);
    uart16550_write(u, IER, 0x01);
    CU_ASSERT_EQUAL(uart16550_input(u, text, 3), 3);
    CU_ASSERT_TRUE(line);
    CU_ASSERT_EQUAL(uart16550_read(u, IIR), 0xcc); /* below the trigger */
    CU_ASSERT_EQUAL(uart16550_input(u, text + 3, 17), 17);
    CU_ASSERT_EQUAL(uart16550_read(u, IIR), 0xc4);
    for (unsigned i = 0; i < 20; i++) {
        CU_ASSERT_TRUE(uart16550_read(u, LSR) & 1);
        CU_ASSERT_EQUAL(uart16550_read(u, DATA), text[i]);
    }
    CU_ASSERT_FALSE(line);
    CU_ASSERT_FALSE(uart16550_read(u, LSR) & 1);
    CU_ASSERT_EQUAL(uart16550_read(u, DATA), 0);
    uart16550_free(u);
}

static void test_flow_control(void)
{
    struct uart16550 *u = fresh();
    static uint8_t flood[UART16550_QUEUE + 100];
    size_t taken = uart16550_input(u, flood, sizeof flood);

    CU_ASSERT_EQUAL(taken, UART16550_QUEUE);
    CU_ASSERT_EQUAL(uart16550_input(u, flood, 1), 0);
    uart16550_read(u, DATA);
    CU_ASSERT_EQUAL(uart16550_input_room(u), 1);
    CU_ASSERT_EQUAL(uart16550_input(u, flood, 5), 1);
    uart16550_free(u);
}

static void test_loopback(void)
{
    struct uart16550 *u = fresh();

    uart16550_write(u, IIR, 0x01);
    uart16550_write(u, MCR, 0x10);
    for (unsigned i = 0; i < 20; i++)
        uart16550_write(u, DATA, (uint8_t)i);
    CU_ASSERT_EQUAL(sent_size, 0);
    CU_ASSERT_EQUAL(uart16550_read(u, LSR), 0x63); /* overrun */
    CU_ASSERT_EQUAL(uart16550_read(u, LSR), 0x61);
    for (unsigned i = 0; i < 16; i++)
        CU_ASSERT_EQUAL(uart16550_read(u, DATA), i);
    CU_ASSERT_EQUAL(uart16550_read(u, LSR), 0x60);
    CU_ASSERT_EQUAL(uart16550_input(u, (const uint8_t *)"x", 1), 0);
    uart16550_free(u);
}

static void test_modem_status(void)
{
    struct uart16550 *u = fresh();

    CU_ASSERT_EQUAL(uart16550_read(u, MSR), 0xb0); /* carrier, no deltas */
    uart16550_write(u, MCR, 0x18);
    CU_ASSERT_EQUAL(uart16550_read(u, MSR), 0x83); /* CTS and DSR went, DCD stays */
    CU_ASSERT_EQUAL(uart16550_read(u, MSR), 0x80);
    uart16550_free(u);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "detection", test_detection },
        { "transmit", test_transmit },
        { "receive", test_receive },
        { "flow control", test_flow_control },
        { "loopback", test_loopback },
        { "modem status", test_modem_status },
        CU_TEST_INFO_NULL,
    };

    return unit_run("uart16550", tests);
}
