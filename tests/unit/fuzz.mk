# SPDX-License-Identifier: BSD-2-Clause
# The fuzzers, short: without arguments each runs a few seconds of seed 1.
# `make fuzz-smoke` and `make fuzz` (tests/fuzz.mk) run the same programs.
FUZZ_PC_SRCS   := $(call srcs,x86vm/pc) x86vm/cpu/cpu.c x86vm/memory/phys.c x86vm/memory/io_bus.c $(NICEMU_SRCS)
FUZZ_BOOT_SRCS := $(wildcard x86vm/pc/boot*.c x86vm/pc/elf*.c x86vm/pc/unpack*.c) x86vm/cpu/cpu.c x86vm/memory/phys.c
FUZZ_CODE_SRCS := tests/fuzz/fuzz_bare.c tests/fuzz/fuzz_guest.c tests/fuzz/fuzz_code.c tests/insn/forms.c guest/sandbox.c \
                  $(ENGINE_SRCS)

define fuzz_test
UNIT_TESTS += $(BUILD)/tests/$(1)
$(BUILD)/tests/$(1): $(call objs,tests/fuzz/$(1).c $(2))
	@mkdir -p $$(@D)
	$$(CC) $$(LDFLAGS) -o $$@ $$^ $(3)
endef
$(eval $(call fuzz_test,fuzz_engine,$(FUZZ_CODE_SRCS),$(LIBS_ZYDIS) $(LIBS_SECCOMP)))
$(eval $(call fuzz_test,fuzz_ports,$(FUZZ_PC_SRCS),$(LIBS_LZMA)))
$(eval $(call fuzz_test,fuzz_boot,$(FUZZ_BOOT_SRCS),$(LIBS_LZMA)))
