/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Multiboot: see boot_multiboot.h; facts from the Multiboot Specification 0.6.96.
 */
#include "x86vm/pc/boot_multiboot.h"

#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/phys.h"
#include "x86vm/pc/boot_cpu.h"
#include "x86vm/pc/boot_error.h"
#include "x86vm/pc/elf32.h"

#include <string.h>

#define HEADER_MAGIC 0x1badb002u
#define HEADER_SEARCH 8192u
#define LOADER_MAGIC 0x2badb002u

/* Of a video mode an image is told nothing, as there is no screen; it finds that by the flags of what it is told. */
enum { WANT_PAGE_ALIGN = 1, WANT_MEMORY = 2, WANT_VIDEO = 4, WANT_KNOWN = WANT_PAGE_ALIGN | WANT_MEMORY | WANT_VIDEO };
enum { HAS_MEMORY = 1, HAS_COMMAND_LINE = 4, HAS_MODULES = 8, HAS_MAP = 64, HAS_LOADER_NAME = 512 };

struct information {
    uint32_t flags, mem_lower, mem_upper, boot_device, command_line;
    uint32_t mods_count, mods_addr, symbols[4], map_length, map_addr;
    uint32_t drives_length, drives_addr, config_table, loader_name, apm_table;
};

struct map_entry {
    uint32_t size; /* of what follows */
    uint32_t base_low, base_high, length_low, length_high, type;
};

struct module {
    uint32_t start, end, text, reserved;
};

/* What lies in the page at BOOT_PARAMS. */
struct boot_page {
    struct information info;
    struct map_entry map[2];
    struct module module;
    char loader_name[16];
    char module_text[1]; /* as a command line that is empty */
};

static bool find_header(const uint8_t *file, size_t size, uint32_t *flags)
{
    size_t end = size < HEADER_SEARCH ? size : HEADER_SEARCH;

    for (size_t i = 0; i + 12 <= end; i += 4) {
        uint32_t header[3];
        memcpy(header, file + i, sizeof header);
        if (header[0] == HEADER_MAGIC && header[0] + header[1] + header[2] == 0) {
            *flags = header[1];
            return true;
        }
    }
    return false;
}

bool boot_multiboot_recognizes(const uint8_t *file, size_t size)
{
    uint32_t flags;

    return find_header(file, size, &flags);
}

static struct boot_page describe(uint64_t ram_size)
{
    struct boot_page page = {
        .info = { .flags = HAS_MEMORY | HAS_COMMAND_LINE | HAS_MAP | HAS_LOADER_NAME, .mem_lower = BOOT_LOW_END >> 10,
                  .mem_upper = (uint32_t)((ram_size - BOOT_HIGH) >> 10), .command_line = BOOT_COMMAND_LINE,
                  .map_length = sizeof page.map, .map_addr = BOOT_PARAMS + offsetof(struct boot_page, map),
                  .loader_name = BOOT_PARAMS + offsetof(struct boot_page, loader_name) },
        .map = { { .size = sizeof(struct map_entry) - 4, .length_low = BOOT_LOW_END, .type = 1 },
                 { .size = sizeof(struct map_entry) - 4, .base_low = BOOT_HIGH,
                   .length_low = (uint32_t)(ram_size - BOOT_HIGH), .type = 1 } },
        .loader_name = "vswitch-guest",
    };
    return page;
}

/* Puts the module on the first page behind the image. */
static bool load_module(struct phys *phys, const struct boot_multiboot_files *files, uint32_t image_end,
                        struct boot_page *page, char *error, size_t error_size)
{
    const uint64_t start = ((uint64_t)image_end + 0xfff) & ~UINT64_C(0xfff), ram = phys_ram_size(phys);

    if (!files->module_size)
        return true;
    if (start > ram || files->module_size > ram - start)
        return boot_error(error, error_size, "initrd: %zu bytes do not fit into the %llu MiB of RAM, behind an image that ends at %#x",
                          files->module_size, (unsigned long long)ram >> 20, image_end);
    page->info.flags |= HAS_MODULES;
    page->info.mods_count = 1;
    page->info.mods_addr = BOOT_PARAMS + offsetof(struct boot_page, module);
    page->module = (struct module){ .start = (uint32_t)start, .end = (uint32_t)(start + files->module_size),
                                    .text = BOOT_PARAMS + offsetof(struct boot_page, module_text) };
    return phys_dma_write(phys, start, files->module, files->module_size) ||
           boot_error(error, error_size, "initrd: no RAM at %#llx", (unsigned long long)start);
}

bool boot_multiboot_load(struct phys *phys, struct cpu *cpu, const struct boot_multiboot_files *files, char *error,
                         size_t error_size)
{
    const char *text = files->command_line ? files->command_line : "";
    struct elf32_image image;
    struct boot_page page;
    uint32_t flags;

    if (!find_header(files->image, files->image_size, &flags))
        return boot_error(error, error_size, "image: no multiboot header in the first %u bytes", HEADER_SEARCH);
    if (flags & 0xffff & ~(uint32_t)WANT_KNOWN)
        return boot_error(error, error_size, "image: multiboot header requires features %#x that are not here",
                          flags & 0xffff & ~(uint32_t)WANT_KNOWN);
    if (phys_ram_size(phys) <= BOOT_HIGH)
        return boot_error(error, error_size, "the guest has too little RAM");
    if (strlen(text) >= BOOT_COMMAND_LINE_MAX)
        return boot_error(error, error_size, "command line: %zu characters, %u at most", strlen(text),
                          BOOT_COMMAND_LINE_MAX - 1);
    if (!elf32_load(phys, files->image, files->image_size, BOOT_HIGH, &image, error, error_size))
        return false;
    page = describe(phys_ram_size(phys));
    if (!load_module(phys, files, image.high, &page, error, error_size))
        return false;
    if (!phys_dma_write(phys, BOOT_PARAMS, &page, sizeof page) ||
        !phys_dma_write(phys, BOOT_COMMAND_LINE, text, strlen(text) + 1) || !boot_bios_data(phys) ||
        !boot_flat_mode(phys, cpu, image.entry))
        return boot_error(error, error_size, "the guest has too little RAM");
    cpu->regs[CPU_EAX] = LOADER_MAGIC;
    cpu->regs[CPU_EBX] = BOOT_PARAMS;
    return true;
}
