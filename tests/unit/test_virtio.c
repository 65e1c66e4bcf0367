/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The paravirtual card: what it is, the negotiation of features and status on both
 * interfaces, the queues' set-up, reset and link.
 */
#include "tests/unit/unit.h"
#include "tests/unit/virtio_fixture.h"

#include <string.h>

#define CHOSEN (VNET_S_ACKNOWLEDGE | VNET_S_DRIVER | VNET_S_FEATURES_OK)

/* The features by their numbers in the manual: CSUM, GUEST_CSUM, MAC, TSO (4), ECN, MRG_RXBUF … */
#define OFFERED_LOW (1u << 0 | 1u << 1 | 1u << 5 | 1u << 7 | 1u << 8 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 15 | 1u << 16 | \
                     1u << 17 | 1u << 18 | 1u << 23 | 1u << 27 | 1u << 28 | 1u << 29)

static void identity(void)
{
    const struct nic_identity *id = nic_identity(host.nic);
    struct nic_pci_ids ids;
    nic_pci_ids(host.nic, &ids);
    CU_ASSERT_STRING_EQUAL(id->model, "virtio-net");
    CU_ASSERT_EQUAL(id->bus, NIC_BUS_PCI);
    CU_ASSERT_EQUAL(ids.vendor, 0x1af4);
    CU_ASSERT_EQUAL(ids.device, 0x1000);
    CU_ASSERT_EQUAL(ids.subsystem, 1);
    CU_ASSERT_EQUAL(id->revision, 0);
    CU_ASSERT_EQUAL(id->class_code, 0x020000);
    CU_ASSERT_EQUAL(id->bar[0].kind, NIC_BAR_IO);
    CU_ASSERT_EQUAL(id->bar[0].size, 32);
    CU_ASSERT_EQUAL(id->bar[1].kind, NIC_BAR_MEMORY);
    CU_ASSERT_EQUAL(id->bar[1].size, 4096);
    CU_ASSERT_PTR_EQUAL(nic_model_identity("virtio"), id);
    CU_ASSERT_PTR_EQUAL(nic_model_identity("virtio-net-pci"), id);
    CU_ASSERT_FALSE(nic_set_line_rate(host.nic, 10));
    CU_ASSERT_EQUAL(nic_get_eeprom(host.nic, (uint8_t[NIC_EEPROM_SIZE]){ 0 }), 0);
}

static void offered(void)
{
    virtio_fixture_restart();
    CU_ASSERT_EQUAL(lr(L_OFFERED, 4), OFFERED_LOW);
    CU_ASSERT_EQUAL(mr(DEVICE_FEATURE, 4), OFFERED_LOW);
    mw(DEVICE_SELECT, 4, 1);
    CU_ASSERT_EQUAL(mr(DEVICE_FEATURE, 4), 1);
    CU_ASSERT_EQUAL(mr(DEVICE_SELECT, 4), 1);
    for (uint32_t select = 2; select; select <<= 1) {
        mw(DEVICE_SELECT, 4, select);
        CU_ASSERT_EQUAL(mr(DEVICE_FEATURE, 4), 0);
        mw(DRIVER_SELECT, 4, select);
        mw(DRIVER_FEATURE, 4, 0xffffffff);
        CU_ASSERT_EQUAL(mr(DRIVER_FEATURE, 4), 0);
    }
    CU_ASSERT_EQUAL(card()->features, 0);
    CU_ASSERT_EQUAL(mr(NUM_QUEUES, 2), 3);
    CU_ASSERT_EQUAL(mr(0x10, 2), 0xffff); /* no MSI-X */
    CU_ASSERT_EQUAL(mr(0x1a, 2), 0xffff);
    mw(0x10, 2, 0);
    CU_ASSERT_EQUAL(mr(0x10, 2), 0xffff);
}

static void features_halves(void)
{
    virtio_fixture_restart();
    offer_features(UINT64_C(0x123456789abcdef0));
    CU_ASSERT_EQUAL(card()->features, UINT64_C(0x123456789abcdef0));
    CU_ASSERT_EQUAL(mr(DRIVER_FEATURE, 4), 0x12345678);
    mw(DRIVER_SELECT, 4, 0);
    CU_ASSERT_EQUAL(mr(DRIVER_FEATURE, 4), 0x9abcdef0);
    CU_ASSERT_EQUAL(mr(DRIVER_SELECT, 4), 0);
}

