#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Installs the Debian packages that tools/debian-packages.txt names for the given
# groups (default: all) and that are not there yet. Without root it says what to run.
#
# usage: tools/deps.sh [GROUP…]
set -eu
list=$(dirname "$0")/debian-packages.txt
groups=${*:-$(sed -n 's/^\([a-z]*\) .*/\1/p' "$list" | sort -u)}

missing=
for group in $groups; do
    for package in $(sed -n "s/^$group  *\([^ ]*\).*/\1/p" "$list"); do
        case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
        'install ok installed') ;;
        *) missing="$missing $package" ;;
        esac
    done
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "deps: these Debian packages are missing; install them as root:" >&2
    echo "  apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
echo "deps: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
install() { apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends $missing </dev/null >&2; }
apt-get -qq update >&2 || true
install || { echo "deps: apt-get failed; check the network and /etc/apt/sources.list" >&2; exit 1; }
