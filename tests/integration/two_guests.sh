#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Two Debian guests on our engine and the host through one switch:
#
#   host [tap "host" 10.9.0.254] ── vswitchd ── alice [e1000 10.9.0.1, VLAN 20: 10.20.0.1]
#                                      └─────── bob [RTL8029 10.9.0.2, 10.20.0.2]
. tests/integration/lib.sh
need "$IMAGES/vmlinuz"

daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"]}]'
check "alice starts" guest_start alice e1000 10.9.0.1 "vs.vlans=20:10.20.0.1/24"
check "bob starts" guest_start bob rtl8029 10.9.0.2
check "alice is ready" guest_ready alice
check "bob is ready" guest_ready bob
check "bob has a second address" in_guest bob "ip addr add 10.20.0.2/24 dev eth0"

check "alice reaches bob" in_guest alice "ping -c 2 -W 10 10.9.0.2"
check "bob reaches alice" in_guest bob "ping -c 2 -W 10 10.9.0.1"
check "the host reaches alice" ping -c 2 -W 10 10.9.0.1
check "the host reaches bob" ping -c 2 -W 10 10.9.0.2
check "alice takes large pings" ping -c 2 -W 10 -s 9000 10.9.0.1
check "bob takes large pings" ping -c 2 -W 10 -s 5000 10.9.0.2

# --- 8 MiB by HTTP, three ways --------------------------------------------
sum=$(cat "$IMAGES/8m.sha256")
same_file() { [ "$1" = "$sum" ] || { echo "checksum $1 is not $sum"; return 1; }; }
bob_from_alice() {
    same_file "$(in_guest bob 'wget -q -O - http://10.9.0.1/8m | sha256sum | cut -c1-64' 60 | tail -n 1)"
}
host_from() { same_file "$(busybox wget -q -O - "http://$1/8m" | sha256sum | cut -c1-64)"; }
alice_from_host() {
    same_file "$(in_guest alice 'wget -q -O - http://10.9.0.254/8m | sha256sum | cut -c1-64' 60 | tail -n 1)"
}
mkdir "$W/www"
busybox wget -q -O "$W/www/8m" http://10.9.0.1/8m
busybox httpd -h "$W/www"
check "bob gets 8 MiB from alice" bob_from_alice
check "the host gets 8 MiB from alice" host_from 10.9.0.1
check "the host gets 8 MiB from bob" host_from 10.9.0.2
check "alice gets 8 MiB from the host" alice_from_host

# --- what the control socket tells ------------------------------------------
fdb_has() { rpc fdb.list '{}' | grep -o '"port": "[a-z]*"' | sort -u | tr '\n' ' ' | grep -q "$1"; }
check "alice's address was learned" fdb_has alice
check "bob's address was learned" fdb_has bob
check "the table of ports" sh -c "'$BIN/vswitchctl' --socket '$SOCKET' port list | grep -E '^alice .*up'"
stats() { "$BIN/vswitchctl" --socket "$SOCKET" "$@"; }
stats_json() {
    stats guest stats alice --json | python3 -c 'import json, sys; s = json.load(sys.stdin); e = s["engine"]
assert e["blocks_translated"] > 10000 and e["exception"]["14"] > 100 and e["call"]["iret"] > 100, e
assert 0 < s["time"]["idle_ns"] < s["time"]["uptime_ns"], s["time"]'
}
check "where alice's time went" sh -c "'$BIN/vswitchctl' --socket '$SOCKET' guest stats alice | grep -E '^interrupt +vector'"
check "the same for scripts" stats_json
check "the CLI in JSON" sh -c "'$BIN/vswitchctl' --socket '$SOCKET' --json show | python3 -m json.tool"

# --- VLANs --------------------------------------------------------------------
bob_pings() { in_guest bob "ping -c 1 -W 2 $1"; }
rpc vlan.set '{"port":"bob","mode":"access","access":20}' >/dev/null
refuse "in VLAN 20 bob does not reach alice" bob_pings 10.9.0.1
refuse "in VLAN 20 bob does not reach the host" bob_pings 10.9.0.254
rpc vlan.set '{"port":"alice","mode":"trunk","allowed":"1,20","native":1}' >/dev/null
check "on a trunk alice reaches bob in VLAN 20" in_guest alice "ping -c 2 -W 10 10.20.0.2"
check "and the host in her native VLAN" in_guest alice "ping -c 2 -W 10 10.9.0.254"
rpc vlan.set '{"port":"bob","mode":"access","access":1}' >/dev/null
refuse "back in VLAN 1 bob does not reach alice's VLAN 20" bob_pings 10.20.0.1
check "but alice" bob_pings 10.9.0.1
# A port whose link goes down and comes back.
rpc port.set '{"name":"bob","enabled":false}' >/dev/null
refuse "bob's port is off" ping -c 1 -W 1 10.9.0.2
rpc port.set '{"name":"bob","enabled":true}' >/dev/null
check "and on again" wait_until 10 ping -c 1 -W 1 10.9.0.2

# --- the ends -------------------------------------------------------------------
pid=$(guest_pid bob)
check "guest stop bob" ctl guest stop bob
gone() { ! kill -0 "$1" 2>/dev/null; }
no_port() { ! rpc port.get "{\"name\":\"$1\"}"; }
check "bob's process is gone" wait_until 12 gone "$pid"
check "bob's port is gone" wait_until 5 no_port bob
check "the daemon ends at SIGTERM" daemon_stop
check "alice still runs" kill -0 "$(guest_pid alice)"
finish
