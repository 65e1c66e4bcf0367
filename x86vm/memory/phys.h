/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Guest-physical memory: one contiguous block of RAM from address 0, read-only
 * ROM areas, and everything else, which belongs to the io_bus. Devices reach
 * memory only through phys_dma_read/write, which refuse anything but RAM.
 *
 * Every page of RAM carries marks. PHYS_CODE says that translations were made
 * from the page: nobody may write it directly; writers come through
 * phys_write/phys_dma_write, which tell the translator (code_written) so that
 * it drops the translations of those very bytes.
 */
#ifndef X86VM_MEMORY_PHYS_H
#define X86VM_MEMORY_PHYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE 4096u
#define PAGE_SHIFT 12
#define PHYS_RAM_MAX (3u << 30) /* bytes; above lies the PCI hole */

enum phys_mark { PHYS_CODE = 1 }; /* the page holds translated code */

struct phys;

/* Reserves `ram_size` bytes (multiple of PAGE_SIZE, <= PHYS_RAM_MAX) of zeroed
 * guest RAM, never executable. NULL with errno on failure. */
struct phys *phys_new(uint64_t ram_size);
void phys_free(struct phys *phys);

uint64_t phys_ram_size(const struct phys *phys);
uint8_t *phys_ram(struct phys *phys); /* host address of guest-physical 0; one contiguous mapping */

/* Maps `size` bytes of RAM from guest-physical `physical` a second time, at `at`,
 * over what is there; both page-aligned. False: the host will not. */
enum phys_mapping { PHYS_MAP_WRITABLE = 1, PHYS_MAP_RESIDENT = 2 /* its pages are put in at once */ };
bool phys_map(const struct phys *phys, void *at, uint32_t physical, uint64_t size, enum phys_mapping how);

/* Marks [address, address+size) as read-only for the guest, or not (page granular). */
void phys_set_readonly(struct phys *phys, uint32_t address, uint32_t size, bool readonly);
/* Takes [address, address+size) out of RAM: accesses go to the io_bus (the VGA window, 0xA0000..). */
void phys_set_hole(struct phys *phys, uint32_t address, uint32_t size, bool hole);

bool phys_is_ram(const struct phys *phys, uint64_t address);      /* readable as RAM (ROM counts) */
bool phys_is_writable(const struct phys *phys, uint64_t address); /* RAM and neither ROM nor hole */

/* A20 gate: with it off, bit 20 of every CPU address is taken as 0. Starts on. */
void phys_set_a20(struct phys *phys, bool enabled);
bool phys_a20(const struct phys *phys);

/* Page marks; `page` is address >> PAGE_SHIFT and must lie in RAM. */
uint8_t phys_marks(const struct phys *phys, uint32_t page);
void phys_mark(struct phys *phys, uint32_t page, enum phys_mark mark);
void phys_unmark(struct phys *phys, uint32_t page, enum phys_mark mark);

/* Called before bytes of a PHYS_CODE page change, with a range inside one page. */
void phys_on_code_written(struct phys *phys, void (*call)(void *opaque, uint32_t address, uint32_t size), void *opaque);

/* Called after A20, a hole or a read-only area changed: what was cached of
 * physical memory (view.h) is stale. */
void phys_on_remapped(struct phys *phys, void (*call)(void *opaque), void *opaque);

/* Copies for devices and loaders. False, and nothing copied, when a byte of the
 * range is not RAM (write: not writable RAM). Tells the translator. */
bool phys_dma_read(struct phys *phys, uint64_t address, void *buffer, size_t size);
bool phys_dma_write(struct phys *phys, uint64_t address, const void *buffer, size_t size);
/* Zeros instead. The host gets whole pages back, so that a large area costs next to nothing. */
bool phys_dma_clear(struct phys *phys, uint64_t address, uint64_t size);

/* Called at a device's write to RAM, and after the A20 gate moved: a recording. */
struct phys_tap {
    void *opaque;
    void (*dma)(void *opaque, uint32_t address, const void *bytes, size_t size);
    void (*a20)(void *opaque, bool enabled);
};
void phys_tap(struct phys *phys, const struct phys_tap *tap);

/* A CPU write to RAM that goes the slow way (code page): tells the translator,
 * then writes. Writes to ROM are ignored. The range lies inside one page. */
void phys_write(struct phys *phys, uint32_t address, const void *buffer, uint32_t size);

#endif
