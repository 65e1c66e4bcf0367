#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Linux's driver against our paravirtual card, by both of its interfaces: filters and addresses,
# VLANs, link, up and down and in and out under load, TCP with its offloads on and off, and a
# bridge in the guest, which must not get super-frames without a word of what is to be done.
#
#   host [tap "host" 10.9.0.254] ── vswitchd ── mona [virtio-net, virtio 1.0, 10.9.0.1]
#                                      └─────── lena [virtio-net, legacy 10.9.0.2]
. tests/integration/lib.sh
need "$IMAGES/vmlinuz"
need "$IMAGES/nictools.gz"
CYCLES=${CYCLES:-20}

guest_parts nictools
make -s BUILD="$BUILD" bench-programs >/dev/null || exit 1
daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"],"vlan":{"mode":"trunk","allowed":"1-4094","native":1}}]'
check "mona starts" guest_start mona virtio-net 10.9.0.1
check "lena starts" guest_start lena virtio-net 10.9.0.2 virtio_pci.force_legacy=1
check "mona is ready" guest_ready mona
check "lena is ready" guest_ready lena
sysctl -qw net.ipv6.conf.host.disable_ipv6=1
HOST_MAC=$(ip -j link show host | sed -n 's/.*"address":"\([0-9a-f:]*\)".*/\1/p')
# The bits that the driver has accepted, the first on the left: sysfs has them so.
features() { in_guest "$1" "cat /sys/class/net/eth0/device/features" | tr -d '\r\n'; }
feature() { [ "$(features "$1" | cut -c$(($2 + 1)))" = 1 ]; }
ip_set() { in_guest "$1" "/nictools/ip link set eth0 $2" >/dev/null; }
carrier_is() { in_guest "$1" "test \"\$(cat /sys/class/net/eth0/carrier)\" = $2"; }
counter() { ctl --json guest stats "$1" | tr -d ' \n' | sed "s/.*\"$2\":\([0-9]*\).*/\1/"; }
downloads() { in_guest "$1" "wget -q -O - http://$2/8m | sha256sum" 60 | grep -q "$(cut -d' ' -f1 "$IMAGES/8m.sha256")"; }
uploads() { busybox wget -q -O - "http://$1/8m" | sha256sum | grep -q "$(cut -d' ' -f1 "$IMAGES/8m.sha256")"; }

check "mona's driver speaks virtio 1.0" feature mona 32
refuse "lena's does not" feature lena 32
rpc vlan.set '{"port":"mona","mode":"trunk","allowed":"1-4094","native":1}' >/dev/null

# --- what arrives: the control queue is the same by either interface -------------------------------
own=$(mac_of mona)
check "its own address" gets mona "$own"
check "broadcast" gets mona ff:ff:ff:ff:ff:ff
check "a stranger's address is filtered" gets_not mona 02:12:34:56:78:9a
ip_set mona "address 02:12:34:56:78:9a"
check "a new address" gets mona 02:12:34:56:78:9a
check "the old one is filtered" gets_not mona "$own"
ip_set mona "address $own"
check "the old one again" gets mona "$own"
check "a group not joined" gets_not mona 01:00:5e:01:02:03
in_guest mona "/nictools/ip maddr add 01:00:5e:01:02:03 dev eth0" >/dev/null
check "a group joined" gets mona 01:00:5e:01:02:03
in_guest mona "/nictools/ip maddr del 01:00:5e:01:02:03 dev eth0" >/dev/null
ip_set mona "allmulticast on"
check "all groups" gets mona 01:00:5e:0a:0b:0c
ip_set mona "allmulticast off"
check "and none" gets_not mona 01:00:5e:0a:0b:0c
ip_set mona "promisc on"
check "promiscuous" gets mona 02:12:34:56:78:9b
ip_set mona "promisc off"
check "and not" gets_not mona 02:12:34:56:78:9b
in_guest mona "modprobe 8021q; /nictools/ip link add link eth0 name v100 type vlan id 100; /nictools/ip link set v100 up" >/dev/null
check "VLAN 100" gets mona "$own" 100 v100
in_guest mona "/nictools/ip link del v100" >/dev/null

