# SPDX-License-Identifier: BSD-2-Clause
# The data path alone, with taps: for tests/integration/tap_tap.sh and measurements.

DATAPATH_SRCS := $(wildcard vswitchd/datapath*.c) $(call srcs,vswitchd/core) vswitchd/ports/port.c vswitchd/ports/port_queue.c \
    vswitchd/ports/port_tap.c vswitchd/os/slow_close.c proto/worker.c vswitchd/ports/tap_batch.c vswitchd/os/event_loop.c vswitchd/os/netlink.c vswitchd/os/log.c \
    vswitchd/os/write_batch.c

$(BUILD)/tests/tap_switch: $(call objs,tests/integration/tap_switch.c $(DATAPATH_SRCS))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_EVENT) $(LIBS_NL) $(LIBS_URING)

# CPU time a frame, beside a bare relay: build/tests/tap_bench build/tests/tap_switch ba bb
$(BUILD)/tests/tap_bench: $(call objs,tests/bench/tap_bench.c)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^
