/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The guest's linear address space as translated code sees it: page walks, and
 * the tables ("views") that stand in for a TLB.
 *
 * A view is three tables of 2^20 entries of 8 bytes, one entry a guest-linear
 * page, reserved lazily in one mapping: for reads at byte offset 0, for writes
 * at VIEW_WRITE, for instruction fetch at VIEW_EXEC. An entry is 0 ("ask the
 * runtime": not present, no permission, MMIO, ROM or code page for a write,
 * accessed/dirty bit still to set) or the ADDEND: host address of the page less
 * the linear address of the page, so that  host = addend + linear.
 *
 * Behind them are four tables of bytes that say which pages translated code may
 * reach through the window (window.h), at  window base + linear, because the
 * entry is there and the window shows the page that it leads to. The byte is
 * VIEW_DIRECT if so, else 0. VIEW_READ_IN and VIEW_WRITE_IN speak of the page
 * alone. VIEW_READ_PAIR and VIEW_WRITE_PAIR speak of an operand whose last byte
 * lies in the page and that may begin in the one below: that one, too, may be
 * reached so, or the window has nothing there and the host faults.
 *
 * The window base is cpu->window (emitted code holds it in R12), the tables of
 * both views (it depends on privilege: user or supervisor) lie at VIEW_TABLES()
 * from it. cpu->tables points at the current view's, for C.
 *
 * Entries behave like a TLB's: filled on demand by view_fill, which walks the
 * guest's tables, sets accessed and dirty bits, and checks U/S, R/W, WP and NX;
 * dropped by the flush calls that CR3/CR4 writes and INVLPG make. Global pages
 * (PTE.G with CR4.PGE) survive view_flush_nonglobal. Each view keeps a log of
 * what it filled, so a flush costs what was filled and no more.
 * With paging off a linear address is the physical address, and all pages are global.
 */
#ifndef X86VM_MEMORY_VIEW_H
#define X86VM_MEMORY_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "x86vm/cpu/limits.h"

struct cpu;
struct view_set;

#define VIEW_PAGES (1u << 20)
#define VIEW_LOGGED_MOST X86VM_LIMIT(1u << 17, 64u) /* pages of one log, global or not, that have entries at a time */
#define VIEW_WRITE (8u << 20)
#define VIEW_EXEC (16u << 20)
#define VIEW_READ_IN (24u << 20)
#define VIEW_WRITE_IN (25u << 20)
#define VIEW_READ_PAIR (26u << 20)
#define VIEW_WRITE_PAIR (27u << 20)
#define VIEW_SIZE (28u << 20) /* bytes reserved a view */
enum { VIEW_DIRECT = 12 };    /* the page shift: a constant that emitted code has in a register */

/* Bytes from the window base. */
#define VIEW_STRIDE (32u << 20)
#define VIEW_TABLES(user) ((user) ? -2 * (int32_t)VIEW_STRIDE : -(int32_t)VIEW_STRIDE)
#define VIEW_HEAT (-(4 << 20)) /* a byte a page, counted down by accesses that miss the window */
#define VIEW_GAP (3u << 20)    /* between the tables and the window */

enum view_access { VIEW_FOR_READ, VIEW_FOR_WRITE, VIEW_FOR_EXEC };

struct view_set *view_set_new(void);
void view_set_free(struct view_set *set);

/* Chooses cpu->tables from CPL (3 = user), CR0.PG, CR0.WP; call when one of
 * them changed. Views for user and for supervisor are both kept filled; a
 * change of CR0.PG, CR0.WP or CR4.PSE/PAE/PGE must flush all first. */
void view_select(struct cpu *cpu);

/* Walks for an access at `linear` (page granular) with privilege user or
 * supervisor, sets A/D, and returns the guest-physical address of the byte.
 * Raises #PF (cpu_fault_error, CR2 set) when the access is not allowed. Does
 * not touch the views. */
uint32_t view_translate(struct cpu *cpu, uint32_t linear, enum view_access access, bool user);

/* The same without effects: no A/D bits, no fault. False when not mapped so. */
bool view_probe(struct cpu *cpu, uint32_t linear, enum view_access access, bool user, uint32_t *physical);

/* view_translate() with cpu's current privilege, and fills the entry of the
 * current view when it may be direct. Returns the addend, or 0 when accesses
 * must go through view_read/view_write each time (MMIO, ROM, code page);
 * *physical always gets the physical address of `linear`. */
uint64_t view_fill(struct cpu *cpu, uint32_t linear, enum view_access access, uint32_t *physical);

/* Fills what the current view may have of the page without a fault and without
 * setting a dirty bit; the caller looks whether the entry is there now. */
