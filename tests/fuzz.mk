# SPDX-License-Identifier: BSD-2-Clause
# Random input: code on the engine, boot images and command lines, ports and
# PCI, NIC registers. `make check` runs each for seconds with the unit tests;
# `make fuzz` for FUZZ_SECONDS each, code also where accesses have no checks, from another seed every time, and again with
# sanitizers (the engine's C code then, not what it emits).

FUZZ_SECONDS ?= 600
FUZZ_SEED    ?= $(shell date +%s)
FUZZ_IMAGES   = $(addprefix --kernel ,$(wildcard $(or $(VSWITCH_CACHE),cache)/images/vmlinuz)) --multiboot $(BUILD)/tests/guest.elf
FUZZ_PLAIN    = $(BUILD)/tests/fuzz_engine $(BUILD)/tests/fuzz_ports $(BUILD)/tests/fuzz_boot $(BUILD)/tests/fuzz_nic \
                $(BUILD)/tests/fuzz_machine

$(BUILD)/tests/fuzz_machine: $(call objs,tests/fuzz/fuzz_machine.c guest/sandbox.c $(X86VM_SRCS) $(NICEMU_SRCS))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_ZYDIS) $(LIBS_SECCOMP) $(LIBS_LZMA)

.PHONY: fuzz fuzz-smoke fuzz-programs fuzz-run
fuzz-programs: $(FUZZ_PLAIN) $(BUILD)/tests/guest.elf
fuzz-smoke: fuzz-programs ## every fuzzer for a few seconds
	@$(BUILD)/tests/fuzz_engine --seconds 8 --corpus $(BUILD)/tests/guest.elf
	@X86VM_CHECK_MOVES=1 $(BUILD)/tests/fuzz_engine --seconds 4 --corpus $(BUILD)/tests/guest.elf
	@X86VM_EAGER_CACHES=1 $(BUILD)/tests/fuzz_engine --seconds 4 --corpus $(BUILD)/tests/guest.elf
	@X86VM_EAGER_JUMPS=1 $(BUILD)/tests/fuzz_engine --seconds 4 --corpus $(BUILD)/tests/guest.elf --check-windows
	@$(BUILD)/tests/fuzz_machine --seconds 4 --image $(BUILD)/tests/guest.elf
	@$(BUILD)/tests/fuzz_ports --operations 300000
	@$(BUILD)/tests/fuzz_boot --cases 150 $(FUZZ_IMAGES)
	@$(BUILD)/tests/fuzz_nic
fuzz-run: fuzz-programs
	@$(BUILD)/tests/fuzz_engine --seed $(FUZZ_SEED) --seconds $(FUZZ_SECONDS) --corpus $(BUILD)/tests/guest.elf
	@X86VM_EAGER_BARE=1 $(BUILD)/tests/fuzz_engine --seed $(FUZZ_SEED) --seconds $(FUZZ_SECONDS) --corpus $(BUILD)/tests/guest.elf
	@X86VM_EAGER_JUMPS=1 $(BUILD)/tests/fuzz_engine --seed $(FUZZ_SEED) --seconds $(FUZZ_SECONDS) --corpus $(BUILD)/tests/guest.elf
	@X86VM_EAGER_CACHES=1 $(BUILD)/tests/fuzz_engine --seed $(FUZZ_SEED) --seconds $(FUZZ_SECONDS) --corpus $(BUILD)/tests/guest.elf
	@X86VM_CHECK_MOVES=1 $(BUILD)/tests/fuzz_engine --seed $(FUZZ_SEED) --seconds $(FUZZ_SECONDS) --corpus $(BUILD)/tests/guest.elf
	@X86VM_EAGER_BARE=1 $(BUILD)/tests/fuzz_engine --seed $(FUZZ_SEED) --seconds $(FUZZ_SECONDS) --corpus $(BUILD)/tests/guest.elf --check-windows
	@for image in $(wildcard $(or $(VSWITCH_CACHE),cache)/images/vmlinuz) $(BUILD)/tests/guest.elf; do \
	    $(BUILD)/tests/fuzz_machine --seed $(FUZZ_SEED) --seconds $(FUZZ_SECONDS) --image $$image || exit 1; done
	@$(BUILD)/tests/fuzz_ports --seed $(FUZZ_SEED) --seconds $(FUZZ_SECONDS)
	@$(BUILD)/tests/fuzz_boot --seed $(FUZZ_SEED) --seconds $(FUZZ_SECONDS) $(FUZZ_IMAGES)
	@$(BUILD)/tests/fuzz_nic $(FUZZ_SECONDS)0000 $(FUZZ_SEED)
fuzz: fuzz-programs ## every fuzzer for FUZZ_SECONDS (600) each, plain and with sanitizers
	@$(MAKE) -s fuzz-run
	@$(MAKE) -s SANITIZE=address,undefined BUILD=$(BUILD)/asan fuzz-run
