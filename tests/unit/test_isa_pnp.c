/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ISA Plug and Play on the RTL8019AS, as an operating system goes about it: key,
 * isolation of several cards on one bus, resource data, configuration.
 */
#include "nicemu/dp8390.h"
#include "nicemu/isa_pnp.h"
#include "tests/fake/fake_nic_host.h"
#include "tests/unit/unit.h"

#include <string.h>

#define CARDS 3u
#define READ_PORT 0x273u

static struct fake_nic_host host[CARDS];
static unsigned plugged;

static void unplug(void)
{
    for (unsigned i = 0; i < plugged; i++)
        fake_nic_host_stop(&host[i]);
    plugged = 0;
}

/* Cards that differ in their addresses, and so in their serial numbers. */
static void plug(unsigned count)
{
    unplug();
    for (; plugged < count; plugged++) {
        uint8_t image[NIC_EEPROM_SIZE], identifier[8];
        struct fake_nic_host *h = &host[plugged];
        fake_nic_host_start(h, "rtl8019as");
        nic_get_eeprom(h->nic, image);
        image[9] = (uint8_t)(0x56 ^ plugged); /* the last byte of the address */
        image[0x16] = image[9];
        memcpy(identifier, image + 0x12, 8);
        image[0x1a] = isa_pnp_checksum(identifier);
        CU_ASSERT_TRUE(nic_set_eeprom(h->nic, image, sizeof image));
        nic_reset(h->nic, h->now);
    }
}

static void out(uint16_t port, uint8_t value)
{
    for (unsigned i = 0; i < plugged; i++)
        nic_pnp_write(host[i].nic, port, value, host[i].now);
}

/* One read on the bus: nobody drives it, or all that do agree. */
static uint8_t in(void)
{
    bool drives[CARDS], driven = false;
    uint8_t value = 0xff, bus = 0xff;
    for (unsigned i = 0; i < plugged; i++) {
        drives[i] = nic_pnp_read(host[i].nic, READ_PORT, &value, host[i].now);
        bus = drives[i] ? bus & value : bus;
        driven |= drives[i];
    }
    for (unsigned i = 0; i < plugged; i++)
        if (driven && !drives[i])
            nic_pnp_outvoted(host[i].nic);
    return bus;
}

static void set(uint8_t reg, uint8_t value)
{
    out(0x279, reg);
    out(0xa79, value);
}

static uint8_t get(uint8_t reg)
{
    out(0x279, reg);
    return in();
}

static void key(void)
{
    static const uint8_t bytes[32] = {
        0x6a, 0xb5, 0xda, 0xed, 0xf6, 0xfb, 0x7d, 0xbe, 0xdf, 0x6f, 0x37, 0x1b, 0x0d, 0x86, 0xc3, 0x61,
        0xb0, 0x58, 0x2c, 0x16, 0x8b, 0x45, 0xa2, 0xd1, 0xe8, 0x74, 0x3a, 0x9d, 0xce, 0xe7, 0x73, 0x39 };
    out(0x279, 0);
    out(0x279, 0);
    for (unsigned i = 0; i < 32; i++)
        out(0x279, bytes[i]);
}

/* 72 bits; false where nobody answered or the checksum is wrong. */
static bool isolate(uint8_t identifier[9])
{
    memset(identifier, 0, 9);
    out(0x279, 1);
    for (unsigned bit = 0; bit < 72; bit++) {
        uint8_t first = in(), second = in();
        if (first == 0x55 && second == 0xaa)
            identifier[bit / 8] |= (uint8_t)(1u << bit % 8);
    }
    return identifier[0] && isa_pnp_checksum(identifier) == identifier[8];
}

static unsigned number_cards(uint8_t identifiers[CARDS][9])
{
    unsigned csn = 0;
    key();
    set(2, 4); /* all select numbers back to 0 */
    for (;;) {
        uint8_t identifier[9];
        set(3, 0);
        set(0, READ_PORT >> 2);
        if (!isolate(identifier) || csn == CARDS)
            return csn;
        memcpy(identifiers[csn], identifier, 9);
        set(6, (uint8_t)++csn);
    }
}

static struct nic_isa_place where(unsigned card)
{
    struct nic_isa_place place;
    nic_isa_place(host[card].nic, &place);
    return place;
}

static void power_on(void)
{
    plug(1);
    CU_ASSERT_TRUE(where(0).active);
    CU_ASSERT_EQUAL(where(0).port, 0x300);
    CU_ASSERT_EQUAL(where(0).irq, 9);
    uint8_t value;
    CU_ASSERT_FALSE(nic_pnp_read(host[0].nic, READ_PORT, &value, 0));
    CU_ASSERT_EQUAL(fake_in(&host[0], 0xa), 0x50); /* as Linux's ne tells an RTL8019AS */
    CU_ASSERT_EQUAL(fake_in(&host[0], 0xb), 0x70);
    fake_nic_host_stop(&host[0]);
    fake_nic_host_start(&host[0], "ne2000"); /* a board without Plug and Play */
    nic_pnp_write(host[0].nic, 0x279, 0x6a, 0);
    CU_ASSERT_FALSE(nic_pnp_read(host[0].nic, READ_PORT, &value, 0));
    CU_ASSERT_EQUAL(where(0).port, 0x300);
}

