# SPDX-License-Identifier: BSD-2-Clause
# The measurements: programs, and the run that makes one table of them.

BENCH_DIR     := $(BUILD)/bench
KERNEL_CFLAGS := -m32 -march=i686 -mtune=generic -std=gnu11 -O2 -static -fno-pie -no-pie -fcf-protection=none \
                 -Wall -Wextra -Werror -Wshadow -I. -D_GNU_SOURCE
BENCH_CFLAGS  := -std=gnu11 -O2 -Wall -Wextra -Werror -Wshadow -I. -D_GNU_SOURCE

$(BENCH_DIR)/kernels: $(addprefix tests/bench/,kernels.c kernels_compute.c kernels_algorithms.c kernels_os.c kernels.h)
	@mkdir -p $(@D)
	$(CC) $(KERNEL_CFLAGS) -o $@ $(filter %.c,$^)
$(BENCH_DIR)/programs: tests/bench/programs.c
	@mkdir -p $(@D)
	$(CC) $(KERNEL_CFLAGS) -o $@ $<
$(BENCH_DIR)/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -o $@ $<

.PHONY: bench bench-engine bench-nic bench-programs
bench-programs: $(addprefix $(BENCH_DIR)/,kernels programs relay frames link_frames xdp_sink)
bench_run = unshare -nmpf --mount-proc --kill-child python3 tests/bench/$(1) --rounds $(or $(ROUNDS),5) $(BUILD) \
            $(or $(VSWITCH_CACHE),cache)/images $(ROWS)
bench: all bench-programs ## measures ours beside QEMU TCG, the kernel bridge, VDE and a bare relay (root); ROWS="boot compute" for some
	@sh tools/deps.sh run bench
	@sh tools/guest_image.sh --iperf --programs
	@$(call bench_run,bench.py)
bench-engine: all bench-programs ## measures the engine beside the host's CPU and QEMU TCG (root); ROUNDS=1, ROWS="compute os.fork" for some
	@sh tools/deps.sh run check bench
	@sh tools/guest_image.sh --iperf --nictools --programs
	@$(call bench_run,bench_engine.py)
bench-nic: all bench-programs $(BENCH_DIR)/nic_cost ## measures the NIC models by themselves and under Linux, beside QEMU TCG's (root)
	@sh tools/deps.sh run check bench
	@sh tools/guest_image.sh --iperf --nictools
	@$(call bench_run,bench_nic.py)
# The models and a host that does next to nothing.
$(BENCH_DIR)/nic_cost: tests/bench/nic_cost.c $(NICEMU_SRCS)
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -o $@ $^
# What translating costs, without running anything.
$(BENCH_DIR)/translate_cost: $(call objs,tests/bench/translate_cost.c $(ENGINE_SRCS))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_ZYDIS)
$(BENCH_DIR)/link_frames: tests/bench/link_frames.c guest/port_link.c guest/port_link_handshake.c guest/closer.c $(PROTO_SRCS)
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -o $@ $^
# What a write to a tap costs, by the ways there are.
.PHONY: bench-tap-write
bench-tap-write: $(BENCH_DIR)/tap_write ## ns a frame written to a tap, one by one and in batches of io_uring (root)
	@$< -r $(or $(ROUNDS),9)
$(BENCH_DIR)/tap_write: $(call objs,tests/bench/tap_write.c vswitchd/os/sandbox.c)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_URING) $(LIBS_SECCOMP)
