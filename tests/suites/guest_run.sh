#!/bin/busybox sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Runs each program of DIR/bin and keeps what it says and how it ends in DIR/out. In
# a guest (/etc/vs.d/suites is this) it then prints all of it as a packed archive
# between two marks, and powers off. A program that talks without end is killed at
# 8 MiB; of one that talks much by nature only a digest is kept.
#
# usage: guest_run.sh [DIR [SECONDS FOR EACH]]
dir=${1:-/suites} patience=${2:-${vs_patience:-60}}
talkative='test-i386-fprem'
ulimit -f 16384
ulimit -c 0

run() { # PROGRAM NAME
    cd "$dir/work" && busybox timeout -s KILL "$patience" "$1" 2>&1 </dev/null
    echo $? >"$dir/out/$2.status"
}

rm -rf "$dir/out" "$dir/work"
mkdir -p "$dir/out"
for program in "$dir"/bin/*; do
    name=${program##*/}
    [ $# -gt 0 ] || echo "suites: $name"
    mkdir "$dir/work"
    case " $talkative " in
    *" $name "*) (run "$program" "$name") | busybox sha256sum >"$dir/out/$name" ;;
    *) (run "$program" "$name") >"$dir/out/$name" 2>"$dir/out/$name" ;;
    esac
    rm -rf "$dir/work"
done
[ $# -eq 0 ] || exit 0
dmesg >"$dir/out/dmesg"
echo "suites: archive begins"
tar -C "$dir" -cz out | base64
echo "suites: archive ends"
poweroff -f
