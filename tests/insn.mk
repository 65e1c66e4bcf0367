# SPDX-License-Identifier: BSD-2-Clause
# The instruction oracle: random sequences on this CPU and on the engine.

INSN_SRCS := $(addprefix tests/insn/,main.c gen.c gen_operand.c gen_setup.c gen_flow.c gen_state.c flags.c forms.c code16.c compare.c native.c \
             backends.c engine.c)
INSN_TEST := $(BUILD)/tests/insn_test
INSN_NATIVE := $(BUILD)/tests/insn_native

$(BUILD)/obj/tests/insn/backends.o: CPPFLAGS += -DINSN_ENGINE

$(INSN_TEST): $(call objs,$(INSN_SRCS) $(ENGINE_SRCS))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_ZYDIS)

# Freestanding: as little as possible of it lies in the guest's way.
$(INSN_NATIVE): tests/insn/native_helper.c tests/insn/insn.h
	@mkdir -p $(@D)
	$(CC) -m32 -std=gnu11 -O2 $(WARN) -I. -ffreestanding -fno-stack-protector -fno-pie -fcf-protection=none \
	    -nostdlib -static -no-pie -o $@ $<

# The generator's forms against what the decoder accepts.
INSN_OPCODES := $(BUILD)/tests/insn_opcodes
$(INSN_OPCODES): $(call objs,tests/insn/opcodes.c tests/insn/forms.c $(call srcs,x86vm/decode))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_ZYDIS)

# The decoder's forms against Zydis.
INSN_DECODER := $(BUILD)/tests/insn_decoder
$(INSN_DECODER): $(call objs,tests/insn/decoder.c $(call srcs,x86vm/decode))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_ZYDIS)

# The same program with the emitter's calls led through tests/insn/mutate.c.
INSN_MUTANT := $(BUILD)/tests/insn_mutant
wrapped_in = $(shell sed -n 's/^WRAP.[^,]*, *\([a-z0-9_]*\),.*/\1/p' $(1))
INSN_WRAPPED := $(call wrapped_in,tests/insn/mutate.c)
$(INSN_MUTANT): $(call objs,$(INSN_SRCS) tests/insn/mutate.c $(ENGINE_SRCS))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $(INSN_WRAPPED:%=-Wl,--wrap=%) -o $@ $^ $(LIBS_ZYDIS)

# Unicorn as a second opinion, in a program of its own: libunicorn and the engine
# both have a cpu_reset().
INSN_UNICORN := $(BUILD)/tests/insn_unicorn
INSN_UNICORN_SRCS := $(filter-out %/engine.c %/backends.c,$(INSN_SRCS)) tests/insn/unicorn.c
$(BUILD)/obj/tests/insn/backends_unicorn.o: tests/insn/backends.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -DINSN_UNICORN -c -o $@ $<
$(INSN_UNICORN): $(call objs,$(INSN_UNICORN_SRCS)) $(BUILD)/obj/tests/insn/backends_unicorn.o
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_ZYDIS) -lunicorn

.PHONY: insn-unicorn
insn-unicorn: $(INSN_UNICORN) $(INSN_NATIVE)
	$(INSN_UNICORN) --helper $(INSN_NATIVE) --count 20000 --seed $(or $(SEED),1) --max-failures 20

.PHONY: insn insn-long check-long insn-mutants
insn-mutants: $(INSN_MUTANT) $(INSN_NATIVE)
	@sh tests/insn/mutants.sh $(INSN_MUTANT) $(INSN_NATIVE)
insn: $(INSN_TEST) $(INSN_NATIVE) $(INSN_OPCODES) $(INSN_DECODER) insn-mutants ## random instruction sequences and programs on the engine and on this CPU; SEED=1
	@$(INSN_OPCODES)
	@$(INSN_DECODER) $(or $(SEED),1)
	@sh tests/insn/run.sh $(INSN_TEST) $(INSN_NATIVE) 100000 $(or $(SEED),1)
check-long: insn-long
insn-long: $(INSN_TEST) $(INSN_NATIVE)
	@sh tests/insn/run.sh $(INSN_TEST) $(INSN_NATIVE) 1000000 $(or $(SEED),$(shell date +%s))
