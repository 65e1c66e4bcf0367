# SPDX-License-Identifier: BSD-2-Clause
# Unit tests of the PC's devices: each links its own module only.
$(eval $(call unit_test,test_i8259,x86vm/pc/i8259.c))
$(eval $(call unit_test,test_i8254,x86vm/pc/i8254.c x86vm/pc/beat.c))
$(eval $(call unit_test,test_rtc,x86vm/pc/rtc.c))
$(eval $(call unit_test,test_i8042,x86vm/pc/i8042.c))
$(eval $(call unit_test,test_uart,x86vm/pc/uart16550.c))
$(eval $(call unit_test,test_near_clock,x86vm/pc/near_clock.c))
$(eval $(call unit_test,test_pci,x86vm/pc/pci.c x86vm/pc/chipset.c))
$(eval $(call unit_test,test_acpi,x86vm/pc/acpi_pm.c x86vm/pc/acpi_tables.c x86vm/pc/pci.c))
BOOT_SRCS := x86vm/pc/boot_cpu.c x86vm/pc/elf32.c x86vm/cpu/cpu.c x86vm/memory/phys.c
$(eval $(call unit_test,test_boot_linux,x86vm/pc/boot_linux.c x86vm/pc/unpack_xz.c $(BOOT_SRCS),$(LIBS_LZMA)))
$(eval $(call unit_test,test_boot_multiboot,x86vm/pc/boot_multiboot.c $(BOOT_SRCS)))
# The whole machine, with NIC models of the tests' own.
$(eval $(call unit_test,test_pc,tests/fake/fake_nic.c $(call srcs,x86vm/pc) x86vm/cpu/cpu.c x86vm/memory/phys.c x86vm/memory/io_bus.c,$(LIBS_LZMA)))
# The same with nicemu's ISA boards.
$(eval $(call unit_test,test_pc_isa,$(call srcs,x86vm/pc) x86vm/cpu/cpu.c x86vm/memory/phys.c x86vm/memory/io_bus.c $(NICEMU_SRCS),$(LIBS_LZMA)))
# PCI power management, messages and PME#, with an e1000 in the machine.
$(eval $(call unit_test,test_pc_power,$(call srcs,x86vm/pc) x86vm/cpu/cpu.c x86vm/memory/phys.c x86vm/memory/io_bus.c $(NICEMU_SRCS),$(LIBS_LZMA)))
# A paravirtual card's capabilities and its window in configuration space.
$(eval $(call unit_test,test_pc_virtio,$(call srcs,x86vm/pc) x86vm/cpu/cpu.c x86vm/memory/phys.c x86vm/memory/io_bus.c $(NICEMU_SRCS),$(LIBS_LZMA)))
