#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Stock QEMU as the client of vhost-user ports: two machines with virtio-net and
# the host's tap on one switch.
#
#   namespace [tap0 10.78.0.254] ── vswitchd ──┬── q1: the switch listens, QEMU connects   [10.78.0.1]
#                                              └── q2: QEMU listens, the switch connects   [10.78.0.2]
#
# Memory is a sealed memfd (QEMU's memory-backend-memfd), no port is relaxed.
# Debian 12's QEMU (7.2) dies under TCG when a guest enables MSI-X on a vhost
# device: vectors=0 keeps the guest at its interrupt line.
# Needs root, QEMU, and the images of `make images`. Prints one line a check;
# ends what it started.
set -u
BUILD=${BUILD:-build}
IMAGES=${VSWITCH_CACHE:-cache}/images
NS=vsq$$
OUT=$(mktemp -d)
FAILED=0
DAEMON=
Q1=
Q2=

cleanup() {
    exec 8>&- 9>&-
    for pid in $Q1 $Q2 $DAEMON; do kill -9 "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; done
    ip netns del "$NS" 2>/dev/null
    rm -rf "$OUT"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

skip() { echo "skip vhost_qemu: $*"; exit 0; }
command -v qemu-system-i386 >/dev/null || skip "qemu-system-i386 is missing (make deps)"
[ -s "$IMAGES/vmlinuz" ] || skip "no guest images (make images)"
[ "$(id -u)" = 0 ] || skip "needs root"

check() { # what, command...
    what=$1; shift
    if "$@" >"$OUT/last" 2>&1; then echo "ok   $what"; else
        echo "FAIL $what"; tail -n 20 "$OUT/last" | sed 's/^/     /'; FAILED=1; fi
}
wait_for() { # seconds, command...: until it succeeds
    n=$(($1 * 5)); shift
    while [ $n -gt 0 ]; do "$@" >/dev/null 2>&1 && return 0; sleep 0.2; n=$((n - 1)); done
    return 1
}
in_ns() { ip netns exec "$NS" "$@"; }

start_daemon() {
    ip netns exec "$NS" "$BUILD/vswitchd" --config "$OUT/vswitchd.json" --run-dir "$OUT/run" >>"$OUT/daemon.log" 2>&1 &
    DAEMON=$!
}

start_qemu() { # name, chardev options, mac digit, address
    mkfifo "$OUT/$1.in"
    timeout 240 qemu-system-i386 -accel tcg -machine pc,memory-backend=m -m 96 -no-reboot -nodefaults -display none \
        -object memory-backend-memfd,id=m,size=96M,share=on \
        -chardev "socket,id=c,path=$OUT/$1.sock,$2" -netdev vhost-user,id=n,chardev=c \
        -device "virtio-net-pci,netdev=n,mac=52:54:00:78:00:0$3,romfile=,vectors=0" \
        -serial stdio -kernel "$IMAGES/vmlinuz" -initrd "$IMAGES/initrd.gz" \
        -append "console=ttyS0 quiet panic=-1 vs.name=$1 vs.ip=$4/24" <"$OUT/$1.in" >"$OUT/$1.log" 2>&1 &
    PID=$!
}

in_guest() { # fd, name, command: on the guest's shell; its output ends with a marker of ours
    mark=m$(date +%s%N)
    printf '%s; echo %s-$?\n' "$3" "$mark" >&"$1"
    wait_for 60 grep -aq "^$mark-" "$OUT/$2.log" && sed -n "s/^$mark-\([0-9]*\).*/\1/p" "$OUT/$2.log" | tail -n 1 | grep -qx 0
}

fetch() { # address, file: with its checksum
    in_ns timeout 60 python3 -c '
import sys, urllib.request, hashlib
print(hashlib.sha256(urllib.request.urlopen(sys.argv[1], timeout=30).read()).hexdigest())' "http://$1/8m" >"$OUT/sum" &&
        grep -qxFf "$OUT/sum" "$IMAGES/8m.sha256"
}

cat >"$OUT/vswitchd.json" <<EOF
{ "ports": [
  { "name": "tap0", "type": "tap", "interface": "vsq", "addresses": ["10.78.0.254/24"] },
  { "name": "q1", "type": "vhost-user", "path": "$OUT/q1.sock", "role": "server" },
  { "name": "q2", "type": "vhost-user", "path": "$OUT/q2.sock", "role": "client" } ] }
EOF

ip netns add "$NS" && ip -n "$NS" link set lo up
start_daemon
check "the switch listens" wait_for 5 test -S "$OUT/q1.sock"
[ $FAILED = 0 ] || { cat "$OUT/daemon.log"; exit 1; }
start_qemu q1 reconnect=1 1 10.78.0.1; Q1=$PID
start_qemu q2 server=on,wait=off 2 10.78.0.2; Q2=$PID
exec 8>"$OUT/q1.in" 9>"$OUT/q2.in"
check "QEMU that connects boots" wait_for 90 grep -aq "vswitch-guest: ready" "$OUT/q1.log"
check "QEMU that listens boots" wait_for 90 grep -aq "vswitch-guest: ready" "$OUT/q2.log"
[ $FAILED = 0 ] || { cat "$OUT/daemon.log"; tail -n 15 "$OUT/q1.log" "$OUT/q2.log"; exit 1; }
check "its driver is virtio_net" grep -aq "eth0 virtio_net" "$OUT/q1.log"
check "host pings the first" wait_for 10 in_ns ping -c 1 -W 1 10.78.0.1
check "host pings the second" wait_for 10 in_ns ping -c 1 -W 1 10.78.0.2
check "1472 bytes" in_ns ping -c 2 -W 2 -s 1472 -M do 10.78.0.1
check "8 MiB from the first to the host" fetch 10.78.0.1
check "8 MiB from the second to the host" fetch 10.78.0.2
check "the first pings the second" in_guest 8 q1 "ping -c 3 -W 2 10.78.0.2"
check "8 MiB from the second to the first" in_guest 8 q1 \
    "wget -q -O - http://10.78.0.2/8m | sha256sum | grep $(cat "$IMAGES/8m.sha256")"

kill -9 "$DAEMON"; wait "$DAEMON" 2>/dev/null
start_daemon
check "after kill -9 and restart of the switch: the first" wait_for 20 in_ns ping -c 1 -W 1 10.78.0.1
check "... and the second" wait_for 20 in_ns ping -c 1 -W 1 10.78.0.2
check "8 MiB again" fetch 10.78.0.1
kill -9 "$Q2"; wait "$Q2" 2>/dev/null; Q2=
check "the first still answers when the second was killed" in_ns ping -c 2 -W 2 10.78.0.1
kill "$DAEMON"
check "the switch ends at SIGTERM" wait "$DAEMON"
DAEMON=
check "its socket is gone" test ! -e "$OUT/q1.sock"
[ $FAILED = 0 ] || { echo "--- the switch's log"; tail -n 30 "$OUT/daemon.log"; echo "--- q1"; tail -n 15 "$OUT/q1.log"; }
exit $FAILED
