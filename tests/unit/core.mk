# SPDX-License-Identifier: BSD-2-Clause
# The switch core: each test links only the module and what it stands on.
$(eval $(call unit_test,test_eth_frame,vswitchd/core/eth_frame.c,))
$(eval $(call unit_test,test_vlan,vswitchd/core/vlan.c,))
$(eval $(call unit_test,test_fdb,vswitchd/core/fdb.c,))
$(eval $(call unit_test,test_forward,vswitchd/core/forward.c vswitchd/core/switch.c vswitchd/core/fdb.c vswitchd/core/vlan.c vswitchd/core/eth_frame.c vswitchd/core/counters.c,))
$(eval $(call unit_test,test_offload,vswitchd/core/offload.c,))
$(eval $(call unit_test,test_port_queue,vswitchd/ports/port.c vswitchd/ports/port_queue.c tests/fake/fake_port.c,))
$(eval $(call unit_test,test_event_loop,vswitchd/os/event_loop.c,$(LIBS_EVENT)))
$(eval $(call unit_test,test_datapath,$(wildcard vswitchd/datapath*.c) $(call srcs,vswitchd/core) vswitchd/ports/port.c vswitchd/ports/port_queue.c vswitchd/os/event_loop.c tests/fake/fake_port.c,$(LIBS_EVENT)))
$(eval $(call unit_test,test_host_names,vswitchd/os/netlink.c vswitchd/os/event_loop.c vswitchd/os/log.c vswitchd/ports/port_tap.c vswitchd/ports/tap_batch.c vswitchd/os/write_batch.c vswitchd/ports/port.c vswitchd/ports/port_queue.c,$(LIBS_EVENT) $(LIBS_NL) $(LIBS_URING)))
$(eval $(call unit_test,test_datapath_random,$(wildcard vswitchd/datapath*.c) $(call srcs,vswitchd/core) vswitchd/ports/port.c vswitchd/ports/port_queue.c vswitchd/os/event_loop.c tests/fake/fake_port.c,$(LIBS_EVENT)))
$(eval $(call unit_test,test_tap_batch,vswitchd/ports/tap_batch.c vswitchd/ports/port.c vswitchd/ports/port_queue.c tests/fake/fake_port.c tests/fake/fake_write_batch.c,))
$(eval $(call unit_test,test_write_batch,vswitchd/os/log.c,$(LIBS_URING)))
