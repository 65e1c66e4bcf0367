/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Saving and restoring of NIC models: a guest that goes on in another machine
 * notices nothing, and images that no model has saved are refused (class L).
 */
#include "nicemu/dp8390.h"
#include "tests/unit/e1000_fixture.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

static uint8_t image[200000], again[200000];

static size_t save(struct fake_nic_host *from)
{
    size_t size = nic_save(from->nic, from->now, image, sizeof image);
    CU_ASSERT_FATAL(size <= sizeof image);
    return size;
}

/* A second machine with the same memory, a clock of its own, and the saved NIC. */
static void move_to(struct fake_nic_host *to, const char *model)
{
    size_t size = save(&host);
    fake_nic_host_start(to, model);
    to->now = 77000000000;
    memcpy(to->memory, host.memory, FAKE_MEMORY_SIZE);
    CU_ASSERT_EQUAL(nic_restore(to->nic, to->now, image, size), 0);
    CU_ASSERT_EQUAL(nic_save(to->nic, to->now, again, sizeof again), size);
    CU_ASSERT_EQUAL(memcmp(image, again, size), 0);
}

static void model_start(const char *model)
{
    fake_nic_host_stop(&host);
    fake_nic_host_start(&host, model);
}

static bool is_unchanged(size_t size)
{
    return nic_save(host.nic, host.now, again, sizeof again) == size && memcmp(image, again, size) == 0;
}

static void headers(void)
{
    unsigned count = 0;
    while (nic_model_name(count))
        count++;
    CU_ASSERT_TRUE(count >= 8);
    for (unsigned i = 0; i < count; i++) {
        model_start(nic_model_name(i));
        size_t size = nic_save(host.nic, host.now, NULL, 0);
        CU_ASSERT_EQUAL(nic_save(host.nic, host.now, again, size - 1), size); /* too little room: nothing written */
        CU_ASSERT_EQUAL(save(&host), size);
        CU_ASSERT_EQUAL(nic_restore(host.nic, host.now, image, size), 0);
        CU_ASSERT_EQUAL(nic_restore(host.nic, host.now, image, size - 1), EINVAL);
        CU_ASSERT_EQUAL(nic_restore(host.nic, host.now, image, size + 1), EINVAL);
        CU_ASSERT_EQUAL(nic_restore(host.nic, host.now, image, 0), EINVAL);
        for (unsigned at = 0; at < 28; at++) { /* magic, version, size, name */
            image[at] ^= 0x40;
            CU_ASSERT_EQUAL(nic_restore(host.nic, host.now, image, size), EINVAL);
            image[at] ^= 0x40;
        }
        struct fake_nic_host other;
        fake_nic_host_start(&other, nic_model_name((i + 1) % count));
        CU_ASSERT_EQUAL(nic_restore(other.nic, other.now, image, size), EINVAL);
        fake_nic_host_stop(&other);
    }
}

/* In the middle of a TSO packet: the rest of it comes from the other machine. */
static void half_a_packet(void)
{
    static uint8_t frame[8192];
    struct fake_nic_host other;
    e1000_open(0);
    size_t size = make_tcp(frame, false, 6000);
    memcpy(host.memory + TX_DATA, frame, size);
    tx_context(14, 24, 33, 34, 50, 0, 0x07000000, 54, 1448);
    tx_put(TX_DATA, 3000 | TYPE_DATA | CMD_TSE, POPTS_IP | POPTS_L4);
    tx_ring();
    tx_put(TX_DATA + 3000, (uint32_t)(size - 3000) | TYPE_DATA | CMD_TSE | CMD_EOP | CMD_RS, POPTS_IP | POPTS_L4);
    move_to(&other, "e1000");
    fake_write(&other, E1000_TDT, 3);
    tx_ring();
    CU_ASSERT_EQUAL_FATAL(other.frame_count, 1);
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
    CU_ASSERT_EQUAL(other.frames[0].size, size);
    CU_ASSERT_EQUAL(memcmp(other.frames[0].bytes, host.frames[0].bytes, size), 0);
    CU_ASSERT_EQUAL(other.frames[0].offload.gso_size, 1448);
    fake_nic_host_stop(&other);
}

static void timers(void)
{
    struct fake_nic_host other;
    e1000_open(RCTL_EN);
    fake_write(&host, E1000_RDTR, 100);
    nic_receive(host.nic, make_frame(60), 60, NULL, host.now);
    fake_nic_host_advance(&host, 50000);
    move_to(&other, "e1000");
    CU_ASSERT_EQUAL(other.deadline, other.now + 102400 - 50000);
    CU_ASSERT_FALSE(other.irq);
    fake_nic_host_advance(&other, 52399);
    CU_ASSERT_FALSE(other.irq);
    fake_nic_host_advance(&other, 1);
    CU_ASSERT_TRUE(other.irq);
    CU_ASSERT_EQUAL(fake_read(&other, E1000_ICR), ICR_RXT0);
    fake_nic_host_stop(&other);
}

