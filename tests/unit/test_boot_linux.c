/* SPDX-License-Identifier: BSD-2-Clause
 * The bzImage loader: a kernel made here, loaded plainly and unpacked, and
 * every way in which a file can be wrong.
 */
#include "tests/unit/unit.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/phys.h"
#include "x86vm/pc/boot_cpu.h"
#include "x86vm/pc/boot_linux.h"

#include <elf.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>

#define RAM (64u << 20)
#define PREF 0x1000000u
#define SETUP_SIZE 1024u
#define CODE_SIZE 65536u
#define INIT_SIZE 0x200000u

static struct phys *phys;
static struct cpu *cpu;
static uint8_t *file;
static size_t file_size;
static char error[256];

static void put(size_t offset, uint32_t value, size_t size)
{
    memcpy(file + offset, &value, size);
}

/* A bzImage of protocol 2.15 with one setup sector. */
static void make_kernel(size_t code_size)
{
    file_size = SETUP_SIZE + code_size;
    file = calloc(1, file_size);
    put(0x1f1, 1, 1);
    put(0x1f4, (uint32_t)(code_size / 16), 4);
    put(0x1fe, 0xaa55, 2);
    put(0x201, 0x6a, 1);
    put(0x202, 0x53726448, 4);
    put(0x206, 0x20f, 2);
    put(0x211, 1, 1);
    put(0x22c, 0x7fffffff, 4);
    put(0x234, 1, 1);
    put(0x238, 2047, 4);
    put(0x258, PREF, 4);
    put(0x260, INIT_SIZE, 4);
    memset(file + SETUP_SIZE, 0x90, 16);
}

static void setup(size_t code_size)
{
    phys = phys_new(RAM);
    cpu = calloc(1, sizeof *cpu);
    cpu_reset(cpu);
    make_kernel(code_size);
    error[0] = 0;
}

static void teardown(void)
{
    phys_free(phys);
    free(cpu);
    free(file);
}

static const uint8_t *seed; /* for the next boots */

static bool boot(const void *initrd, size_t initrd_size, const char *command_line, bool unpack)
{
    const struct boot_linux_files files = { file, file_size, initrd, initrd_size, command_line, unpack, seed };

    return boot_linux_load(phys, cpu, &files, error, sizeof error);
}

static uint32_t get(uint32_t address, size_t size)
{
    uint32_t value = 0;
    CU_ASSERT_TRUE(phys_dma_read(phys, address, &value, size));
    return value;
}

static void test_plain(void)
{
    static const char initrd[5000] = "initrd";
    char text[16] = "";

    setup(CODE_SIZE);
    CU_ASSERT_TRUE_FATAL(boot(initrd, sizeof initrd, "console=ttyS0", false));
    CU_ASSERT_EQUAL(cpu->eip, PREF);
    CU_ASSERT_EQUAL(get(PREF, 4), 0x90909090);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ESI], BOOT_PARAMS);
    CU_ASSERT_EQUAL(cpu->cr0, CR0_PE | CR0_ET);
    CU_ASSERT_EQUAL(cpu->eflags, FLAG_ONE);
    CU_ASSERT_EQUAL(cpu->seg[CPU_CS].selector, 0x10);
    CU_ASSERT_EQUAL(cpu->seg[CPU_DS].selector, 0x18);
    CU_ASSERT_EQUAL(cpu->seg[CPU_SS].limit, 0xffffffff);
    CU_ASSERT_EQUAL(get(cpu->gdtr.base + 0x10 + 4, 4), 0x00cf9b00);
    CU_ASSERT_EQUAL(get(BOOT_PARAMS + 0x202, 4), 0x53726448);
    CU_ASSERT_EQUAL(get(BOOT_PARAMS + 0x210, 1), 0xff);
    CU_ASSERT_EQUAL(get(BOOT_PARAMS + 0x218, 4), RAM - 8192);
    CU_ASSERT_EQUAL(get(BOOT_PARAMS + 0x21c, 4), 5000);
    phys_dma_read(phys, RAM - 8192, text, 7);
    CU_ASSERT_STRING_EQUAL(text, "initrd");
    phys_dma_read(phys, get(BOOT_PARAMS + 0x228, 4), text, 14);
    CU_ASSERT_STRING_EQUAL(text, "console=ttyS0");
    CU_ASSERT_EQUAL(get(BOOT_PARAMS + 0x1e8, 1), 4);
    CU_ASSERT_EQUAL(get(BOOT_PARAMS + 0x2d0 + 60, 4), 0x100000); /* the last entry: RAM from 1 MiB to the end */
    CU_ASSERT_EQUAL(get(BOOT_PARAMS + 0x2d0 + 68, 4), RAM - 0x100000);
    CU_ASSERT_EQUAL(get(BOOT_PARAMS + 0x2d0 + 76, 4), 1);
    teardown();
}

