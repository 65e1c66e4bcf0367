# SPDX-License-Identifier: BSD-2-Clause
# Random programs, interrupted and moved about on the engine, against this CPU.

PROGRAMS_TEST := $(BUILD)/tests/programs
PROGRAMS_SRCS := $(filter-out %/mutate.c,$(wildcard tests/programs/*.c)) tests/insn/native.c

$(BUILD)/obj/tests/programs/monitor.o: tests/programs/monitor.S tests/programs/monitor.h
	@mkdir -p $(@D)
	$(CC) -I. -c -o $@ $<
$(PROGRAMS_TEST): $(call objs,$(PROGRAMS_SRCS) tests/programs/monitor.S $(ENGINE_SRCS))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_ZYDIS)

# The same with calls between the engine's files led through mutate.c.
PROGRAMS_MUTANT := $(BUILD)/tests/programs_mutant
PROGRAMS_WRAPPED := $(call wrapped_in,tests/programs/mutate.c)
$(PROGRAMS_MUTANT): $(call objs,$(PROGRAMS_SRCS) tests/programs/monitor.S tests/programs/mutate.c $(ENGINE_SRCS))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $(PROGRAMS_WRAPPED:%=-Wl,--wrap=%) -o $@ $^ $(LIBS_ZYDIS)

.PHONY: programs programs-long
programs: $(PROGRAMS_TEST) $(PROGRAMS_MUTANT) $(INSN_NATIVE) ## random programs, interrupted and moved about, on the engine and on this CPU; SEED=1
	@sh tests/programs/mutants.sh $(PROGRAMS_MUTANT) $(INSN_NATIVE) 60 7
	@sh tests/programs/run.sh $(PROGRAMS_TEST) $(INSN_NATIVE) 120 $(or $(SEED),1)
insn: programs
check-long: programs-long
programs-long: $(PROGRAMS_TEST) $(PROGRAMS_MUTANT) $(INSN_NATIVE)
	@sh tests/programs/mutants.sh $(PROGRAMS_MUTANT) $(INSN_NATIVE) 2000
	@sh tests/programs/run.sh $(PROGRAMS_TEST) $(INSN_NATIVE) 1000 $(or $(SEED),$(shell date +%s))
