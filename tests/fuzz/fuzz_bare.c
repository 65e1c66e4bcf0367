/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See fuzz_bare.h.
 */
#include "tests/fuzz/fuzz_bare.h"

#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"
#include "x86vm/memory/view_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct check {
    const struct cpu *cpu;
    uint64_t reachable[BARE_WINDOWS]; /* pages that the host lets be accessed */
    char *why;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static bool wrong(const struct check *c, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(c->why, c->size, format, arguments);
    va_end(arguments);
    return false;
}

/* One line of /proc/self/maps. */
struct mapping { uint64_t start, end, offset; bool read, write, execute, ram; };

static bool parse_mapping(const char *line, struct mapping *m)
{
    char rights[5];

    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64, &m->start, &m->end, rights, &m->offset) != 4)
        return false;
    m->read = rights[0] == 'r';
    m->write = rights[1] == 'w';
    m->execute = rights[2] == 'x';
    m->ram = strstr(line, "x86vm-ram");
    return true;
}

/* A mapping that can be accessed, within window `w`. */
static bool mapping_right(struct check *c, unsigned w, const struct mapping *m)
{
    const struct bare_window *window = &c->cpu->views->bare[w];
    uint64_t first = (m->start - (uint64_t)(uintptr_t)window->base) >> PAGE_SHIFT, pages = (m->end - m->start) >> PAGE_SHIFT;

    if (m->start < (uint64_t)(uintptr_t)window->base || first + pages > VIEW_PAGES || !m->ram || m->execute || !m->read)
        return wrong(c, "window %u: the host has %" PRIx64 "-%" PRIx64 " of something else", w, m->start, m->end);
    for (uint64_t i = 0; i < pages; i++) {
        uint32_t page = (uint32_t)(first + i), shown = window->shows[page];
        if (!shown || bare_physical_page(window, page) != (m->offset >> PAGE_SHIFT) + i || !(shown & BARE_WRITABLE) != !m->write)
            return wrong(c, "window %u, page %05x: the host shows physical page %" PRIx64 "%s, the table says %x", w, page,
                         (m->offset >> PAGE_SHIFT) + i, m->write ? " for writing" : "", shown);
    }
    c->reachable[w] += pages;
    return true;
}

static bool mappings_right(struct check *c)
{
    FILE *file = fopen("/proc/self/maps", "r");
    struct mapping m;
    char line[512];
    bool right = file;

    while (right && fgets(line, sizeof line, file))
        for (unsigned w = 0; right && w < BARE_WINDOWS; w++) {
            const struct bare_window *window = &c->cpu->views->bare[w];
            uint64_t map = (uint64_t)(uintptr_t)window->map, end = (uint64_t)(uintptr_t)window->base + (1ull << 32) + BARE_ABOVE;
            if (window->base && parse_mapping(line, &m) && m.start < end && m.end > map && (m.read || m.write || m.execute))
                right = mapping_right(c, w, &m);
        }
    if (file)
        fclose(file);
    return right;
}

/* A page that a view's window shows has entries that say the same. */
static bool entry_right(const struct check *c, const struct view *view, uint32_t page)
{
    uint32_t shown = view->bare->shows[page], physical = bare_physical_page(view->bare, page);
    uint64_t ram = (uint64_t)(uintptr_t)phys_ram(c->cpu->phys) + ((uint64_t)physical << PAGE_SHIFT);

    if (view->read[page] + ((uint64_t)page << PAGE_SHIFT) != ram)
        return wrong(c, "page %05x is shown as %x, the entry for reads leads elsewhere", page, physical);
    if (shown & BARE_WRITABLE && view->write[page] != view->read[page])
        return wrong(c, "page %05x is shown for writing, the entry for writes is another", page);
    if (shown & BARE_WRITABLE && (phys_marks(c->cpu->phys, physical) & PHYS_CODE || !phys_is_writable(c->cpu->phys, (uint64_t)physical << PAGE_SHIFT)))
        return wrong(c, "page %05x is shown for writing, physical page %x has code or is not writable", page, physical);
    return true;
}

static bool window_right(const struct check *c, unsigned w)
{
    const struct bare_window *window = &c->cpu->views->bare[w];
    uint64_t shown = 0;

    for (uint32_t page = 0; window->base && page < VIEW_PAGES; page++) {
        if (!window->shows[page])
            continue;
        shown++;
        for (unsigned u = 0; u < VIEW_COUNT; u++)
            if (c->cpu->views->view[u].bare == window && !entry_right(c, &c->cpu->views->view[u], page))
                return false;
    }
    return shown == c->reachable[w] || wrong(c, "window %u shows %" PRIu64 " pages, the host %" PRIu64, w, shown, c->reachable[w]);
}

bool fuzz_bare_right(const struct cpu *cpu, char *why, size_t size)
{
    struct check c = { .cpu = cpu, .why = why, .size = size };

    snprintf(why, size, "no /proc");
    if (!mappings_right(&c))
        return false;
    for (unsigned w = 0; w < BARE_WINDOWS; w++)
        if (!window_right(&c, w))
            return false;
    return true;
}
