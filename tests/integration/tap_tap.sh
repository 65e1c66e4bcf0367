#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Taps on one switch, end to end, with the data path alone (tap_switch.c):
#
#   namespace A [ta 10.77.0.1] ── tap_switch ── [tb 10.77.0.2] namespace B
#
# The taps are made in a namespace S and moved, so that A and B cannot reach each
# other but through the switch. Needs root. Prints one line a check; ends what it started.
set -u
BUILD=${BUILD:-build}
PROGRAM=$BUILD/tests/tap_switch
TAG=vst$$
FAILED=0
WAY=
PID=
OTHER=
OUT=$(mktemp -d)
[ -x "$PROGRAM" ] || make -s BUILD="$BUILD" "$PROGRAM" || exit 1

cleanup() {
    for pid in $PID $OTHER; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
    for ns in "$TAG-s" "$TAG-a" "$TAG-b"; do ip netns del "$ns" 2>/dev/null; done
    rm -rf "$OUT"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

check() { # what, command...
    what=$1; shift
    if "$@" >"$OUT/last" 2>&1; then echo "ok   $what"; else
        echo "FAIL $what"; sed 's/^/     /' "$OUT/last"; FAILED=1; fi
}
refuse() { what=$1; shift; if "$@" >"$OUT/last" 2>&1; then echo "FAIL $what"; FAILED=1; else echo "ok   $what"; fi; }
in_a() { ip netns exec "$TAG-a" "$@"; }
in_b() { ip netns exec "$TAG-b" "$@"; }

start() { # port specifications of ta, tb
    for ns in s a b; do ip netns add "$TAG-$ns"; ip -n "$TAG-$ns" link set lo up; done
    : >"$OUT/counters"
    # shellcheck disable=SC2086
    ip netns exec "$TAG-s" env $WAY "$PROGRAM" "$@" >"$OUT/counters" 2>"$OUT/errors" &
    PID=$!
    i=0
    until grep -q ready "$OUT/counters"; do
        i=$((i + 1)); [ $i -gt 50 ] && { echo "FAIL start"; cat "$OUT/errors"; exit 1; }; sleep 0.1
    done
    ip -n "$TAG-s" link set ta netns "$TAG-a"
    ip -n "$TAG-s" link set tb netns "$TAG-b"
    in_a ip addr add 10.77.0.1/24 dev ta; in_a ip link set ta up
    in_b ip addr add 10.77.0.2/24 dev tb; in_b ip link set tb up
}

stop() {
    kill "$PID"; wait "$PID"; result=$?; PID=
    for ns in s a b; do ip netns del "$TAG-$ns"; done
    return $result
}

transfer() { # bytes: from a to b over TCP, compared
    head -c "$1" /dev/urandom >"$OUT/sent"
    : >"$OUT/server" # not the last one's "ready"
    in_b timeout 20 python3 -c '
import socket, sys
s = socket.create_server(("10.77.0.2", 7000)); print("ready", flush=True)
c, _ = s.accept(); f = open(sys.argv[1], "wb")
while True:
    d = c.recv(65536)
    if not d: break
    f.write(d)' "$OUT/received" >"$OUT/server" &
    server=$!
    until grep -q ready "$OUT/server" || ! kill -0 $server 2>/dev/null; do sleep 0.05; done
    in_a timeout 20 python3 -c '
import socket, sys
s = socket.create_connection(("10.77.0.2", 7000), 5); s.sendall(open(sys.argv[1], "rb").read()); s.close()' "$OUT/sent"
    wait $server
    cmp "$OUT/sent" "$OUT/received"
}

for kinds in "ta tb" "ta tb,plain" "ta,plain tb" "NO_IO_URING=1 ta tb" "NO_IO_URING=1 ta tb,plain"; do
    echo "# $kinds"
    WAY=
    case $kinds in NO_IO*) WAY=${kinds%% *} kinds=${kinds#* } ;; esac
    # shellcheck disable=SC2086
    start $kinds
    check "ping" in_a ping -c 3 -i 0.05 -W 10 10.77.0.2
    check "ping with 1472 bytes" in_a ping -c 1 -W 10 -s 1472 -M do 10.77.0.2
    check "8 MiB over TCP arrive whole" transfer 8388608
    check "ends at SIGTERM" stop
    if [ "$kinds" = "ta tb,plain" ]; then
        check "super-frames were cut at the plain tap" grep -q 'tb .*segments=[1-9]' "$OUT/counters"
    fi
    cat "$OUT/counters" | sed 's/^/     /'
done
WAY=

echo "# VLANs"
start ta,access=10 tb,access=20
refuse "no way from VLAN 10 to VLAN 20" in_a ping -c 1 -W 1 10.77.0.2
stop
start ta,access=10 tb,trunk=20,native=10
check "access 10 reaches native 10" in_a ping -c 1 -W 10 10.77.0.2
stop

echo "# a trunk between two switches, over a kernel bridge"
start ta,access=10 tq,trunk=10 tb
ip -n "$TAG-b" link set tb netns "$TAG-s"
: >"$OUT/others"
ip netns exec "$TAG-s" "$PROGRAM" tr,trunk=10 tc,access=10 >"$OUT/others" 2>&1 &
OTHER=$!
i=0
until grep -q ready "$OUT/others"; do i=$((i + 1)); [ $i -gt 50 ] && break; sleep 0.1; done
ip -n "$TAG-s" link add trunk type bridge stp_state 0
ip -n "$TAG-s" link set trunk up
ip -n "$TAG-s" link set tq master trunk
ip -n "$TAG-s" link set tr master trunk
ip -n "$TAG-s" link set tc netns "$TAG-b"
in_b ip addr add 10.77.0.2/24 dev tc; in_b ip link set tc up
check "ping through the trunk" in_a ping -c 2 -i 0.1 -W 10 10.77.0.2
check "8 MiB over TCP arrive whole" transfer 8388608
kill "$OTHER"; wait "$OTHER"; OTHER=
check "ends at SIGTERM" stop
check "tagged super-frames crossed uncut" awk '$1 == "tq" { split($4, o, "[=/]"); exit !(o[3] / o[2] > 5000) }' "$OUT/counters"
sed 's/^/     /' "$OUT/counters" "$OUT/others"

echo "# a tap goes down, up, away"
start ta tb
ip -n "$TAG-a" link set ta down; ip -n "$TAG-a" link set ta up
ip -n "$TAG-a" addr replace 10.77.0.1/24 dev ta
check "ping after down and up" in_a ping -c 1 -W 10 10.77.0.2
ip -n "$TAG-b" link del tb
in_a ping -c 2 -i 0.1 -W 1 10.77.0.2 >/dev/null
before=$(awk '{print $14 + $15}' "/proc/$PID/stat"); sleep 1; after=$(awk '{print $14 + $15}' "/proc/$PID/stat")
check "a deleted tap costs no CPU" test $((after - before)) -lt 5
check "ends at SIGTERM" stop
check "the deleted tap has no link" grep -q '^tb link=0' "$OUT/counters"

echo "# refusals"
ip netns add "$TAG-s"
ip netns exec "$TAG-s" "$PROGRAM" td >/dev/null 2>&1 &
PID=$!
says() { # text, then port names
    text=$1; shift
    if ip netns exec "$TAG-s" timeout 5 "$PROGRAM" "$@" >"$OUT/said" 2>&1; then return 1; fi
    cat "$OUT/said"; grep -q "$text" "$OUT/said"
}
as_nobody() { ip netns exec "$TAG-s" setpriv --reuid 65534 --clear-groups --inh-caps=-all timeout 5 "$PROGRAM" tc 2>&1 | grep "$1"; }
check "an interface name of 16 characters" says "1 to 15 characters" abcdefghijklmnop
check "a port name with a space" says "letters, digits" "a b"
check "an interface that is no tap" says "lo" lo
check "a tap that another program holds" says "in use" td
check "no permission" as_nobody "CAP_NET_ADMIN"
kill "$PID"; wait "$PID"; PID=
ip netns del "$TAG-s"

echo "# jumbo"
start ta,mtu=9000 tb,mtu=9000
in_a ip link set ta mtu 9000; in_b ip link set tb mtu 9000
check "ping with 8972 bytes" in_a ping -c 1 -W 10 -s 8972 -M do 10.77.0.2
stop
exit $FAILED
