/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The teacher on the paravirtual card: what it prints, that it changes nothing, every rule
 * broken once, and good drivers of both interfaces that break none.
 */
#include "nicemu/nic_model.h"
#include "tests/unit/unit.h"
#include "tests/unit/virtio_fixture.h"

#include <stdio.h>
#include <string.h>

static char book[100000];
static size_t length;

static void line(void *opaque, const char *text)
{
    (void)opaque;
    length += (size_t)snprintf(book + length, sizeof book - length, "%s\n", text);
}

static void begin(bool strict)
{
    length = 0;
    book[0] = 0;
    CU_ASSERT_EQUAL(nic_set_trace(host.nic, line, NULL, strict), 0);
}

#define CHECK_HAS(what)                                              \
    do {                                                             \
        if (!strstr(book, what))                                     \
            fprintf(stderr, "not in the trace: %s\n%s", what, book); \
        CU_ASSERT_PTR_NOT_NULL(strstr(book, what));                  \
    } while (0)

static void registers(void)
{
    virtio_fixture_restart();
    begin(false);
    mw(STATUS, 1, 3);
    lw(L_STATUS, 1, 7);
    mr(STATUS, 1);
    mw(DEVICE_SELECT, 4, 0);
    mr(DEVICE_FEATURE, 4);
    mw(DEVICE_SELECT, 4, 1);
    mr(DEVICE_FEATURE, 4);
    mw(DRIVER_SELECT, 4, 1);
    mr(DRIVER_FEATURE, 4);
    lr(L_OFFERED, 4);
    mr(VNET_CONFIG, 4);
    lr(L_CONFIG + 6, 2);
    mw(QUEUE_SELECT, 2, 1);
    lw(L_PFN, 4, 0x10);
    mr(VNET_ISR, 1);
    lr(L_ISR, 1);
    mr(0x500, 4);
    mw(VNET_NOTIFY + 4, 2, 1);
    lw(L_NOTIFY, 2, 1);
    nic_set_trace(host.nic, NULL, NULL, false);
    CHECK_HAS("write DEVICE_STATUS  = 03 ACKNOWLEDGE DRIVER\n");
    CHECK_HAS("write STATUS         = 07 ACKNOWLEDGE DRIVER DRIVER_OK\n");
    CHECK_HAS("read  DEVICE_STATUS  = 07 ACKNOWLEDGE DRIVER DRIVER_OK\n");
    CHECK_HAS("read  DEVICE_FEATURE = 3887b9a3 CSUM GUEST_CSUM MAC GUEST_TSO4 GUEST_TSO6 HOST_TSO4 HOST_TSO6 HOST_ECN MRG_RXBUF STATUS CTRL_VQ ");
    CHECK_HAS("read  DEVICE_FEATURE = 00000001 VERSION_1\n");
    CHECK_HAS("read  DRIVER_FEATURE = 00000000\n");
    CHECK_HAS("read  DEVICE_FEATURES = ");
    CHECK_HAS("CTRL_MAC_ADDR ANY_LAYOUT INDIRECT_DESC EVENT_IDX\n");
    CHECK_HAS("read  MAC            = 12005452\n");
    CHECK_HAS("read  LINK           = 0001\n");
    CHECK_HAS("write QUEUE_SELECT   = 0001\n");
    CHECK_HAS("write QUEUE_PFN      = 00000010\n");
    CHECK_HAS("read  ISR            = 00\n");
    CHECK_HAS("read  nothing at 500, 4 bytes = 0\n");
    CHECK_HAS("write NOTIFY         = 0001\n");
    CHECK_HAS("write QUEUE_NOTIFY   = 0001\n");
}

