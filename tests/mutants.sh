# SPDX-License-Identifier: BSD-2-Clause
# For the mutants.sh of a folder: every mutation of its mutate.c must be noticed.

# try_mutations RUN [LAST]: calls RUN with each number from 1 on, up to LAST or to the last that there is. RUN ends with
# what the mutant ended with: 0 where it noticed nothing, 77 where there is no such mutation. Afterwards $tried is
# how many there were, $survived the numbers of those not noticed.
try_mutations() {
    tried=0 survived=
    while [ $tried -lt "${2:-99}" ]; do
        "$1" $((tried + 1))
        case $? in
        0) survived="$survived $((tried + 1))" ;;
        77) break ;;
        esac
        tried=$((tried + 1))
    done
    [ -z "$survived" ]
}
