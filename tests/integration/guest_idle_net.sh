#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Frames wake an idle guest at once, however late its ticks may be: pings two seconds
# apart, each of which finds the guest idle again.
. tests/integration/lib.sh

daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"]}]'
check "ann is defined" guest_define ann e1000 10.9.0.1
rpc guest.get '{"name":"ann"}' >"$W/ann.json"
check "its slack is 40 ms unless said" grep -qE '"idle_slack_ms": *40' "$W/ann.json"
rpc guest.undefine '{"name":"ann"}' >/dev/null
check "a guest with more is defined" rpc guest.define "{\"name\":\"ann\",\"kernel\":\"$IMAGES/vmlinuz\",\"initrd\":\"$INITRD\",\"idle_slack_ms\":200,
    \"cmdline\":\"console=ttyS0 quiet panic=-1 vs.name=ann vs.ip=10.9.0.1/24\",\"nics\":[{\"model\":\"e1000\",\"port\":\"ann\"}]}"
check "it starts" rpc guest.start '{"name":"ann"}'
check "it is ready" guest_ready ann
sleep 2
# a guest that slept on until its next ticks would take 100 ms on average; so would one at times whose host has others to serve
at_once() { awk -F/ '/^rtt/ { found = 1; exit !($5 < 50) } END { exit !found }' "$W/pings"; }
for try in 1 2 3 4; do
    ping -c 5 -i 2 -W 10 10.9.0.1 >"$W/pings"
    tail -n 2 "$W/pings"
    if at_once; then break; fi
done
check "each ping is answered" grep -q ' 0% packet loss' "$W/pings"
check "at once" at_once
ctl --json guest stats ann >"$W/stats" 2>&1
check "and the guest was idle between them" grep -qE '"idle_halts": *[1-9]' "$W/stats"
finish
