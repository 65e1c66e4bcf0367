#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Interfaces below the daemon that are set down, deleted and moved away: one by one, in
# the middle of traffic, and while more changes come than the netlink socket can hold.
. tests/integration/lib.sh
make -s BUILD="$BUILD" bench-programs >/dev/null || exit 1

is() { # PORT PATTERN: what the daemon says of it
    rpc port.get "{\"name\":\"$1\"}" | grep -q "$2"
}
daemon_start '[{"name":"ta","type":"tap"},{"name":"tb","type":"tap"},{"name":"tc","type":"tap"},{"name":"td","type":"tap"},
    {"name":"in","type":"tap"},{"name":"out","type":"tap"}]'
far_start
UP='"link": true' DOWN='"link": false'

ip link set ta down
check "an interface that is set down" wait_until 5 is ta "$DOWN"
ip link set ta up
check "and up again" wait_until 5 is ta "$UP"

# --- more changes than the socket holds: the daemon is held up meanwhile
ip tuntap add dev noise mode tap
python3 -c "print('link set noise mtu 1400\nlink set noise mtu 1500\n' * 1500)" >"$W/changes"
kill -STOP "$DAEMON"
ip -batch "$W/changes"
ip link set ta down
ip link del tb
ip link set tc netns "$FAR"
kill -CONT "$DAEMON"
check "what was set down meanwhile is known" wait_until 5 is ta "$DOWN"
check "what was deleted, too" wait_until 5 is tb "deleted by somebody"
check "and what was moved" wait_until 5 is tc "moved to another namespace"
check "who had no part in it is up" is td "$UP"
check "and is not said to have been moved" sh -c "! python3 tools/rpc.py '$SOCKET' port.get '{\"name\":\"td\"}' | grep -q moved"
ip link set ta up
check "later changes are seen" wait_until 5 is ta "$UP"

# --- in the middle of traffic: broadcasts to all, in batches
before=$(fds)
for t in in out; do sysctl -qw "net.ipv6.conf.$t.disable_ipv6=1"; ip link set "$t" up; done
ip link set in txqueuelen 100000 # none is lost before the daemon, however long it does not get the CPU
received() { ip -j -s link show out | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["stats64"]["rx"]["packets"])'; }
first=$(received)
"$BIN/bench/frames" in ff:ff:ff:ff:ff:ff 02:aa:00:00:00:01 60 2000 50000 >"$W/sent" & FRAMES=$!
for round in 1 2 3 4 5; do
    sleep 0.15
    ip link set ta down; ip link set ta up
    rpc port.add "{\"name\":\"t$round\",\"type\":\"tap\"}" >/dev/null
    sleep 0.1
    ip link del "t$round"
    wait_until 5 is "t$round" "deleted by somebody" || { echo "FAIL t$round is not known to be deleted"; FAILED=1; }
    rpc port.remove "{\"name\":\"t$round\"}" >/dev/null
done
ip link del td
check "a tap deleted under load is said to be" wait_until 5 is td "deleted by somebody"
wait $FRAMES
enough() { [ $(($(received) - first)) -ge $(($(cat "$W/sent") * 9 / 10)) ]; }
check "nine in ten frames of the others came through" wait_until 5 enough
echo "     $(cat "$W/sent") sent, $(($(received) - first)) came out"
check "the daemon has no descriptor more" test "$(fds)" -le "$before"
check "the daemon ends" daemon_stop
finish
