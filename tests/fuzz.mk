# SPDX-License-Identifier: BSD-2-Clause
# Random input: the engine's code, boot images, ports and PCI, NIC registers.
# `make fuzz-smoke` is short and part of `make check`; `make fuzz` takes
# FUZZ_SECONDS for each and starts from another seed every time.

FUZZ_ENGINE := $(BUILD)/tests/fuzz_engine
$(FUZZ_ENGINE): $(call objs,tests/fuzz/fuzz_engine.c tests/fuzz/fuzz_guest.c tests/fuzz/fuzz_code.c tests/insn/forms.c \
                guest/sandbox.c $(filter-out x86vm/pc/%,$(X86VM_SRCS)))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_ZYDIS) $(LIBS_SECCOMP)

FUZZ_PC_SRCS := $(call srcs,x86vm/pc) x86vm/cpu/cpu.c x86vm/memory/phys.c x86vm/memory/io_bus.c
$(BUILD)/tests/fuzz_ports: $(call objs,tests/fuzz/fuzz_ports.c $(FUZZ_PC_SRCS) $(NICEMU_SRCS))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_LZMA)
$(BUILD)/tests/fuzz_boot: $(call objs,tests/fuzz/fuzz_boot.c $(FUZZ_PC_SRCS) $(NICEMU_SRCS))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_LZMA)
