#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Power states and wake-up by network, with Debian's driver: the card's PCI capabilities
# as the guest's kernel sees them, D3 and back, and a guest that stands by until a
# frame wakes it which Linux has told the card to wait for.
#
#   host [tap "host" 10.9.0.254] ── vswitchd ── walt [e1000 10.9.0.1], then wendy [82545EM 10.9.0.3]
. tests/integration/lib.sh
need "$IMAGES/vmlinuz"
need "$IMAGES/nictools.gz"

E=/nictools/ethtool
guest_parts nictools
daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"]}]'
sysctl -qw net.ipv6.conf.host.disable_ipv6=1
HOST_MAC=$(ip -j link show host | sed -n 's/.*"address":"\([0-9a-f:]*\)".*/\1/p')

says() { # PATTERN COMMAND…
    pattern=$1; shift
    "$@" >"$W/said" 2>&1; status=$?
    cat "$W/said"
    [ $status -eq 0 ] && grep -qE -- "$pattern" "$W/said"
}
answers() { wait_until "${1:-10}" ping -c 1 -W 1 "$A"; }
config() { # OFFSET BYTES: of the card's configuration space, as hexadecimal words of a byte
    in_guest $G "dd if=/sys/class/net/eth0/device/config bs=1 skip=$(($1)) count=$2 2>/dev/null | hexdump -v -e '1/1 \"%02x \"'; echo"
}
# Sleeps, and says so when it is awake again. A machine in S1 takes no interrupt.
stand_by() {
    in_guest $G "echo standby >/sys/power/state && echo awake again" 60 >"$W/slept" 2>&1 &
    sleeper=$!
    wait_until 10 is_standing_by
}
interrupts() { ctl --json guest stats $G | sed -n 's/.*"interrupts": *\([0-9]*\).*/\1/p' | head -n 1; }
is_standing_by() {
    before=$(interrupts); sleep 0.6
    [ -n "$before" ] && [ "$before" = "$(interrupts)" ] && kill -0 $sleeper
}
frames() { python3 tests/integration/lib_frames.py host "$1" "$HOST_MAC" "${2:-3}"; }
press() { rpc guest.stop "{\"name\":\"$G\",\"timeout_s\":30}"; }
still_sleeps() { is_standing_by && ! ping -c 1 -W 1 "$A" && kill -0 $sleeper; }
awake() { # within ten seconds
    wait_until 10 sh -c "! kill -0 $sleeper 2>/dev/null" || return 1
    cat "$W/slept"; grep -q 'awake again' "$W/slept" && answers
}

a_card() { # NAME MODEL ADDRESS
    G=$1 A=$3
    check "$G starts" guest_start "$G" "$2" "$A"
    check "$G is ready" guest_ready "$G"
    MAC=$(in_guest $G "cat /sys/class/net/eth0/address" | tr -d '\r\n')
    ip neigh replace "$A" lladdr "$MAC" dev host nud permanent # nobody asks for it while it sleeps
    SLOT=$(in_guest $G "basename \$(readlink /sys/class/net/eth0/device)" | tr -d '\r\n')

    # --- capabilities: power management at dc, messages at f0 ----------------------------
    check "$G: its status tells of capabilities" says '^3[08] ' config 6 1
    check "$G: the first is at dc" says '^dc' config 0x34 1
    check "$G: power management: PME# from D0 and D3" says '^01 f0 22 48 00 20' config 0xdc 6
    check "$G: messages, of 64 bits, off" says '^05 00 80 00 00 00 00 00' config 0xf0 8
    check "$G: the kernel thinks it can wake the machine" says '^(en|dis)abled' in_guest $G "cat /sys/class/net/eth0/device/power/wakeup"
    check "$G: and can stand by" says 'standby' in_guest $G "cat /sys/power/state"

}

