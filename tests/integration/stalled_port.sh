#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# A guest that has stopped reading does not slow the others down: broadcast frames go
# in at t0 and out at t1 and at the guest's port, first with that port off, then with
# the guest stopped by SIGSTOP; its own queue drops, with a reason.
. tests/integration/lib.sh
need "$IMAGES/vmlinuz"
make -s BUILD="$BUILD" bench-programs >/dev/null || exit 1
RATE=50000

daemon_start '[{"name":"t0","type":"tap"},{"name":"t1","type":"tap"},{"name":"host","type":"tap","addresses":["10.9.0.254/24"]}]'
check "sleepy starts" guest_start sleepy e1000 10.9.0.1
check "sleepy is ready" guest_ready sleepy
for t in t0 t1; do
    sysctl -qw "net.ipv6.conf.$t.disable_ipv6=1"
    ip link set "$t" up
done
sleep 0.5

received() { ip -j -s link show t1 | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["stats64"]["rx"]["packets"])'; }
passed() { # how many of a second's frames came out at t1, in thousandths
    before=$(received)
    sent=$("$BIN/bench/frames" t0 ff:ff:ff:ff:ff:ff 02:aa:00:00:00:01 60 1000 $RATE)
    sleep 0.3
    echo $((1000 * ($(received) - before) / sent))
}
best() { # AT_LEAST: of several, until one is that good: a host that was busy with others let some frames be lost
    best=0
    for try in 1 2 3 4 5 6 7 8 9 10; do
        a=$(passed)
        [ "$a" -le $best ] || best=$a
        [ $try -lt 2 ] || [ $best -lt "$1" ] || break
    done
    echo $best
}

rpc port.set '{"name":"sleepy","enabled":false}' >/dev/null
alone=$(best 900)
rpc port.set '{"name":"sleepy","enabled":true}' >/dev/null
pid=$(guest_pid sleepy)
kill -STOP "$pid"
stalled=$(best $((alone * 9 / 10)))
echo "     per mille of $RATE frames a second: $alone without the port, $stalled with the port stalled"
check "with a stalled port the others keep 90 % of their rate" test "$stalled" -ge $((alone * 9 / 10))
check "most frames came out" test "$alone" -ge 900
drops() { rpc port.get '{"name":"sleepy"}' | python3 -c 'import json,sys; print(json.load(sys.stdin)["counters"]["drops"].get("queue_full", 0))'; }
check "the stalled port counts what its queue dropped" test "$(drops)" -gt 1000
check "the daemon answers meanwhile" rpc daemon.ping
kill -CONT "$pid"
check "the guest comes back" wait_until 15 ping -c 1 -W 1 10.9.0.1
finish
