/* SPDX-License-Identifier: BSD-2-Clause
 *
 * capture.h: libpcap writes to a stream whose bytes are collected in a buffer.
 */
#include "vswitchd/os/capture.h"

#include <nss.h>
#include <pcap/pcap.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

enum { OPTIMIZED_MAX = 256 };  /* Characters. What it takes grows with the third power: 7 s for 4096. */

struct capture_writer {
    pcap_t *pcap;
    pcap_dumper_t *dumper;
    FILE *stream;               /* The dumper's; closed with it. */
    unsigned snaplen;
    bool filtered;
    struct bpf_program filter;
    char *data;                 /* What libpcap wrote since the last call. */
    size_t size, capacity;
};

static ssize_t collect(void *cookie, const char *bytes, size_t size)
{
    struct capture_writer *w = cookie;

    if (w->size + size > w->capacity) {
        size_t capacity = (w->size + size) * 2;
        char *data = realloc(w->data, capacity);

        if (!data)
            return 0;
        w->data = data;
        w->capacity = capacity;
    }
    memcpy(w->data + w->size, bytes, size);
    w->size += size;
    return (ssize_t)size;
}

/* libpcap asks for the addresses of names, and a name server may take its time, while the switch stands still. */
static void know_names_of_files_alone(void)
{
    static bool done;

    if (!done) {
        (void)__nss_configure_lookup("hosts", "files");
        (void)__nss_configure_lookup("networks", "files");
        done = true;
    }
}

static bool compile(struct capture_writer *w, const char *filter, char error[CAPTURE_ERROR_SIZE])
{
    if (!filter || !filter[0])
        return true;
    know_names_of_files_alone();
    if (pcap_compile(w->pcap, &w->filter, filter, strlen(filter) <= OPTIMIZED_MAX, PCAP_NETMASK_UNKNOWN) != 0) {
        snprintf(error, CAPTURE_ERROR_SIZE, "%s", pcap_geterr(w->pcap));
        return false;
    }
    w->filtered = true;
    return true;
}

struct capture_writer *capture_writer_create(unsigned snaplen, const char *filter, char error[CAPTURE_ERROR_SIZE])
{
    static const cookie_io_functions_t functions = {.write = collect};
    struct capture_writer *w = calloc(1, sizeof *w);

    snprintf(error, CAPTURE_ERROR_SIZE, "out of memory");
    if (!w)
        return NULL;
    w->snaplen = snaplen;
    w->pcap = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, (int)snaplen, PCAP_TSTAMP_PRECISION_NANO);
    if (!w->pcap || !compile(w, filter, error)) {
        capture_writer_destroy(w);
        return NULL;
    }
    w->stream = fopencookie(w, "w", functions);
    w->dumper = w->stream ? pcap_dump_fopen(w->pcap, w->stream) : NULL;
    if (!w->dumper) {
        if (w->stream)
            fclose(w->stream);
        capture_writer_destroy(w);
        return NULL;
    }
    return w;
}

void capture_writer_destroy(struct capture_writer *writer)
{
    if (!writer)
        return;
    if (writer->dumper)
        pcap_dump_close(writer->dumper);
    if (writer->filtered)
        pcap_freecode(&writer->filter);
    if (writer->pcap)
        pcap_close(writer->pcap);
    free(writer->data);
    free(writer);
}

const void *capture_writer_header(struct capture_writer *writer, size_t *size)
{
    fflush(writer->stream);
    *size = writer->size;
    writer->size = 0;
    return writer->data;
}

const void *capture_writer_record(struct capture_writer *writer, const void *frame, size_t frame_size, uint64_t time,
                                  size_t *size)
{
    struct pcap_pkthdr header = {
        .ts = {.tv_sec = (time_t)(time / 1000000000u), .tv_usec = (suseconds_t)(time % 1000000000u)},
        .caplen = (bpf_u_int32)(frame_size < writer->snaplen ? frame_size : writer->snaplen),
        .len = (bpf_u_int32)frame_size,
    };

    if (writer->filtered) {
        struct pcap_pkthdr whole = header;

        whole.caplen = whole.len;
        if (!pcap_offline_filter(&writer->filter, &whole, frame))
            return NULL;
    }
    writer->size = 0;
    pcap_dump((u_char *)writer->dumper, &header, frame);
    fflush(writer->stream);
    *size = writer->size;
    return writer->data;
}
