#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Mistakes that people make with vswitchctl, and some with the other programs: each answer
# says what is wrong, where, and what would be right, with the exit status of the manual page.
cd "$(dirname "$0")/../.." || exit 1
. tests/integration/lib.sh
need "$IMAGES/vmlinuz"
K=$IMAGES/vmlinuz

ends() { # STATUS PATTERN WHAT COMMAND…: it ends with that status and says something that matches
    wanted=$1 pattern=$2 what=$(echo "$3" | sed "s,$W/,,g; s,$IMAGES/,,g; s,$BIN/,,g"); shift 3
    "$@" >"$W/last" 2>&1 </dev/null; got=$?
    if [ $got -eq "$wanted" ] && grep -qE -- "$pattern" "$W/last"; then echo "ok   $what"; return; fi
    echo "FAIL $what: status $got, not $wanted, or not \"$pattern\""; FAILED=1
    sed 's/^/     /' "$W/last" | tail -n 20
}
says() { # STATUS PATTERN WORD…: vswitchctl does
    status=$1 pattern=$2; shift 2
    ends "$status" "$pattern" "$*" ctl "$@"
}

says 3 'start it with "sudo systemctl start vswitchd"' ping
says 3 'that is no socket' --socket "$W" ping
says 3 'at most 107 characters' --socket "/$(printf '%0110d' 0)" ping
# Every command there is, as its help has it.
ctl help | sed -n '/^commands:/,/^$/s/^  \([a-z].*[^ ]\)   *[a-zF].*/\1/p' |
    sed 's/ \[[^]]*\]//g; s/KEY=VALUE\.\.\./mtu=1500/; s/MAC/02:00:00:00:00:01/; s/up|down/up/; s/METHOD/daemon.ping/; s,FILE,/dev/null,
         s/NAME/x/; s/PORT/x/; s/^port set.*/& --down/; s/^vlan set.*/& 5/; s,^guest run.*,& --kernel /x --nic model=e1000,; s/^capture x/& -w -/' >"$W/commands"
check "there are commands" test "$(wc -l <"$W/commands")" -gt 35
while read -r command; do
    # shellcheck disable=SC2086
    says 3 'start it with' $command
done <"$W/commands"
daemon_start '[{"name":"tap0","type":"tap","addresses":["10.9.0.254/24"]}]'

# --- where the output goes
for command in show "port list" "--json stats" methods "--timeout 20 monitor port"; do
    # Something happens for who waits for events; whoever does not end by himself is ended.
    for _ in 1 2 3 4 5 6 7 8 9 10; do sleep 0.3; rpc port.set '{"name":"tap0","learning":true}'; done >/dev/null & EVENTS=$!
    # shellcheck disable=SC2086
    check_says "$command into a full disk" "cannot write the output: No space left" sh -c "timeout 5 '$BIN/vswitchctl' -s '$SOCKET' $command >/dev/full"
    kill $EVENTS; wait $EVENTS 2>/dev/null
done

# --- commands
says 0 'guest run NAME' help guest
says 0 'guest run NAME' guest --help
says 0 '--idle-slack MS' guest run --help
says 0 '--idle-slack MS' help guest run
says 2 'there are: vlan list, vlan set' vlan
says 2 'did you mean "guest list"' guset list
says 2 'did you mean --address' port add t --adress 10.0.0.1/24
says 2 'does not take --kernel' port add t --kernel x
says 2 'too few arguments; usage: vswitchctl port show NAME' port show
says 2 'does not take "here"; usage: vswitchctl ping$' ping here
says 1 'did you mean "port.list"' call port.lsit
says 1 'did you mean "name"' call port.get '{"nam":"tap0"}'
says 2 'not JSON: column 2' call port.get '{name:1}'
says 1 'did you mean "ageing_s"' switch set ageing=10
says 1 'must be 68 to 65521, not 18446744073709551615' switch set mtu=18446744073709551615
says 2 'a number of seconds, 1 to 86400' --timeout 0 ping
says 1 'an event that vswitch-rpc' monitor port.addedd

