#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# What Linux's drivers do to our NICs beside plain traffic: other addresses, multicast,
# promiscuous mode, VLAN filters, interfaces that go up and down and modules that come
# and go under load, pktgen, and a soak of both NICs in both directions after which every
# frame is accounted for, hop by hop.
#
#   host [tap "host" 10.9.0.254] ── vswitchd ── ann [e1000 10.9.0.1]
#                                      └─────── ned [RTL8029 10.9.0.2]
#
# SOAK_SECONDS and CYCLES make it longer (check-long).
. tests/integration/lib.sh
need "$IMAGES/vmlinuz"
need "$IMAGES/nictools.gz"
SOAK_SECONDS=${SOAK_SECONDS:-4}
CYCLES=${CYCLES:-40}

guest_parts nictools
make -s BUILD="$BUILD" bench-programs >/dev/null || exit 1
daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"],"vlan":{"mode":"trunk","allowed":"1-4094","native":1}}]'
check "ann starts" guest_start ann e1000 10.9.0.1
check "ned starts" guest_start ned rtl8029 10.9.0.2
check "ann is ready" guest_ready ann
check "ned is ready" guest_ready ned
sysctl -qw net.ipv6.conf.host.disable_ipv6=1
for guest in ann ned; do
    rpc vlan.set "{\"port\":\"$guest\",\"mode\":\"trunk\",\"allowed\":\"1-4094\",\"native\":1}" >/dev/null
    in_guest $guest "insmod /nictools/pktgen.ko; modprobe 8021q" >/dev/null
done
HOST_MAC=$(ip -j link show host | sed -n 's/.*"address":"\([0-9a-f:]*\)".*/\1/p')
ANN=$(mac_of ann) NED=$(mac_of ned)

for guest in ann ned; do
    # --- addresses ---------------------------------------------------------------------------
    check "$guest: its own address" gets $guest "$(mac_of $guest)"
    check "$guest: broadcast" gets $guest ff:ff:ff:ff:ff:ff
    check "$guest: a stranger's address is filtered" gets_not $guest 02:12:34:56:78:9a
    in_guest $guest "/nictools/ip link set eth0 address 02:12:34:56:78:9a" >/dev/null || # lib8390's may only while it is down
        in_guest $guest "/nictools/ip link set eth0 down; /nictools/ip link set eth0 address 02:12:34:56:78:9a; /nictools/ip link set eth0 up" >/dev/null
    check "$guest: a new address" gets $guest 02:12:34:56:78:9a
    old=$ANN; [ $guest = ann ] || old=$NED
    check "$guest: the old one is filtered" gets_not $guest "$old"
    in_guest $guest "/nictools/ip link set eth0 down; /nictools/ip link set eth0 address $old; /nictools/ip link set eth0 up" >/dev/null
    check "$guest: the old one again" gets $guest "$old"
    check "$guest: a group not joined" gets_not $guest 01:00:5e:01:02:03
    in_guest $guest "/nictools/ip maddr add 01:00:5e:01:02:03 dev eth0" >/dev/null
    check "$guest: a group joined" gets $guest 01:00:5e:01:02:03
    in_guest $guest "/nictools/ip maddr del 01:00:5e:01:02:03 dev eth0; /nictools/ip link set eth0 allmulticast on" >/dev/null
    check "$guest: all groups" gets $guest 01:00:5e:0a:0b:0c
    in_guest $guest "/nictools/ip link set eth0 allmulticast off" >/dev/null
    check "$guest: and none" gets_not $guest 01:00:5e:0a:0b:0c
    in_guest $guest "/nictools/ip link set eth0 promisc on" >/dev/null
    check "$guest: promiscuous" gets $guest 02:12:34:56:78:9b
    in_guest $guest "/nictools/ip link set eth0 promisc off" >/dev/null
    check "$guest: and not" gets_not $guest 02:12:34:56:78:9b

    # --- VLANs --------------------------------------------------------------------------------
    in_guest $guest "for v in 1 31 32 100 4094; do /nictools/ip link add link eth0 name v\$v type vlan id \$v; /nictools/ip link set v\$v up; done" >/dev/null
    all=yes
    for v in 31 32 100 4094; do gets $guest "$old" $v v$v || all=$v; done
    check "$guest: VLANs 31, 32, 100, 4094" test $all = yes
done
# e1000 filters by VFTA; a DP8390 cannot.
check "ann: VLAN 33 is filtered" gets_not ann "$ANN" 33
in_guest ann "/nictools/ip link add link eth0 name v33 type vlan id 33; /nictools/ip link set v33 up" >/dev/null
check "ann: VLAN 33, once somebody has it" gets ann "$ANN" 33 v33
in_guest ann "/nictools/ip link del v33" >/dev/null
check "ann: VLAN 33 is filtered again" gets_not ann "$ANN" 33

