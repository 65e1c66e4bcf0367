#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# DPDK's testpmd (virtio-user) as the peer of vhost-user ports, in both roles:
#
#   host [tap "host" 10.9.0.254] ── vswitchd ──┬── d1: the switch listens, testpmd connects
#                                              └── d2: testpmd listens, the switch connects
#
# testpmd answers ARP and ping for any address (icmpecho), or sends what it can
# (txonly). Its memory is not sealed, which a port must be told to admit.
. tests/integration/lib.sh
command -v dpdk-testpmd >/dev/null || { echo "skip dpdk-testpmd is not installed (dpdk-dev)"; exit 0; }

PMD=
pmd_start() { # VDEV ARGUMENTS…: testpmd runs until the end of its input
    vdev=$1; shift
    rm -f "$W/pmd.in"; mkfifo "$W/pmd.in"
    dpdk-testpmd --lcores "(0-1)@(0-$(($(nproc) - 1)))" --no-huge -m 64 --no-pci --single-file-segments --file-prefix="vs$$" \
        --vdev="net_virtio_user0,queues=1,mac=02:00:00:00:00:77,$vdev" -- \
        -i --no-numa --total-num-mbufs=2048 --no-lsc-interrupt "$@" <"$W/pmd.in" >"$W/pmd.log" 2>&1 &
    PMD=$!
    exec 9>"$W/pmd.in"
}
pmd_stop() {
    echo quit >&9; exec 9>&-
    wait "$PMD"; PMD=
}
is_up() { rpc port.get "{\"name\":\"$1\"}" | grep -q '"link": true'; }
is_down() { rpc port.get "{\"name\":\"$1\"}" | grep -q '"link": false'; }
counter() { # PORT NAME
    rpc port.get "{\"name\":\"$1\"}" | sed "s/.*\"$2\": \([0-9]*\).*/\1/"
}
at_least() { [ "$(counter "$1" "$2")" -ge "$3" ] || { echo "$2 is $(counter "$1" "$2")"; return 1; }; }

daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"]},
    {"name":"d1","type":"vhost-user","path":"'"$W"'/d1.sock","role":"server","unsealed":true},
    {"name":"d2","type":"vhost-user","path":"'"$W"'/d2.sock","role":"client","unsealed":true},
    {"name":"d3","type":"vhost-user","path":"'"$W"'/d3.sock","role":"server"}]'

pmd_start "path=$W/d1.sock" --forward-mode=icmpecho --auto-start
check "testpmd connects" wait_until 30 is_up d1 || { cat "$W/pmd.log"; exit 1; }
check "and answers pings" wait_until 10 ping -c 1 -W 1 10.9.0.77
check "many of them" ping -c 500 -i 0.002 -W 10 -q 10.9.0.77
check "as large as the MTU" ping -c 5 -i 0.05 -W 10 -s 1472 -M "do" 10.9.0.77
kill -9 "$PMD"; wait "$PMD" 2>/dev/null; exec 9>&-; PMD=
check "killed, its port is down" wait_until 5 is_down d1

pmd_start "path=$W/d2.sock,server=1,mrg_rxbuf=0" --forward-mode=icmpecho --auto-start
check "testpmd listens, the switch connects" wait_until 30 is_up d2 || { cat "$W/pmd.log"; exit 1; }
ip neigh flush all
check "and it answers pings" wait_until 10 ping -c 1 -W 1 10.9.0.78
check "many of them, too" ping -c 500 -i 0.002 -W 10 -q 10.9.0.78
check "testpmd ends" pmd_stop
check "and its port is down" wait_until 5 is_down d2

pmd_start "path=$W/d1.sock,queue_size=1024" --forward-mode=txonly --auto-start
check "testpmd comes back" wait_until 30 is_up d1
check "and sends 100,000 frames" wait_until 15 at_least d1 in_frames 100000
check "testpmd ends again" pmd_stop
check "the host is still on the switch" at_least host out_frames 1000

pmd_start "path=$W/d3.sock" --forward-mode=icmpecho --auto-start
check "a port that was not told to admit unsealed memory refuses" \
    wait_until 30 grep -q "port d3.*not sealed" "$W/vswitchd.log"
check "its port stays down" is_down d3
kill -9 "$PMD"; wait "$PMD" 2>/dev/null; exec 9>&-; PMD=
check "the daemon ends" daemon_stop
finish
