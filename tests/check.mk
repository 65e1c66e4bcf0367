# SPDX-License-Identifier: BSD-2-Clause
# Everything that proves the project right; what CI runs.

.PHONY: check check-long layers documents engine-check integration
check: ## all checks: layers, unit tests (also sanitized), engine against the CPU, integration (root)
	@sh tools/deps.sh
	@sh tools/guest_image.sh --nictools --pae --dpdk --systems
	@MAKE="$(MAKE)" BUILD="$(BUILD)" sh tests/check.sh $(STAGES); \
	    status=$$?; sh tools/give_back.sh "$(BUILD)" "$(CACHE_DIR)"; exit $$status
check-long: ## what takes longer: a million random sequences and 1000 random programs, the suites under QEMU TCG, Bochs, NICs and clocks at length (root)
layers: ## no include crosses the layers
	@sh tests/check_layers.sh
documents: all ## manual pages and README have what the programs have
	@python3 tests/check_documents.py $(BUILD)
engine-check: all $(GUEST_IMAGE) ## the test guest on our engine and under QEMU
	@BUILD="$(BUILD)" sh tests/guests/run.sh
integration: all ## integration tests in network namespaces (root); TESTS="ping vlan" for some
	@BUILD="$(BUILD)" sh tests/integration/run.sh $(TESTS)

.PHONY: nic-long
nic-long: all ## NICs under Linux at length: 3000 times up and down under load, two minutes of traffic both ways, 200 times asleep (root)
	@sh tools/guest_image.sh --nictools --dpdk
	@BUILD="$(BUILD)" MODELS="e1000 e1000-82545em" sh tests/integration/run.sh nic_dpdk
	@BUILD="$(BUILD)" SOAK_SECONDS=120 CYCLES=3000 SLEEPS=200 TEST_SECONDS=1500 sh tests/integration/run.sh nic_linux nic_wake
check-long: nic-long
