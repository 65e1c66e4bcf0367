#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Every NIC model under Debian's own driver, several in one guest, as users ask for
# them by vswitchctl; Linux's ISA Plug and Play; the rules that the drivers break;
# what is refused and with what words.
#
#   host [tap "host" 10.9.N.254] ── vswitchd ── pci: 82540EM, 82545EM, RTL8029AS
#                                      └─────── isa: RTL8019AS, NE2000 in 16 and in 8 bits, NE1000
. tests/integration/lib.sh
need "$IMAGES/vmlinuz"

daemon_start '[{"name":"host","type":"tap"}]'
ip link set host up
run_guest() { # NAME NIC…
    name=$1; shift
    ctl guest run "$name" --kernel "$IMAGES/vmlinuz" --initrd "$IMAGES/initrd.gz" --memory 96 \
        --append "console=ttyS0 quiet panic=-1 vs.name=$name" "$@"
}

# --- what is refused ------------------------------------------------------------
check_says "an unknown model" "e1000, e1000-82545em, rtl8029, rtl8019as, ne2000, ne1000" run_guest x --nic rtl8139
check_says "ports for a PCI card" "ne2000, ne1000 and rtl8019as, which are on ISA" run_guest x --nic e1000,io=0x300
check_says "ports that are the machine's own" "steps of 0x20, but 0x260 and 0x2e0" run_guest x --nic ne2000,io=0x2e0
check_says "an interrupt that is the machine's own" "3, 5, 7, 9, 12 or 15, not 4" run_guest x --nic ne2000,irq=4
check_says "a slot for another card" "ne2000 only" run_guest x --nic ne1000,slot=8
check_says "two cards at one place" "two ISA cards at io=0x300" run_guest x --nic ne2000 --nic ne1000,io=0x300
check_says "an interrupt that the board has not" "3, 5, 9, 12 or 15 for an rtl8019as" run_guest x --nic rtl8019as,irq=7
check_says "a guest's process says so, too" 'there is no NIC model "rtl8139" \(e1000, e1000-82545em' \
    "$BIN/vswitch-guest" --name x --run-dir "$W/x" --kernel "$IMAGES/vmlinuz" --nic model=rtl8139
check_says "and of an interrupt" "an RTL8019AS has 3, 5, 9, 12 or 15" \
    "$BIN/vswitch-guest" --name x --run-dir "$W/x" --kernel "$IMAGES/vmlinuz" --nic model=rtl8019as,irq=7

# --- three cards on PCI, four on ISA ----------------------------------------------
check "a guest with three PCI cards" run_guest pci --nic e1000 --nic e1000-82545em --nic rtl8029
check "a guest with four ISA cards" run_guest isa --nic rtl8019as --nic ne2000,io=0x320,irq=5 \
    --nic ne2000,slot=8,io=0x340,irq=3 --nic ne1000,io=0x360,irq=12,speed=10
check "the one is ready" guest_ready pci
check "the other is ready" guest_ready isa
has() { grep -qE -- "$1" "$2" || { cat "$2"; return 1; }; }
bound() { # INTERFACE DRIVER DEVICE
    in_guest pci "readlink /sys/class/net/$1/device/driver; cat /sys/class/net/$1/device/device" >"$W/bound"
    has "/$2" "$W/bound" && has "$3" "$W/bound"
}
# Linux answers ARP for all its addresses on all its cards, unless told otherwise.
for name in pci isa; do in_guest $name "echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore"; done
carries() { # GUEST INTERFACE N: its own subnet over this card alone, in both directions
    ip addr add "10.9.$3.254/24" dev host &&
        in_guest "$1" "ip addr add 10.9.$3.1/24 dev $2 && ip link set $2 up && ping -c 2 -W 10 10.9.$3.254" &&
        ping -q -f -c 100 -s 41 -W 10 "10.9.$3.1" && ping -c 2 -i 0.2 -W 10 -s 4000 "10.9.$3.1"
}
# What each driver breaks of its chip's rules, from its loading to its removal, and what docs/ says of it.
tracers=
trace_rules() { # GUEST NIC DRIVER
    "$BIN/vswitchctl" --socket "$SOCKET" guest trace "$1" --nic "$2" --rules >"$W/rules.$1.$2" 2>"$W/begins.$1.$2" &
    tracers="$tracers $!"
    trace_begins "$W/begins.$1.$2"
    echo "$3" >"$W/driver.$1.$2"
}
plain() { sed -E 's/^ *[0-9]+\.[0-9]{9} //; s/[0-9a-f]*[0-9][0-9a-f]*/N/g' | sort -u; }
broken() { # GUEST NIC: the rules found, without times and numbers
    grep -E ' (RULE|ERROR) ' "$W/rules.$1.$2" | plain
}
documented() { # DRIVER
    sed -n "s/^$1: RULE/RULE/p" docs/e1000.md docs/ne2000.md | plain
}
only_documented() {
    broken "$1" "$2" >"$W/found"
    documented "$(cat "$W/driver.$1.$2")" >"$W/known"
    ! grep -vxFf "$W/known" "$W/found" && [ -s "$W/found" ] && ! grep 'lines lost' "$W/rules.$1.$2"
}
in_guest pci "rmmod e1000 ne2k_pci" >/dev/null
trace_rules pci 0 e1000; trace_rules pci 1 e1000; trace_rules pci 2 ne2k-pci
trace_rules isa 0 ne; trace_rules isa 1 ne; trace_rules isa 3 ne
in_guest pci "modprobe e1000; modprobe ne2k-pci" >/dev/null
check "e1000 is bound to the 82540EM" bound eth0 e1000 0x100e
check "e1000 is bound to the 82545EM" bound eth1 e1000 0x100f
check "ne2k-pci is bound to the RTL8029AS" bound eth2 ne2k-pci 0x8029
check "the 82540EM carries frames" carries pci eth0 10
check "the 82545EM carries frames" carries pci eth1 11
check "the RTL8029AS carries frames" carries pci eth2 12

