# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
#
# systemd as process 1 of namespaces of its own, for systemd.sh: on an overlay of this
# machine's root, which it cannot change, in a control group of its own, without the
# machine's units but the journal. What it is asked runs there by `inside`.
#
#   systemd_root                  $R is the root to be; install into it
#   systemd_start || …            false, and why, where this machine does not let it
#   inside systemctl start vswitchd

CGROUPS=
MANAGER=

systemd_root() {
    R=$W/root
    mkdir "$W/layers" "$R"
    mount -t tmpfs tmpfs "$W/layers" && mkdir "$W/layers/upper" "$W/layers/work" &&
        mount -t overlay overlay -o "lowerdir=/,upperdir=$W/layers/upper,workdir=$W/layers/work" "$R" || return 1
    # Nothing of this machine starts, and nothing that is installed here answers in place of what is tested.
    rm -rf "$R"/etc/systemd/system/* "$R"/usr/lib/systemd/system/*.wants "$R/usr/lib/systemd/system-generators" \
        "$R"/etc/systemd/*.conf.d "$R/var/log/journal" "$R/etc/vswitch" "$R/var/lib/vswitch"
    : >"$R/etc/fstab"
    echo 0123456789abcdef0123456789abcdef >"$R/etc/machine-id"
    units=$R/usr/lib/systemd/system
    mkdir "$units/sysinit.target.wants" "$units/sockets.target.wants"
    ln -s ../systemd-journald.service "$units/sysinit.target.wants/"
    ln -s ../systemd-journald.socket ../systemd-journald-dev-log.socket "$units/sockets.target.wants/"
    printf '[Unit]\nRequires=basic.target\nAfter=basic.target\n' >"$units/vswitch-test.target"
}

# What runs in the new namespaces until systemd does; its argument is $R.
systemd_init='
    cd "$1" || exit 1
    mount -t proc proc proc && mount -t sysfs -o ro sysfs sys && mount -t cgroup2 cgroup2 sys/fs/cgroup &&
        mount -t tmpfs -o mode=755 tmpfs dev && mount -t tmpfs -o mode=755 tmpfs run && mount -t tmpfs tmpfs tmp || exit 1
    mkdir dev/net dev/shm dev/pts .old
    for file in null zero full random urandom tty net/tun; do
        : >"dev/$file" && mount --bind "/dev/$file" "dev/$file" || exit 1
    done
    mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts && ln -s pts/ptmx dev/ptmx
    ip link set lo up
    pivot_root . .old && umount -l .old || exit 1
    exec env -i container=vswitch-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        chroot . /lib/systemd/systemd --system --unit=vswitch-test.target --log-target=null --show-status=0
'

systemd_start() {
    # A control group beside this machine's own, which is the root of the tree for those in it.
    mkdir "$W/cgroups" && mount -t cgroup2 cgroup2 "$W/cgroups" || return 1
    # What a test has left that was ended by force.
    find "$W/cgroups" -depth -type d -path '*/vswitch-test.*' -mmin +10 -exec rmdir {} + 2>/dev/null
    CGROUPS=$W/cgroups/$(basename "$W")
    mkdir "$CGROUPS" || return 1
    sh -c 'echo $$ >"$1/cgroup.procs" && exec unshare -mpfCuin --kill-child sh -c "$2" init "$3"' \
        start "$CGROUPS" "$systemd_init" "$R" >"$W/systemd.log" 2>&1 </dev/null &
    launcher=$!
    wait_until 10 systemd_runs && wait_until 30 inside systemctl is-active vswitch-test.target
}
systemd_runs() {
    MANAGER=$(ps -o pid= --ppid $launcher | tr -d ' ')
    [ -n "$MANAGER" ] && [ "$(cat "/proc/$MANAGER/comm")" = systemd ]
}

inside() { # COMMAND…
    nsenter -t "$MANAGER" -m -u -i -n -p -C -r -w env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        TERM=dumb SYSTEMD_PAGER= SYSTEMD_COLORS=0 "$@"
}

systemd_end() {
    [ -n "$CGROUPS" ] && [ -d "$CGROUPS" ] || return 0
    [ -z "$MANAGER" ] || kill -9 "$MANAGER" 2>/dev/null
    wait_until 5 sh -c '! grep -q . "$1"/cgroup.procs "$1"/*/cgroup.procs' wait "$CGROUPS"
    find "$CGROUPS" -depth -type d -exec rmdir {} + 2>/dev/null
    umount -R "$R" "$W/cgroups" 2>/dev/null
    umount "$W/layers" 2>/dev/null
}
