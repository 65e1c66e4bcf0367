/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tells systemd how the daemon is doing: sd_notify(3)'s protocol, a datagram
 * to the socket in NOTIFY_SOCKET. Without that variable nothing happens.
 */
#ifndef VSWITCHD_OS_SD_NOTIFY_H
#define VSWITCHD_OS_SD_NOTIFY_H

#include <stdint.h>

/* Reads the environment and opens the socket; before the sandbox closes. */
void sd_notify_open(void);
void sd_notify_close(void);

void sd_notify_ready(const char *status);
void sd_notify_reloading(void);         /* With MONOTONIC_USEC; sd_notify_ready() ends it. */
void sd_notify_stopping(void);
void sd_notify_status(const char *status);
void sd_notify_watchdog(void);
/* ns between two sd_notify_watchdog() calls that systemd expects at most; 0: none. */
uint64_t sd_notify_watchdog_period(void);

#endif