/* A list of one entry behind boot_params' setup_data; for kernels too old for it none. */
static void test_seed(void)
{
    static const uint8_t bytes[BOOT_LINUX_SEED_SIZE] = "something that nobody can guess";
    uint8_t found[sizeof bytes] = { 0 };

    seed = bytes;
    setup(CODE_SIZE);
    CU_ASSERT_TRUE_FATAL(boot(NULL, 0, NULL, false));
    CU_ASSERT_EQUAL_FATAL(get(BOOT_PARAMS + 0x250, 4), BOOT_SEED);
    CU_ASSERT_EQUAL(get(BOOT_PARAMS + 0x254, 4), 0);
    CU_ASSERT_EQUAL(get(BOOT_SEED, 4) | get(BOOT_SEED + 4, 4), 0);
    CU_ASSERT_EQUAL(get(BOOT_SEED + 8, 4), 9);
    CU_ASSERT_EQUAL(get(BOOT_SEED + 12, 4), sizeof bytes);
    CU_ASSERT_TRUE(phys_dma_read(phys, BOOT_SEED + 16, found, sizeof found));
    CU_ASSERT_EQUAL(memcmp(found, bytes, sizeof bytes), 0);
    teardown();
    setup(CODE_SIZE);
    put(0x206, 0x208, 2);
    CU_ASSERT_TRUE(boot(NULL, 0, NULL, false));
    CU_ASSERT_EQUAL(get(BOOT_PARAMS + 0x250, 4), 0);
    teardown();
    seed = NULL;
    setup(CODE_SIZE);
    CU_ASSERT_TRUE(boot(NULL, 0, NULL, false));
    CU_ASSERT_EQUAL(get(BOOT_PARAMS + 0x250, 4), 0);
    teardown();
}

static void test_not_relocatable(void)
{
    setup(CODE_SIZE);
    put(0x234, 0, 1);
    put(0x258, 0x100000, 4);
    CU_ASSERT_TRUE(boot(NULL, 0, NULL, false));
    CU_ASSERT_EQUAL(cpu->eip, 0x100000);
    CU_ASSERT_EQUAL(get(BOOT_PARAMS + 0x21c, 4), 0);
    teardown();
}

static void check_refused(const char *what)
{
    CU_ASSERT_FALSE(boot(NULL, 0, NULL, false));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, what));
    if (!strstr(error, what))
        fprintf(stderr, "expected \"%s\" in \"%s\"\n", what, error);
}

static void test_wrong_files(void)
{
    setup(CODE_SIZE);
    put(0x202, 0, 4);
    check_refused("not a Linux bzImage");
    put(0x202, 0x53726448, 4);
    put(0x206, 0x205, 2);
    check_refused("2.05 is too old");
    put(0x206, 0x20f, 2);
    put(0x211, 0, 1);
    check_refused("zImage");
    put(0x211, 1, 1);
    put(0x236, 1, 2);
    check_refused("is for 64-bit CPUs");
    put(0x206, 0x20b, 2); /* before there was such a flag */
    CU_ASSERT_TRUE(boot(NULL, 0, NULL, false));
    put(0x206, 0x20f, 2);
    put(0x236, 0, 2);
    put(0x260, 0x7fffffff, 4);
    check_refused("MiB of RAM");
    put(0x258, 0xfffffff0, 4);
    check_refused("MiB of RAM");
    put(0x258, PREF, 4);
    put(0x260, INIT_SIZE, 4);
    put(0x1f1, 0xff, 1);
    put(0x1f4, 0xffffffff, 4);
    check_refused("truncated");
    put(0x1f1, 1, 1);
    put(0x1f4, CODE_SIZE / 16, 4);
    put(0x201, 0xff, 1); /* a header that claims to go on for ever is cut */
    CU_ASSERT_TRUE(boot(NULL, 0, NULL, false));
    teardown();
}

