#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Mutations of tests/programs/mutate.c must make a difference within some programs:
# the first ones of the list soon, all of them at length.
# usage: mutants.sh PROGRAMS_MUTANT INSN_NATIVE CASES [LAST]
mutant=$1 native=$2 cases=$3 last=${4:-99} survived= number=1
export X86VM_EAGER_JUMPS=1
"$mutant" --helper "$native" --count 10 >/dev/null || { echo "FAIL programs differ without any mutation"; exit 1; }
while [ $number -le "$last" ]; do
    PROGRAMS_MUTATION=$number timeout 300 "$mutant" --helper "$native" --count "$cases" --max-failures 1 >/dev/null 2>&1
    case $? in
    0) survived="$survived $number" ;;
    77) break ;;
    esac
    number=$((number + 1))
done
[ -z "$survived" ] || { echo "FAIL mutations that no program showed:$survived"; exit 1; }
echo "ok   programs show $((number - 1)) mutations of the engine"
