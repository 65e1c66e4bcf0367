/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Counters: see stats.h.
 */
#include "guest/stats.h"

#include "guest/run_loop.h"
#include "x86vm/memory/io_bus.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

enum { DEVICES_MAX = 40 };

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

static void add_number(struct text *t, const char *name, uint64_t value)
{
    bool first = t->used && t->out[t->used - 1] == '{';

    add(t, "%s\"%s\":%llu", first ? "" : ",", name, (unsigned long long)value);
}

/* An object of those that are not zero. */
static void add_named(struct text *t, const char *key, const uint64_t *values, unsigned count,
                      const char *(*name)(unsigned number))
{
    add(t, ",\"%s\":{", key);
    for (unsigned i = 0; i < count; i++)
        if (values[i] && name(i))
            add_number(t, name(i), values[i]);
    add(t, "}");
}

static void add_vectors(struct text *t, const char *key, const uint64_t *values, unsigned count)
{
    char name[16];

    add(t, ",\"%s\":{", key);
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%u", i);
        if (values[i])
            add_number(t, name, values[i]);
    }
    add(t, "}");
}

static void add_engine(struct text *t, struct x86vm *vm)
{
    struct x86vm_counters c;
    struct io_counters io;

    x86vm_get_counters(vm, &c);
    io_bus_get_counters(x86vm_io(vm), &io);
    const struct { const char *name; uint64_t value; } values[] = {
        { "blocks_translated", c.blocks_translated }, { "bytes_translated", c.bytes_translated },
        { "blocks_moved", c.blocks_moved },
        { "translate_ns", c.translate_ns }, { "code_bytes", c.code_bytes },
        { "cache_flushes", c.cache_flushes }, { "copies_dropped", c.copies_dropped }, { "invalidations", c.invalidations },
        { "pages_dropped", c.pages_dropped }, { "dispatches", c.dispatches },
        { "links", c.links }, { "indirect_misses", c.indirect_misses }, { "slow_accesses", c.slow_accesses },
        { "jump_caches", c.jump_caches }, { "jump_lookups", c.jump_lookups }, { "jump_sites", c.jump_sites }, { "jump_misses", c.jump_misses }, { "far_links_back", c.far_links_back },
        { "bare_faults", c.bare_faults }, { "bare_mappings", c.bare_mappings }, { "bare_pages", c.bare_pages },
        { "helper_calls", c.helper_calls }, { "exceptions", c.exceptions }, { "interrupts", c.interrupts },
        { "page_faults", c.page_faults }, { "view_fills", c.view_fills }, { "view_flushes", c.view_flushes },
        { "page_flushes", c.page_flushes }, { "port_reads", io.port_reads }, { "port_writes", io.port_writes },
        { "mmio_reads", io.mmio_reads }, { "mmio_writes", io.mmio_writes },
    };
    add(t, "\"engine\":{");
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        add_number(t, values[i].name, values[i].value);
    add_named(t, "exit", c.exit, X86VM_EXIT_REASONS, x86vm_exit_name);
    add_named(t, "slow", c.slow, X86VM_SLOW_KINDS, x86vm_slow_name);
    add_named(t, "call", c.call, X86VM_CALL_KINDS, x86vm_call_name);
    add_vectors(t, "exception", c.exception, X86VM_EXCEPTIONS);
    add_vectors(t, "interrupt", c.interrupt, X86VM_VECTORS);
    add(t, "}");
}

/* What has always been at these ports of a PC. */
static const char *port_owner(uint32_t first)
{
    static const struct { uint16_t first; const char *name; } owners[] = {
        { 0x00, "nobody" }, { 0x20, "pic" }, { 0xa0, "pic2" }, { 0x4d0, "pic_edge" }, { 0x40, "pit" }, { 0x60, "keyboard" },
        { 0x61, "port61" }, { 0x64, "keyboard_command" }, { 0x70, "rtc" }, { 0x92, "port92" }, { 0xf4, "exit" }, { 0x3f8, "com1" },
        { 0x2f8, "com2" }, { 0xcf8, "pci" }, { 0x600, "acpi" },
    };
    for (size_t i = 0; i < sizeof owners / sizeof owners[0]; i++)
        if (owners[i].first == first)
            return owners[i].name;
    return "";
}

static void add_devices(struct text *t, struct io_bus *io)
{
    struct io_range_counters r;
    unsigned shown = 0;

    add(t, ",\"devices\":[");
    for (uint32_t i = 0; shown < DEVICES_MAX && io_bus_get_range_counters(io, i, &r); i++)
        if (r.reads || r.writes)
            add(t, "%s{\"space\":\"%s\",\"first\":%u,\"name\":\"%s\",\"reads\":%llu,\"writes\":%llu}", shown++ ? "," : "",
                r.port ? "port" : "memory", r.first, r.port ? port_owner(r.first) : "", (unsigned long long)r.reads,
                (unsigned long long)r.writes);
    add(t, "]");
}

static void add_time(struct text *t, const struct stats_time *time)
{
    struct timespec cpu = { 0, 0 };

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    add(t, "\"time\":{");
    add_number(t, "uptime_ns", time->uptime_ns);
    add_number(t, "idle_ns", time->idle_ns);
    add_number(t, "running_ns", time->uptime_ns - time->idle_ns);
    add_number(t, "cpu_ns", (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec);
    add_number(t, "halts", time->halts);
    add_number(t, "idle_halts", time->idle_halts);
    add_number(t, "samples_user", time->samples[STATS_USER]);
    add_number(t, "samples_kernel", time->samples[STATS_KERNEL]);
    add_number(t, "samples_c", time->samples[STATS_C]);
    add(t, "},");
}

size_t stats_describe(const struct run_loop_parts *parts, const struct stats_time *time, char *out, size_t size)
{
    struct text t = { out, size, 0 };

    add(&t, "{\"name\":\"%s\",\"uptime_ns\":%llu,\"console_bytes\":%llu,", parts->name,
        (unsigned long long)time->uptime_ns, (unsigned long long)console_bytes(parts->console));
    add_time(&t, time);
    add_engine(&t, parts->vm);
    add_devices(&t, x86vm_io(parts->vm));
    add(&t, ",\"nics\":[");
    for (unsigned i = 0; i < parts->nic_count; i++) {
        add(&t, i ? "," : "");
        t.used += guest_nic_stats(parts->nic[i], t.out + t.used, t.size - t.used);
    }
    add(&t, "]}");
    return t.used;
}