static void test_truncated(void)
{
    size_t whole;

    setup(CODE_SIZE);
    whole = file_size;
    for (file_size = 0; file_size < whole; file_size += file_size < 2048 ? 1 : 997)
        CU_ASSERT_FALSE(boot(NULL, 0, NULL, false));
    file_size = whole - 16;
    check_refused("truncated");
    file_size = whole - 15; /* of the last paragraph's 16 bytes, as memtest86+ is */
    CU_ASSERT_TRUE(boot(NULL, 0, NULL, false));
    file_size = whole;
    CU_ASSERT_TRUE(boot(NULL, 0, NULL, false));
    teardown();
}

static void test_initrd_too_large(void)
{
    size_t size = RAM - PREF - INIT_SIZE;
    uint8_t *initrd = calloc(1, RAM + 1);

    setup(CODE_SIZE);
    CU_ASSERT_FALSE(boot(initrd, RAM + 1, NULL, false));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "initrd"));
    CU_ASSERT_FALSE(boot(initrd, size, NULL, false));
    CU_ASSERT_TRUE(boot(initrd, size - 4096, NULL, false));
    put(0x22c, PREF + INIT_SIZE + 8191, 4); /* the kernel's own limit */
    CU_ASSERT_FALSE(boot(initrd, 8192, NULL, false));
    CU_ASSERT_TRUE(boot(initrd, 4096, NULL, false));
    CU_ASSERT_EQUAL(get(BOOT_PARAMS + 0x218, 4), PREF + INIT_SIZE + 4096);
    free(initrd);
    teardown();
}

static void test_command_line_too_long(void)
{
    char text[3000];

    setup(CODE_SIZE);
    memset(text, 'x', sizeof text);
    text[2048] = 0;
    CU_ASSERT_FALSE(boot(NULL, 0, text, false));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "2047"));
    text[2047] = 0;
    CU_ASSERT_TRUE(boot(NULL, 0, text, false));
    teardown();
}

/* --- unpacking --- */

struct vmlinux {
    Elf32_Ehdr header;
    Elf32_Phdr segment[2];
    uint8_t text[8192];
};

static struct vmlinux make_vmlinux(void)
{
    struct vmlinux v = {
        .header = { .e_type = ET_EXEC, .e_machine = EM_386, .e_entry = PREF + 0x10, .e_phentsize = sizeof(Elf32_Phdr),
                    .e_phoff = offsetof(struct vmlinux, segment), .e_phnum = 2 },
        .segment = { { .p_type = PT_LOAD, .p_offset = offsetof(struct vmlinux, text), .p_vaddr = 0xc1000000,
                       .p_paddr = PREF, .p_filesz = 4096, .p_memsz = 12288 },
                     { .p_type = PT_LOAD, .p_offset = offsetof(struct vmlinux, text) + 4096, .p_vaddr = 0xc1400000,
                       .p_paddr = PREF + 0x400000, .p_filesz = 4096, .p_memsz = 4096 } },
    };
    memcpy(v.header.e_ident, ELFMAG "\1\1\1", 7);
    memset(v.text, 0xab, 4096);
    memset(v.text + 4096, 0xcd, 4096);
    return v;
}

static void pack(const struct vmlinux *v)
{
    size_t size = 0;
    uint32_t unpacked = sizeof *v;

    CU_ASSERT_EQUAL_FATAL(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, (const uint8_t *)v, sizeof *v,
                                                  file + SETUP_SIZE + 64, &size, CODE_SIZE - 128), LZMA_OK);
    put(SETUP_SIZE + 64 + size, unpacked, 4);
    put(0x248, 64, 4);
    put(0x24c, (uint32_t)size + 4, 4);
}

