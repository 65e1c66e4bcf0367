#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Fails where an include crosses the layers that ARCHITECTURE.md draws, where an
# outside library is seen outside the file that wraps it, or where the pure modules
# include more than libc. Prints one "ok" or "FAIL" line a rule.
set -eu
cd "$(dirname "$0")/.."
failed=0

# Which folders the files of a folder may include from, itself apart.
layers='
cli                 proto proto/json
proto
proto/json
vswitchd            vswitchd/control vswitchd/core vswitchd/ports vswitchd/os proto proto/json
vswitchd/control    vswitchd vswitchd/core vswitchd/os proto proto/json
vswitchd/core
vswitchd/ports      vswitchd/core vswitchd/os proto
vswitchd/os         proto
guest               x86vm x86vm/pc x86vm/memory nicemu proto
x86vm               x86vm/translate x86vm/protection x86vm/memory x86vm/cpu
x86vm/pc            x86vm/memory x86vm/cpu nicemu
x86vm/translate     x86vm x86vm/decode x86vm/protection x86vm/memory x86vm/cpu
x86vm/protection    x86vm/memory x86vm/cpu
x86vm/decode        x86vm/cpu
x86vm/memory        x86vm/cpu
x86vm/cpu
nicemu
'

# Header of an outside library, and the files that may see it.
libraries='
event2/             vswitchd/os/event_loop.c
netlink/            vswitchd/os/netlink.c
pcap                vswitchd/os/capture.c
seccomp.h           */sandbox.c
liburing.h          vswitchd/os/write_batch.c
json-c/             proto/json/*
Zydis/              x86vm/decode/*
lzma.h              x86vm/pc/unpack_xz.c
'

report() { # report RULE FINDINGS
    if [ -z "$2" ]; then echo "ok   layers: $1"; else echo "FAIL layers: $1"; echo "$2" | sed 's/^/     /'; failed=1; fi
}

# "FILE HEADER" of each quoted include in the files of one folder.
quoted() {
    for f in "$1"/*.c "$1"/*.h; do
        [ -e "$f" ] && sed -n "s|^ *# *include *\"\([^\"]*\)\".*|$f \1|p" "$f"
    done
    return 0
}

while read -r folder allowed; do
    [ -n "$folder" ] && [ -d "$folder" ] || continue
    findings=$(quoted "$folder" | while read -r file header; do
        case $header in */*) target=${header%/*} ;; *) echo "$file: \"$header\" is not root-relative"; continue ;; esac
        case " $folder $allowed " in *" $target "*) ;; *) echo "$file includes $header" ;; esac
    done)
    report "$folder includes only ${allowed:-itself}" "$findings"
done <<END
$layers
END

while read -r header files; do
    [ -n "$header" ] || continue
    findings=$(grep -rlE "^ *# *include *<$header" --include='*.[ch]' cli proto vswitchd guest x86vm nicemu 2>/dev/null |
        while read -r file; do
            # shellcheck disable=SC2254
            case $file in $files) ;; *) echo "$file includes <$header>" ;; esac
        done)
    report "<$header> is seen by $files alone" "$findings"
done <<END
$libraries
END

# Time, input and output are arguments of the pure modules, never called for.
findings=$(grep -nE '^ *# *include *<(sys/(socket|epoll|timerfd|eventfd|ioctl)|time|linux/|net/|poll|pthread|unistd|fcntl|signal)' \
    nicemu/*.[ch] vswitchd/core/*.[ch] 2>/dev/null || true)
report "nicemu and vswitchd/core do no input, output or timekeeping" "$findings"

findings=$(git ls-files '*.c' '*.h' '*.sh' '*.S' '*.py' '*.mk' Makefile 2>/dev/null | while read -r f; do
    [ -e "$f" ] && ! head -n 3 "$f" | grep -q SPDX-License-Identifier && echo "$f"
done || true)
report "every file names its licence" "$findings"

exit $failed
