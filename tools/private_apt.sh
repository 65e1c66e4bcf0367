# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
#
# apt with directories of its own, under $apt: this machine's package lists and
# architectures stay as they are, and no root is needed. For scripts of this folder
# that define fail().

# The archives this machine uses for Debian 12 itself, as lines of TYPE (deb,
# deb-src): by their origin, or, as long as their lists were never read, by the
# suite's name.
write_sources() { # [TYPE…]
    targets=$(apt-get indextargets --format '$(ORIGIN)|$(RELEASE)|$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null || true)
    list=$(echo "$targets" | sed -n 's/^Debian|bookworm[^|]*|//p' | sort -u)
    [ -n "$list" ] || list=$(echo "$targets" | sed -nE 's/^[^|]*\|bookworm(-updates|-security)?\|//p' | sort -u)
    [ -n "$list" ] || fail "apt on this machine knows no Debian 12 (bookworm) archive: add it to its sources, then 'apt-get update'"
    for type in "${@:-deb}"; do echo "$list" | sed "s/^/$type /"; done >"$apt/sources.list"
}

private_apt() { # PROGRAM ARGUMENTS…
    tool=$1; shift
    "$tool" -qq -o APT::Architecture=i386 -o APT::Architectures=i386 -o APT::Sandbox::User="$(id -un)" \
        -o Acquire::Languages=none -o Dir::State="$apt/state" -o Dir::State::Lists="$apt/lists" \
        -o Dir::State::status=/dev/null -o Dir::Cache="$apt/cache" -o Dir::Etc::SourceList="$apt/sources.list" \
        -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::Preferences=/dev/null \
        -o Dir::Etc::PreferencesParts=/dev/null "$@"
}

# Reads the lists; one that cannot be read (a mirror in the middle of an update) is
# no reason to stop, and false then.
read_lists() { # [TYPE…]
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/state"
    write_sources "$@"
    private_apt apt-get update >"$apt/update.log" 2>&1 ||
        private_apt apt-get -o Acquire::CompressionTypes::Order::=gz update >"$apt/update.log" 2>&1
}
