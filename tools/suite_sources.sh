#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Fetches the source of test programs that others wrote for x86, of Debian's
# packages, and keeps what `make suites` builds of them:
#
#   CACHE/suites/linux       tools/testing/selftests/x86 of linux-source-6.1 (139 MB to fetch)
#   CACHE/suites/tcg         tests/tcg of the source package qemu (24 MB to fetch)
#
# Needs no root and leaves this machine's package lists alone; a second run finds
# all in the cache; --refresh asks the archive again.
#
# usage: tools/suite_sources.sh [--refresh] [CACHE]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
refresh=
[ "${1:-}" != --refresh ] || { refresh=1; shift; }
cache=${1:-${VSWITCH_CACHE:-cache}}
mkdir -p "$cache/suites" "$cache/apt-source"
cache=$(cd "$cache" && pwd)
apt=$cache/apt-source suites=$cache/suites

say() { echo "suites: $*" >&2; }
fail() { say "$*"; exit 1; }
. "$here/private_apt.sh"

scratch=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM HUP

update_lists() {
    [ ! -e "$scratch/updated" ] || return 0
    say "asking Debian's archive for its sources"
    read_lists deb deb-src || say "some lists could not be read (see $apt/update.log); going on with the others"
    : >"$scratch/updated"
}
is_there() { [ -s "$suites/$1/version" ] && [ -z "$refresh" ]; }

# keep NAME FOLDER VERSION: the folder becomes CACHE/suites/NAME.
keep() {
    echo "$3" >"$2/version"
    rm -rf "${suites:?}/$1"
    mv "$2" "$suites/$1"
}

get_selftests() {
    say "fetching linux-source-6.1 (139 MB)"
    (cd "$scratch" && private_apt apt-get download linux-source-6.1 >&2) || fail "cannot fetch linux-source-6.1"
    deb=$(echo "$scratch"/linux-source-6.1_*.deb)
    mkdir "$scratch/linux"
    dpkg-deb --fsys-tarfile "$deb" | tar -xO ./usr/src/linux-source-6.1.tar.xz |
        tar -xJ -C "$scratch/linux" --strip-components=1 linux-source-6.1/tools/testing/selftests/x86 \
            linux-source-6.1/tools/testing/selftests/kselftest.h linux-source-6.1/arch/x86/include/asm/desc_defs.h
    keep linux "$scratch/linux" "$(basename "$deb" .deb)"
}

get_tcg() {
    say "fetching the source of qemu (24 MB)"
    (cd "$scratch" && private_apt apt-get source --download-only qemu >&2) || fail "cannot fetch the source of qemu"
    dsc=$(echo "$scratch"/qemu_*.dsc)
    mkdir "$scratch/qemu"
    tar -xJf "$(echo "$scratch"/qemu_*.orig.tar.xz)" -C "$scratch/qemu" --strip-components=1 --wildcards \
        '*/tests/tcg/i386' '*/tests/tcg/multiarch'
    keep tcg "$scratch/qemu/tests/tcg" "$(basename "$dsc" .dsc)"
}

is_there linux && is_there tcg && exit 0
update_lists
is_there linux || get_selftests
is_there tcg || get_tcg
say "ready: $suites ($(cat "$suites"/*/version | tr '\n' ' '))"
