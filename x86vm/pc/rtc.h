/* SPDX-License-Identifier: BSD-2-Clause
 *
 * MC146818 real-time clock with 128 bytes of CMOS. The time of day is the
 * monotonic `now` plus an offset; nothing ticks. Interrupts (periodic, alarm,
 * update-ended) on one line: its owner calls rtc_service() at rtc_deadline().
 */
#ifndef X86VM_PC_RTC_H
#define X86VM_PC_RTC_H

#include "x86vm/pc/irq_line.h"

#include <stdint.h>

#define RTC_NEVER UINT64_MAX

struct rtc;

/* `wall_seconds`: UTC seconds since 1970 at monotonic time `now` (ns). */
struct rtc *rtc_new(const struct irq_line *irq8, uint64_t ram_size, int64_t wall_seconds, uint64_t now);
void rtc_free(struct rtc *rtc);
void rtc_reset(struct rtc *rtc, uint64_t now);

/* `port` 0: index (0x70), 1: data (0x71). */
uint8_t rtc_read(struct rtc *rtc, unsigned port, uint64_t now);
void rtc_write(struct rtc *rtc, unsigned port, uint8_t value, uint64_t now);

uint64_t rtc_deadline(const struct rtc *rtc); /* next interrupt, or RTC_NEVER */
void rtc_service(struct rtc *rtc, uint64_t now);

#endif