static void test_unpack(void)
{
    struct vmlinux v = make_vmlinux();
    uint8_t junk = 0xff;

    setup(CODE_SIZE);
    phys_dma_write(phys, PREF + 5000, &junk, 1);
    pack(&v);
    CU_ASSERT_TRUE(boot(NULL, 0, NULL, true));
    CU_ASSERT_EQUAL(cpu->eip, PREF + 0x10);
    CU_ASSERT_EQUAL(get(PREF + 4092, 4), 0xabababab);
    CU_ASSERT_EQUAL(get(PREF + 5000, 4), 0); /* bss is cleared */
    CU_ASSERT_EQUAL(get(PREF + 0x400000, 4), 0xcdcdcdcd);
    teardown();
}

static void check_unpack_refused(const struct vmlinux *v, const char *what)
{
    setup(CODE_SIZE);
    pack(v);
    CU_ASSERT_FALSE(boot(NULL, 0, NULL, true));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, what));
    if (!strstr(error, what))
        fprintf(stderr, "expected \"%s\" in \"%s\"\n", what, error);
    teardown();
}

static void test_bad_vmlinux(void)
{
    struct vmlinux v = make_vmlinux();

    v.header.e_ident[EI_CLASS] = ELFCLASS64;
    check_unpack_refused(&v, "not a 32-bit");
    v = make_vmlinux();
    v.header.e_phnum = 65;
    check_unpack_refused(&v, "65 entries");
    v = make_vmlinux();
    v.header.e_phoff = 0xffffffe0;
    check_unpack_refused(&v, "truncated");
    v = make_vmlinux();
    v.segment[1].p_offset = 0xfffffff0;
    check_unpack_refused(&v, "truncated");
    v = make_vmlinux();
    v.segment[1].p_filesz = 0xfffff000;
    check_unpack_refused(&v, "truncated");
    v = make_vmlinux();
    v.segment[0].p_memsz = 100;
    check_unpack_refused(&v, "smaller in memory");
    v = make_vmlinux();
    v.segment[0].p_paddr = 0x1000;
    check_unpack_refused(&v, "not in the guest's RAM");
    v = make_vmlinux();
    v.segment[0].p_paddr = 0xfffff000;
    check_unpack_refused(&v, "not in the guest's RAM");
    v = make_vmlinux();
    v.segment[0].p_memsz = 0xffffffff;
    check_unpack_refused(&v, "not in the guest's RAM");
    v = make_vmlinux();
    v.header.e_entry = 0x5000;
    check_unpack_refused(&v, "entry");
}

static void test_bad_payload(void)
{
    struct vmlinux v = make_vmlinux();

    setup(CODE_SIZE);
    CU_ASSERT_FALSE(boot(NULL, 0, NULL, true)); /* no payload named */
    pack(&v);
    file[SETUP_SIZE + 64 + 30] ^= 0x55;
    CU_ASSERT_FALSE(boot(NULL, 0, NULL, true));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "corrupt"));
    file[SETUP_SIZE + 64] = 0x1f;
    CU_ASSERT_FALSE(boot(NULL, 0, NULL, true));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "XZ"));
    put(0x248, 0xfffffff0, 4);
    CU_ASSERT_FALSE(boot(NULL, 0, NULL, true));
    put(0x248, 64, 4);
    put(0x24c, 0xffffffff, 4);
    CU_ASSERT_FALSE(boot(NULL, 0, NULL, true));
    teardown();
    setup(CODE_SIZE);
    pack(&v);
    {
        uint32_t length, huge = 0xfffffff0;
        memcpy(&length, file + 0x24c, 4);
        memcpy(file + SETUP_SIZE + 64 + length - 4, &huge, 4); /* a bomb by its own word */
    }
    CU_ASSERT_FALSE(boot(NULL, 0, NULL, true));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "unpacks to"));
    teardown();
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "plain", test_plain },
        { "seed", test_seed },
        { "not relocatable", test_not_relocatable },
        { "wrong files", test_wrong_files },
        { "truncated", test_truncated },
        { "initrd too large", test_initrd_too_large },
        { "command line too long", test_command_line_too_long },
        { "unpack", test_unpack },
        { "bad vmlinux", test_bad_vmlinux },
        { "bad payload", test_bad_payload },
        CU_TEST_INFO_NULL,
    };

    return unit_run("boot_linux", tests);
}
