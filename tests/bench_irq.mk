# SPDX-License-Identifier: BSD-2-Clause
# What a device costs a guest: the engine with a small guest of our own.

IRQ_BENCH := $(BUILD)/bench/irq_bench $(BUILD)/bench/irq_guest.elf

$(BUILD)/bench/irq_bench: $(call objs,tests/bench/irq_bench.c guest/waker.c $(X86VM_SRCS) $(NICEMU_SRCS))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_ZYDIS) $(LIBS_LZMA) -lpthread
$(BUILD)/bench/irq_guest.elf: tests/bench/irq_guest.S tests/guests/guest.ld
	@mkdir -p $(@D)
	$(CC) -m32 -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-T,tests/guests/guest.ld -o $@ $<

.PHONY: bench-irq
bench-programs: $(IRQ_BENCH)
bench-irq: $(IRQ_BENCH) ## register reads, port writes and interrupt latency beside the host's own calls and wake-ups
	@$(IRQ_BENCH)
