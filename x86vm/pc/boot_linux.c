/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Linux boot: see boot_linux.h. Offsets are those of the setup header in
 * Documentation/x86/boot.rst and of struct boot_params.
 */
#include "x86vm/pc/boot_linux.h"

#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/phys.h"
#include "x86vm/pc/boot_cpu.h"
#include "x86vm/pc/boot_error.h"
#include "x86vm/pc/elf32.h"
#include "x86vm/pc/unpack_xz.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_MAGIC 0x53726448u /* "HdrS" */
#define VERSION_LEAST 0x206
#define PARAMS_SIZE 4096

/* setup header, the same offsets in the file and in boot_params */
enum { SETUP_SECTS = 0x1f1, SYSSIZE = 0x1f4, BOOT_FLAG = 0x1fe, HEADER_LENGTH = 0x201, MAGIC = 0x202, VERSION = 0x206,
       LOADER_TYPE = 0x210, LOADFLAGS = 0x211, CODE32_START = 0x214, RAMDISK_IMAGE = 0x218, RAMDISK_SIZE = 0x21c,
       COMMAND_LINE = 0x228, INITRD_ADDR_MAX = 0x22c, RELOCATABLE = 0x234, XLOADFLAGS = 0x236, COMMAND_LINE_SIZE = 0x238,
       PAYLOAD_OFFSET = 0x248, PAYLOAD_LENGTH = 0x24c, SETUP_DATA = 0x250, PREF_ADDRESS = 0x258, INIT_SIZE = 0x260, HEADER_END_MAX = 0x290 };
/* the rest of boot_params */
enum { ALT_MEM_K = 0x1e0, E820_ENTRIES = 0x1e8, E820_TABLE = 0x2d0, EXT_MEM_K = 0x002 };
enum { LOADED_HIGH = 0x01, CAN_USE_HEAP = 0x80, LOADER_UNDEFINED = 0xff };
enum { KERNEL_64 = 0x01 }; /* of xloadflags: there is an entry in 64-bit mode */
enum { E820_RAM = 1, E820_RESERVED = 2 };
/* struct setup_data: the next one's address in 64 bits, and */
enum { SETUP_DATA_TYPE = 8, SETUP_DATA_LENGTH = 12, SETUP_DATA_HEADER = 16, SETUP_RNG_SEED = 9 };

struct kernel {
    const uint8_t *file;
    size_t size;
    unsigned version;
    const uint8_t *code;     /* the protected-mode part */
    size_t code_size;
    uint32_t load_at;        /* where it goes, or would go */
    uint32_t end;            /* first byte that the kernel does not need to itself before it has a memory map */
    uint32_t entry;
};

static uint32_t get32(const uint8_t *p, size_t offset)
{
    uint32_t v;
    memcpy(&v, p + offset, sizeof v);
    return v;
}

static uint16_t get16(const uint8_t *p, size_t offset)
{
    return (uint16_t)(p[offset] | p[offset + 1] << 8);
}

static void put32(uint8_t *p, size_t offset, uint32_t v)
{
    memcpy(p + offset, &v, sizeof v);
}

static bool parse(struct kernel *k, const struct boot_linux_files *files, char *error, size_t error_size)
{
    unsigned sectors;
    size_t setup_size;

    k->file = files->kernel;
    k->size = files->kernel_size;
    if (k->size < HEADER_END_MAX)
        return boot_error(error, error_size, "kernel: %zu bytes are too few for a Linux kernel", k->size);
    if (get16(k->file, BOOT_FLAG) != 0xaa55 || get32(k->file, MAGIC) != HEADER_MAGIC)
        return boot_error(error, error_size, "kernel: not a Linux bzImage (no setup header), and no multiboot image");
    k->version = get16(k->file, VERSION);
    if (k->version < VERSION_LEAST)
        return boot_error(error, error_size, "kernel: boot protocol %u.%02u is too old, 2.06 is needed",
                          k->version >> 8, k->version & 255);
    if (!(k->file[LOADFLAGS] & LOADED_HIGH))
        return boot_error(error, error_size, "kernel: a zImage that loads low is not supported, only a bzImage");
    if (k->version >= 0x20c && get16(k->file, XLOADFLAGS) & KERNEL_64)
        return boot_error(error, error_size, "kernel: is for 64-bit CPUs (x86-64, amd64), and guests have a 32-bit one: "
                          "take an i386 kernel, of Debian linux-image-686 or -686-pae");
    sectors = k->file[SETUP_SECTS] ? k->file[SETUP_SECTS] : 4;
    setup_size = (sectors + 1) * 512u;
    /* The size is in paragraphs of 16 bytes, of which a file may leave the last one unfinished. */
    if (setup_size >= k->size || get32(k->file, SYSSIZE) > (k->size - setup_size + 15) / 16)
        return boot_error(error, error_size, "kernel: truncated file: %zu bytes, its header speaks of %llu", k->size,
                          (unsigned long long)setup_size + 16ull * get32(k->file, SYSSIZE));
    k->code = k->file + setup_size;
    k->code_size = k->size - setup_size;
    return true;
}