/* The interrupt line, and a throttled cause behind it. */
static void interrupt_line(void)
{
    struct fake_nic_host other;
    e1000_open(RCTL_EN);
    fake_write(&host, E1000_ITR, 1000);
    nic_receive(host.nic, make_frame(60), 60, NULL, host.now);
    move_to(&other, "e1000");
    CU_ASSERT_TRUE(other.irq);
    fake_nic_host_stop(&other);
    fake_read(&host, E1000_ICR);
    nic_receive(host.nic, make_frame(60), 60, NULL, host.now);
    move_to(&other, "e1000");
    CU_ASSERT_FALSE(other.irq);
    fake_nic_host_advance(&other, 256000);
    CU_ASSERT_TRUE(other.irq);
    fake_nic_host_stop(&other);
}

/* A frame that the machine holds because the ring was full is asked for again. */
static void waiting_frame(void)
{
    struct fake_nic_host other;
    e1000_open(0);
    rx_give(0); /* none */
    fake_write(&host, E1000_RCTL, RCTL_EN);
    CU_ASSERT_EQUAL(nic_receive(host.nic, make_frame(60), 60, NULL, host.now), NIC_RX_FULL);
    move_to(&other, "e1000");
    unsigned ready = other.ready;
    CU_ASSERT_TRUE(ready >= 1);
    fake_write(&other, E1000_RDT, 4);
    CU_ASSERT_EQUAL(other.ready, ready + 1);
    fake_nic_host_stop(&other);
}

/* Descriptors that the chip holds already are not read again on the other side. */
static void fetched_descriptors(void)
{
    struct fake_nic_host other;
    e1000_open(RCTL_EN);
    nic_receive(host.nic, make_frame(60), 60, NULL, host.now);
    memset(host.memory + RX_RING + 16, 0xff, 16);
    move_to(&other, "e1000");
    nic_receive(other.nic, make_frame(100), 100, NULL, other.now);
    CU_ASSERT_EQUAL(memcmp(other.memory + RX_BUFFERS + 2048, make_frame(100), 100), 0);
    fake_nic_host_stop(&other);
}

/* --- what no e1000 saves -------------------------------------------------- */

static struct e1000 *chip(void) { return (struct e1000 *)host.nic; }
static void rdt_wide(void) { chip()->reg[E1000_RDT / 4] = 0x10000; }
static void rdlen_odd(void) { chip()->reg[E1000_RDLEN / 4] = 100; }
static void rctl_reserved(void) { chip()->reg[E1000_RCTL / 4] |= 1; }
static void cause_unknown(void) { chip()->reg[E1000_ICR / 4] = 0x80000000; }
static void line_without_cause(void) { chip()->nic.irq_level = true; }
static void cause_without_line(void) { chip()->reg[E1000_ICR / 4] = chip()->reg[E1000_IMS / 4] = 1; }
static void window_outside(void) { chip()->io_address = 0x100000; }
static void cache_outside(void) { chip()->rx.cache_count = 1; chip()->rx.cache_first = RING; }
static void timer_far(void) { chip()->deadline[E1000_TIMER_RX_PACKET] = host.now + 20000000000; }
static void pause_far(void) { chip()->tx.pause_until = UINT64_MAX; }
static void phy_other(void) { chip()->phy.reg[2] = 0; }
static void eeprom_address(void) { chip()->eeprom.address = 64; }
static void eeprom_phase(void) { chip()->eeprom.phase = 4; }
static void eeprom_count(void) { chip()->eeprom.phase = 1; chip()->eeprom.count = 8; }
static struct e1000_tx *opened(void)
{
    chip()->tx.open = true;
    chip()->tx.limit = E1000_TX_MAX;
    return &chip()->tx;
}
static void packet_long(void) { opened()->size = E1000_TX_MAX + 1; }
static struct e1000_tx *segmented(uint8_t hdrlen, uint16_t mss, uint32_t chunk)
{
    struct e1000_tx *tx = opened();
    tx->segment = true;
    tx->context.hdrlen = hdrlen;
    tx->context.mss = mss;
    tx->chunk = chunk;
    tx->size = hdrlen;
    return tx;
}
static void segment_long(void) { segmented(54, 1448, 1448)->size = 54 + 1448 + 1; }
static void segment_no_mss(void) { segmented(54, 0, 0); }
static void segment_no_header(void) { segmented(13, 1448, 0); }
static void chunk_large(void) { segmented(54, 1448, 0x7fffffff); }
static void chunk_super_of_no_tcp(void) { segmented(54, 1448, 2896); }
static void chunk_before_header(void) { segmented(54, 1448, 1448)->size = 53; }
static void too_many_frames(void) { segmented(54, 1448, 1448)->frames = 1000000; }

