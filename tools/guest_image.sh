#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Fetches Debian's i386 kernel and busybox and assembles from them what the guests
# of the demonstration and the tests boot:
#
#   CACHE/images/vmlinuz, initrd.gz      the kernel of linux-image-686 and an initramfs
#   CACHE/images/vmlinuz-pae, -pae.gz    the same with linux-image-686-pae (--pae)
#   CACHE/images/iperf.gz                iperf3 as a further initramfs part (--iperf)
#   CACHE/images/nictools.gz             ethtool, iproute2, pktgen and uio likewise (--nictools)
#   CACHE/images/dpdk.gz                 DPDK's testpmd with its e1000 and virtio drivers, likewise (--dpdk)
#   CACHE/images/programs.gz             gzip, sort, openssl … for a chroot at /programs, likewise (--programs)
#   CACHE/images/memtest, gnumach        memtest86+ and GNU Mach, which are no Linux (--systems)
#   CACHE/images/8m.sha256               checksum of the file that each guest serves
#   CACHE/images/versions.txt            which packages they are made of
#
# Uses apt with directories of its own, so this machine's package lists and
# architectures stay as they are, and needs no root. A second run finds
# everything in the cache and needs no network; --refresh asks the archive again.
#
# usage: tools/guest_image.sh [--pae] [--iperf] [--nictools] [--dpdk] [--programs] [--systems] [--refresh] [CACHE]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
pae= iperf= nictools= dpdk= programs= systems= refresh=
while [ $# -gt 0 ]; do
    case $1 in
    --pae) pae=1 ;;
    --iperf) iperf=1 ;;
    --nictools) nictools=1 ;;
    --dpdk) dpdk=1 ;;
    --programs) programs=1 ;;
    --systems) systems=1 ;;
    --refresh) refresh=1 ;;
    -*) sed -n '3,22s/^# \{0,1\}//p' "$0"; exit 2 ;;
    *) break ;;
    esac
    shift
done
cache=${1:-${VSWITCH_CACHE:-cache}}
mkdir -p "$cache/apt" "$cache/debs" "$cache/images"
cache=$(cd "$cache" && pwd)
apt=$cache/apt debs=$cache/debs images=$cache/images
. "$here/private_apt.sh"

say() { echo "images: $*" >&2; }
fail() { say "$*"; exit 1; }
for tool in cpio gzip dpkg-deb strip depmod apt-get; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null || fail "$tool is missing: run 'make deps' first"
done
PATH=$PATH:/usr/sbin:/sbin

scratch=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM HUP

# Modules that a guest may load; what they depend on comes along.
modules='e1000 ne2k-pci ne virtio_pci virtio_net 8021q button evdev'
# Programs that go into parts of their own, with their libraries: packages, files.
iperf_packages='iperf3 libiperf0 libsctp1 libssl3 libc6'
iperf_files='usr/bin/iperf3'
# testpmd names all of these libraries; of the drivers it gets to see e1000 alone.
dpdk_packages='dpdk-dev librte-net-e1000-23 librte-net-virtio23 librte-mempool-ring23 librte-eal23 librte-ethdev23 librte-kvargs23 librte-telemetry23
    librte-net23 librte-mbuf23 librte-mempool23 librte-ring23 librte-meter23 librte-cmdline23 librte-crypto-scheduler23 librte-cryptodev23
    librte-rcu23 librte-bus-vdev23 librte-reorder23 librte-bitratestats23 librte-metrics23 librte-gro23 librte-gso23 librte-latencystats23
    librte-net-bnxt23 librte-bus-pci23 librte-pci23 librte-net-i40e23 librte-hash23 librte-net-ixgbe23 librte-security23 librte-bus-dpaa23
    librte-common-dpaax23 librte-eventdev23 librte-timer23 librte-mempool-dpaa23 librte-net-dpaa23 librte-net-bond23 librte-sched23
    librte-ip-frag23 librte-net-ice23 librte-common-iavf23 librte-net-mlx5-23 librte-common-mlx5-23 librte-bus-auxiliary23
    libnuma1 libfdt1 libjansson4 libbsd0 libmd0 ibverbs-providers libibverbs1 libnl-3-200 libnl-route-3-200 libgcc-s1 coreutils libc6'
