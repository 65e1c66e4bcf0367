# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
#
# What the integration tests share: a work folder, the daemon in it, guests, checks
# and waits with an end. run.sh has put the test into namespaces of its own, so
# "host" here is that namespace, with the daemon's tap in it.
#
#   . tests/integration/lib.sh
#   daemon_start ports '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"]}]'
#   guest_start alice e1000 10.9.0.1
#   check "host reaches alice" ping -c 1 10.9.0.1
#   finish

BUILD=${BUILD:-build}
CACHE=${CACHE:-cache}
ROOT=$(pwd)
BIN=$(cd "$BUILD" && pwd)
IMAGES=$(cd "$CACHE/images" 2>/dev/null && pwd)
W=$(mktemp -d "${TMPDIR:-/tmp}/vswitch-test.XXXXXX")
RUN=$W/run
SOCKET=$RUN/control.sock
DAEMON=
FAILED=0

cleanup() {
    status=$?
    [ -z "$DAEMON" ] || kill "$DAEMON" 2>/dev/null
    for pid in $(cat "$RUN"/guests/*/pid 2>/dev/null); do kill -9 "$pid" 2>/dev/null; done
    if [ $status -ne 0 ] || [ $FAILED -ne 0 ]; then
        echo "--- the daemon's last words"; tail -n 25 "$W/vswitchd.log" 2>/dev/null
        for log in "$RUN"/guests/*/*.log; do [ -e "$log" ] && echo "--- $log" && tail -n 10 "$log"; done
    fi
    rm -rf "$W"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP
unset http_proxy HTTP_PROXY
ip link set lo up

check() { # NAME COMMAND…: right when the command succeeds
    what=$1; shift
    if "$@" >"$W/last" 2>&1; then echo "ok   $what"; return 0; fi
    echo "FAIL $what"; FAILED=1
    sed 's/^/     /' "$W/last" | tail -n 20
    return 1
}
refuse() { # NAME COMMAND…: right when the command fails
    what=$1; shift
    if "$@" >"$W/last" 2>&1; then echo "FAIL $what"; FAILED=1; sed 's/^/     /' "$W/last" | tail -n 20; return 1; fi
    echo "ok   $what"
}
check_says() { # NAME PATTERN COMMAND…: fails, and says something that matches
    what=$1 pattern=$2; shift 2
    if "$@" >"$W/last" 2>&1; then echo "FAIL $what: it did not fail"; FAILED=1; return 1; fi
    if grep -qE -- "$pattern" "$W/last"; then echo "ok   $what"; return 0; fi
    echo "FAIL $what: it did not say \"$pattern\""; FAILED=1
    sed 's/^/     /' "$W/last" | tail -n 20
    return 1
}
# wait_until SECONDS COMMAND…: until it succeeds; or for so long, on a host that does nothing else: half a minute at least.
wait_until() {
    patience=$1; shift
    [ "$patience" -ge 30 ] || patience=30
    impatient_at=$(($(date +%s) + patience))
    while ! "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt $impatient_at ] || return 1
        sleep 0.1
    done
}
# no_ping_lost FILE: what ping said, all of it, until it was interrupted: replies without a gap. (The last ones may still
# have been on their way, which its own sum takes for lost.)
no_ping_lost() {
    awk -F 'icmp_seq=' '/bytes from/ { split($2, n, " "); if (n[1] != ++count) { print "reply " n[1] " is the " count "th"; exit 1 } }
        END { print count + 0 " replies"; exit !(count > 10) }' "$1"
}
# trace_begins FILE: a `guest trace` whose standard error goes there has begun
trace_begins() { wait_until 10 grep -q '^tracing a card of guest' "$1"; }
need() { # what cannot be tested without it
    [ -e "$1" ] || { echo "FAIL $1 is not there"; FAILED=1; exit 1; }
}
finish() { exit $FAILED; }

rpc() { python3 tools/rpc.py "$SOCKET" "$@"; }
ctl() { "$BIN/vswitchctl" --socket "$SOCKET" "$@"; }

# undisturbed PORT COMMAND…: reads counters in several places as if at once: a frame that
# somebody sends on his own account in between is in some of them and not in others, so
# then they are read again.
port_frames() { rpc port.get "{\"name\":\"$1\"}" | grep -oE '"(in|out)_frames": *[0-9]+'; }
undisturbed() {
    port=$1
    shift
    for try in 1 2 3 4 5 6 7 8 9 10; do
        before=$(port_frames "$port")
        "$@" || return 1
        [ "$before" != "$(port_frames "$port")" ] || return 0
    done
}

# daemon_config PORTS [GUESTS]: JSON arrays
daemon_config() {
    printf '{"switch":{},"ports":%s,"guests":%s}\n' "${1:-[]}" "${2:-[]}" >"$W/vswitchd.json"
}
daemon_start() { # as daemon_config, where there are arguments
    [ $# -eq 0 ] || daemon_config "$@"
    mkdir -p "$RUN"
    "$BIN/vswitchd" --config "$W/vswitchd.json" --run-dir "$RUN" >>"$W/vswitchd.log" 2>&1 &
    DAEMON=$!
    wait_until 10 rpc daemon.ping || { echo "FAIL the daemon does not start"; FAILED=1; exit 1; }
}
daemon_stop() {
    kill "$DAEMON"; wait "$DAEMON"; status=$?; DAEMON=
    return $status
}
fds() { find "/proc/$DAEMON/fd" -mindepth 1 | wc -l; } # that the daemon has

# far_start: another network namespace, that of process $FAR. far_takes: the tap "far" goes there, with 10.9.0.1.
far_is_apart() { [ "$(readlink "/proc/$FAR/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
far_start() {
    unshare -n sleep 500 & FAR=$!
    wait_until 5 far_is_apart || { echo "FAIL no second network namespace"; FAILED=1; exit 1; }
}
far_takes() {
    ip link set far netns "$FAR"
    nsenter -t "$FAR" -n ip addr add 10.9.0.1/24 dev far
    nsenter -t "$FAR" -n ip link set far up
}

INITRD=$IMAGES/initrd.gz
guest_parts() { # PART…: guests from now on have these parts of CACHE/images, too
    cp "$IMAGES/initrd.gz" "$W/initrd.gz"
    for part in "$@"; do cat "$IMAGES/$part.gz" >>"$W/initrd.gz"; done
    INITRD=$W/initrd.gz
}

# guest_define NAME MODEL ADDRESS [CMDLINE [NIC MEMBERS]]: 128 MiB (GUEST_MEMORY), Debian's kernel.
guest_define() {
    n=$(printf '%s' "$1" | cksum | cut -d' ' -f1)
    mac=$(printf '02:00:00:%02x:%02x:%02x' $((n / 65536 % 256)) $((n / 256 % 256)) $((n % 256)))
    isa=; [ "$2" != ne2000 ] || isa="vs.isa=0x300"
    rpc guest.define "$(cat <<END
{"name":"$1","memory_mib":${GUEST_MEMORY:-128},"kernel":"$IMAGES/vmlinuz","initrd":"$INITRD",
 "cmdline":"console=ttyS0 quiet panic=-1 vs.name=$1 vs.ip=$3/24 $isa ${4:-}",
 "nics":[{"model":"$2","mac":"$mac","port":"$1"${5:+,$5}}]}
END
)" >/dev/null
}
guest_start() { # as guest_define; guest_ready waits for it
    guest_define "$@" && rpc guest.start "{\"name\":\"$1\"}" >/dev/null
}
console_of() { echo "$RUN/guests/$1/console.sock"; }
guest_ready() { # NAME [SECONDS]
    wait_until 10 test -S "$(console_of "$1")" &&
        python3 tools/console.py "$(console_of "$1")" wait "vswitch-guest: ready" "${2:-90}"
}
in_guest() { # NAME COMMAND [SECONDS]
    python3 tools/console.py "$(console_of "$1")" run "$2" "${3:-30}"
}
guest_pid() { cat "$RUN/guests/$1/pid"; }
mac_of() { in_guest "$1" "cat /sys/class/net/eth0/address" | tr -d '\r\n'; }

# send DESTINATION COUNT [VLAN]: frames from the tap "host", whose address is $HOST_MAC, a tag in front where asked
send() { python3 tests/integration/lib_frames.py host "$1" "$HOST_MAC" "$2" "${3:-}"; }
# What a guest's interface has received so far, of those frames and few others
rx_count() { in_guest "$1" "cat /sys/class/net/${2:-eth0}/statistics/rx_packets" | tr -dc 0-9; }
gets() { # GUEST DESTINATION [VLAN [INTERFACE]]: 50 frames to DESTINATION arrive there
    before=$(rx_count "$1" "${4:-eth0}")
    send "$2" 50 "${3:-}" || return 1
    for wait in 0.2 0.5 1 ${GETS_PATIENCE-2 5 10}; do
        sleep "$wait"
        after=$(rx_count "$1" "${4:-eth0}")
        [ $((after - before)) -lt 50 ] || break
    done
    echo "$((after - before)) of 50 frames to $2 ${3:-} arrived"
    [ $((after - before)) -ge 50 ]
}
gets_not() ( # as gets: what has not come soon does not
    GETS_PATIENCE=
    ! gets "$@"
)
