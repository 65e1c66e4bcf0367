/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ELF loading: see elf32.h.
 */
#include "x86vm/pc/elf32.h"

#include "x86vm/memory/phys.h"
#include "x86vm/pc/boot_error.h"

#include <elf.h>
#include <string.h>

enum { SEGMENTS_MAX = 64 };

static bool check_header(const Elf32_Ehdr *header, size_t size, char *error, size_t error_size)
{
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) || header->e_ident[EI_CLASS] != ELFCLASS32 ||
        header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_machine != EM_386)
        return boot_error(error, error_size, "not a 32-bit x86 ELF file");
    if (header->e_type != ET_EXEC)
        return boot_error(error, error_size, "ELF type %u: only executables can be loaded", header->e_type);
    if (header->e_phentsize != sizeof(Elf32_Phdr) || header->e_phnum == 0 || header->e_phnum > SEGMENTS_MAX)
        return boot_error(error, error_size, "ELF program header table of %u entries of %u bytes", header->e_phnum,
                          header->e_phentsize);
    if (header->e_phoff > size || size - header->e_phoff < (size_t)header->e_phnum * sizeof(Elf32_Phdr))
        return boot_error(error, error_size, "truncated ELF file: no program header table at %u", header->e_phoff);
    return true;
}

static bool load_segment(struct phys *phys, const uint8_t *file, size_t size, uint32_t least, const Elf32_Phdr *segment,
                         char *error, size_t error_size)
{
    if (segment->p_offset > size || size - segment->p_offset < segment->p_filesz)
        return boot_error(error, error_size, "truncated ELF file: a segment needs %u bytes at %u, the file has %zu",
                          segment->p_filesz, segment->p_offset, size);
    if (segment->p_memsz < segment->p_filesz)
        return boot_error(error, error_size, "ELF segment at %#x is smaller in memory than in the file",
                          segment->p_paddr);
    if (segment->p_paddr < least || (uint64_t)segment->p_paddr + segment->p_memsz > phys_ram_size(phys))
        return boot_error(error, error_size, "ELF segment [%#x, +%#x) is not in the guest's RAM (%llu MiB)",
                          segment->p_paddr, segment->p_memsz, (unsigned long long)phys_ram_size(phys) >> 20);
    if (!phys_dma_write(phys, segment->p_paddr, file + segment->p_offset, segment->p_filesz) ||
        !phys_dma_clear(phys, segment->p_paddr + segment->p_filesz, segment->p_memsz - segment->p_filesz))
        return boot_error(error, error_size, "ELF segment at %#x falls on the ROM area", segment->p_paddr);
    return true;
}

/* The entry of most is the virtual address that their paging will give it, as the segments' are. */
static uint32_t physical_entry(const Elf32_Phdr *segment, uint32_t entry)
{
    const uint32_t offset = entry - segment->p_vaddr;

    return offset < segment->p_memsz ? segment->p_paddr + offset : entry;
}

bool elf32_load(struct phys *phys, const uint8_t *file, size_t size, uint32_t least, struct elf32_image *image,
                char *error, size_t error_size)
{
    Elf32_Ehdr header;
    Elf32_Phdr segment;

    if (size < sizeof header)
        return boot_error(error, error_size, "truncated ELF file: %zu bytes", size);
    memcpy(&header, file, sizeof header);
    if (!check_header(&header, size, error, error_size))
        return false;
    *image = (struct elf32_image){ header.e_entry, UINT32_MAX, 0 };
    for (unsigned i = 0; i < header.e_phnum; i++) {
        memcpy(&segment, file + header.e_phoff + i * sizeof segment, sizeof segment);
        if (segment.p_type != PT_LOAD || segment.p_memsz == 0)
            continue;
        if (!load_segment(phys, file, size, least, &segment, error, error_size))
            return false;
        if (image->entry == header.e_entry)
            image->entry = physical_entry(&segment, header.e_entry);
        if (segment.p_paddr < image->low)
            image->low = segment.p_paddr;
        if (segment.p_paddr + segment.p_memsz > image->high)
            image->high = segment.p_paddr + segment.p_memsz;
    }
    if (image->entry < image->low || image->entry >= image->high)
        return boot_error(error, error_size, "ELF entry %#x is outside of what was loaded", image->entry);
    return true;
}