dpdk_pmds=usr/lib/i386-linux-gnu/dpdk/pmds-23.0
dpdk_files="usr/bin/dpdk-testpmd $dpdk_pmds/librte_net_e1000.so.23.0 $dpdk_pmds/librte_net_virtio.so.23.0
    $dpdk_pmds/librte_bus_vdev.so.23.0 $dpdk_pmds/librte_mempool_ring.so.23.0
    lib/i386-linux-gnu/libgcc_s.so.1 usr/libexec/coreutils/libstdbuf.so" # to end its threads; to write its log by lines
programs_packages='busybox-static gzip grep mawk coreutils openssl 7zip libssl3 libpcre2-8-0 libstdc++6 libgcc-s1 libc6
    perl-base libcrypt1 lua5.4 luajit libluajit-5.1-2 libluajit-5.1-common sqlite3 libsqlite3-0 libreadline8 libtinfo6
    zlib1g bzip2 libbz2-1.0 xz-utils liblzma5 zstd libzstd1 liblz4-1 bc diffutils binutils-i686-linux-gnu
    libbinutils libjansson4 libctf0 gcc-12 cpp-12 libgmp10 libmpfr6 libmpc3 libisl23'
programs_files='bin/busybox bin/gzip bin/grep usr/bin/mawk usr/bin/sort usr/bin/openssl usr/bin/7zz usr/bin/perl usr/bin/lua5.4 usr/bin/luajit
    usr/bin/sqlite3 bin/bzip2 usr/bin/xz usr/bin/zstd usr/bin/bc usr/bin/diff usr/bin/i686-linux-gnu-as
    usr/bin/i686-linux-gnu-gcc-12 usr/lib/gcc/i686-linux-gnu/12/cc1'

# --- fetching ------------------------------------------------------------

# Asks the archive once a run.
update_lists() {
    [ ! -e "$scratch/updated" ] || return 0
    say "asking Debian's archive for its i386 packages"
    read_lists || say "some package lists could not be read (see $apt/update.log); going on with the others"
    : >"$scratch/updated"
}

# deb_of NAME: the path of a package in the cache, fetched if it is not there.
deb_of() {
    if [ -z "$refresh" ]; then
        for f in "$debs/$1"_*.deb; do [ -e "$f" ] && echo "$f" && return; done
    fi
    update_lists
    say "fetching $1"
    mkdir -p "$debs/new"
    (cd "$debs/new" && private_apt apt-get download "$1" >&2) || fail "cannot fetch $1"
    rm -f "$debs/$1"_*.deb
    mv "$debs/new/$1"_*.deb "$debs/"
    echo "$debs/$1"_*.deb
}