for guest in mona lena; do
    address=10.9.0.1; [ $guest = mona ] || address=10.9.0.2
    other=10.9.0.2; [ $guest = mona ] || other=10.9.0.1
    for bit in 0 1 5 7 8 11 12 15 16 17 18 23 28 29; do
        feature $guest $bit || { check "$guest's driver takes feature $bit" false; }
    done

    # --- link ------------------------------------------------------------------------------
    check "$guest: its own address" gets $guest "$(mac_of $guest)"
    check "$guest: link" carrier_is $guest 1
    rpc guest.link "{\"name\":\"$guest\",\"up\":false}" >/dev/null
    check "$guest: the cable is out" wait_until 5 carrier_is $guest 0
    rpc guest.link "{\"name\":\"$guest\",\"up\":true}" >/dev/null
    check "$guest: and in" wait_until 5 carrier_is $guest 1
    check "$guest: traffic" wait_until 10 ping -c 1 -W 1 $address

    # --- TCP ---------------------------------------------------------------------------------
    check "$guest: 8 MiB from the guest" uploads $address
    check "$guest: 8 MiB from the other guest" downloads $guest $other
    in_guest $guest "/nictools/ethtool -K eth0 tso off gso off tx off sg off" >/dev/null
    check "$guest: 8 MiB out without offloads" uploads $address
    in_guest $guest "/nictools/ethtool -K eth0 sg on tx on tso on gso on" >/dev/null
    check "$guest: and with them again" uploads $address
done
in_super_frames() { # bytes in frames of more than 10 KiB in the mean
    rx=$(counter mona rx_frames) bytes=$(counter mona rx_bytes)
    downloads mona 10.9.0.2 || return 1
    rx=$(($(counter mona rx_frames) - rx)) bytes=$(($(counter mona rx_bytes) - bytes))
    echo "$bytes bytes in $rx frames"
    [ $((bytes / rx)) -gt 10000 ]
}
check "between the two, TCP goes in super-frames" in_super_frames

# --- up and down, in and out, under load ---------------------------------------------------------
for guest in mona lena; do
    address=10.9.0.1; [ $guest = mona ] || address=10.9.0.2
    "$BIN/bench/frames" host "$(mac_of $guest)" "$HOST_MAC" 60 30000 5000 >/dev/null &
    flood=$!
    cycles() {
        in_guest $guest "n=0; while [ \$n -lt $CYCLES ]; do /nictools/ip link set eth0 down && /nictools/ip link set eth0 up || break; n=\$((n + 1)); done; echo \$n times; test \$n -eq $CYCLES" 1000
    }
    check "$guest: $CYCLES times down and up under load" cycles
    reloads() {
        in_guest $guest "n=0; while [ \$n -lt 5 ]; do rmmod virtio_net && modprobe virtio_net || break; n=\$((n + 1)); /nictools/ip link set eth0 up; done; ifconfig eth0 $address netmask 255.255.255.0 up; test \$n -eq 5" 60
    }
    check "$guest: the module in and out 5 times under load" reloads
    kill $flood; wait $flood 2>/dev/null
    check "$guest: and traffic passes" wait_until 10 ping -c 2 -W 1 $address
    check "$guest: TCP, too" uploads $address
    complaints() { in_guest $guest "dmesg | grep -E 'NETDEV WATCHDOG|timed out|eth0: .*([Ee]rror|[Ff]ail)|virtio(_net|_pci|[0-9]).*([Ee]rror|[Ff]ail|broken)|Call Trace'"; }
    refuse "$guest's driver has complained of nothing" complaints
    check "$guest's card of nothing, either" test "$(counter $guest guest_errors)" -eq 0
done
finish
