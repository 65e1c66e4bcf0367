# SPDX-License-Identifier: BSD-2-Clause
# The measurements: programs, and the run that makes one table of them.

BENCH_DIR     := $(BUILD)/bench
KERNEL_CFLAGS := -m32 -march=i686 -mtune=generic -std=gnu11 -O2 -static -fno-pie -no-pie -fcf-protection=none \
                 -Wall -Wextra -Werror -Wshadow -I. -D_GNU_SOURCE
BENCH_CFLAGS  := -std=gnu11 -O2 -Wall -Wextra -Werror -Wshadow -I. -D_GNU_SOURCE

$(BENCH_DIR)/kernels: tests/bench/kernels.c tests/bench/kernels_compute.c tests/bench/kernels_os.c tests/bench/kernels.h
	@mkdir -p $(@D)
	$(CC) $(KERNEL_CFLAGS) -o $@ $(filter %.c,$^)
$(BENCH_DIR)/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -o $@ $<

.PHONY: bench bench-programs
bench-programs: $(addprefix $(BENCH_DIR)/,kernels relay frames)
bench: all bench-programs ## measures ours beside QEMU TCG, the kernel bridge, VDE and a bare relay (root); ROWS="boot compute" for some
	@sh tools/deps.sh run bench
	@sh tools/guest_image.sh --iperf
	@unshare -nmpf --mount-proc --kill-child python3 tests/bench/bench.py --rounds $(or $(ROUNDS),5) $(BUILD) \
	    $(or $(VSWITCH_CACHE),cache)/images $(ROWS)