static void one_card(void)
{
    uint8_t identifiers[CARDS][9];
    plug(1);
    CU_ASSERT_EQUAL_FATAL(number_cards(identifiers), 1);
    CU_ASSERT_EQUAL(memcmp(identifiers[0], "\x4a\x8c\x80\x19\x56", 5), 0);
    /* Resource data: identifier, tags, and a sum of zero. */
    set(3, 1);
    uint8_t sum = 0, data[101], count = 0;
    for (unsigned i = 0; i < 9; i++)
        CU_ASSERT_EQUAL(get(4), identifiers[0][i]);
    CU_ASSERT_EQUAL(get(5) & 1, 1);
    do {
        data[count] = get(4);
        sum = (uint8_t)(sum + data[count]);
    } while (data[count++] != 0x79 && count < 100);
    sum = (uint8_t)(sum + get(4));
    CU_ASSERT_EQUAL(sum, 0);
    CU_ASSERT_EQUAL(data[0], 0x0a);
    CU_ASSERT_PTR_NOT_NULL(memmem(data, count, "\x1c\x41\xd0\x80\xd6", 5)); /* PNP80D6 */
    for (unsigned i = 0; i < 300; i++)
        get(4); /* beyond the end: no harm */
    CU_ASSERT_EQUAL(get(4), 0xff);
}

static void several_cards(void)
{
    uint8_t identifiers[CARDS][9];
    plug(3);
    CU_ASSERT_EQUAL_FATAL(number_cards(identifiers), 3);
    for (uint8_t csn = 1; csn <= 3; csn++) {
        set(3, csn);
        set(7, 0);
        CU_ASSERT_EQUAL(get(6), csn);
        set(0x30, 0);
        set(0x60, (uint8_t)((0x240 + 0x20 * csn) >> 8));
        set(0x61, (uint8_t)(0x240 + 0x20 * csn));
        set(0x70, (uint8_t)(9 + csn));
        set(0x30, 1);
    }
    set(2, 2); /* wait for key */
    unsigned seen = 0;
    for (unsigned card = 0; card < 3; card++) {
        struct nic_isa_place place = where(card);
        CU_ASSERT_TRUE(place.active);
        unsigned csn = (place.port - 0x240u) / 0x20;
        CU_ASSERT_EQUAL(place.irq, 9 + csn);
        seen |= 1u << csn;
        fake_out(&host[card], 0, 0xe1); /* page 3 knows it, too */
        CU_ASSERT_EQUAL(fake_in(&host[card], 8), csn);
        CU_ASSERT_EQUAL(fake_in(&host[card], 4) & 0x0f, 8 + (place.port - 0x200) / 0x20);
    }
    CU_ASSERT_EQUAL(seen, 0x0e);
    CU_ASSERT_EQUAL(get(6), 0xff); /* asleep to all but the key */
    nic_reset(host[0].nic, 0);
    CU_ASSERT_EQUAL(where(0).port, 0x300); /* what Plug and Play has set is not kept */
}

static void registers(void)
{
    uint8_t identifiers[CARDS][9];
    plug(1);
    number_cards(identifiers);
    set(3, 1);
    set(0x60, 0xff); /* ten bits, 32 ports each */
    set(0x61, 0xff);
    CU_ASSERT_EQUAL(get(0x60), 0x03);
    CU_ASSERT_EQUAL(get(0x61), 0xe0);
    CU_ASSERT_EQUAL(get(0x71), 2);
    CU_ASSERT_EQUAL(get(0x74), 4); /* no DMA */
    set(0x30, 0);
    CU_ASSERT_FALSE(where(0).active);
    set(0x31, 3);
    CU_ASSERT_TRUE(where(0).active); /* for the range check */
    CU_ASSERT_EQUAL(fake_in(&host[0], 0x1f), 0x55);
    set(0x31, 2);
    CU_ASSERT_EQUAL(fake_in(&host[0], 0), 0xaa);
    set(0x31, 0);
    set(7, 1); /* there is no second device */
    set(0x30, 1);
    CU_ASSERT_EQUAL(get(0x30), 0);
    set(7, 0);
    CU_ASSERT_EQUAL(get(0x30), 0);
    set(3, 7); /* another card's number */
    CU_ASSERT_EQUAL(get(0x30), 0xff);
    set(3, 1);
    CU_ASSERT_EQUAL(get(6), 1);
}

