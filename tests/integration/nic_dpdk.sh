#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Drivers of other people's beside Linux's: DPDK's, polling our e1000 and virtio-net from
# user space in a Debian guest (stock dpdk-testpmd of Debian's i386 packages, on
# uio_pci_generic and 4 MiB pages). It needs a guest CPU with SSE4.2. MODELS: the
# cards, one after the other.
#
#   host [tap "host" 10.9.0.254] ── vswitchd ── pam [e1000, then virtio-net 10.9.0.1]
#   host [tap "plain", no offloads] ───┘
. tests/integration/lib.sh
need "$IMAGES/vmlinuz"
need "$IMAGES/nictools.gz"
need "$IMAGES/dpdk.gz"
grep -q sse4_2 /proc/cpuinfo || { echo "skip this machine's CPU has no SSE4.2 for the guest"; exit 0; }

# In the guest: /pmd MODULE… takes the card from Linux and starts testpmd, whose input is /tmp/pmd.in.
mkdir "$W/part"
cat >"$W/part/pmd" <<'END'
#!/bin/sh
device=$(readlink -f /sys/class/net/eth0/device)
device=$(basename "${device%/virtio*}")
id=$(cat "/sys/bus/pci/devices/$device/vendor" "/sys/bus/pci/devices/$device/device" | sed 's/0x//' | tr '\n' ' ')
rmmod "$@"
insmod /nictools/uio.ko
insmod /nictools/uio_pci_generic.ko
echo "$id" >/sys/bus/pci/drivers/uio_pci_generic/new_id
mkdir -p /var/run /dev/hugepages
mount -t hugetlbfs none /dev/hugepages
echo 14 >/proc/sys/vm/nr_hugepages
grep HugePages_Total /proc/meminfo
mkfifo /tmp/pmd.in
sleep 100000 >/tmp/pmd.in &
LD_PRELOAD=/usr/libexec/coreutils/libstdbuf.so _STDBUF_O=L dpdk-testpmd --lcores '(0-1)@0' -m 48 --no-telemetry -a "$device" -- -i --total-num-mbufs=4096 \
    --no-numa --enable-scatter --max-pkt-len=9018 --forward-mode=icmpecho --auto-start </tmp/pmd.in >/tmp/pmd.log 2>&1 &
n=0
while ! grep -q 'packet forwarding - ports=1' /tmp/pmd.log && [ $n -lt 200 ]; do sleep 0.1; n=$((n + 1)); done
grep -q 'packet forwarding - ports=1' /tmp/pmd.log || { cat /tmp/pmd.log; exit 1; }
END
chmod 755 "$W/part/pmd"
GUEST_MEMORY=256
guest_parts nictools dpdk
(cd "$W/part" && echo pmd | cpio -o -H newc --quiet) | gzip -1 >>"$INITRD"

G=pam A=10.9.0.1
pmd() { in_guest "$G" "echo '$*' >/tmp/pmd.in" >/dev/null; }
counter() { rpc port.get "{\"name\":\"$G\"}" | sed "s/.*\"$1\": \([0-9]*\).*/\1/"; }
sent() { [ "$(counter in_frames)" -ge "$1" ]; }
# What the driver reads from the card's statistics registers, as NAME=VALUE.
pmd_stats() {
    in_guest "$G" "n=\$(wc -l </tmp/pmd.log); echo 'show port stats 0' >/tmp/pmd.in
        for i in \$(seq 100); do tail -n +\$n /tmp/pmd.log | grep -q 'Tx-pps' && break; sleep 0.1; done; tail -n +\$n /tmp/pmd.log" |
        tr -d '\r' | grep -oE '(RX|TX)-(packets|missed|errors|bytes|nombuf): +[0-9]+' | sed 's/: */=/'
}
stat_of() { sed -n "s/^$1=//p" "$W/stats"; }
readings() {
    pmd_stats >"$W/stats"
    in_frames=$(counter in_frames) out_frames=$(counter out_frames)
    lost=$(ctl --json guest stats "$G" | sed 's/.*"link_sent_drops": *\([0-9]*\).*/\1/' | head -n 1)
}

# 30 IPv4 packets as they should be, and 10 with a wrong checksum of their headers.
send_packets() { # MAC
    python3 - "$1" <<'END'
import socket, struct, sys, time
def frame(wrong):
    words = [0x4500, 20 + 48, 1, 0, 64 << 8 | 253, 0, 0x0a09, 0x00fe, 0x0a09, 0x004d] # a protocol for experiments
    total = sum(words)
    words[5] = ~((total & 0xffff) + (total >> 16)) & 0xffff ^ (0x5a5a if wrong else 0)
    return bytes.fromhex(sys.argv[1].replace(":", "") + "020000000009" + "0800") + struct.pack("!10H", *words) + bytes(48)
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("host", 0))
for n in range(40):
    s.send(frame(n % 4 == 3))
    time.sleep(0.001)
END
}

