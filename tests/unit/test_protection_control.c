/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Control and debug registers, descriptor-table registers, MSRs, CPUID, ports.
 */
#include "tests/unit/protection_machine.h"

#include "x86vm/memory/io_bus.h"

#include <string.h>

static void everything_privileged(void)
{
    machine_ring(3);
    CHECK_FAULT(protection_read_cr(cpu, 0), VEC_GP, 0);
    CHECK_FAULT(protection_write_cr(cpu, 3, 0), VEC_GP, 0);
    CHECK_FAULT(protection_read_dr(cpu, 0), VEC_GP, 0);
    CHECK_FAULT(protection_write_dr(cpu, 7, 0), VEC_GP, 0);
    CHECK_FAULT(protection_clts(cpu), VEC_GP, 0);
    CHECK_FAULT(protection_lmsw(cpu, 0), VEC_GP, 0);
    CHECK_FAULT(protection_load_table(cpu, true, 0, 0), VEC_GP, 0);
    CHECK_FAULT(protection_invlpg(cpu, 0), VEC_GP, 0);
    CHECK_FAULT(protection_invd(cpu), VEC_GP, 0);
    CHECK_FAULT(protection_hlt(cpu), VEC_GP, 0);
    CHECK_FAULT(protection_rdmsr(cpu), VEC_GP, 0);
    CHECK_FAULT(protection_wrmsr(cpu), VEC_GP, 0);
    CHECK_UD(protection_read_cr(cpu, 1));
    CHECK_UD(protection_write_cr(cpu, 8, 0));
    machine_ring(0);
    CHECK_OK(protection_hlt(cpu));
    CU_ASSERT(cpu->halted);
}

static void cr0(void)
{
    CHECK_FAULT(protection_write_cr(cpu, 0, CR0_PG), VEC_GP, 0);
    CHECK_FAULT(protection_write_cr(cpu, 0, CR0_PE | CR0_NW), VEC_GP, 0);
    CHECK_OK(protection_write_cr(cpu, 0, 0x1ffeffc0 | CR0_PE)); /* reserved bits do not stick, ET does */
    CU_ASSERT_EQUAL(protection_read_cr(cpu, 0), CR0_PE | CR0_ET | CR0_AM);
    CHECK_OK(protection_write_cr(cpu, 0, CR0_PE | CR0_TS));
    CHECK_OK(protection_clts(cpu));
    CU_ASSERT_EQUAL(cpu->cr0, CR0_PE | CR0_ET);
    CHECK_OK(protection_lmsw(cpu, 0xfffe)); /* PE stays */
    CU_ASSERT_EQUAL(cpu->cr0, CR0_PE | CR0_ET | CR0_MP | CR0_EM | CR0_TS);
    CU_ASSERT_EQUAL(protection_smsw(cpu), cpu->cr0);
    CHECK_OK(protection_write_cr(cpu, 0, 0));
    CHECK_OK(protection_lmsw(cpu, 1));
    CU_ASSERT(cpu_protected(cpu));
}

static void paging_takes_effect_at_once(void)
{
    machine_page();
    cpu->cr0 &= ~CR0_PG;
    view_flush_all(cpu);
    poke(0x6000, 0x11111111), poke(0x7000, 0x22222222);
    poke(TABLE + 6 * 4, 0x7000 | 3); /* 0x6000 leads to 0x7000 */
    CU_ASSERT_EQUAL(view_read32(cpu, 0x6000, false), 0x11111111);
    CHECK_OK(protection_write_cr(cpu, 0, cpu->cr0 | CR0_PG));
    CU_ASSERT_EQUAL(view_read32(cpu, 0x6000, false), 0x22222222);
    poke(TABLE + 6 * 4, 0x6000 | 3);
    CHECK_OK(protection_invlpg(cpu, 0x6123));
    CU_ASSERT_EQUAL(view_read32(cpu, 0x6000, false), 0x11111111);
    poke(TABLE + 6 * 4, 0x7000 | 3);
    CHECK_OK(protection_write_cr(cpu, 3, DIRECTORY));
    CU_ASSERT_EQUAL(view_read32(cpu, 0x6000, false), 0x22222222);
    poke(TABLE + 6 * 4, 0x7000 | 1); /* read-only: WP decides for the supervisor */
    CHECK_OK(protection_write_cr(cpu, 0, cpu->cr0 & ~CR0_WP));
    CHECK_OK(view_write(cpu, 0x6000, "abcd", 4, false));
    CHECK_OK(protection_write_cr(cpu, 0, cpu->cr0 | CR0_WP));
    CU_ASSERT_EQUAL(TRY(view_write(cpu, 0x6000, "abcd", 4, false)), VEC_PF);
}

