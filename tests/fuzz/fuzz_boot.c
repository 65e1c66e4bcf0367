/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Random boot images for the loaders: a bzImage (made here, or a real one), its
 * XZ payload, a multiboot ELF; cut short, bent, with initrds and command lines of
 * any size and RAM of any size. A boot either ends in a state that a CPU can
 * start from, with its parts in RAM and apart from each other, or in one line
 * that says why not. The sanitizers watch the memory.
 *
 *   fuzz_boot [--seed S] [--cases N] [--seconds N] [--kernel FILE] [--multiboot FILE] [--trace]
 */
#include "tests/fuzz/fuzz_random.h"

#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/phys.h"
#include "x86vm/pc/boot_cpu.h"
#include "x86vm/pc/boot_linux.h"
#include "x86vm/pc/boot_multiboot.h"

#include <elf.h>
#include <inttypes.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SETUP_SIZE = 1024, CODE_SIZE = 16 << 10, ELF_SIZE = 8192, LINE_MAX_SIZE = 100000, INITRD_MAX = 1 << 20 };
#define MIB 1048576u
#define SLOW_NS 5000000000ull /* CPU time of one boot, with sanitizers */

struct image { uint8_t *bytes; size_t size; };

struct fuzzer {
    struct fuzz_random random;
    struct image linux_plain, linux_xz, multiboot, real_kernel, real_multiboot;
    uint64_t number, booted, refused, worst_ns;
    bool trace;
    char what[128];
};

static uint64_t clock_ns(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void check(const struct fuzzer *f, bool good, const char *why)
{
    if (good)
        return;
    fprintf(stderr, "fuzz_boot: case %" PRIu64 " (%s): %s\n", f->number, f->what, why);
    abort();
}

/* --- images made here --- */

static void put(struct image *image, size_t offset, uint32_t value, size_t size)
{
    memcpy(image->bytes + offset, &value, size);
}

/* A bzImage of protocol 2.15 with one setup sector and room for `code_size` bytes. */
static struct image make_linux(size_t code_size)
{
    struct image k = { calloc(1, SETUP_SIZE + code_size), SETUP_SIZE + code_size };

    put(&k, 0x1f1, 1, 1);
    put(&k, 0x1f4, (uint32_t)(code_size / 16), 4);
    put(&k, 0x1fe, 0xaa55, 2);
    put(&k, 0x201, 0x6a, 1);
    put(&k, 0x202, 0x53726448, 4);
    put(&k, 0x206, 0x20f, 2);
    put(&k, 0x211, 1, 1);
    put(&k, 0x22c, 0x7fffffff, 4);
    put(&k, 0x234, 1, 1);
    put(&k, 0x238, 2047, 4);
    put(&k, 0x258, 0x1000000, 4);
    put(&k, 0x260, 0x200000, 4);
    return k;
}

static struct image make_elf(uint32_t address)
{
    static const uint32_t multiboot[3] = { 0x1badb002, 3, 0xe4524ffb }; /* page alignment and memory map */
    struct image elf = { calloc(1, ELF_SIZE), ELF_SIZE };
    Elf32_Ehdr header = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT }, .e_type = ET_EXEC,
                          .e_machine = EM_386, .e_version = 1, .e_entry = address, .e_phoff = sizeof header,
                          .e_ehsize = sizeof header, .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 2 };
    Elf32_Phdr segments[2] = { { PT_LOAD, 4096, address, address, 2048, 4096, PF_R | PF_X, 4096 },
                               { PT_LOAD, 6144, address + 8192, address + 8192, 1024, 65536, PF_R | PF_W, 4096 } };

    memcpy(elf.bytes, &header, sizeof header);
    memcpy(elf.bytes + sizeof header, segments, sizeof segments);
    memcpy(elf.bytes + 4096, multiboot, sizeof multiboot);
    return elf;
}

/* The same kernel with an ELF file as its compressed payload. */
static struct image make_linux_xz(void)
{
    struct image elf = make_elf(0x1000000), k = make_linux(CODE_SIZE);
    size_t length = 0;