# --- ports
says 5 'there is a port "tap0" already' port add tap0
says 5 'tap0 is in use by another program' port add tap1 --interface tap0
says 1 'longer than the 15 characters' port add a-name-of-17-bytes
says 1 'has 1 to 31 of a-z' port add eth,0
says 1 'like 10.9.0.254/24' port add tap1 --address 10.9.0.1
says 1 'like 10.9.0.254/24' port add tap1 --address 10.9.0.1/33
says 1 'like 10.9.0.254/24' port add tap1 --address fd00::1/129
says 1 'must be 1 to 4094, not 4095' port add tap1 --vlan 4095
says 2 'needs a number, not "ten"' port add tap1 --vlan ten
says 1 'like "10,20-29"' port add tap1 --trunk 10-5
says 2 'give one of them' port add tap1 --trunk 10 --vlan 3
says 1 'an absolute path is needed' port add vm1 --path vm1.sock
says 1 'cannot listen at /nowhere/vm1.sock: No such file' port add vm1 --path /nowhere/vm1.sock --server
says 1 'no port "tpa0"' port remove tpa0
says 1 'did you mean "tap0"' port show tpa0
says 1 'port.list lists those there are' fdb show --port nowhere
says 1 'must be one of all, stp, .* not "bpdu"' port set tap0 --forward-reserved lldp,bpdu
says 1 'like 52:54:00:12:34:56' port add tap1 --mac 02:00
says 2 'nothing to set' port set tap0
check "nothing of that was made" [ "$(ctl -j port list | grep -o '"name"' | wc -l)" -eq 1 ]
says 1 'like 52:54:00:12:34:56' fdb add 02:00:00:00:00 tap0
says 1 'no group address' fdb add 01:00:5e:00:00:01 tap0
says 1 "only a station's address" fdb add 00:00:00:00:00:00 tap0
says 1 '02:00:00:00:00:99 is not in the MAC table of VLAN 7' fdb delete 02:00:00:00:00:99 --vlan 7
says 1 'written as for tcpdump' capture tap0 -w /dev/null 'host and'
says 2 'give it --path SOCKET' port add vm1 --server
says 5 'there is a port "tap0" already' port add tap0 --path "$W/vm1.sock" --server
says 1 'another program does, or it is no socket' port add vm1 --path "$W/vswitchd.json" --server
says 1 '/nowhere/x.pcap: No such file' capture tap0 -w /nowhere/x.pcap
echo precious >"$W/x.pcap"
says 1 'no port "tpa0"' capture tpa0 -w "$W/x.pcap"
check "its file is as it was" grep -q precious "$W/x.pcap"

# --- guests
says 2 'needs --kernel FILE' guest run bob
says 2 '--kernel no-such-file: No such file' guest run bob --kernel no-such-file
says 1 '/nowhere/vmlinuz: No such file' guest run bob --kernel /nowhere/vmlinuz
says 1 'not a Linux bzImage .*, and no multiboot image' guest run bob --kernel /etc/passwd
says 1 '/nowhere/initrd: No such file' guest run bob --kernel "$K" --initrd /nowhere/initrd
says 1 '/memory_mib: must be 4 to 3072, not 2' guest run bob --kernel "$K" --memory 2
says 2 'needs a number, not "128M"' guest run bob --kernel "$K" --memory 128M
says 1 '/idle_slack_ms: must be 0 to 200, not 500' guest run bob --kernel "$K" --idle-slack 500
says 1 'one of e1000, .* not "tulip"' guest run bob --kernel "$K" --nic tulip
says 1 '/nics/0/mac: .* no group address' guest run bob --kernel "$K" --nic e1000,mac=03:00:00:00:00:01
says 1 'unknown member "colour"; known: model, mac' guest run bob --kernel "$K" --nic e1000,colour=red
says 1 'which are on ISA, only' guest run bob --kernel "$K" --nic e1000,irq=9
says 2 'link is up or down, not "out"' guest run bob --kernel "$K" --nic e1000,link=out
says 2 'speed is a number, not "fast"' guest run bob --kernel "$K" --nic rtl8029,speed=fast
says 1 'must have 0 to 8 elements, not 9' guest run bob --kernel "$K" $(printf ' --nic e1000%.0s' 1 2 3 4 5 6 7 8 9)
says 1 'there is an ISA card at 0x300 already' guest run bob --kernel "$K" --nic ne2000,io=0x300 --nic ne1000,io=0x300
says 2 'a number of lines, 1 or more, not "0"' guest trace bob -c 0
says 1 'which has no line 7' guest run bob --kernel "$K" --nic rtl8019as,irq=7
says 5 'there is a port "tap0" already' guest run bob --kernel "$K" --nic e1000,port=tap0
says 1 'a guest.s name has 1 to 24' guest run 'bob smith' --kernel "$K"
says 1 'guest bob is not running' guest console bob
says 1 'no guest "nobody"' guest start nobody
says 1 'no guest "nobody"' guest trace nobody
says 0 'guest bob runs' guest run bob --kernel "$K" --idle-slack 7 --nic e1000
check "--idle-slack reaches the guest" sh -c "tr '\\0' ' ' </proc/$(guest_pid bob)/cmdline | grep -q -- '--idle-slack 7 '"
MAC=$(ctl guest show bob | sed -n 's/.*"mac": "\(.*\)".*/\1/p')
says 0 "warning: guest bob has the address $MAC, too" guest run carl --kernel "$K" --nic "e1000,mac=$MAC"
check "guest kill carl" ctl guest kill carl
says 1 'stop it before defining it anew' guest run bob --kernel "$K"
says 1 'stop it first' guest undefine bob
says 1 'belongs to a running guest' port remove bob
says 1 'has no card 3: it has one, number 0' guest link bob down --nic 3
says 1 'did you mean "bob"' guest stop bbo
check "guest kill bob" ctl guest kill bob

