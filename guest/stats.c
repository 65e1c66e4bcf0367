/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Counters: see stats.h.
 */
#include "guest/stats.h"

#include "guest/run_loop.h"
#include "x86vm/memory/io_bus.h"

#include <stdarg.h>
#include <stdio.h>

struct text {
    char *out;
    size_t size, used;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format, ...)
{
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(t->out + t->used, t->size - t->used, format, args);
    va_end(args);
    if (length > 0)
        t->used += (size_t)length < t->size - t->used ? (size_t)length : t->size - t->used - 1;
}

static void add_engine(struct text *t, struct x86vm *vm)
{
    struct x86vm_counters c;
    struct io_counters io;

    x86vm_get_counters(vm, &c);
    io_bus_get_counters(x86vm_io(vm), &io);
    const struct { const char *name; uint64_t value; } values[] = {
        { "blocks_translated", c.blocks_translated }, { "bytes_translated", c.bytes_translated },
        { "cache_flushes", c.cache_flushes }, { "invalidations", c.invalidations }, { "dispatches", c.dispatches },
        { "links", c.links }, { "indirect_misses", c.indirect_misses }, { "slow_accesses", c.slow_accesses },
        { "helper_calls", c.helper_calls }, { "exceptions", c.exceptions }, { "interrupts", c.interrupts },
        { "page_faults", c.page_faults }, { "view_fills", c.view_fills }, { "port_reads", io.port_reads },
        { "port_writes", io.port_writes }, { "mmio_reads", io.mmio_reads }, { "mmio_writes", io.mmio_writes },
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        add(t, "%s\"%s\":%llu", i ? "," : "", values[i].name, (unsigned long long)values[i].value);
}

size_t stats_describe(const struct run_loop_parts *parts, uint64_t uptime_ns, char *out, size_t size)
{
    struct text t = { out, size, 0 };

    add(&t, "{\"name\":\"%s\",\"uptime_ns\":%llu,\"console_bytes\":%llu,\"engine\":{", parts->name,
        (unsigned long long)uptime_ns, (unsigned long long)console_bytes(parts->console));
    add_engine(&t, parts->vm);
    add(&t, "},\"nics\":[");
    for (unsigned i = 0; i < parts->nic_count; i++) {
        add(&t, i ? "," : "");
        t.used += guest_nic_stats(parts->nic[i], t.out + t.used, t.size - t.used);
    }
    add(&t, "]}");
    return t.used;
}