static void cr4_is_what_cpuid_says(void)
{
    cpu->regs[CPU_EAX] = 1;
    protection_cpuid(cpu);
    const uint32_t edx = cpu->regs[CPU_EDX];
    static const struct { uint32_t bit; int feature; } rows[] = {
        { CR4_VME, 1 }, { CR4_PVI, 1 }, { CR4_TSD, 4 }, { CR4_DE, 2 }, { CR4_PSE, 3 }, { CR4_PAE, 6 }, { CR4_MCE, 7 },
        { CR4_PGE, 13 }, { CR4_OSFXSR, 24 }, { CR4_OSXMMEXCPT, 25 }, { CR4_PCE, 31 }, { CR4_UMIP, 31 }, { 1u << 13, 31 },
        { 1u << 31, 31 },
    };
    for (volatile unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].feature < 31 && edx >> rows[i].feature & 1) {
            CHECK_OK(protection_write_cr(cpu, 4, rows[i].bit));
            CU_ASSERT_EQUAL(protection_read_cr(cpu, 4), rows[i].bit);
        } else {
            CHECK_FAULT(protection_write_cr(cpu, 4, rows[i].bit), VEC_GP, 0);
        }
    }
}

static void debug_registers(void)
{
    CHECK_OK(protection_write_dr(cpu, 3, 0x12345678));
    CU_ASSERT_EQUAL(protection_read_dr(cpu, 3), 0x12345678);
    CHECK_OK(protection_write_dr(cpu, 4, 0)); /* alias of DR6 */
    CU_ASSERT_EQUAL(protection_read_dr(cpu, 6), 0xffff0ff0);
    CHECK_OK(protection_write_dr(cpu, 6, 0xffffffff));
    CU_ASSERT_EQUAL(protection_read_dr(cpu, 4), 0xffffefff);
    CHECK_OK(protection_write_dr(cpu, 5, 0xffffdfff));
    CU_ASSERT_EQUAL(protection_read_dr(cpu, 7), 0xffff07ff);
    cpu->cr4 = CR4_DE;
    CHECK_UD(protection_read_dr(cpu, 4));
    CHECK_UD(protection_write_dr(cpu, 5, 0));
    CHECK_OK(protection_write_dr(cpu, 7, DR7_GD));
    CHECK_FAULT(protection_write_dr(cpu, 7, 0), VEC_DB, DR6_BD);
}

static void tables_and_umip(void)
{
    machine_ring(3);
    CU_ASSERT_EQUAL(protection_store_table(cpu, false).base, GDT);
    CU_ASSERT_EQUAL(protection_store_table(cpu, true).limit, 0x7ff);
    CU_ASSERT_EQUAL(protection_store_selector(cpu, true), TSS_SEL);
    CU_ASSERT_EQUAL(protection_store_selector(cpu, false), LDT_SEL);
    cpu->cr4 = CR4_UMIP;
    CHECK_FAULT(protection_store_table(cpu, false), VEC_GP, 0);
    CHECK_FAULT(protection_store_selector(cpu, true), VEC_GP, 0);
    CHECK_FAULT(protection_smsw(cpu), VEC_GP, 0);
    machine_ring(0);
    CHECK_OK(protection_smsw(cpu));
    CHECK_OK(protection_load_table(cpu, true, 0x12345678, 0x1ff));
    CU_ASSERT_EQUAL(cpu->idtr.base, 0x12345678);
    CU_ASSERT_EQUAL(cpu->idtr.limit, 0x1ff);
    machine_v8086(3);
    CHECK_UD(protection_store_selector(cpu, true));
    machine_real();
    CHECK_UD(protection_store_selector(cpu, false));
    CHECK_OK(protection_load_table(cpu, false, 1, 2));
}

