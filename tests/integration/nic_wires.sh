#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# What a user does to a guest's cards while it runs: EEPROMs that its drivers write
# and that are there after a restart, also after kill -9; cables pulled and plugged
# in again; traces of what drivers do, with the rules that they break.
#
#   host [tap "host" 10.9.0.254] ── vswitchd ── erin: e1000 10.9.0.1, RTL8029AS 10.9.1.1
. tests/integration/lib.sh
need "$IMAGES/vmlinuz"
need "$IMAGES/nictools.gz"

E=/nictools/ethtool
guest_parts nictools
daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24","10.9.1.254/24"]}]'
define() { # NIC…
    ctl guest run erin --kernel "$IMAGES/vmlinuz" --initrd "$INITRD" --memory 96 \
        --append "console=ttyS0 quiet panic=-1 vs.name=erin vs.ip=10.9.0.1/24" "$@"
}
says() { # PATTERN COMMAND…
    pattern=$1; shift
    "$@" >"$W/said" 2>&1; status=$?
    cat "$W/said"
    [ $status -eq 0 ] && grep -qE -- "$pattern" "$W/said"
}
second_card() { in_guest erin "ip addr add 10.9.1.1/24 dev eth1; ip link set eth1 up"; }
check "erin starts" define --nic e1000,mac=02:00:00:00:00:0e --nic rtl8029,mac=02:00:00:00:00:0f
check "erin is ready" guest_ready erin
second_card >/dev/null