static uint8_t weigh(uint64_t features)
{
    virtio_fixture_restart();
    set_status(VNET_S_ACKNOWLEDGE);
    set_status(VNET_S_ACKNOWLEDGE | VNET_S_DRIVER);
    offer_features(features);
    return set_status(CHOSEN) & VNET_S_FEATURES_OK;
}

/* FEATURES_OK is kept for what may be, and for nothing else. */
static void features_ok(void)
{
    static const struct { uint64_t feature, needs, or_else; } pairs[] = {
        { F(GUEST_TSO4), F(GUEST_CSUM), 0 }, { F(GUEST_TSO6), F(GUEST_CSUM), 0 }, { F(HOST_TSO4), F(CSUM), 0 },
        { F(HOST_TSO6), F(CSUM), 0 }, { F(HOST_ECN), F(HOST_TSO4) | F(CSUM), F(HOST_TSO6) | F(CSUM) }, { F(CTRL_RX), F(CTRL_VQ), 0 },
        { F(CTRL_MAC_ADDR), F(CTRL_VQ), 0 },
    };
    CU_ASSERT_TRUE(weigh(F(VERSION_1)));
    CU_ASSERT_EQUAL(host.errors, 0);
    CU_ASSERT_TRUE(weigh(OFFERED_LOW | F(VERSION_1)));
    CU_ASSERT_FALSE(weigh(OFFERED_LOW)); /* virtio 1.0 is not done without it */
    CU_ASSERT_EQUAL(host.errors, 1);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        CU_ASSERT_FALSE(weigh(F(VERSION_1) | pairs[i].feature));
        CU_ASSERT_TRUE(weigh(F(VERSION_1) | pairs[i].feature | pairs[i].needs));
        CU_ASSERT_TRUE(!pairs[i].or_else || weigh(F(VERSION_1) | pairs[i].feature | pairs[i].or_else));
    }
    for (unsigned bit = 0; bit < 64; bit++)
        if (!((OFFERED_LOW | F(VERSION_1)) >> bit & 1)) /* never offered (QEMU's issue 3879) */
            CU_ASSERT_FALSE(weigh(F(VERSION_1) | UINT64_C(1) << bit));
}

/* A driver that goes on all the same does not get a card that is at work. */
static void refused_and_on(void)
{
    static const uint8_t steps[][2] = { { CHOSEN, CHOSEN | VNET_S_DRIVER_OK }, { CHOSEN | VNET_S_DRIVER_OK, CHOSEN | VNET_S_DRIVER_OK },
                                        { 3, 3 | VNET_S_DRIVER_OK } };
    for (unsigned i = 0; i < 3; i++)
        for (unsigned k = 0; k < 2; k++) {
            virtio_fixture_restart();
            set_status(3);
            offer_features(F(VERSION_1) | (k ? F(GUEST_TSO4) : UINT64_C(1) << 57));
            set_status(steps[i][0]);
            CU_ASSERT_EQUAL(set_status(steps[i][1]), 3);
            CU_ASSERT_EQUAL(host.accepts_changed, 0);
        }
    virtio_fixture_restart(); /* one that forgets FEATURES_OK, but has chosen well */
    set_status(3);
    offer_features(F(VERSION_1));
    CU_ASSERT_EQUAL(set_status(7), 7);
    CU_ASSERT_EQUAL(host.accepts_changed, 1);
}

/* What is chosen stays. */
static void chosen_is_chosen(void)
{
    CU_ASSERT_TRUE(weigh(F(VERSION_1)));
    offer_features(OFFERED_LOW | F(VERSION_1));
    lw(L_FEATURES, 4, OFFERED_LOW);
    CU_ASSERT_EQUAL(card()->features, F(VERSION_1));
    CU_ASSERT_EQUAL(host.errors, 3);
    open_legacy((uint32_t)F(MRG_RXBUF));
    lw(L_FEATURES, 4, 0);
    offer_features(0);
    CU_ASSERT_EQUAL(lr(L_FEATURES, 4), F(MRG_RXBUF));
    virtio_fixture_restart();
    lw(L_FEATURES, 4, 0xffffffff); /* a legacy driver gets of it what there is */
    CU_ASSERT_EQUAL(lr(L_FEATURES, 4), OFFERED_LOW);
}

