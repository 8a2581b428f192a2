#!/usr/bin/env bash
# Every writable global and thread-local variable of the library is listed in globals.txt with its owner and its lock: nothing else is
# shared between a host program's threads.
set -euo pipefail
archive=$1
list=$(dirname "$0")/globals.txt

# Sections that can be written at run time; .data.rel.ro is constant after loading, DW.ref.* is the compiler's.
found=$(nm -C -f sysv --defined-only "$archive" 2>/dev/null | awk -F'|' '
  $7 ~ /^\.(t?bss|t?data)/ && $7 !~ /^\.data\.rel\.ro/ && $1 !~ /^(DW\.ref\.|\.)/ { sub(/ +$/, "", $1); print $1 }' | sort -u)
listed=$(sed 's/ *#.*//; /^$/d' "$list" | sort -u)
new=$(comm -23 <(echo "$found" | sed '/^$/d') <(echo "$listed" | sed '/^$/d'))
stale=$(comm -13 <(echo "$found" | sed '/^$/d') <(echo "$listed" | sed '/^$/d'))
[ -z "$new" ] || { echo "writable globals that globals.txt does not list (owner? lock?):"; echo "$new"; }
[ -z "$stale" ] || { echo "listed in globals.txt but not there any more:"; echo "$stale"; }
[ -z "$new$stale" ]