    if (lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, elf.bytes, elf.size, k.bytes + SETUP_SIZE + 256, &length,
                                CODE_SIZE - 512) != LZMA_OK)
        abort();
    put(&k, SETUP_SIZE + 256 + length, (uint32_t)elf.size, 4);
    put(&k, 0x248, 256, 4);
    put(&k, 0x24c, (uint32_t)length + 4, 4);
    free(elf.bytes);
    return k;
}

static struct image read_image(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct image image = { NULL, 0 };
    long size;

    if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) <= 0) {
        fprintf(stderr, "fuzz_boot: %s cannot be read, goes without\n", path);
        if (file)
            fclose(file);
        return image;
    }
    rewind(file);
    image.bytes = malloc((size_t)size);
    if (image.bytes)
        image.size = fread(image.bytes, 1, (size_t)size, file);
    fclose(file);
    return image;
}

/* --- bending them --- */

/* Header fields that the loaders compute with. */
static void bend_fields(struct fuzz_random *r, struct image *image)
{
    static const uint16_t linux_fields[] = { 0x1f1, 0x1f4, 0x201, 0x202, 0x206, 0x211, 0x214, 0x218, 0x21c, 0x228, 0x22c,
                                             0x234, 0x238, 0x248, 0x24c, 0x250, 0x258, 0x25c, 0x260 };
    static const uint16_t elf_fields[] = { 0x10, 0x12, 0x18, 0x1c, 0x2a, 0x2c, 0x34, 0x38, 0x3c, 0x40, 0x44, 0x48, 0x54, 0x58,
                                           0x5c, 0x60, 0x64, 0x68, 0x1000, 0x1004, 0x1008 };
    bool elf = image->size > 4 && image->bytes[0] == 0x7f;

    for (uint32_t n = 1 + fuzz_below(r, 3); n > 0; n--) {
        size_t at = elf ? elf_fields[fuzz_below(r, sizeof elf_fields / 2)] : linux_fields[fuzz_below(r, sizeof linux_fields / 2)];
        uint32_t value = fuzz_one_in(r, 3) ? fuzz_below(r, 64 * MIB) : fuzz_value(r);
        if (at + 4 <= image->size)
            memcpy(image->bytes + at, &value, fuzz_one_in(r, 2) ? 4 : fuzz_one_in(r, 2) ? 2 : 1);
    }
}

static struct image bend(struct fuzz_random *r, const struct image *from)
{
    struct image image = { NULL, from->size };

    if (fuzz_one_in(r, 4))
        image.size = fuzz_one_in(r, 2) ? fuzz_below(r, from->size < 0x2000 ? (uint32_t)from->size + 1 : 0x2000)
                                       : (size_t)(fuzz_random64(r) % (from->size + 1));
    image.bytes = malloc(image.size); /* exactly: a byte further is the sanitizer's */
    if (image.size && !image.bytes)
        abort();
    if (image.size)
        memcpy(image.bytes, from->bytes, image.size);
    if (fuzz_one_in(r, 2))
        bend_fields(r, &image);
    if (fuzz_one_in(r, 3))
        fuzz_mutate(r, image.bytes, image.size < 0x3000 || fuzz_one_in(r, 2) ? image.size : 0x3000);
    return image;
}

static uint64_t pick_ram(struct fuzz_random *r)
{
    static const uint32_t mib[] = { 1, 2, 16, 17, 18, 20, 32, 64, 128, 256, 1024, 3072 };
    uint64_t ram = (uint64_t)mib[fuzz_below(r, 12)] * MIB;

    if (fuzz_one_in(r, 8))
        ram = 4096 * (1 + (uint64_t)fuzz_below(r, 300));
    return ram + (fuzz_one_in(r, 4) && ram < 3072ull * MIB ? 4096 * (uint64_t)fuzz_below(r, 16) : 0);
}

