/* SPDX-License-Identifier: BSD-2-Clause
 *
 * e1000's wake-up logic (6.4): while WUC.PME_EN is set, frames that pass the
 * address filter are held against the filters of WUFC; with WUC.APME alone only
 * against that for magic packets. The first that matches sets WUS and
 * WUC.PME_STATUS, which makes PME#, and is kept in WUPM; those after it are
 * ignored until the driver has cleared WUS. In D0 the frame is received as ever.
 */
#include "nicemu/e1000.h"
#include "nicemu/mac_filter.h"

#include <string.h>

#define WU_LNKC 0x01u
#define WU_MAG 0x02u
#define WU_EX 0x04u
#define WU_MC 0x08u
#define WU_BC 0x10u
#define WU_ARP 0x20u
#define WU_IPV4 0x40u
#define WU_IPV6 0x80u
#define WU_FLX(i) (0x10000u << (i))
#define IPAV_V60 0x10000u
#define KEPT 128u /* bytes of a frame, in WUPM */
#define LENGTH_MAX 2047u

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

/* As the address tables have them: the first byte on the wire is the lowest. */
static uint32_t get32_wire(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Six bytes of ones somewhere, and sixteen times the address of RAR 0 behind them. */
static bool is_magic(const struct e1000 *e, const uint8_t *frame, size_t size)
{
    unsigned ones = 0;
    for (size_t at = NIC_ETH_HEADER; at < size; at++) {
        if (ones >= 6 && size - at >= 96 && mac_equals_pair(frame + at, REG(e, RAL), REG(e, RAH))) {
            unsigned copies = 1;
            while (copies < 16 && memcmp(frame + at, frame + at + 6 * copies, 6) == 0)
                copies++;
            if (copies == 16)
                return true;
        }
        ones = frame[at] == 0xff ? ones + 1 : 0;
    }
    return false;
}

static bool is_our_ipv4(const struct e1000 *e, const uint8_t *address)
{
    for (unsigned i = 0; i < 4; i++)
        if ((REG(e, IPAV) >> i & 1) && e->reg[E1000_IP4AT / 4 + 2 * i] == get32_wire(address))
            return true;
    return false;
}

static bool is_our_ipv6(const struct e1000 *e, const uint8_t *address)
{
    for (unsigned i = 0; i < 4; i++)
        if (e->reg[E1000_IP6AT / 4 + i] != get32_wire(address + 4 * i))
            return false;
    return REG(e, IPAV) & IPAV_V60;
}

/* Where the type is, behind a tag and an LLC/SNAP header that may be there. */
static size_t find_type(const uint8_t *frame, size_t size)
{
    size_t at = 12;
    if (size >= at + 6 && get16(frame + at) == 0x8100)
        at += 4;
    if (size >= at + 10 && get16(frame + at) <= 1500 && memcmp(frame + at + 2, "\xaa\xaa\x03\x00\x00\x00", 6) == 0)
        at += 8;
    return at;
}

static uint32_t match_protocols(const struct e1000 *e, const uint8_t *frame, size_t size)
{
    size_t type = find_type(frame, size);
    if (size < type + 30)
        return 0;
    const uint8_t *body = frame + type + 2;
    switch (get16(frame + type)) {
    case 0x0806:
        return mac_is_broadcast(frame) && memcmp(body, "\x00\x01\x08\x00\x06\x04\x00\x01", 8) == 0 &&
               is_our_ipv4(e, body + 24) ? WU_ARP : 0;
    case 0x0800:
        return !mac_is_multicast(frame) && body[0] >> 4 == 4 && is_our_ipv4(e, body + 16) ? WU_IPV4 : 0;
    case 0x86dd:
        return size >= type + 2 + 40 && !mac_is_multicast(frame) && body[0] >> 4 == 6 && is_our_ipv6(e, body + 24)
               ? WU_IPV6 : 0;
    default:
        return 0;
    }
}

/* Byte i of a frame has a word in each table: four bits of mask, four bytes of value. */
static bool matches_flexible(const struct e1000 *e, unsigned filter, const uint8_t *frame, size_t size)
{
    uint32_t length = e->reg[E1000_FFLT / 4 + 2 * filter];
    if (!length || size < length)
        return false;
    for (unsigned i = 0; i < length && i < KEPT; i++) {
        bool compared = e->reg[E1000_FFMT / 4 + 2 * i] >> filter & 1;
        if (compared && frame[i] != (uint8_t)(e->reg[E1000_FFVT / 4 + 2 * i] >> 8 * filter))
            return false;
    }
    return true;
}

/* What of WUFC's filters the frame matches; only those in `wanted` are looked at. */
static uint32_t match(const struct e1000 *e, const uint8_t *frame, size_t size, uint32_t wanted)
{
    bool exact, inexact, passes = e1000_rx_address_passes(e, frame, &exact, &inexact);
    uint32_t found = 0;

    if ((wanted & WU_MAG) && (passes || mac_is_broadcast(frame)) && is_magic(e, frame, size))
        found |= WU_MAG;
    if (!passes)
        return found;
    if (exact)
        found |= WU_EX;
    if (mac_is_broadcast(frame))
        found |= WU_BC;
    else if (inexact)
        found |= WU_MC;
    if (wanted & (WU_ARP | WU_IPV4 | WU_IPV6))
        found |= match_protocols(e, frame, size);
    for (unsigned i = 0; i < 4; i++)
        if ((wanted & WU_FLX(i)) && matches_flexible(e, i, frame, size))
            found |= WU_FLX(i);
    return found & wanted;
}

static void wake(struct e1000 *e)
{
    REG(e, WUC) |= WUC_PME_STATUS;
    e1000_pme_tell(e);
}

void e1000_wake_frame(struct e1000 *e, const uint8_t *frame, size_t size)
{
    uint32_t filters = REG(e, WUC) & WUC_PME_EN ? REG(e, WUFC) & ~WU_LNKC : 0;
    uint32_t wanted = filters | (REG(e, WUC) & WUC_APME ? WU_MAG : 0);
    if (REG(e, WUS) & ~WU_LNKC)
        return;
    uint32_t found = match(e, frame, size, wanted);
    if (!found)
        return;
    uint8_t kept[KEPT] = { 0 };
    memcpy(kept, frame, size < KEPT ? size : KEPT);
    for (unsigned i = 0; i < KEPT / 4; i++)
        e->reg[E1000_WUPM / 4 + i] = get32_wire(kept + 4 * i);
    REG(e, WUPL) = size < LENGTH_MAX ? (uint32_t)size : LENGTH_MAX;
    REG(e, WUS) |= found;
    if ((found & filters) || (REG(e, WUC) & WUC_APMPME)) /* APM alone tells only where it is asked to (6.4.1) */
        wake(e);
}

void e1000_wake_link(struct e1000 *e)
{
    if (!(REG(e, WUC) & WUC_PME_EN) || !(REG(e, WUFC) & WU_LNKC) || (REG(e, WUS) & WU_LNKC))
        return;
    REG(e, WUS) |= WU_LNKC;
    wake(e);
}

/* PME_STATUS is cleared by writing it as one; so is each bit of WUS. */
void e1000_write_wuc(struct e1000 *e, uint32_t index, uint32_t value)
{
    uint32_t status = e->reg[index] & ~value & WUC_PME_STATUS;
    uint32_t stored = WUC_APME | WUC_APMPME | (e->power.managed ? WUC_PME_EN : 0);
    e->reg[index] = (value & stored) | status;
    e1000_pme_tell(e);
}

void e1000_write_wus(struct e1000 *e, uint32_t index, uint32_t value)
{
    e->reg[index] &= ~value;
}