/* Where the kernel goes and how much room it needs. */
static bool choose_place(struct kernel *k, const struct phys *phys, char *error, size_t error_size)
{
    uint64_t need = k->code_size;
    bool modern = k->version >= 0x20a; /* pref_address and init_size are there */

    k->load_at = BOOT_HIGH;
    if (modern && get32(k->file, PREF_ADDRESS + 4) == 0 && get32(k->file, PREF_ADDRESS) >= BOOT_HIGH)
        k->load_at = get32(k->file, PREF_ADDRESS);
    if (modern && get32(k->file, INIT_SIZE) > need)
        need = get32(k->file, INIT_SIZE);
    if (k->load_at + need > phys_ram_size(phys))
        return boot_error(error, error_size, "kernel: needs %llu MiB of RAM, the guest has %llu",
                          (unsigned long long)((k->load_at + need + 0xfffff) >> 20),
                          (unsigned long long)(phys_ram_size(phys) >> 20));
    k->end = (uint32_t)(k->load_at + need);
    if (!k->file[RELOCATABLE])
        k->load_at = BOOT_HIGH;
    k->entry = k->load_at;
    return true;
}

/* The compressed vmlinux inside: decompressed here and put where it runs. */
static bool load_unpacked(struct kernel *k, struct phys *phys, char *error, size_t error_size)
{
    uint32_t offset = get32(k->file, PAYLOAD_OFFSET), length = get32(k->file, PAYLOAD_LENGTH), unpacked_size;
    struct elf32_image image;
    uint8_t *unpacked;
    bool ok;

    if (k->version < 0x208 || length < 16 || offset > k->code_size || length > k->code_size - offset)
        return boot_error(error, error_size, "kernel: no payload to unpack in the file");
    if (!unpack_xz_recognizes(k->code + offset, length))
        return boot_error(error, error_size, "kernel: only XZ payloads can be unpacked here; boot without unpacking");
    unpacked_size = get32(k->code, offset + length - 4);
    if (unpacked_size < 4096 || unpacked_size > phys_ram_size(phys))
        return boot_error(error, error_size, "kernel: its payload unpacks to %u bytes, the guest's RAM has %llu",
                          unpacked_size, (unsigned long long)phys_ram_size(phys));
    unpacked = malloc(unpacked_size);
    if (!unpacked)
        return boot_error(error, error_size, "kernel: no memory to unpack %u bytes", unpacked_size);
    ok = unpack_xz(k->code + offset, length - 4, unpacked, unpacked_size);
    if (!ok)
        boot_error(error, error_size, "kernel: its XZ payload is corrupt");
    else
        ok = elf32_load(phys, unpacked, unpacked_size, BOOT_HIGH, &image, error, error_size);
    free(unpacked);
    if (!ok)
        return false;
    k->entry = image.entry;
    if (image.high > k->end)
        k->end = image.high;
    return true;
}

static bool load_kernel(struct kernel *k, struct phys *phys, bool unpack, char *error, size_t error_size)
{
    if (unpack)
        return load_unpacked(k, phys, error, error_size);
    if (!phys_dma_write(phys, k->load_at, k->code, k->code_size))
        return boot_error(error, error_size, "kernel: does not fit into the guest's RAM");
    return true;
}

/* The initrd goes as high as the kernel lets it. */
static bool load_initrd(const struct kernel *k, struct phys *phys, const struct boot_linux_files *files,
                        uint8_t *params, char *error, size_t error_size)
{
    uint64_t top = (uint64_t)get32(k->file, INITRD_ADDR_MAX) + 1, at;

    if (files->initrd_size == 0)
        return true;
    if (top > phys_ram_size(phys))
        top = phys_ram_size(phys);
    if (files->initrd_size > top || top - files->initrd_size < k->end + (uint64_t)PAGE_SIZE)
        return boot_error(error, error_size,
                          "initrd: %zu bytes do not fit between the kernel (to %u MiB) and the end at %llu MiB",
                          files->initrd_size, (k->end + 0xfffff) >> 20, (unsigned long long)(top >> 20));
    at = (top - files->initrd_size) & ~(uint64_t)(PAGE_SIZE - 1);
    if (!phys_dma_write(phys, at, files->initrd, files->initrd_size))
        return boot_error(error, error_size, "initrd: does not fit into the guest's RAM");
    put32(params, RAMDISK_IMAGE, (uint32_t)at);
    put32(params, RAMDISK_SIZE, (uint32_t)files->initrd_size);
    return true;
}

