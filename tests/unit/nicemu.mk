# SPDX-License-Identifier: BSD-2-Clause
# NIC models: each test links the whole of nicemu/ (the registry names every
# model) or the one helper it is about.
NICEMU_FAKE := tests/fake/fake_nic_host.c
NICEMU_STATE := nicemu/nic_state.c
$(eval $(call unit_test,test_mac_filter,nicemu/mac_filter.c nicemu/ethernet_crc.c))
$(eval $(call unit_test,test_eeprom,nicemu/eeprom93c46.c $(NICEMU_STATE)))
$(eval $(call unit_test,test_inet_checksum,nicemu/inet_checksum.c))
$(eval $(call unit_test,test_e1000,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/e1000_fixture.c))
$(eval $(call unit_test,test_e1000_tx,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/e1000_fixture.c))
$(eval $(call unit_test,test_e1000_tx_hostile,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/e1000_fixture.c))
$(eval $(call unit_test,test_e1000_rx,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/e1000_fixture.c))
$(eval $(call unit_test,test_e1000_irq,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/e1000_fixture.c))
$(eval $(call unit_test,test_e1000_link,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/e1000_fixture.c))
$(eval $(call unit_test,test_e1000_wake,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/e1000_fixture.c))
$(eval $(call unit_test,test_e1000_segment,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/e1000_fixture.c))
$(eval $(call unit_test,test_e1000_stats,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/e1000_fixture.c))
$(eval $(call unit_test,test_e1000_power,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/e1000_fixture.c))
$(eval $(call unit_test,test_e1000_reset,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/e1000_fixture.c))
$(eval $(call unit_test,test_nic_cve,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/e1000_fixture.c))
$(eval $(call unit_test,test_nic_state,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/e1000_fixture.c))
$(eval $(call unit_test,test_nic_trace,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/e1000_fixture.c))
$(eval $(call unit_test,test_isa_pnp,$(NICEMU_SRCS) $(NICEMU_FAKE)))
$(eval $(call unit_test,test_dp8390,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/dp8390_fixture.c))
$(eval $(call unit_test,test_dp8390_rx,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/dp8390_fixture.c))
$(eval $(call unit_test,test_dp8390_tx,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/dp8390_fixture.c))
$(eval $(call unit_test,test_dp8390_boards,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/dp8390_fixture.c))
$(eval $(call unit_test,test_dp8390_quick,$(NICEMU_SRCS) $(NICEMU_FAKE)))
$(eval $(call unit_test,test_virtio,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/virtio_fixture.c))
$(eval $(call unit_test,test_virtio_tx,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/virtio_fixture.c))
$(eval $(call unit_test,test_virtio_rx,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/virtio_fixture.c))
$(eval $(call unit_test,test_virtio_control,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/virtio_fixture.c))
$(eval $(call unit_test,test_virtio_hostile,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/virtio_fixture.c))
$(eval $(call unit_test,test_virtio_bounds,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/virtio_fixture.c))
$(eval $(call unit_test,test_virtio_state,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/virtio_fixture.c))
$(eval $(call unit_test,test_virtio_trace,$(NICEMU_SRCS) $(NICEMU_FAKE) tests/unit/virtio_fixture.c))

# The random driver runs shortly with the unit tests; `make build/tests/fuzz_nic`
# with SANITIZE=address,undefined, and more operations, is the real thing.
UNIT_TESTS += $(BUILD)/tests/fuzz_nic
$(BUILD)/tests/fuzz_nic: $(call objs,$(wildcard tests/fuzz/fuzz_nic*.c) $(NICEMU_SRCS) $(NICEMU_FAKE))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^
