#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Debian's own drivers and tools against our e1000: the driver's self test, every view
# that ethtool has of it, each of its settings with traffic, and its statistics beside
# the switch's.
#
#   host [tap "host" 10.9.0.254] ── vswitchd ── dave [e1000 10.9.0.1], then emma [82545EM 10.9.0.3]
. tests/integration/lib.sh
need "$IMAGES/vmlinuz"
need "$IMAGES/nictools.gz"

E=/nictools/ethtool
guest_parts nictools
daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"],"mtu":9500}]'
rpc port.set '{"name":"host","mtu":16120}' >/dev/null
# What the host multicasts on its own account passes its port and stops at the card's filter.
echo 1 >/proc/sys/net/ipv6/conf/host/disable_ipv6

tool() { in_guest $G "$E $*" 60; }
says() { # PATTERN COMMAND…: succeeds, and says something that matches
    pattern=$1; shift
    "$@" >"$W/said" 2>&1; status=$?
    cat "$W/said"
    [ $status -eq 0 ] && grep -qE -- "$pattern" "$W/said"
}
# Frames of three sizes both ways, none lost.
traffic() {
    for size in 18 500 "${1:-1472}"; do
        python3 "$ROOT/tests/integration/lib_pings.py" $A 100 "$size" || { whereabouts; return 1; }
    done
}
whereabouts() { # of frames that did not come back: all counters that are not 0
    rpc port.get "{\"name\":\"$G\"}" | tr ',' '\n' | grep -E '": *[1-9]' | tr '\n' ' '; echo
    tool -S eth0 | tr -d '\r' | grep -v ': 0$' | tr -s ' \n' ' '; echo
    in_guest $G 'cat /proc/uptime; dmesg | tail -n 4'
    ip neigh show dev host
}
settled() { wait_until 10 ping -c 1 -W 1 $A; } # a change of settings restarts the link
verify() { what=$1; shift; check "$MODEL: $what" "$@"; }