static void events(void)
{
    open_modern(F(CSUM) | F(HOST_TSO4), 16);
    begin(false);
    tx_fill(make_frame(3000), 3000);
    *tx_header() = (struct vnet_header){ 1, 1, 54, 1448, 34, 16, 0 };
    tx_send(0, 3000);
    mr(VNET_ISR, 1);
    rx_give(0, 1, 2048);
    rx(64);
    rx(64);
    offer(VNET_TX, 44);
    notify(VNET_TX);
    nic_set_trace(host.nic, NULL, NULL, false);
    CHECK_HAS("send  3000 bytes to 52:54:00:12:34:56 from 02:00:00:00:00:01 type 88b5, checksum from 34 into 50, segments of 1448\n");
    CHECK_HAS("irq   high\n");
    CHECK_HAS("read  ISR            = 01 QUEUE\n");
    CHECK_HAS("frame 64 bytes to");
    CHECK_HAS("no room, it waits\n");
    CHECK_HAS("ERROR chain 44:");
}

/* A traced card does the same as one that is not. */
static void changes_nothing(void)
{
    static uint8_t images[2][16384];
    size_t sizes[2];
    for (int traced = 0; traced < 2; traced++) {
        open_modern(F(MRG_RXBUF), 16);
        if (traced)
            begin(true);
        tx_fill(make_frame(200), 200);
        for (unsigned i = 0; i < 50; i++) {
            tx_send(0, 200);
            rx_give(i, 1, 100);
            rx(80);
            rx(80);
            isr();
            notify(VNET_RX);
        }
        sizes[traced] = nic_save(host.nic, host.now, images[traced], sizeof images[traced]);
        CU_ASSERT_EQUAL(host.frame_count, 50);
        CU_ASSERT_EQUAL(used(VNET_RX), 50);
    }
    CU_ASSERT_EQUAL(sizes[0], sizes[1]);
    CU_ASSERT_EQUAL(memcmp(images[0], images[1], sizes[0]), 0);
}

/* --- rules -------------------------------------------------------------------- */

static void take_back(void) { set_status(3); set_status(1); }
static void no_acknowledge(void) { set_status(2); }
static void no_driver(void) { set_status(1); set_status(5); }
static void chosen(void) { set_status(3); offer_features(F(VERSION_1)); }
static void no_features_ok(void) { chosen(); set_status(7); }
static void no_queues(void) { chosen(); set_status(11); set_queue(VNET_RX, 16); set_status(15); }
static void legacy_no_queues(void) { lw(L_STATUS, 1, 7); }
static void features_early(void) { mw(DRIVER_FEATURE, 4, 1); }
static void legacy_features_early(void) { lw(L_STATUS, 1, 1); lw(L_FEATURES, 4, 1); }
static void features_strange(void) { set_status(3); mw(DRIVER_FEATURE, 4, 4); }
static void upper_features_strange(void) { set_status(3); mw(DRIVER_SELECT, 4, 1); mw(DRIVER_FEATURE, 4, 2); }
static void legacy_features_strange(void) { lw(L_STATUS, 1, 3); lw(L_FEATURES, 4, 0x40000000); }
static void notified_early(void) { set_queue(VNET_TX, 16); mw(VNET_NOTIFY + 4, 2, 1); }
static void legacy_notified_early(void) { lw(L_NOTIFY, 2, 2); }
static void notified_nothing(void) { no_queues(); mw(VNET_NOTIFY + 4, 2, 1); }
static void legacy_notified_nothing(void) { legacy_no_queues(); lw(L_NOTIFY, 2, 0); }

