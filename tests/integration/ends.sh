#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Sudden ends: kill -9 of a guest leaves no port and no file; kill -9 of the daemon
# leaves guests running, and its successor takes them up again, brings back the taps,
# replaces the stale socket and goes on switching.
. tests/integration/lib.sh
need "$IMAGES/vmlinuz"

daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"]}]'
check "alice starts" guest_start alice e1000 10.9.0.1
check "bob starts" guest_start bob rtl8029 10.9.0.2
check "alice is ready" guest_ready alice
check "bob is ready" guest_ready bob
check "bob reaches alice" in_guest bob "ping -c 1 -W 10 10.9.0.1"

no_port() { ! rpc port.get "{\"name\":\"$1\"}"; }
no_files() { [ -z "$(ls -A "$RUN/guests/$1" 2>/dev/null)" ]; }
gone() { ! kill -0 "$1" 2>/dev/null; }
state_is() { rpc guest.get "{\"name\":\"$1\"}" | grep -q "\"state\": \"$2\""; }

# --- a guest killed ---------------------------------------------------------
victim=$(guest_pid bob)
kill -9 "$victim"
check "a killed guest's port is gone" wait_until 5 no_port bob
check "its files are gone" wait_until 5 no_files bob
check "it is listed as stopped" wait_until 5 state_is bob stopped
check "the host still reaches alice" ping -c 1 -W 10 10.9.0.1
check "it can be started again" rpc guest.start '{"name":"bob"}'
check "and is ready" guest_ready bob
check "and reaches alice" in_guest bob "ping -c 2 -W 10 10.9.0.1"

# --- the daemon killed --------------------------------------------------------
alice=$(guest_pid alice) bob=$(guest_pid bob)
rpc vlan.set '{"port":"alice","mode":"trunk","allowed":"1,30","native":1}' >/dev/null
kill -9 "$DAEMON"; wait "$DAEMON" 2>/dev/null
check "alice outlives the daemon" kill -0 "$alice"
check "bob outlives the daemon" kill -0 "$bob"
check "the old socket is still in the way" test -S "$SOCKET"
check_says "the CLI says what to do without a daemon" "vswitchd" ctl show
daemon_start
check "the successor knows alice as running" wait_until 10 state_is alice running
check "the same process of alice" test "$(guest_pid alice)" = "$alice"
check "the tap is back" wait_until 5 ip link show host
check "the tap's address is back" sh -c "ip addr show host | grep -q 10.9.0.254"
check "the host reaches alice again" wait_until 15 ping -c 1 -W 1 10.9.0.1
check "bob reaches alice again" in_guest bob "ping -c 2 -W 10 10.9.0.1"
check "alice's port has kept its VLANs" sh -c "python3 tools/rpc.py '$SOCKET' port.get '{\"name\":\"alice\"}' | grep -q '1,30'"

# --- the end of a guest that this daemon has not started ------------------------
kill -9 "$bob"
check "bob's end is seen" wait_until 5 no_port bob
check "and that nobody can say how he ended" grep -q "guest bob, which this daemon has not started, has ended" "$W/vswitchd.log"
check "bob can be started" rpc guest.start '{"name":"bob"}'
check "bob runs again" wait_until 10 state_is bob running
bob=$(guest_pid bob)

# --- an orderly end -----------------------------------------------------------
check "shutdown with the guests" ctl shutdown --guests
check "the daemon is gone" wait_until 15 gone "$DAEMON"
DAEMON=
check "alice is gone" wait_until 5 gone "$alice"
check "bob is gone" wait_until 5 gone "$bob"
refuse "no tap is left" ip link show host
check "no socket is left" test ! -e "$SOCKET"
check "no guest's files are left" test -z "$(ls -A "$RUN/guests" 2>/dev/null)"
finish
