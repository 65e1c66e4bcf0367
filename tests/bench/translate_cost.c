/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What translating costs, by itself: all code of i386 ELF files is translated,
 * block behind block, as a kernel's (CPL 0) or a user's without checks, and
 * nothing of it is run. Also prints a hash of the code that was emitted, for
 * changes that must not change it.
 *
 * usage: translate_cost [--rounds N] [--kib N] [--bare | --checked] FILE...   (at most N KiB of each section)
 */
#include "x86vm/translate/translator.h"

#include <elf.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RAM_SIZE = 64 << 20, LOAD_AT = 1 << 20, PADDING = 0xcc /* INT3, between functions */ };

struct run { uint64_t ns, hash; uint32_t blocks, insns, code_bytes, flushes; };

static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The executable sections one behind the other, at LOAD_AT; how many bytes. */
static uint32_t load(struct translator *t, const char *path, uint32_t most)
{
    static uint8_t file[RAM_SIZE];
    const Elf32_Ehdr *elf = (const void *)file;
    const Elf32_Shdr *sections;
    FILE *in = fopen(path, "rb");
    size_t size = in ? fread(file, 1, sizeof file, in) : 0;
    uint32_t at = LOAD_AT;

    if (in)
        fclose(in);
    if (size < sizeof *elf || memcmp(elf->e_ident, ELFMAG, SELFMAG) || elf->e_machine != EM_386
        || elf->e_shoff + (uint64_t)elf->e_shnum * sizeof *sections > size)
        return 0;
    sections = (const void *)(file + elf->e_shoff);
    for (unsigned i = 0; i < elf->e_shnum; i++) {
        uint32_t bytes = sections[i].sh_size < most ? sections[i].sh_size : most;
        if (sections[i].sh_type != SHT_PROGBITS || !(sections[i].sh_flags & SHF_EXECINSTR)
            || (uint64_t)sections[i].sh_offset + bytes > size || at + bytes > RAM_SIZE)
            continue;
        phys_dma_write(t->phys, at, file + sections[i].sh_offset, bytes);
        at += bytes;
    }
    return at - LOAD_AT;
}

static void set_up_cpu(struct translator *t)
{
    struct cpu *cpu = translator_cpu(t);

    for (unsigned i = 0; i < CPU_SEG_COUNT; i++) {
        struct cpu_segment flat = { .limit = 0xffffffff, .selector = 8, .access = SEG_P | SEG_S | SEG_G | SEG_DB | 3 };
        if (i == CPU_CS)
            flat.access |= SEG_TYPE_CODE;
        cpu_set_segment(cpu, i, &flat);
    }
    cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE;
    cpu->cr4 = CR4_OSFXSR;
    view_flush_all(cpu);
    view_select(cpu);
}

static uint64_t hash_of(uint64_t hash, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static void hash_code(struct run *run, struct translator *t)
{
    run->code_bytes += (uint32_t)(t->hot.p - t->hot_start) + (uint32_t)(t->cold.p - t->cold_start);
    run->hash = hash_of(run->hash, t->hot_start, (size_t)(t->hot.p - t->hot_start));
    run->hash = hash_of(run->hash, t->cold_start, (size_t)(t->cold.p - t->cold_start));
}

static struct run translate(struct translator *t, uint32_t mode, uint32_t size)
{
    struct cpu *cpu = translator_cpu(t);
    struct run run = { .hash = UINT64_C(0xcbf29ce484222325) };
    volatile uint32_t eip = LOAD_AT;
    uint64_t began;
    jmp_buf fault;

    blocks_flush(t);
    began = cpu_ns();
    cpu->fault_env = &fault;
    if (setjmp(fault))
        eip++; /* an instruction too long, or one that goes on past memory's end */
    while (eip < LOAD_AT + size) {
        const struct block *block;
        if (t->ram[eip] == PADDING) {
            eip++;
            continue;
        }
        block = build_block(t, eip, mode);
        if (!block) {
            run.ns += cpu_ns() - began;
            hash_code(&run, t);
            run.flushes++;
            blocks_flush(t);
            began = cpu_ns();
            continue;
        }
        run.blocks++;
        run.insns += block->insn_count;
        eip += block->length;
    }
    run.ns += cpu_ns() - began;
    hash_code(&run, t);
    return run;
}

static void measure(struct translator *t, const char *path, const char *name, uint32_t mode, uint32_t size, unsigned rounds)
{
    struct run first, best;

    first = best = translate(t, mode, size);
    for (unsigned i = 1; i < rounds; i++) {
        struct run run = translate(t, mode, size);
        if (run.hash != first.hash)
            printf("  the code differs from round to round\n");
        best = run.ns < best.ns ? run : best;
    }
    path = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    printf("%-14s %-5s %7u blocks, %4.1f instructions, %5.0f bytes each: %6.0f ns a block, %5.1f an instruction (first time %.0f)  %016llx\n",
           path, name, best.blocks, (double)best.insns / best.blocks, (double)best.code_bytes / best.blocks,
           (double)best.ns / best.blocks, (double)best.ns / best.insns, (double)first.ns / first.blocks, (unsigned long long)best.hash);
}

int main(int argc, char **argv)
{
    const struct x86vm_config config = { .ram_size = RAM_SIZE };
    unsigned rounds = 5, most = 512;
    bool bare = true, checked = true;
    char error[200];
    struct x86vm *vm = x86vm_new(&config, error, sizeof error);
    struct translator *t = translator_current;

    if (!vm) {
        fprintf(stderr, "translate_cost: %s\n", error);
        return 1;
    }
    set_up_cpu(t);
    for (int i = 1; i < argc; i++) {
        const uint32_t flat = MODE_CODE32 | MODE_STACK32 | MODE_MP | MODE_OSFXSR;
        uint32_t size;
        if (!strcmp(argv[i], "--rounds") && i + 1 < argc) {
            rounds = (unsigned)atoi(argv[++i]);
            continue;
        }
        if (!strcmp(argv[i], "--kib") && i + 1 < argc) {
            most = (unsigned)atoi(argv[++i]);
            continue;
        }
        if (!strcmp(argv[i], "--bare") || !strcmp(argv[i], "--checked")) {
            bare = argv[i][2] == 'b';
            checked = !bare;
            continue;
        }
        size = load(t, argv[i], most << 10);
        if (!size) {
            fprintf(stderr, "translate_cost: %s is no i386 ELF file with code\n", argv[i]);
            return 1;
        }
        if (checked)
            measure(t, argv[i], "CPL 0", flat | MODE_CPL0, size, rounds);
        if (bare)
            measure(t, argv[i], "bare", flat | MODE_USER | MODE_BARE, size, rounds);
    }
    x86vm_free(vm);
    return 0;
}
