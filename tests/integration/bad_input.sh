#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Wrong images, requests and configurations: each gets a clear error, and whatever
# runs goes on.
. tests/integration/lib.sh
need "$IMAGES/vmlinuz"
IMAGE=$BIN/tests/guest.elf
make -s BUILD="$BUILD" guest-image 2>/dev/null

guest() { # a guest's process by hand, in a scratch directory, for 20 s at most
    timeout 20 "$BIN/vswitch-guest" --name bad --run-dir "$W/bad" "$@" </dev/null
}

# --- images ---------------------------------------------------------------
K=$IMAGES/vmlinuz
head -c 100000 "$K" >"$W/truncated"
head -c 300 "$K" >"$W/short"
head -c 100000 /dev/urandom >"$W/junk"
: >"$W/empty"
truncate -s 70M "$W/big"
check_says "a truncated kernel" "truncated" guest --kernel "$W/truncated"
check_says "a truncated kernel, unpacked here" "truncated" guest --kernel "$W/truncated" --unpack
check_says "300 bytes of a kernel" "too few" guest --kernel "$W/short"
check_says "an empty file" "too few|empty" guest --kernel "$W/empty"
check_says "a file that is no kernel" "not a Linux|no setup header" guest --kernel "$W/junk"
check_says "no file" "No such file" guest --kernel "$W/nowhere"
check_says "a directory" "not a regular file" guest --kernel "$W"
check_says "an initrd larger than the memory" "initrd.*do not fit" guest --kernel "$K" --initrd "$W/big" --memory 64
check_says "too little memory" "4 to 3072" guest --kernel "$K" --memory 1
check_says "an unknown NIC" "no NIC model" guest --kernel "$K" --nic model=tulip
check_says "a group address" "not the MAC" guest --kernel "$K" --nic model=e1000,mac=01:00:00:00:00:00
check_says "a guest that triple-faults" "triple fault" guest --kernel "$IMAGE" --append end=triple --memory 32
check_says "a guest that runs garbage" "triple fault" guest --kernel "$IMAGE" --append end=garbage --memory 32

# --- configurations ----------------------------------------------------------
config_says() { # NAME PATTERN TEXT
    printf '%s\n' "$3" >"$W/bad.json"
    check_says "$1" "$2" "$BIN/vswitchd" --check --config "$W/bad.json" --run-dir "$W/bad"
}
config_says "configuration: no JSON" "bad.json:[12]:[0-9]+" '{"ports": ['
config_says "configuration: line and column" "bad.json:2:[0-9]+.*colour" '{"switch": {},
   "ports": [{"name":"a","type":"tap","colour":1}]}'
config_says "configuration: a member twice" "bad.json:1:[0-9]+.*(twice|duplicate)" '{"ports": [], "ports": []}'
config_says "configuration: VLAN 4095" "bad.json:1.*4094" '{"ports":[{"name":"a","type":"tap","vlan":{"access":4095}}]}'
config_says "configuration: one name twice" "a" '{"ports":[{"name":"a","type":"tap"},{"name":"a","type":"tap"}]}'
config_says "configuration: no such type" "tap" '{"ports":[{"name":"a","type":"tape"}]}'

# --- requests ------------------------------------------------------------------
daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"]}]'
check "alice starts" guest_start alice e1000 10.9.0.1
check "requests" python3 tests/integration/lib_requests.py "$SOCKET"
check_says "one name twice" "port.exists|exists" rpc port.add '{"name":"host","type":"tap"}'
check_says "an invalid name" "name has" rpc port.add '{"name":"a b","type":"tap"}'
check_says "VLAN 0" "1.*4094" rpc vlan.set '{"port":"host","access":0}'
check_says "no such port" "no port" rpc port.get '{"name":"nobody"}'
check_says "an unknown member, with what was meant" "colour" rpc port.add '{"name":"b","type":"tap","colour":1}'
check_says "an unknown method" "no method|not found|unknown" rpc port.frobnicate
check_says "a guest without a kernel" "No such file|kernel" sh -c "python3 tools/rpc.py '$SOCKET' guest.define '{\"name\":\"eve\",\"kernel\":\"/nowhere\"}' && python3 tools/rpc.py '$SOCKET' guest.start '{\"name\":\"eve\"}' && sleep 1 && python3 tools/rpc.py '$SOCKET' guest.get '{\"name\":\"eve\"}' >&2 && exit 1"

# Filters: who looks up a name, or compiles what takes seconds, holds up the switch.
printf 'nameserver 127.0.0.1\n' >"$W/resolv.conf"
mount --bind "$W/resolv.conf" /etc/resolv.conf
python3 -c "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('127.0.0.1', 53))
open(sys.argv[1] + '.there', 'w')
while True:
    s.recv(512)
    open(sys.argv[1], 'w')
" "$W/asked" & SERVER=$!
check "there is a name server" wait_until 10 test -e "$W/asked.there"
filter() { rpc capture.start "{\"port\":\"${2:-host}\",\"filter\":\"$1\"}"; }
check_says "a filter with a name that nobody knows" "unknown host 'nowhere.example'" filter "host nowhere.example"
check_says "another" "unknown" filter "net nowhere.example"
check "nobody was asked for it" test ! -e "$W/asked"
check "one with a name of /etc/hosts" filter "host localhost and port http"
check "one of 512 characters" filter "$(printf 'tcp and (%s port 1)' "$(printf 'port %0487d or' 1)")" alice
check_says "and one of more" "512" filter "$(printf 'tcp and (%s port 1)' "$(printf 'port %0488d or' 1)")"
kill $SERVER

# A reload with a bad file changes nothing.
cp "$W/vswitchd.json" "$W/good.json"
echo '{"ports": [{"name": 5}]}' >"$W/vswitchd.json"
check_says "a reload with a bad file" "name" ctl reload
kill -HUP "$DAEMON"; sleep 0.3
check "the ports are as they were" rpc port.get '{"name":"host"}'
cp "$W/good.json" "$W/vswitchd.json"

# --- a peer that sends garbage where vhost-user is spoken ------------------------
rpc port.add "{\"name\":\"peer\",\"type\":\"vhost-user\",\"path\":\"$W/peer.sock\",\"role\":\"server\"}" >/dev/null
check "garbage on a vhost-user socket" python3 - "$W/peer.sock" <<'END'
import os, socket, sys
for size in (1, 12, 13, 200, 5000):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.sendall(os.urandom(size))
    s.close()
END
check "the switch goes on: alice is ready" guest_ready alice
check "the switch goes on: ping" ping -c 1 -W 10 10.9.0.1

# --- no permission for taps -----------------------------------------------------
mkdir -m 777 "$W/nobody"
echo '{"ports":[{"name":"t","type":"tap"}]}' >"$W/nobody/c.json"
chmod 755 "$W"
check_says "no permission for taps" "permitted|CAP_NET_ADMIN|permission" \
    timeout 5 setpriv --reuid 65534 --regid 65534 --clear-groups "$BIN/vswitchd" --config "$W/nobody/c.json" --run-dir "$W/nobody/run"
finish
