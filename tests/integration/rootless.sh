#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# What README.md says to do without root: the daemon as a user with no rights at all, two
# guests that reach each other, and a tap that is refused with the reason.
. tests/integration/lib.sh
need "$IMAGES/vmlinuz"
NOBODY="setpriv --reuid 65534 --regid 65534 --clear-groups"
mkdir "$W/bin" "$W/images" "$RUN"
cp "$BIN/vswitchd" "$BIN/vswitch-guest" "$BIN/vswitchctl" "$W/bin"
cp "$IMAGES/vmlinuz" "$IMAGES/initrd.gz" "$W/images"
chmod -R a+rX "$W"
chown 65534:65534 "$RUN"
as_user() { $NOBODY "$W/bin/vswitchctl" --socket "$SOCKET" "$@"; }
run() { # NAME MODEL ADDRESS
    as_user guest run "$1" --kernel "$W/images/vmlinuz" --initrd "$W/images/initrd.gz" \
        --append "console=ttyS0 quiet panic=-1 vs.name=$1 vs.ip=$3/24" --nic "$2"
}

$NOBODY "$W/bin/vswitchd" --run-dir "$RUN" >"$W/vswitchd.log" 2>&1 &
DAEMON=$!
check "the daemon runs" wait_until 10 as_user ping
check "it has no capability" grep -q '^CapPrm:[[:space:]]*0*$' "/proc/$DAEMON/status"
check "g1 starts" run g1 e1000 10.9.0.1
check "g2 starts" run g2 rtl8029 10.9.0.2
check_says "a tap needs a right, which is named" "needs CAP_NET_ADMIN" as_user port add tap0
check "g1 is ready" guest_ready g1
check "g2 is ready" guest_ready g2
check "g1 reaches g2" in_guest g1 "ping -c 2 -W 2 10.9.0.2"
check "nothing runs with a right" sh -c "for g in g1 g2; do grep -q '^CapPrm:[[:space:]]*0*\$' /proc/\$(cat '$RUN'/guests/\$g/pid)/status || exit 1; done"
check "all end" as_user shutdown --guests
wait "$DAEMON"; check "the daemon's status is 0" test $? -eq 0
DAEMON=
check "only what outlives guests is left" test "$(ls "$RUN")" = state
finish
