#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# More frames than a guest takes: the queue in front of its NIC overflows, and the chip
# tells its driver so (e1000: MPC and PAUSE frames, as few as its manual has them; DP8390:
# OVW, from which Linux's driver recovers). Then the guest still answers.
#
#   host [tap "host" 10.9.0.254] ── vswitchd ── ann [e1000 10.9.0.1]
#                                      └─────── ned [RTL8029 10.9.0.2]
. tests/integration/lib.sh
need "$IMAGES/nictools.gz"

guest_parts nictools
daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"]}]'
check "ann starts" guest_start ann e1000 10.9.0.1
check "ned starts" guest_start ned rtl8029 10.9.0.2
check "ann is ready" guest_ready ann
check "ned is ready" guest_ready ned

statistic() { in_guest "$1" "/nictools/ethtool -S eth0 | grep -E '^ *$2:'" | sed -n 's/.*: *\([0-9]*\).*/\1/p' | head -n 1; }
counter() { in_guest "$1" "cat /sys/class/net/eth0/statistics/$2" | tr -dc 0-9; }
# As fast as the host can.
flood() { # GUEST
    mac=$(in_guest "$1" "cat /sys/class/net/eth0/address" | tr -d '\r\n')
    FLOOD=1 python3 tests/integration/lib_frames.py host "$mac" 02:00:00:00:00:01 40000
}
in_guest ann "/nictools/ethtool -G eth0 rx 80" >/dev/null # the sooner it is full
# A guest may well be faster than who floods it: what takes frames off the ring gets little of its CPU meanwhile.
busy() { in_guest "$1" "nice -n -20 timeout 3 sh -c 'while :; do :; done' >/dev/null 2>&1 &" >/dev/null; }
for _ in 1 2 3 4 5 6; do
    busy ann
    flood ann
    missed=$(statistic ann rx_missed_errors)
    [ "${missed:-0}" -eq 0 ] || break
done
xoff=$(statistic ann tx_flow_control_xoff) xon=$(statistic ann tx_flow_control_xon)
echo "ann: missed $missed, XOFF sent $xoff, XON sent $xon"
check "ann: the driver learns of missed frames" test "${missed:-0}" -gt 0
check "ann: XOFF was sent" test "${xoff:-0}" -gt 0
check "ann: not two for every XON and one more" test "${xoff:-0}" -le $((2 * ${xon:-0} + 2))
check "ann: few of them" test "${xoff:-0}" -le 200
check "ann still answers" ping -c 3 -i 0.2 -W 10 10.9.0.1
for _ in 1 2 3 4 5 6; do
    flood ned
    over=$(counter ned rx_over_errors)
    [ "${over:-0}" -eq 0 ] || break
done
echo "ned: overruns $over"
check "ned: the driver saw an overrun of the ring" test "${over:-0}" -gt 0
check "ned still answers" ping -c 3 -i 0.2 -W 10 10.9.0.2
finish