static void status(void)
{
    virtio_fixture_restart();
    CU_ASSERT_EQUAL(set_status(0x41), 1); /* what needs a reset is not the driver's to say */
    CU_ASSERT_EQUAL(host.errors, 0);
    CU_ASSERT_EQUAL(set_status(2), 3); /* nothing is taken back */
    CU_ASSERT_EQUAL(host.errors, 1);
    CU_ASSERT_EQUAL(lr(L_STATUS, 1), 3);
    CU_ASSERT_EQUAL(set_status(0x83), 0x83);
    CU_ASSERT_EQUAL(set_status(0), 0);
    lw(L_STATUS, 1, 7);
    CU_ASSERT_EQUAL(mr(STATUS, 1), 7);
    lw(L_STATUS, 1, 0);
    CU_ASSERT_EQUAL(lr(L_STATUS, 1), 0);
}

static void queue_sizes(void)
{
    virtio_fixture_restart();
    for (unsigned queue = 0; queue < 3; queue++) {
        mw(QUEUE_SELECT, 2, queue);
        CU_ASSERT_EQUAL(mr(QUEUE_SELECT, 2), queue);
        CU_ASSERT_EQUAL(mr(NOTIFY_OFF, 2), queue);
        CU_ASSERT_EQUAL(mr(QUEUE_SIZE, 2), 256);
        for (unsigned size = 0; size < 600; size++) {
            unsigned before = mr(QUEUE_SIZE, 2), errors = host.errors;
            bool good = size && size <= 256 && !(size & (size - 1));
            mw(QUEUE_SIZE, 2, size);
            CU_ASSERT_EQUAL(mr(QUEUE_SIZE, 2), good ? size : before);
            CU_ASSERT_EQUAL(host.errors, errors + !good);
        }
        mw(QUEUE_SIZE, 2, 0x8000);
        mw(QUEUE_SIZE, 2, 0xffff);
        CU_ASSERT_EQUAL(mr(QUEUE_SIZE, 2), 256);
        mw(QUEUE_SIZE, 2, 0xabcd0010); /* a bus that leaves its upper half undefined */
        CU_ASSERT_EQUAL(mr(QUEUE_SIZE, 2), 16);
    }
}

/* Queues that the card has not got are of size 0, and take nothing (CVE-2011-2512, QEMU's issue 1309). */
static void selects_outside(void)
{
    static const uint16_t selects[] = { 3, 4, 255, 256, 0x7fff, 0xffff };
    uint8_t before[4096], after[4096];
    virtio_fixture_restart();
    for (unsigned i = 0; i < 6; i++) {
        mw(QUEUE_SELECT, 2, selects[i]);
        size_t size = nic_save(host.nic, host.now, before, sizeof before);
        CU_ASSERT_FATAL(size <= sizeof before);
        CU_ASSERT_EQUAL(mr(QUEUE_SIZE, 2), 0);
        CU_ASSERT_EQUAL(lr(L_SIZE, 2), 0);
        CU_ASSERT_EQUAL(mr(NOTIFY_OFF, 2), 0);
        for (unsigned at = DESC; at < 0x38; at += 4) {
            mw(at, 4, 0x1000);
            CU_ASSERT_EQUAL(mr(at, 4), 0);
        }
        mw(QUEUE_SIZE, 2, 16);
        mw(QUEUE_ENABLE, 2, 1);
        CU_ASSERT_EQUAL(mr(QUEUE_ENABLE, 2), 0);
        lw(L_PFN, 4, 0x10);
        lw(L_PFN, 4, 0);
        CU_ASSERT_EQUAL(lr(L_PFN, 4), 0);
        lw(L_NOTIFY, 2, selects[i]);
        nic_save(host.nic, host.now, after, sizeof after);
        CU_ASSERT_EQUAL(memcmp(before + 116, after + 116, size - 116), 0); /* but for the counters */
        CU_ASSERT_TRUE(host.errors >= 4);
    }
}