# In its order, the driver breaking none of the rules for it. Linux switches PME_EN off, on and
# off again before it has cleared the status.
trace_tells() {
    grep -oE ' (power D[03]|pme   (asserted|off)|RULE  6.*)$' "$W/trace" | tr -s ' \n' ' ' >"$W/told"
    cat "$W/told"
    grep -qE '^ power D3 pme asserted power D0 (pme off |pme asserted )*pme off $' "$W/told"
}
by_filters() {
    check "$G: ethtool: magic packets" says 'Wake-on: g' in_guest $G "$E -s eth0 wol g; $E eth0"
    "$BIN/vswitchctl" --socket "$SOCKET" guest trace $G --strict >"$W/trace" 2>&1 &
    tracer=$!
    check "$G: stands by" stand_by
    frames "$MAC"; frames ff:ff:ff:ff:ff:ff
    check "$G: frames of other kinds do not wake it" still_sleeps
    MAGIC=02:01:01:01:01:01 frames ff:ff:ff:ff:ff:ff
    check "$G: nor a magic packet for somebody else" still_sleeps
    MAGIC=$MAC frames ff:ff:ff:ff:ff:ff 1
    check "$G: its own does" awake
    kill $tracer; wait $tracer 2>/dev/null
    check "$G: a trace tells of it" trace_tells
    check "$G: ethtool: frames to it" says 'Wake-on: ug' in_guest $G "$E -s eth0 wol ug; $E eth0"
    check "$G: stands by again" stand_by
    frames "$MAC" 1
    check "$G: and a frame to it wakes it" awake
}
# D3 and back, behind the driver's back and without one: the card is off the bus, then as after a reset,
# and works again for a driver once its header is what it was.
d3() {
    in_guest $G "cd /sys/bus/pci/devices/$SLOT; ip link set eth0 down; echo $SLOT >driver/unbind
        dd if=config of=/tmp/header bs=64 count=1 2>/dev/null
        printf '\\003' | dd of=config bs=1 seek=224 2>/dev/null; hexdump -v -s 4 -n 1 -e '1/1 \"asleep %02x\n\"' config
        printf '\\000' | dd of=config bs=1 seek=224 2>/dev/null; hexdump -v -s 16 -n 4 -e '1/4 \"awake %08x\n\"' config
        dd if=/tmp/header of=config bs=64 count=1 2>/dev/null
        echo $SLOT >/sys/bus/pci/drivers/e1000/bind; ifconfig eth0 $A netmask 255.255.255.0 up" >"$W/d3"
    cat "$W/d3"
    grep -qE '^asleep 0[04]$' "$W/d3" && grep -q '^awake 00000000$' "$W/d3"
}

# On with what has been done to one card, at length (check-long: SLEEPS).
naps() {
    in_guest $G "$E -s eth0 wol g" >/dev/null
    for i in $(seq "${SLEEPS:-3}"); do
        stand_by || return 1
        MAGIC=$MAC frames ff:ff:ff:ff:ff:ff 1
        awake || return 1
    done
}

by_button() { # with wake-up by network off
    check "$G: ethtool: nothing" says 'Wake-on: d' in_guest $G "$E -s eth0 wol d; $E eth0"
    check "$G: stands by once more" stand_by
    MAGIC=$MAC frames "$MAC"
    check "$G: and sleeps on" still_sleeps
    check "$G: until a button is pressed" press
    check "$G: which wakes it" awake
}

# The driver offers an 82545EM's user nothing, and goes by the EEPROM: word 24, APM enable.
by_eeprom() {
    check "$G: its driver offers no wake-up" says 'Supports Wake-on: d' in_guest $G "$E eth0"
    check "$G: APM is enabled in the EEPROM" says '^0x0049:\s*05' in_guest $G "$E -E eth0 magic 0x100f8086 offset 0x49 value 0x05; $E -e eth0 offset 0x49 length 1"
    in_guest $G "cd /sys/bus/pci/drivers/e1000; echo $SLOT >unbind; echo $SLOT >bind; ifconfig eth0 $A netmask 255.255.255.0 up" >/dev/null
    check "$G: answers" answers
    check "$G: stands by" stand_by
    frames "$MAC"
    check "$G: frames to it do not wake it" still_sleeps
    MAGIC=$MAC frames ff:ff:ff:ff:ff:ff 1
    check "$G: a magic packet does" awake
}

a_card walt e1000 10.9.0.1
by_filters
check "walt: D3 and back without a driver" d3
check "walt: and it works for the next one" answers
check "walt: ${SLEEPS:-3} naps" naps
# (Linux itself warns of its i8042 driver's wake-up interrupt where the 8259 is all there is.)
complaints() { in_guest $G "dmesg | grep -E 'Tx Unit Hang|NETDEV WATCHDOG|(e1000 0000|eth0).*([Ee]rror|[Ff]ail|timed out)|PM: .*[Ff]ail|BUG|Oops'"; }
refuse "walt's driver has complained of nothing" complaints
by_button
rpc guest.kill '{"name":"walt"}' >/dev/null
a_card wendy e1000-82545em 10.9.0.3
by_eeprom
finish