# --- links -------------------------------------------------------------------------
carrier() { wait_until 10 in_guest erin "test \$(cat /sys/class/net/$1/carrier) = $2"; }
reaches() { wait_until 10 ping -c 1 -W 1 "$1"; }
check "eth0 has a carrier" carrier eth0 1
check "guest link down" ctl guest link erin down --nic 0
check "the guest sees that" carrier eth0 0
check "in the card's STATUS, too" says 'Link up: +no link config' in_guest erin "$E -d eth0"
refuse "nothing passes" ping -c 1 -W 1 10.9.0.1
check "the other card is as it was" reaches 10.9.1.1
check "guest link up" ctl guest link erin up --nic 0
check "the guest sees that, too" carrier eth0 1
check "frames pass again" reaches 10.9.0.1
check "a port that is disabled" ctl port set erin --down
check "takes the carrier away" carrier eth0 0
ctl guest link erin down --nic 0; ctl port set erin --up; sleep 0.5 # and it would be up by then
check "and a cable that is out keeps it away" carrier eth0 0
ctl guest link erin up --nic 0
check "until it is plugged in" carrier eth0 1
check "the daemon is started anew" sh -c "kill $DAEMON; while kill -0 $DAEMON 2>/dev/null; do sleep 0.1; done"
wait "$DAEMON"; daemon_start
check "and finds the guest" reaches 10.9.0.1
# The RTL8029AS tells by CONFIG0's BNC bit in page 3, and its driver does not look.
bnc() { in_guest erin "read -r b _ </sys/class/net/eth1/device/resource; p=\$((b))
    put() { printf \"\\\\x\$2\" | dd of=/dev/port bs=1 count=1 seek=\$((p + \$1)) 2>/dev/null; }
    ip link set eth1 down; put 0 e1; dd if=/dev/port bs=1 count=1 skip=\$((p + 3)) 2>/dev/null | hexdump -v -e '1/1 \"config0 %02x\\n\"'; put 0 21"; }
check "the RTL8029AS is on twisted pair" says 'config0 00' bnc
ctl guest link erin down --nic 1
check "and without it on its other connector" wait_until 5 says 'config0 04' bnc
ctl guest link erin up --nic 1
in_guest erin "ip link set eth1 up" >/dev/null
check_says "no such card" "guest.no_nic|has no card 5" ctl --json guest link erin down --nic 5
check_says "no such guest" "there is no guest" ctl guest link nobody down

# --- traces ------------------------------------------------------------------------
rpc_ro() { python3 tools/rpc.py "$RUN/control-ro.sock" "$@"; }
check_says "a viewer traces nothing" "permission|operator" rpc_ro guest.trace '{"name":"erin"}'
trace() { # SECONDS OPTION… -- COMMAND…: what is traced while the command runs, and so long after it
    seconds=$1; shift; options=
    while [ "$1" != -- ]; do options="$options $1"; shift; done
    shift
    # shellcheck disable=SC2086
    timeout 100 "$BIN/vswitchctl" --socket "$SOCKET" guest trace erin $options >"$W/trace" 2>"$W/trace.err" &
    tracer=$!
    trace_begins "$W/trace.err"
    "$@" >/dev/null 2>&1
    while [ "$seconds" -gt 0 ] && kill -0 $tracer 2>/dev/null; do sleep 1; seconds=$((seconds - 1)); done
    kill $tracer 2>/dev/null; wait $tracer
    cat "$W/trace.err"
    tail -n 30 "$W/trace"
}
has() { grep -qE -- "$1" "$W/trace" || { head -n 40 "$W/trace"; return 1; }; }
trace 2 --nic 0 -- ping -c 3 -i 0.2 -W 10 10.9.0.1
check "e1000's registers, by name and field" has '^ *[0-9]+\.[0-9]{9} read  ICR    = [0-9a-f]{8}.* RXT0'
check "its descriptors" has 'TX\[[0-9]+\] '
check "its frames" has 'frame 98 bytes to 02:00:00:00:00:0e .* type 0800'
trace 2 --nic 1 --strict -- ping -c 3 -i 0.2 -W 10 10.9.1.1
check "the DP8390's registers" has 'CR     = [0-9a-f]{2}.* STA'
check "its data port, once for many" has '\.\.\. the same [0-9]+ times more'
trace 20 --nic 0 --count 25 -- ping -c 3 -i 0.2 -W 10 10.9.0.1
check "--count ends it" test "$(wc -l <"$W/trace")" -eq 25
trace 3 --nic 0 --rules -- in_guest erin "ip link set eth0 down; ip link set eth0 up"
check "strict mode names what Linux breaks" has 'RULE  14.4: '
refuse "and --rules nothing else" grep -qvE ' RULE | ERROR ' "$W/trace"
timeout 60 "$BIN/vswitchctl" --socket "$SOCKET" guest trace erin >/dev/null 2>"$W/trace.err" & TRACE=$!
trace_begins "$W/trace.err"
check_says "one at a time" "being traced already" timeout 30 "$BIN/vswitchctl" --socket "$SOCKET" guest trace erin
kill $TRACE; wait $TRACE
check "after traces the card works on" reaches 10.9.0.1

# --- EEPROMs -------------------------------------------------------------------------
station() { in_guest erin "cat /sys/class/net/$1/address" | tr -d '\r\n'; }
in_guest erin "$E -E eth0 magic 0x100e8086 offset 5 value 0x99" >"$W/said" 2>&1
check "ethtool -E writes" sh -c "! grep -i cannot '$W/said'"
check "ethtool -e reads it" says '02 00 00 00 00 99' in_guest erin "$E -e eth0 length 16"
kept() { ls "$RUN/state/guests/erin/"; [ "$(od -An -tx1 -N6 "$RUN"/state/guests/erin/nic0-e1000-02000000000e.eeprom)" = " 02 00 00 00 00 99" ]; }
check "it is in the file at once" kept
kill -9 "$(guest_pid erin)"
stopped() { ctl guest show erin | grep -q '"stopped"'; }
check "killed" wait_until 5 stopped
check "erin starts again" ctl guest start erin
check "erin is ready again" guest_ready erin
check "the address is the EEPROM's" test "$(station eth0)" = 02:00:00:00:00:99
check "the other card's is its own" test "$(station eth1)" = 02:00:00:00:00:0f
check "its checksum is right" says 'result is PASS' in_guest erin "$E -t eth0 online" 60
ctl guest kill erin
wait_until 5 stopped
check "another card has another EEPROM" define --nic e1000,mac=02:00:00:00:00:1e
check "erin is ready a third time" guest_ready erin
check "with the address it was given" test "$(station eth0)" = 02:00:00:00:00:1e
ctl guest kill erin
wait_until 5 stopped
head -c 50 "$RUN/state/guests/erin/nic0-e1000-02000000001e.eeprom" >"$W/short" && cp "$W/short" "$RUN/state/guests/erin/nic0-e1000-02000000001e.eeprom"
check_says "a file that was cut off" "50 bytes are not an EEPROM's, which has 128" ctl guest start erin

check "guest undefine" ctl guest undefine erin
check "takes the EEPROMs away" test ! -e "$RUN/state/guests/erin"

# --- no place to keep them -------------------------------------------------------------
rm -rf "$RUN/state"; : >"$RUN/state"
check "a guest starts where nothing can be kept" define --nic e1000
check "and the daemon says so" grep -q "will not be kept" "$W/vswitchd.log"
ctl guest kill erin
finish
