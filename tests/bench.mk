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
