#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# After `sudo make …`: what root has made in the build folder and in the cache becomes
# the user's who said sudo, so that `make` alone goes on from there. A link is not
# followed.
#
# usage: tools/give_back.sh FOLDER…
[ "$(id -u)" -eq 0 ] && [ -n "${SUDO_UID:-}" ] && [ -n "${SUDO_GID:-}" ] || exit 0
for folder in "$@"; do
    [ ! -d "$folder" ] || [ -L "$folder" ] || chown -Rh "$SUDO_UID:$SUDO_GID" "$folder"
done