exercise() { # MODEL MODULES: Linux's of that card, in the order in which they go
    check "$1: the guest starts" guest_start $G "$1" $A
    check "$1: the guest is ready" guest_ready $G
    check "$1: testpmd drives the card" in_guest $G "/pmd $2" 60 || return
    in_guest $G "grep -E 'Probe PCI|^Port 0:' /tmp/pmd.log"
    ip neigh flush dev host
    check "$1: it answers pings" wait_until 10 ping -c 1 -W 1 $A
    check "$1: many of them" ping -c 500 -i 0.002 -W 10 -q $A
    check "$1: as large as the MTU" ping -c 50 -i 0.01 -W 10 -q -s 1472 -M "do" $A
    rpc port.set "{\"name\":\"$G\",\"mtu\":9000}" >/dev/null
    ip link set host mtu 9000
    check "$1: jumbo frames, of several buffers" ping -c 50 -i 0.01 -W 10 -q -s 8972 -M "do" $A
    ip link set host mtu 1500

    pmd stop
    pmd set fwd rxonly
    pmd start
    undisturbed $G readings
    received=$(stat_of RX-packets) delivered=$out_frames
    card=$(in_guest $G "sed -n 's/^Port 0: //p' /tmp/pmd.log" | tr -d '\r\n')
    python3 tests/integration/lib_frames.py host "$card" 02:00:00:00:00:09 3000
    sleep 1
    undisturbed $G readings
    check "$1: receives 3000 frames and more" test $(($(stat_of RX-packets) - received)) -ge 3000
    check "$1: as many as the switch gave it" test $(($(stat_of RX-packets) - received)) -eq $((out_frames - delivered))
    check "$1: none missed" test "$(stat_of RX-missed)" -eq 0

    transmitted=$(stat_of TX-packets) taken=$in_frames lost_before=$lost
    pmd stop
    pmd set fwd txonly
    pmd start
    check "$1: sends 100,000 frames" wait_until 30 sent $((taken + 100000))
    pmd stop
    sleep 1
    undisturbed $G readings
    echo "sent: $(($(stat_of TX-packets) - transmitted)), of these to the switch $((in_frames - taken)), lost at the link $((lost - lost_before))"
    check "$1: each of them went to the switch or is counted as lost" \
        test $(($(stat_of TX-packets) - transmitted)) -eq $((in_frames - taken + lost - lost_before))
    check "$1: no errors" test "$(stat_of RX-errors)$(stat_of TX-errors)$(stat_of RX-nombuf)" = 000

    ip_sums=hw
    [ "$1" != virtio-net ] || ip_sums=sw # that card knows TCP's and UDP's alone
    pmd port stop 0
    [ $ip_sums = sw ] || pmd port config 0 rx_offload ipv4_cksum on
    for command in "port start 0" "set fwd csum" start; do pmd "$command"; done
    in_guest $G "n=0; while ! grep -q '^csum packet forwarding' /tmp/pmd.log && [ \$n -lt 50 ]; do sleep 0.1; n=\$((n + 1)); done" >/dev/null
    send_packets "$card"
    sleep 0.5
    pmd stop
    [ $ip_sums = sw ] || check "$1: the card tells it of ten wrong checksums" \
        in_guest $G "sleep 0.5; grep 'Bad-ipcsum' /tmp/pmd.log; grep -qE 'Bad-ipcsum: 10 ' /tmp/pmd.log"

    # Its checksums made by the card, for a port where nobody else would finish them. The driver
    # has no segmentation: after `tso set` it takes no such frame.
    for command in "port stop 0" "csum set ip $ip_sums 0" "csum set tcp hw 0" "csum set udp hw 0" "set eth-peer 0 $PEER"; do pmd "$command"; done
    "$BIN/vswitchctl" --socket "$SOCKET" guest trace $G --nic 0 >"$W/trace" 2>"$W/trace.err" &
    tracer=$!
    trace_begins "$W/trace.err"
    for command in "port start 0" start; do pmd "$command"; done
    check "$1: it has the card make its checksums" wait_until 10 in_guest $G "grep -cE '^csum packet forwarding' /tmp/pmd.log | grep -q 2"
    check "$1: and they are right, of TCP and UDP in IPv4 and IPv6" \
        python3 tests/integration/lib_checksums.py host "$card" plain $PEER
    pmd stop
    kill $tracer; wait $tracer 2>/dev/null
    check "$1: it asks for them" test "$(grep -cE ' send .*, checksum from ' "$W/trace")" -ge 22
    [ "$1" = virtio-net ] || check "$1: the trace knows a register that only other chips have" grep -qE '(read|write) +RFCTL' "$W/trace"

    pmd quit
    check "$1: testpmd ends" in_guest $G "n=0; while pidof dpdk-testpmd >/dev/null && [ \$n -lt 100 ]; do sleep 0.1; n=\$((n + 1)); done; grep -q '^Bye' /tmp/pmd.log"
    in_guest $G "rmmod uio_pci_generic; modprobe ${2##* }; modprobe ${2%% *}; ip addr add $A/24 dev eth0; ip link set eth0 up" >/dev/null
    ip neigh flush dev host
    check "$1: Linux's driver has the card again" wait_until 10 ping -c 1 -W 1 $A
    refuse "$1: the guest's kernel complains of nothing" in_guest $G "dmesg | grep -E 'WARNING|BUG|Oops|Call Trace|trap|segfault'"
    rpc guest.kill "{\"name\":\"$G\"}" >/dev/null
}

PEER=02:00:00:00:00:0a
daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"],"mtu":9500},{"name":"plain","type":"tap","offload":false}]'
ip link set plain up
rpc port.set '{"name":"host","mtu":9018}' >/dev/null
for model in ${MODELS:-e1000 virtio-net}; do
    case $model in virtio-net) modules="virtio_net virtio_pci" ;; *) modules=e1000 ;; esac
    exercise "$model" "$modules"
done
finish
