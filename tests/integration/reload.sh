#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Configurations that are read again: names and interfaces that change places, all
# ports at once, a tap that somebody has deleted; and one that fails late touches
# nothing that was there.
. tests/integration/lib.sh

index_of() { cat "/sys/class/net/$1/ifindex"; }
tap() { printf '{"name":"%s","type":"tap","interface":"%s"%s}' "$1" "$2" "${3:-}"; }
peer() { printf '{"name":"%s","type":"vhost-user","path":"%s","role":"server"}' "$1" "$W/$2.sock"; }
is_at() { rpc port.get "{\"name\":\"$1\"}" | grep -q "interface $2[,\"]"; }
count() { rpc port.list | grep -o '"origin"' | wc -l; }
crowd() { # PREFIX: as many ports as a switch has
    python3 -c "
import json
print(json.dumps([{'name': f'$1{i}', 'type': 'vhost-user', 'path': f'$W/$1{i}.sock', 'role': 'server'} for i in range(256)]))"
}

daemon_start "[$(tap a t0),$(tap b t1),$(tap c t2),$(peer v p)]"
quiet=$(index_of t2)

daemon_config "[$(tap z t0),$(tap b t1),$(tap c t2),$(peer w p)]"
check "ports get other names" ctl reload
check "on the interface that is there" is_at z t0
check_says "the old name is gone" "no port" rpc port.get '{"name":"a"}'
check "the socket is the other port's" rpc port.get '{"name":"w"}'
check "and can be connected to" python3 tests/integration/lib_vhost_peer.py "$W/p.sock" frames

daemon_config "[$(tap z t1),$(tap b t0),$(tap c t2),$(peer w p)]"
check "interfaces change places" ctl reload
check "one is at the other's" is_at z t1
check "and the other way around" is_at b t0
check "who had no part in it was left alone" test "$(index_of t2)" = "$quiet"

ip link del t1
gone() { rpc port.get '{"name":"z"}' | grep -q "deleted by somebody"; }
check "a tap that was deleted is said to be" wait_until 5 gone
check "a reload brings it back" ctl reload
check "with its interface" ip link show t1
check "and link" sh -c "python3 tools/rpc.py '$SOCKET' port.get '{\"name\":\"z\"}' | grep -q '\"link\": true'"
check "nobody else was made anew" test "$(index_of t2)" = "$quiet"

ip addr add 10.9.8.7/24 dev t0
was=$(index_of t0)
ports=$(count)
daemon_config "[$(tap b t0 ',"offload":false'),$(tap q lo)]"
check_says "a reload that fails" "lo exists and is not a tap" ctl reload
check "has touched nothing: the interface is the same" test "$(index_of t0)" = "$was"
check "and keeps what somebody gave it" sh -c "ip -br addr show t0 | grep -q 10.9.8.7"
check "and there are as many ports" test "$(count)" -eq "$ports"

# Here the failure comes after something had to go: t0 is taken from b for a, and c's new interface is none.
daemon_config "[$(tap a t0),$(tap z t1),$(tap c lo)]"
check_says "a reload that fails halfway" "lo exists and is not a tap" ctl reload
check "b is back" is_at b t0
check "c, too" is_at c t2
check "z was left alone" is_at z t1
check_says "there is no a" "no port" rpc port.get '{"name":"a"}'
check "and there are as many ports" test "$(count)" -eq "$ports"

daemon_config "$(crowd f)"
check "256 ports for those there were" ctl reload
daemon_config "$(crowd g)"
check "256 others for those" ctl reload
check "are 256" test "$(count)" -eq 256
check "their sockets are there" test -S "$W/g255.sock"
check "and the others are not" test ! -e "$W/f0.sock"
check "the daemon ends" daemon_stop
finish
