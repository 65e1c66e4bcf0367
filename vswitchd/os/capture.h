/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Frames to pcap records, with an optional filter in tcpdump's language.
 * libpcap is inside capture.c and nowhere else. Where the bytes go is the
 * caller's business (captures.h).
 */
#ifndef VSWITCHD_OS_CAPTURE_H
#define VSWITCHD_OS_CAPTURE_H

#include <stddef.h>
#include <stdint.h>

struct capture_writer;

enum {
    CAPTURE_SNAPLEN_MAX = 262144,
    CAPTURE_FILTER_MAX = 512,   /* Characters: compiling more takes longer than a switch may stand still. */
    CAPTURE_ERROR_SIZE = 300,
};

/* Names in a filter are looked up in /etc/hosts alone. `filter` NULL or "": all frames. NULL with a text in `error`: the filter is wrong, or no memory. */
struct capture_writer *capture_writer_create(unsigned snaplen, const char *filter, char error[CAPTURE_ERROR_SIZE]);
void capture_writer_destroy(struct capture_writer *writer);

/* The bytes that a pcap file starts with; valid until the next call. */
const void *capture_writer_header(struct capture_writer *writer, size_t *size);
/* One record, or NULL where the filter does not match. `time`: ns since 1970. Valid until the next call. */
const void *capture_writer_record(struct capture_writer *writer, const void *frame, size_t frame_size, uint64_t time,
                                  size_t *size);

#endif
