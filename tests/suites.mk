# SPDX-License-Identifier: BSD-2-Clause
# Test programs that others wrote, Linux's selftests for x86 and QEMU's tests/tcg: in
# Debian's guest on our engine and on this machine (`make check`), and under QEMU
# TCG, too (`make check-long`). Their sources are fetched once, 163 MB.

SUITES = BUILD="$(BUILD)" python3 tests/suites/suites.py $(or $(VSWITCH_CACHE),cache)/suites

.PHONY: suites suites-long suites-sources
suites-sources:
	@sh tools/guest_image.sh
	@sh tools/suite_sources.sh
suites: all suites-sources ## Linux's selftests/x86 and QEMU's tests/tcg, in the guest and on this machine
	@$(SUITES) quick
suites-long: all suites-sources ## the suites, and under QEMU TCG as well
	@$(SUITES)
check-long: suites-long

.PHONY: time-long
time-long: all ## ten minutes of the guest's clocks under load against this machine's, and a stop of half a minute
	@sh tools/guest_image.sh
	@BUILD="$(BUILD)" DRIFT_SECONDS=600 STOP_SECONDS=30 TEST_SECONDS=900 sh tests/integration/run.sh guest_time
check-long: time-long