# Plug and Play puts the card elsewhere before its driver looks for it.
pnp=/sys/bus/pnp/devices/01:01.00
in_guest isa "cat $pnp/id; for word in disable clear 'set io 0x240-0x25f irq 15' activate; do
    echo \"\$word\" >$pnp/resources || echo refused; done; cat $pnp/resources" >"$W/pnp" 2>&1
check "Linux's Plug and Play isolates the RTL8019AS" has PNP80d6 "$W/pnp"
check "and moves it" has '^io 0x240-0x25f' "$W/pnp"
in_guest isa "modprobe ne io=0x320,0x340,0x360 irq=5,3,12; dmesg | grep 'ne\.'" >"$W/ne" 2>&1
check "ne finds the NE2000" has 'NE2000 found at 0x320, using IRQ 5' "$W/ne"
check "ne finds the NE1000" has 'NE1000 found at 0x360, using IRQ 12' "$W/ne"
check "ne finds the RTL8019AS where Plug and Play has put it" has 'NE2000 found at 0x240, using IRQ 15' "$W/ne"
# As on the real board: Linux knows no NE2000 in a slot of 8 bits.
check "ne leaves the 8-bit slot alone" has 'No NE.000 card found at i/o = 0x340' "$W/ne"
check "the NE2000 carries frames" carries isa eth0 20
check "the NE1000 carries frames" carries isa eth1 21
check "the RTL8019AS carries frames" carries isa eth2 22
nothing_lost() { ctl --json guest stats "$1" | python3 -c '
import json, sys
for nic in json.load(sys.stdin)["nics"]:
    print(nic)
    assert nic["tx_errors"] == 0 and nic["rx_dropped_full"] == 0 and nic["link_sent_drops"] == 0
    assert nic["model"] == "ne2000-8bit" or (nic["rx_frames"] > 100 and nic["tx_frames"] > 100)
'; }
check "no card has lost a frame (PCI)" nothing_lost pci
check "no card has lost a frame (ISA)" nothing_lost isa
in_guest pci "for i in 0 1 2; do ip link set eth\$i mtu 1400; ip link set eth\$i promisc on; ip link set eth\$i down; done; rmmod e1000 ne2k_pci" >/dev/null
in_guest isa "for i in 0 1 2; do ip link set eth\$i promisc on; ip link set eth\$i down; done; rmmod ne" >/dev/null
sleep 0.3
# shellcheck disable=SC2086
kill $tracers
wait $tracers
check "e1000 breaks what docs/e1000.md says (82540EM)" only_documented pci 0
check "e1000 breaks what docs/e1000.md says (82545EM)" only_documented pci 1
check "ne2k-pci breaks what docs/ne2000.md says" only_documented pci 2
check "ne breaks what docs/ne2000.md says (RTL8019AS)" only_documented isa 0
check "ne breaks what docs/ne2000.md says (NE2000)" only_documented isa 1
check "ne breaks what docs/ne2000.md says (NE1000)" only_documented isa 3
finish
