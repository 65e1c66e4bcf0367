#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The units under a real systemd, process 1 in namespaces of its own (lib_systemd.sh):
# what the README says to install and start; roles; a guest of the daemon's through
# restarts, a sudden end and a daemon that hangs; reloads; refused configurations; a
# guest of the template unit; how much the units give away.
#
# What is not covered here is the start of a whole machine with Debian's own kernel. By
# hand, as root, with debootstrap and QEMU; in some five minutes by TCG:
#
#   debootstrap --variant=minbase --include=linux-image-cloud-amd64,initramfs-tools,systemd-sysv,udev,make bookworm m
#   cp -r . m/root/vswitch                  # a clone; in the machine to be, by chroot:
#       cd /root/vswitch && sh tools/deps.sh build run && make && make install && passwd -d root
#       printf 'virtio_blk\next4\n' >>/etc/initramfs-tools/modules; update-initramfs -u
#   install -D -m 644 -t m/srv/guests cache/images/vmlinuz cache/images/initrd.gz
#   mke2fs -t ext4 -d m m.img 3G
#   qemu-system-x86_64 -accel tcg -cpu max -smp 2 -m 2G -nographic -nic none -drive file=m.img,if=virtio,format=raw \
#       -kernel m/boot/vmlinuz-* -initrd m/boot/initrd.img-* -append 'root=/dev/vda rw console=ttyS0'
#
# There: what README.md says under "Use it"; `journalctl -p warning` has nothing of ours.
cd "$(dirname "$0")/../.." || exit 1
. tests/integration/lib.sh
. tests/integration/lib_systemd.sh
journals() { inside journalctl --no-pager -q -n 40 -u vswitchd -u 'vswitch-guest@*'; }
trap '[ $FAILED -eq 0 ] || [ -z "$MANAGER" ] || journals; systemd_end; cleanup' EXIT

if ! [ -x /lib/systemd/systemd ]; then echo "skip systemd is not installed"; exit 0; fi
if ! systemd_root >"$W/root.log" 2>&1; then echo "skip this machine has no overlay file system"; exit 0; fi
need "$IMAGES/vmlinuz"
check "make install" make -s BUILD="$BUILD" DESTDIR="$R" install
mkdir -p "$R/srv/images"
cp "$IMAGES/vmlinuz" "$IMAGES/initrd.gz" "$R/srv/images"
if ! systemd_start; then
    echo "skip this machine lets no second systemd run"
    cat "$W/systemd.log"
    exit 0
fi

as() { user=$1; shift; inside setpriv --reuid "$user" --regid "$user" --init-groups "$@"; }
property() { inside systemctl show -p "$1" --value "${2:-vswitchd}"; }
is() { [ "$(property "$1" "$3")" = "$2" ] || { inside systemctl status --no-pager "${3:-vswitchd}"; return 1; }; }
answers() { inside vswitchctl --timeout 2 ping; }
role() { as "$1" vswitchctl -j info | grep -o '"role":"[a-z]*"'; }
journal_has() { inside journalctl --no-pager -o cat -u "${2:-vswitchd}" | grep -qE -- "$1"; }
status_of() { inside sed -n "s/^$1:[[:space:]]*//p" "/proc/$(property MainPID "${2:-vswitchd}")/status"; }
guest_line() { inside vswitchctl guest list | grep "^$1 "; }
guest_pid_inside() { guest_line "$1" | awk '{print $3}'; }
pings() { inside ping -c 1 -W 1 "$1"; }
set_config() { cat >"$R/etc/vswitch/vswitchd.json"; }

# --- the README's steps -----------------------------------------------------------
check "systemd-sysusers" inside systemd-sysusers
check "systemctl enable --now vswitchd" inside systemctl enable --now vswitchd
check "it has said that it is ready" is ActiveState active
check "its status line" [ "$(property StatusText)" = "1 ports, 0 guests, 0 addresses" ]
check "a user of its own" [ "$(inside stat -c %U "/proc/$(property MainPID)")" = vswitch ]
check "CAP_NET_ADMIN and CAP_NET_RAW, nothing else" [ "$(status_of CapPrm)$(status_of CapBnd)" = 00000000000030000000000000003000 ]
check "its own filter on top" [ "$(status_of Seccomp)" = 2 ]
no_warning() { [ -z "$(inside journalctl -q --no-pager -o cat -p warning -u vswitchd | tee "$W/warnings")" ] || { cat "$W/warnings"; return 1; }; }
check "restart, with nothing in its directories" inside systemctl restart vswitchd
check "the journal has no warning" no_warning

# --- who may do what ----------------------------------------------------------------
inside useradd -M -G vswitch oper
inside useradd -M other
check "oper is operator" [ "$(role oper)" = '"role":"operator"' ]
check "other is viewer" [ "$(role other)" = '"role":"viewer"' ]
check_says "other may not add a port" 'needs the role operator' as other vswitchctl port add x
check "oper may" as oper vswitchctl port add tap0 --address 10.9.0.254/24

