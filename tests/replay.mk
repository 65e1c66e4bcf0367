# SPDX-License-Identifier: BSD-2-Clause
# Recordings: replayed on the engine, and compared with Unicorn. Unicorn is loaded
# at run time (second.c) and is in no program of the product.

DIVERGE := $(BUILD)/tests/diverge
DIVERGE_SRCS := $(filter-out %/guest.c,$(wildcard tests/replay/*.c)) tests/insn/flags.c $(ENGINE_SRCS)
DIVERGE_WRAPPED := protection_exception protection_hardware_interrupt protection_int protection_interrupt calls_pushf calls_fxsave calls_fnsave \
                   calls_fnstenv replay_take rewrite_system_inline signal sigaction
$(DIVERGE): $(call objs,$(DIVERGE_SRCS))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $(DIVERGE_WRAPPED:%=-Wl,--wrap=%) -o $@ $^ $(LIBS_ZYDIS) -ldl

# The same with the emitter's calls led through tests/insn/mutate.c.
DIVERGE_MUTANT := $(BUILD)/tests/diverge_mutant
$(DIVERGE_MUTANT): $(call objs,$(DIVERGE_SRCS) tests/insn/mutate.c)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $(DIVERGE_WRAPPED:%=-Wl,--wrap=%) $(INSN_WRAPPED:%=-Wl,--wrap=%) -o $@ $^ $(LIBS_ZYDIS) -ldl

REPLAY_GUEST := $(BUILD)/tests/replay_guest.elf
$(REPLAY_GUEST): tests/replay/guest.c tests/guests/guest.ld
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -fomit-frame-pointer -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-T,tests/guests/guest.ld -o $@ $<

.PHONY: replay-check diverge
diverge: $(DIVERGE) ## build/tests/diverge FILE compares a recording with Unicorn
replay-check: all $(DIVERGE) $(DIVERGE_MUTANT) $(REPLAY_GUEST) $(GUEST_IMAGE) ## recordings replayed, and compared with Unicorn
	@BUILD="$(BUILD)" sh tests/replay/run.sh
