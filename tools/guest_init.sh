#!/bin/busybox sh
# SPDX-License-Identifier: BSD-2-Clause
#
# /init of the demonstration guest (assembled into an initramfs by
# tools/guest_image.sh): sets up the network by what the kernel command line says,
# serves one 8 MiB file by HTTP, says that it is ready and gives a shell on the
# serial console.
#
#   vs.ip=10.9.0.1/24             address of eth0
#   vs.gw=10.9.0.254              default route
#   vs.isa=0x300,9                an ISA NE2000 is at this port and interrupt
#   vs.vlans=10:10.1.0.1/24,20:…  tagged interfaces eth0.10, eth0.20 …
#   vs.mode=shell                 what comes last: a script of /etc/vs.d
#                                 (shell, poweroff, reboot, bench …)
#
# Lines that the host's scripts wait for start with "vswitch-guest: ".

/bin/busybox echo "vswitch-guest: init"
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /www
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mkdir -p /dev/pts /dev/shm
/bin/busybox mount -t devpts pts /dev/pts
/bin/busybox --install -s
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/ TERM=linux PS1='# '
read -r uptime _ </proc/uptime
echo "vswitch-guest: init uptime $uptime"

# Parameters: vs.NAME=VALUE becomes vs_NAME.
vs_mode=shell
for word in $(cat /proc/cmdline); do
    case $word in
    vs.[a-z]*=*)
        name=${word%%=*}; name=vs_${name#vs.}
        case $name in *[!a-z0-9_]*) continue ;; esac
        eval "$name=\${word#*=}" ;;
    esac
done

# Drivers, by the identity of each PCI device: pattern, then modules in order.
drivers='
v00008086d0000100[EF]* e1000
v000010ECd00008029* ne2k-pci
v00001AF4d00001000* virtio_pci virtio_net
v00001AF4d00001041* virtio_pci virtio_net
'
load_drivers() {
    for device in /sys/bus/pci/devices/*; do
        [ -e "$device/modalias" ] || continue
        alias=$(cat "$device/modalias"); alias=${alias#pci:}
        echo "$drivers" | while read -r pattern modules; do
            [ -n "$pattern" ] || continue
            # shellcheck disable=SC2254
            case $alias in $pattern) for m in $modules; do modprobe "$m"; done ;; esac
        done
    done
    if [ -n "$vs_isa" ]; then
        case $vs_isa in
        *,*) modprobe ne io="${vs_isa%%,*}" irq="${vs_isa##*,}" ;;
        *) modprobe ne io="$vs_isa" ;;
        esac
    fi
}

wait_for_interface() {
    n=0
    while [ ! -e /sys/class/net/eth0 ] && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done
    [ -e /sys/class/net/eth0 ]
}

set_up_network() {
    ifconfig lo 127.0.0.1 up
    wait_for_interface || { echo "vswitch-guest: no network interface"; return; }
    echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad 2>/dev/null
    ip link set eth0 up
    [ -z "$vs_ip" ] || ip addr add "$vs_ip" dev eth0
    [ -z "$vs_gw" ] || ip route add default via "$vs_gw"
    for item in $(echo "$vs_vlans" | tr ',' ' '); do
        modprobe 8021q
        ip link add link eth0 name "eth0.${item%%:*}" type vlan id "${item%%:*}"
        ip addr add "${item#*:}" dev "eth0.${item%%:*}"
        ip link set "eth0.${item%%:*}" up
    done
    driver=$(readlink /sys/class/net/eth0/device/driver); driver=${driver##*/}
    echo "vswitch-guest: eth0 ${driver:-ne} $(cat /sys/class/net/eth0/address) ${vs_ip:-no address}"
}

serve_files() {
    n=0
    while [ $n -lt 128 ]; do cat /etc/block; n=$((n + 1)); done >/www/8m
    echo "hello from ${vs_name:-guest}" >/www/index.html
    httpd -h /www
}

# The power button ends the guest (/etc/acpi), where there is one.
watch_power_button() {
    [ -d /sys/firmware/acpi ] || return 0
    modprobe evdev
    modprobe button
    acpid -l /dev/null -p /run/acpid.pid
}

[ -z "$vs_name" ] || hostname "$vs_name"
load_drivers
set_up_network
watch_power_button
serve_files
read -r uptime _ </proc/uptime
echo "vswitch-guest: ready uptime $uptime"

[ -r "/etc/vs.d/$vs_mode" ] || { echo "vswitch-guest: no mode $vs_mode"; vs_mode=shell; }
. "/etc/vs.d/$vs_mode"
