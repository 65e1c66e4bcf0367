#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Builds the programs of tests/suites/programs.txt as static i386 programs into
# OUT/bin. Those that gcc refuses are left out and named in OUT/refused.
#
# usage: tests/suites/build.sh SOURCES OUT     SOURCES: CACHE/suites
set -eu
here=$(dirname "$0")
sources=$(cd "$1" && pwd)
mkdir -p "$2/bin" "$2/log"
out=$(cd "$2" && pwd)
flags="-m32 -O2 -s -static -no-pie -pthread -std=gnu99 -w -DCAN_BUILD_32 -I$sources/linux/tools/testing/selftests"

: >"$out/refused"
sed 's/#.*//' "$here/programs.txt" | while read -r name arguments; do
    [ -n "$name" ] || continue
    words=
    for word in $arguments; do
        case $word in
        -*) words="$words $word" ;;
        x86/*) words="$words $sources/linux/tools/testing/selftests/$word" ;;
        *) words="$words $sources/tcg/$word" ;;
        esac
    done
    # shellcheck disable=SC2086
    gcc $flags -o "$out/bin/$name" $words -lm -lrt 2>"$out/log/$name" || { rm -f "$out/bin/$name"; echo "$name" >>"$out/refused"; }
done