# --- up and down, in and out, under load ---------------------------------------------------------
for guest in ann ned; do
    driver=e1000 address=10.9.0.1
    [ $guest = ann ] || driver=ne2k-pci address=10.9.0.2
    "$BIN/bench/frames" host "$(mac_of $guest)" "$HOST_MAC" 60 60000 5000 >/dev/null &
    flood=$!
    cycles() {
        in_guest $guest "n=0; while [ \$n -lt $CYCLES ]; do /nictools/ip link set eth0 down && /nictools/ip link set eth0 up || break; n=\$((n + 1)); done; echo \$n times; test \$n -eq $CYCLES" 1000
    }
    check "$guest: $CYCLES times down and up under load" cycles
    reloads() {
        in_guest $guest "n=0; while [ \$n -lt 5 ]; do modprobe -r $driver && modprobe $driver || break; n=\$((n + 1)); /nictools/ip link set eth0 up; done; ifconfig eth0 $address netmask 255.255.255.0 up; test \$n -eq 5" 60
    }
    check "$guest: the module in and out 5 times under load" reloads
    kill $flood; wait $flood 2>/dev/null
    check "$guest: and traffic passes" wait_until 10 ping -c 2 -W 1 $address
done

# --- pktgen, and the soak: both NICs in both directions ------------------------------------------
# The frames are for nobody behind the other's NIC, which drops them without a word.
for guest in ann ned; do
    to=$NED; [ $guest = ann ] || to=$ANN
    in_guest $guest "echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6; cd /proc/net/pktgen; echo rem_device_all >kpktgend_0; echo add_device eth0 >kpktgend_0
for s in 'count 0' 'clone_skb 0' 'pkt_size 60' 'dst_mac $to' 'dst 10.9.0.254'; do echo \$s >eth0; done; cd /" >/dev/null
done
readings() { # GUEST N
    in_guest "$1" "/nictools/ip -s -j link show eth0; /nictools/ethtool -S eth0 2>/dev/null" >"$W/$1.driver.$2"
    ctl --json guest stats "$1" >"$W/$1.guest.$2"
    rpc port.get "{\"name\":\"$1\"}" >"$W/$1.port.$2"
}
snapshot() { for guest in ann ned; do undisturbed $guest readings $guest "$1"; done; }
soak() { # both send at once, one as fast as it can, the other as fast as its NIC lets it
    for guest in ann ned; do
        in_guest $guest "(echo start >/proc/net/pktgen/pgctrl) & sleep $SOAK_SECONDS; echo stop >/proc/net/pktgen/pgctrl; wait" $((SOAK_SECONDS + 60)) >/dev/null &
        soaking="$soaking $!"
    done
    for p in $soaking; do wait "$p" || return 1; done
    sleep 1
}
# How often the guest's threads beside the vCPU's have slept: each is a wake-up that somebody paid for.
other_threads_slept() {
    pid=$(guest_pid ann)
    for task in /proc/$pid/task/*; do
        [ "${task##*/}" = "$pid" ] || sed -n 's/^voluntary_ctxt_switches:[^0-9]*//p' "$task/status"
    done | awk '{ n += $1 } END { print n + 0 }'
}
vcpu_is_left_alone() { # thousands of alarms a second are the vCPU's own affair
    [ "$slept_before" -gt 0 ] && [ $(($(other_threads_slept) - slept_before)) -lt $((SOAK_SECONDS * 300 + 1000)) ]
}
rpc port.set '{"name":"host","enabled":false}' >/dev/null
# Nobody asks a neighbour behind the closed port whether it is still there.
for guest in ann ned; do in_guest $guest "/nictools/ip neigh flush dev eth0" >/dev/null; done
sleep 1
snapshot 0
slept_before=$(other_threads_slept)
check "$SOAK_SECONDS s of pktgen in both" soak
check "no other thread was woken by the alarms of ann's vCPU" vcpu_is_left_alone
snapshot 1
check "every frame is accounted for" python3 tests/integration/lib_accounts.py "$W" ann ned
grep -E '^(ann|ned) ' "$W/last" | sed 's/^/     /'
rpc port.set '{"name":"host","enabled":true}' >/dev/null
check "and TCP passes between them" in_guest ned "wget -q -O /dev/null http://10.9.0.1/8m" 60
for guest in ann ned; do
    complaints() { in_guest $guest "dmesg | grep -E 'Tx Unit Hang|NETDEV WATCHDOG|timed out|eth0: .*([Ee]rror|[Ff]ail)|Call Trace'"; }
    refuse "$guest's driver has complained of nothing" complaints
done
finish