void view_fill_quietly(struct cpu *cpu, uint32_t linear);

/* An access of the current privilege to the page missed the window 256 times.
 * True when view_settle() should be called soon. */
bool view_heated(struct cpu *cpu, uint32_t linear);
/* Maps what view_heated() found into the window. Not while a block runs: it
 * may have checked an access before. */
void view_settle(struct cpu *cpu);

/* Translated code runs without checks where view_bare_used() says so for the
 * present privilege: what it reaches through cpu->bare (bare.h) it may reach. */
bool view_bare_used(const struct cpu *cpu);
bool view_bare_used_of(const struct cpu *cpu, bool user);
/* Looks whether it should be otherwise; not while a block runs. */
void view_bare_review(struct cpu *cpu);
/* Whether who runs is better served by translations without checks from now on; TSC. */
bool view_bare_due(const struct cpu *cpu, uint64_t now);
/* It never does, as with X86VM_NO_BARE in the environment. */
void view_bare_forbid(struct cpu *cpu);

enum view_bare_answer {
    VIEW_BARE_NOT_THERE, /* not an address in the window */
    VIEW_BARE_SHOWN,     /* the page is there now: try again */
    VIEW_BARE_REFUSED,   /* the guest's own page fault, *error its error code */
    VIEW_BARE_NOT_NOW,   /* too many mappings: not the instruction's doing */
    VIEW_BARE_SELDOM,    /* code that would be written, a page that cannot be shown: the next one may do */
    VIEW_BARE_NEVER,     /* a device's, or one with a breakpoint */
};
/* Translated code faulted at that host address. Async-signal-safe as far as that code is concerned. */
enum view_bare_answer view_bare_fault(struct cpu *cpu, uint64_t host, bool write, uint32_t *error);
/* Shows the page that a program has faulted for, before it does so again, if the guest's
 * tables allow the access now and have the bits of it: it may never come. */
void view_bare_expect(struct cpu *cpu, uint32_t linear, bool write);
/* Whether an access that was refused at `linear` began there, so that this is the
 * address of the page fault: not on a page below that may be refused as well, nor
 * may it have gone past the end of a segment. */
bool view_bare_began_at(const struct cpu *cpu, uint32_t linear, bool write);

void view_flush_all(struct cpu *cpu);
void view_flush_nonglobal(struct cpu *cpu);
void view_flush_page(struct cpu *cpu, uint32_t linear); /* INVLPG: also global, all privileges */

/* A physical page became (or may become) write-protected for translated code:
 * every view's direct write entry that leads to it is dropped. */
void view_protect_page(struct cpu *cpu, uint32_t physical_page);

/* Changes, for the present privilege, whenever code may have to be fetched from
 * elsewhere: a flush took an entry for fetches away. translate/ keys its
 * indirect-jump table with it. */
uint64_t view_generation(const struct cpu *cpu);
uint64_t view_generation_of(const struct cpu *cpu, bool user);

/* Whether that privilege fetches code on that linear page from that physical
 * page, the supervisor by a global entry. The entry is there then, so its end
 * will change that privilege's generation. */
bool view_is_code(struct cpu *cpu, bool user, uint32_t page, uint32_t physical_page);

/* Linear memory for C code: any size up to a page, may cross pages, RAM or
 * MMIO. Checks both pages before the first byte is written. `user` is the
 * privilege of the access: cpu->cpl == 3 for the program's own, false for the
 * implicit accesses to descriptor tables and TSS. Raises #PF. */
void view_read(struct cpu *cpu, uint32_t linear, void *buffer, uint32_t size, bool user);
void view_write(struct cpu *cpu, uint32_t linear, const void *buffer, uint32_t size, bool user);
/* Raises what a write of that size would raise, without writing. */
void view_check_write(struct cpu *cpu, uint32_t linear, uint32_t size, bool user);

static inline uint32_t view_read32(struct cpu *cpu, uint32_t linear, bool user)
{
    uint32_t v;
    view_read(cpu, linear, &v, 4, user);
    return v;
}
static inline uint16_t view_read16(struct cpu *cpu, uint32_t linear, bool user)
{
    uint16_t v;
    view_read(cpu, linear, &v, 2, user);
    return v;
}
static inline uint8_t view_read8(struct cpu *cpu, uint32_t linear, bool user)
{
    uint8_t v;
    view_read(cpu, linear, &v, 1, user);
    return v;
}

struct view_counters { uint64_t walks, fills, flushes, page_flushes, page_faults, window_pages, window_mappings, window_clears,
                              bare_pages, bare_mappings; };
void view_get_counters(const struct cpu *cpu, struct view_counters *out);

#endif