/* A key with a mistake, and cards in the wrong state. */
static void wrong_key(void)
{
    uint8_t identifier[9];
    plug(1);
    for (unsigned i = 0; i < 31; i++)
        out(0x279, 0x6a);
    set(3, 0);
    set(0, READ_PORT >> 2);
    CU_ASSERT_FALSE(isolate(identifier));
    key();
    set(0, READ_PORT >> 2); /* asleep: the port is not set */
    CU_ASSERT_EQUAL(get(6), 0xff);
    set(3, 0);
    set(0, READ_PORT >> 2);
    CU_ASSERT_TRUE(isolate(identifier));
    CU_ASSERT_FALSE(isolate(identifier)); /* 72 bits and no more */
}

/* Realtek's own key, which works in every mode: a jumperless board is moved, too. */
static void own_key(void)
{
    static const uint8_t bytes[32] = {
        0xda, 0x6d, 0x36, 0x1b, 0x8d, 0x46, 0x23, 0x91, 0x48, 0xa4, 0xd2, 0x69, 0x34, 0x9a, 0x4d, 0x26,
        0x13, 0x89, 0x44, 0xa2, 0x51, 0x28, 0x94, 0xca, 0x65, 0x32, 0x19, 0x0c, 0x86, 0x43, 0xa1, 0x50 };
    uint8_t image[NIC_EEPROM_SIZE], identifier[9];
    plug(1);
    nic_get_eeprom(host[0].nic, image);
    image[2] = 0x00; /* jumperless */
    nic_set_eeprom(host[0].nic, image, sizeof image);
    nic_reset(host[0].nic, 0);
    out(0x279, 0);
    for (unsigned i = 0; i < 32; i++)
        out(0x279, bytes[i]);
    set(3, 0);
    set(0, READ_PORT >> 2);
    CU_ASSERT_TRUE(isolate(identifier));
    set(6, 1);
    set(0x60, 0x02);
    set(0x61, 0x40);
    CU_ASSERT_EQUAL(where(0).port, 0x240);
    set(0x70, 0); /* no interrupt */
    CU_ASSERT_EQUAL(where(0).irq, 0);
    set(2, 2); /* back to waiting for a key */
    for (unsigned i = 0; i < 31; i++)
        out(0x279, bytes[i]);
    set(3, 1); /* not the last byte: still waiting */
    CU_ASSERT_EQUAL(get(6), 0xff);
}

/* A board set to "jumperless" by its EEPROM does not take part, one set to
 * "not active" waits for Plug and Play. */
static void modes(void)
{
    uint8_t image[NIC_EEPROM_SIZE], identifiers[CARDS][9];
    plug(1);
    nic_get_eeprom(host[0].nic, image);
    image[0] = 0x80 | 3 << 4 | 9; /* IRQ 5, ports 220 */
    image[2] = 0x00;
    nic_set_eeprom(host[0].nic, image, sizeof image);
    nic_reset(host[0].nic, 0);
    CU_ASSERT_EQUAL(where(0).port, 0x220);
    CU_ASSERT_EQUAL(where(0).irq, 5);
    CU_ASSERT_EQUAL(number_cards(identifiers), 0);
    image[2] = 0x81;
    nic_set_eeprom(host[0].nic, image, sizeof image);
    nic_reset(host[0].nic, 0);
    CU_ASSERT_FALSE(where(0).active);
    CU_ASSERT_EQUAL(number_cards(identifiers), 1);
}

/* In the middle of an isolation. */
static void saved(void)
{
    static uint8_t image[40000];
    uint8_t whole[9];
    plug(1);
    key();
    set(3, 0);
    set(0, READ_PORT >> 2);
    out(0x279, 1);
    for (unsigned bit = 0; bit < 30; bit++) {
        in();
        in();
    }
    size_t size = nic_save(host[0].nic, 0, image, sizeof image);
    plug(1);
    CU_ASSERT_EQUAL(nic_restore(host[0].nic, 0, image, size), 0);
    for (unsigned bit = 30; bit < 72; bit++) {
        in();
        in();
    }
    set(6, 5);
    CU_ASSERT_EQUAL(get(6), 5);
    set(3, 5);
    for (unsigned i = 0; i < 9; i++)
        whole[i] = get(4);
    CU_ASSERT_EQUAL(isa_pnp_checksum(whole), whole[8]);
    image[28 + 80 + 1] ^= 1; /* whatever it is, it does not crash: the fuzzer does the rest */
    nic_restore(host[0].nic, 0, image, size);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "at power-on", power_on },
        { "one card", one_card },
        { "several cards", several_cards },
        { "registers", registers },
        { "a wrong key", wrong_key },
        { "Realtek's own key", own_key },
        { "modes of the EEPROM", modes },
        { "saved in the middle", saved },
        CU_TEST_INFO_NULL,
    };
    int status = unit_run("isa_pnp", tests);

    unplug();
    return status;
}