static bool load_command_line(const struct kernel *k, struct phys *phys, const char *text, uint8_t *params, char *error,
                              size_t error_size)
{
    size_t length = text ? strlen(text) : 0, most = get32(k->file, COMMAND_LINE_SIZE);

    if (most > BOOT_COMMAND_LINE_MAX - 1)
        most = BOOT_COMMAND_LINE_MAX - 1;
    if (length > most)
        return boot_error(error, error_size, "command line: %zu characters, this kernel takes %zu", length, most);
    if (!phys_dma_write(phys, BOOT_COMMAND_LINE, text ? text : "", length + 1))
        return boot_error(error, error_size, "the guest has too little RAM");
    put32(params, COMMAND_LINE, BOOT_COMMAND_LINE);
    return true;
}

/* The list of further data has one entry; a kernel that does not know its type leaves it alone. */
static bool add_seed(const struct kernel *k, struct phys *phys, const uint8_t *seed, uint8_t *params)
{
    uint8_t data[SETUP_DATA_HEADER + BOOT_LINUX_SEED_SIZE] = { 0 };

    if (!seed || k->version < 0x209)
        return true;
    put32(data, SETUP_DATA_TYPE, SETUP_RNG_SEED);
    put32(data, SETUP_DATA_LENGTH, BOOT_LINUX_SEED_SIZE);
    memcpy(data + SETUP_DATA_HEADER, seed, BOOT_LINUX_SEED_SIZE);
    put32(params, SETUP_DATA, BOOT_SEED);
    return phys_dma_write(phys, BOOT_SEED, data, sizeof data);
}

static void add_e820(uint8_t *params, uint64_t from, uint64_t to, uint32_t type)
{
    uint8_t *entry = params + E820_TABLE + 20u * params[E820_ENTRIES]++;
    uint64_t size = to - from;

    memcpy(entry, &from, 8);
    memcpy(entry + 8, &size, 8);
    memcpy(entry + 16, &type, 4);
}

static void describe_memory(uint8_t *params, uint64_t ram_size)
{
    uint32_t above_kib = (uint32_t)((ram_size - BOOT_HIGH) >> 10);

    add_e820(params, 0, BOOT_LOW_END, E820_RAM);
    add_e820(params, BOOT_LOW_END, 0xa0000, E820_RESERVED);
    add_e820(params, 0xf0000, BOOT_HIGH, E820_RESERVED);
    add_e820(params, BOOT_HIGH, ram_size, E820_RAM);
    put32(params, ALT_MEM_K, above_kib);
    params[EXT_MEM_K] = 0xff;
    params[EXT_MEM_K + 1] = 0xfc;
}

bool boot_linux_load(struct phys *phys, struct cpu *cpu, const struct boot_linux_files *files, char *error,
                     size_t error_size)
{
    uint8_t params[PARAMS_SIZE] = { 0 };
    struct kernel k = { 0 };
    size_t header_end;

    if (!parse(&k, files, error, error_size) || !choose_place(&k, phys, error, error_size))
        return false;
    header_end = HEADER_LENGTH + 1u + k.file[HEADER_LENGTH];
    if (header_end > HEADER_END_MAX)
        header_end = HEADER_END_MAX;
    memcpy(params + SETUP_SECTS, k.file + SETUP_SECTS, header_end - SETUP_SECTS);
    params[LOADER_TYPE] = LOADER_UNDEFINED;
    params[LOADFLAGS] &= (uint8_t)~CAN_USE_HEAP;
    put32(params, RAMDISK_IMAGE, 0);
    put32(params, RAMDISK_SIZE, 0);
    describe_memory(params, phys_ram_size(phys));
    if (!load_kernel(&k, phys, files->unpack, error, error_size) ||
        !load_initrd(&k, phys, files, params, error, error_size) ||
        !load_command_line(&k, phys, files->command_line, params, error, error_size))
        return false;
    put32(params, CODE32_START, k.load_at);
    if (!add_seed(&k, phys, files->seed, params) || !phys_dma_write(phys, BOOT_PARAMS, params, sizeof params) || !boot_bios_data(phys) ||
        !boot_flat_mode(phys, cpu, k.entry))
        return boot_error(error, error_size, "the guest has too little RAM");
    cpu->regs[CPU_ESI] = BOOT_PARAMS;
    return true;
}
