# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Completion of vswitchctl for bash. What there is comes from the program's own help, so
# it cannot be another set; names of ports and guests come from the daemon, if it answers.

# "--name VALUE" of each option in a help on standard input, "--name" where it takes none
_vswitchctl_options() {
    sed -nE 's/^  (-[a-zA-Z], |    )(--[a-z-]+)( [^ ]+)? .*/\2\3/p'
}

# LIST: the names in a list that the daemon has
_vswitchctl_names() {
    "${_vswitchctl[@]}" --timeout 1 --json "$1" list 2>/dev/null | grep -oE '[{,]"name":"[^"]*","(type|memory_mib|nics)' | cut -d'"' -f4
}

_vswitchctl_complete() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local _vswitchctl=("${COMP_WORDS[0]}") help commands options words=() command='' word wanted='' i
    help=$("${COMP_WORDS[0]}" --help 2>/dev/null) || return
    commands=$(sed -n '/^commands:/,/^$/p' <<<"$help" | sed -nE 's/^  ([a-z][a-z-]*( [a-z][a-z-]*)?)( .*)$/\1/p')
    options=$(_vswitchctl_options <<<"$help")

    # The words before, without options and their values; the command among them.
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        -s | --socket) _vswitchctl+=(--socket "${COMP_WORDS[i + 1]}") && i=$((i + 1)) ;;
        --*) grep -q -- "^$word " <<<"$options" && i=$((i + 1)) ;;
        -?) "${COMP_WORDS[0]}" "${words[@]}" --help 2>/dev/null | grep -qE -- "^  $word, --[a-z-]+ [^ ]" && i=$((i + 1)) ;;
        *) words+=("$word")
            [ -n "$command" ] || ! grep -qxF -- "${words[*]}" <<<"$commands" || {
                command=${words[*]}
                options+=$'\n'$("${COMP_WORDS[0]}" "${words[@]}" --help 2>/dev/null | _vswitchctl_options)
            } ;;
        esac
    done

    case $prev in -*) wanted=$(awk -v option="$prev" '$1 == option { print $2; exit }' <<<"$options") ;; esac
    case $prev:$wanted:$command in
    -s:* | -w:* | -k:* | *:FILE:* | *:PATH:*) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --port:*) mapfile -t COMPREPLY < <(compgen -W "$(_vswitchctl_names port)" -- "$cur"); return ;;
    --type:*) wanted='tap|vhost-user' ;;&
    --nic:*:"guest run" | -n:*:"guest run") wanted='virtio-net|e1000|e1000-82545em|rtl8029|rtl8019as|ne2000|ne1000' ;;&
    *) if [ -n "$wanted" ]; then
            [ "${wanted#*|}" = "$wanted" ] || mapfile -t COMPREPLY < <(compgen -W "${wanted//|/ }" -- "$cur")
            return
        fi ;;
    esac
    case $cur in -*) mapfile -t COMPREPLY < <(compgen -W "$(cut -d' ' -f1 <<<"$options")" -- "$cur"); return ;; esac

    if [ -z "$command" ]; then
        word=${words[*]:+${words[*]} }
        mapfile -t COMPREPLY < <(compgen -W "$(grep -- "^$word" <<<"$commands" | cut -c$((${#word} + 1))- | cut -d' ' -f1 | sort -u)" -- "$cur")
        return
    fi
    i=$((${#words[@]} - $(wc -w <<<"$command")))
    case $command:$i in
    "guest link":1) word='up down' ;;
    "guest nic-save":1 | "guest nic-restore":1) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    "guest run":* | "guest adopt":* | "guest list":*) return ;;
    guest\ *:0) word=$(_vswitchctl_names guest) ;;
    "port add":* | "port list":* | "vlan list":*) return ;;
    port\ *:0 | vlan\ *:0 | capture:0 | "fdb add":1) word=$(_vswitchctl_names port) ;;
    "switch set":*) word='ageing_s= mtu= forward_reserved=' ;;
    monitor:*) word='port fdb guest config daemon' ;;
    call:0) word=$("${_vswitchctl[@]}" --timeout 1 methods 2>/dev/null | sed 1d | cut -d' ' -f1) ;;
    *) return ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
}
complete -F _vswitchctl_complete vswitchctl