static void queue_addresses(void)
{
    virtio_fixture_restart();
    mw(QUEUE_SELECT, 2, 1);
    for (unsigned at = DESC; at < 0x38; at += 4)
        mw(at, 4, 0x11111110 * (at - DESC + 4) / 4);
    for (unsigned at = DESC; at < 0x38; at += 4)
        CU_ASSERT_EQUAL(mr(at, 4), 0x11111110 * (at - DESC + 4) / 4);
    CU_ASSERT_EQUAL(card()->ring[1].desc, UINT64_C(0x2222222011111110));
    mw(QUEUE_SELECT, 2, 0);
    CU_ASSERT_EQUAL(mr(DESC, 4), 0);
}

static void queue_alignment(void)
{
    static const unsigned needs[] = { 16, 2, 4 };
    for (unsigned part = 0; part < 3; part++)
        for (unsigned off = 0; off < 32; off++) {
            virtio_fixture_restart();
            mw(QUEUE_SELECT, 2, 2);
            mw(DESC + 8 * part, 4, 0x1000 + off);
            mw(QUEUE_ENABLE, 2, 1);
            CU_ASSERT_EQUAL(mr(QUEUE_ENABLE, 2), off % needs[part] == 0);
            CU_ASSERT_EQUAL(host.errors, off % needs[part] != 0);
        }
}

/* What runs is neither moved nor enabled anew; only 1 enables. */
static void running_queue(void)
{
    open_modern(0, 64);
    mw(QUEUE_SELECT, 2, VNET_TX);
    struct virtio_ring before = card()->ring[VNET_TX];
    mw(QUEUE_SIZE, 2, 128);
    for (unsigned at = DESC; at < 0x38; at += 4)
        mw(at, 4, 0x4440);
    mw(QUEUE_ENABLE, 2, 1);
    mw(QUEUE_ENABLE, 2, 0);
    lw(L_PFN, 4, 0x77);
    CU_ASSERT_EQUAL(memcmp(&before, &card()->ring[VNET_TX], sizeof before), 0);
    CU_ASSERT_TRUE(host.errors >= 9);
    virtio_fixture_restart();
    for (unsigned value = 0; value < 0x10000; value += value < 4 ? 1 : 0xfff) {
        if (value == 1)
            continue;
        mw(QUEUE_ENABLE, 2, value);
        CU_ASSERT_EQUAL(mr(QUEUE_ENABLE, 2), 0);
    }
}

static void legacy_queue(void)
{
    virtio_fixture_restart();
    lw(L_SELECT, 2, 1);
    CU_ASSERT_EQUAL(lr(L_SELECT, 2), 1);
    CU_ASSERT_EQUAL(lr(L_SIZE, 2), 256);
    CU_ASSERT_EQUAL(lr(L_PFN, 4), 0);
    lw(L_PFN, 4, 0x12345);
    CU_ASSERT_EQUAL(lr(L_PFN, 4), 0x12345);
    CU_ASSERT_EQUAL(card()->ring[1].desc, 0x12345000);
    CU_ASSERT_EQUAL(card()->ring[1].avail, 0x12346000);
    CU_ASSERT_EQUAL(card()->ring[1].used, 0x12347000);
    CU_ASSERT_TRUE(card()->ring[1].enabled);
    lw(L_PFN, 4, 0x54321); /* refused: it is taken away first */
    CU_ASSERT_EQUAL(lr(L_PFN, 4), 0x12345);
    lw(L_PFN, 4, 0);
    CU_ASSERT_FALSE(card()->ring[1].enabled);
    lw(L_PFN, 4, 0xffffffff);
    CU_ASSERT_EQUAL(card()->ring[1].desc, UINT64_C(0xffffffff000));
    CU_ASSERT_EQUAL(lr(L_PFN, 4), 0xffffffff);
}

static void configuration(void)
{
    virtio_fixture_restart();
    for (unsigned i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(lr(L_CONFIG + i, 1), fake_mac[i]);
        CU_ASSERT_EQUAL(mr(VNET_CONFIG + i, 1), fake_mac[i]);
    }
    CU_ASSERT_EQUAL(mr(VNET_CONFIG, 4), 0x12005452);
    CU_ASSERT_EQUAL(mr(VNET_CONFIG + 4, 4), 0x00015634);
    CU_ASSERT_EQUAL(lr(L_CONFIG + 6, 2), 1);
    CU_ASSERT_EQUAL(lr(L_CONFIG + 8, 4), 0); /* no further fields */
    mw(VNET_CONFIG, 4, 0xdeadbeef);          /* read only here */
    CU_ASSERT_EQUAL(mr(VNET_CONFIG, 4), 0x12005452);
    CU_ASSERT_EQUAL(host.errors, 1);
    for (unsigned i = 0; i < 6; i++)
        lw(L_CONFIG + i, 1, 0xa0 + i);
    CU_ASSERT_EQUAL(mr(VNET_CONFIG, 4), 0xa3a2a1a0);
    lw(L_CONFIG + 4, 4, 0); /* beyond the address */
    lw(L_CONFIG + 6, 2, 0);
    CU_ASSERT_EQUAL(mr(VNET_CONFIG + 4, 4), 0x0001a5a4);
    set_status(0);
    CU_ASSERT_EQUAL(mr(VNET_CONFIG, 4), 0x12005452); /* a reset brings back the card's own */
}