static char *pick_line(struct fuzz_random *r)
{
    size_t length = fuzz_one_in(r, 3) ? fuzz_below(r, LINE_MAX_SIZE) : fuzz_one_in(r, 2) ? 2040 + fuzz_below(r, 16) : fuzz_below(r, 100);
    char *line;

    if (fuzz_one_in(r, 4))
        length = BOOT_COMMAND_LINE_MAX - 4 + fuzz_below(r, 8);
    line = malloc(length + 1);
    if (!line)
        abort();
    fuzz_bytes(r, line, length);
    for (size_t i = 0; i < length; i++)
        if (!line[i])
            line[i] = ' ';
    line[length] = 0;
    return line;
}

static size_t pick_initrd(struct fuzz_random *r, uint64_t ram, uint8_t **bytes)
{
    size_t size = fuzz_one_in(r, 2) ? 0 : fuzz_below(r, INITRD_MAX);

    if (fuzz_one_in(r, 8) && ram >= MIB && ram <= 32 * MIB)
        size = (size_t)ram - (size_t)fuzz_below(r, MIB) + (size_t)fuzz_below(r, MIB);
    *bytes = size ? malloc(size) : NULL;
    if (size && !*bytes)
        abort();
    if (size)
        memset(*bytes, 0xa5, size);
    return size;
}

/* --- what must hold --- */

static uint32_t param(struct phys *phys, uint32_t offset)
{
    uint32_t value = 0;
    phys_dma_read(phys, BOOT_PARAMS + offset, &value, sizeof value);
    return value;
}

static void check_initrd(const struct fuzzer *f, struct phys *phys, uint32_t at, size_t size)
{
    uint8_t first = 0, last = 0;

    check(f, at >= BOOT_HIGH && at + (uint64_t)size <= phys_ram_size(phys), "the initrd is not in RAM");
    phys_dma_read(phys, at, &first, 1);
    phys_dma_read(phys, at + size - 1, &last, 1);
    check(f, first == 0xa5 && last == 0xa5, "the initrd was overwritten");
}

/* The initrd as the guest is told of it: of a Linux kernel, and as a module. */
static void check_linux_initrd(const struct fuzzer *f, struct phys *phys, size_t size)
{
    check(f, param(phys, 0x21c) == size, "the initrd's size is wrong");
    if (size)
        check_initrd(f, phys, param(phys, 0x218), size);
}

static void check_module(const struct fuzzer *f, struct phys *phys, size_t size)
{
    const uint32_t entry = param(phys, 24) - BOOT_PARAMS, start = param(phys, entry), end = param(phys, entry + 4);

    check(f, param(phys, 20) == (size > 0) && !(param(phys, 0) & 8) == !size, "the number of modules is wrong");
    if (!size)
        return;
    check(f, end - start == size && !(start & 0xfff), "the module's place is wrong");
    check_initrd(f, phys, start, size);
}

static void check_booted(const struct fuzzer *f, struct phys *phys, const struct cpu *cpu, const char *line)
{
    size_t length = strlen(line);
    char *copy = malloc(length + 1);

    check(f, cpu->eip >= BOOT_HIGH && phys_is_ram(phys, cpu->eip), "the entry is not in RAM");
    check(f, cpu->cr0 & CR0_PE && cpu->seg[CPU_CS].limit == UINT32_MAX && cpu->cpl == 0, "the CPU is not in flat protected mode");
    check(f, copy && phys_dma_read(phys, BOOT_COMMAND_LINE, copy, length + 1) && memcmp(copy, line, length + 1) == 0,
          "the command line is not there");
    free(copy);
}

static void check_refused(const struct fuzzer *f, const char *error)
{
    size_t length = strlen(error);

    check(f, length > 5 && length < 255, "the reason is missing or cut short");
    for (size_t i = 0; i < length; i++)
        check(f, (uint8_t)error[i] >= ' ' && (uint8_t)error[i] < 0x7f, "the reason has odd characters");
}