# --- a guest of the daemon's ----------------------------------------------------------
guest_of_daemon() {
    inside vswitchctl guest run bob --kernel /srv/images/vmlinuz --initrd /srv/images/initrd.gz --nic e1000 \
        --append 'console=ttyS0 quiet panic=-1 vs.name=bob vs.ip=10.9.0.2/24'
}
check "guest run" guest_of_daemon
check "it answers" wait_until 6 pings 10.9.0.2
pid=$(guest_pid_inside bob)
console_shows() { echo | as "$1" vswitchctl guest console "$2" | grep -q "$3"; }
check "oper reads its console" console_shows oper bob 'vswitch-guest: ready'
check "oper captures at its port" as oper sh -c 'vswitchctl capture bob -c 1 -w - --timeout 60 >/dev/null & while kill -0 $! 2>/dev/null; do ping -q -c 1 -W 1 10.9.0.2 >/dev/null; done; wait $!'

same_guest() { wait_until 10 answers && [ "$(guest_pid_inside bob)" = "$pid" ] && wait_until 2 pings 10.9.0.2; }
check "restart" inside systemctl restart vswitchd
check "the same guest after a restart" same_guest
inside kill -9 "$(property MainPID)"
check "started again after a sudden end" wait_until 10 is NRestarts 1
check "the same guest after it" same_guest

# --- a daemon that hangs ------------------------------------------------------------------
mkdir -p "$R/etc/systemd/system/vswitchd.service.d"
printf '[Service]\nWatchdogSec=3s\nTimeoutStopSec=2s\n' >"$R/etc/systemd/system/vswitchd.service.d/test.conf"
inside systemctl daemon-reload
check "restart with a short watchdog" inside systemctl restart vswitchd
hung=$(property MainPID)
replaced() { [ "$(property MainPID)" != "$hung" ] && answers; }
sleep 4
check "a daemon that lives is left alone" [ "$(property MainPID)" = "$hung" ]
inside kill -STOP "$hung"
check "one that hangs is replaced" wait_until 20 replaced
check "the same guest after that" same_guest
rm -r "$R/etc/systemd/system/vswitchd.service.d"
inside systemctl daemon-reload

# --- configurations ------------------------------------------------------------------------
echo '{"ports":[{"name":"vs0","type":"tap"},{"name":"vs1","type":"tap"}]}' | set_config
check "reload" inside systemctl reload vswitchd
check "it was applied" inside vswitchctl port show vs1
echo '{"ports":[{"name":"vs0","type":"tap"}],"prots":[]}' | set_config
refuse "reload of a wrong one fails" inside systemctl reload vswitchd
check "the journal says where it is wrong" journal_has 'vswitchd.json:1:[0-9]+: /prots: unknown member'
check "nothing was changed" inside vswitchctl port show vs1
check "and it runs on" is ActiveState active
refuse "a start with a wrong one fails" inside systemctl restart vswitchd
check "with the status of vswitchd(8)" is ExecMainStatus 65
sleep 1
check "and is not tried again" is NRestarts 0
status_says() { inside systemctl status --no-pager vswitchd | grep -q "$1"; }
check "systemctl status says what is wrong" status_says 'unknown member'
echo '{"ports":[{"name":"vs0","type":"tap"}],"control":{"group":"netops"}}' | set_config
check "a group that is not there" inside systemctl start vswitchd
check "is named in the journal" journal_has 'no group "netops"'
echo '{"ports":[{"name":"vs0","type":"tap"}]}' | set_config
check "back again" inside systemctl restart vswitchd
check "the same guest after all" same_guest

# --- a guest of the template unit -------------------------------------------------------------
template_guest() {
    cat >"$R/etc/vswitch/guests/eve.conf" <<END
KERNEL=/srv/images/vmlinuz
INITRD=/srv/images/initrd.gz
APPEND=console=ttyS0 quiet panic=-1 vs.name=eve vs.ip=10.9.0.3/24
NICS=--nic model=e1000,mac=52:54:00:00:00:01,socket=nic0.sock --idle-slack 0
END
    check "systemctl start vswitch-guest@eve" inside systemctl start vswitch-guest@eve
    check "the daemon has it" wait_until 5 guest_line eve
    check "it answers, too" wait_until 6 pings 10.9.0.3
    check "it has no capability" [ "$(status_of CapBnd vswitch-guest@eve)" = 0000000000000000 ]
    check "oper asks it" as oper vswitchctl guest stats eve
    check "its EEPROM is kept" inside test -s /var/lib/vswitch/guests/eve/nic0-e1000-525400000001.eeprom
    check "the switch starts again" inside systemctl restart vswitchd
    check "and finds it" wait_until 2 pings 10.9.0.3
    check "systemctl stop vswitch-guest@eve" inside systemctl stop vswitch-guest@eve
    check "it was told and powered off" journal_has 'the guest powered off' vswitch-guest@eve
    check "that is a success" is Result success vswitch-guest@eve
}
# Its PrivateUsers= needs them; a process in a chroot, for one, gets none.
if inside unshare -U true 2>/dev/null; then template_guest; else echo "skip vswitch-guest@: this machine gives no user namespaces"; fi

# --- the end ---------------------------------------------------------------------------------
check "systemctl stop vswitchd" inside systemctl stop vswitchd
check "the guest goes on" inside kill -0 "$pid"
check "started once more" inside systemctl start vswitchd
check "the same guest" same_guest
check "vswitchctl shutdown --guests" inside vswitchctl shutdown --guests
refuse "and the guest has ended" inside kill -0 "$pid"
check "the unit has ended well" wait_until 5 is ActiveState inactive
check "exposure of vswitchd.service" inside systemd-analyze security --no-pager --threshold=25 vswitchd.service
check "exposure of vswitch-guest@.service" inside systemd-analyze security --no-pager --threshold=5 vswitch-guest@eve.service
finish