/* Accesses of other sizes, and where nothing is. */
static void odd_accesses(void)
{
    static const struct { unsigned bar, offset, size; } bad[] = {
        { 1, STATUS, 2 }, { 1, STATUS, 4 }, { 1, QUEUE_SELECT, 1 }, { 1, QUEUE_SELECT, 4 }, { 1, DESC, 2 }, { 1, DESC + 2, 2 },
        { 1, DEVICE_SELECT, 1 }, { 1, NUM_QUEUES, 2 }, { 1, GENERATION, 1 }, { 1, DEVICE_FEATURE, 4 }, { 1, 0x38, 4 }, { 1, VNET_ISR, 1 },
        { 1, 0x100, 4 }, { 1, 0xffc, 4 }, { 1, VNET_NOTIFY + 12, 2 }, { 0, L_STATUS, 2 }, { 0, L_PFN, 2 }, { 0, L_OFFERED, 4 },
        { 0, L_SIZE, 2 }, { 0, L_ISR, 1 }, { 0, 28, 4 }, { 0, L_SELECT, 4 }, { 1, QUEUE_SELECT + 1, 2 }, { 1, DESC + 1, 4 }, { 0, L_SELECT + 1, 2 }, { 0, L_FEATURES + 2, 4 },
    };
    virtio_fixture_restart();
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        nic_write(host.nic, bad[i].bar, bad[i].offset, bad[i].size, 0x10101, host.now);
        CU_ASSERT_EQUAL(host.errors, i + 1);
    }
    CU_ASSERT_EQUAL(mr(STATUS, 1), 0);
    CU_ASSERT_EQUAL(mr(QUEUE_SELECT, 2), 0);
    CU_ASSERT_EQUAL(mr(0x38, 4), 0);
    CU_ASSERT_EQUAL(mr(0xffc, 4), 0);
    CU_ASSERT_EQUAL(mr(DEVICE_FEATURE + 2, 2), OFFERED_LOW >> 16); /* parts of a register are read */
    CU_ASSERT_EQUAL(mr(DEVICE_FEATURE + 1, 1), OFFERED_LOW >> 8 & 0xff);
    CU_ASSERT_EQUAL(nic_read(host.nic, 2, 0, 4, host.now), UINT32_MAX);
    for (unsigned bar = 0; bar < 2; bar++)
        for (uint32_t at = 0; at < 4100; at++)
            for (unsigned size = 1; size <= 4; size *= 2) {
                uint32_t value = nic_read(host.nic, bar, at, size, host.now);
                CU_ASSERT_TRUE(size == 4 || value == UINT32_MAX || value < 1u << 8 * size);
                nic_write(host.nic, bar, at, size, 0xffffffff, host.now);
            }
}