static void run_case(struct fuzzer *f)
{
    struct fuzz_random *r = &f->random;
    const struct image *all[] = { &f->linux_plain, &f->linux_xz, &f->linux_xz, &f->multiboot, &f->multiboot, &f->real_multiboot,
                                  &f->real_kernel };
    const struct image *from = all[fuzz_one_in(r, 8) ? 6 : fuzz_below(r, 6)];
    uint64_t ram = pick_ram(r), start = clock_ns(CLOCK_PROCESS_CPUTIME_ID), took;
    struct image image = bend(r, from->size ? from : &f->linux_plain);
    struct boot_linux_files files = { .kernel = image.bytes, .kernel_size = image.size, .unpack = fuzz_one_in(r, 2) };
    struct phys *phys = phys_new(ram);
    char error[256] = "", *line = pick_line(r);
    struct cpu cpu;
    uint8_t *initrd;
    bool ok, multiboot = boot_multiboot_recognizes(image.bytes, image.size);

    memset(&cpu, 0, sizeof cpu);
    cpu_reset(&cpu);
    phys_set_hole(phys, 0xa0000, 0x20000, true);
    phys_set_readonly(phys, 0xc0000, 0x40000, true);
    files.initrd_size = pick_initrd(r, ram, &initrd);
    files.initrd = initrd;
    files.command_line = line;
    snprintf(f->what, sizeof f->what, "%s of %zu bytes, %" PRIu64 " KiB of RAM, initrd %zu, line %zu%s", multiboot ? "multiboot" : "bzImage",
             image.size, ram >> 10, files.initrd_size, strlen(line), files.unpack ? ", unpack" : "");
    if (multiboot)
        ok = boot_multiboot_load(phys, &cpu, &(struct boot_multiboot_files){ .image = image.bytes, .image_size = image.size,
                                 .module = initrd, .module_size = files.initrd_size, .command_line = line }, error, sizeof error);
    else
        ok = boot_linux_load(phys, &cpu, &files, error, sizeof error);
    if (f->trace)
        printf("%" PRIu64 ": %s: %s\n", f->number, f->what, ok ? "boots" : error);
    if (ok) {
        check_booted(f, phys, &cpu, line);
        (multiboot ? check_module : check_linux_initrd)(f, phys, files.initrd_size);
        f->booted++;
    } else {
        check_refused(f, error);
        f->refused++;
    }
    took = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start;
    f->worst_ns = took > f->worst_ns ? took : f->worst_ns;
    check(f, took < SLOW_NS, "took too long");
    phys_free(phys);
    free(initrd);
    free(line);
    free(image.bytes);
}

static void run(struct fuzzer *f, uint64_t seed, uint64_t cases)
{
    f->booted = f->refused = 0;
    printf("fuzz_boot: seed %" PRIu64 "\n", seed);
    fflush(stdout);
    for (f->number = 0; f->number < cases; f->number++) {
        f->random = fuzz_random_of(seed, f->number);
        run_case(f);
    }
    printf("fuzz_boot: seed %" PRIu64 ", %" PRIu64 " cases: %" PRIu64 " boot, %" PRIu64 " refused, %.0f ms at most\n", seed, cases,
           f->booted, f->refused, (double)f->worst_ns / 1e6);
    check(f, cases < 100 || (f->booted > cases / 50 && f->refused > cases / 50), "always the same: the fuzzer tests nothing");
}

int main(int argc, char **argv)
{
    struct fuzzer f = { .linux_plain = make_linux(CODE_SIZE), .linux_xz = make_linux_xz(), .multiboot = make_elf(0x100000) };
    uint64_t seed = 1, cases = 1000, seconds = 0, start = clock_ns(CLOCK_MONOTONIC);

    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--trace") == 0)
            f.trace = true;
        else if (strcmp(argv[i], "--seed") == 0 && more)
            seed = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--cases") == 0 && more)
            cases = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--seconds") == 0 && more)
            seconds = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--kernel") == 0 && more)
            f.real_kernel = read_image(argv[++i]);
        else if (strcmp(argv[i], "--multiboot") == 0 && more)
            f.real_multiboot = read_image(argv[++i]);
        else
            return 64;
    }
    do
        run(&f, seed++, cases);
    while (clock_ns(CLOCK_MONOTONIC) - start < seconds * 1000000000u);
    free(f.linux_plain.bytes);
    free(f.linux_xz.bytes);
    free(f.multiboot.bytes);
    free(f.real_kernel.bytes);
    free(f.real_multiboot.bytes);
    return 0;
}