static int read_msr(uint32_t index)
{
    cpu->regs[CPU_ECX] = index;
    return TRY(protection_rdmsr(cpu));
}

static int write_msr(uint32_t index, uint64_t value)
{
    cpu->regs[CPU_ECX] = index, cpu->regs[CPU_EAX] = value, cpu->regs[CPU_EDX] = value >> 32;
    return TRY(protection_wrmsr(cpu));
}

static uint64_t edx_eax(void) { return (uint64_t)cpu->regs[CPU_EDX] << 32 | cpu->regs[CPU_EAX]; }

static void msrs(void)
{
    CU_ASSERT_EQUAL(write_msr(0x174, 0x60), -1);
    CU_ASSERT_EQUAL(write_msr(0x176, 0xc0100000), -1);
    CU_ASSERT_EQUAL(read_msr(0x176), -1);
    CU_ASSERT_EQUAL(edx_eax(), 0xc0100000);
    CU_ASSERT_EQUAL(cpu->sysenter_cs, 0x60);
    static const uint32_t unknown[] = { 0, 0x1b, 0xfe, 0x179, 0x277, 0x2ff, 0xc0000081, 0xffffffff };
    for (volatile unsigned i = 0; i < sizeof unknown / 4; i++) {
        CU_ASSERT_EQUAL(read_msr(unknown[i]), VEC_GP);
        CU_ASSERT_EQUAL(cpu->fault_error, 0);
        CU_ASSERT(machine_unchanged());
        CU_ASSERT_EQUAL(write_msr(unknown[i], 0), VEC_GP);
    }
    CU_ASSERT_EQUAL(write_msr(0x17, 0), VEC_GP); /* read-only */
    CU_ASSERT_EQUAL(read_msr(0x8b), -1);
    CU_ASSERT_NOT_EQUAL(cpu->regs[CPU_EDX], 0);
    CU_ASSERT_EQUAL(read_msr(0x1a0), -1);
    CU_ASSERT_EQUAL(edx_eax(), 0x1801);
    CU_ASSERT_EQUAL(write_msr(0x1a0, ~UINT64_C(0)), -1);
    CU_ASSERT_EQUAL(read_msr(0x1a0), -1);
    CU_ASSERT_EQUAL(edx_eax(), 0x1801);
}

static void no_execute(void)
{
    const uint32_t pdpt = DIRECTORY, directory = DIRECTORY + 0x2000, table = DIRECTORY + 0x3000;

    poke(pdpt, directory | 1), poke(directory, table | 7);
    for (uint32_t i = 0; i < 512; i++)
        poke(table + 8 * i, i << 12 | 7);
    poke(table + 8 * 6 + 4, 0x80000000); /* XD on 0x6000 */
    CHECK_OK(protection_write_cr(cpu, 4, CR4_PAE));
    CHECK_OK(protection_write_cr(cpu, 3, pdpt));
    CHECK_OK(protection_write_cr(cpu, 0, CR0_PE | CR0_PG));
    CU_ASSERT_EQUAL(TRY(view_read32(cpu, 0x6000, false)), VEC_PF); /* reserved while NXE is off */
    CU_ASSERT_EQUAL(cpu->fault_error, PF_PRESENT | PF_RESERVED);
    CU_ASSERT_EQUAL(write_msr(0xc0000080, 0x100), VEC_GP); /* no long mode */
    CU_ASSERT_EQUAL(write_msr(0xc0000080, EFER_NXE), -1);
    CU_ASSERT_EQUAL(read_msr(0xc0000080), -1);
    CU_ASSERT_EQUAL(edx_eax(), EFER_NXE);
    CHECK_OK(view_read32(cpu, 0x6000, false));
    CHECK_OK(view_translate(cpu, 0x5000, VIEW_FOR_EXEC, true));
    CU_ASSERT_EQUAL(TRY(view_translate(cpu, 0x6000, VIEW_FOR_EXEC, true)), VEC_PF);
    CU_ASSERT_EQUAL(cpu->fault_error, PF_PRESENT | PF_USER | PF_FETCH);
    CU_ASSERT_EQUAL(write_msr(0xc0000080, 0), -1);
    CU_ASSERT_EQUAL(TRY(view_read32(cpu, 0x6000, false)), VEC_PF); /* the view forgot it */
}

