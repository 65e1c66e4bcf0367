#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# `make demo` as a newcomer runs it, in a /run of its own; then that nothing is left,
# and that a step that fails is named.
mount -t tmpfs run /run
. tests/integration/lib.sh
need "$IMAGES/vmlinuz"

demo() { VSWITCH_CACHE="$CACHE" sh tools/demo.sh; }
check "the demonstration" demo
tail -n 3 "$W/last"
refuse "its namespace is gone" ip netns pids vswitch-demo
check "its folder is gone" test ! -e /run/vswitch-demo
refuse "no guest is left" pgrep -x vswitch-guest

mkdir "$W/no-images" "$W/no-images/images" "$W/no-images/debs"
cp "$IMAGES"/*.stamp "$IMAGES"/*.txt "$IMAGES"/8m.sha256 "$W/no-images/images/"
cp "$CACHE"/debs/*.resolved "$W/no-images/debs/"
for f in "$CACHE"/debs/*.deb; do ln -s "$(cd "$CACHE/debs" && pwd)/$(basename "$f")" "$W/no-images/debs/"; done
head -c 100000 "$IMAGES/vmlinuz" >"$W/no-images/images/vmlinuz"
cp "$IMAGES/initrd.gz" "$W/no-images/images/"
broken() { VSWITCH_CACHE="$W/no-images" sh tools/demo.sh; }
check_says "with a broken kernel the step is named" "step [0-9]+ failed: .*alice" broken
check "and nothing is left either" test ! -e /run/vswitch-demo
finish
