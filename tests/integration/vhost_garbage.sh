#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# vhost-user peers that misbehave, against the running daemon: each loses its
# connection with a reason in the log, and the taps on the same switch go on.
#
#   host [tap "host" 10.9.0.254] ── vswitchd ──┬── bad, loose: whoever comes (lib_vhost_peer.py)
#   elsewhere [tap "far" 10.9.0.1] ───────────┘
. tests/integration/lib.sh

peer() { python3 tests/integration/lib_vhost_peer.py "$@"; }
reason_of() { # what the port says of the connection that it broke off last
    case $1 in
    random-bytes) echo 'message' ;;
    unknown-request) echo 'unknown: unknown request' ;;
    huge-message) echo 'message is too large' ;;
    wrong-size) echo 'SET_FEATURES: wrong size' ;;
    ring-index) echo 'SET_VRING_NUM: no such queue' ;;
    ring-size) echo 'SET_VRING_NUM: queue of a wrong size' ;;
    features) echo 'feature that was not offered' ;;
    kick-is-no-eventfd) echo 'not an eventfd' ;;
    avail-index) echo 'avail index ran past' ;;
    head) echo 'head outside the queue' ;;
    *outside-memory) echo 'descriptor (outside memory|wraps)' ;;
    next-outside) echo 'next descriptor outside' ;;
    loop) echo 'descriptor chain that loops' ;;
    writable-in-transmit) echo 'writable descriptor' ;;
    unsealed) echo 'memory is not sealed' ;;
    call-that-blocks) echo 'made its descriptor block' ;;
    kick-is-a-semaphore) echo 'a semaphore' ;;
    memory-taken-away) echo 'took it away' ;;
    *) echo '' ;;
    esac
}
says() { rpc port.get "{\"name\":\"$1\"}" | grep -qE "last: .*$2"; }
drops() { rpc port.get '{"name":"bad"}' | grep -q "\"$1\": $2[,}]"; }
no_link() { rpc port.get "{\"name\":\"$1\"}" | grep -q '"link": false'; }

daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"]},
    {"name":"far","type":"tap"},
    {"name":"bad","type":"vhost-user","path":"'"$W"'/bad.sock","role":"server"},
    {"name":"loose","type":"vhost-user","path":"'"$W"'/loose.sock","role":"server","unsealed":true}]'
far_start
far_takes
check "the taps reach each other" wait_until 5 ping -c 1 -W 1 10.9.0.1
before=$(fds)

ping -i 0.02 10.9.0.1 >"$W/ping" 2>&1 &
PING=$!
for case in $(peer cases); do
    port=bad; [ "$case" != memory-taken-away ] || port=loose
    check "$case" peer "$W/$port.sock" "$case"
    reason=$(reason_of "$case")
    [ -z "$reason" ] || check "its reason" wait_until 3 says $port "$reason"
    wait_until 5 no_link $port || { echo "FAIL the port is still up after $case"; FAILED=1; }
done
kill -INT $PING; wait $PING
check "no ping between the taps was lost" no_ping_lost "$W/ping"
closer_ticks() { # CPU time of the threads that give up what peers had
    for task in "/proc/$DAEMON/task"/*; do
        ! grep -q vswitchd-close "$task/comm" || sed 's/.*) //' "$task/stat" | awk '{print $12 + $13}'
    done | awk '{sum += $1} END {print sum}'
}
freed_there() { [ "$(closer_ticks)" -gt 0 ]; }
check "what a large peer leaves is freed beside the switch" wait_until 5 freed_there
check "the log has reasons, but not a line for each of a hundred" test "$(grep -c 'port bad' "$W/vswitchd.log")" -le 40
check "a reason is in the log" grep -qE "port loose: .*took it away" "$W/vswitchd.log"
check "frames of 0 and 13 bytes are counted" drops runt 2
check "those of 1519 and 70,000 bytes, too" drops oversize 2
check "and a checksum outside its frame" drops bad_offload 1
check "the daemon kept no descriptor" test "$(fds)" -le "$before"
check "the daemon ends" daemon_stop
finish
