/* SPDX-License-Identifier: BSD-2-Clause
 *
 * MC146818: see rtc.h; facts from the Motorola data sheet and the PC's CMOS
 * map. Flags of register C are brought up to date whenever somebody looks.
 */
#include "x86vm/pc/rtc.h"

#include <stdbool.h>
#include <stdlib.h>

#define NS_PER_S 1000000000u
#define UIP_NS 2228000u /* update-in-progress shows 244 us before the update of 1984 us ends */
#define DAY_S 86400

enum { SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM, WEEKDAY, DAY, MONTH, YEAR,
       REG_A, REG_B, REG_C, REG_D, CENTURY = 0x32 };
enum { A_UIP = 0x80, A_DIVIDER = 0x70, A_DIVIDER_RUNS = 0x20, A_RATE = 0x0f };
enum { B_SET = 0x80, B_PIE = 0x40, B_AIE = 0x20, B_UIE = 0x10, B_BINARY = 0x04, B_24H = 0x02 };
enum { C_IRQF = 0x80, C_PF = 0x40, C_AF = 0x20, C_UF = 0x10 };
enum { D_VALID = 0x80 };

struct rtc {
    uint8_t ram[128];       /* time registers hold what was written while B_SET is on */
    uint8_t index;
    struct irq_line irq8;
    int64_t wall_base;      /* UTC seconds at `time_base` */
    int weekday_ahead;      /* 0-6: of the date's; the chip counts days of the week by themselves */
    uint64_t time_base;     /* ns */
    uint64_t periodic_base; /* ns; when the rate was set */
    uint64_t periodic_seen; /* periods since then that are in register C */
    uint64_t second_seen;   /* seconds since time_base that are in register C */
};

struct date { int second, minute, hour, weekday, day, month, year; };

/* Civil date from days since 1970 (proleptic Gregorian, eras of 400 years from 1 March 0000). */
static struct date to_date(int64_t wall)
{
    int64_t days = wall / DAY_S, rest = wall % DAY_S, era, year;
    int day_of_era, year_of_era, day_of_year, shifted_month;
    struct date d;

    if (rest < 0) {
        rest += DAY_S;
        days--;
    }
    d.second = (int)(rest % 60);
    d.minute = (int)(rest / 60 % 60);
    d.hour = (int)(rest / 3600);
    d.weekday = (int)(((days + 4) % 7 + 7) % 7) + 1; /* 1 January 1970 was a Thursday; Sunday is 1 */
    days += 719468;
    era = (days >= 0 ? days : days - 146096) / 146097;
    day_of_era = (int)(days - era * 146097);
    year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    shifted_month = (5 * day_of_year + 2) / 153;
    year = year_of_era + era * 400;
    d.day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    d.month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    d.year = (int)(d.month <= 2 ? year + 1 : year);
    return d;
}

static int64_t from_date(const struct date *d)
{
    int64_t year = d->month <= 2 ? d->year - 1 : d->year, era = year / 400;
    int year_of_era = (int)(year - era * 400);
    int day_of_year = (153 * (d->month > 2 ? d->month - 3 : d->month + 9) + 2) / 5 + d->day - 1;
    int64_t days = era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;

    return days * DAY_S + d->hour * 3600 + d->minute * 60 + d->second;
}

static bool divides(const struct rtc *rtc)
{
    return (rtc->ram[REG_A] & A_DIVIDER) == A_DIVIDER_RUNS;
}

static bool is_running(const struct rtc *rtc)
{
    return !(rtc->ram[REG_B] & B_SET) && divides(rtc);
}

static uint64_t seconds_since_base(const struct rtc *rtc, uint64_t now)
{
    return now > rtc->time_base ? (now - rtc->time_base) / NS_PER_S : 0;
}

static uint64_t period_ns(const struct rtc *rtc)
{
    unsigned rate = rtc->ram[REG_A] & A_RATE;

    if (rate == 0 || !divides(rtc))
        return 0;
    if (rate < 3)
        rate += 7;
    return ((uint64_t)NS_PER_S << (rate - 1)) / 32768;
}

static uint8_t encode(const struct rtc *rtc, int value)
{
    return (uint8_t)(rtc->ram[REG_B] & B_BINARY ? value : value / 10 << 4 | value % 10);
}

static int decode(const struct rtc *rtc, uint8_t value)
{
    return rtc->ram[REG_B] & B_BINARY ? value : (value >> 4) * 10 + (value & 15);
}

static uint8_t encode_hour(const struct rtc *rtc, int hour)
{
    if (rtc->ram[REG_B] & B_24H)
        return encode(rtc, hour);
    return (uint8_t)(encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0));
}

static int decode_hour(const struct rtc *rtc, uint8_t value)
{
    if (rtc->ram[REG_B] & B_24H)
        return decode(rtc, value);
    return decode(rtc, value & 0x7f) % 12 + (value & 0x80 ? 12 : 0);
}

