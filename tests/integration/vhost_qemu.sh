#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Stock QEMU as the peer of vhost-user ports: two machines with virtio-net, a
# guest of ours and the host's tap on one switch.
#
#   host [tap "host" 10.9.0.254] ── vswitchd ──┬── q1: the switch listens, QEMU connects  [10.9.0.11]
#                                              ├── q2: QEMU listens, the switch connects  [10.9.0.12]
#                                              └── alice [e1000 10.9.0.1]
#
# Memory is a sealed memfd (QEMU's memory-backend-memfd), no port is relaxed.
# Debian 12's QEMU (7.2) dies under TCG when a guest enables MSI-X on a vhost
# device: vectors=0 keeps the guest at its interrupt line.
. tests/integration/lib.sh
need "$IMAGES/vmlinuz"
command -v qemu-system-i386 >/dev/null || { echo "skip qemu-system-i386 is not installed (make deps)"; exit 0; }

qemu_start() { # NAME CHARDEV_OPTIONS NUMBER
    qemu-system-i386 -accel tcg -machine pc,memory-backend=m -m 96 -no-reboot -nodefaults -display none \
        -object memory-backend-memfd,id=m,size=96M,share=on \
        -chardev "socket,id=c,path=$W/$1.sock,$2" -netdev vhost-user,id=n,chardev=c \
        -device "virtio-net-pci,netdev=n,mac=02:00:00:00:01:$3,romfile=,vectors=0" \
        -chardev "socket,id=s,path=$W/$1.console,server=on,wait=off,logfile=$W/$1.log" -serial chardev:s \
        -kernel "$IMAGES/vmlinuz" -initrd "$IMAGES/initrd.gz" \
        -append "console=ttyS0 quiet panic=-1 vs.name=$1 vs.ip=10.9.0.$3/24" </dev/null >"$W/$1.qemu" 2>&1 &
}
qemu_ready() {
    wait_until 90 grep -aq "vswitch-guest: ready" "$W/$1.log" || { cat "$W/$1.qemu"; tail -n 5 "$W/$1.log"; return 1; }
}
in_qemu() { python3 tools/console.py "$W/$1.console" run "$2" 60; }
sum=$(cat "$IMAGES/8m.sha256")
host_from() { busybox wget -q -O - "http://$1/8m" | sha256sum | grep -q "$sum"; }
qemu_from() { in_qemu "$1" "wget -q -O - http://$2/8m | sha256sum" | grep -q "$sum"; }

daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"]},
    {"name":"q1","type":"vhost-user","path":"'"$W"'/q1.sock","role":"server"},
    {"name":"q2","type":"vhost-user","path":"'"$W"'/q2.sock","role":"client"}]'
qemu_start q1 reconnect=1 11
qemu_start q2 server=on,wait=off 12; Q2=$!
check "QEMU that connects boots" qemu_ready q1 || exit 1
check "QEMU that listens boots" qemu_ready q2 || exit 1
check "its driver is virtio_net" grep -aq "eth0 virtio_net" "$W/q1.log"
check "the host reaches the first" wait_until 10 ping -c 1 -W 1 10.9.0.11
check "the host reaches the second" wait_until 10 ping -c 1 -W 1 10.9.0.12
check "with frames of 1514 bytes" ping -c 2 -W 10 -s 1472 -M "do" 10.9.0.11
check "8 MiB from the first to the host" host_from 10.9.0.11
check "8 MiB from the second to the host" host_from 10.9.0.12
check "the first reaches the second" in_qemu q1 "ping -c 3 -W 10 10.9.0.12"
check "8 MiB from the second to the first" qemu_from q1 10.9.0.12

check "a guest of ours starts" guest_start alice e1000 10.9.0.1
check "and is ready" guest_ready alice
check "QEMU's guest reaches ours" in_qemu q1 "ping -c 3 -W 10 10.9.0.1"
check "ours reaches QEMU's" in_guest alice "ping -c 3 -W 10 10.9.0.12"
check "8 MiB from ours to QEMU's" qemu_from q1 10.9.0.1

kill -9 "$DAEMON"; wait "$DAEMON" 2>/dev/null
daemon_start
check "after kill -9 and a restart of the switch the first is back" wait_until 20 ping -c 1 -W 1 10.9.0.11
check "and the second" wait_until 20 ping -c 1 -W 1 10.9.0.12
check "and ours" wait_until 20 ping -c 1 -W 1 10.9.0.1
check "8 MiB from the first, again" host_from 10.9.0.11
kill -9 "$Q2"; wait "$Q2" 2>/dev/null
check "the first still answers when the second was killed" ping -c 2 -W 10 10.9.0.11
check "the daemon ends" daemon_stop
check "and takes its socket with it" test ! -e "$W/q1.sock"
finish
