/* SPDX-License-Identifier: BSD-2-Clause
 * The multiboot loader: an image made here, and wrong ones.
 */
#include "tests/unit/unit.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/phys.h"
#include "x86vm/pc/boot_multiboot.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define RAM (16u << 20)
#define ENTRY 0x100010u

struct image {
    Elf32_Ehdr header;
    Elf32_Phdr segment;
    uint32_t multiboot[3];
    uint8_t text[256];
};

static struct phys *phys;
static struct cpu *cpu;
static char error[256];

static struct image make_image(uint32_t flags)
{
    struct image image = {
        .header = { .e_type = ET_EXEC, .e_machine = EM_386, .e_entry = ENTRY, .e_phentsize = sizeof(Elf32_Phdr),
                    .e_phoff = offsetof(struct image, segment), .e_phnum = 1 },
        .segment = { .p_type = PT_LOAD, .p_offset = offsetof(struct image, text), .p_paddr = 0x100000, .p_filesz = 256,
                     .p_memsz = 4096 },
        .multiboot = { 0x1badb002, flags, -(0x1badb002 + flags) },
    };
    memcpy(image.header.e_ident, ELFMAG "\1\1\1", 7);
    memset(image.text, 0x90, sizeof image.text);
    return image;
}

static bool boot_with(const struct image *image, size_t size, const char *command_line, const uint8_t *module, size_t module_size)
{
    const struct boot_multiboot_files files = { .image = (const uint8_t *)image, .image_size = size, .module = module,
                                                .module_size = module_size, .command_line = command_line };
    error[0] = 0;
    cpu_reset(cpu);
    return boot_multiboot_load(phys, cpu, &files, error, sizeof error);
}

static bool boot(const struct image *image, size_t size, const char *command_line)
{
    return boot_with(image, size, command_line, NULL, 0);
}

static int setup(void)
{
    phys = phys_new(RAM);
    cpu = calloc(1, sizeof *cpu);
    return !phys || !cpu;
}

static int teardown(void)
{
    phys_free(phys);
    free(cpu);
    return 0;
}

static void test_good(void)
{
    struct image image = make_image(3);
    uint32_t info[22];
    char text[8];

    CU_ASSERT_TRUE(boot_multiboot_recognizes((const uint8_t *)&image, sizeof image));
    CU_ASSERT_TRUE_FATAL(boot(&image, sizeof image, "test=1"));
    CU_ASSERT_EQUAL(cpu->eip, ENTRY);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 0x2badb002);
    CU_ASSERT_EQUAL(cpu->eflags & FLAG_IF, 0);
    CU_ASSERT_EQUAL(cpu->seg[CPU_CS].limit, 0xffffffff);
    CU_ASSERT_TRUE(phys_dma_read(phys, cpu->regs[CPU_EBX], info, sizeof info));
    CU_ASSERT_EQUAL(info[0] & 0x45, 0x45);
    CU_ASSERT_EQUAL(info[1], 639);
    CU_ASSERT_EQUAL(info[2], 15 << 10);
    phys_dma_read(phys, info[4], text, 7);
    CU_ASSERT_STRING_EQUAL(text, "test=1");
    CU_ASSERT_EQUAL(info[11], 48);
    phys_dma_read(phys, info[12] + 24, info, 24);
    CU_ASSERT_EQUAL(info[0], 20);
    CU_ASSERT_EQUAL(info[1], 0x100000);
    CU_ASSERT_EQUAL(info[3], 15 << 20);
}

static void test_bad(void)
{
    struct image image = make_image(3);
    static char text[40000];

    image.multiboot[2]++;
    CU_ASSERT_FALSE(boot(&image, sizeof image, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "no multiboot header"));
    image = make_image(3 | 8); /* of what no version knows */
    CU_ASSERT_FALSE(boot(&image, sizeof image, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "0x8"));
    image = make_image(0);
    for (size_t size = 0; size < offsetof(struct image, text) + 256; size++)
        CU_ASSERT_FALSE(boot(&image, size, NULL));
    image.segment.p_paddr = 0x8f000; /* over the loader's own area */
    CU_ASSERT_FALSE(boot(&image, sizeof image, NULL));
    image.segment.p_paddr = RAM - 100;
    CU_ASSERT_FALSE(boot(&image, sizeof image, NULL));
    image = make_image(0);
    memset(text, 'x', sizeof text - 1);
    CU_ASSERT_FALSE(boot(&image, sizeof image, text));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "command line"));
    CU_ASSERT_TRUE(boot(&image, sizeof image, NULL));
}

/* A kernel that is linked to where its paging will put it. */
static void test_virtual_entry(void)
{
    struct image image = make_image(3 | 4); /* it would like a video mode, and has to do without */
    uint32_t flags = 0;

    image.segment.p_vaddr = 0xc0100000;
    image.header.e_entry = 0xc0100010;
    CU_ASSERT_TRUE_FATAL(boot(&image, sizeof image, NULL));
    CU_ASSERT_EQUAL(cpu->eip, ENTRY);
    phys_dma_read(phys, cpu->regs[CPU_EBX], &flags, 4);
    CU_ASSERT_EQUAL(flags & (1u << 3 | 1u << 11 | 1u << 12), 0); /* neither modules nor video */
    image.header.e_entry = 0xc0101000; /* behind its last byte */
    CU_ASSERT_FALSE(boot(&image, sizeof image, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "entry 0xc0101000"));
    image.header.e_entry = ENTRY; /* physical, as Linux has it */
    CU_ASSERT_TRUE_FATAL(boot(&image, sizeof image, NULL));
    CU_ASSERT_EQUAL(cpu->eip, ENTRY);
}

static void test_module(void)
{
    struct image image = make_image(3);
    uint8_t module[5000], copy[sizeof module];
    uint32_t info[7], entry[3], end_of_image;
    const size_t most = RAM - 0x102000;
    uint8_t *large = calloc(1, most + 1);
    char text = 1;

    memset(module, 0xa5, sizeof module);
    image.segment.p_memsz = 4097;
    end_of_image = 0x101001;
    CU_ASSERT_TRUE_FATAL(boot_with(&image, sizeof image, NULL, module, sizeof module));
    phys_dma_read(phys, cpu->regs[CPU_EBX], info, sizeof info);
    CU_ASSERT_EQUAL(info[0] & 8, 8);
    CU_ASSERT_EQUAL(info[5], 1);
    phys_dma_read(phys, info[6], entry, sizeof entry);
    CU_ASSERT_EQUAL(entry[0], (end_of_image + 0xfff) & ~0xfffu);
    CU_ASSERT_EQUAL(entry[1], entry[0] + sizeof module);
    phys_dma_read(phys, entry[2], &text, 1);
    CU_ASSERT_EQUAL(text, 0);
    phys_dma_read(phys, entry[0], copy, sizeof copy);
    CU_ASSERT_EQUAL(memcmp(copy, module, sizeof copy), 0);
    CU_ASSERT_TRUE(boot_with(&image, sizeof image, NULL, large, most));
    CU_ASSERT_FALSE(boot_with(&image, sizeof image, NULL, large, most + 1));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "initrd: 15720449 bytes do not fit"));
    free(large);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "good", test_good },
        { "virtual entry", test_virtual_entry },
        { "module", test_module },
        { "bad", test_bad },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("boot_multiboot", tests, setup, teardown);
}