# --- what bash completes
completes() { # WANTED WORD…: the last word, as far as it is typed
    wanted=$1; shift
    got=$(VSWITCH_SOCKET=$SOCKET PATH=$BIN:$PATH bash -c '. cli/vswitchctl.bash; COMP_WORDS=(vswitchctl "$@") COMP_CWORD=$#
          _vswitchctl_complete; echo "${COMPREPLY[*]}"' bash "$@" 2>&1)
    if [ "$got" = "$wanted" ]; then echo "ok   completion of \"$*\""; return; fi
    echo "FAIL completion of \"$*\": $got, not $wanted"; FAILED=1
}
completes guest gu
completes "start stats stop" guest st
completes bob guest console b
completes tap0 port show ""
completes "up down" guest link bob ""
completes "on off" port set tap0 --flood ""
completes --forward-reserved port add tap1 --mtu 1400 --for
completes "e1000 e1000-82545em" guest run x --nic e
completes "port.add" call port.a

# --- the daemon's own
does() { # STATUS PATTERN COMMAND…
    status=$1 pattern=$2; shift 2
    ends "$status" "$pattern" "$*" "$@"
}
echo '{"ports": [{"name": "t", "type": "tap", "interface": "lo"}]}' >"$W/lo.json"
echo '{"port": []}' >"$W/wrong.json"
does 64 'error, warning, info or debug, not "loud"' "$BIN/vswitchd" --log-level loud
does 65 'did you mean "ports"' "$BIN/vswitchd" --check --config "$W/wrong.json"
does 66 'No such file' "$BIN/vswitchd" --check --config "$W/nowhere.json"
does 66 'not a regular file' "$BIN/vswitchd" --check --config "$W"
does 69 'another vswitchd runs' "$BIN/vswitchd" --run-dir "$RUN" --config "$W/vswitchd.json"
does 71 'is not a tap' "$BIN/vswitchd" --run-dir "$W/other" --config "$W/lo.json"
does 73 'cannot make the run directory' "$BIN/vswitchd" --run-dir /nowhere/x --config "$W/vswitchd.json"

# Without --config the usual file is read, also one that comes later.
usual_file() {
    mkdir "$W/etc" && cp -a /etc/. "$W/etc" && mount --bind "$W/etc" /etc && rm -rf /etc/vswitch && mkdir /etc/vswitch || return 1
    "$BIN/vswitchd" --run-dir "$W/usual" >"$W/usual.log" 2>&1 &
    usual=$!
    wait_until 10 "$BIN/vswitchctl" --socket "$W/usual/control.sock" ping &&
        echo '{"ports": [{"name": "later", "type": "tap"}]}' >/etc/vswitch/vswitchd.json &&
        "$BIN/vswitchctl" --socket "$W/usual/control.sock" reload &&
        "$BIN/vswitchctl" --socket "$W/usual/control.sock" port show later
    result=$?
    kill $usual; wait $usual
    umount /etc
    return $result
}
check "a configuration that has come since is read by reload" usual_file

# --- a guest's own
does 0 '^vswitch-guest [0-9]' "$BIN/vswitch-guest" --version
does 2 'name needs a value' "$BIN/vswitch-guest" --name
does 2 'unknown option "--colour"' "$BIN/vswitch-guest" --colour
does 2 'such as 52:54' "$BIN/vswitch-guest" --name x --kernel "$K" --nic model=e1000,mac=00:00:00:00:00:00

# --- rights
check_says "a kernel that the guest's user may not read says who that is" 'runs as .*uid 65534, who must be able to read it' \
    sh -c "cp '$K' '$W/secret'; chmod 600 '$W/secret'; chmod 711 '$W'; mkdir -m 777 '$W/u'
           exec setpriv --reuid 65534 --regid 65534 --clear-groups '$BIN/vswitch-guest' --name x --run-dir '$W/u/x' --kernel '$W/secret'"
says 1 'needs the role operator; the role of this connection is viewer' --socket "$RUN/control-ro.sock" port remove tap0
finish