# kernel_of METAPACKAGE: the name of the kernel package it stands for now.
kernel_of() {
    if [ -s "$debs/$1.resolved" ] && [ -z "$refresh" ]; then cat "$debs/$1.resolved"; return; fi
    update_lists
    name=$(private_apt apt-cache depends "$1" | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    [ -n "$name" ] || fail "$1 names no kernel package"
    echo "$name" | tee "$debs/$1.resolved"
}

# --- assembling ----------------------------------------------------------

pack() { # pack DIR OUT: a gzip'd newc archive, the same bytes for the same content
    find "$1" -exec touch -h -d @0 {} +
    (cd "$1" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet) | gzip -9n >"$2.new"
    mv "$2.new" "$2"
}

# Copies one module and what it depends on, by the whole tree's modules.dep.
copy_modules() { # TREE ROOT VERSION
    dep=$1/lib/modules/$3/modules.dep
    for m in $modules; do
        line=$(grep -E "/$(echo "$m" | sed 's/[-_]/[-_]/g')\.ko:" "$dep") || { say "kernel has no module $m"; continue; }
        for file in $(echo "$line" | tr -d ':'); do
            mkdir -p "$2/lib/modules/$3/$(dirname "$file")"
            strip --strip-debug -o "$2/lib/modules/$3/$file" "$1/lib/modules/$3/$file"
        done
    done
    depmod -b "$2" "$3" 2>/dev/null
    find "$2/lib/modules" -name '*.bin' -delete
}

make_root() { # ROOT BUSYBOX_DEB
    mkdir -p "$1/bin" "$1/sbin" "$1/usr/bin" "$1/usr/sbin" "$1/etc/vs.d" "$scratch/busybox"
    dpkg-deb -x "$2" "$scratch/busybox"
    cp "$scratch/busybox/bin/busybox" "$1/bin/busybox"
    ln -sf busybox "$1/bin/sh"
    cp "$here/guest_init.sh" "$1/init"
    chmod 755 "$1/init"
    seq 1 20000 | head -c 65536 >"$1/etc/block"
    printf 'root:x:0:0:root:/:/bin/sh\n' >"$1/etc/passwd"
    mkdir -p "$1/etc/acpi/PWRF"
    printf '#!/bin/sh\npoweroff -f\n' >"$1/etc/acpi/PWRF/00000080"
    chmod 755 "$1/etc/acpi/PWRF/00000080"
    echo 'while :; do setsid cttyhack sh; done' >"$1/etc/vs.d/shell"
    echo 'poweroff -f' >"$1/etc/vs.d/poweroff"
    echo 'reboot -f' >"$1/etc/vs.d/reboot"
}

# build METAPACKAGE KERNEL_OUT INITRD_OUT
build() {
    kernel=$(kernel_of "$1")
    kernel_deb=$(deb_of "$kernel")
    busybox_deb=$(deb_of busybox-static)
    stamp="$(basename "$kernel_deb") $(basename "$busybox_deb") $(cat "$0" "$here/guest_init.sh" | sha256sum | cut -c1-16)"
    if [ -s "$images/$2" ] && [ -s "$images/$3" ] && [ "$(cat "$images/$3.stamp" 2>/dev/null)" = "$stamp" ]; then
        return 0
    fi
    say "assembling $2 and $3"
    version=${kernel#linux-image-}
    tree=$scratch/$version root=$scratch/root-$version
    mkdir -p "$tree" "$root"
    dpkg-deb --fsys-tarfile "$kernel_deb" | tar -x -C "$tree" ./boot ./lib/modules
    depmod -b "$tree" "$version"
    make_root "$root" "$busybox_deb"
    copy_modules "$tree" "$root" "$version"
    seq 1 20000 | head -c 65536 >"$scratch/block"
    n=0
    while [ $n -lt 128 ]; do cat "$scratch/block"; n=$((n + 1)); done | sha256sum | cut -d' ' -f1 >"$images/8m.sha256"
    cp "$tree/boot/vmlinuz-$version" "$images/$2.new"
    mv "$images/$2.new" "$images/$2"
    pack "$root" "$images/$3"
    echo "$stamp" >"$images/$3.stamp"
}

# Copies the libraries that a program names, and those that they name.
copy_libraries() { # ALL ROOT FILE
    for so in $(readelf -d "$3" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
        [ ! -e "$2/lib/$so" ] || continue
        file=$(find "$1" -name "$so" ! -path '*/debug/*' | head -n 1)
        [ -n "$file" ] || fail "$so, which $(basename "$3") needs, is in none of the packages"
        cp -L "$file" "$2/lib/$so"
        copy_libraries "$1" "$2" "$file"
    done
}

# Programs with their libraries, as a part to append to an initramfs, under PLACE in it.
build_part() { # NAME PLACE PACKAGES FILES
    stamp="$3 $4"
    if [ -s "$images/$1.gz" ] && [ -z "$refresh" ] && [ "$(cat "$images/$1.gz.stamp" 2>/dev/null)" = "$stamp" ]; then
        return 0
    fi
    say "assembling $1.gz"
    all=$scratch/$1-all root=$scratch/$1
    for p in $3; do
        deb=$(deb_of "$p")
        dpkg-deb -x "$deb" "$all"
    done
    mkdir -p "$root/$2/lib" "$root/$2/tmp"
    for f in $4; do
        mkdir -p "$root/$2/$(dirname "$f")"
        cp "$all/$f" "$root/$2/$f"
        copy_libraries "$all" "$root/$2" "$all/$f"
    done
    cp -L "$(find "$all" -name ld-linux.so.2 ! -path '*/debug/*' | head -n 1)" "$root/$2/lib/ld-linux.so.2"
    pack "$root" "$images/$1.gz"
    echo "$stamp" >"$images/$1.gz.stamp"
}

# Programs with the libraries that they name, and modules that no guest loads by itself.
nictools_packages='ethtool iproute2 libmnl0 libbpf1 libelf1 zlib1g libcap2 libbsd0 libmd0 libc6'
build_nictools() {
    kernel=$(kernel_of linux-image-686)
    stamp="$kernel $(sed -n '/^nictools_packages/,/^# end of nictools/p' "$0" | sha256sum | cut -c1-16)"
    if [ -s "$images/nictools.gz" ] && [ "$(cat "$images/nictools.gz.stamp" 2>/dev/null)" = "$stamp" ] && [ -z "$refresh" ]; then
        return 0
    fi
    say "assembling nictools.gz"
    all=$scratch/nictools-all root=$scratch/nictools
    mkdir -p "$root/lib" "$root/nictools" "$all"
    for p in $nictools_packages; do
        deb=$(deb_of "$p")
        dpkg-deb -x "$deb" "$all"
    done
    for program in sbin/ethtool bin/ip; do
        strip -o "$root/nictools/$(basename "$program")" "$all/$program"
        copy_libraries "$all" "$root" "$all/$program"
    done
    cp -L "$(find "$all" -name ld-linux.so.2 ! -path '*/debug/*' | head -n 1)" "$root/lib/ld-linux.so.2"
    kernel_deb=$(deb_of "$kernel")
    dpkg-deb --fsys-tarfile "$kernel_deb" | tar -x -C "$all" --wildcards '*/pktgen.ko' '*/uio.ko' '*/uio_pci_generic.ko'
    for module in pktgen uio uio_pci_generic; do
        strip --strip-debug -o "$root/nictools/$module.ko" "$(find "$all/lib/modules" -name "$module.ko")"
    done
    pack "$root" "$images/nictools.gz"
    echo "$stamp" >"$images/nictools.gz.stamp"
}
# end of nictools

# One file of a package, as it is or unpacked.
build_system() { # NAME PACKAGE FILE [FILTER]
    deb=$(deb_of "$2")
    [ ! "$deb" -ot "$images/$1" ] || return 0
    say "taking $1 from $2"
    dpkg-deb --fsys-tarfile "$deb" | tar -xO "./$3" | "${4:-cat}" >"$images/$1.new"
    [ -s "$images/$1.new" ] || fail "$2 has no $3"
    mv "$images/$1.new" "$images/$1"
}

build linux-image-686 vmlinuz initrd.gz
[ -z "$pae" ] || build linux-image-686-pae vmlinuz-pae initrd-pae.gz
[ -z "$iperf" ] || build_part iperf . "$iperf_packages" "$iperf_files"
[ -z "$nictools" ] || build_nictools
[ -z "$dpdk" ] || build_part dpdk . "$dpdk_packages" "$dpdk_files"
[ -z "$programs" ] || build_part programs programs "$programs_packages" "$programs_files"
if [ -n "$systems" ]; then
    build_system memtest memtest86+ boot/memtest86+ia32.bin
    build_system gnumach gnumach-image-1.8-486 boot/gnumach-1.8-486.gz zcat
fi
(cd "$debs" && for f in *.deb; do echo "${f%.deb}"; done) >"$images/versions.txt"
say "ready: $images, of $(wc -l <"$images/versions.txt") packages ($(grep -o '^linux-image-[^_]*-686_[^_]*' "$images/versions.txt" | head -n 1))"