static void time_stamp_counter(void)
{
    const uint64_t start = UINT64_C(0x100000000) - 50;
    CU_ASSERT_EQUAL(write_msr(0x10, start), -1);
    CHECK_OK(protection_rdtsc(cpu));
    const uint64_t first = edx_eax();
    CHECK_OK(protection_rdtsc(cpu));
    CU_ASSERT(first >= start && edx_eax() >= first && edx_eax() - start < UINT64_C(10000000000));
    CU_ASSERT_EQUAL(read_msr(0x3b), -1); /* TSC_ADJUST follows the writes */
    const uint64_t adjust = edx_eax();
    CU_ASSERT_EQUAL(adjust, cpu->tsc_offset);
    CU_ASSERT_EQUAL(write_msr(0x3b, adjust + UINT64_C(0x100000000000)), -1);
    CHECK_OK(protection_rdtsc(cpu));
    CU_ASSERT_EQUAL(edx_eax() >> 40, 0x10);
    machine_ring(3);
    CHECK_OK(protection_rdtsc(cpu));
    cpu->cr4 = CR4_TSD;
    CHECK_FAULT(protection_rdtsc(cpu), VEC_GP, 0);
    machine_ring(0);
    CHECK_OK(protection_rdtsc(cpu));
    CHECK_FAULT(protection_rdpmc(cpu), VEC_GP, 0);
}

static void leaf(uint32_t eax, uint32_t ecx)
{
    cpu->regs[CPU_EAX] = eax, cpu->regs[CPU_ECX] = ecx;
    protection_cpuid(cpu);
}

static void cpuid(void)
{
    char text[49] = { 0 };

    leaf(0, 0);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 4);
    memcpy(text, &cpu->regs[CPU_EBX], 4), memcpy(text + 4, &cpu->regs[CPU_EDX], 4), memcpy(text + 8, &cpu->regs[CPU_ECX], 4);
    CU_ASSERT_STRING_EQUAL(text, "GenuineIntel");
    leaf(1, 0);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 0x106ca);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EDX], 0x0788a97f);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ECX], 0);
    cpu->features = CPU_SSE3 | CPU_POPCNT; /* what the host has is advertised, bit by bit */
    leaf(1, 0);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ECX], 0x00800001);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EDX], 0x0788a97f);
    cpu->features = 0;
    CU_ASSERT_EQUAL(protection_host_features() & ~(uint32_t)CPU_FEATURES, 0);
    leaf(4, 0);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 0x121);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EBX], 0x0140003f);
    CU_ASSERT_EQUAL(cpu->regs[CPU_ECX], 63);
    leaf(4, 3);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EAX] & 31, 0); /* no more caches */
    leaf(0x80000000, 0);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 0x80000008);
    for (unsigned i = 0; i < 3; i++) {
        leaf(0x80000002 + i, 0);
        memcpy(text + 16 * i, (uint32_t[]){ cpu->regs[CPU_EAX], cpu->regs[CPU_EBX], cpu->regs[CPU_ECX],
                                            cpu->regs[CPU_EDX] }, 16);
    }
    CU_ASSERT_STRING_EQUAL(text, "vswitch virtual CPU");
    leaf(0x80000001, 0);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EDX], 1u << 20);
    leaf(0x80000008, 0);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 0x2020);
    leaf(0x40000000, 0); /* no hypervisor: as the last basic leaf */
    CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 0x121);
}

static void cpuid_tells_the_tsc_rate(void)
{
    cpu->tsc_khz = 2300123;
    leaf(0, 0);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 0x16);
    leaf(0x80000007, 0);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EDX], 1u << 8);
    leaf(7, 0);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EBX], 2);
    for (uint32_t i = 8; i < 0x15; i++) {
        leaf(i, 0);
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX] | cpu->regs[CPU_EBX] | cpu->regs[CPU_ECX] | cpu->regs[CPU_EDX], 0);
    }
    leaf(0x15, 0);
    CU_ASSERT_EQUAL((uint64_t)cpu->regs[CPU_ECX] * cpu->regs[CPU_EBX] / cpu->regs[CPU_EAX], UINT64_C(2300123000));
    leaf(0x16, 0);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 2300);
    for (unsigned i = 0; i < 3; i++) { /* beyond: as the last */
        leaf((uint32_t[]){ 0x17, 0x40000000, 0x80000009 }[i], 0);
        CU_ASSERT_TRUE(cpu->regs[CPU_EAX] == 2300 && cpu->regs[CPU_ECX] == 100);
    }

    cpu->tsc_khz = 0; /* not known: a CPU without these leaves */
    leaf(0, 0);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], 4);
    leaf(0x80000007, 0);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EDX], 0);

    const uint32_t once = protection_measure_tsc_khz(), again = protection_measure_tsc_khz();
    CU_ASSERT((once > 100000 && again > 100000) || (!once && !again));
    CU_ASSERT(once - again + once / 1000 <= once / 500); /* within 0.1 % */
}

