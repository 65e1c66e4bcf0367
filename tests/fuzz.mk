# SPDX-License-Identifier: BSD-2-Clause
# Random input: the engine's code, boot images, ports and PCI, NIC registers.
# `make fuzz-smoke` is short and part of `make check`; `make fuzz` takes
# FUZZ_SECONDS for each and starts from another seed every time.

FUZZ_ENGINE := $(BUILD)/tests/fuzz_engine
$(FUZZ_ENGINE): $(call objs,tests/fuzz/fuzz_engine.c tests/fuzz/fuzz_guest.c tests/fuzz/fuzz_code.c tests/insn/forms.c \
                guest/sandbox.c $(filter-out x86vm/pc/%,$(X86VM_SRCS)))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_ZYDIS) $(LIBS_SECCOMP)
