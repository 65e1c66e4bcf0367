# SPDX-License-Identifier: BSD-2-Clause
# What the machine needs, and the guests' images.

.PHONY: help deps images
help: ## lists the targets
	@sed -n 's/^\([a-z][a-z.-]*\):[^=]*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | sort -u | column -t -s '|' 2>/dev/null || true

deps: ## installs the Debian packages that building, checking and measuring need (root)
	@sh tools/deps.sh

images: ## fetches Debian's i386 kernel and busybox and assembles the guests' images in cache/
	@sh tools/deps.sh run
	@sh tools/guest_image.sh
	@sh tools/give_back.sh "$(CACHE_DIR)"