/* The time registers as of `now`; frozen ones stay as they are. */
static void store_time(struct rtc *rtc, uint64_t now)
{
    struct date d = to_date(rtc->wall_base + (int64_t)seconds_since_base(rtc, now));

    rtc->ram[SECONDS] = encode(rtc, d.second);
    rtc->ram[MINUTES] = encode(rtc, d.minute);
    rtc->ram[HOURS] = encode_hour(rtc, d.hour);
    rtc->ram[WEEKDAY] = encode(rtc, (d.weekday - 1 + rtc->weekday_ahead) % 7 + 1);
    rtc->ram[DAY] = encode(rtc, d.day);
    rtc->ram[MONTH] = encode(rtc, d.month);
    rtc->ram[YEAR] = encode(rtc, d.year % 100);
    rtc->ram[CENTURY] = (uint8_t)(d.year / 1000 << 4 | d.year / 100 % 10); /* always BCD, by the BIOS's custom */
}

static int clamp(int value, int low, int high)
{
    return value < low ? low : value > high ? high : value;
}

/* The clock goes on from what the registers say. */
static void load_time(struct rtc *rtc, uint64_t now)
{
    uint8_t century = rtc->ram[CENTURY];
    struct date d = {
        .second = clamp(decode(rtc, rtc->ram[SECONDS]), 0, 59),
        .minute = clamp(decode(rtc, rtc->ram[MINUTES]), 0, 59),
        .hour = clamp(decode_hour(rtc, rtc->ram[HOURS]), 0, 23),
        .day = clamp(decode(rtc, rtc->ram[DAY]), 1, 31),
        .month = clamp(decode(rtc, rtc->ram[MONTH]), 1, 12),
        .year = clamp((century >> 4) * 10 + (century & 15), 19, 99) * 100 +
                clamp(decode(rtc, rtc->ram[YEAR]), 0, 99),
    };

    rtc->wall_base = from_date(&d);
    rtc->weekday_ahead = (decode(rtc, rtc->ram[WEEKDAY]) + 7 - to_date(rtc->wall_base).weekday) % 7;
    rtc->time_base = now;
    rtc->second_seen = 0;
}

static bool alarm_field(const struct rtc *rtc, uint8_t alarm, int value, bool hour)
{
    if ((alarm & 0xc0) == 0xc0)
        return true; /* "don't care" */
    return (hour ? decode_hour(rtc, alarm) : decode(rtc, alarm)) == value;
}

static bool alarm_matches(const struct rtc *rtc, int64_t wall)
{
    struct date d = to_date(wall);

    return alarm_field(rtc, rtc->ram[SECONDS_ALARM], d.second, false) &&
           alarm_field(rtc, rtc->ram[MINUTES_ALARM], d.minute, false) &&
           alarm_field(rtc, rtc->ram[HOURS_ALARM], d.hour, true);
}

/* Raises the flags of what happened up to `now`. */
static void collect(struct rtc *rtc, uint64_t now)
{
    uint64_t period = period_ns(rtc), seconds = seconds_since_base(rtc, now);

    if (period && (now - rtc->periodic_base) / period > rtc->periodic_seen) {
        rtc->periodic_seen = (now - rtc->periodic_base) / period;
        rtc->ram[REG_C] |= C_PF;
    }
    if (is_running(rtc) && seconds > rtc->second_seen) {
        uint64_t first = rtc->second_seen + 1;

        rtc->ram[REG_C] |= C_UF;
        if (seconds - first >= DAY_S)
            first = seconds - DAY_S + 1; /* alarms repeat daily */
        for (uint64_t s = first; s <= seconds && !(rtc->ram[REG_C] & C_AF); s++)
            if (alarm_matches(rtc, rtc->wall_base + (int64_t)s))
                rtc->ram[REG_C] |= C_AF;
        rtc->second_seen = seconds;
    }
    if (rtc->ram[REG_C] & rtc->ram[REG_B] & (C_PF | C_AF | C_UF))
        rtc->ram[REG_C] |= C_IRQF;
    else
        rtc->ram[REG_C] &= (uint8_t)~C_IRQF;
    irq_line_set(&rtc->irq8, rtc->ram[REG_C] & C_IRQF);
}

uint64_t rtc_deadline(const struct rtc *rtc)
{
    uint64_t deadline = RTC_NEVER, period = period_ns(rtc);

    if (rtc->ram[REG_C] & C_IRQF)
        return RTC_NEVER; /* the line is up until register C is read */
    if ((rtc->ram[REG_B] & B_PIE) && period)
        deadline = rtc->periodic_base + (rtc->periodic_seen + 1) * period;
    if ((rtc->ram[REG_B] & (B_AIE | B_UIE)) && is_running(rtc)) {
        uint64_t second = rtc->time_base + (rtc->second_seen + 1) * NS_PER_S;
        if (second < deadline)
            deadline = second;
    }
    return deadline;
}

void rtc_service(struct rtc *rtc, uint64_t now)
{
    if (now >= rtc_deadline(rtc))
        collect(rtc, now);
}

