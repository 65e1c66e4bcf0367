# SPDX-License-Identifier: BSD-2-Clause
# Two guests on one switch, as a newcomer sees it first.

# Also what `make images` and `make check` fill.
CACHE_DIR := $(or $(VSWITCH_CACHE),cache)

.PHONY: demo demo-stop
demo: ## two Debian guests through the switch, start to end (root); KEEP=1 leaves it running
	@KEEP="$(KEEP)" BUILD="$(BUILD)" MAKE="$(MAKE)" sh tools/demo.sh; \
	    status=$$?; sh tools/give_back.sh "$(BUILD)" "$(CACHE_DIR)"; exit $$status
demo-stop: ## ends a demonstration that was left running
	@BUILD="$(BUILD)" sh tools/demo.sh stop