static uint32_t last_write;
static uint32_t port_read(void *device, uint32_t offset, unsigned size)
{
    (void)device;
    return 0x100 * size + offset;
}
static void port_write(void *device, uint32_t offset, unsigned size, uint32_t value)
{
    (void)device;
    last_write = value + 0x1000000 * size + 0x10000 * offset;
}

static void ports(void)
{
    static const struct io_ops ops = { .read = port_read, .write = port_write };

    CU_ASSERT_EQUAL(io_bus_map_ports(cpu->io, 0x3f8, 8, &ops, NULL), 0);
    CU_ASSERT_EQUAL(protection_in(cpu, 0x3fa, 2), 0x202);
    protection_out(cpu, 0x3f9, 1, 0x55);
    CU_ASSERT_EQUAL(last_write, 0x1010055);

    /* The bitmap starts at 0x68 of the TSS: all zero, allowed, up to the limit. */
    machine_ring(3);
    CHECK_OK(protection_in(cpu, 0x3f8, 4));
    poke8(TSS + 104 + 0x3fb / 8, 1 << 3);
    CHECK_FAULT(protection_in(cpu, 0x3fb, 1), VEC_GP, 0);
    CHECK_FAULT(protection_in(cpu, 0x3f8, 4), VEC_GP, 0);
    CHECK_FAULT(protection_out(cpu, 0x3fa, 2, 0), VEC_GP, 0);
    CHECK_OK(protection_in(cpu, 0x3f8, 2));
    poke8(TSS + 104 + 0x400 / 8, 1); /* an access across a byte of the bitmap */
    CHECK_FAULT(protection_check_io(cpu, 0x3ff, 2), VEC_GP, 0);
    CHECK_OK(protection_check_io(cpu, 0x3ff, 1));
    cpu->tr.limit = 104 + 0x3f8 / 8; /* the second byte must lie within the limit too */
    CHECK_FAULT(protection_in(cpu, 0x3f8, 1), VEC_GP, 0);
    CHECK_OK(protection_check_io(cpu, 0x3f7, 1));
    cpu->tr.limit = 102;
    CHECK_FAULT(protection_check_io(cpu, 0, 1), VEC_GP, 0);
    cpu->eflags |= FLAG_IOPL;
    CHECK_OK(protection_in(cpu, 0x3fb, 1));
    machine_v8086(3); /* IOPL does not count here */
    CHECK_FAULT(protection_in(cpu, 0x3fb, 1), VEC_GP, 0);
    cpu->tr.limit = 0x3ff;
    CHECK_OK(protection_check_io(cpu, 0x80, 1));
    cpu->tr.access = SEG_P | 3;
    CHECK_FAULT(protection_check_io(cpu, 0x80, 1), VEC_GP, 0);
    machine_real();
    CHECK_OK(protection_in(cpu, 0x3fb, 1));
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "privileged", everything_privileged },
        { "CR0", cr0 },
        { "paging takes effect", paging_takes_effect_at_once },
        { "CR4", cr4_is_what_cpuid_says },
        { "debug registers", debug_registers },
        { "tables, UMIP", tables_and_umip },
        { "MSRs", msrs },
        { "EFER.NXE", no_execute },
        { "TSC", time_stamp_counter },
        { "CPUID", cpuid },
        { "CPUID tells the TSC rate", cpuid_tells_the_tsc_rate },
        { "ports", ports },
        CU_TEST_INFO_NULL,
    };

    return unit_run_each("control", tests, machine_setup, machine_teardown);
}