static bool is_time_register(unsigned index)
{
    return index == SECONDS || index == MINUTES || index == HOURS || (index >= WEEKDAY && index <= YEAR) ||
           index == CENTURY;
}

uint8_t rtc_read(struct rtc *rtc, unsigned port, uint64_t now)
{
    uint8_t value;

    if (port == 0)
        return 0xff; /* the index is write-only */
    if (is_time_register(rtc->index) && is_running(rtc))
        store_time(rtc, now);
    value = rtc->ram[rtc->index];
    if (rtc->index == REG_A) {
        value &= (uint8_t)~A_UIP;
        if (is_running(rtc) && (now - rtc->time_base) % NS_PER_S >= NS_PER_S - UIP_NS)
            value |= A_UIP;
    } else if (rtc->index == REG_C) {
        collect(rtc, now);
        value = rtc->ram[REG_C];
        rtc->ram[REG_C] = 0;
        irq_line_set(&rtc->irq8, false);
    }
    return value;
}

static void write_register_a(struct rtc *rtc, uint8_t value, uint64_t now)
{
    bool was = is_running(rtc);

    collect(rtc, now);
    if (was)
        store_time(rtc, now);
    if ((value ^ rtc->ram[REG_A]) & (A_RATE | A_DIVIDER)) {
        rtc->periodic_base = now;
        rtc->periodic_seen = 0;
    }
    rtc->ram[REG_A] = value & (uint8_t)~A_UIP;
    if (!was && is_running(rtc)) {
        load_time(rtc, now);
        rtc->time_base = now >= NS_PER_S / 2 ? now - NS_PER_S / 2 : 0; /* first update half a second later */
    }
}

static void write_register_b(struct rtc *rtc, uint8_t value, uint64_t now)
{
    bool was = is_running(rtc);

    collect(rtc, now);
    if (was)
        store_time(rtc, now);
    if (value & B_SET)
        value &= (uint8_t)~B_UIE;
    rtc->ram[REG_B] = value;
    if (!was && is_running(rtc))
        load_time(rtc, now);
    collect(rtc, now);
}

void rtc_write(struct rtc *rtc, unsigned port, uint8_t value, uint64_t now)
{
    if (port == 0) {
        rtc->index = value & 0x7f;
        return;
    }
    switch (rtc->index) {
    case REG_A:
        write_register_a(rtc, value, now);
        break;
    case REG_B:
        write_register_b(rtc, value, now);
        break;
    case REG_C:
    case REG_D:
        break;
    default:
        if (is_time_register(rtc->index) && is_running(rtc)) {
            uint64_t fraction = (now - rtc->time_base) % NS_PER_S;
            store_time(rtc, now);
            rtc->ram[rtc->index] = value;
            load_time(rtc, now);
            rtc->time_base -= fraction; /* the update cycle goes on undisturbed */
        } else {
            rtc->ram[rtc->index] = value;
        }
    }
}

static void put16(uint8_t *ram, unsigned low, unsigned high, uint64_t value)
{
    if (value > 0xffff)
        value = 0xffff;
    ram[low] = (uint8_t)value;
    ram[high] = (uint8_t)(value >> 8);
}

/* The PC's configuration bytes, as a BIOS would leave them. */
static void describe_machine(uint8_t *ram, uint64_t ram_size)
{
    uint64_t extended_kib = ram_size > 1u << 20 ? (ram_size - (1u << 20)) >> 10 : 0;
    uint64_t above_16m = ram_size > 16u << 20 ? (ram_size - (16u << 20)) >> 16 : 0;

    ram[0x14] = 0x02; /* equipment: coprocessor; no floppy, no display */
    put16(ram, 0x15, 0x16, 640);
    put16(ram, 0x17, 0x18, extended_kib < 0xfc00 ? extended_kib : 0xfc00);
    put16(ram, 0x30, 0x31, extended_kib < 0xfc00 ? extended_kib : 0xfc00);
    put16(ram, 0x34, 0x35, above_16m);
}

void rtc_reset(struct rtc *rtc, uint64_t now)
{
    collect(rtc, now);
    rtc->ram[REG_B] &= (uint8_t)~(B_PIE | B_AIE | B_UIE);
    rtc->ram[REG_C] = 0;
    rtc->index = 0;
    irq_line_set(&rtc->irq8, false);
}

struct rtc *rtc_new(const struct irq_line *irq8, uint64_t ram_size, int64_t wall_seconds, uint64_t now)
{
    struct rtc *rtc = calloc(1, sizeof *rtc);

    if (!rtc)
        return NULL;
    rtc->irq8 = *irq8;
    rtc->wall_base = wall_seconds;
    rtc->time_base = rtc->periodic_base = now;
    rtc->ram[REG_A] = A_DIVIDER_RUNS | 6; /* 1024 Hz */
    rtc->ram[REG_B] = B_24H;
    rtc->ram[REG_D] = D_VALID;
    describe_machine(rtc->ram, ram_size);
    store_time(rtc, now);
    return rtc;
}

void rtc_free(struct rtc *rtc)
{
    free(rtc);
}
