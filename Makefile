# SPDX-License-Identifier: BSD-2-Clause
# Builds the three programs, their unit tests and the checks. Run `make help`.
#
# Each folder is one module: its objects are every .c file in it. A unit test
# declares the very files it links in tests/unit/*.mk, so the link line proves
# that the module stands alone.

CC       ?= gcc
BUILD    ?= build
PREFIX   ?= /usr/local
DESTDIR  ?=
SANITIZE ?=
# Anything: the engine gets to its limits soon (x86vm/cpu/limits.h), for tests.
SMALL_LIMITS ?=

CFLAGS   ?= -O2 -g
WARN     := -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wshadow
HARDEN   := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
ifneq ($(SANITIZE),)
HARDEN   := -fPIE -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
endif
CPPFLAGS += -I. -I$(BUILD)/gen -D_GNU_SOURCE
ifneq ($(SMALL_LIMITS),)
CPPFLAGS += -DX86VM_SMALL_LIMITS
endif
ALL_CFLAGS = -std=gnu11 $(CFLAGS) $(WARN) $(HARDEN) $(CPPFLAGS) -MMD -MP
LDFLAGS  += -pie -Wl,-z,relro,-z,now
ifneq ($(SANITIZE),)
LDFLAGS  += -fsanitize=$(SANITIZE)
endif

# External libraries, each named once.
LIBS_ZYDIS   := -lZydis
LIBS_EVENT   := -levent
LIBS_NL      := -lnl-route-3 -lnl-3
LIBS_JSON    := -ljson-c
LIBS_PCAP    := -lpcap
LIBS_SECCOMP := -lseccomp
LIBS_URING   := -luring
LIBS_LZMA    := -llzma
LIBS_CUNIT   := -lcunit
CPPFLAGS     += $(shell pkg-config --cflags libnl-3.0 libnl-route-3.0 2>/dev/null)

srcs = $(sort $(foreach d,$(1),$(wildcard $(d)/*.c)))
objs = $(patsubst %.c,$(BUILD)/obj/%.o,$(patsubst %.S,$(BUILD)/obj/%.o,$(1)))

NICEMU_SRCS := $(call srcs,nicemu)
ENGINE_SRCS := $(call srcs,x86vm x86vm/cpu x86vm/decode x86vm/memory x86vm/protection x86vm/translate)
X86VM_SRCS  := $(ENGINE_SRCS) $(call srcs,x86vm/pc)
PROTO_SRCS  := $(call srcs,proto)
JSON_SRCS   := $(call srcs,proto/json)
DAEMON_SRCS := $(call srcs,vswitchd vswitchd/core vswitchd/ports vswitchd/control vswitchd/os)
GUEST_SRCS  := $(call srcs,guest)
CLI_SRCS    := $(call srcs,cli)

PROGRAMS :=
ifneq ($(wildcard vswitchd/main.c),)
PROGRAMS += $(BUILD)/vswitchd
endif
ifneq ($(wildcard guest/main.c),)
PROGRAMS += $(BUILD)/vswitch-guest
endif
ifneq ($(wildcard cli/main.c),)
PROGRAMS += $(BUILD)/vswitchctl
endif

# Tests in Python leave nothing beside themselves.
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: all
all: $(PROGRAMS) ## builds vswitchd, vswitchctl and vswitch-guest

$(BUILD)/vswitchd: $(call objs,$(DAEMON_SRCS) $(PROTO_SRCS) $(JSON_SRCS))
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_EVENT) $(LIBS_NL) $(LIBS_JSON) $(LIBS_PCAP) $(LIBS_SECCOMP) $(LIBS_URING)

$(BUILD)/vswitch-guest: $(call objs,$(GUEST_SRCS) $(X86VM_SRCS) $(NICEMU_SRCS) $(PROTO_SRCS))
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_ZYDIS) $(LIBS_SECCOMP) $(LIBS_LZMA) -lpthread

$(BUILD)/vswitchctl: $(call objs,$(CLI_SRCS) $(JSON_SRCS))
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_JSON)

# What is called while the guest's XMM registers are still in the host's: x86vm/memory/io_bus.h.
QUICK_SRCS := x86vm/translate/ports.c x86vm/memory/io_bus.c x86vm/pc/pc_nic.c nicemu/nic.c nicemu/dp8390_quick.c
$(call objs,$(QUICK_SRCS)): CFLAGS += -mgeneral-regs-only

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

# unit_test NAME, sources under test, libraries: builds tests/unit/NAME.c with
# only those sources, and runs it in `make unit`.
UNIT_TESTS :=
define unit_test
UNIT_TESTS += $(BUILD)/tests/$(1)
$(BUILD)/tests/$(1): $(call objs,tests/unit/$(1).c $(2))
	@mkdir -p $$(@D)
	$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(LIBS_CUNIT) $(3)
endef
include $(sort $(wildcard tests/unit/*.mk))

.PHONY: unit unit-build
unit-build: $(UNIT_TESTS)
unit: $(UNIT_TESTS) ## unit tests; SANITIZE=address,undefined BUILD=build/asan for the same with sanitizers
	@sh tests/run_unit.sh $(UNIT_TESTS)

.PHONY: clean
clean: ## removes what was built
	rm -rf $(BUILD)

# Further targets (demo, check, bench, install, fuzz) live with what they run.
include $(sort $(wildcard tools/*.mk tests/*.mk systemd/*.mk))

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