static void link(void)
{
    open_modern(F(STATUS), 16);
    uint32_t generation = mr(GENERATION, 1);
    nic_set_link(host.nic, true, host.now); /* as it is */
    CU_ASSERT_FALSE(host.irq);
    nic_set_link(host.nic, false, host.now);
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_NOT_EQUAL(mr(GENERATION, 1), generation);
    CU_ASSERT_EQUAL(mr(VNET_CONFIG + 6, 2), 0);
    CU_ASSERT_EQUAL(isr(), 2);
    CU_ASSERT_FALSE(host.irq);
    CU_ASSERT_EQUAL(isr(), 0);
    rx_give(0, 4, 2048);
    CU_ASSERT_EQUAL(rx(60), NIC_RX_OFF);
    tx_fill(make_frame(60), 60);
    tx_send(0, 60);
    CU_ASSERT_EQUAL(host.frame_count, 0);
    CU_ASSERT_EQUAL(used(VNET_TX), 1); /* gone all the same */
    nic_set_link(host.nic, true, host.now);
    CU_ASSERT_EQUAL(isr(), 3);
    CU_ASSERT_EQUAL(rx(60), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(used(VNET_RX), 1);
    set_status(0);
    nic_set_link(host.nic, false, host.now); /* nobody is there to be told */
    CU_ASSERT_FALSE(host.irq);
    CU_ASSERT_EQUAL(mr(VNET_CONFIG + 6, 1), 0);
}

static void reset(void)
{
    for (unsigned way = 0; way < 3; way++) {
        open_modern(F(CTRL_VQ) | F(CTRL_RX) | F(EVENT_IDX) | F(GUEST_CSUM), 16);
        command(0, 0, "\0", 1);
        host.no_room = true;
        tx_fill(make_frame(60), 60);
        tx_send(0, 60);
        nic_set_link(host.nic, false, host.now);
        nic_set_link(host.nic, true, host.now);
        mw(DEVICE_SELECT, 4, 1);
        CU_ASSERT_TRUE(host.irq && host.deadline);
        CU_ASSERT_EQUAL(nic_accepts(host.nic), NIC_ACCEPTS_CSUM);
        if (way == 0)
            mw(STATUS, 1, 0);
        else if (way == 1)
            lw(L_STATUS, 1, 0);
        else
            nic_reset(host.nic, host.now);
        CU_ASSERT_FALSE(host.irq);
        CU_ASSERT_EQUAL(host.deadline, 0);
        CU_ASSERT_EQUAL(mr(STATUS, 1), 0);
        CU_ASSERT_EQUAL(isr(), 0);
        CU_ASSERT_EQUAL(mr(DEVICE_SELECT, 4), 0);
        CU_ASSERT_EQUAL(card()->features, 0);
        CU_ASSERT_TRUE(card()->filter.promiscuous);
        CU_ASSERT_EQUAL(nic_accepts(host.nic), NIC_ACCEPTS_CSUM | NIC_ACCEPTS_TSO);
        for (unsigned i = 0; i < 3; i++) {
            mw(QUEUE_SELECT, 2, i);
            CU_ASSERT_EQUAL(mr(QUEUE_ENABLE, 2), 0);
            CU_ASSERT_EQUAL(mr(QUEUE_SIZE, 2), 256);
            CU_ASSERT_EQUAL(mr(DESC, 4), 0);
        }
        CU_ASSERT_EQUAL(rx(60), NIC_RX_OFF);
    }
}

/* What the network may send follows the driver, and the host is told as it begins. */
static void accepts(void)
{
    static const struct { uint64_t features; unsigned accepts; } cases[] = {
        { 0, 0 }, { F(GUEST_CSUM), NIC_ACCEPTS_CSUM }, { F(GUEST_CSUM) | F(GUEST_TSO4), NIC_ACCEPTS_CSUM },
        { F(GUEST_CSUM) | F(GUEST_TSO6), NIC_ACCEPTS_CSUM },
        { F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_TSO6), NIC_ACCEPTS_CSUM | NIC_ACCEPTS_TSO },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        open_modern(cases[i].features, 16);
        CU_ASSERT_EQUAL(nic_accepts(host.nic), cases[i].accepts);
        CU_ASSERT_EQUAL(host.accepts_changed, 1);
        open_legacy((uint32_t)cases[i].features);
        CU_ASSERT_EQUAL(nic_accepts(host.nic), cases[i].accepts);
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "identity", identity },
        { "offered features", offered },
        { "features in halves", features_halves },
        { "FEATURES_OK", features_ok },
        { "a refusal is not passed over", refused_and_on },
        { "features stay", chosen_is_chosen },
        { "status", status },
        { "queue sizes", queue_sizes },
        { "cve class J: selects outside", selects_outside },
        { "queue addresses", queue_addresses },
        { "queue alignment", queue_alignment },
        { "cve class J: a running queue", running_queue },
        { "queues of the legacy interface", legacy_queue },
        { "the device's configuration", configuration },
        { "odd accesses", odd_accesses },
        { "link", link },
        { "reset", reset },
        { "what is accepted", accepts },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("virtio", tests, virtio_fixture_start, virtio_fixture_stop);
}