exercise() { # GUEST MODEL ADDRESS
    G=$1 MODEL=$2 A=$3
    check "$MODEL: the guest starts" guest_start "$G" "$MODEL" "$A"
    check "$MODEL: it is ready" guest_ready "$G"
    rpc port.set "{\"name\":\"$G\",\"mtu\":16120}" >/dev/null

    # --- the driver's own test --------------------------------------------------------
    verify "ethtool -i" says '^driver: e1000$' tool -i eth0
    verify "ethtool -t online" says 'result is PASS' tool -t eth0 online
    verify "ethtool -t offline" says 'result is PASS' tool -t eth0 offline
    grep -E 'Register|EEPROM|Interrupt|Loopback|Link' "$W/said"
    verify "traffic after it" settled

    # --- what it shows ------------------------------------------------------------------
    mac=$(in_guest $G "cat /sys/class/net/eth0/address" | tr -d '\r\n')
    registers() { # the dump agrees with what Linux has set
        tool -d eth0 >"$W/registers" || return 1
        says 'RDLEN \(Receive desc length\) +0x00001000' cat "$W/registers" && # 256 descriptors
            says 'Receiver: +enabled' cat "$W/registers" && says 'Transmitter: +enabled' cat "$W/registers" &&
            says 'Link up: +link config' cat "$W/registers" && says 'Link speed: +1000Mb/s' cat "$W/registers"
    }
    verify "ethtool -d" registers
    eeprom() { # the station address, and words 0 to 3f add up to baba
        tool -e eth0 | sed -n 's/^0x[0-9a-f]*: *//p' >"$W/eeprom"
        python3 - "$W/eeprom" "$mac" <<'END'
import sys
data = bytes.fromhex(open(sys.argv[1]).read())
words = [data[i] | data[i + 1] << 8 for i in range(0, 128, 2)]
assert len(data) == 128 and data[:6] == bytes.fromhex(sys.argv[2].replace(":", "")), data
assert sum(words) & 0xffff == 0xbaba, hex(sum(words))
END
    }
    verify "ethtool -e" eeprom
    magic=$(in_guest $G "cat /sys/class/net/eth0/device/device /sys/class/net/eth0/device/vendor" | tr -d '\r' | sed 's/0x//' | tr -d '\n')
    write_eeprom() { tool -E eth0 magic "0x$magic" offset 0x11 value 0x77 && says '^0x0011:\s*77' tool -e eth0 offset 0x11 length 1 && eeprom; }
    verify "ethtool -E writes, and mends the checksum" write_eeprom
    verify "ethtool -k" says '^tcp-segmentation-offload: on' tool -k eth0
    verify "ethtool -g" says 'RX:\s+4096' tool -g eth0
    verify "ethtool -a" says 'Autonegotiate:\s+on' tool -a eth0
    verify "ethtool -p" tool -p eth0 1

    # --- what it counts: as the switch does -----------------------------------------------
    readings() { tool -S eth0 >"$W/stats.$1" && rpc port.get "{\"name\":\"$G\"}" >"$W/port.$1"; }
    statistics() { undisturbed $G readings "$1"; } # what happens in between, here and there
    same_counts() {
        python3 - "$W" <<'END'
import json, re, sys
def guest(n): return {k: int(v) for k, v in re.findall(r"(\w+): (\d+)", open(f"{sys.argv[1]}/stats.{n}").read())}
def port(n): return json.load(open(f"{sys.argv[1]}/port.{n}"))["counters"]
g = {k: v - guest(0)[k] for k, v in guest(1).items()}
p = {k: v - port(0)[k] for k, v in port(1).items() if isinstance(v, int)}
print(g, p)
# A port's "in" is what the guest sent, and the PAUSE frames that its NIC sent by itself.
# FCS and padding are the NIC's own.
pause = g["tx_flow_control_xon"] + g["tx_flow_control_xoff"]
assert g["tx_packets"] + pause == p["in_frames"] and g["rx_packets"] == p["out_frames"], "frames"
assert g["tx_bytes"] + 64 * pause == p["in_bytes"] + 4 * p["in_frames"], "octets sent"
# The host's ARP requests, beside the pings, are 42 octets at the port and 60 to the guest.
arp = g["rx_packets"] - 300
assert g["rx_bytes"] - p["out_bytes"] - 4 * p["out_frames"] in range(0, 18 * arp + 1, 18), "octets received"
assert g["rx_packets"] >= 300 and g["tx_packets"] >= 300
bad = [k for k in g if g[k] and re.search("error|drop|fail|collision|abort|missed|no_buffer", k)]
assert not bad, bad
END
    }
    sleep 2 # neighbour discovery and the like is over
    statistics 0
    verify "300 pings" traffic
    statistics 1
    verify "ethtool -S agrees with the port's counters" same_counts

    # --- settings, each with traffic ---------------------------------------------------------
    set_and_pass() { # WHAT ARGUMENTS…
        what=$1; shift
        verify "ethtool $what" tool "$what" eth0 "$@"
        settled
        verify "and traffic passes" traffic
    }
    for n in 80 4096 256; do set_and_pass -G rx $n tx $n; done
    coalescing() { # 0: no interrupt is held back; 1 and 3: the driver adapts; 4: its simplified way
        for usecs in 0 1 4 1000 3; do
            tool -C eth0 rx-usecs $usecs && says "^rx-usecs:\s*$usecs" tool -c eth0 && traffic || return 1
        done
    }
    if [ "$MODEL" = e1000 ]; then # the driver lets nobody set that on an 82540EM
        check_says "$MODEL: ethtool -c, which the driver does not have for the chip" 'not supported' tool -c eth0
    else
        verify "ethtool -C rx-usecs 0, 1, 4, 1000, 3 with traffic" coalescing
    fi
    sum=$(cat "$IMAGES/8m.sha256")
    download() { [ "$(busybox wget -q -O - "http://$A/8m" | sha256sum | cut -c1-64)" = "$sum" ]; }
    [ -d "$W/www" ] || { mkdir "$W/www"; busybox wget -q -O "$W/www/8m" "http://$A/8m"; busybox httpd -h "$W/www"; }
    upload() { says "^$sum" in_guest $G 'wget -q -O - http://10.9.0.254/8m | sha256sum' 60; }
    with_features() { # FEATURES…, a setting each
        for features in "$@"; do
            verify "ethtool -K $features" tool -K eth0 $features
            settled
            verify "8 MiB from it" download
            verify "8 MiB to it" upload
        done
    }
    with_features "tx off rx off" "rx on tx on sg on tso on" "rx-all on rx-fcs on" "rx-all off rx-fcs off"
    [ "$MODEL" != e1000 ] || with_features "tso off" "rx off sg off" "rx on tx on sg on tso on" "rxvlan off txvlan off" "rxvlan on txvlan on"
    speed_is() { says "^$1" in_guest $G "cat /sys/class/net/eth0/speed /sys/class/net/eth0/duplex"; }
    verify "ethtool -s speed 100 duplex half" tool -s eth0 speed 100 duplex half autoneg off
    settled; verify "it is so" speed_is 100; verify "and traffic passes" traffic
    verify "ethtool -s speed 10 duplex full" tool -s eth0 speed 10 duplex full autoneg off
    settled; verify "it is so" speed_is 10; verify "and traffic passes" traffic
    verify "ethtool -s autoneg on" tool -s eth0 autoneg on
    settled; verify "it is 1000" speed_is 1000
    verify "ethtool -r" tool -r eth0; settled
    verify "ethtool -A rx off tx off" tool -A eth0 autoneg off rx off tx off
    settled; verify "and traffic passes" traffic
    verify "ethtool -A rx on tx on" tool -A eth0 autoneg off rx on tx on
    settled; verify "and traffic passes" traffic

    # --- long frames ---------------------------------------------------------------------------
    for mtu in 9000 16110; do
        ip link set host mtu $mtu
        verify "MTU $mtu" in_guest $G "ip link set eth0 mtu $mtu" 30
        settled; verify "and frames of it pass" traffic $((mtu - 28))
        verify "8 MiB from it" download
        verify "8 MiB to it" upload
    done
    in_guest $G "ip link set eth0 mtu 1500"; ip link set host mtu 1500
    settled; verify "MTU 1500 again" traffic
    complaints() { in_guest $G "dmesg | grep -E 'Tx Unit Hang|NETDEV WATCHDOG|timed out|eth0: .*([Ee]rror|[Ff]ail)|Call Trace'"; }
    refuse "$MODEL: the driver has complained of nothing" complaints
    rpc guest.kill "{\"name\":\"$G\"}" >/dev/null
}
exercise dave e1000 10.9.0.1
exercise emma e1000-82545em 10.9.0.3
finish