static void rules(void)
{
    static const struct { const char *expected; void (*act)(void); } cases[] = {
        { "RULE  2.1.1: status 01 takes back bits of 03", take_back },
        { "RULE  3.1.1: DRIVER without ACKNOWLEDGE", no_acknowledge },
        { "RULE  3.1.1: DRIVER_OK without DRIVER", no_driver },
        { "RULE  3.1.1: DRIVER_OK without FEATURES_OK", no_features_ok },
        { "RULE  3.1.1: DRIVER_OK before the queues are set up", no_queues },
        { "RULE  3.1.1: DRIVER_OK before the queues are set up", legacy_no_queues },
        { "RULE  3.1.1: features are accepted before DRIVER is set", features_early },
        { "RULE  3.1.1: features are accepted before DRIVER is set", legacy_features_early },
        { "RULE  2.2.1: features 00000004 are accepted that were not offered", features_strange },
        { "RULE  2.2.1: features 00000002 are accepted that were not offered", upper_features_strange },
        { "RULE  2.2.1: features 40000000 are accepted that were not offered", legacy_features_strange },
        { "RULE  3.1.1: queue 1 is notified before DRIVER_OK", notified_early },
        { "RULE  3.1.1: queue 2 is notified before DRIVER_OK", legacy_notified_early },
        { "RULE  4.1.5.2: queue 1 is notified, which is not set up", notified_nothing },
        { "RULE  4.1.5.2: queue 0 is notified, which is not set up", legacy_notified_nothing },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int strict = 1; strict >= 0; strict--) {
            virtio_fixture_restart();
            begin(strict);
            cases[i].act();
            nic_set_trace(host.nic, NULL, NULL, false);
            if (strict)
                CHECK_HAS(cases[i].expected);
            else
                CU_ASSERT_PTR_NULL(strstr(book, "RULE"));
        }
}

static void expect_no_rule(void)
{
    if (strstr(book, "RULE") || strstr(book, "ERROR"))
        fprintf(stderr, "%s", book);
    CU_ASSERT_PTR_NULL(strstr(book, "RULE"));
    CU_ASSERT_PTR_NULL(strstr(book, "ERROR"));
}

static void good_modern(void)
{
    virtio_fixture_restart();
    begin(true);
    set_status(0);
    set_status(1);
    set_status(3);
    mw(DEVICE_SELECT, 4, 0);
    mr(DEVICE_FEATURE, 4);
    offer_features(F(VERSION_1) | F(MRG_RXBUF) | F(CTRL_VQ) | F(CTRL_RX));
    CU_ASSERT_EQUAL(set_status(11), 11);
    for (unsigned i = 0; i < VNET_QUEUES; i++)
        set_queue(i, 16);
    set_status(15);
    rx_give(0, 8, 2048);
    notify(VNET_RX);
    tx_fill(make_frame(60), 60);
    tx_send(0, 60);
    CU_ASSERT_EQUAL(command(0, 0, "\1", 1), 0);
    rx(60);
    isr();
    set_status(0);
    CU_ASSERT_EQUAL(host.frame_count, 1);
    expect_no_rule();
}

static void good_legacy(void)
{
    virtio_fixture_restart();
    begin(true);
    static const uint8_t steps[] = { 0, 3 }; /* both in one */
    for (unsigned i = 0; i < 2; i++)
        lw(L_STATUS, 1, steps[i]);
    lw(L_FEATURES, 4, lr(L_OFFERED, 4));
    for (unsigned i = 0; i < VNET_QUEUES; i++) {
        lw(L_SELECT, 2, i);
        lw(L_PFN, 4, QUEUE(i) >> 12);
    }
    lw(L_STATUS, 1, 7);
    tx_fill(make_frame(60), 60);
    desc(VNET_TX, 0, TX_HEADER, 12, NEXT, 1);
    desc(VNET_TX, 1, TX_DATA, 60, 0, 0);
    offer(VNET_TX, 0);
    lw(L_NOTIFY, 2, 1);
    lr(L_ISR, 1);
    CU_ASSERT_EQUAL(host.frame_count, 1);
    expect_no_rule();
}

/* That it needs a reset is the card's to say: a driver that leaves it out takes nothing back. */
static void needs_reset(void)
{
    open_modern(0, 16);
    offer(VNET_TX, 99);
    notify(VNET_TX);
    begin(true);
    set_status(0x8f);
    expect_no_rule();
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "registers and fields", registers },
        { "interrupts, frames and errors", events },
        { "a trace changes nothing", changes_nothing },
        { "rules", rules },
        { "a good driver of virtio 1.0", good_modern },
        { "a good legacy driver", good_legacy },
        { "a driver that gives up", needs_reset },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("virtio_trace", tests, virtio_fixture_start, virtio_fixture_stop);
}
