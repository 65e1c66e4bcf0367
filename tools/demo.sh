#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# `make demo`: two unmodified Debian guests on one switch, from nothing to a packet
# capture. Installs, builds and fetches what is missing, then works in the network
# namespace vswitch-demo and under /run/vswitch-demo, and ends all that it started.
# KEEP=1 leaves it running and says what to try; `make demo-stop` ends it then.
#
# usage: tools/demo.sh [stop]
set -u
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
CACHE=${VSWITCH_CACHE:-cache}
KEEP=${KEEP:-}
NS=vswitch-demo
RUN=/run/vswitch-demo
SOCKET=$RUN/control.sock
LOG=$BUILD/demo
ROOT=$(pwd)
CTL="$ROOT/$BUILD/vswitchctl --socket $SOCKET"
unset http_proxy HTTP_PROXY

inside() { ip netns exec "$NS" "$@"; }
guest() { python3 tools/console.py "$RUN/guests/$1/console.sock" run "$2" "${3:-30}"; }
rpc() { python3 tools/rpc.py "$SOCKET" "$@"; }
now_ms() { date +%s%3N; }

# --- ending ---------------------------------------------------------------

end_all() {
    [ ! -S "$SOCKET" ] || $CTL shutdown --guests >/dev/null 2>&1
    ip netns pids "$NS" 2>/dev/null | xargs -r kill 2>/dev/null # the host's web server
    n=0
    while [ -n "$(ip netns pids "$NS" 2>/dev/null)" ] && [ $n -lt 50 ]; do
        sleep 0.1; n=$((n + 1))
        [ $n -ne 30 ] || ip netns pids "$NS" | xargs -r kill -9 2>/dev/null
    done
    for file in "$RUN"/guests/*/pid; do
        [ -e "$file" ] && kill -9 "$(cat "$file")" 2>/dev/null
    done
    ip netns del "$NS" 2>/dev/null
    rm -rf "$RUN"
}

if [ "${1:-}" = stop ]; then end_all; exit 0; fi

# --- steps ------------------------------------------------------------------

number=0
step() { # WHAT COMMAND…: one line with its time; the last line it prints is shown, too
    number=$((number + 1))
    what=$1; shift
    printf '%2d  %-52s ' $number "$what"
    began=$(now_ms)
    if "$@" >"$LOG/step" 2>&1; then
        took=$(($(now_ms) - began))
        printf '%3d.%02d s  %s\n' $((took / 1000)) $((took % 1000 / 10)) "$(sed -n 's/^= //p' "$LOG/step" | tail -n 1)"
        return 0
    fi
    printf 'FAILED\n\n'
    tail -n 25 "$LOG/step"
    [ ! -e "$LOG/vswitchd.log" ] || { echo "--- vswitchd"; tail -n 8 "$LOG/vswitchd.log"; }
    echo
    echo "demo: step $number failed: $what"
    exit 1
}
say() { echo "= $*"; } # what a step has to tell

write_config() {
    cat >"$RUN/vswitchd.json" <<END
{
  "ports": [{"name": "host", "type": "tap", "addresses": ["10.9.0.254/24"]}],
  "guests": [
    {"name": "alice", "memory_mib": 128, "kernel": "$IMAGES/vmlinuz", "initrd": "$IMAGES/initrd.gz",
     "cmdline": "console=ttyS0 quiet panic=-1 vs.name=alice vs.ip=10.9.0.1/24 vs.vlans=20:10.20.0.1/24",
     "nics": [{"model": "e1000", "mac": "02:00:00:0a:11:ce", "port": "alice"}]},
    {"name": "bob", "memory_mib": 128, "kernel": "$IMAGES/vmlinuz", "initrd": "$IMAGES/initrd.gz",
     "cmdline": "console=ttyS0 quiet panic=-1 vs.name=bob vs.ip=10.9.0.2/24",
     "nics": [{"model": "rtl8029", "mac": "02:00:00:00:0b:0b", "port": "bob"}]}
  ]
}
END
}

start_daemon() {
    mkdir -p "$RUN"
    ip netns add "$NS" || { echo "network namespaces are refused here: a container needs CAP_SYS_ADMIN for them (docker run --privileged)"; return 1; }
    inside ip link set lo up
    write_config
    ip netns exec "$NS" setsid "$BUILD/vswitchd" --config "$RUN/vswitchd.json" --run-dir "$RUN" >"$LOG/vswitchd.log" 2>&1 </dev/null &
    daemon=$!
    n=0
    until rpc daemon.ping >/dev/null 2>&1; do
        n=$((n + 1)); [ $n -lt 50 ] && kill -0 $daemon 2>/dev/null || return 1
        sleep 0.1
    done
    say "$($CTL --version)"
}

start_guests() {
    $CTL guest start alice && $CTL guest start bob
}

guest_up() {
    n=0
    until [ -S "$RUN/guests/$1/console.sock" ]; do n=$((n + 1)); [ $n -lt 50 ] || return 1; sleep 0.1; done
    python3 tools/console.py "$RUN/guests/$1/console.sock" wait 'vswitch-guest: ready' 90 || return 1
    say "$(python3 tools/console.py "$RUN/guests/$1/console.sock" show | sed -n 's/^vswitch-guest: eth0 //p' | tail -n 1)"
}

ping_summary() { sed -n 's|.* = [0-9.]*/\([0-9.]*\)/.*|= \1 ms|p'; }
ping_guest() { guest "$1" "ping -c 3 -W 2 $2" | tee "$LOG/ping" && ping_summary <"$LOG/ping"; } # from, to
ping_host() { inside ping -c 3 -i 0.2 -W 2 "$1" | tee "$LOG/ping" && ping_summary <"$LOG/ping"; }
no_ping() { ! guest "$1" "ping -c 1 -W 1 $2" && say "no answer, as it should be"; }

# 8 MiB by HTTP into GUEST: rate by the clock here, checksum by the guest.
download() { # GUEST URL
    guest "$1" "rm -f /tmp/8m" || return 1
    began=$(now_ms)
    guest "$1" "wget -q -O /tmp/8m $2" 60 || return 1
    took=$(($(now_ms) - began))
    sum=$(guest "$1" "sha256sum /tmp/8m | cut -c1-64" | tail -n 1)
    [ "$sum" = "$(cat "$IMAGES/8m.sha256")" ] || { echo "the checksum is $sum"; return 1; }
    say "$((8 * 8388608 / took / 1000)) Mbit/s, sha256 $(echo "$sum" | cut -c1-12)… is right"
}

serve_from_host() {
    mkdir -p "$RUN/www"
    n=0
    while [ $n -lt 128 ]; do seq 1 20000 | head -c 65536; n=$((n + 1)); done >"$RUN/www/8m"
    inside busybox httpd -h "$RUN/www"
    download alice http://10.9.0.254/8m
}

vlan_set() { rpc vlan.set "$1"; } # what the JSON socket takes
bob_to_20() { vlan_set '{"port": "bob", "mode": "access", "access": 20}' && no_ping bob 10.9.0.1; }
bob_back() { vlan_set '{"port": "bob", "mode": "access", "access": 1}' && ping_guest bob 10.9.0.1; }
trunk_carries_both() {
    vlan_set '{"port": "alice", "mode": "trunk", "allowed": "1,20", "native": 1}' || return 1
    guest bob "ip addr add 10.20.0.2/24 dev eth0" || return 1
    guest alice "ping -c 2 -W 2 10.20.0.2" && ping_host 10.9.0.1 && say "alice: bob in VLAN 20, the host in VLAN 1"
}

capture_alice() {
    $CTL capture alice -w "$LOG/alice.pcap" &
    capture=$!
    sleep 0.3
    guest alice "ping -c 2 -W 2 10.9.0.254"
    sleep 0.2
    kill -INT $capture; wait $capture
    tcpdump -nr "$LOG/alice.pcap" icmp >"$LOG/alice.txt" 2>/dev/null
    [ "$(grep -c 'echo re' "$LOG/alice.txt")" -ge 4 ] || { cat "$LOG/alice.txt"; return 1; }
    say "$LOG/alice.pcap, $(tcpdump -nr "$LOG/alice.pcap" 2>/dev/null | wc -l) frames; tcpdump reads it"
}

build_all() { "${MAKE:-make}" -s all; }
fetch_images() { sh tools/guest_image.sh "$CACHE" && say "$(grep -o '^linux-image-[^_]*-686_[^_]*' "$CACHE/images/versions.txt")"; }

# --- the demonstration -----------------------------------------------------------

mkdir -p "$LOG"
rm -f "$LOG/vswitchd.log"
began_all=$(now_ms)
if [ "$(id -u)" -ne 0 ]; then
    echo "demo: this makes a network namespace and a tap: run it as root (sudo make demo); README.md has what goes without" >&2
    exit 77
fi
if [ -e "$RUN" ] || ip netns list 2>/dev/null | grep -q "^$NS\b"; then
    if [ -S "$SOCKET" ] && [ -n "$(ip netns pids "$NS" 2>/dev/null)" ]; then
        echo "demo: one is still running; end it by: sudo make demo-stop" >&2
        exit 1
    fi
    end_all # what an interrupted run left
fi
trap '[ -n "$KEEP" ] && [ -n "${done_all:-}" ] || end_all' EXIT
trap 'exit 1' INT TERM HUP

step "install what is missing" sh tools/deps.sh build run
step "build" build_all
step "fetch Debian's i386 kernel and busybox, make images" fetch_images
IMAGES=$(cd "$CACHE/images" && pwd)
step "start vswitchd in the namespace $NS" start_daemon
step "start alice and bob" start_guests
step "alice is up" guest_up alice
step "bob is up" guest_up bob
step "ping alice -> bob" ping_guest alice 10.9.0.2
step "ping host -> alice" ping_host 10.9.0.1
echo; $CTL port list; echo; $CTL fdb show; echo
step "8 MiB by HTTP, bob <- alice" download bob http://10.9.0.1/8m
step "8 MiB by HTTP, alice <- host" serve_from_host
step "bob moves to VLAN 20: no ping" bob_to_20
step "alice's port as a trunk carries VLANs 1 and 20" trunk_carries_both
step "bob moves back: ping again" bob_back
step "capture at alice's port" capture_alice

echo
if [ -n "$KEEP" ]; then
    done_all=1
    cat <<END
It goes on running. Try as root:
  $CTL show
  $CTL guest console alice      (Ctrl-] leaves)
  $CTL monitor
  $CTL capture bob -w - | tcpdump -nr -
  $CTL vlan set bob 20
  ip netns exec $NS ping 10.9.0.1
  make demo-stop                 (ends it all)
END
else
    step "end everything" end_all
fi
took=$(($(now_ms) - began_all))
echo "demo: done in $((took / 1000)).$((took % 1000 / 100)) s"