static void refused_e1000(void)
{
    static const struct { const char *what; void (*spoil)(void); } cases[] = {
#define CASE(name) { #name, name }
        CASE(rdt_wide), CASE(rdlen_odd), CASE(rctl_reserved), CASE(cause_unknown), CASE(line_without_cause),
        CASE(cause_without_line), CASE(window_outside), CASE(cache_outside), CASE(timer_far),
        CASE(pause_far), CASE(phy_other), CASE(eeprom_address), CASE(eeprom_phase), CASE(eeprom_count),
        CASE(packet_long), CASE(segment_long), CASE(segment_no_mss), CASE(segment_no_header), CASE(chunk_large),
        CASE(chunk_super_of_no_tcp), CASE(chunk_before_header), CASE(too_many_frames),
    };
    static uint8_t spoilt[200000];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        e1000_open(RCTL_EN);
        cases[i].spoil();
        size_t size = nic_save(host.nic, host.now, spoilt, sizeof spoilt);
        e1000_open(RCTL_EN);
        size_t before = save(&host);
        int result = nic_restore(host.nic, host.now, spoilt, size);
        if (result != EINVAL)
            fprintf(stderr, "accepted: %s\n", cases[i].what);
        CU_ASSERT_EQUAL(result, EINVAL);
        CU_ASSERT_TRUE(is_unchanged(before));
    }
}

/* More descriptors than the chip holds: the byte is found as the one that changes. */
static void refused_cache(void)
{
    static uint8_t other[200000];
    e1000_open(RCTL_EN);
    size_t size = save(&host), at = 108;
    chip()->rx.cache_count = 1;
    size_t larger = nic_save(host.nic, host.now, other, sizeof other);
    CU_ASSERT_TRUE(larger > size);
    while (at < size && image[at] == other[at])
        at++;
    CU_ASSERT_EQUAL(nic_restore(host.nic, host.now, other, larger), 0);
    other[at] = E1000_PREFETCH + 1;
    CU_ASSERT_EQUAL(nic_restore(host.nic, host.now, other, larger), EINVAL);
    other[at] = 0xff;
    CU_ASSERT_EQUAL(nic_restore(host.nic, host.now, other, larger), EINVAL);
}

/* --- DP8390 --------------------------------------------------------------- */

static void ports(const uint8_t (*pairs)[2], size_t count)
{
    for (size_t i = 0; i < count; i++)
        fake_out(&host, pairs[i][0], pairs[i][1]);
}

/* In the middle of a remote read, with frames in the ring. */
static void half_a_remote_read(void)
{
    static const uint8_t open[][2] = { { 0, 0x21 }, { 0xe, 0x48 }, { 0xc, 0x14 }, { 0xd, 0 }, { 1, 0x46 }, { 2, 0x80 },
                                       { 3, 0x46 }, { 0xf, 0x3f }, { 0, 0x61 }, { 7, 0x47 }, { 0, 0x22 } };
    static const uint8_t dma[][2] = { { 0xa, 200 }, { 0xb, 0 }, { 8, 0 }, { 9, 0x47 }, { 0, 0x0a } };
    struct fake_nic_host other;
    model_start("rtl8029");
    ports(open, sizeof open / sizeof *open);
    nic_receive(host.nic, make_frame(300), 300, NULL, host.now);
    ports(dma, sizeof dma / sizeof *dma);
    for (int i = 0; i < 50; i++)
        fake_in(&host, 0x10);
    move_to(&other, "rtl8029");
    CU_ASSERT_TRUE(other.irq);
    for (int i = 50; i < 200; i++)
        CU_ASSERT_EQUAL(fake_in(&other, 0x10), make_frame(300)[i - 4]);
    CU_ASSERT_TRUE(fake_in(&other, 7) & ISR_RDC);
    CU_ASSERT_EQUAL(fake_in(&host, 0x10), make_frame(300)[46]); /* the first one is where it was */
    fake_nic_host_stop(&other);
    e1000_fixture_restart();
}

static struct dp8390 *core(void) { return (struct dp8390 *)host.nic; }
static void transmitting(void) { core()->cr |= CR_TXP; }
static void no_remote_command(void) { core()->cr = 2; }
static void tally_high(void) { core()->tally[0] = 193; }
static void imr_reserved(void) { core()->imr = 0x80; }
static void line_alone(void) { core()->nic.irq_level = true; }

static void refused_dp8390(void)
{
    static const struct { const char *what; void (*spoil)(void); } cases[] = {
        CASE(transmitting), CASE(no_remote_command), CASE(tally_high), CASE(imr_reserved), CASE(line_alone),
    };
    static uint8_t spoilt[60000];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        model_start("ne2000");
        cases[i].spoil();
        size_t size = nic_save(host.nic, host.now, spoilt, sizeof spoilt);
        model_start("ne2000");
        size_t before = save(&host);
        CU_ASSERT_EQUAL(nic_restore(host.nic, host.now, spoilt, size), EINVAL);
        CU_ASSERT_TRUE(is_unchanged(before));
    }
    e1000_fixture_restart();
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "headers and sizes", headers },
        { "half a packet", half_a_packet },
        { "timers", timers },
        { "the interrupt line", interrupt_line },
        { "a waiting frame", waiting_frame },
        { "fetched descriptors", fetched_descriptors },
        { "half a remote read", half_a_remote_read },
        { "cve class L: e1000 states refused", refused_e1000 },
        { "cve class L: descriptors that the chip cannot hold", refused_cache },
        { "cve class L: DP8390 states refused", refused_dp8390 },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("nic_state", tests, e1000_fixture_start, e1000_fixture_stop);
}
