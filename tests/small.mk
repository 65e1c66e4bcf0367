# SPDX-License-Identifier: BSD-2-Clause
# The engine with small limits, so that what happens when something is full happens all
# the time: random programs, random code and the test guest again.

.PHONY: small small-run
small: ## the engine's tests with tables so small that all of them are full soon
	@$(MAKE) -s SMALL_LIMITS=1 BUILD=$(BUILD)/small small-run
small-run: $(PROGRAMS_TEST) $(INSN_TEST) $(INSN_NATIVE) $(BUILD)/vswitch-guest $(BUILD)/tests/fuzz_engine $(GUEST_IMAGE)
	@BUILD=$(BUILD) sh tests/programs/small.sh $(or $(SMALL_CASES),60) $(or $(SMALL_SECONDS),4) $(or $(SEED),1)
insn: small
.PHONY: small-long
small-long:
	@$(MAKE) -s small SMALL_CASES=3000 SMALL_SECONDS=300 SEED=$(or $(SEED),$(shell date +%s))
check-long: small-long
